#include "actors/fs/chunk_table.h"

#include "actors/fs/state_hasher.h"
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

const ChunkTable::Chunk* ChunkTable::find(const ChunkKey& key) const {
    const auto found = chunks_.find(key);
    return found == chunks_.end() ? nullptr : &found->second;
}

bool ChunkTable::same_facts(const Chunk& chunk, const ChunkFacts& facts) const {
    return chunk.length == facts.length && chunk.allocated_at_us == facts.allocated_at_us &&
           chunk.replicas->first == facts.replicas;
}

void ChunkTable::insert(const ChunkKey& key, ChunkFacts facts) {
    const auto list = replica_lists_.try_emplace(std::move(facts.replicas), 0).first;
    ++list->second;
    const auto [at, inserted] = chunks_.insert({key, Chunk{0, facts.length, facts.allocated_at_us, list}});
    SANDSTORE_CHECK(inserted, "chunk ", key.term, "-", key.number, " is known already");
    hash_ += hash_of(key, at->second);
}

void ChunkTable::reference(const ChunkKey& key) {
    const auto found = chunks_.find(key);
    SANDSTORE_CHECK(found != chunks_.end(), "chunk ", key.term, "-", key.number, " is not known");
    hash_ -= hash_of(key, found->second);
    ++found->second.references;
    hash_ += hash_of(key, found->second);
}

void ChunkTable::release(const ChunkKey& key) {
    const auto found = chunks_.find(key);
    SANDSTORE_CHECK(found != chunks_.end() && found->second.references > 0, "chunk ", key.term, "-", key.number);
    hash_ -= hash_of(key, found->second);
    if (--found->second.references > 0) {
        hash_ += hash_of(key, found->second);
        return;
    }
    const auto list = found->second.replicas;
    chunks_.erase(found);
    if (--list->second == 0) replica_lists_.erase(list);
}

void ChunkTable::fill_place(const ChunkKey& key, const Chunk& chunk, pb::ChunkPlace* place) const {
    fill_chunk_id(key, place->mutable_id());
    place->set_allocated_at_us(chunk.allocated_at_us);
    for (const std::string& node : chunk.replicas->first) place->add_replicas(node);
}

uint64_t ChunkTable::hash_of(const ChunkKey& key, const Chunk& chunk) {
    StateHasher hasher(StateHasher::Kind::kChunk);
    hasher.add(key.term).add(key.number).add(chunk.references).add(chunk.length).add(chunk.allocated_at_us);
    for (const std::string& node : chunk.replicas->first) hasher.add(node);
    return hasher.value();
}

uint64_t ChunkTable::walk_hash() const {
    uint64_t sum = 0;
    for (const auto& [key, chunk] : chunks_) sum += hash_of(key, chunk);
    return sum;
}

}  // namespace sandstore
