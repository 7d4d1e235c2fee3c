// Draws a schedule from a seed. Swarm testing (Groce et al. 2012): each seed has its own mix, with some kinds of faults
// and operations absent and others frequent, since a fault that is always there hides what its absence would show.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/sim/schedule.h"

namespace sandstore {

struct SwarmLimits {
    std::optional<int64_t> nodes;       // Instead of what the seed says.
    std::optional<int64_t> operations;  // About so many.
};

Schedule draw_schedule(uint64_t seed, const SwarmLimits& limits = {});

}  // namespace sandstore
