// What concerns the content of files: attributes, size, extents and the chunks behind them.
#include <algorithm>
#include <map>

#include "actors/fs/limits.h"
#include "actors/fs/namespace.h"
#include "actors/fs/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

namespace {

uint64_t hash_of(uint64_t inode, const FileExtent& extent) {
    return StateHasher(StateHasher::Kind::kExtent)
        .add(inode)
        .add(extent.offset)
        .add(extent.length)
        .add(extent.chunk.term)
        .add(extent.chunk.number)
        .add(extent.chunk_offset)
        .value();
}

}  // namespace

// --- Extents and what they refer to ----------------------------------------------------------------------------------

void Namespace::account(uint64_t inode, const ExtentChanges& changes) {
    for (const FileExtent& extent : changes.added) {
        chunks_.reference(extent.chunk);
        extents_hash_ += hash_of(inode, extent);
    }
    for (const FileExtent& extent : changes.removed) {
        chunks_.release(extent.chunk);
        extents_hash_ -= hash_of(inode, extent);
    }
}

void Namespace::detach(uint64_t inode, ExtentMap extents) {
    if (extents.empty()) return;
    file_bytes_ -= extents.covered_bytes();
    detached_.push_back({inode, std::move(extents)});
}

void Namespace::reclaim(size_t extents_max) {
    for (size_t i = 0; i < extents_max && !detached_.empty(); ++i) {
        Detached& oldest = detached_.front();
        const FileExtent extent = oldest.extents.take_first();
        chunks_.release(extent.chunk);
        extents_hash_ -= hash_of(oldest.inode, extent);
        if (oldest.extents.empty()) detached_.pop_front();
    }
}

void Namespace::resize(uint64_t inode, uint64_t size) {
    if (inodes_.at(inode).extents) {
        ExtentChanges changes;
        ExtentMap tail = inodes_.extents_of(inode).cut(size, &changes);
        account(inode, changes);
        detach(inode, std::move(tail));
        inodes_.drop_empty_extents(inode);
    }
    inodes_.edit(inode)->size = size;
}

void Namespace::add_extent(uint64_t inode, uint64_t base, const pb::Extent& extent) {
    const ChunkKey key = key_of(extent.chunk().id());
    if (chunks_.find(key) == nullptr) chunks_.insert(key, facts_of(extent));
    ExtentMap& extents = inodes_.extents_of(inode);
    const uint64_t before = extents.covered_bytes();
    ExtentChanges changes;
    extents.overwrite({base + extent.offset(), extent.length(), key, extent.chunk_offset()}, &changes);
    account(inode, changes);
    file_bytes_ += extents.covered_bytes() - before;
}

// --- Changing files --------------------------------------------------------------------------------------------------

Outcome Namespace::set_attributes(const pb::SetAttributes& request, const Occasion& when, pb::MutationResult* result) {
    uint64_t inode = 0;
    if (Outcome outcome = locate_existing(request.at(), &inode); !outcome.ok()) return outcome;
    if (request.has_size() && inodes_.at(inode).is_directory()) return pb::STATUS_EISDIR;
    if (request.has_size()) resize(inode, request.size());
    {
        auto edit = inodes_.edit(inode);
        edit->change_time_us = when.time_us;
        if (request.has_size()) edit->modify_time_us = when.time_us;
        if (request.has_mode()) edit->mode = static_cast<uint16_t>(request.mode());
        if (request.has_uid()) edit->uid = request.uid();
        if (request.has_gid()) edit->gid = request.gid();
        if (request.has_access_time_us()) edit->access_time_us = request.access_time_us();
        if (request.has_modify_time_us()) edit->modify_time_us = request.modify_time_us();
    }
    fill_attributes(inode, result->mutable_attributes());
    return {};
}

// A chunk in use is what it is; a new one must be young, or garbage collection may have removed it already.
Outcome Namespace::check_chunks(const pb::CommitExtents& request, const Occasion& when) const {
    constexpr std::string_view kDifferent = "A chunk of this id has other replicas or another length";
    std::map<ChunkKey, ChunkFacts> fresh;
    for (const pb::Extent& extent : request.extents()) {
        const ChunkKey key = key_of(extent.chunk().id());
        ChunkFacts facts = facts_of(extent);
        if (const ChunkTable::Chunk* chunk = chunks_.find(key); chunk != nullptr) {
            if (!chunks_.same_facts(*chunk, facts)) return {pb::STATUS_EINVAL, kDifferent};
            continue;
        }
        const uint64_t allocated_us = facts.allocated_at_us;
        const uint64_t window_us = when.chunk_commit_window_us;
        if (when.clock_us > allocated_us && when.clock_us - allocated_us > window_us) {
            return {pb::STATUS_ESTALE, "The chunk was placed too long ago: write it again to a new place"};
        }
        if (allocated_us > when.clock_us && allocated_us - when.clock_us > window_us) {
            return {pb::STATUS_ESTALE, "The chunk's time is in the future: write it again to a new place"};
        }
        const auto [at, added] = fresh.try_emplace(key, facts);
        const bool same = added || (at->second.length == facts.length && at->second.replicas == facts.replicas &&
                                    at->second.allocated_at_us == facts.allocated_at_us);
        if (!same) return {pb::STATUS_EINVAL, kDifferent};
    }
    return {};
}

Outcome Namespace::commit_extents(const pb::CommitExtents& request, const Occasion& when, pb::MutationResult* result) {
    uint64_t id = 0;
    if (Outcome outcome = locate_file(request.at(), &id); !outcome.ok()) return outcome;
    const Inode& inode = inodes_.at(id);
    const uint64_t old_size = request.truncate() ? 0 : inode.size;
    const uint64_t base = request.append() ? old_size : request.offset();
    uint64_t new_size = old_size;
    for (const pb::Extent& extent : request.extents()) {
        if (extent.offset() + extent.length() > kFileBytesMax - base) return pb::STATUS_EFBIG;
        new_size = std::max(new_size, base + extent.offset() + extent.length());
    }
    // An extent put into another one makes two more.
    const size_t old_extents = request.truncate() || !inode.extents ? 0 : inode.extents->count();
    if (old_extents + 2 * static_cast<size_t>(request.extents_size()) > kFileExtentsMax) {
        return {pb::STATUS_EFBIG, "The file is in too many pieces: write it anew"};
    }
    if (Outcome outcome = check_chunks(request, when); !outcome.ok()) return outcome;

    if (request.truncate()) resize(id, 0);
    for (const pb::Extent& extent : request.extents()) add_extent(id, base, extent);
    if (request.truncate() || request.extents_size() > 0) {
        auto edit = inodes_.edit(id);
        edit->size = new_size;
        edit->modify_time_us = edit->change_time_us = when.time_us;
    }
    result->set_offset(base);
    fill_attributes(id, result->mutable_attributes());
    return {};
}

// --- The whole -------------------------------------------------------------------------------------------------------

uint64_t Namespace::hash() const {
    return StateHasher(StateHasher::Kind::kState)
        .add(inodes_.next_id())
        .add(inodes_.hash())
        .add(chunks_.hash())
        .add(extents_hash_)
        .value();
}

uint64_t Namespace::walk_hash() const {
    uint64_t extents_hash = 0;
    for (const auto& [id, inode] : inodes_.inodes()) {
        if (!inode.extents) continue;
        inode.extents->for_each([&, id = id](const FileExtent& extent) { extents_hash += hash_of(id, extent); });
    }
    for (const Detached& detached : detached_) {
        detached.extents.for_each([&](const FileExtent& extent) { extents_hash += hash_of(detached.inode, extent); });
    }
    return StateHasher(StateHasher::Kind::kState)
        .add(inodes_.next_id())
        .add(inodes_.walk_hash())
        .add(chunks_.walk_hash())
        .add(extents_hash)
        .value();
}

void Namespace::check_invariants() const {
    std::map<ChunkKey, uint64_t> references;
    std::map<uint64_t, uint64_t> names;
    uint64_t file_bytes = 0;
    const auto count = [&](const FileExtent& extent) { ++references[extent.chunk]; };
    for (const auto& [id, inode] : inodes_.inodes()) {
        file_bytes += inode.stored_bytes();
        if (inode.extents) {
            SANDSTORE_CHECK(!inode.extents->empty() && inode.extents->end() <= inode.size, "inode ", id);
            inode.extents->for_each(count);
        }
        if (!inode.is_directory()) continue;
        uint64_t subdirectories = 0;
        for (const auto& [name, child] : inode.directory->entries) {
            const Inode& child_inode = inodes_.at(child);
            ++names[child];
            if (!child_inode.is_directory()) continue;
            ++subdirectories;
            SANDSTORE_CHECK(child_inode.directory->parent == id, "inode ", child, " has another parent than ", id);
        }
        SANDSTORE_CHECK(inode.links == 2 + subdirectories, "inode ", id, " links=", inode.links);
    }
    for (const Detached& detached : detached_) detached.extents.for_each(count);
    for (const auto& [id, inode] : inodes_.inodes()) {
        SANDSTORE_CHECK(names[id] == (id == kRootInode ? 0u : 1u), "inode ", id, " has ", names[id], " names");
    }
    SANDSTORE_CHECK(file_bytes == file_bytes_, "file_bytes=", file_bytes_, " walked=", file_bytes);
    SANDSTORE_CHECK(references.size() == chunks_.size(), "chunks=", chunks_.size(), " used=", references.size());
    for (const auto& [key, chunk] : chunks_.chunks()) {
        SANDSTORE_CHECK(references[key] == chunk.references, "chunk ", key.term, "-", key.number);
    }
    SANDSTORE_CHECK(hash() == walk_hash(), "the running hash is wrong");
}

}  // namespace sandstore
