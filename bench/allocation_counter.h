// Counts every call of operator new in the program it is linked into.
#pragma once

#include <cstdint>

namespace sandstore {

uint64_t allocations_so_far();

}  // namespace sandstore
