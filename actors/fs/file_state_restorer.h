// Builds a FileState from a snapshot's content (state_restorer.h). Bounds, order, references and counts are checked
// record by record, and in the end the hash of what was built must be the one that was written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "actors/fs/file_state.h"
#include "actors/fs/file_state_format.h"
#include "actors/state/state_restorer.h"

namespace sandstore {

class FileStateRestorer final : public StateRestorer {
 public:
    explicit FileStateRestorer(const pb::StartStateMachine& settings);

    FileState& state() { return state_; }  // After finish(): may be taken.
    std::unique_ptr<ReplicatedState> take() override { return std::make_unique<FileState>(std::move(state_)); }

 private:
    Problem read_record(uint8_t kind, StateDecoder& in) override;
    std::string check_whole(uint64_t index) override;

    Problem begin_record(StateRecord kind);
    // Each reads one record, and gives what is wrong with it or nothing. Fields that are cut short read as 0.
    Problem read_fields(StateRecord kind, StateDecoder& in);
    Problem read_header(StateDecoder& in);
    Problem read_replica_list(StateDecoder& in);
    Problem read_chunk(StateDecoder& in);
    Problem read_inode(StateDecoder& in);
    Problem read_extent(StateDecoder& in);
    Problem read_entry(StateDecoder& in);
    Problem read_detached(StateDecoder& in);
    Problem read_session(StateDecoder& in);
    Problem read_result(StateDecoder& in);
    Problem read_hold(StateDecoder& in);
    Problem read_unused_chunk(StateDecoder& in);
    Problem read_lease(StateDecoder& in);
    Problem read_kept(StateDecoder& in);
    Problem read_collected_chunk(StateDecoder& in);
    Problem read_trailer(StateDecoder& in);

    Problem begin_extents(uint64_t content, uint64_t count, uint64_t end_max);
    Problem end_content();  // The inode or detached content whose extents have been read goes into the state.
    Problem end_directory();

    FileState state_;
    StateRecord last_ = StateRecord::kHeader;
    bool has_header_ = false;
    bool has_trailer_ = false;
    uint64_t written_hash_ = 0;
    uint64_t last_list_ = 0;
    ChunkKey last_chunk_;
    uint64_t chunks_unused_ = 0;  // No extent so far refers to them.
    uint64_t lists_unused_ = 0;

    // The inode or the detached content that extents belong to.
    uint64_t inode_id_ = 0;
    Inode inode_;
    uint64_t content_ = 0;
    uint64_t last_detached_ = 0;
    uint64_t extents_left_ = 0;
    uint64_t extents_read_ = 0;
    uint64_t extent_end_ = 0;
    uint64_t extent_end_max_ = 0;
    uint64_t stored_bytes_ = 0;

    // Entries come directory by directory.
    EntryKey last_entry_;
    uint64_t directory_entries_ = 0;
    uint64_t directory_subdirectories_ = 0;
    uint64_t subdirectories_ = 0;           // Over all directories: as entries,
    uint64_t subdirectories_expected_ = 0;  // and as the links of directories say.

    uint64_t session_ = 0;
    uint64_t results_left_ = 0;
    uint64_t last_sequence_ = 0;

    uint64_t version_ = 0;
    uint64_t last_hold_ = 0;
    ChunkTable::Unused last_unused_;
    uint64_t last_lease_ = 0;
    uint64_t last_kept_ = 0;
    uint64_t uploads_ = 0;
    ChunkTable::Collected last_collected_;
};

}  // namespace sandstore
