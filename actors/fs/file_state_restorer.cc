#include "actors/fs/file_state_restorer.h"

#include "actors/fs/limits.h"
#include "runtime/check.h"
#include "runtime/names.h"
#include "runtime/planted.h"

namespace sandstore {

namespace {

constexpr size_t kResultBytesMax = size_t{1} << 20;

}  // namespace

FileStateRestorer::FileStateRestorer(const pb::StartStateMachine& settings) {
    state_.configure(settings);
    // The root, too, comes from the snapshot.
    state_.namespace_.inodes_ = InodeTable();
}

std::string FileStateRestorer::check_whole(uint64_t index) {
    const Namespace& files = state_.namespace_;
    std::string problem;
    if (!has_trailer_) {
        problem = "It ends too early";
    } else if (state_.applied_index_ != index) {
        problem = str_cat("It holds the state after entry ", state_.applied_index_, ", not after entry ", index);
    } else if (chunks_unused_ > 0 || lists_unused_ > 0) {
        problem = "A chunk or a list of replicas is not used by anything";
    } else if (files.inodes_.entries().size() + 1 + uploads_ != files.inodes_.size()) {
        problem = "An inode has no name";
    } else if (subdirectories_ != subdirectories_expected_) {
        problem = "A directory has another number of subdirectories than its links say";
    } else if (state_.hash() != written_hash_) {
        problem = "The state's hash is not the one that was written";
    }
    if (planted("sessions-left-out-of-snapshot")) {
        state_.sessions_ = Sessions();
        state_.sessions_.configure(state_.session_timeout_us_, state_.sessions_max_);
    }
    return problem;
}

// --- The order of records --------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::begin_record(StateRecord kind) {
    if (kind < StateRecord::kHeader || kind > StateRecord::kCollectedChunk) return "A record is of no known kind";
    if (kind > StateRecord::kTrailer && version_ != kStateFormatVersionWithHolds)
        return "A record is of a later version";
    if (has_header_ == (kind == StateRecord::kHeader)) return "The header is not exactly the first record";
    if (has_trailer_) return "Something follows the end";
    if ((extents_left_ > 0) != (kind == StateRecord::kExtent)) return "There are more or fewer extents than announced";
    if ((results_left_ > 0) != (kind == StateRecord::kResult)) return "There are more or fewer results than announced";
    if (kind == StateRecord::kExtent || kind == StateRecord::kResult) return {};
    if (order_of(kind) < order_of(last_)) return "Records are out of order";
    last_ = kind;
    return kind == StateRecord::kEntry ? Problem() : end_directory();
}

StateRestorer::Problem FileStateRestorer::read_record(uint8_t kind, StateDecoder& in) {
    const StateRecord record = static_cast<StateRecord>(kind);
    const Problem problem = begin_record(record);
    return problem.empty() ? read_fields(record, in) : problem;
}

StateRestorer::Problem FileStateRestorer::read_fields(StateRecord kind, StateDecoder& in) {
    switch (kind) {
        case StateRecord::kHeader:
            return read_header(in);
        case StateRecord::kReplicaList:
            return read_replica_list(in);
        case StateRecord::kChunk:
            return read_chunk(in);
        case StateRecord::kInode:
            return read_inode(in);
        case StateRecord::kExtent:
            return read_extent(in);
        case StateRecord::kEntry:
            return read_entry(in);
        case StateRecord::kDetached:
            return read_detached(in);
        case StateRecord::kSession:
            return read_session(in);
        case StateRecord::kResult:
            return read_result(in);
        case StateRecord::kHold:
            return read_hold(in);
        case StateRecord::kUnusedChunk:
            return read_unused_chunk(in);
        case StateRecord::kLease:
            return read_lease(in);
        case StateRecord::kKept:
            return read_kept(in);
        case StateRecord::kCollectedChunk:
            return read_collected_chunk(in);
        case StateRecord::kTrailer:
            return read_trailer(in);
    }
    return "A record is of no known kind";
}

StateRestorer::Problem FileStateRestorer::read_header(StateDecoder& in) {
    has_header_ = true;
    version_ = in.number();
    if (version_ != kStateFormatVersion && version_ != kStateFormatVersionWithHolds) {
        return "It was written by a newer version of this program";
    }
    state_.applied_index_ = in.number();
    state_.clock_us_ = in.number();
    const bool same_settings = in.number() == state_.chunk_commit_window_us_ &&
                               in.number() == state_.session_timeout_us_ && in.number() == state_.sessions_max_;
    if (in.damaged()) return "A record is cut short";
    if (!same_settings) return "It was written with other settings of the state machine";
    state_.namespace_.inodes_.restore_next_id(in.number());
    state_.namespace_.next_content_ = in.number();
    state_.namespace_.chunks_.restore_next_list(in.number());
    if (version_ != kStateFormatVersion) state_.namespace_.chunks_.restore_commit_floor(in.number());
    state_.namespace_.clock_us_ = state_.clock_us_;
    state_.namespace_.chunk_commit_window_us_ = state_.chunk_commit_window_us_;
    return {};
}

// --- Chunks ----------------------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::read_replica_list(StateDecoder& in) {
    const uint64_t id = in.number();
    const uint64_t count = in.number();
    if (count > kReplicasMax) return "A list of replicas is too long";
    std::vector<std::string> nodes;
    for (uint64_t i = 0; i < count; ++i) nodes.emplace_back(in.text(kNodeIdBytesMax));
    if (id <= last_list_ || id >= state_.namespace_.chunks_.next_list()) return "A list of replicas has a wrong id";
    if (!state_.namespace_.chunks_.restore_list(id, std::move(nodes))) return "A list of replicas is there twice";
    last_list_ = id;
    ++lists_unused_;
    return {};
}

StateRestorer::Problem FileStateRestorer::read_chunk(StateDecoder& in) {
    ChunkKey key;
    key.term = in.number();
    key.number = in.number();
    ChunkTable::Chunk chunk;
    chunk.length = in.number();
    chunk.allocated_at_us = in.number();
    chunk.replica_list = in.number();
    if (in.damaged()) return "A record is cut short";
    if (!is_valid(key) || key <= last_chunk_) return "Chunks are out of order";
    ChunkTable& chunks = state_.namespace_.chunks_;
    const ChunkTable::ReplicaList* list = chunks.replica_lists().find(chunk.replica_list);
    if (list == nullptr) return "A chunk has no list of replicas";
    if (list->chunks == 0) --lists_unused_;
    const bool added = chunks.restore(key, chunk);
    SANDSTORE_CHECK(added, "chunks rise, and the list is there");
    last_chunk_ = key;
    ++chunks_unused_;
    return {};
}

// --- Inodes and extents ----------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::read_inode(StateDecoder& in) {
    const uint64_t id = in.number();
    const uint64_t mode = in.number();
    const uint64_t links = in.number();
    const uint64_t uid = in.number();
    const uint64_t gid = in.number();
    Inode inode;
    inode.size = in.number();
    inode.birth_time_us = in.number();
    inode.access_time_us = inode.birth_time_us + in.number();
    inode.modify_time_us = inode.birth_time_us + in.number();
    inode.change_time_us = inode.birth_time_us + in.number();
    const uint64_t place = in.number();
    const uint64_t extents = in.number();
    if (in.damaged()) return "A record is cut short";
    inode.is_directory = (mode & 1) != 0;
    if (id <= inode_id_ || id >= state_.namespace_.inodes_.next_id()) return "Inodes are out of order";
    if (inode_id_ == 0 && (id != kRootInode || !inode.is_directory || place != kRootInode)) return "There is no root";
    if (mode >> 1 > kModeMask || uid > UINT32_MAX || gid > UINT32_MAX || links > UINT32_MAX) {
        return "An inode's attributes are out of bounds";
    }
    inode.mode = static_cast<uint16_t>(mode >> 1);
    inode.uid = static_cast<uint32_t>(uid);
    inode.gid = static_cast<uint32_t>(gid);
    inode.links = static_cast<uint32_t>(links);
    inode_id_ = id;
    inode_ = inode;
    if (!inode.is_directory) return begin_extents(place, extents, inode.size);
    if (links < 2 || extents != 0 || inode.size != 0) return "A directory's attributes are out of bounds";
    subdirectories_expected_ += links - 2;
    inode_.parent = place;
    content_ = 0;
    return end_content();
}

StateRestorer::Problem FileStateRestorer::begin_extents(uint64_t content, uint64_t count, uint64_t end_max) {
    if (count > kFileExtentsMax) return "A file has too many extents";
    if ((count == 0) != (content == 0) || content >= state_.namespace_.next_content_)
        return "A file's content is wrong";
    if (count > 0 && !state_.namespace_.extents_.empty(content)) return "Two files have the same content";
    content_ = content;
    extents_left_ = extents_read_ = count;
    extent_end_ = stored_bytes_ = 0;
    extent_end_max_ = end_max;
    return count == 0 ? end_content() : Problem();
}

StateRestorer::Problem FileStateRestorer::read_extent(StateDecoder& in) {
    const uint64_t hole = in.number();
    FileExtent extent;
    extent.length = in.number();
    extent.chunk.term = in.number();
    extent.chunk.number = in.number();
    extent.chunk_offset = in.number();
    if (in.damaged()) return "A record is cut short";
    if (hole > extent_end_max_ - extent_end_ || extent.length == 0 ||
        extent.length > extent_end_max_ - extent_end_ - hole) {
        return "An extent is outside of its file";
    }
    extent.offset = extent_end_ + hole;
    Namespace& files = state_.namespace_;
    const ChunkTable::Chunk* chunk = files.chunks_.find(extent.chunk);
    if (chunk == nullptr) return "An extent has no chunk";
    if (extent.chunk_offset > chunk->length || extent.length > chunk->length - extent.chunk_offset) {
        return "An extent is outside of its chunk";
    }
    if (chunk->references == 0) --chunks_unused_;
    files.chunks_.reference(extent.chunk);
    uint64_t inode = inode_id_;
    if (last_ == StateRecord::kDetached) {
        Namespace::Detached* detached = files.detached_.edit(content_);
        ExtentTable::restore_cut_off(&detached->runs, extent);
        inode = detached->inode;
    } else {
        files.extents_.restore(content_, extent);
        if (last_ == StateRecord::kKept) inode = files.kept_.find(content_)->inode;
    }
    files.extents_hash_ += Namespace::hash_of(inode, extent);
    extent_end_ = extent.end();
    stored_bytes_ += extent.length;
    return --extents_left_ > 0 || last_ != StateRecord::kInode ? Problem() : end_content();
}

StateRestorer::Problem FileStateRestorer::end_content() {
    if (!inode_.is_directory) {
        inode_.content = content_;
        inode_.extents = static_cast<uint32_t>(extents_read_);
        inode_.stored_bytes = stored_bytes_;
        state_.namespace_.file_bytes_ += stored_bytes_;
    }
    state_.namespace_.inodes_.restore(inode_id_, inode_);
    return {};
}

StateRestorer::Problem FileStateRestorer::read_detached(StateDecoder& in) {
    const uint64_t content = in.number();
    const uint64_t inode = in.number();
    const uint64_t extents = in.number();
    if (in.damaged()) return "A record is cut short";
    if (content <= last_detached_) return "Detached contents are out of order";
    if (extents == 0 || inode >= state_.namespace_.inodes_.next_id()) return "A detached content is empty";
    last_detached_ = content;
    state_.namespace_.detached_.insert(content, {inode, {}});
    state_.namespace_.extents_hash_ += Namespace::hash_of_detached(content, inode);
    return begin_extents(content, extents, UINT64_MAX);
}

// --- Directories -----------------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::read_entry(StateDecoder& in) {
    const uint64_t directory = in.number();
    const std::string_view name = in.text(kNameBytesMax);
    const uint64_t child = in.number();
    if (in.damaged()) return "A record is cut short";
    if (!EntryOrder()(last_entry_, EntryView{directory, name})) return "Entries are out of order";
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
        name.find('\0') != std::string_view::npos) {
        return "A name is not allowed";
    }
    if (directory != last_entry_.directory) {
        if (Problem problem = end_directory(); !problem.empty()) return problem;
    }
    last_entry_ = {directory, std::string(name)};
    InodeTable& inodes = state_.namespace_.inodes_;
    Inode* inode = inodes.restored(child);
    if (inode == nullptr || child == kRootInode || inode->is_named) return "An inode has no name, or several";
    inode->is_named = true;
    if (inode->is_directory && inode->parent != directory) return "A directory is not where its parent is";
    if (inode->is_directory) ++directory_subdirectories_;
    ++directory_entries_;
    const bool added = inodes.restore_entry(directory, name, child);
    SANDSTORE_CHECK(added, "entries rise");
    return {};
}

StateRestorer::Problem FileStateRestorer::end_directory() {
    if (directory_entries_ == 0) return {};
    Inode* inode = state_.namespace_.inodes_.restored(last_entry_.directory);
    if (inode == nullptr || !inode->is_directory) return "An entry is in no directory";
    if (inode->links != 2 + directory_subdirectories_) return "A directory's links are wrong";
    inode->entries = directory_entries_;
    subdirectories_ += directory_subdirectories_;
    directory_entries_ = directory_subdirectories_ = 0;
    return {};
}

// --- Sessions --------------------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::read_session(StateDecoder& in) {
    const uint64_t id = in.number();
    const uint64_t last_active_us = in.number();
    const uint64_t forgotten_below = in.number();
    const uint64_t results = in.number();
    if (in.damaged()) return "A record is cut short";
    // A session has the number of the entry that opened it.
    if (id <= session_ || id > state_.applied_index_) return "Sessions are out of order";
    if (last_active_us > state_.clock_us_ || forgotten_below == 0) return "A session's times are wrong";
    if (results > kSessionResultsMax || state_.sessions_.size() >= state_.sessions_.sessions_max()) {
        return "There are too many sessions or results";
    }
    session_ = id;
    results_left_ = results;
    last_sequence_ = forgotten_below - 1;
    state_.sessions_.restore(id, last_active_us, forgotten_below);
    return {};
}

StateRestorer::Problem FileStateRestorer::read_result(StateDecoder& in) {
    const uint64_t sequence = in.number();
    const std::string_view result = in.text(kResultBytesMax);
    if (in.damaged()) return "A record is cut short";
    if (sequence <= last_sequence_) return "Results are out of order";
    state_.sessions_.restore_result(session_, sequence, std::string(result));
    last_sequence_ = sequence;
    --results_left_;
    return {};
}

// --- Holds -----------------------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::read_hold(StateDecoder& in) {
    const uint64_t id = in.number();
    const uint64_t ends_us = in.number();
    if (in.damaged()) return "A record is cut short";
    // A hold has the number of the entry that made it.
    if (id <= last_hold_ || id > state_.applied_index_) return "Holds are out of order";
    if (state_.namespace_.holds_.size() >= kHoldsMax) return "There are too many holds";
    state_.namespace_.holds_.insert(id, ends_us);
    last_hold_ = id;
    return {};
}

StateRestorer::Problem FileStateRestorer::read_unused_chunk(StateDecoder& in) {
    ChunkTable::Unused unused;
    unused.since = in.number();
    unused.key.term = in.number();
    unused.key.number = in.number();
    const uint64_t released_at_us = in.number();
    if (in.damaged()) return "A record is cut short";
    if (unused.since > state_.applied_index_ || unused <= last_unused_) return "Unused chunks are out of order";
    if (released_at_us > state_.clock_us_) return "An unused chunk was released in the future";
    if (!state_.namespace_.chunks_.restore_unused(unused.key, unused.since, released_at_us)) {
        return "An unused chunk is unknown or in use";
    }
    last_unused_ = unused;
    --chunks_unused_;
    return {};
}

// --- Leases ----------------------------------------------------------------------------------------------------------

StateRestorer::Problem FileStateRestorer::read_lease(StateDecoder& in) {
    Namespace& files = state_.namespace_;
    const uint64_t id = in.number();
    Namespace::Lease lease;
    lease.session = in.number();
    lease.ends_us = in.number();
    lease.inode = in.number();
    lease.content = in.number();
    if (in.damaged()) return "A record is cut short";
    // A lease has the number of the entry that made it.
    if (id <= last_lease_ || id > state_.applied_index_) return "Leases are out of order";
    if (files.leases_.size() >= kLeasesMax) return "There are too many leases";
    if (lease.inode >= files.inodes_.next_id() || lease.content >= files.next_content_) return "A lease is of nothing";
    if (lease.content == 0) {
        const Inode* upload = files.inodes_.find(lease.inode);
        if (upload == nullptr || upload->is_directory || upload->is_named) return "An upload is no file without a name";
        ++uploads_;
    }
    files.leases_.insert(id, lease);
    last_lease_ = id;
    return {};
}

StateRestorer::Problem FileStateRestorer::read_kept(StateDecoder& in) {
    Namespace& files = state_.namespace_;
    const uint64_t content = in.number();
    Namespace::Kept kept;
    kept.inode = in.number();
    kept.size = in.number();
    kept.extents = in.number();
    if (in.damaged()) return "A record is cut short";
    if (content <= last_kept_) return "Kept contents are out of order";
    if (kept.extents == 0 || kept.inode >= files.inodes_.next_id()) return "A kept content is empty";
    if (!files.is_leased(content)) return "A content is kept by nobody";
    last_kept_ = content;
    files.kept_.insert(content, kept);
    files.extents_hash_ += Namespace::hash_of_kept(content, kept);
    return begin_extents(content, kept.extents, kept.size);
}

StateRestorer::Problem FileStateRestorer::read_collected_chunk(StateDecoder& in) {
    ChunkTable::Collected collected;
    collected.allocated_at_us = in.number();
    collected.key.term = in.number();
    collected.key.number = in.number();
    if (in.damaged()) return "A record is cut short";
    if (!is_valid(collected.key) || collected <= last_collected_) return "Collected chunks are out of order";
    ChunkTable& chunks = state_.namespace_.chunks_;
    if (chunks.collected().size() >= kCollectedMax) return "There are too many collected chunks";
    chunks.restore_collected(collected.key, collected.allocated_at_us);
    last_collected_ = collected;
    return {};
}

StateRestorer::Problem FileStateRestorer::read_trailer(StateDecoder& in) {
    const bool plain = state_.namespace_.plain();
    if (plain != (version_ == kStateFormatVersion)) return "The version is not that of what it holds";
    written_hash_ = in.number();
    has_trailer_ = true;
    return {};
}

}  // namespace sandstore
