#include "actors/raft/entry_cache.h"

#include <algorithm>

#include "runtime/check.h"

namespace sandstore {

void EntryCache::append(Payload record) {
    bytes_ += record.size();
    records_.push_back(std::move(record));
}

void EntryCache::truncate_after(uint64_t last_kept) {
    while (!records_.empty() && next_index() > last_kept + 1) {
        bytes_ -= records_.back().size();
        records_.pop_back();
    }
    if (records_.empty()) first_index_ = last_kept + 1;
}

void EntryCache::evict(uint64_t last_evictable) {
    while (bytes_ > bytes_max_ && !records_.empty() && first_index_ <= last_evictable) {
        bytes_ -= records_.front().size();
        records_.pop_front();
        first_index_++;
    }
}

EntryCache::Range EntryCache::range(uint64_t first, uint64_t last, uint64_t bytes_max, uint32_t count_max) const {
    SANDSTORE_CHECK(contains(first), "first=", first, " cached=", first_index_, "..", next_index());
    Range range;
    for (uint64_t index = first; index <= last && index < next_index() && range.count < count_max; index++) {
        const Payload& record = records_[index - first_index_];
        if (range.count > 0 && range.records.size() + record.size() > bytes_max) break;
        range.records.append(record);
        range.last_index = index;
        range.count++;
    }
    return range;
}

}  // namespace sandstore
