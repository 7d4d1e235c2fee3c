// NoOpReplicator (ACTOR_RAFT of a one-node cluster, --replicator=noop): the messages of RaftNode without consensus.
// What is durable in the log is committed. Log, state machine and file service cannot tell the difference.
//
// Hears: StartRaft, LogRecovered, StateMachineReady; Propose, ReadIndex, RaftStatusRequest; LogPersisted, LogRecords;
// Applied; Flush. Says: LogWrite, LogRead, Apply, ProposeReply, ReadIndexReply, RaftStatus, RoleChanged. Persists: a
// term that rises with every start (chunk ids count on it) and the entries, through the LogStore. Never: talks to
// another node.
#pragma once

#include <optional>
#include <vector>

#include "actors/log/record.h"
#include "actors/raft/apply_pump.h"
#include "actors/raft/entry_cache.h"
#include "actors/raft/proposal_table.h"
#include "actors/raft/raft_metrics.h"
#include "messages/envelope.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class NoOpReplicator final : public Actor {
 public:
    void receive(Message message, Context& context) override;

 private:
    void begin_when_ready(Context& context);
    void write_first_entries(Context& context);
    void on_propose(Message message, Context& context);
    void on_flush(Context& context);
    void on_read_index(const Message& message, Context& context);
    void on_log_persisted(const pb::LogPersisted& persisted, Context& context);
    void on_applied(pb::Applied* applied, Context& context);
    void on_status_request(const Message& message, Context& context);
    void append(RecordType type, const Payload& data);
    void write(Context& context, bool with_term);
    void pump(Context& context);

    void refuse(const ReplyTo& asker, pb::StatusCode code, std::string_view why, Context& context);

    std::optional<pb::StartRaft> start_;
    std::optional<RaftMetrics> metrics_;  // From StartRaft on.
    std::optional<pb::LogRecovered> recovered_;
    std::optional<uint64_t> state_machine_index_;
    bool started_ = false;  // The term of this start is durable.
    uint64_t term_ = 0;
    uint64_t commit_index_ = 0;
    uint64_t last_write_ = 0;
    uint64_t unwritten_bytes_ = 0;  // Appended, not durable yet.
    EntryCache cache_;
    ApplyPump applier_;
    ProposalTable proposals_;
    std::string encoded_;  // Entries of the write being formed.
    uint64_t first_encoded_ = 0;
    uint32_t encoded_count_ = 0;
    std::vector<std::pair<Payload, ReplyTo>> batch_;
    bool flush_pending_ = false;
};

}  // namespace sandstore
