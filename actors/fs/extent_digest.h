// What the extents of a range are recognized by: equal for equal extents, so that a client can say which it has read.
#pragma once

#include <cstdint>

#include "actors/fs/extent_table.h"
#include "actors/state/state_hasher.h"

namespace sandstore {

class ExtentDigest {
 public:
    // By offset, clipped to the range.
    void add(const FileExtent& extent) {
        hasher_.add(extent.offset).add(extent.length).add(extent.chunk.term).add(extent.chunk.number);
        hasher_.add(extent.chunk_offset);
    }
    uint64_t value() const { return hasher_.value(); }

 private:
    StateHasher hasher_{StateHasher::Kind::kExtent};
};

}  // namespace sandstore
