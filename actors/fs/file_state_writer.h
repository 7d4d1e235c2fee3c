// Writes a frozen FileState down (state_writer.h).
#pragma once

#include <cstdint>
#include <memory>

#include "actors/fs/file_state.h"
#include "actors/fs/file_state_format.h"
#include "actors/state/state_writer.h"

namespace sandstore {

class FileStateWriter final : public StateWriter {
 public:
    explicit FileStateWriter(const FileState& state) : state_(state) {}

    const FileState& state() const { return state_; }
    std::unique_ptr<ReplicatedState> take() override { return std::make_unique<FileState>(std::move(state_)); }

 private:
    enum class Stage {
        kHeader,
        kReplicaLists,
        kChunks,
        kInodes,
        kEntries,
        kDetached,
        kSessions,
        kHolds,
        kUnusedChunks,
        kLeases,
        kKept,
        kCollectedChunks,
        kTrailer,
        kDone
    };

    bool step() override;
    // Each writes one record and goes on to the next one, or to the next stage.
    void write_record();
    void write_header();
    void write_replica_list();
    void write_chunk();
    void write_inode();
    void write_entry();
    void write_detached();
    void write_session();
    void write_hold();
    void write_unused_chunk();
    void write_lease();
    void write_kept();
    void write_collected_chunk();
    void write_trailer();

    bool write_extent();  // False: there is none left to write.
    bool write_result();

    FileState state_;
    Stage stage_ = Stage::kHeader;
    ChunkTable::ReplicaLists::Cursor list_;
    ChunkTable::Chunks::Cursor chunk_;
    InodeTable::Inodes::Cursor inode_;
    InodeTable::Entries::Cursor entry_;
    CowMap<uint64_t, Namespace::Detached>::Cursor detached_;
    ExtentTable::Runs::Cursor extent_;
    uint64_t extents_left_ = 0;
    uint64_t extent_end_ = 0;
    Sessions::Table::Cursor session_;
    Sessions::Results::Cursor result_;
    uint64_t results_left_ = 0;
    CowMap<uint64_t, uint64_t>::Cursor hold_;
    ChunkTable::UnusedChunks::Cursor unused_;
    CowMap<uint64_t, Namespace::Lease>::Cursor lease_;
    CowMap<uint64_t, Namespace::Kept>::Cursor kept_;
    ChunkTable::CollectedChunks::Cursor collected_;
};

}  // namespace sandstore
