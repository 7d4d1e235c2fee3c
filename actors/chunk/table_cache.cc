#include "actors/chunk/table_cache.h"

#include <utility>

namespace sandstore {

size_t TableCache::cost_of(const std::vector<uint32_t>& table) {
    constexpr size_t kOverheadBytes = 160;  // Map node, list node, vector.
    return kOverheadBytes + table.size() * sizeof(uint32_t);
}

void TableCache::put(ChunkKey key, std::vector<uint32_t> block_crc32c) {
    erase(key);
    bytes_ += cost_of(block_crc32c);
    uses_.push_front(key);
    entries_[key] = {std::move(block_crc32c), uses_.begin()};
    while (bytes_ > bytes_max_ && uses_.size() > 1) erase(uses_.back());
}

const std::vector<uint32_t>* TableCache::find(ChunkKey key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    uses_.splice(uses_.begin(), uses_, found->second.use);
    return &found->second.block_crc32c;
}

void TableCache::erase(ChunkKey key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    bytes_ -= cost_of(found->second.block_crc32c);
    uses_.erase(found->second.use);
    entries_.erase(found);
}

}  // namespace sandstore
