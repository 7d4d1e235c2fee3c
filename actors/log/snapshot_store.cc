#include "actors/log/snapshot_store.h"

#include <algorithm>
#include <cerrno>

#include "actors/log/snapshot_store_parts.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"

namespace sandstore {

pb::Status status_of_failure(const DiskCall& call, const pb::DiskReply& reply) {
    const pb::StatusCode code = is_out_of_space(reply)                 ? pb::STATUS_ENOSPC
                                : reply.error() == ENOENT              ? pb::STATUS_ENOENT
                                : is_passing_disk_error(reply.error()) ? pb::STATUS_RESOURCE_EXHAUSTED
                                                                       : pb::STATUS_EIO;
    return make_status(code, describe_failure(call.request, reply));
}

SnapshotStore::SnapshotStore() = default;
SnapshotStore::~SnapshotStore() = default;

void SnapshotStore::receive(Message message, Context& context) {
    if (state_ == State::kStopped) return;
    switch (message->body_case()) {
        case pb::Envelope::kStartSnapshots:
            return on_start_snapshots(message->start_snapshots(), context);
        case pb::Envelope::kSaveSnapshot:
            return on_save_snapshot(message, context);
        case pb::Envelope::kStatePiece:
            return on_state_piece(message, context);
        case pb::Envelope::kSnapshotReceive:
            return on_snapshot_receive(std::move(message), context);
        case pb::Envelope::kSnapshotRead:
            return on_snapshot_read(message, context);
        case pb::Envelope::kSnapshotVerify:
            return on_snapshot_verify(message, context);
        case pb::Envelope::kReadSection:
            return on_read_section(message, context);
        case pb::Envelope::kDiskReply:
            return on_disk_reply(message, context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(message, context);
        case pb::Envelope::kTimerFired:
            if (message->timer_fired().tag() == kReadAgain) return read_again(context);
            return ask_again(static_cast<Task>(message->timer_fired().tag()), context);
        default:
            context.unexpected(message);
    }
}

// --- Boot

void SnapshotStore::on_start_snapshots(const pb::StartSnapshots& start, Context& context) {
    SANDSTORE_CHECK(state_ == State::kNew, "the snapshots are started twice");
    start_ = start;
    if (start_.directory().empty()) start_.set_directory(std::string(kSnapshotDirectory));
    if (start_.cluster_id().size() > kClusterIdBytesMax) {
        return stop(str_cat("The cluster id may be ", kClusterIdBytesMax, " bytes long at most"), context);
    }
    state_ = State::kRecovering;
    recovery_ = std::make_unique<SnapshotRecovery>(start_);
    ask_task(kBoot, recovery_->begin(), context);
}

void SnapshotStore::on_boot_reply(const pb::DiskReply& reply, const Payload& payload, Context& context) {
    if ((is_out_of_space(reply) || is_passing_disk_error(reply.error())) && !reply.sync_failed()) {
        context.warn("The disk is full or short of something; the snapshots wait",
                     {{"error", describe_failure(tasks_[kBoot].call.request, reply)}});
        return retry_later(kBoot, kOutOfSpaceRetryUs, context);
    }
    DiskCall next;
    switch (recovery_->on_reply(tasks_[kBoot].call, reply, payload, &next)) {
        case SnapshotRecovery::Progress::kMore:
            return ask_task(kBoot, std::move(next), context);
        case SnapshotRecovery::Progress::kRefused:
            return stop(recovery_->refusal(), context);
        case SnapshotRecovery::Progress::kDone:
            return finish_recovery(context);
    }
}

void SnapshotStore::finish_recovery(Context& context) {
    for (const std::string& note : recovery_->notes()) context.warn(note);
    RecoveredSnapshots& found = recovery_->result();
    kept_ = std::move(found.kept);
    set_aside_ = std::move(found.damaged);
    if (found.incoming) {
        receiving_ = std::make_unique<Receiving>();
        receiving_->meta = *found.incoming;
        receiving_->next_offset = found.incoming_bytes;
    }
    recovery_.reset();
    tasks_[kBoot] = {};
    state_ = State::kRunning;
    pb::SnapshotsRecovered recovered;
    for (const KeptSnapshot& kept : kept_) *recovered.add_snapshots() = kept.meta;
    context.info("Snapshots recovered",
                 {{"count", kept_.size()}, {"newest", kept_.empty() ? 0 : kept_.front().meta.index()}});
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(std::move(recovered)));
}

// --- The disk

void SnapshotStore::ask_task(Task task, DiskCall call, Context& context) {
    SANDSTORE_CHECK(!tasks_[task].busy(), "task=", task);
    tasks_[task].call = std::move(call);
    ask_again(task, context);
}

void SnapshotStore::ask_again(Task task, Context& context) {
    SANDSTORE_CHECK(task < kTasks, "task=", task);
    TaskCall& asked = tasks_[task];
    asked.waits_for_retry = false;
    asked.request =
        context.ask(pb::PORT_CHUNK_DISK, message_of(asked.call.request, asked.call.payload), kDiskTimeoutUs);
}

void SnapshotStore::retry_later(Task task, uint64_t delay_us, Context& context) {
    tasks_[task].waits_for_retry = true;
    context.arm_timer(delay_us, task);
}

void SnapshotStore::on_disk_reply(const Message& message, Context& context) {
    const RequestId request = message->reply_to();
    const pb::DiskReply& reply = message->disk_reply();
    if (auto read = reads_.extract(request); !read.empty()) {
        return on_read_reply(std::move(read.mapped()), reply, message.payload, context);
    }
    const auto task = std::find_if(tasks_.begin(), tasks_.end(),
                                   [&](const TaskCall& asked) { return request != 0 && asked.request == request; });
    if (task == tasks_.end()) return context.unexpected(message);
    task->request = 0;
    if (reply.sync_failed()) {
        return stop(str_cat("A snapshot could not be made durable: ", describe_failure(task->call.request, reply),
                            ". What is on disk is unknown now. Check the disk, then start the node again"),
                    context);
    }
    switch (task - tasks_.begin()) {
        case kBoot:
            return on_boot_reply(reply, message.payload, context);
        case kSave:
            return on_save_reply(reply, context);
        case kReceive:
            return on_receive_reply(reply, message.payload, context);
        case kSetAside:
            return on_set_aside_reply(reply, context);
        default:
            return on_retire_reply(reply, context);
    }
}

void SnapshotStore::on_request_failed(const Message& message, Context& context) {
    const RequestId request = message->reply_to();
    const pb::Status& status = message->request_failed().status();
    if (auto read = reads_.extract(request); !read.empty()) {
        const bool is_busy = status.code() == pb::STATUS_RESOURCE_EXHAUSTED;
        if (is_busy && may_be_read_again(*read.mapped(), EBUSY)) return read_later(std::move(read.mapped()), context);
        return fail_read(*read.mapped(), status.code(), status.message(), context);
    }
    if (saving_ != nullptr && request == saving_->piece_request) {
        saving_->piece_request = 0;
        return fail_save(make_status(status.code(), str_cat("the state could not be read: ", status.message())),
                         context);
    }
    const auto task = std::find_if(tasks_.begin(), tasks_.end(),
                                   [&](const TaskCall& asked) { return request != 0 && asked.request == request; });
    if (task == tasks_.end()) return;
    task->request = 0;
    if (status.code() != pb::STATUS_RESOURCE_EXHAUSTED) {
        return stop(str_cat("The disk of the snapshots does not answer: ", status.message(),
                            ". Check the disk, then start the node again"),
                    context);
    }
    // Refused before it had any effect: there is only a queue to wait for.
    retry_later(static_cast<Task>(task - tasks_.begin()), kBusyRetryUs, context);
}

// --- Files

std::string SnapshotStore::path(std::string_view name) const {
    return str_cat(start_.directory(), "/", name);
}

const KeptSnapshot* SnapshotStore::find(uint64_t index, uint64_t term) const {
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const KeptSnapshot& kept) {
        return kept.meta.index() == index && kept.meta.term() == term;
    });
    return found == kept_.end() ? nullptr : &*found;
}

// A new file is durable under its name: what is too old goes. Whoever reads that gets ENOENT.
void SnapshotStore::keep(KeptSnapshot snapshot, Context& context) {
    std::erase_if(kept_, [&](const KeptSnapshot& kept) {
        return kept.meta.index() == snapshot.meta.index() && kept.meta.term() == snapshot.meta.term();
    });
    kept_.push_back(std::move(snapshot));
    std::sort(kept_.begin(), kept_.end(), [](const KeptSnapshot& a, const KeptSnapshot& b) {
        return std::pair(a.meta.index(), a.meta.term()) > std::pair(b.meta.index(), b.meta.term());
    });
    for (; kept_.size() > kSnapshotsKept; kept_.pop_back()) {
        retired_.push_back(path(snapshot_file(kept_.back().meta.index(), kept_.back().meta.term())));
    }
    retire_next(context);
}

void SnapshotStore::retire_next(Context& context) {
    if (tasks_[kRetire].busy() || retired_.empty()) return;
    DiskCall call;
    call.remove(retired_.front());
    ask_task(kRetire, std::move(call), context);
}

void SnapshotStore::on_retire_reply(const pb::DiskReply& reply, Context& context) {
    if (reply.error() != 0) {
        context.warn("An old snapshot could not be removed; the next start of the node tries again",
                     {{"error", describe_failure(tasks_[kRetire].call.request, reply)}});
    }
    retired_.pop_front();
    retire_next(context);
}

void SnapshotStore::stop(std::string reason, Context& context) {
    state_ = State::kStopped;
    context.fail_stop(std::move(reason));
}

}  // namespace sandstore
