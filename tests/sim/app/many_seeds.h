// Runs many seeds in several processes, stops at the first failure unless told to go on, and shows how it goes.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/sim/app/command_line.h"
#include "tests/sim/sim_run.h"

namespace sandstore {

struct ManySeedsResult {
    uint64_t runs = 0;
    SimFigures figures;  // Of all runs together.
    uint64_t run_twice = 0;
    double seconds = 0;
    std::vector<uint64_t> failed;  // Seeds, in order.
};

// One of so many seeds runs twice, and must run the same.
inline constexpr uint64_t kRunTwiceOneIn = 20;
bool runs_twice(uint64_t seed);

ManySeedsResult run_many_seeds(const SimCommand& command, bool show_progress);

}  // namespace sandstore
