// FileService: the clients' door on every node. It judges what comes in, has mutations replicated and reads confirmed,
// and places new chunks.
//
// In:  StartFiles; ClusterView (addresses, zones), RoleChanged and ConfigurationChanged (from RaftNode), PeerUp and
//      PeerDown (from the transport), ChunkStats (from the chunk services of all nodes), UnfinishedWork (from the
//      StateMachine), TimerFired.
//      Requests: Mutation, Query, AllocateChunks from clients, ChunkAudit from the repairers of all nodes.
// Out: Propose and ReadIndex to RaftNode, Query to the StateMachine (requests); EarlierChunks to the Mover; one answer
//      to each request, always of the matching kind with a status in it: MutationResult, QueryResult,
//      AllocateChunksReply, ChunkAuditReply.
//
// Persists nothing. Never answers from the state machine without a read index taken after the request came in, and
// never proposes a mutation that it has not judged whole. A node that knows it is not the leader says so at once; only
// queries are left to Raft to refuse. On the leader it keeps the cluster's clock going (its own wall clock sets it in a
// cluster that has none yet, and never else), and proposes commands of its own for what only commands bring on: chunks
// that are to be collected, holds that have expired. A query that any node may answer is answered here, too, once this
// node's state has reached the leader's read index.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "actors/chunk/chunk_key.h"
#include "actors/fs/placement.h"
#include "actors/state/outcome.h"
#include "messages/envelope.pb.h"
#include "runtime/actor.h"
#include "runtime/request_metrics.h"

namespace sandstore {

class FileService final : public Actor {
 public:
    static constexpr uint64_t kDefaultTimeoutUs = 10'000'000;  // Of a request that names no deadline.
    static constexpr uint64_t kTimeoutMaxUs = 300'000'000;
    static constexpr uint64_t kHousekeepingEveryUs = 200'000;  // At most so often,
    static constexpr uint64_t kClockLagMaxUs = 300'000'000;    // and when nobody wrote for so long.

    void receive(Message message, Context& context) override;

 private:
    enum class Kind { kMutation, kQuery, kAllocation, kAudit, kHousekeeping, kClock };

    // A request as it came in.
    struct Origin {
        Kind kind = Kind::kMutation;
        size_t operation = 0;  // As operation_of() counts.
        ReplyTo asker;
        uint64_t since_us = 0;
        bool earlier_chunks = false;  // It names some that were placed before members last came, went or changed.
    };

    // A request that Raft or the state machine is asked about.
    struct Pending {
        Origin origin;
        pb::Query query;  // Of a query, an audit or the clock: what to ask the state machine.
    };

    void on_start_files(const pb::StartFiles& start, Context& context);
    void on_configuration_changed(const pb::RaftConfiguration& configuration);
    void on_role_changed(const pb::RoleChanged& role, Context& context);
    void on_unfinished_work(const pb::UnfinishedWork& work, Context& context);
    void on_timer_fired(Context& context);
    void on_mutation(Message message, Context& context);
    void on_query(Message message, Context& context);
    void on_allocate_chunks(Message message, Context& context);
    void on_chunk_audit(const Message& message, Context& context);
    void on_propose_reply(Message message, Context& context);
    void on_read_index_reply(const Message& message, Context& context);
    void on_query_result(Message message, Context& context);
    void on_request_failed(const Message& message, Context& context);

    // True when the request may go on; otherwise it has been answered.
    bool admit(const Origin& origin, bool leader_only, Context& context);
    // Raft or the state machine of this service's own group.
    void ask(pb::ActorKind whom, Message message, Pending pending, Context& context);
    bool take_pending(const Message& answer, Pending* pending);

    void answer(const Origin& origin, pb::StatusCode code, Message reply, Context& context);
    void refuse(const Origin& origin, pb::Status status, Context& context);
    void refuse(const Origin& origin, pb::StatusCode code, std::string_view why, Context& context);
    pb::Status not_leader(std::string_view leader_id) const;
    pb::Status status_for_client(const pb::Status& status) const;
    uint64_t time_left_us(const ReplyTo& asker, const Context& context) const;

    void answer_query(pb::QueryResult* result, Payload payload, const Pending& pending, Context& context);
    void answer_audit(pb::QueryResult* result, const Pending& pending, Context& context);
    void fill_addresses(pb::ChunkPlace* place) const;

    bool is_leader() const { return role_known_ && role_.role() == pb::RoleChanged::LEADER; }
    std::string command(pb::Command command, const Context& context) const;
    Outcome check_level(const pb::Mutation& mutation) const;
    Outcome check_allocated(const pb::Mutation& mutation) const;
    bool names_earlier_chunks(const pb::Mutation& mutation) const;
    void members_changed() { earlier_ = {allocation_term_, next_number_}; }
    // The cluster's clock as this node reckons it.
    uint64_t cluster_clock_us(const Context& context) const;
    void note_clock(uint64_t clock_us, const Context& context);
    void plan_housekeeping(Context& context);
    bool is_clock_unknown() const;
    void wait_for_clock(Message request, Context& context);
    void on_clock(const pb::QueryResult& result, Context& context);
    void refuse_waiting(const pb::Status& status, Context& context);
    static Origin origin_of(const Message& request, const Context& context);

    bool started_ = false;
    pb::StartFiles settings_;
    Placement placement_;
    bool role_known_ = false;
    pb::RoleChanged role_;
    uint32_t feature_level_ = 1;              // Of the log.
    uint64_t allocation_term_ = 0;            // Numbers below have been given out in this term.
    ChunkKey earlier_;                        // Chunks below were placed before members last came, went or changed.
    uint64_t cluster_clock_us_ = 0;           // As the state machine told,
    uint64_t clock_heard_at_us_ = 0;          // and when it did.
    std::optional<uint64_t> clockless_term_;  // The state was asked in this term of our leadership, and had no clock.
    uint64_t clock_asked_term_ = 0;
    std::deque<Message> waiting_;  // For the answer: mutations and allocations.
    uint64_t work_due_us_ = 0;     // By the cluster's clock; 0: nothing is left to be done.
    TimerId housekeeping_ = 0;
    bool housekeeping_proposed_ = false;
    uint64_t next_number_ = 1;
    std::map<RequestId, Pending> pending_;

    std::optional<RequestMetrics> metrics_;  // From the start on.
    Gauge* in_flight_ = nullptr;             // Likewise.
};

}  // namespace sandstore
