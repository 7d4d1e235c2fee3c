// StateMachine: a replicated state, as the log makes it. Which kind of state is up to whoever makes the actor
// (actors/fs/file_state_machine.h).
//
// In:  StartStateMachine (once, before all else), Apply (from RaftNode: committed entries, in order and without gaps),
//      Query and StateHashRequest (requests; held until minimum_index is applied).
//      TakeSnapshot, DropSnapshot, RestoreSnapshot (from RaftNode), ReadState (from SnapshotStore); SnapshotSection
//      (its reply), Flush (to itself: a turn was too short), TimerFired (exports that nobody reads any more).
// Out: StateMachineReady to RaftNode at the start; Applied for each Apply; QueryResult, StateHash; SnapshotTaken,
//      StatePiece, SnapshotRestored; ReadSection to SnapshotStore. UnfinishedWork to FileService, ChunksCollected to
//      Repairer.
//
// All of the same instance. Persists nothing: log and snapshots are the truth. Never looks at a clock for what it
// keeps: times come with the commands. A gap in the entries, an entry that cannot be decoded, or one that comes while a
// snapshot is being restored breaks an invariant and stops the node. No turn grows with the size of the state or of a
// batch: entries are applied a few at a time, in order with snapshots taken and restored, and questions are answered
// in between; a snapshot is a copy that shares everything, is read and restored in pieces, and is let go in portions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "actors/log/record.h"
#include "actors/state/replicated_state.h"
#include "actors/state/state_restorer.h"
#include "actors/state/state_writer.h"
#include "messages/raft.pb.h"
#include "messages/snapshot.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class StateMachine final : public Actor {
 public:
    // Queries and hash requests that wait for their index; beyond: RESOURCE_EXHAUSTED.
    static constexpr size_t kHeldMax = 10'000;
    // A turn ends with the entry, or with the held question, that brings it to this much work (ReplicatedState::work):
    // about two milliseconds.
    static constexpr uint64_t kWorkPerTurn = 2048;
    // Of a state's maps, freed in one turn: takes about half a millisecond.
    static constexpr size_t kNodesFreedPerTurn = 200;
    static constexpr uint64_t kSectionTimeoutUs = 60'000'000;
    static constexpr uint64_t kClockToldEveryUs = 10'000'000;  // By the cluster's clock.
    // Namespaces that clients are reading whole, and how long one is kept when its client does not come back.
    static constexpr size_t kExportsMax = 4;
    static constexpr uint64_t kExportIdleUs = 60'000'000;

    explicit StateMachine(std::unique_ptr<ReplicatedState> state) : state_(std::move(state)) {}  // New.

    void receive(Message message, Context& context) override;

    const ReplicatedState& state() const { return *state_; }

 private:
    struct Held {
        Message request;
        ReplyTo asker;
    };
    // Entries being applied.
    struct Batch {
        RecordReader reader;
        uint32_t announced = 0;
        uint32_t records = 0;  // So far.
        bool want_results = false;
        pb::Applied applied;
        pb::ChunksCollected collected;
    };

    void on_start_state_machine(const pb::StartStateMachine& start, Context& context);
    // What changes the state, or must find it between two batches.
    void in_order(Message message, Context& context);
    void work_off_orders(Context& context);
    void begin_batch(const Message& message);
    void apply_some(uint64_t* work, Context& context);
    void end_batch(Context& context);
    void go_on_later(Context& context);
    void on_query(Message message, Context& context);
    void on_state_hash_request(Message message, Context& context);

    // --- Snapshots (state_machine_snapshots.cc)

    // What TakeSnapshot has frozen, being read.
    // The last piece given is kept: its reader may ask again.
    struct Frozen {
        uint64_t index = 0;
        uint64_t next_piece = 0;
        std::unique_ptr<StateWriter> writer;  // Null after the last piece.
        Payload last_given;
    };
    // A snapshot being restored beside the state in use.
    struct Restoring {
        pb::SnapshotMeta meta;
        ReplyTo asker;
        RequestId section = 0;  // The request under way.
        std::unique_ptr<StateRestorer> restorer;
    };

    // The piece that comes next, or once more the last one; false: neither is asked for.
    bool give_piece(Frozen* frozen, uint64_t piece, Context& context);
    void on_take_snapshot(const Message& message, Context& context);
    void on_read_state(const Message& message, Context& context);
    void on_restore_snapshot(const Message& message, Context& context);
    void on_snapshot_section(const Message& message, Context& context);
    void on_request_failed(const Message& message, Context& context);
    void on_flush(Context& context);

    void drop_frozen(Context& context);
    void ask_section(uint64_t offset, Context& context);
    void use_restored(Context& context);
    void end_restoring(pb::StatusCode code, std::string_view why, Context& context);
    void let_go(std::unique_ptr<ReplicatedState> state, Context& context);
    void let_go_some(Context& context);

    // --- Exports (state_machine_exports.cc)

    // A frozen state that a client reads; its writer ends with the last piece.
    struct Export {
        Frozen frozen;
        uint64_t used_at_us = 0;
    };
    void answer_export(const pb::ExportState& query, const ReplyTo& asker, Context& context);
    void forget_export_read_to_its_end();
    void on_timer_fired(Context& context);
    void watch_exports(Context& context);

    bool ready_for(uint64_t minimum_index) const { return started_ && minimum_index <= state_->applied_index(); }
    void hold(uint64_t minimum_index, Message request, Context& context);
    uint64_t answer(const Message& request, const ReplyTo& asker, Context& context);  // How much work it was.
    void refuse(const Message& request, const ReplyTo& asker, pb::StatusCode code, std::string_view why,
                Context& context);
    void answer_held(Context& context);
    void drop_overdue(Context& context);
    void tell_unfinished(Context& context);

    bool started_ = false;
    pb::StartStateMachine settings_;
    std::unique_ptr<ReplicatedState> state_;
    uint64_t told_due_us_ = 0;    // In the last UnfinishedWork.
    uint64_t told_clock_us_ = 0;  // Likewise.
    std::unique_ptr<Frozen> frozen_;
    std::map<uint64_t, Export> exports_;
    bool watching_exports_ = false;  // A timer is armed.
    std::unique_ptr<Restoring> restoring_;
    std::deque<std::unique_ptr<ReplicatedState>> discarded_;
    std::deque<Message> orders_;          // Apply, TakeSnapshot and RestoreSnapshot as they came, not begun yet.
    std::unique_ptr<Batch> batch_;        // Under way.
    bool goes_on_ = false;                // A Flush to ourselves is on its way.
    std::multimap<uint64_t, Held> held_;  // By minimum_index.
};

}  // namespace sandstore
