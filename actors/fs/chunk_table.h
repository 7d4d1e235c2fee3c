// The chunks that files use: how many extents use each, how long it is and which nodes were given it. A chunk stands
// here exactly as long as an extent uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/fs/extent_map.h"
#include "messages/chunk.pb.h"
#include "messages/fs.pb.h"

namespace sandstore {

// A chunk as a client tells of it.
struct ChunkFacts {
    uint64_t length = 0;
    uint64_t allocated_at_us = 0;
    std::vector<std::string> replicas;  // The order is the client's, and is kept.
};

ChunkFacts facts_of(const pb::Extent& extent);
void fill_chunk_id(const ChunkKey& key, pb::ChunkId* id);

class ChunkTable {
 public:
    // Millions of chunks share few lists of replicas, so each list is kept once.
    using ReplicaLists = std::map<std::vector<std::string>, uint64_t>;  // -> chunks that have it

    struct Chunk {
        uint64_t references = 0;
        uint64_t length = 0;
        uint64_t allocated_at_us = 0;
        ReplicaLists::iterator replicas;
    };
    using Chunks = std::map<ChunkKey, Chunk>;

    ChunkTable() = default;
    ChunkTable(const ChunkTable&) = delete;  // Chunks point into the table's own lists.
    ChunkTable& operator=(const ChunkTable&) = delete;

    const Chunk* find(const ChunkKey& key) const;
    bool same_facts(const Chunk& chunk, const ChunkFacts& facts) const;

    void insert(const ChunkKey& key, ChunkFacts facts);  // New, without references yet; checked.
    void reference(const ChunkKey& key);                 // One more extent uses it; it must be known.
    void release(const ChunkKey& key);                   // One fewer; the last one removes the chunk.

    void fill_place(const ChunkKey& key, const Chunk& chunk, pb::ChunkPlace* place) const;

    size_t size() const { return chunks_.size(); }
    const Chunks& chunks() const { return chunks_; }  // In id order.
    uint64_t hash() const { return hash_; }
    uint64_t walk_hash() const;  // The same, computed from scratch.

 private:
    static uint64_t hash_of(const ChunkKey& key, const Chunk& chunk);

    Chunks chunks_;
    ReplicaLists replica_lists_;
    uint64_t hash_ = 0;
};

}  // namespace sandstore
