// The records of a FileState in a snapshot (docs/formats.md; how they are written: actors/state/state_format.h).
#pragma once

#include <cstdint>

namespace sandstore {

// Version 4 has holds, chunks that are kept though nothing uses them, chunks that were collected and leases; a state
// without them is written as version 1, byte for byte.
inline constexpr uint64_t kStateFormatVersion = 1;
inline constexpr uint64_t kStateFormatVersionWithHolds = 4;

// In the order in which they come. Lists are sorted by their ids.
enum class StateRecord : uint8_t {
    kHeader = 1,
    kReplicaList = 2,
    kChunk = 3,
    kInode = 4,   // Of a file: its extents follow.
    kExtent = 5,  // Of the inode or the detached content before it.
    kEntry = 6,
    kDetached = 7,  // Its extents follow.
    kSession = 8,   // Its results follow.
    kResult = 9,
    kTrailer = 10,      // Last, though there are higher numbers.
    kHold = 11,         // These come between results and trailer.
    kUnusedChunk = 12,  // Kept though nothing uses it.
    kLease = 13,
    kKept = 14,  // Its extents follow.
    kCollectedChunk = 20,
};

// Where a kind stands among the others.
constexpr int order_of(StateRecord kind) {
    switch (kind) {
        case StateRecord::kTrailer:
            return 15;
        case StateRecord::kCollectedChunk:
            return 14;
        case StateRecord::kHold:
            return 10;
        case StateRecord::kUnusedChunk:
            return 11;
        case StateRecord::kLease:
            return 12;
        case StateRecord::kKept:
            return 13;
        default:
            return static_cast<int>(kind);
    }
}

}  // namespace sandstore
