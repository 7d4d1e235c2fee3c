#include "actors/fs/file_state_writer.h"

namespace sandstore {

bool FileStateWriter::step() {
    write_record();
    return stage_ != Stage::kDone;
}

void FileStateWriter::write_record() {
    switch (stage_) {
        case Stage::kHeader:
            return write_header();
        case Stage::kReplicaLists:
            return write_replica_list();
        case Stage::kChunks:
            return write_chunk();
        case Stage::kInodes:
            return write_inode();
        case Stage::kEntries:
            return write_entry();
        case Stage::kDetached:
            return write_detached();
        case Stage::kSessions:
            return write_session();
        case Stage::kHolds:
            return write_hold();
        case Stage::kUnusedChunks:
            return write_unused_chunk();
        case Stage::kLeases:
            return write_lease();
        case Stage::kKept:
            return write_kept();
        case Stage::kCollectedChunks:
            return write_collected_chunk();
        case Stage::kTrailer:
            return write_trailer();
        case Stage::kDone:
            return;
    }
}

void FileStateWriter::write_header() {
    const Namespace& files = state_.namespace_;
    out_.kind(StateRecord::kHeader);
    const bool plain = files.plain();
    out_.number(plain ? kStateFormatVersion : kStateFormatVersionWithHolds);
    out_.number(state_.applied_index_);
    out_.number(state_.clock_us_);
    out_.number(state_.chunk_commit_window_us_);
    out_.number(state_.session_timeout_us_);
    out_.number(state_.sessions_max_);
    out_.number(files.inodes_.next_id());
    out_.number(files.next_content_);
    out_.number(files.chunks_.next_list());
    if (!plain) out_.number(files.chunks_.commit_floor_us());
    list_ = files.chunks_.replica_lists().begin();
    chunk_ = files.chunks_.chunks().begin();
    inode_ = files.inodes_.inodes().begin();
    entry_ = files.inodes_.entries().begin();
    detached_ = files.detached_.begin();
    session_ = state_.sessions_.table().begin();
    result_ = state_.sessions_.results().begin();
    hold_ = files.holds_.begin();
    unused_ = files.chunks_.unused().begin();
    lease_ = files.leases_.begin();
    kept_ = files.kept_.begin();
    collected_ = files.chunks_.collected().begin();
    stage_ = Stage::kReplicaLists;
}

void FileStateWriter::write_replica_list() {
    if (!list_.valid()) {
        stage_ = Stage::kChunks;
        return;
    }
    out_.kind(StateRecord::kReplicaList);
    out_.number(list_.key());
    out_.number(list_.value().nodes.size());
    for (const std::string& node : list_.value().nodes) out_.text(node);
    list_.next();
}

void FileStateWriter::write_chunk() {
    if (!chunk_.valid()) {
        stage_ = Stage::kInodes;
        return;
    }
    out_.kind(StateRecord::kChunk);
    out_.number(chunk_.key().term);
    out_.number(chunk_.key().number);
    out_.number(chunk_.value().length);
    out_.number(chunk_.value().allocated_at_us);
    out_.number(chunk_.value().replica_list);
    chunk_.next();
}

// Times that are close to each other take little room.
void FileStateWriter::write_inode() {
    if (write_extent()) return;
    if (!inode_.valid()) {
        stage_ = Stage::kEntries;
        return;
    }
    const Inode& inode = inode_.value();
    out_.kind(StateRecord::kInode);
    out_.number(inode_.key());
    out_.number(uint64_t{inode.mode} << 1 | (inode.is_directory ? 1 : 0));
    out_.number(inode.links);
    out_.number(inode.uid);
    out_.number(inode.gid);
    out_.number(inode.size);
    out_.number(inode.birth_time_us);
    out_.number(inode.access_time_us - inode.birth_time_us);
    out_.number(inode.modify_time_us - inode.birth_time_us);
    out_.number(inode.change_time_us - inode.birth_time_us);
    out_.number(inode.is_directory ? inode.parent : inode.content);
    out_.number(inode.extents);
    extents_left_ = inode.extents;
    extent_end_ = 0;
    if (inode.extents > 0) extent_ = state_.namespace_.extents_.runs().lower_bound(ExtentTable::Key{inode.content, 0});
    inode_.next();
}

bool FileStateWriter::write_extent() {
    if (extents_left_ == 0) return false;
    --extents_left_;
    const FileExtent extent = ExtentTable::extent_of(extent_);
    out_.kind(StateRecord::kExtent);
    out_.number(extent.offset - extent_end_);  // The hole before it.
    out_.number(extent.length);
    out_.number(extent.chunk.term);
    out_.number(extent.chunk.number);
    out_.number(extent.chunk_offset);
    extent_end_ = extent.end();
    extent_.next();
    return true;
}

void FileStateWriter::write_entry() {
    if (!entry_.valid()) {
        stage_ = Stage::kDetached;
        return;
    }
    out_.kind(StateRecord::kEntry);
    out_.number(entry_.key().directory);
    out_.text(entry_.key().name);
    out_.number(entry_.value());
    entry_.next();
}

void FileStateWriter::write_detached() {
    if (write_extent()) return;
    if (!detached_.valid()) {
        stage_ = Stage::kSessions;
        return;
    }
    out_.kind(StateRecord::kDetached);
    out_.number(detached_.key());
    out_.number(detached_.value().inode);
    out_.number(detached_.value().runs.size());
    extents_left_ = detached_.value().runs.size();
    extent_end_ = 0;
    extent_ = detached_.value().runs.begin();
    detached_.next();
}

void FileStateWriter::write_session() {
    if (write_result()) return;
    if (!session_.valid()) {
        stage_ = Stage::kHolds;
        return;
    }
    out_.kind(StateRecord::kSession);
    out_.number(session_.key());
    out_.number(session_.value().last_active_us);
    out_.number(session_.value().forgotten_below);
    out_.number(session_.value().results);
    results_left_ = session_.value().results;
    session_.next();
}

bool FileStateWriter::write_result() {
    if (results_left_ == 0) return false;
    --results_left_;
    out_.kind(StateRecord::kResult);
    out_.number(result_.key().sequence);
    out_.text(result_.value());
    result_.next();
    return true;
}

void FileStateWriter::write_hold() {
    if (!hold_.valid()) {
        stage_ = Stage::kUnusedChunks;
        return;
    }
    out_.kind(StateRecord::kHold);
    out_.number(hold_.key());
    out_.number(hold_.value());
    hold_.next();
}

void FileStateWriter::write_unused_chunk() {
    if (!unused_.valid()) {
        stage_ = Stage::kLeases;
        return;
    }
    out_.kind(StateRecord::kUnusedChunk);
    out_.number(unused_.key().since);
    out_.number(unused_.key().key.term);
    out_.number(unused_.key().key.number);
    out_.number(state_.namespace_.chunks_.find(unused_.key().key)->released_at_us);
    unused_.next();
}

void FileStateWriter::write_lease() {
    if (!lease_.valid()) {
        stage_ = Stage::kKept;
        return;
    }
    out_.kind(StateRecord::kLease);
    out_.number(lease_.key());
    out_.number(lease_.value().session);
    out_.number(lease_.value().ends_us);
    out_.number(lease_.value().inode);
    out_.number(lease_.value().content);
    lease_.next();
}

void FileStateWriter::write_kept() {
    if (write_extent()) return;
    if (!kept_.valid()) {
        stage_ = Stage::kCollectedChunks;
        return;
    }
    out_.kind(StateRecord::kKept);
    out_.number(kept_.key());
    out_.number(kept_.value().inode);
    out_.number(kept_.value().size);
    out_.number(kept_.value().extents);
    extents_left_ = kept_.value().extents;
    extent_end_ = 0;
    extent_ = state_.namespace_.extents_.runs().lower_bound(ExtentTable::Key{kept_.key(), 0});
    kept_.next();
}

void FileStateWriter::write_collected_chunk() {
    if (!collected_.valid()) {
        stage_ = Stage::kTrailer;
        return;
    }
    out_.kind(StateRecord::kCollectedChunk);
    out_.number(collected_.key().allocated_at_us);
    out_.number(collected_.key().key.term);
    out_.number(collected_.key().key.number);
    collected_.next();
}

void FileStateWriter::write_trailer() {
    out_.kind(StateRecord::kTrailer);
    out_.number(state_.hash());
    stage_ = Stage::kDone;
}

}  // namespace sandstore
