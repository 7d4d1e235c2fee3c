// RaftNode (ACTOR_RAFT): the thin actor around RaftCore. It carries the core's effects to where they belong, holds
// messages back until the write they wait for is durable, feeds committed entries to the state machine, and tells each
// proposer the outcome.
//
// Hears: StartRaft, LogRecovered, StateMachineReady (all three before it takes part); RequestVote, VoteReply,
// AppendEntries,
//   AppendReply, Heartbeat, HeartbeatReply from RaftNodes of other nodes; Propose, ReadIndex, RaftStatusRequest
//   (requests); LogPersisted, LogRecords from the LogStore; Applied from the StateMachine; PeerUp, PeerDown; Flush from
//   itself.
// Says: LogWrite, LogRead to the LogStore; the peers' messages; Apply to the StateMachine; ProposeReply,
// ReadIndexReply,
//   RaftStatus; RoleChanged to FileService, StatusService and Repairer.
// Persists: term, vote and entries, through the LogStore only.
// Never: believes anyone but the log about who votes; retries a proposal (the outcome of a lost one is unknown).
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
#include "runtime/actor.h"

namespace sandstore {

class Counter;

class RaftNode final : public Actor {
 public:
    void receive(Message message, Context& context) override;
    const RaftCore* core() const { return core_.get(); }  // For invariant checks; null before the start is complete.
    uint64_t applied_index() const { return applier_.applied_index(); }

 private:
    void on_start_raft(const pb::StartRaft& start, Context& context);
    void on_log_recovered(const pb::LogRecovered& recovered, Context& context);
    void on_state_machine_ready(const pb::StateMachineReady& ready, Context& context);
    void on_peer_message(const Message& message, Context& context);
    void on_propose(Message message, Context& context);
    void on_flush(Context& context);
    void on_read_index(const Message& message, Context& context);
    void on_log_persisted(const pb::LogPersisted& persisted, Context& context);
    void on_log_answer(const Message& message, Context& context);
    void on_applied(pb::Applied* applied, Context& context);
    void on_peer_up(const pb::PeerUp& up, Context& context);
    void on_peer_down(const pb::PeerDown& down, Context& context);
    void on_timer(Context& context);
    void on_status_request(const Message& message, Context& context);

    void begin_when_ready(Context& context);
    void carry_out(Context& context);  // The core's effects.
    void send_held(Context& context);
    void announce_role(Context& context);
    void log_role(Context& context);
    void pump(Context& context);
    void arm_tick(Context& context);
    void refuse_proposal(const ReplyTo& asker, pb::StatusCode code, std::string_view why, Context& context);
    RaftInput input(Context& context) { return {context.now_us(), context.random()}; }

    struct Held {
        std::string to;
        Message message;
        uint64_t after_write;
    };

    std::optional<RaftOptions> options_;
    std::optional<pb::LogRecovered> recovered_;
    std::optional<uint64_t> state_machine_index_;
    std::unique_ptr<RaftCore> core_;

    std::deque<Held> held_;  // By after_write.
    uint64_t persisted_write_ = 0;
    ApplyPump applier_;
    ProposalTable proposals_;
    std::vector<RaftCore::Proposal> batch_;
    std::vector<ReplyTo> batch_askers_;
    bool flush_pending_ = false;
    std::unordered_map<uint64_t, ReplyTo> reads_;  // By token. Only looked up.
    uint64_t next_read_token_ = 1;
    std::map<RequestId, std::string> reads_for_peers_;
    TimerId tick_ = 0;
    uint64_t tick_at_us_ = 0;
    pb::RoleChanged announced_;
};

}  // namespace sandstore
