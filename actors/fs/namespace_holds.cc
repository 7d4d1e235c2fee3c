// Holds: what keeps chunks from disappearing while somebody still reads them, though no file uses them any more.
#include "actors/fs/limits.h"
#include "actors/fs/namespace.h"
#include "actors/state/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

Outcome Namespace::hold_chunks(const pb::HoldChunks& request, const Occasion& when, pb::MutationResult* result) {
    uint64_t id = request.hold_id();
    if (id == 0) {
        if (holds_.size() >= kHoldsMax) return {pb::STATUS_EBUSY, "There are too many holds: release one first"};
        id = when.index;
        const bool added = holds_.insert(id, 0);
        SANDSTORE_CHECK(added, "a second hold at entry ", id);
    }
    uint64_t* ends_us = holds_.edit(id);
    if (ends_us == nullptr) return {pb::STATUS_ENOENT, "The hold has ended"};
    *ends_us = when.clock_us + request.lifetime_us();
    result->set_hold_id(id);
    return {};
}

Outcome Namespace::release_hold(const pb::ReleaseHold& request) {
    if (!holds_.erase(request.hold_id())) return {pb::STATUS_ENOENT, "The hold has ended"};
    return {};
}

void Namespace::expire_holds(uint64_t clock_us) {
    uint64_t ended[kHoldsMax];
    size_t count = 0;
    for (auto at = holds_.begin(); at.valid(); at.next()) {
        if (at.value() <= clock_us) ended[count++] = at.key();
    }
    for (size_t i = 0; i < count; ++i) holds_.erase(ended[i]);
}

// Without holds and leases it is what it was before there were any, so that all versions agree.
uint64_t Namespace::combine(uint64_t inodes_hash, uint64_t chunks_hash, uint64_t extents_hash) const {
    StateHasher hasher(StateHasher::Kind::kState);
    hasher.add(inodes_.next_id()).add(next_content_).add(chunks_.next_list());
    hasher.add(inodes_hash).add(chunks_hash).add(extents_hash);
    if (chunks_.commit_floor_us() != 0) hasher.add(chunks_.commit_floor_us());
    for (auto at = holds_.begin(); at.valid(); at.next()) {
        hasher.add(StateHasher(StateHasher::Kind::kHold).add(at.key()).add(at.value()).value());
    }
    if (const uint64_t leases = leases_hash(); leases != 0) hasher.add(leases);
    return hasher.value();
}

void Namespace::check_holds() const {
    SANDSTORE_CHECK(holds_.size() <= kHoldsMax, "holds=", holds_.size());
    for (auto at = chunks_.unused().begin(); at.valid(); at.next()) {
        const ChunkTable::Chunk* chunk = chunks_.find(at.key().key);
        SANDSTORE_CHECK(chunk != nullptr && chunk->references == 0 && chunk->unused_since == at.key().since, "chunk ",
                        at.key().key.term, "-", at.key().key.number);
    }
}

}  // namespace sandstore
