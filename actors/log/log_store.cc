#include "actors/log/log_store.h"

#include "actors/log/log_store_parts.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"

namespace sandstore {

LogStore::Metrics::Metrics(MetricsRegistry& registry)
    : sync_seconds(registry.histogram("sandstore_wal_fsync_duration_seconds",
                                      "One write to the log with its sync, on the disk.")),
      bytes(registry.counter("sandstore_wal_append_bytes_total", "Bytes written to the log, block headers included.")),
      blocks(registry.counter("sandstore_wal_blocks_total", "Blocks written to the log: one sync each.")),
      records(registry.counter("sandstore_wal_records_total", "Records written to the log.")),
      writes(registry.counter("sandstore_wal_writes_total", "Writes of Raft made durable; several may share a block.")),
      segments_made(registry.counter("sandstore_wal_segments_made_total", "Segments of the log begun.")),
      segments(registry.gauge("sandstore_wal_segments", "Segments of the log on disk.")),
      last_index(registry.gauge("sandstore_wal_last_index", "Last index that is durable on this node.")) {}

LogStore::LogStore() = default;
LogStore::~LogStore() = default;

void LogStore::receive(Message message, Context& context) {
    if (state_ == State::kStopped) return;
    switch (message->body_case()) {
        case pb::Envelope::kStartLog:
            return on_start_log(message->start_log(), context);
        case pb::Envelope::kLogWrite:
            return on_log_write(std::move(message), context);
        case pb::Envelope::kLogCompact:
            return on_log_compact(message->log_compact(), context);
        case pb::Envelope::kLogRead:
            return on_log_read(message, context);
        case pb::Envelope::kDiskReply:
            return on_disk_reply(std::move(message), context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(message, context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(message->timer_fired(), context);
        default:
            context.unexpected(message);
    }
}

// --- Boot

void LogStore::on_start_log(const pb::StartLog& start, Context& context) {
    SANDSTORE_CHECK(state_ == State::kNew, "the log is started twice");
    start_ = start;
    if (start_.directory().empty()) start_.set_directory(std::string(kLogDirectory));
    if (start_.segment_bytes() == 0) start_.set_segment_bytes(kSegmentBytesDefault);
    start_.set_segment_bytes(round_up(start_.segment_bytes(), kSegmentHeaderBytes));
    if (start_.segment_bytes() < kSegmentBytesMin || start_.segment_bytes() > kSegmentBytesMax) {
        return stop(str_cat("The log's segments cannot be ", start.segment_bytes(), " bytes long: from ",
                            kSegmentBytesMin, " to ", kSegmentBytesMax, " is possible"),
                    context);
    }
    if (start.cluster_id().size() > kIdBytesMax || start.node_id().size() > kIdBytesMax) {
        return stop(str_cat("The cluster id and the node id may be ", kIdBytesMax, " bytes long at most"), context);
    }
    metrics_ = std::make_unique<Metrics>(context.metrics());
    state_ = State::kRecovering;
    recovery_ = std::make_unique<LogRecovery>(start_);
    recovery_call_ = recovery_->begin();
    ask_recovery(context);
}

void LogStore::ask_recovery(Context& context) {
    recovery_request_ = ask_disk(recovery_call_, context);
}

void LogStore::on_recovery_reply(const pb::DiskReply& reply, const Payload& payload, Context& context) {
    if (is_out_of_space(reply) && !reply.sync_failed()) {
        context.warn("The disk is full; the log waits for space",
                     {{"error", describe_failure(recovery_call_.request, reply)}});
        context.arm_timer(kOutOfSpaceRetryUs, kRetryRecovery);
        return;
    }
    DiskCall next;
    const LogRecovery::Progress progress = recovery_->on_reply(recovery_call_, reply, payload, &next);
    switch (progress) {
        case LogRecovery::Progress::kMore:
            recovery_call_ = std::move(next);
            return ask_recovery(context);
        case LogRecovery::Progress::kRefused:
            return stop(recovery_->refusal(), context);
        case LogRecovery::Progress::kDone:
            return finish_recovery(context);
    }
}

void LogStore::finish_recovery(Context& context) {
    for (const std::string& note : recovery_->notes()) context.warn(note);
    RecoveredLog& log = recovery_->result();
    index_ = std::move(log.index);
    hard_state_ = log.hard_state;
    next_sequence_ = log.next_sequence;
    segment_ = log.segment;
    segments_.assign(log.segments.begin(), log.segments.end());
    spares_.assign(log.spares.begin(), log.spares.end());
    next_spare_number_ = log.next_spare_number;
    queued_first_index_ = index_.first_index();
    queued_last_index_ = index_.last_index();
    queued_hard_state_ = hard_state_;
    state_ = State::kRunning;

    pb::LogRecovered recovered;
    recovered.set_first_index(index_.first_index());
    recovered.set_last_index(index_.last_index());
    for (const LogIndex::Run& run : index_.term_runs()) {
        pb::TermRun* added = recovered.add_term_runs();
        added->set_first_index(run.first_index);
        added->set_term(run.term);
    }
    *recovered.mutable_hard_state() = hard_state_;
    for (auto& [index, configuration] : log.configurations) {
        pb::ConfigurationAt* added = recovered.add_configurations();
        added->set_index(index);
        added->set_configuration(std::move(configuration));
    }
    context.info("Log recovered", {{"first_index", index_.first_index()},
                                   {"last_index", index_.last_index()},
                                   {"term", hard_state_.term()},
                                   {"segments", segments_.size()}});
    metrics_->segments.set(static_cast<double>(segments_.size()));
    metrics_->last_index.set(static_cast<double>(index_.last_index()));
    recovery_.reset();
    recovery_call_ = {};
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(std::move(recovered)));
    if (index_.first_index() > 1) drop_dead_segments(context);  // The process before may have died over it.
    if (spares_.size() < spares_wanted()) make_spare(start_.segment_bytes(), context);
}

// --- Answers of the disk

RequestId LogStore::ask_disk(const DiskCall& call, Context& context) {
    return context.ask(pb::PORT_LOG_DISK, message_of(call.request, call.payload), kDiskTimeoutUs);
}

void LogStore::on_disk_reply(Message message, Context& context) {
    const RequestId request = message->reply_to();
    const pb::DiskReply& reply = message->disk_reply();
    const bool repeatable = request == write_request_ || request == spare_request_ || request == drop_request_ ||
                            request == recovery_request_;
    if (repeatable && is_passing_disk_error(reply.error()) && !reply.sync_failed()) {
        context.warn("The disk is short of something for a moment; the log tries again", {{"errno", reply.error()}});
        if (request == write_request_) forget_roll(reply.failed_operation());
        return ask_again_later(request, context);
    }
    if (request == write_request_) {
        write_request_ = 0;
        return on_write_reply(reply, context);
    }
    if (request == spare_request_) {
        spare_request_ = 0;
        return on_spare_reply(reply, context);
    }
    if (request == drop_request_) {
        drop_request_ = 0;
        return on_drop_reply(reply, context);
    }
    if (request == recovery_request_) {
        recovery_request_ = 0;
        return on_recovery_reply(reply, message.payload, context);
    }
    auto read = reads_.find(request);
    if (read == reads_.end()) return context.unexpected(message);
    const std::unique_ptr<PendingRead> done = std::move(read->second);
    reads_.erase(read);
    on_read_reply(*done, reply, message.payload, context);
}

void LogStore::on_request_failed(const Message& message, Context& context) {
    const RequestId request = message->reply_to();
    const pb::Status& status = message->request_failed().status();
    if (auto read = reads_.find(request); read != reads_.end()) {
        reply_records(read->second->reply_to, status.code(), status.message(), read->second->first_index, context);
        reads_.erase(read);
        return;
    }
    if (request != write_request_ && request != spare_request_ && request != drop_request_ &&
        request != recovery_request_) {
        return;
    }
    // Refused before it had any effect: there is only a queue to wait for.
    const bool busy = status.code() == pb::STATUS_RESOURCE_EXHAUSTED;
    if (!busy) {
        return stop(str_cat("The log's disk does not answer: ", status.message(),
                            ". Check the disk, then start the node again"),
                    context);
    }
    ask_again_later(request, context);
}

void LogStore::ask_again_later(RequestId request, Context& context) {
    if (request == write_request_) {
        write_request_ = 0;
        write_waits_for_retry_ = true;
        context.arm_timer(kBusyRetryUs, kRetryWrite);
    } else if (request == spare_request_) {
        spare_request_ = 0;
        context.arm_timer(kBusyRetryUs, kRetrySpare);
    } else if (request == drop_request_) {
        drop_request_ = 0;
        drop_waits_for_retry_ = true;
        context.arm_timer(kBusyRetryUs, kRetryDrop);
    } else {
        recovery_request_ = 0;
        context.arm_timer(kBusyRetryUs, kRetryRecovery);
    }
}

void LogStore::on_timer_fired(const pb::TimerFired& fired, Context& context) {
    switch (fired.tag()) {
        case kRetryRecovery:
            return ask_recovery(context);
        case kRetrySpare:
            spare_space_timer_ = 0;
            return ask_spare(context);
        case kRetryDrop:
            drop_waits_for_retry_ = false;
            drop_request_ = ask_disk(drop_call_, context);
            return;
        case kRetryWrite:
            write_waits_for_retry_ = false;
            write_request_ = ask_disk(write_call_, context);
            return;
        default:
            return;
    }
}

void LogStore::stop(std::string reason, Context& context) {
    state_ = State::kStopped;
    context.fail_stop(std::move(reason));
}

}  // namespace sandstore
