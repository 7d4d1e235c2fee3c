// The client library's actor: a program's requests become requests to the right servers, repeated until they end.
//
// In:   StartClient; requests with a deadline: Mutation and Query (session, sequence and oldest_needed are filled in
//       here), ClientWrite (bytes in the payload), ClientRead, ClientReadChunk, ClusterStatusRequest; Drain (ends the
//       session).
// Out:  the answer to each, exactly once and before its deadline: MutationResult, QueryResult, ClientWriteReply,
//       ClientReadReply and ClientReadChunkReply (bytes in the payload), ClusterStatus, StatusReply. Their status tells
//       how it ended: the state machine's own code, or DEADLINE_EXCEEDED and UNAVAILABLE when there was no answer; for
//       a mutation the message then says whether it may have happened.
// Asks: FileService ("@host:port" files) for mutations, queries and places of chunks; ChunkService for their bytes;
//       StatusService for the cluster's status.
// Persists nothing. Never applies a mutation twice, never makes part of a write visible, never returns unverified
// bytes.
//
// leader_finder.h knows the servers, calls.h repeats requests, mutations.h owns the session, and operation.h is what
// one request of the program does (simple_operations.cc, write_operation.cc, read_operation.cc,
// read_chunk_operation.cc, merge_operation.cc, abandon_operation.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "client/calls.h"
#include "client/mutations.h"
#include "client/operation.h"
#include "runtime/actor.h"

namespace sandstore {

class ClientActor final : public Actor {
 public:
    // For requests without a deadline.
    static constexpr uint64_t kDefaultTimeoutUs = 30'000'000;
    // Answers leave this long before the deadline (or a tenth of the time there is), to arrive in time.
    static constexpr uint64_t kAnswerMarginUs = 20'000;

    void receive(Message message, Context& context) override;

    const LeaderFinder& finder() const { return calls_.finder(); }
    size_t operations() const { return operations_.size(); }
    bool has_afterwork() const { return afterwork_ > 0; }
    size_t open_calls() const { return calls_.open(); }

 private:
    using MakeOperation = std::unique_ptr<Operation> (*)(uint64_t, ReplyTo, uint64_t, Message&);

    void on_start_client(const pb::StartClient& start, Context& context);
    void on_request(Message message, MakeOperation make, Context& context);
    void on_timer_fired(const pb::TimerFired& timer, Context& context);
    void on_reply(Message message, Context& context);
    void on_drain(const Message& message, Context& context);
    void close_session(Context& context);

    void settle(std::vector<CallEnd> ended, Context& context);
    void end_if_finished(uint64_t id, Context& context);
    void refuse(const Message& request, pb::Status status, Context& context);
    Work work(Context& context) { return {context, calls_, mutations_, settings_, chunk_bytes_max_}; }

    ClientSettings settings_;
    uint64_t chunk_bytes_max_ = 0;
    bool started_ = false;
    bool draining_ = false;
    ReplyTo drain_asker_;
    bool drain_waits_ = false;  // For the afterwork.
    size_t afterwork_ = 0;      // Operations that go on after their answer.
    Calls calls_;
    Mutations mutations_;
    std::unordered_map<uint64_t, std::unique_ptr<Operation>> operations_;  // Looked up only, never walked.
    uint64_t next_operation_ = 1;
    uint64_t write_bytes_ = 0;
};

}  // namespace sandstore
