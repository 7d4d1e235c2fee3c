// What the machine, or the container, gives a node.
#pragma once

#include "apps/doctor/findings.h"

namespace sandstore {

Machine look_at_machine();
// The kernel's word on the clock; what moved since `wall_minus_monotonic_us` was taken.
ClockState look_at_clock(int64_t wall_minus_monotonic_us);
int64_t wall_minus_monotonic_us();

}  // namespace sandstore
