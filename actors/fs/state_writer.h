// Writes a frozen state down, piece by piece (state_format.h). A plain object; the state that it was taken from goes on
// meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "actors/fs/replicated_state.h"
#include "actors/fs/state_format.h"

namespace sandstore {

class StateWriter {
 public:
    explicit StateWriter(const ReplicatedState& state) : state_(state) {}
    StateWriter(const StateWriter&) = delete;  // Cursors point into its own copy of the state.
    StateWriter& operator=(const StateWriter&) = delete;

    bool done() const { return stage_ == Stage::kDone; }
    std::string next_piece();  // Never empty; checked that it is not done.

    const ReplicatedState& state() const { return state_; }
    bool discard(size_t* nodes) { return state_.discard(nodes); }  // Lets go of the state: see ReplicatedState.

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
        kCollectedChunks,
        kTrailer,
        kDone
    };

    // Each writes one record and goes on to the next one, or to the next stage.
    void step();
    void write_header();
    void write_replica_list();
    void write_chunk();
    void write_inode();
    void write_entry();
    void write_detached();
    void write_session();
    void write_hold();
    void write_unused_chunk();
    void write_collected_chunk();
    void write_trailer();

    bool write_extent();  // False: there is none left to write.
    bool write_result();

    ReplicatedState state_;
    StateEncoder out_;
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
    ChunkTable::CollectedChunks::Cursor collected_;
};

}  // namespace sandstore
