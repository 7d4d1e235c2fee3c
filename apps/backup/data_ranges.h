// Where a file has bytes; the rest are holes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "messages/backup.pb.h"

namespace sandstore {

struct DataRange {
    uint64_t offset = 0;
    uint64_t length = 0;
    bool operator==(const DataRange&) const = default;
};

// Appends a run; joined to the last one when it goes on there.
inline void add_range(std::vector<DataRange>* ranges, uint64_t offset, uint64_t length) {
    if (!ranges->empty() && ranges->back().offset + ranges->back().length == offset) {
        ranges->back().length += length;
    } else {
        ranges->push_back({offset, length});
    }
}

inline std::vector<DataRange> data_ranges(const pb::BackupEntry& entry) {
    std::vector<DataRange> ranges;
    for (const pb::BackupExtent& extent : entry.extents()) add_range(&ranges, extent.offset(), extent.length());
    return ranges;
}

}  // namespace sandstore
