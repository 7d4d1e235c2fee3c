// What is left free on a disk. Chunks and log share one by default, and a log that cannot grow stops everything, so the
// chunks stop first, then the making of segments, and only snapshots, which let the log shrink, may use the rest.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sandstore {

inline constexpr uint64_t kDiskReserveBytesDefault = uint64_t{256} << 20;
inline constexpr uint64_t kDiskReserveShareMax = 8;  // At most an eighth of the disk, so that small ones are of use.

// Of a disk of `total` bytes, for chunks; segments of the log may use half of it.
constexpr uint64_t disk_reserve(uint64_t wanted, uint64_t total) {
    return std::min(wanted, total / kDiskReserveShareMax);
}

}  // namespace sandstore
