// RaftNode (ACTOR_RAFT): the thin actor around RaftCore. It carries the core's effects to where they belong, holds
// messages back until the write they wait for is durable, feeds committed entries to the state machine, tells each
// proposer the outcome, and has snapshots taken, sent, received and restored.
//
// Hears: StartRaft, LogRecovered, SnapshotsRecovered, StateMachineReady (all of them before it takes part);
//   RequestVote, VoteReply, AppendEntries, AppendReply, Heartbeat, HeartbeatReply, TimeoutNow, InstallSnapshot,
//   InstallSnapshotReply from RaftNodes of other nodes; Propose, ReadIndex, RaftStatusRequest, ChangeMembership,
//   TransferLeadership, RequestSnapshot (requests); LogPersisted, LogRecords, LogSpace from the LogStore; Applied,
//   SnapshotTaken, SnapshotRestored from the StateMachine; SnapshotSaved, SnapshotBytes, SnapshotVerified,
//   SnapshotReceived from the SnapshotStore; ReadIndexReply from the leader's RaftNode; PeerUp, PeerDown; Flush from
//   itself.
// Says: LogWrite, LogRead, LogCompact to the LogStore; the peers' messages; Apply, TakeSnapshot, DropSnapshot,
//   RestoreSnapshot to the StateMachine; SaveSnapshot, SnapshotRead, SnapshotVerify, SnapshotReceive to the
//   SnapshotStore; the replies; RoleChanged and ConfigurationChanged to FileService, StatusService, Repairer and
//   EtcdPoller, the latter to the transport too.
// Persists: term, vote and entries through the LogStore, snapshots through the SnapshotStore; nothing itself.
// Never: believes anyone but the log about who votes; retries a proposal (the outcome of a lost one is unknown).
//
// It talks to the neighbours of its own instance: a node may hold several groups.
// Files: raft_node.cc (start, peers, proposals, effects), raft_node_requests.cc (reads, operators, status),
// raft_node_snapshots.cc.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/raft/apply_pump.h"
#include "actors/raft/proposal_table.h"
#include "actors/raft/raft_core.h"
#include "actors/raft/raft_metrics.h"
#include "actors/raft/snapshot_transfer.h"
#include "runtime/actor.h"

namespace sandstore {

class RaftNode final : public Actor {
 public:
    static constexpr size_t kReadsMax = 65'536;         // Linearizable reads under way; more are refused.
    static constexpr size_t kPiecesBeingReceived = 16;  // Of a snapshot; more are dropped and sent again.

    // With another feature level than the program's, for tests.
    explicit RaftNode(uint32_t feature_level = kFeatureLevel) : feature_level_(feature_level) {}

    void receive(Message message, Context& context) override;
    const RaftCore* core() const { return core_.get(); }  // For invariant checks; null before the start is complete.
    uint64_t applied_index() const { return applier_.applied_index(); }
    uint64_t snapshot_index() const { return snapshots_.empty() ? 0 : snapshots_.front().index(); }
    const std::vector<pb::SnapshotMeta>& snapshots() const { return snapshots_; }  // On disk, newest first.
    bool is_restoring() const { return applier_.paused(); }

 private:
    void on_start_raft(const pb::StartRaft& start, Context& context);
    void on_log_recovered(const pb::LogRecovered& recovered, Context& context);
    void on_snapshots_recovered(const pb::SnapshotsRecovered& recovered, Context& context);
    void on_state_machine_ready(const pb::StateMachineReady& ready, Context& context);
    void on_peer_message(const Message& message, Context& context);
    void on_propose(Message message, Context& context);
    void on_flush(Context& context);
    void on_log_persisted(const pb::LogPersisted& persisted, Context& context);
    void on_log_space(const pb::LogSpace& space, Context& context);
    void on_answer(const Message& message, Context& context);
    void on_log_answer(const Message& message, Context& context);
    void on_applied(pb::Applied* applied, Context& context);
    void on_peer_up(const pb::PeerUp& up, Context& context);
    void on_peer_down(const pb::PeerDown& down, Context& context);
    void on_timer(Context& context);

    void begin_when_ready(Context& context);
    void carry_out(Context& context);  // The core's effects.
    void answer_reads(const RaftEffects& effects, Context& context);
    void send_held(Context& context);
    void announce_role(Context& context);
    void announce_configuration(Context& context);
    void log_role(Context& context);
    void log_members(Context& context);
    void log_losses(const std::vector<RaftEffects::Loss>& losses, Context& context);
    void pump(Context& context);
    void count_elections(const pb::RoleChanged& now);
    void arm_tick(Context& context);
    void refuse_proposal(const ReplyTo& asker, pb::StatusCode code, std::string_view why, Context& context);
    RaftInput input(Context& context) { return {context.now_us(), context.random()}; }
    static Address neighbour(pb::ActorKind kind, Context& context) { return {kind, context.self().instance}; }
    static Address peer_address(const std::string& peer, Context& context) {
        return {peer, pb::ACTOR_RAFT, context.self().instance};
    }

    // raft_node_requests.cc
    void on_read_index(const Message& message, Context& context);
    void forward_read(const Message& message, Context& context);
    bool on_forwarded_read_answer(const Message& message, Context& context);
    void on_change_membership(const Message& message, Context& context);
    void on_transfer_leadership(const Message& message, Context& context);
    void on_status_request(const Message& message, Context& context);
    void settle_requests(Context& context);
    void fill_status(pb::StatusCode code, std::string_view why, pb::Status* status) const;

    // raft_node_snapshots.cc
    void on_request_snapshot(const Message& message, Context& context);
    void consider_snapshot(Context& context);
    void relieve_disk(Context& context);
    bool log_can_shrink() const;
    void take_snapshot(Context& context);
    bool on_snapshot_answer(const Message& message, Context& context);
    void on_snapshot_taken(const Message& message, Context& context);
    void on_snapshot_saved(const Message& message, Context& context);
    void snapshot_failed(pb::Status status, Context& context);
    void compact_log(Context& context);
    void on_install_snapshot(const Message& message, Context& context);
    struct Sender {  // Of a piece that is on its way to our disk.
        std::string leader;
        uint64_t term;
        uint64_t sequence;
    };
    void on_snapshot_received(const Message& message, const Sender& sender, Context& context);
    void install(const pb::SnapshotReceived& received, Context& context);
    void end_install(Context& context);
    void restore(const pb::SnapshotMeta& meta, Context& context);
    void on_snapshot_restored(const Message& message, Context& context);
    void begin_transfers(const std::vector<std::string>& peers, Context& context);
    void begin_transfer(const std::string& peer, Context& context);
    void on_snapshot_verified(const Message& message, const std::string& peer, Context& context);
    void transfer_failed(const std::string& peer, std::string_view why, Context& context);
    void take_fresh_snapshot(Context& context);
    void ask_how_far(const std::string& peer, const SnapshotTransfer& transfer, Context& context);
    void send_pieces(const std::string& peer, SnapshotTransfer& transfer, Context& context);
    void on_install_reply(const Message& message, Context& context);
    void on_snapshot_bytes(const Message& message, const std::string& peer, Context& context);
    void look_after_transfers(Context& context);
    std::optional<uint64_t> transferred_index(uint64_t now_us) const;
    bool is_older_one_travelling(uint64_t now_us) const;
    bool is_kept(const pb::SnapshotMeta& meta) const;

    struct Held {
        std::string to;
        Message message;
        uint64_t after_write;
    };

    std::optional<RaftOptions> options_;
    std::optional<RaftMetrics> metrics_;  // From StartRaft on.
    std::optional<pb::LogRecovered> recovered_;
    std::optional<pb::SnapshotsRecovered> snapshots_recovered_;
    std::optional<uint64_t> state_machine_index_;
    bool disk_full_ = false;
    bool disk_exhausted_ = false;
    uint64_t relieved_at_us_ = 0;
    const uint32_t feature_level_;
    std::unique_ptr<RaftCore> core_;

    std::deque<Held> held_;  // By after_write.
    uint64_t persisted_write_ = 0;
    ApplyPump applier_;
    ProposalTable proposals_;
    std::vector<RaftCore::Proposal> batch_;
    std::vector<ReplyTo> batch_askers_;
    uint64_t batch_bytes_ = 0;
    bool flush_pending_ = false;
    std::unordered_map<uint64_t, ReplyTo> reads_;  // By token. Only looked up.
    uint64_t next_read_token_ = 1;
    std::map<RequestId, ReplyTo> forwarded_reads_;
    std::map<RequestId, std::string> reads_for_peers_;
    TimerId tick_ = 0;
    uint64_t tick_at_us_ = 0;
    pb::RoleChanged announced_;
    Configuration told_members_;

    // Operators' requests under way.
    struct PendingChange {
        ReplyTo asker;
        uint64_t index;  // Of the change's first entry.
        uint64_t term;
    };
    std::optional<PendingChange> change_;
    std::vector<ReplyTo> transfer_askers_;

    // Snapshots
    std::vector<pb::SnapshotMeta> snapshots_;  // On disk, newest first.
    RequestId take_request_ = 0;
    RequestId save_request_ = 0;
    std::vector<ReplyTo> snapshot_askers_;
    uint64_t snapshot_began_us_ = 0;
    uint64_t sent_bytes_at_snapshot_ = 0;  // applier_.sent_bytes() when the last one was begun.
    RequestId restore_request_ = 0;
    pb::SnapshotMeta restoring_;
    bool installing_ = false;        // What is being restored came from a leader.
    uint64_t installing_index_ = 0;  // Of the leader's snapshot that is being received or restored; 0: none.
    uint64_t install_began_us_ = 0;  // With its first piece.
    std::map<RequestId, Sender> receiving_;
    std::map<std::string, SnapshotTransfer> transfers_;     // By peer, on the leader.
    std::map<std::string, TransferBackoff> backoffs_;       // Of peers whose last transfer failed.
    std::map<RequestId, std::string> reads_for_transfers_;  // By peer.
    std::map<RequestId, std::string> verifies_;             // By peer.
};

}  // namespace sandstore
