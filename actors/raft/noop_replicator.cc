#include "actors/raft/noop_replicator.h"

#include <algorithm>

#include "actors/raft/feature_check.h"
#include "actors/raft/feature_level.h"
#include "runtime/check.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

constexpr uint64_t kUnwrittenBytesMax = 64u << 20;

}  // namespace

void NoOpReplicator::receive(Message message, Context& context) {
    switch (message->body_case()) {
        case pb::Envelope::kStartRaft:
            start_ = message->start_raft();
            metrics_.emplace(context.metrics());
            applier_.set_metrics(context.metrics());
            return begin_when_ready(context);
        case pb::Envelope::kLogRecovered:
            recovered_ = message->log_recovered();
            return begin_when_ready(context);
        case pb::Envelope::kSnapshotsRecovered:
            return;  // A log that was never compacted needs none.
        case pb::Envelope::kStateMachineReady:
            state_machine_index_ = message->state_machine_ready().applied_index();
            return begin_when_ready(context);
        case pb::Envelope::kPropose:
            return on_propose(std::move(message), context);
        case pb::Envelope::kFlush:
            return on_flush(context);
        case pb::Envelope::kReadIndex:
            return on_read_index(message, context);
        case pb::Envelope::kLogPersisted:
            return on_log_persisted(message->log_persisted(), context);
        case pb::Envelope::kLogRecords:
        case pb::Envelope::kRequestFailed:
            if (applier_.on_log_answer(context, message, !proposals_.empty())) pump(context);
            return;
        case pb::Envelope::kApplied:
            return on_applied(message->mutable_applied(), context);
        case pb::Envelope::kRaftStatusRequest:
            return on_status_request(message, context);
        case pb::Envelope::kPeerUp:
        case pb::Envelope::kPeerDown:
            return;  // There are no peers that matter.
        default:
            context.unexpected(message);
    }
}

void NoOpReplicator::begin_when_ready(Context& context) {
    if (last_write_ != 0 || !start_ || !recovered_ || !state_machine_index_) return;
    if (recovered_->first_index() > 1) {
        return context.fail_stop(
            "This data directory belonged to a cluster and holds snapshots: start it with --replicator=raft");
    }
    if (const std::string problem = feature_problem(*recovered_, nullptr, kFeatureLevel); !problem.empty()) {
        return context.fail_stop(problem);
    }
    applier_.start(*state_machine_index_);
    commit_index_ = recovered_->last_index();  // Everything durable is committed.
    cache_ = EntryCache(kUnwrittenBytesMax, recovered_->last_index() + 1);
    term_ = recovered_->hard_state().term() + 1;
    write_first_entries(context);
    pump(context);
}

void NoOpReplicator::write_first_entries(Context& context) {
    if (recovered_->last_index() == 0) {
        pb::RaftConfiguration configuration;
        configuration.add_voters(start_->node_id());
        configuration.set_feature_level(kFeatureLevel);
        append(RecordType::kConfiguration, Payload(configuration.SerializeAsString()));
    }
    append(RecordType::kNoOp, Payload());
    write(context, true);
}

void NoOpReplicator::append(RecordType type, const Payload& data) {
    if (encoded_count_ == 0) first_encoded_ = cache_.next_index();
    append_record(&encoded_, term_, first_encoded_ + encoded_count_, type, data);
    encoded_count_++;
}

void NoOpReplicator::write(Context& context, bool with_term) {
    pb::LogWrite log_write;
    log_write.set_write_id(++last_write_);
    if (with_term) {
        log_write.mutable_hard_state()->set_term(term_);
        log_write.mutable_hard_state()->set_voted_for(start_->node_id());
    }
    log_write.set_first_index(first_encoded_);
    log_write.set_record_count(encoded_count_);
    Payload records(std::move(encoded_));
    unwritten_bytes_ += records.size();
    RecordReader reader(records);
    Record record;
    while (reader.next(&record)) cache_.append(record.bytes);
    encoded_.clear();
    encoded_count_ = 0;
    context.send(pb::ACTOR_LOG, message_of(std::move(log_write), std::move(records)));
}

void NoOpReplicator::refuse(const ReplyTo& asker, pb::StatusCode code, std::string_view why, Context& context) {
    if (metrics_) metrics_->proposals_failed(code, 1);
    pb::ProposeReply reply;
    *reply.mutable_status() = make_status(code, why);
    context.reply(asker, message_of(std::move(reply)));
}

void NoOpReplicator::on_propose(Message message, Context& context) {
    const ReplyTo asker = reply_to(message);
    if (metrics_) metrics_->proposal_arrived();
    if (!started_) return refuse(asker, pb::STATUS_UNAVAILABLE, "this node is starting", context);
    if (unwritten_bytes_ >= kUnwrittenBytesMax) {
        return refuse(asker, pb::STATUS_RESOURCE_EXHAUSTED, "too much waits for the disk", context);
    }
    if (message.payload.size() > kRecordDataBytesMax) {
        return refuse(asker, pb::STATUS_INVALID_ARGUMENT, "the command is too large for the log", context);
    }
    batch_.emplace_back(std::move(message.payload), asker);
    if (flush_pending_) return;
    flush_pending_ = true;
    context.send(context.self(), message_of(pb::Flush()));
}

void NoOpReplicator::on_flush(Context& context) {
    flush_pending_ = false;
    for (auto& [data, asker] : batch_) {
        append(RecordType::kCommand, data);
        proposals_.add(first_encoded_ + encoded_count_ - 1, std::move(asker));
    }
    batch_.clear();
    metrics_->set_pending(proposals_.size());
    write(context, false);
}

void NoOpReplicator::on_read_index(const Message& message, Context& context) {
    pb::ReadIndexReply reply;
    if (!started_) {
        *reply.mutable_status() = make_status(pb::STATUS_UNAVAILABLE, "this node is starting");
    } else {
        reply.set_index(commit_index_);
    }
    context.reply(reply_to(message), message_of(std::move(reply)));
}

void NoOpReplicator::on_log_persisted(const pb::LogPersisted& persisted, Context& context) {
    SANDSTORE_CHECK(persisted.last_index() >= commit_index_, "persisted=", persisted.last_index(),
                    " commit=", commit_index_);
    for (uint64_t index = commit_index_ + 1; index <= persisted.last_index(); index++) {
        unwritten_bytes_ -= std::min(unwritten_bytes_, cache_.record_bytes(index));
    }
    commit_index_ = persisted.last_index();
    if (!started_) {
        started_ = true;
        metrics_->elections_won.add();
        context.info("Became Leader", {{"term", term_}, {"index", commit_index_}, {"votes", "1/1"}, {"took", "0ms"}});
        for (const pb::ActorKind listener : {pb::ACTOR_FILES, pb::ACTOR_STATUS, pb::ACTOR_REPAIRER, pb::ACTOR_MOVER}) {
            pb::RoleChanged role;
            role.set_role(pb::RoleChanged::LEADER);
            role.set_term(term_);
            role.set_leader_id(start_->node_id());
            context.send(Address(listener), message_of(std::move(role)));
        }
    }
    pump(context);
}

void NoOpReplicator::on_applied(pb::Applied* applied, Context& context) {
    applier_.on_applied(*applied, context);
    proposals_.resolve(context, applied);
    metrics_->set_pending(proposals_.size());
    cache_.evict(std::min(applier_.applied_index(), commit_index_));
    pump(context);
}

void NoOpReplicator::pump(Context& context) {
    applier_.pump(context, cache_, commit_index_, !proposals_.empty());
}

void NoOpReplicator::on_status_request(const Message& message, Context& context) {
    pb::RaftStatus status;
    if (recovered_ && start_) {
        status.set_feature_level(kFeatureLevel);
        status.set_role(started_ ? pb::RoleChanged::LEADER : pb::RoleChanged::FOLLOWER);
        status.set_term(term_);
        if (started_) status.set_leader_id(start_->node_id());
        status.set_first_index(recovered_->first_index());
        status.set_last_index(cache_.next_index() - 1);
        status.set_commit_index(commit_index_);
        status.set_applied_index(applier_.applied_index());
        status.add_voters(start_->node_id());
    }
    context.reply(reply_to(message), message_of(std::move(status)));
}

}  // namespace sandstore
