// Bounds of names that several layers check.
#pragma once

#include <cstddef>

namespace sandstore {

// Of a node id. The header of a chunk's file has room for so many.
inline constexpr size_t kNodeIdBytesMax = 63;

}  // namespace sandstore
