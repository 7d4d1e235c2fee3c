// The newest entries of the log as encoded records, in memory: what peers and the state machine usually need.
#pragma once

#include <cstdint>
#include <deque>

#include "runtime/payload.h"

namespace sandstore {

// A contiguous run of records that ends at the log's last entry.
class EntryCache {
 public:
    explicit EntryCache(uint64_t bytes_max = 64u << 20, uint64_t next_index = 1)
        : bytes_max_(bytes_max), first_index_(next_index) {}

    uint64_t first_index() const { return first_index_; }  // next_index() when empty.
    uint64_t next_index() const { return first_index_ + records_.size(); }
    bool contains(uint64_t index) const { return index >= first_index_ && index < next_index(); }
    uint64_t bytes() const { return bytes_; }
    uint64_t record_bytes(uint64_t index) const { return records_[index - first_index_].size(); }

    void append(Payload record);              // Becomes entry next_index().
    void truncate_after(uint64_t last_kept);  // May empty the cache: then next_index() is last_kept + 1.
    void evict(uint64_t last_evictable);      // Drops from the front while over the limit, never beyond this index.

    struct Range {
        Payload records;
        uint64_t last_index = 0;
        uint32_t count = 0;
    };
    // From `first` (which must be contained) up to `last`, at most bytes_max but at least one record.
    Range range(uint64_t first, uint64_t last, uint64_t bytes_max, uint32_t count_max = UINT32_MAX) const;

 private:
    uint64_t bytes_max_;
    uint64_t first_index_;
    uint64_t bytes_ = 0;
    std::deque<Payload> records_;
};

}  // namespace sandstore
