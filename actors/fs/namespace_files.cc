// What concerns the content of files: attributes, size, extents and the chunks behind them.
#include <algorithm>
#include <map>

#include "actors/fs/extent_digest.h"
#include "actors/fs/limits.h"
#include "actors/fs/namespace.h"
#include "actors/state/state_hasher.h"
#include "runtime/check.h"
#include "runtime/planted.h"

namespace sandstore {

// --- Extents and what they refer to ----------------------------------------------------------------------------------

uint64_t Namespace::hash_of(uint64_t inode, const FileExtent& extent) {
    return StateHasher(StateHasher::Kind::kExtent)
        .add(inode)
        .add(extent.offset)
        .add(extent.length)
        .add(extent.chunk.term)
        .add(extent.chunk.number)
        .add(extent.chunk_offset)
        .value();
}

uint64_t Namespace::hash_of_detached(uint64_t id, uint64_t inode) {
    return StateHasher(StateHasher::Kind::kDetached).add(id).add(inode).value();
}

void Namespace::store(const Content& content, InodeTable::Edit& edit) {
    edit->content = content.extents == 0 ? 0 : content.id;
    edit->extents = static_cast<uint32_t>(content.extents);
    edit->stored_bytes = content.stored_bytes;
}

void Namespace::release(uint64_t inode, const FileExtent& extent) {
    chunks_.release(extent.chunk, index_, clock_us_);
    extents_hash_ -= hash_of(inode, extent);
}

void Namespace::account(uint64_t inode, ExtentTable::Changes changes, Content* content) {
    file_bytes_ -= content->stored_bytes;
    extents_moved_ += changes.added.size() + changes.removed.size();
    for (const FileExtent& extent : changes.added) {
        chunks_.reference(extent.chunk);
        extents_hash_ += hash_of(inode, extent);
        ++content->extents;
        content->stored_bytes += extent.length;
    }
    for (const FileExtent& extent : changes.removed) {
        release(inode, extent);
        --content->extents;
        content->stored_bytes -= extent.length;
    }
    content->extents -= changes.cut_off.size();
    content->stored_bytes -= changes.cut_off.weight();
    file_bytes_ += content->stored_bytes;
    if (changes.cut_off.empty()) return;
    const uint64_t id = next_content_++;
    extents_hash_ += hash_of_detached(id, inode);
    detached_.insert(id, {inode, std::move(changes.cut_off)});
}

void Namespace::reclaim(size_t extents_max) {
    // A chunk released before the oldest hold was made is not in what that hold is for.
    if (!chunks_.unused().empty()) {
        extents_moved_ +=
            chunks_.collect_unused(holds_.empty() ? index_ : holds_.begin().key(), clock_us_, extents_max, &collected_);
    }
    const uint64_t kept_us = std::min(clock_us_, chunk_commit_window_us_);
    chunks_.forget_collected(clock_us_ - kept_us, kCollectedForgottenPerCommand);
    for (size_t i = 0; i < extents_max && !detached_.empty(); ++i) {
        ++extents_moved_;
        const uint64_t id = detached_.begin().key();
        Detached* detached = detached_.edit(id);
        const uint64_t inode = detached->inode;
        const FileExtent extent = ExtentTable::take_first(&detached->runs);
        const bool last = detached->runs.empty();
        if (!planted("reclaim-forgets-a-chunk") || !last) release(inode, extent);
        if (!last) continue;
        detached_.erase(id);
        extents_hash_ -= hash_of_detached(id, inode);
    }
}

// The maps in a map are large themselves.
bool Namespace::discard_detached(size_t* nodes) {
    while (!detached_.empty()) {
        const uint64_t id = detached_.begin().key();
        if (!detached_.edit(id)->runs.discard(nodes)) return false;
        detached_.erase(id);
    }
    return true;
}

uint64_t Namespace::work_due_us() const {
    if (!detached_.empty()) return 1;
    const uint64_t chunks_us = chunks_due_us();
    if (leases_.empty()) return chunks_us;
    const uint64_t lease_us = std::max<uint64_t>(1, no_lease_ends_before_us_);
    return chunks_us == 0 ? lease_us : std::min(chunks_us, lease_us);
}

// When a chunk will be collected; 0: none is to be.
uint64_t Namespace::chunks_due_us() const {
    if (chunks_.unused().empty()) return 0;
    const ChunkTable::Unused& first = chunks_.unused().begin().key();
    const bool held = !holds_.empty() && holds_.begin().key() < first.since;
    if (!held) return chunks_.find(first.key)->released_at_us + kReleasedKeptUs;
    uint64_t ends_us = UINT64_MAX;
    for (auto at = holds_.begin(); at.valid(); at.next()) ends_us = std::min(ends_us, at.value());
    return ends_us;
}

// Takes away what is beyond `size`.
void Namespace::cut(uint64_t inode, uint64_t size, Content* content) {
    if (content->extents == 0) return;
    if (size == 0 && is_leased(content->id)) return keep(inode, content);
    ExtentTable::Changes changes;
    extents_.cut(content->id, size, &changes);
    account(inode, std::move(changes), content);
}

void Namespace::add_extent(uint64_t inode, uint64_t base, const pb::Extent& extent, Content* content) {
    const ChunkKey key = key_of(extent.chunk().id());
    if (chunks_.find(key) == nullptr) chunks_.insert(key, facts_of(extent));
    if (content->extents == 0) content->id = next_content_++;
    ExtentTable::Changes changes;
    extents_.overwrite(content->id, {base + extent.offset(), extent.length(), key, extent.chunk_offset()}, &changes);
    account(inode, std::move(changes), content);
}

// --- Changing files --------------------------------------------------------------------------------------------------

Outcome Namespace::set_attributes(const pb::SetAttributes& request, const Occasion& when, pb::MutationResult* result) {
    uint64_t inode = 0;
    if (Outcome outcome = locate_existing(request.at(), &inode); !outcome.ok()) return outcome;
    if (request.has_size() && inodes_.at(inode).is_directory) return pb::STATUS_EISDIR;
    Content content;
    if (request.has_size()) {
        content = content_of(inodes_.at(inode));
        cut(inode, request.size(), &content);
    }
    {
        auto edit = inodes_.edit(inode);
        edit->touch(when.time_us);
        if (request.has_size()) {
            store(content, edit);
            edit->size = request.size();
            edit->touch_content(when.time_us);
        }
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
Outcome Namespace::check_chunks(const RequestedExtents& extents, const Occasion& when) const {
    constexpr std::string_view kDifferent = "A chunk of this id has another time or another length";
    std::map<ChunkKey, ChunkFacts> fresh;
    for (const pb::Extent& extent : extents) {
        const ChunkKey key = key_of(extent.chunk().id());
        ChunkFacts facts = facts_of(extent);
        if (const ChunkTable::Chunk* chunk = chunks_.find(key); chunk != nullptr) {
            if (!ChunkTable::same_facts(*chunk, facts)) return {pb::STATUS_EINVAL, kDifferent};
            continue;
        }
        // A term has one leader, and that leader counts: no id of a later term than this has been given out.
        if (when.term != 0 && key.term > when.term) return {pb::STATUS_EINVAL, "No such chunk was ever allocated"};
        const uint64_t allocated_us = facts.allocated_at_us;
        if (chunks_.was_collected(key, allocated_us) && !planted("collected-chunk-committed")) {
            return {pb::STATUS_ESTALE, "The chunk is collected already: write it again to a new place"};
        }
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

Outcome Namespace::abandon_chunks(const pb::AbandonChunks& request, const Occasion& when) {
    for (const pb::AbandonChunks::Chunk& chunk : request.chunks()) {
        const ChunkKey key = key_of(chunk.id());
        if (when.term != 0 && key.term > when.term) return {pb::STATUS_EINVAL, "No such chunk was ever allocated"};
    }
    for (const pb::AbandonChunks::Chunk& chunk : request.chunks()) {
        const ChunkKey key = key_of(chunk.id());
        if (chunks_.find(key) != nullptr && !planted("abandoned-though-in-use")) continue;
        // What is as old as this, or as far in the future, is not remembered: its time alone keeps it out of use.
        const uint64_t now_us = when.clock_us;
        const uint64_t allocated_us = chunk.allocated_at_us();
        const uint64_t apart_us = std::max(now_us, allocated_us) - std::min(now_us, allocated_us);
        if (apart_us > when.chunk_commit_window_us) continue;
        if (chunks_.abandon(key, allocated_us)) collected_.push_back(key);
    }
    return {};
}

// With `create` the file may be missing: then it can be made in the place found.
Outcome Namespace::locate_to_write(const pb::CommitExtents& request, Located* place) const {
    if (!request.create()) return locate_file(request.at(), &place->inode);
    if (Outcome outcome = locate(request.at(), place); !outcome.ok()) return outcome;
    if (place->wants_directory) return pb::STATUS_EISDIR;
    if (place->inode == 0) return inodes_.size() < kInodesMax ? Outcome() : Outcome(pb::STATUS_ENOSPC);
    return inodes_.at(place->inode).is_directory ? Outcome(pb::STATUS_EISDIR) : Outcome();
}

Outcome Namespace::commit_extents(const pb::CommitExtents& request, const Occasion& when, pb::MutationResult* result) {
    Located place;
    if (Outcome outcome = locate_to_write(request, &place); !outcome.ok()) return outcome;
    const Inode inode = place.inode == 0 ? Inode() : inodes_.at(place.inode);
    const uint64_t old_size = request.truncate() ? 0 : inode.size;
    const uint64_t base = request.append() ? old_size : request.offset();
    uint64_t new_size = old_size;
    for (const pb::Extent& extent : request.extents()) {
        if (extent.offset() + extent.length() > kFileBytesMax - base) return pb::STATUS_EFBIG;
        new_size = std::max(new_size, base + extent.offset() + extent.length());
    }
    // An extent put into another one makes two more.
    const size_t old_extents = request.truncate() ? 0 : inode.extents;
    if (old_extents + 2 * static_cast<size_t>(request.extents_size()) > kFileExtentsMax) {
        return {pb::STATUS_EFBIG, "The file is in too many pieces: write it anew"};
    }
    if (Outcome outcome = check_chunks(request.extents(), when); !outcome.ok()) return outcome;

    uint64_t id = place.inode;
    if (id == 0) id = add_child(place.parent, place.name, false, kFileModeDefault, when);
    Content content = content_of(inode);
    if (request.truncate()) cut(id, 0, &content);
    for (const pb::Extent& extent : request.extents()) add_extent(id, base, extent, &content);
    if (place.inode == 0 || request.truncate() || request.extents_size() > 0) {
        auto edit = inodes_.edit(id);
        store(content, edit);
        edit->size = new_size;
        edit->touch_content(when.time_us);
        if (request.has_mode()) edit->mode = static_cast<uint16_t>(request.mode());
    }
    result->set_offset(base);
    fill_attributes(id, result->mutable_attributes());
    if (request.extents_size() > 0) {
        const pb::Extent& last = *request.extents().rbegin();
        report_crowding(content, base + last.offset() + last.length() - 1, result);
    }
    return {};
}

// --- Putting extents together ----------------------------------------------------------------------------------------

// Of the stripe that a byte is in. A write adds an extent or two: one of them is told in so many.
void Namespace::report_crowding(const Content& content, uint64_t offset, pb::MutationResult* result) const {
    const uint64_t stripe = offset / kStripeBytes * kStripeBytes;
    size_t extents = 0;
    extents_.for_each_in(content.id, stripe, kStripeBytes,
                         [&](const FileExtent&) { return ++extents < kReplacedExtentsMax; });
    if (extents < kCrowdedExtents || extents % kCrowdedReminder > 1) return;
    result->mutable_crowded()->set_offset(stripe);
    result->mutable_crowded()->set_length(kStripeBytes);
}

Outcome Namespace::replace_extents(const pb::ReplaceExtents& request, const Occasion& when) {
    uint64_t id = 0;
    if (Outcome outcome = locate_file(request.at(), &id); !outcome.ok()) return outcome;
    Content content = content_of(inodes_.at(id));
    const pb::Extent& extent = request.extent();
    ExtentDigest digest;
    size_t extents = 0;
    extents_.for_each_in(content.id, extent.offset(), extent.length(), [&](const FileExtent& old) {
        digest.add(old);
        return ++extents <= kReplacedExtentsMax;
    });
    const bool within = extent.offset() + extent.length() <= inodes_.at(id).size;
    const bool same = digest.value() == request.digest();
    if (!within || extents == 0 || extents > kReplacedExtentsMax || !same) {
        return {pb::STATUS_ESTALE, "The extents have changed: read them again"};
    }
    RequestedExtents replacement;
    *replacement.Add() = extent;
    if (Outcome outcome = check_chunks(replacement, when); !outcome.ok()) return outcome;
    add_extent(id, 0, extent, &content);
    auto edit = inodes_.edit(id);
    store(content, edit);
    return {};
}

void Namespace::move_chunks(const pb::MoveChunks& request, pb::MutationResult* result) {
    uint32_t moved = 0;
    for (const pb::MoveChunks::Move& move : request.moves()) {
        const ChunkKey key = key_of(move.id());
        const ChunkTable::Chunk* chunk = chunks_.find(key);
        if (chunk == nullptr || !std::ranges::equal(chunks_.replicas_of(*chunk), move.from())) continue;
        chunks_.move(key, {move.to().begin(), move.to().end()});
        ++moved;
    }
    result->set_moved(moved);
}

// --- The whole -------------------------------------------------------------------------------------------------------

uint64_t Namespace::hash() const {
    return combine(inodes_.hash(), chunks_.hash(), extents_hash_);
}

uint64_t Namespace::walk_hash() const {
    std::map<uint64_t, uint64_t> inode_of;  // By content.
    uint64_t extents_hash = 0;
    for (auto at = inodes_.inodes().begin(); at.valid(); at.next()) {
        if (!at.value().is_directory && at.value().content != 0) inode_of[at.value().content] = at.key();
    }
    for (auto at = detached_.begin(); at.valid(); at.next()) {
        const uint64_t inode = at.value().inode;
        extents_hash += hash_of_detached(at.key(), inode);
        for (auto run = at.value().runs.begin(); run.valid(); run.next()) {
            extents_hash += hash_of(inode, ExtentTable::extent_of(run));
        }
    }
    for (auto at = kept_.begin(); at.valid(); at.next()) {
        inode_of[at.key()] = at.value().inode;
        extents_hash += hash_of_kept(at.key(), at.value());
    }
    for (auto at = extents_.runs().begin(); at.valid(); at.next()) {
        extents_hash += hash_of(inode_of[at.key().content], ExtentTable::extent_of(at));
    }
    return combine(inodes_.walk_hash(), chunks_.walk_hash(), extents_hash);
}

void Namespace::check_invariants() const {
    std::map<ChunkKey, uint64_t> references;
    std::map<uint64_t, uint64_t> names;
    uint64_t file_bytes = 0;
    uint64_t extents = 0;
    const auto count = [&](const FileExtent& extent) {
        ++references[extent.chunk];
        ++extents;
        file_bytes += extent.length;
        return true;
    };
    for (auto at = inodes_.inodes().begin(); at.valid(); at.next()) {
        const Inode& inode = at.value();
        const uint64_t id = at.key();
        if (!inode.is_directory) {
            if (inode.content == 0) continue;
            const uint64_t extents_before = extents;
            const uint64_t bytes_before = file_bytes;
            extents_.for_each_in(inode.content, 0, UINT64_MAX, count);
            SANDSTORE_CHECK(
                inode.content < next_content_ && inode.extents > 0 && extents - extents_before == inode.extents &&
                    file_bytes - bytes_before == inode.stored_bytes && extents_.end(inode.content) <= inode.size,
                "inode ", id);
            continue;
        }
        uint64_t subdirectories = 0;
        uint64_t entries = 0;
        inodes_.for_each_entry(id, "", [&](const std::string&, uint64_t child) {
            const Inode& child_inode = inodes_.at(child);
            ++names[child];
            ++entries;
            if (!child_inode.is_directory) return true;
            ++subdirectories;
            SANDSTORE_CHECK(child_inode.parent == id, "inode ", child, " has another parent than ", id);
            return true;
        });
        SANDSTORE_CHECK(inode.links == 2 + subdirectories && inode.entries == entries, "inode ", id,
                        " links=", inode.links);
    }
    for (auto at = kept_.begin(); at.valid(); at.next()) {
        const uint64_t extents_before = extents;
        const uint64_t bytes_before = file_bytes;
        extents_.for_each_in(at.key(), 0, UINT64_MAX, count);
        file_bytes = bytes_before;  // In no file.
        SANDSTORE_CHECK(at.key() < next_content_ && extents - extents_before == at.value().extents, "kept ", at.key());
    }
    SANDSTORE_CHECK(extents == extents_.size(), "extents=", extents_.size(), " in use=", extents);
    SANDSTORE_CHECK(file_bytes == file_bytes_, "file_bytes=", file_bytes_, " walked=", file_bytes);
    for (auto at = detached_.begin(); at.valid(); at.next()) {
        SANDSTORE_CHECK(at.key() < next_content_ && !at.value().runs.empty(), "detached ", at.key());
        for (auto run = at.value().runs.begin(); run.valid(); run.next()) count(ExtentTable::extent_of(run));
    }
    size_t unnamed = 0;
    for (auto at = inodes_.inodes().begin(); at.valid(); at.next()) {
        const uint64_t id = at.key();
        const bool upload = !at.value().is_directory && at.value().links == 0;
        const bool named = id != kRootInode && !upload;
        unnamed += upload;
        SANDSTORE_CHECK(names[id] == (named ? 1u : 0u) && at.value().is_named == named, "inode ", id, " has ",
                        names[id], " names");
    }
    const size_t known = references.size() + chunks_.unused().size();
    SANDSTORE_CHECK(known == chunks_.size(), "chunks=", chunks_.size(), " used or held=", known);
    check_holds();
    const size_t uploads = check_leases();
    SANDSTORE_CHECK(uploads == unnamed, "uploads=", uploads, " files without a name=", unnamed);
    for (auto at = chunks_.chunks().begin(); at.valid(); at.next()) {
        SANDSTORE_CHECK(references[at.key()] == at.value().references, "chunk ", at.key().term, "-", at.key().number);
    }
    SANDSTORE_CHECK(hash() == walk_hash(), "the running hash is wrong");
}

}  // namespace sandstore
