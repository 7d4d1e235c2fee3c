#include "actors/state/chunk_table.h"

#include <algorithm>

#include "actors/state/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

ChunkFacts facts_of(const pb::Extent& extent) {
    ChunkFacts facts;
    facts.length = extent.chunk_length();
    facts.allocated_at_us = extent.chunk().allocated_at_us();
    facts.replicas.assign(extent.chunk().replicas().begin(), extent.chunk().replicas().end());
    return facts;
}

void fill_chunk_id(const ChunkKey& key, pb::ChunkId* id) {
    id->set_term(key.term);
    id->set_number(key.number);
}

const std::vector<std::string>& ChunkTable::replicas_of(const Chunk& chunk) const {
    const ReplicaList* list = replica_lists_.find(chunk.replica_list);
    SANDSTORE_CHECK(list != nullptr, "no list of replicas ", chunk.replica_list);
    return list->nodes;
}

bool ChunkTable::same_facts(const Chunk& chunk, const ChunkFacts& facts) {
    return chunk.length == facts.length && chunk.allocated_at_us == facts.allocated_at_us;
}

uint64_t ChunkTable::list_of(std::vector<std::string> replicas) {
    if (const uint64_t* known = list_ids_.find(replicas); known != nullptr) return *known;
    const uint64_t list = next_list_++;
    restore_list(list, std::move(replicas));
    return list;
}

void ChunkTable::insert(const ChunkKey& key, ChunkFacts facts) {
    const uint64_t list = list_of(std::move(facts.replicas));
    const bool inserted = restore(key, {0, facts.length, facts.allocated_at_us, list});
    SANDSTORE_CHECK(inserted, "chunk ", key.term, "-", key.number, " is known already");
}

bool ChunkTable::restore_list(uint64_t id, std::vector<std::string> nodes) {
    if (!list_ids_.insert(nodes, id)) return false;
    return replica_lists_.insert(id, {std::move(nodes), 0});
}

bool ChunkTable::restore(const ChunkKey& key, const Chunk& chunk) {
    ReplicaList* list = replica_lists_.edit(chunk.replica_list);
    if (list == nullptr || !chunks_.insert(key, chunk)) return false;
    ++list->chunks;
    hash_ += hash_of(key, chunk);
    return true;
}

void ChunkTable::reference(const ChunkKey& key) {
    Chunk* chunk = chunks_.edit(key);
    SANDSTORE_CHECK(chunk != nullptr, "chunk ", key.term, "-", key.number, " is not known");
    hash_ -= hash_of(key, *chunk);
    if (chunk->unused_since != 0) unused_.erase(Unused{chunk->unused_since, key});
    chunk->unused_since = chunk->released_at_us = 0;
    ++chunk->references;
    hash_ += hash_of(key, *chunk);
}

void ChunkTable::release(const ChunkKey& key, uint64_t index, uint64_t clock_us) {
    Chunk* chunk = chunks_.edit(key);
    SANDSTORE_CHECK(chunk != nullptr && chunk->references > 0, "chunk ", key.term, "-", key.number);
    hash_ -= hash_of(key, *chunk);
    if (--chunk->references == 0) {
        chunk->unused_since = std::max<uint64_t>(index, 1);
        chunk->released_at_us = clock_us;
        unused_.insert({chunk->unused_since, key}, {});
    }
    hash_ += hash_of(key, *chunk);
}

size_t ChunkTable::collect_unused(uint64_t index, uint64_t clock_us, size_t chunks_max,
                                  std::vector<ChunkKey>* collected) {
    size_t taken = 0;
    for (; taken < chunks_max && !unused_.empty() && unused_.begin().key().since <= index; ++taken) {
        const Unused first = unused_.begin().key();
        const Chunk chunk = *chunks_.find(first.key);
        // The clock never goes back: those behind it were released later.
        if (chunk.released_at_us + kReleasedKeptUs > clock_us) break;
        unused_.erase(first);
        hash_ -= hash_of(first.key, chunk);
        erase(first.key);
        restore_collected(first.key, chunk.allocated_at_us);
        collected->push_back(first.key);
    }
    forget_surplus();
    return taken;
}

bool ChunkTable::abandon(const ChunkKey& key, uint64_t allocated_at_us) {
    if (was_collected(key, allocated_at_us)) return false;
    restore_collected(key, allocated_at_us);
    forget_surplus();
    return true;
}

void ChunkTable::forget_surplus() {
    while (collected_.size() > kCollectedMax) {
        const Collected first = collected_.begin().key();
        commit_floor_us_ = std::max(commit_floor_us_, first.allocated_at_us + 1);
        hash_ -= hash_of(first);
        collected_.erase(first);
    }
}

void ChunkTable::forget_collected(uint64_t allocated_before_us, size_t chunks_max) {
    for (size_t i = 0; i < chunks_max && !collected_.empty(); ++i) {
        const Collected first = collected_.begin().key();
        if (first.allocated_at_us >= allocated_before_us) return;
        hash_ -= hash_of(first);
        collected_.erase(first);
    }
}

bool ChunkTable::restore_collected(const ChunkKey& key, uint64_t allocated_at_us) {
    const Collected collected{allocated_at_us, key};
    if (!collected_.insert(collected, {})) return false;
    hash_ += hash_of(collected);
    return true;
}

bool ChunkTable::restore_unused(const ChunkKey& key, uint64_t since, uint64_t released_at_us) {
    Chunk* chunk = chunks_.edit(key);
    if (chunk == nullptr || chunk->references > 0 || since == 0) return false;
    if (!unused_.insert({since, key}, {})) return false;
    hash_ -= hash_of(key, *chunk);
    chunk->unused_since = since;
    chunk->released_at_us = released_at_us;
    hash_ += hash_of(key, *chunk);
    return true;
}

void ChunkTable::move(const ChunkKey& key, std::vector<std::string> replicas) {
    Chunk* chunk = chunks_.edit(key);
    SANDSTORE_CHECK(chunk != nullptr, "chunk ", key.term, "-", key.number, " is not known");
    hash_ -= hash_of(key, *chunk);
    const uint64_t before = chunk->replica_list;
    chunk->replica_list = list_of(std::move(replicas));
    ++replica_lists_.edit(chunk->replica_list)->chunks;
    hash_ += hash_of(key, *chunk);
    leave_list(before);
}

// Its hash is out already.
void ChunkTable::erase(const ChunkKey& key) {
    const uint64_t id = chunks_.find(key)->replica_list;
    chunks_.erase(key);
    leave_list(id);
}

void ChunkTable::leave_list(uint64_t id) {
    ReplicaList* list = replica_lists_.edit(id);
    if (--list->chunks > 0) return;
    list_ids_.erase(list->nodes);
    replica_lists_.erase(id);
}

void ChunkTable::fill_place(const ChunkKey& key, const Chunk& chunk, pb::ChunkPlace* place) const {
    fill_chunk_id(key, place->mutable_id());
    place->set_allocated_at_us(chunk.allocated_at_us);
    for (const std::string& node : replicas_of(chunk)) place->add_replicas(node);
}

uint64_t ChunkTable::hash_of(const ChunkKey& key, const Chunk& chunk) const {
    StateHasher hasher(StateHasher::Kind::kChunk);
    hasher.add(key.term).add(key.number).add(chunk.references).add(chunk.length).add(chunk.allocated_at_us);
    hasher.add(chunk.replica_list);
    if (chunk.unused_since != 0) hasher.add(chunk.unused_since).add(chunk.released_at_us);
    for (const std::string& node : replicas_of(chunk)) hasher.add(node);
    return hasher.value();
}

uint64_t ChunkTable::hash_of(const Collected& collected) {
    return StateHasher(StateHasher::Kind::kCollected)
        .add(collected.allocated_at_us)
        .add(collected.key.term)
        .add(collected.key.number)
        .value();
}

uint64_t ChunkTable::walk_hash() const {
    uint64_t sum = 0;
    for (auto at = collected_.begin(); at.valid(); at.next()) sum += hash_of(at.key());
    for (auto at = chunks_.begin(); at.valid(); at.next()) sum += hash_of(at.key(), at.value());
    return sum;
}

}  // namespace sandstore
