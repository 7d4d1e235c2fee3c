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
// On a full disk snapshots are what makes the log shrink: they are taken so often, until it holds no more than what
// came after the older one, and then when it has grown by so much.
constexpr uint64_t kReliefEveryUs = 5'000'000;
constexpr uint64_t kReliefLogBytes = uint64_t{1} << 20;

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
    const bool relief = disk_full_ && context.now_us() - snapshot_began_us_ >= kReliefEveryUs &&
                        (log_can_shrink() || log_bytes >= kReliefLogBytes);
    if (relief && applier_.applied_index() > snapshot_index()) return take_snapshot(context);
    if (is_older_one_travelling(context.now_us())) return;
    const uint64_t limit = options_->snapshot_log_bytes * (transfers_.empty() ? 1 : kLogGrowthDuringTransfer);
    if (log_bytes >= limit && applier_.applied_index() > snapshot_index()) take_snapshot(context);
}

// A third snapshot would take the place of the one on its way, and a slow peer would begin anew with each.
bool RaftNode::is_older_one_travelling(uint64_t now_us) const {
    if (snapshots_.size() < 2) return false;
    return std::ranges::any_of(transfers_, [&](const auto& entry) {
        const SnapshotTransfer& transfer = entry.second;
        return transfer.is_moving(now_us) && transfer.meta().index() <= snapshots_.back().index();
    });
}

// With two snapshots it holds what the older one does not.
bool RaftNode::log_can_shrink() const {
    return snapshots_.size() < 2 || core_->first_index() <= snapshots_.back().index();
}

// When nobody writes, there is nothing for a second snapshot to hold that the first one does not: the leader sees to
// that.
void RaftNode::relieve_disk(Context& context) {
    consider_snapshot(context);
    const bool busy = take_request_ != 0 || save_request_ != 0 || applier_.applied_index() != snapshot_index();
    if (!core_->is_leader() || !log_can_shrink() || busy || snapshot_index() == 0) return;
    if (context.now_us() - relieved_at_us_ < kReliefEveryUs) return;
    relieved_at_us_ = context.now_us();
    uint64_t index = 0;
    std::vector<RaftCore::Proposal> nothing;
    nothing.push_back({RecordType::kNoOp, {}});
    core_->propose(input(context), std::move(nothing), &index);
    carry_out(context);
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
    } else if (auto verified = verifies_.extract(request); !verified.empty()) {
        on_snapshot_verified(message, verified.mapped(), context);
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
    if (const std::optional<uint64_t> travelling = transferred_index(context.now_us()))
        index = std::min(index, *travelling);
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
    receiving_[context.ask(store, message_of(std::move(receive), message.payload), kAnswerTimeoutUs)] = {
        message->from_node(), request.term(), request.sequence()};
}

void RaftNode::on_snapshot_received(const Message& message, const Sender& sender, Context& context) {
    const pb::SnapshotReceived& received = message->snapshot_received();
    const pb::Status status = status_of(message, received.status());
    // What arrived is thrown away: it is of no use to send it again at once.
    const bool is_bad = status.code() == pb::STATUS_CORRUPTED || status.code() == pb::STATUS_ENOSPC;
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
    reply.set_sequence(sender.sequence);
    core_->reply_to_install(input(context), sender.leader, sender.term, std::move(reply));
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
    for (const std::string& peer : peers) {
        const auto backoff = backoffs_.find(peer);
        if (backoff == backoffs_.end() || backoff->second.is_over(context.now_us())) begin_transfer(peer, context);
    }
}

// Nothing is sent before the whole file was read back: the receiver would find the damage at its very end, and ask for
// all of it again.
void RaftNode::begin_transfer(const std::string& peer, Context& context) {
    if (snapshots_.empty()) {
        take_fresh_snapshot(context);
        return transfer_failed(peer, "no good snapshot is left; a fresh one is needed", context);
    }
    const auto known = transfers_.find(peer);
    if (known != transfers_.end() && known->second.verified() && is_kept(known->second.meta())) {
        known->second.begin_again(context.now_us());  // It was away for a moment, whatever was taken since.
        return ask_how_far(peer, known->second, context);
    }
    transfers_.erase(peer);
    const pb::SnapshotMeta& meta = snapshots_.front();
    transfers_.try_emplace(peer, meta, options_->snapshot_piece_bytes, context.now_us());
    pb::SnapshotVerify verify;
    verify.set_index(meta.index());
    verify.set_term(meta.term());
    const Address store = neighbour(pb::ACTOR_SNAPSHOTS, context);
    verifies_[context.ask(store, message_of(std::move(verify)), kWholeTimeoutUs)] = peer;
}

bool RaftNode::is_kept(const pb::SnapshotMeta& meta) const {
    return std::ranges::any_of(snapshots_, [&](const pb::SnapshotMeta& kept) {
        return kept.index() == meta.index() && kept.term() == meta.term() && kept.checksum() == meta.checksum();
    });
}

void RaftNode::on_snapshot_verified(const Message& message, const std::string& peer, Context& context) {
    const pb::SnapshotVerified& verified = message->snapshot_verified();
    const pb::Status status = status_of(message, verified.status());
    if (status.code() == pb::STATUS_CORRUPTED) {
        metrics_->snapshots_damaged.add();
        context.error("A snapshot is damaged and was set aside; another one is used", {{"why", status.message()}});
        // The one before it will do when the log goes on from it: not after a leader's snapshot. A fresh one makes two
        // again.
        snapshots_.assign(verified.kept().begin(), verified.kept().end());
        const auto goes_on = [&](const auto& meta) { return meta.index() + 1 >= core_->first_index(); };
        std::erase_if(snapshots_, [&](const auto& meta) { return !goes_on(meta); });
        take_fresh_snapshot(context);
    }
    // Who leads no more says nothing in the new term; who leads again begins anew.
    if (!core_->is_leader() && !planted("snapshots-sent-by-followers")) {
        transfers_.erase(peer);
        return;
    }
    const auto transfer = transfers_.find(peer);
    if (transfer == transfers_.end() || transfer->second.verified()) return;
    const pb::SnapshotMeta& meta = transfer->second.meta();
    const bool is_about_this = verified.index() == meta.index() && verified.term() == meta.term();
    if (status.code() == pb::STATUS_OK && is_about_this) {
        context.info("sending a snapshot", {{"to", peer}, {"index", meta.index()}, {"bytes", meta.file_bytes()}});
        transfer->second.set_verified(context.now_us());
        return ask_how_far(peer, transfer->second, context);
    }
    if (message->has_request_failed() || is_about_this) transfer_failed(peer, status.message(), context);
}

void RaftNode::take_fresh_snapshot(Context& context) {
    const bool can_take = take_request_ == 0 && save_request_ == 0 && !applier_.paused();
    if (can_take && applier_.applied_index() > snapshot_index()) take_snapshot(context);
}

// Begins anew with the newest snapshot there is then.
void RaftNode::transfer_failed(const std::string& peer, std::string_view why, Context& context) {
    transfers_.erase(peer);
    metrics_->transfers_failed.add();
    const uint64_t wait_us = planted("transfers-repeated-at-once") ? 0 : backoffs_[peer].failed(context.now_us());
    context.warn("a snapshot could not be sent to a peer",
                 {{"peer", peer}, {"why", why}, {"again_in", str_cat(wait_us / 1000, "ms")}});
    if (wait_us == 0 && !snapshots_.empty()) begin_transfer(peer, context);
}

void RaftNode::ask_how_far(const std::string& peer, const SnapshotTransfer& transfer, Context& context) {
    pb::InstallSnapshot question;
    question.set_term(core_->term());
    question.set_sequence(core_->next_sequence());
    question.set_known_start(core_->configuration().start_of(peer));
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
    const pb::SnapshotMeta& meta = transfer->second.meta();
    const bool is_about_this = bytes.index() == meta.index() && bytes.term() == meta.term();
    // Bytes of the snapshot before would make a file of two halves.
    if (!message->has_request_failed() && !is_about_this) return;
    const pb::Status status = status_of(message, bytes.status());
    if (status.code() == pb::STATUS_ENOENT || status.code() == pb::STATUS_CORRUPTED) {
        // Two newer ones have replaced it, or it was set aside: begin anew with what is there.
        return transfer_failed(peer, status.message(), context);
    }
    if (status.code() != pb::STATUS_OK) {
        context.warn("a snapshot cannot be read for a peer", {{"peer", peer}, {"why", status.message()}});
        return;  // It stalls, and begins again.
    }
    transfer->second.add_read(bytes.offset(), message.payload);
    while (std::optional<std::pair<uint64_t, Payload>> piece = transfer->second.next_to_send()) {
        pb::InstallSnapshot install;
        install.set_term(core_->term());
        install.set_sequence(core_->next_sequence());
        install.set_known_start(core_->configuration().start_of(peer));
        *install.mutable_meta() = meta;
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
    const bool is_about_this = reply.index() == meta.index() && reply.snapshot_term() == meta.term() &&
                               reply.checksum() == meta.checksum() && transfer->second.verified();
    if (goes_on && is_about_this && reply.failed()) {
        transfer_failed(peer, "it arrived damaged, or there is no room for it", context);
    } else if (goes_on && is_about_this) {
        transfer->second.on_reply(reply.next_offset(), context.now_us());
        send_pieces(peer, transfer->second, context);
    }
    look_after_transfers(context);
}

// Transfers end with the peer's need for them, or when the log does not go on from what they bring; a peer that is out
// of sight is waited for. Those that failed begin anew in their time, those that hear nothing ask again.
void RaftNode::look_after_transfers(Context& context) {
    const auto state_of = [this](const std::string& name) {
        const auto peer = core_->peers().find(name);
        return peer == core_->peers().end() ? Progress::State::kReplicate : peer->second.state();
    };
    std::erase_if(backoffs_, [&](const auto& entry) { return state_of(entry.first) != Progress::State::kSnapshot; });
    std::erase_if(transfers_, [&](const auto& entry) {
        const auto& [peer, transfer] = entry;
        const bool is_wanted = state_of(peer) == Progress::State::kSnapshot ||
                               (state_of(peer) == Progress::State::kProbe && transfer.is_moving(context.now_us()));
        return !is_wanted || transfer.meta().index() + 1 < core_->first_index();
    });
    for (const auto& [peer, progress] : core_->peers()) {
        const bool needs_one = progress.state() == Progress::State::kSnapshot && !transfers_.contains(peer);
        if (needs_one) begin_transfers({peer}, context);
    }
    for (auto& [peer, transfer] : transfers_) {
        if (state_of(peer) != Progress::State::kSnapshot ||
            !transfer.is_stalled(context.now_us(), options_->election_timeout_max_us)) {
            continue;
        }
        transfer.begin_again(context.now_us());
        ask_how_far(peer, transfer, context);
    }
}

std::optional<uint64_t> RaftNode::transferred_index(uint64_t now_us) const {
    std::optional<uint64_t> lowest;
    for (const auto& [peer, transfer] : transfers_) {
        if (!transfer.is_moving(now_us)) continue;
        if (!lowest || transfer.meta().index() < *lowest) lowest = transfer.meta().index();
    }
    return lowest;
}

}  // namespace sandstore
