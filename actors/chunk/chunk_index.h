// What a node knows of each chunk that it holds, in the order of the chunks' ids: 40 bytes a chunk, for there may be
// many millions. Entries stand in blocks, sorted; ids are handed out in rising order, so that blocks are filled to the
// end. A plain object.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "actors/chunk/chunk_key.h"

namespace sandstore {

class ChunkIndex {
 public:
    static constexpr size_t kBlockEntries = 256;

    struct Entry {
        ChunkKey key;
        uint64_t allocated_at_us = 0;
        uint32_t length = 0;
        uint32_t volume = 0;     // kOwnFile: a file of its own, as there were before there were volumes.
        uint32_t offset_8 = 0;   // Where its record begins in the volume, in units of 8 bytes.
        bool damaged = false;    // Some of its blocks are, at least.
        bool time_known = true;  // Of a file of its own, only when its header has been read.

        uint64_t offset() const { return uint64_t{offset_8} * 8; }
        // The same as long as the chunk's bytes are to be found at the same place.
        uint64_t place() const { return uint64_t{volume} << 32 | offset_8; }
    };
    static_assert(sizeof(Entry) <= 40);
    static constexpr uint32_t kOwnFile = 0;

    // Null when it is not there. Valid until an entry is put or erased.
    const Entry* find(ChunkKey key) const;
    const Entry* first_after(ChunkKey key) const;  // Null at the end; {0, 0} is before all.
    void put(const Entry& entry);                  // In place of another one with this key.
    void erase(ChunkKey key);
    void set_damaged(ChunkKey key, bool damaged);  // The key must be there: checked; so for this one:
    void set_time(ChunkKey key, uint64_t allocated_at_us);

    size_t size() const { return size_; }
    uint64_t intact() const { return intact_; }              // Entries that are not damaged,
    uint64_t intact_bytes() const { return intact_bytes_; }  // and the bytes of their chunks.
    uint64_t damaged() const { return size_ - intact_; }
    size_t memory_bytes() const;  // Of the blocks.

 private:
    using Block = std::vector<Entry>;
    // By a key that is not above the block's first entry's; the first block's is {0, 0}.
    using Blocks = std::map<ChunkKey, Block>;

    Blocks::iterator block_of(ChunkKey key);
    Blocks::const_iterator block_of(ChunkKey key) const;
    Entry* find_mutable(ChunkKey key);
    bool is_behind_all(ChunkKey key) const;
    void insert(const Entry& entry);
    void count(const Entry& entry, int sign);

    Blocks blocks_;
    size_t size_ = 0;
    uint64_t intact_ = 0;
    uint64_t intact_bytes_ = 0;
};

}  // namespace sandstore
