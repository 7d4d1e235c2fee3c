// Leases: what a client that reads or uploads a long file keeps for that time. A content that is read stays as it is
// though its file is replaced or removed; a file that is uploaded has no name before it is complete.
#include <algorithm>

#include "actors/fs/limits.h"
#include "actors/fs/namespace.h"
#include "actors/state/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

// --- Taking and ending -----------------------------------------------------------------------------------------------

Outcome Namespace::lease_file(const pb::LeaseFile& request, const Occasion& when, pb::MutationResult* result) {
    const uint64_t ends_us = when.clock_us + kLeaseUs;
    if (request.lease_id() != 0) {
        if (find_lease(request.lease_id(), when.clock_us) == nullptr) {
            return {pb::STATUS_ENOENT, "The lease has ended: it was not prolonged in time"};
        }
        leases_.edit(request.lease_id())->ends_us = ends_us;
        result->set_lease_id(request.lease_id());
        return {};
    }
    Lease lease{when.session, ends_us, 0, 0};
    if (!request.upload()) {
        if (Outcome outcome = locate_file(request.at(), &lease.inode); !outcome.ok()) return outcome;
        lease.content = inodes_.at(lease.inode).content;
    }
    const bool holds_something = request.upload() || lease.content != 0;
    if (holds_something && leases_.size() >= kLeasesMax) {
        return {pb::STATUS_EBUSY, "There are too many uploads and reads of long files: try again later"};
    }
    if (request.upload()) {
        if (Outcome outcome = make_upload(when, &lease.inode); !outcome.ok()) return outcome;
    }
    if (holds_something) {
        const bool added = leases_.insert(when.index, lease);
        SANDSTORE_CHECK(added, "a second lease at entry ", when.index);
        no_lease_ends_before_us_ = std::min(no_lease_ends_before_us_, ends_us);
        result->set_lease_id(when.index);
    }
    result->set_content(lease.content);
    fill_attributes(lease.inode, result->mutable_attributes());
    return {};
}

Outcome Namespace::make_upload(const Occasion& when, uint64_t* id) {
    if (inodes_.size() >= kInodesMax) return pb::STATUS_ENOSPC;
    Inode inode;
    inode.links = 0;
    inode.mode = kFileModeDefault;
    inode.uid = when.uid;
    inode.gid = when.gid;
    inode.access_time_us = inode.modify_time_us = inode.change_time_us = inode.birth_time_us = when.time_us;
    *id = inodes_.add(inode);
    return {};
}

Outcome Namespace::end_lease(const pb::EndLease& request) {
    if (leases_.find(request.lease_id()) == nullptr) return {pb::STATUS_ENOENT, "The lease has ended"};
    end_lease(request.lease_id());
    return {};
}

// What nobody keeps any more goes the way of all that was removed.
void Namespace::end_lease(uint64_t id) {
    const Lease lease = *leases_.find(id);
    leases_.erase(id);
    if (lease.content == 0) {
        Content content = content_of(inodes_.remove(lease.inode));
        return cut(lease.inode, 0, &content);
    }
    const Kept* found = kept_.find(lease.content);
    if (found == nullptr || is_leased(lease.content)) return;
    const Kept kept = *found;
    kept_.erase(lease.content);
    extents_hash_ -= hash_of_kept(lease.content, kept);
    Content content{lease.content, kept.extents, 0, kept.size};
    const uint64_t file_bytes = file_bytes_;
    cut(kept.inode, 0, &content);
    file_bytes_ = file_bytes;  // No file has had it since keep().
}

// Instead of cutting it off.
void Namespace::keep(uint64_t inode, Content* content) {
    const Kept kept{inode, content->extents, content->size};
    const bool added = kept_.insert(content->id, kept);
    SANDSTORE_CHECK(added, "content ", content->id, " is kept already");
    extents_hash_ += hash_of_kept(content->id, kept);
    file_bytes_ -= content->stored_bytes;
    *content = Content();
}

void Namespace::expire_leases(uint64_t clock_us) {
    if (leases_.empty() || clock_us < no_lease_ends_before_us_) return;
    uint64_t ended[kLeasesEndedPerCommand];
    size_t count = 0;
    uint64_t next_us = UINT64_MAX;
    for (auto at = leases_.begin(); at.valid() && count < kLeasesEndedPerCommand; at.next()) {
        if (at.value().ends_us <= clock_us) {
            ended[count++] = at.key();
        } else {
            next_us = std::min(next_us, at.value().ends_us);
        }
    }
    // A full portion may not be all of them.
    no_lease_ends_before_us_ = count < kLeasesEndedPerCommand ? next_us : 0;
    for (size_t i = 0; i < count; ++i) end_lease(ended[i]);
}

void Namespace::end_leases_of(uint64_t session) {
    uint64_t found[kLeasesMax];
    size_t count = 0;
    for (auto at = leases_.begin(); at.valid(); at.next()) {
        if (at.value().session == session) found[count++] = at.key();
    }
    if (count == 0) return;
    for (size_t i = 0; i < count; ++i) leases_.edit(found[i])->ends_us = 0;
    no_lease_ends_before_us_ = 0;
    expire_leases(0);  // The commands that follow do the rest, if there are so many.
}

// --- Publishing ------------------------------------------------------------------------------------------------------

Outcome Namespace::publish_file(const pb::PublishFile& request, const Occasion& when, pb::MutationResult* result) {
    const Lease* lease = find_lease(request.lease_id(), when.clock_us);
    if (lease == nullptr || lease->content != 0) {
        return {pb::STATUS_ENOENT, "The upload has ended, since its lease was not prolonged in time: begin it again"};
    }
    const uint64_t id = lease->inode;
    Located place;
    if (Outcome outcome = locate(request.at(), &place); !outcome.ok()) return outcome;
    if (place.wants_directory) return pb::STATUS_EISDIR;
    Inode owner = inodes_.at(id);  // Whose owner and mode the file gets: as when the old one had been written anew.
    if (place.inode != 0) {
        owner = inodes_.at(place.inode);
        if (owner.is_directory) return pb::STATUS_EISDIR;
        if (place.parent == 0) return {pb::STATUS_EINVAL, "A file is published under a name in a directory"};
        remove_child(place.parent, place.name, place.inode, when);
    }
    {
        auto edit = inodes_.edit(place.parent);
        inodes_.add_entry(edit, place.name, id);
        edit->touch_content(when.time_us);
    }
    {
        auto edit = inodes_.edit(id);
        edit->is_named = true;
        edit->links = 1;
        edit->uid = owner.uid;
        edit->gid = owner.gid;
        edit->mode = request.has_mode() ? static_cast<uint16_t>(request.mode()) : owner.mode;
        edit->change_time_us = std::max(edit->change_time_us, owner.change_time_us);
        edit->modify_time_us = std::max(edit->modify_time_us, owner.modify_time_us);
        edit->touch(when.time_us);
    }
    leases_.erase(request.lease_id());
    fill_attributes(id, result->mutable_attributes());
    return {};
}

// --- Looking ---------------------------------------------------------------------------------------------------------

const Namespace::Lease* Namespace::find_lease(uint64_t id, uint64_t clock_us) const {
    const Lease* lease = leases_.find(id);
    return lease == nullptr || lease->ends_us <= clock_us ? nullptr : lease;
}

bool Namespace::is_leased(uint64_t content) const {
    for (auto at = leases_.begin(); at.valid(); at.next()) {
        if (at.value().content == content) return true;
    }
    return false;
}

uint64_t Namespace::hash_of_kept(uint64_t content, const Kept& kept) {
    return StateHasher(StateHasher::Kind::kKept).add(content).add(kept.inode).add(kept.extents).add(kept.size).value();
}

uint64_t Namespace::leases_hash() const {
    uint64_t sum = 0;
    for (auto at = leases_.begin(); at.valid(); at.next()) {
        const Lease& lease = at.value();
        StateHasher hasher(StateHasher::Kind::kLease);
        sum += hasher.add(at.key()).add(lease.session).add(lease.ends_us).add(lease.inode).add(lease.content).value();
    }
    return sum;
}

size_t Namespace::check_leases() const {
    SANDSTORE_CHECK(leases_.size() <= kLeasesMax, "leases=", leases_.size());
    size_t uploads = 0;
    for (auto at = leases_.begin(); at.valid(); at.next()) {
        const Lease& lease = at.value();
        SANDSTORE_CHECK(lease.ends_us >= no_lease_ends_before_us_, "lease ", at.key(), " ends unseen");
        if (lease.content != 0) continue;
        ++uploads;
        const Inode& inode = inodes_.at(lease.inode);
        SANDSTORE_CHECK(!inode.is_directory && inode.links == 0, "upload ", lease.inode);
    }
    for (auto at = kept_.begin(); at.valid(); at.next()) {
        SANDSTORE_CHECK(is_leased(at.key()), "content ", at.key(), " is kept by nobody");
    }
    return uploads;
}

}  // namespace sandstore
