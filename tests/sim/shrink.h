// Makes a failing schedule small: takes events out (delta debugging, Zeller and Hildebrandt 2002), sets settings back
// to their defaults and uses fewer nodes, as long as the run still fails in the same way.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "tests/sim/schedule.h"

namespace sandstore {

struct Shrunk {
    Schedule schedule;
    size_t runs = 0;
};

// `fails` says whether a schedule still fails in the same way.
Shrunk shrink(Schedule schedule, const std::function<bool(const Schedule&)>& fails, size_t runs_max = 3000);

}  // namespace sandstore
