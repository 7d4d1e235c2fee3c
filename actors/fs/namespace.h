// The POSIX namespace: directories, files, their attributes and where their bytes are. A plain object without I/O,
// clock or randomness: the same operations in the same order give the same state, to the byte, on every replica.
//
// Operations are checked (actors/fs/validate.h) before they come here. Each either takes effect whole or leaves
// everything as it was. A file's chunks are released in small portions after it is gone: reclaim(). Copying a namespace
// costs nothing (cow_map.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "actors/fs/extent_table.h"
#include "actors/fs/inode.h"
#include "actors/fs/limits.h"
#include "actors/state/chunk_table.h"
#include "actors/state/cow_map.h"
#include "actors/state/outcome.h"
#include "messages/fs.pb.h"

namespace sandstore {

// Who asks for a change, and when.
struct Occasion {
    uint64_t time_us = 0;   // Wall clock of the leader at the proposal: what inodes record.
    uint64_t clock_us = 0;  // The cluster's clock: what ages are measured by.
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint64_t chunk_commit_window_us = 0;
    uint64_t index = 0;  // Of the entry in the log,
    uint64_t term = 0;   // and its term. 0: not known.
    uint64_t session = 0;
};

class Namespace {
 public:
    Namespace();  // With an empty root.

    // --- Changes ----------------------------------------------------------------------------------------------------
    Outcome make_directory(const pb::MakeDirectory& request, const Occasion& when, pb::MutationResult* result);
    Outcome create_file(const pb::CreateFile& request, const Occasion& when, pb::MutationResult* result);
    Outcome remove_file(const pb::RemoveFile& request, const Occasion& when);
    Outcome remove_directory(const pb::RemoveDirectory& request, const Occasion& when);
    Outcome rename(const pb::Rename& request, const Occasion& when, pb::MutationResult* result);
    Outcome set_attributes(const pb::SetAttributes& request, const Occasion& when, pb::MutationResult* result);
    Outcome commit_extents(const pb::CommitExtents& request, const Occasion& when, pb::MutationResult* result);

    // Chunks are on other nodes from now on: those that are still where the request says. Counts them.
    void move_chunks(const pb::MoveChunks& request, pb::MutationResult* result);
    // The bytes stay as they are.
    Outcome replace_extents(const pb::ReplaceExtents& request, const Occasion& when);

    // Chunks that no commit will name are collected, and from now on none can.
    Outcome abandon_chunks(const pb::AbandonChunks& request, const Occasion& when);

    // While there is a hold, no chunk that is in use now or later disappears (messages/fs.proto).
    Outcome hold_chunks(const pb::HoldChunks& request, const Occasion& when, pb::MutationResult* result);
    Outcome release_hold(const pb::ReleaseHold& request);
    void expire_holds(uint64_t clock_us);

    // What a client keeps while it reads or uploads a long file (messages/fs.proto).
    Outcome lease_file(const pb::LeaseFile& request, const Occasion& when, pb::MutationResult* result);
    Outcome end_lease(const pb::EndLease& request);
    Outcome publish_file(const pb::PublishFile& request, const Occasion& when, pb::MutationResult* result);
    // Ends some of the leases whose time is over. Those that are left count as ended all the same.
    void expire_leases(uint64_t clock_us);
    void end_leases_of(uint64_t session);

    // What is released from here on is released by this entry,
    void set_index(uint64_t index) { index_ = index; }
    // and at this time. The first one is when the namespace began, which its root remembers.
    void set_clock(uint64_t clock_us, uint64_t chunk_commit_window_us);
    // Releases at most this many extents of files that were removed or cut, and collects as many chunks that are kept
    // no longer.
    void reclaim(size_t extents_max);
    bool reclaiming() const { return !detached_.empty(); }
    // What was collected since begin_collecting(). Nothing is left here.
    void begin_collecting() { collected_.clear(); }
    void take_collected(std::vector<ChunkKey>* collected) {
        collected->clear();
        collected->swap(collected_);
    }
    // When reclaim() will have something to do, by the cluster's clock: 0: nothing is left; 1: it has now.
    uint64_t work_due_us() const;
    uint64_t began_us() const { return inodes_.at(kRootInode).birth_time_us; }
    uint64_t extents_moved() const { return extents_moved_; }  // Or chunks: counts what changes cost.

    // --- Questions --------------------------------------------------------------------------------------------------
    Outcome stat(const pb::Stat& query, pb::QueryResult* result) const;
    Outcome list_directory(const pb::ListDirectory& query, pb::QueryResult* result) const;
    Outcome read_extents(const pb::ReadExtents& query, pb::QueryResult* result) const;
    void stat_file_system(pb::QueryResult* result) const;
    void chunks_of_node(const pb::ChunksOfNode& query, pb::QueryResult* result) const;

    // --- The tables, to be read
    const InodeTable& inodes() const { return inodes_; }
    const ChunkTable& chunks() const { return chunks_; }
    const ExtentTable& extents() const { return extents_; }
    size_t hold_count() const { return holds_.size(); }
    size_t lease_count() const { return leases_.size(); }

    size_t inode_count() const { return inodes_.size(); }
    size_t chunk_count() const { return chunks_.size() - chunks_.unused().size(); }  // That files use.
    uint64_t hash() const;
    uint64_t walk_hash() const;     // The same, computed from scratch: for tests.
    void check_invariants() const;  // Walks everything: for tests and simulation.

    // Takes it apart: see CowMap::discard().
    bool discard(size_t* nodes) {
        return inodes_.discard(nodes) && chunks_.discard(nodes) && extents_.discard(nodes) && discard_detached(nodes) &&
               holds_.discard(nodes) && leases_.discard(nodes) && kept_.discard(nodes);
    }

 private:
    friend class FileStateWriter;  // Snapshots hold everything that is here.
    friend class FileStateRestorer;

    // Where a path leads. Its last part may be missing.
    struct Located {
        uint64_t parent = 0;    // Directory of the last part; 0: the path is just its starting inode.
        std::string_view name;  // The last part; into the request.
        uint64_t inode = 0;     // 0: not there.
        bool wants_directory = false;
        bool ends_in_dot = false;
    };
    // What a file holds: the part of its inode that extents are counted in.
    struct Content {
        uint64_t id = 0;  // 0: nothing.
        uint64_t extents = 0;
        uint64_t stored_bytes = 0;
        uint64_t size = 0;  // Of the file when this was taken from it.
    };

    // Extents that no file has any more, still counted in chunks_ and extents_hash_ until reclaim() has released them.
    struct Detached {
        uint64_t inode = 0;  // That had them.
        ExtentTable::Runs runs;
    };

    // Nothing of what the first version of snapshots did not have.
    bool plain() const {
        return holds_.empty() && chunks_.unused().empty() && chunks_.collected().empty() &&
               chunks_.commit_floor_us() == 0 && leases_.empty() && kept_.empty();
    }
    struct Lease {
        uint64_t session = 0;
        uint64_t ends_us = 0;  // By the cluster's clock.
        uint64_t inode = 0;
        uint64_t content = 0;  // That is read; 0: the inode is an upload.
    };

    // A content that no file has any more and that a lease keeps readable.
    struct Kept {
        uint64_t inode = 0;  // That had it.
        uint64_t extents = 0;
        uint64_t size = 0;  // Of the file when it lost it.
    };

    static Content content_of(const Inode& inode) {
        return {inode.content, inode.extents, inode.stored_bytes, inode.size};
    }
    static void store(const Content& content, InodeTable::Edit& edit);

    Outcome locate(const pb::At& at, Located* located) const;
    Outcome locate_existing(const pb::At& at, uint64_t* inode) const;  // Something that is there, of the wanted kind.
    Outcome locate_file(const pb::At& at, uint64_t* inode) const;      // A regular file.
    Outcome walk_to_parent(uint64_t start, const std::vector<std::string_view>& parts, uint64_t* parent) const;

    Outcome make_missing_directories(const pb::MakeDirectory& request, const Occasion& when, uint64_t* made);
    uint64_t add_child(uint64_t parent, std::string_view name, bool directory, uint32_t mode, const Occasion& when);
    void remove_child(uint64_t parent, std::string_view name, uint64_t child, const Occasion& when);
    Outcome check_rename(const Located& from, const Located& to, bool no_replace) const;
    bool is_inside(uint64_t directory, uint64_t ancestor) const;

    Outcome locate_to_write(const pb::CommitExtents& request, Located* place) const;
    using RequestedExtents = google::protobuf::RepeatedPtrField<pb::Extent>;
    Outcome check_chunks(const RequestedExtents& extents, const Occasion& when) const;
    void report_crowding(const Content& content, uint64_t offset, pb::MutationResult* result) const;
    void cut(uint64_t inode, uint64_t size, Content* content);
    void add_extent(uint64_t inode, uint64_t base, const pb::Extent& extent, Content* content);
    void account(uint64_t inode, ExtentTable::Changes changes, Content* content);
    void release(uint64_t inode, const FileExtent& extent);
    static uint64_t hash_of(uint64_t inode, const FileExtent& extent);
    static uint64_t hash_of_detached(uint64_t id, uint64_t inode);
    uint64_t combine(uint64_t inodes_hash, uint64_t chunks_hash, uint64_t extents_hash) const;
    bool discard_detached(size_t* nodes);
    void check_holds() const;
    uint64_t chunks_due_us() const;
    void keep(uint64_t inode, Content* content);
    Outcome make_upload(const Occasion& when, uint64_t* inode);
    const Lease* find_lease(uint64_t id, uint64_t clock_us) const;
    bool is_leased(uint64_t content) const;
    void end_lease(uint64_t id);
    uint64_t leases_hash() const;  // 0 without any.
    size_t check_leases() const;   // How many uploads there are.
    static uint64_t hash_of_kept(uint64_t content, const Kept& kept);
    Outcome read_content(const pb::ReadExtents& query, pb::QueryResult* result, uint64_t* content) const;
    void fill_attributes(uint64_t id, pb::Attributes* attributes) const;
    pb::ChunkVerdict verdict_of(const pb::ChunkStatus& candidate, std::string_view node_id) const;

    InodeTable inodes_;
    ChunkTable chunks_;
    ExtentTable extents_;
    CowMap<uint64_t, Detached> detached_;   // By a number like a content's.
    CowMap<uint64_t, uint64_t> holds_;      // The entry that made it -> the cluster's clock when it ends.
    CowMap<uint64_t, Lease> leases_;        // By the entry that made it.
    CowMap<uint64_t, Kept> kept_;           // By content.
    uint64_t no_lease_ends_before_us_ = 0;  // Saves looking at them all; follows from leases_.
    uint64_t index_ = 0;
    uint64_t clock_us_ = 0;
    uint64_t chunk_commit_window_us_ = 0;
    std::vector<ChunkKey> collected_;  // No part of the state.
    uint64_t next_content_ = 1;
    uint64_t file_bytes_ = 0;    // Sum of stored_bytes over all files.
    uint64_t extents_hash_ = 0;  // Of all extents, of detached_ and of kept_.
    uint64_t extents_moved_ = 0;
};

}  // namespace sandstore
