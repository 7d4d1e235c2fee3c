// The chunks that files use: how many extents use each, how long it is and which nodes were given it. A chunk stands
// here as long as an extent uses it, and beyond that for kReleasedKeptUs and while it is held. Then it is collected:
// the nodes may delete it, and it can never be used again. Copying a table costs nothing (cow_map.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/chunk/chunk_key.h"
#include "actors/state/cow_map.h"
#include "messages/chunk.pb.h"
#include "messages/fs.pb.h"

namespace sandstore {

// Replicas must agree on these, too. A chunk that no extent uses any more stays for so long by the cluster's clock:
// whoever was told of it is in the middle of reading it. Who reads for longer takes a hold or a lease.
inline constexpr uint64_t kReleasedKeptUs = 10'000'000;
// Chunks that are known to be collected. Of more, those that were allocated first are forgotten, and from then on none
// that is as old may be committed.
inline constexpr size_t kCollectedMax = 100'000;

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
    struct Chunk {
        uint64_t references = 0;
        uint64_t length = 0;
        uint64_t allocated_at_us = 0;
        uint64_t replica_list = 0;    // Its id.
        uint64_t unused_since = 0;    // The entry that released its last reference; 0: in use.
        uint64_t released_at_us = 0;  // When that was, by the cluster's clock.
    };
    // A chunk that is kept though no extent uses it.
    struct Unused {
        uint64_t since = 0;
        ChunkKey key;
        auto operator<=>(const Unused&) const = default;
    };
    struct Nothing {};
    using UnusedChunks = CowMap<Unused, Nothing>;
    struct Collected {
        uint64_t allocated_at_us = 0;
        ChunkKey key;
        auto operator<=>(const Collected&) const = default;
    };
    using CollectedChunks = CowMap<Collected, Nothing>;
    // Millions of chunks share few lists of replicas, so each list is kept once. Ids rise and are never used again.
    struct ReplicaList {
        std::vector<std::string> nodes;
        uint64_t chunks = 0;  // That have it.
    };
    using Chunks = CowMap<ChunkKey, Chunk>;
    using ReplicaLists = CowMap<uint64_t, ReplicaList>;

    const Chunk* find(const ChunkKey& key) const { return chunks_.find(key); }
    // Whether a client can mean this one. Its places may have changed since the client was told of them.
    static bool same_facts(const Chunk& chunk, const ChunkFacts& facts);
    const std::vector<std::string>& replicas_of(const Chunk& chunk) const;

    void insert(const ChunkKey& key, ChunkFacts facts);  // New, without references yet; checked.
    void reference(const ChunkKey& key);                 // One more extent uses it; it must be known.
    // One fewer. After the last one the chunk is kept, unused since this entry of the log and this time.
    void release(const ChunkKey& key, uint64_t index, uint64_t clock_us);
    // The chunk is on other nodes from now on; it must be known.
    void move(const ChunkKey& key, std::vector<std::string> replicas);
    // Collects at most so many of the chunks that nothing has used since `index` or longer and for kReleasedKeptUs;
    // their ids are added to `collected`. How many there were.
    size_t collect_unused(uint64_t index, uint64_t clock_us, size_t chunks_max, std::vector<ChunkKey>* collected);
    // A chunk that is not here never will be. False: that was known.
    bool abandon(const ChunkKey& key, uint64_t allocated_at_us);
    // A chunk that was allocated so long ago is refused by its age: nobody need remember that it was collected.
    void forget_collected(uint64_t allocated_before_us, size_t chunks_max);
    // Whether it was collected, or may have been: it cannot come into use (again).
    bool was_collected(const ChunkKey& key, uint64_t allocated_at_us) const {
        return allocated_at_us < commit_floor_us_ || collected_.find(Collected{allocated_at_us, key}) != nullptr;
    }

    void fill_place(const ChunkKey& key, const Chunk& chunk, pb::ChunkPlace* place) const;

    size_t size() const { return chunks_.size(); }
    const Chunks& chunks() const { return chunks_; }                 // In id order.
    const UnusedChunks& unused() const { return unused_; }           // In the order in which they were released.
    const CollectedChunks& collected() const { return collected_; }  // In the order in which they were allocated.
    uint64_t commit_floor_us() const { return commit_floor_us_; }    // Chunks allocated before come into use no more.
    const ReplicaLists& replica_lists() const { return replica_lists_; }
    uint64_t next_list() const { return next_list_; }
    uint64_t hash() const { return hash_; }
    uint64_t walk_hash() const;  // The same, computed from scratch.

    // --- From a snapshot
    void restore_next_list(uint64_t next_list) { next_list_ = next_list; }
    bool restore_list(uint64_t id, std::vector<std::string> nodes);  // False: this id or list is there already.
    bool restore(const ChunkKey& key, const Chunk& chunk);           // False: there already, or no such list.
    bool restore_unused(const ChunkKey& key, uint64_t since, uint64_t released_at_us);  // False: unknown, or in use.
    bool restore_collected(const ChunkKey& key, uint64_t allocated_at_us);              // False: there already.
    void restore_commit_floor(uint64_t floor_us) { commit_floor_us_ = floor_us; }

    bool discard(size_t* nodes) {
        return chunks_.discard(nodes) && replica_lists_.discard(nodes) && list_ids_.discard(nodes) &&
               unused_.discard(nodes) && collected_.discard(nodes);
    }

 private:
    uint64_t hash_of(const ChunkKey& key, const Chunk& chunk) const;
    static uint64_t hash_of(const Collected& collected);
    uint64_t list_of(std::vector<std::string> replicas);  // Known, or made.
    void leave_list(uint64_t id);
    void forget_surplus();  // Of the collected ones.
    void erase(const ChunkKey& key);

    Chunks chunks_;
    UnusedChunks unused_;
    CollectedChunks collected_;
    uint64_t commit_floor_us_ = 0;
    ReplicaLists replica_lists_;
    CowMap<std::vector<std::string>, uint64_t> list_ids_;
    uint64_t next_list_ = 1;
    uint64_t hash_ = 0;
};

}  // namespace sandstore
