// RaftNode: snapshots taken, sent to peers, received from a leader, restored.
#include <algorithm>
#include <utility>

#include "actors/raft/raft_node.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kAnswerTimeoutUs = 60'000'000;
constexpr uint64_t kWholeTimeoutUs = 3'600'000'000;  // Of writing or restoring a whole snapshot.
// While a snapshot travels, the next one is put off, up to a log of so many times the usual size: the peer must find
// the entries after it, or it would be sent snapshots for ever.
constexpr uint64_t kLogGrowthDuringTransfer = 4;

pb::Status status_of(const Message& answer, const pb::Status& own) {
    return answer->has_request_failed() ? answer->request_failed().status() : own;
}

}  // namespace

// --- Taking

void RaftNode::on_request_snapshot(const Message& message, Context& context) {
    pb::SnapshotSaved reply;
    if (core_ == nullptr || applier_.paused()) {
        fill_status(pb::STATUS_UNAVAILABLE, "this node is starting, or restoring a snapshot", reply.mutable_status());
    } else if (applier_.applied_index() <= snapshot_index()) {
        if (!snapshots_.empty()) *reply.mutable_meta() = snapshots_.front();  // There is nothing new.
    } else {
        snapshot_askers_.push_back(reply_to(message));
        if (take_request_ == 0 && save_request_ == 0) take_snapshot(context);
        return;
    }
    context.reply(reply_to(message), message_of(std::move(reply)));
}

// By size of the log since the last one.
void RaftNode::consider_snapshot(Context& context) {
    if (options_->snapshot_log_bytes == 0 || take_request_ != 0 || save_request_ != 0 || applier_.paused()) return;
    const uint64_t log_bytes = applier_.sent_bytes() - sent_bytes_at_snapshot_;
    const uint64_t limit = options_->snapshot_log_bytes * (transfers_.empty() ? 1 : kLogGrowthDuringTransfer);
    if (log_bytes >= limit && applier_.applied_index() > snapshot_index()) take_snapshot(context);
}

void RaftNode::take_snapshot(Context& context) {
    sent_bytes_at_snapshot_ = applier_.sent_bytes();
    snapshot_began_us_ = context.now_us();
    take_request_ =
        context.ask(neighbour(pb::ACTOR_STATE_MACHINE, context), message_of(pb::TakeSnapshot()), kAnswerTimeoutUs);
}

bool RaftNode::on_snapshot_answer(const Message& message, Context& context) {
    const RequestId request = message->reply_to();
    if (request == take_request_) {
        on_snapshot_taken(message, context);
    } else if (request == save_request_) {
        on_snapshot_saved(message, context);
    } else if (request == restore_request_) {
        on_snapshot_restored(message, context);
    } else if (auto received = receiving_.extract(request); !received.empty()) {
        on_snapshot_received(message, received.mapped(), context);
    } else if (auto read = reads_for_transfers_.extract(request); !read.empty()) {
        on_snapshot_bytes(message, read.mapped(), context);
    } else {
        return false;
    }
    return true;
}

void RaftNode::on_snapshot_taken(const Message& message, Context& context) {
    take_request_ = 0;
    const pb::SnapshotTaken& taken = message->snapshot_taken();
    const pb::Status status = status_of(message, taken.status());
    if (status.code() != pb::STATUS_OK) return snapshot_failed(status, context);
    const std::optional<uint64_t> term = core_->terms().term_at(taken.index());
    if (!term || taken.index() <= snapshot_index()) {
        // A leader's snapshot went past it meanwhile.
        context.send(neighbour(pb::ACTOR_STATE_MACHINE, context), message_of(pb::DropSnapshot()));
        pb::Status overtaken;
        fill_status(pb::STATUS_UNAVAILABLE, "a newer snapshot came in meanwhile", &overtaken);
        return snapshot_failed(overtaken, context);
    }
    pb::SaveSnapshot save;
    pb::SnapshotMeta* meta = save.mutable_meta();
    meta->set_index(taken.index());
    meta->set_term(*term);
    const ConfigurationHistory::Entry& in_force = core_->configurations().at(taken.index());
    *meta->mutable_configuration() = in_force.configuration.message();
    meta->set_configuration_index(in_force.index);
    save_request_ = context.ask(neighbour(pb::ACTOR_SNAPSHOTS, context), message_of(std::move(save)), kWholeTimeoutUs);
}

void RaftNode::on_snapshot_saved(const Message& message, Context& context) {
    save_request_ = 0;
    pb::SnapshotSaved saved = message->snapshot_saved();
    const pb::Status status = status_of(message, saved.status());
    if (status.code() != pb::STATUS_OK) {
        context.send(neighbour(pb::ACTOR_STATE_MACHINE, context), message_of(pb::DropSnapshot()));
        return snapshot_failed(status, context);
    }
    snapshots_.assign(saved.kept().begin(), saved.kept().end());
    metrics_->snapshot_save.observe_us(context.now_us() - snapshot_began_us_);
    context.info("Snapshot taken", {{"index", saved.meta().index()},
                                    {"bytes", saved.meta().file_bytes()},
                                    {"took", str_cat((context.now_us() - snapshot_began_us_) / 1000, "ms")}});
    compact_log(context);
    for (const ReplyTo& asker : snapshot_askers_) context.reply(asker, message_of(pb::SnapshotSaved(saved)));
    snapshot_askers_.clear();
}

void RaftNode::snapshot_failed(pb::Status status, Context& context) {
    metrics_->snapshots_failed.add();
    context.warn("no snapshot could be taken", {{"why", status.message()}});
    for (const ReplyTo& asker : snapshot_askers_) {
        pb::SnapshotSaved reply;
        *reply.mutable_status() = status;
        context.reply(asker, message_of(std::move(reply)));
    }
    snapshot_askers_.clear();
}

// What the older of the two snapshots holds may go: damage to the newer one can then still be survived, and a follower
// that is a little behind finds its entries. What a peer will need after the snapshot that it is being sent stays too.
void RaftNode::compact_log(Context& context) {
    if (snapshots_.size() < 2) return;
    uint64_t index = snapshots_.back().index();
    if (const std::optional<uint64_t> travelling = transferred_index()) index = std::min(index, *travelling);
    if (planted("compaction-ahead-of-snapshot")) index = applier_.applied_index();
    index = std::min({index, applier_.applied_index(), core_->compactable_index()});
    if (index < core_->first_index()) return;
    core_->compact(index);
    pb::LogCompact compact;
    compact.set_first_index(index + 1);
    context.send(neighbour(pb::ACTOR_LOG, context), message_of(std::move(compact)));
}

// --- Receiving

void RaftNode::on_install_snapshot(const Message& message, Context& context) {
    if (core_ == nullptr || message->from_node().empty()) return;
    const pb::InstallSnapshot& request = message->install_snapshot();
    const bool wanted = core_->on_install_snapshot(input(context), message->from_node(), request);
    carry_out(context);
    if (!wanted || receiving_.size() >= kPiecesBeingReceived) return;
    if (installing_index_ != request.meta().index()) {
        installing_index_ = request.meta().index();
        install_began_us_ = context.now_us();
    }
    pb::SnapshotReceive receive;
    *receive.mutable_meta() = request.meta();
    receive.set_offset(request.offset());
    const Address store = neighbour(pb::ACTOR_SNAPSHOTS, context);
    receiving_[context.ask(store, message_of(std::move(receive), message.payload), kAnswerTimeoutUs)] =
        message->from_node();
}

void RaftNode::on_snapshot_received(const Message& message, const std::string& leader, Context& context) {
    const pb::SnapshotReceived& received = message->snapshot_received();
    const pb::Status status = status_of(message, received.status());
    const bool is_bad = status.code() == pb::STATUS_CORRUPTED;
    if (status.code() != pb::STATUS_OK && !is_bad) {
        context.warn("a leader's snapshot cannot be taken in", {{"why", status.message()}});
        return;  // The leader asks again.
    }
    if (received.complete()) install(received, context);
    pb::InstallSnapshotReply reply;
    reply.set_index(received.meta().index());
    reply.set_snapshot_term(received.meta().term());
    reply.set_checksum(received.meta().checksum());
    reply.set_next_offset(is_bad ? 0 : received.next_offset());
    reply.set_installed(received.complete());
    reply.set_failed(is_bad);
    core_->reply_to_install(input(context), leader, std::move(reply));
    carry_out(context);
}

void RaftNode::install(const pb::SnapshotReceived& received, Context& context) {
    snapshots_.assign(received.kept().begin(), received.kept().end());
    const RaftCore::InstallOutcome outcome = core_->install_snapshot(input(context), received.meta());
    if (outcome == RaftCore::InstallOutcome::kRestarted) {
        context.info("the log begins anew after a leader's snapshot", {{"index", received.meta().index()}});
        installing_ = true;
        restore(received.meta(), context);
    } else {
        end_install(context);
    }
    carry_out(context);
}

void RaftNode::end_install(Context& context) {
    if (installing_index_ == 0) return;  // What was restored was found at the start.
    installing_index_ = 0;
    metrics_->snapshot_install.observe_us(context.now_us() - install_began_us_);
}

// The state machine takes over the snapshot's state; until then it is sent nothing.
void RaftNode::restore(const pb::SnapshotMeta& meta, Context& context) {
    applier_.pause();
    restoring_ = meta;
    pb::RestoreSnapshot request;
    *request.mutable_meta() = meta;
    restore_request_ =
        context.ask(neighbour(pb::ACTOR_STATE_MACHINE, context), message_of(std::move(request)), kWholeTimeoutUs);
}

void RaftNode::on_snapshot_restored(const Message& message, Context& context) {
    restore_request_ = 0;
    const pb::Status status = status_of(message, message->snapshot_restored().status());
    if (status.code() != pb::STATUS_OK) {
        return context.fail_stop(
            str_cat("The snapshot up to entry ", restoring_.index(), " cannot be restored: ", status.message(),
                    ". Remove it to use the older one, or empty the data directory and add this node anew"));
    }
    SANDSTORE_CHECK(message->snapshot_restored().index() == restoring_.index(), "restored up to ",
                    message->snapshot_restored().index(), " instead of ", restoring_.index());
    // A node that starts from its own snapshot has not installed anything.
    if (std::exchange(installing_, false)) {
        context.info("Snapshot installed",
                     {{"index", restoring_.index()}, {"term", restoring_.term()}, {"bytes", restoring_.file_bytes()}});
    } else {
        context.info("snapshot restored", {{"index", restoring_.index()}});
    }
    end_install(context);
    applier_.start(restoring_.index() - (planted("snapshot-entry-applied-again") ? 1 : 0));
    sent_bytes_at_snapshot_ = applier_.sent_bytes();
    pump(context);
}

// --- Sending

void RaftNode::begin_transfers(const std::vector<std::string>& peers, Context& context) {
    for (const std::string& peer : peers) begin_transfer(peer, context);
}

void RaftNode::begin_transfer(const std::string& peer, Context& context) {
    SANDSTORE_CHECK(!snapshots_.empty(), "the log was compacted and there is no snapshot");
    transfers_.erase(peer);
    const auto [transfer, is_new] =
        transfers_.try_emplace(peer, snapshots_.front(), options_->snapshot_piece_bytes, context.now_us());
    context.info("sending a snapshot",
                 {{"to", peer}, {"index", snapshots_.front().index()}, {"bytes", snapshots_.front().file_bytes()}});
    ask_how_far(peer, transfer->second, context);
}

void RaftNode::ask_how_far(const std::string& peer, const SnapshotTransfer& transfer, Context& context) {
    pb::InstallSnapshot question;
    question.set_term(core_->term());
    *question.mutable_meta() = transfer.meta();
    context.send(peer_address(peer, context), message_of(std::move(question)));
}

void RaftNode::send_pieces(const std::string& peer, SnapshotTransfer& transfer, Context& context) {
    while (const std::optional<SnapshotTransfer::Piece> piece = transfer.next_read()) {
        pb::SnapshotRead read;
        read.set_index(transfer.meta().index());
        read.set_term(transfer.meta().term());
        read.set_offset(piece->offset);
        read.set_length(piece->length);
        const Address store = neighbour(pb::ACTOR_SNAPSHOTS, context);
        reads_for_transfers_[context.ask(store, message_of(std::move(read)), kAnswerTimeoutUs)] = peer;
    }
}

void RaftNode::on_snapshot_bytes(const Message& message, const std::string& peer, Context& context) {
    const auto transfer = transfers_.find(peer);
    if (transfer == transfers_.end() || !core_->is_leader()) return;
    const pb::SnapshotBytes& bytes = message->snapshot_bytes();
    const pb::Status status = status_of(message, bytes.status());
    if (status.code() != pb::STATUS_OK) {
        // Two newer ones have replaced it, or the disk refused: begin anew with what is there.
        context.warn("a snapshot cannot be read for a peer", {{"peer", peer}, {"why", status.message()}});
        if (snapshots_.front().index() != transfer->second.meta().index()) begin_transfer(peer, context);
        return;
    }
    transfer->second.add_read(bytes.offset(), message.payload);
    while (std::optional<std::pair<uint64_t, Payload>> piece = transfer->second.next_to_send()) {
        pb::InstallSnapshot install;
        install.set_term(core_->term());
        *install.mutable_meta() = transfer->second.meta();
        install.set_offset(piece->first);
        context.send(peer_address(peer, context), message_of(std::move(install), std::move(piece->second)));
    }
}

void RaftNode::on_install_reply(const Message& message, Context& context) {
    if (core_ == nullptr || message->from_node().empty()) return;
    const std::string peer = message->from_node();
    const pb::InstallSnapshotReply& reply = message->install_snapshot_reply();
    const bool goes_on = core_->on_install_reply(input(context), peer, reply);
    carry_out(context);
    const auto transfer = transfers_.find(peer);
    if (transfer == transfers_.end()) return;
    const pb::SnapshotMeta& meta = transfer->second.meta();
    const bool is_about_this = reply.index() == meta.index() && reply.snapshot_term() == meta.term();
    if (goes_on && is_about_this) {
        if (reply.failed()) {
            context.warn("a peer received a damaged snapshot; it is sent again", {{"peer", peer}});
            transfer->second.begin_again(context.now_us());
        }
        transfer->second.on_reply(reply.next_offset(), context.now_us());
        send_pieces(peer, transfer->second, context);
    }
    look_after_transfers(context);
}

// Transfers end with the peer's need for them; those that hear nothing ask again.
void RaftNode::look_after_transfers(Context& context) {
    if (transfers_.empty()) return;
    std::erase_if(transfers_, [this](const auto& entry) {
        const auto peer = core_->peers().find(entry.first);
        return peer == core_->peers().end() || peer->second.state() != Progress::State::kSnapshot;
    });
    for (auto& [peer, transfer] : transfers_) {
        if (!transfer.is_stalled(context.now_us(), options_->election_timeout_max_us)) continue;
        transfer.begin_again(context.now_us());
        ask_how_far(peer, transfer, context);
    }
}

std::optional<uint64_t> RaftNode::transferred_index() const {
    std::optional<uint64_t> lowest;
    for (const auto& [peer, transfer] : transfers_) {
        if (!lowest || transfer.meta().index() < *lowest) lowest = transfer.meta().index();
    }
    return lowest;
}

}  // namespace sandstore
