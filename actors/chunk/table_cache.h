// The checksum tables of recently used chunks, so that a small read costs only the blocks it touches. Bounded by bytes;
// the least recently used table goes first.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "actors/chunk/chunk_key.h"

namespace sandstore {

class TableCache {
 public:
    explicit TableCache(size_t bytes_max) : bytes_max_(bytes_max) {}

    void put(ChunkKey key, std::vector<uint32_t> block_crc32c);
    // Null when it is not here. Valid until the next call of put or erase.
    const std::vector<uint32_t>* find(ChunkKey key);
    void erase(ChunkKey key);
    size_t bytes() const { return bytes_; }

 private:
    struct Entry {
        std::vector<uint32_t> block_crc32c;
        std::list<ChunkKey>::iterator use;
    };
    static size_t cost_of(const std::vector<uint32_t>& table);

    size_t bytes_max_;
    size_t bytes_ = 0;
    std::map<ChunkKey, Entry> entries_;
    std::list<ChunkKey> uses_;  // Most recent first.
};

}  // namespace sandstore
