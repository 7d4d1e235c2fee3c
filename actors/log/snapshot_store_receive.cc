// SnapshotStore's receiving side: a leader's snapshot arrives in order, is read back and checked as a whole, and only
// then gets its name. What has arrived survives the connection and the process.
#include "actors/log/snapshot_store.h"
#include "actors/log/snapshot_store_parts.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

bool same_file(const pb::SnapshotMeta& a, const pb::SnapshotMeta& b) {
    return a.index() == b.index() && a.term() == b.term() && a.checksum() == b.checksum() &&
           a.file_bytes() == b.file_bytes();
}

bool same_meta(const pb::SnapshotMeta& a, const pb::SnapshotMeta& b) {
    return same_file(a, b) && a.configuration_index() == b.configuration_index() &&
           a.configuration().SerializeAsString() == b.configuration().SerializeAsString();
}

}  // namespace

void SnapshotStore::on_snapshot_receive(Message message, Context& context) {
    const pb::SnapshotReceive& receive = message->snapshot_receive();
    Arrival arrival{reply_to(message), receive.meta(), receive.offset(), std::move(message.payload)};
    if (state_ != State::kRunning) {
        const pb::Status status = make_status(pb::STATUS_UNAVAILABLE, "the snapshots are not recovered yet");
        return reply_received(arrival, status, 0, false, context);
    }
    if (arrivals_.size() >= kReceivesMax) {
        const pb::Status status = make_status(pb::STATUS_RESOURCE_EXHAUSTED, "too many pieces wait for the disk");
        return reply_received(arrival, status, 0, false, context);
    }
    arrivals_.push_back(std::move(arrival));
    take_next_arrival(context);
}

void SnapshotStore::take_next_arrival(Context& context) {
    while (!arrivals_.empty() && !tasks_[kReceive].busy()) {
        if (!answer_without_taking(arrivals_.front(), context)) return take_bytes(context);
        arrivals_.pop_front();
    }
}

bool SnapshotStore::is_received(const pb::SnapshotMeta& meta) const {
    return receiving_ != nullptr && same_file(receiving_->meta, meta);
}

// Whatever needs no write: questions, bytes for another place, snapshots that are here or of no use.
bool SnapshotStore::answer_without_taking(const Arrival& arrival, Context& context) {
    const pb::SnapshotMeta& meta = arrival.meta;
    if (find(meta.index(), meta.term()) != nullptr) {
        reply_received(arrival, {}, meta.file_bytes(), true, context);
        return true;
    }
    if (!kept_.empty() && meta.index() <= kept_.front().meta.index() && !planted("old-snapshot-installed")) {
        reply_received(arrival, make_status(pb::STATUS_ESTALE, "there is a newer snapshot here"), 0, false, context);
        return true;
    }
    if (arrival.bytes.empty() && planted("heartbeat-restarts-snapshot")) receiving_.reset();
    const uint64_t next_offset = is_received(meta) ? receiving_->next_offset : 0;
    if (meta.index() == 0 || arrival.offset > meta.file_bytes() ||
        arrival.bytes.size() > meta.file_bytes() - arrival.offset) {
        const pb::Status status = make_status(pb::STATUS_INVALID_ARGUMENT, "the bytes lie outside of the snapshot");
        reply_received(arrival, status, next_offset, false, context);
        return true;
    }
    const bool in_order = arrival.offset == next_offset || planted("snapshot-pieces-in-any-order");
    if (!arrival.bytes.empty() && in_order) return false;
    reply_received(arrival, {}, next_offset, false, context);
    return true;
}

// The order is what a crash can rely on: the bytes of the snapshot before are gone before the new description is there,
// and that is durable before its first byte.
void SnapshotStore::begin_receiving(const pb::SnapshotMeta& meta, DiskCall* call) {
    receiving_ = std::make_unique<Receiving>();
    receiving_->meta = meta;
    call->remove(path(kIncomingFile));
    call->replace(path(kIncomingMetaFile), Payload(encode_incoming_meta(meta)));
}

void SnapshotStore::take_bytes(Context& context) {
    Arrival& arrival = arrivals_.front();
    DiskCall call;
    if (!is_received(arrival.meta)) begin_receiving(arrival.meta, &call);
    SANDSTORE_CHECK(arrival.offset == receiving_->next_offset, "offset=", arrival.offset,
                    " next=", receiving_->next_offset);
    receiving_->next_offset += arrival.bytes.size();
    receiving_->unsynced_bytes += arrival.bytes.size();
    call.write(path(kIncomingFile), arrival.offset, std::move(arrival.bytes));
    const bool whole = receiving_->next_offset == receiving_->meta.file_bytes();
    if (whole || receiving_->unsynced_bytes >= kSyncBytes) {
        call.sync(path(kIncomingFile));
        receiving_->unsynced_bytes = 0;
    }
    ask_task(kReceive, std::move(call), context);
}

void SnapshotStore::on_receive_reply(const pb::DiskReply& reply, const Payload& payload, Context& context) {
    using Step = Receiving::Step;
    if (receiving_->step == Step::kGivingUp) {
        const pb::Status failure = receiving_->failure;
        receiving_.reset();
        return end_arrival(failure, false, context);
    }
    // The name is there, and only the description of what was being received is not gone: the next boot removes it.
    const bool named = receiving_->step == Step::kNaming && reply.failed_operation() > 0;
    if (reply.error() != 0 && !named)
        return give_up_receiving(status_of_failure(tasks_[kReceive].call, reply), context);
    switch (receiving_->step) {
        case Step::kTaking:
            if (receiving_->next_offset < receiving_->meta.file_bytes()) return end_arrival({}, false, context);
            receiving_->step = Step::kReadingBack;
            receiving_->checker.emplace(start_.cluster_id(), receiving_->meta.file_bytes());
            return read_back(context);
        case Step::kReadingBack:
            return on_read_back(payload, context);
        default:
            return finish_receiving(context);
    }
}

void SnapshotStore::read_back(Context& context) {
    const uint64_t offset = receiving_->checker->fed_bytes();
    DiskCall call;
    call.read(path(kIncomingFile), offset,
              std::min(SnapshotRecovery::kReadBytes, receiving_->meta.file_bytes() - offset));
    ask_task(kReceive, std::move(call), context);
}

void SnapshotStore::on_read_back(const Payload& payload, Context& context) {
    SnapshotChecker& checker = *receiving_->checker;
    const SnapshotChecker::Verdict verdict = checker.feed(payload);
    if (verdict == SnapshotChecker::Verdict::kMore && !payload.empty()) return read_back(context);
    if (verdict != SnapshotChecker::Verdict::kWhole) {
        const bool wrong_source =
            verdict == SnapshotChecker::Verdict::kForeign || verdict == SnapshotChecker::Verdict::kUnknownVersion;
        const std::string why = checker.problem().empty() ? "it ends too early" : checker.problem();
        return give_up_receiving(make_status(wrong_source ? pb::STATUS_INVALID_ARGUMENT : pb::STATUS_CORRUPTED,
                                             str_cat("the snapshot received cannot be used: ", why)),
                                 context);
    }
    if (!same_meta(checker.meta(), receiving_->meta) && !planted("snapshot-checksum-ignored")) {
        return give_up_receiving(
            make_status(pb::STATUS_CORRUPTED, "the snapshot received is not the one that was announced"), context);
    }
    receiving_->step = Receiving::Step::kNaming;
    DiskCall call;
    call.rename(path(kIncomingFile), path(snapshot_file(receiving_->meta.index(), receiving_->meta.term())));
    call.remove(path(kIncomingMetaFile));
    ask_task(kReceive, std::move(call), context);
}

void SnapshotStore::finish_receiving(Context& context) {
    const std::unique_ptr<Receiving> done = std::move(receiving_);
    keep({done->meta, done->checker->header_bytes()}, context);
    context.info("Snapshot received", {{"index", done->meta.index()}, {"bytes", done->meta.file_bytes()}});
    end_arrival({}, true, context);
}

// What has arrived is thrown away before the answer: a full disk has its space back.
void SnapshotStore::give_up_receiving(pb::Status status, Context& context) {
    context.warn("A snapshot could not be received", {{"index", receiving_->meta.index()}, {"why", status.message()}});
    receiving_->failure = std::move(status);
    receiving_->step = Receiving::Step::kGivingUp;
    DiskCall call;
    call.remove(path(kIncomingFile));
    call.remove(path(kIncomingMetaFile));
    ask_task(kReceive, std::move(call), context);
}

void SnapshotStore::end_arrival(const pb::Status& status, bool complete, Context& context) {
    tasks_[kReceive] = {};
    const Arrival arrival = std::move(arrivals_.front());
    arrivals_.pop_front();
    const uint64_t next_offset = complete ? arrival.meta.file_bytes() : receiving_ ? receiving_->next_offset : 0;
    reply_received(arrival, status, next_offset, complete, context);
    take_next_arrival(context);
}

void SnapshotStore::reply_received(const Arrival& arrival, const pb::Status& status, uint64_t next_offset,
                                   bool complete, Context& context) {
    pb::SnapshotReceived received;
    *received.mutable_status() = status;
    *received.mutable_meta() = arrival.meta;
    received.set_next_offset(next_offset);
    received.set_complete(complete);
    if (complete) {
        for (const KeptSnapshot& kept : kept_) *received.add_kept() = kept.meta;
    }
    context.reply(arrival.reply_to, message_of(std::move(received)));
}

}  // namespace sandstore
