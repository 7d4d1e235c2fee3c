#include "actors/raft/raft_node.h"

#include <algorithm>

#include "actors/raft/feature_check.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kLogReadTimeoutUs = 30'000'000;

constexpr pb::ActorKind kListeners[] = {pb::ACTOR_FILES, pb::ACTOR_STATUS, pb::ACTOR_REPAIRER, pb::ACTOR_MOVER,
                                        pb::ACTOR_ETCD_POLLER};

uint64_t or_default(uint64_t value, uint64_t fallback) {
    return value != 0 ? value : fallback;
}

RaftOptions options_of(const pb::StartRaft& start) {
    RaftOptions options;
    options.node_id = start.node_id();
    options.bootstrap_voters.assign(start.bootstrap_voters().begin(), start.bootstrap_voters().end());
    options.join = start.join();
    options.storage = start.storage();
    options.starts.assign(start.starts().begin(), start.starts().end());
    for (const pb::RaftStorage& known : start.bootstrap_storages()) {
        options.bootstrap_storages[known.id()] = known.storage();
    }
    options.founding = start.founding();
    options.recover_founding = start.recover_founding();
    options.ask_to_rejoin = start.ask_to_rejoin();
    options.election_timeout_min_us =
        or_default(start.election_timeout_min_ms() * 1000, options.election_timeout_min_us);
    options.election_timeout_max_us =
        or_default(start.election_timeout_max_ms() * 1000, options.election_timeout_max_us);
    options.heartbeat_interval_us = or_default(start.heartbeat_interval_ms() * 1000, options.heartbeat_interval_us);
    if (start.has_election_priority()) options.election_priority = start.election_priority();
    options.lease_reads = start.lease_reads();
    options.append_window = static_cast<uint32_t>(or_default(start.append_window(), options.append_window));
    options.append_window_bytes = or_default(start.append_window_bytes(), options.append_window_bytes);
    options.append_bytes_max = or_default(start.append_bytes_max(), options.append_bytes_max);
    options.uncommitted_bytes_max = or_default(start.uncommitted_bytes_max(), options.uncommitted_bytes_max);
    options.cache_bytes = or_default(start.cache_bytes(), options.cache_bytes);
    options.snapshot_log_bytes = start.snapshot_log_bytes();
    options.snapshot_piece_bytes = or_default(start.snapshot_piece_bytes(), options.snapshot_piece_bytes);
    return options;
}

}  // namespace

void RaftNode::receive(Message message, Context& context) {
    switch (message->body_case()) {
        case pb::Envelope::kStartRaft:
            return on_start_raft(message->start_raft(), context);
        case pb::Envelope::kLogRecovered:
            return on_log_recovered(message->log_recovered(), context);
        case pb::Envelope::kSnapshotsRecovered:
            return on_snapshots_recovered(message->snapshots_recovered(), context);
        case pb::Envelope::kStateMachineReady:
            return on_state_machine_ready(message->state_machine_ready(), context);
        case pb::Envelope::kRequestVote:
        case pb::Envelope::kVoteReply:
        case pb::Envelope::kAppendEntries:
        case pb::Envelope::kAppendReply:
        case pb::Envelope::kHeartbeat:
        case pb::Envelope::kHeartbeatReply:
        case pb::Envelope::kTimeoutNow:
            return on_peer_message(message, context);
        case pb::Envelope::kInstallSnapshot:
            return on_install_snapshot(message, context);
        case pb::Envelope::kInstallSnapshotReply:
            return on_install_reply(message, context);
        case pb::Envelope::kPropose:
            return on_propose(std::move(message), context);
        case pb::Envelope::kFlush:
            return on_flush(context);
        case pb::Envelope::kReadIndex:
            return on_read_index(message, context);
        case pb::Envelope::kChangeMembership:
            return on_change_membership(message, context);
        case pb::Envelope::kTransferLeadership:
            return on_transfer_leadership(message, context);
        case pb::Envelope::kRequestSnapshot:
            return on_request_snapshot(message, context);
        case pb::Envelope::kLogPersisted:
            return on_log_persisted(message->log_persisted(), context);
        case pb::Envelope::kLogSpace:
            return on_log_space(message->log_space(), context);
        case pb::Envelope::kLogRecords:
        case pb::Envelope::kReadIndexReply:
        case pb::Envelope::kSnapshotTaken:
        case pb::Envelope::kSnapshotSaved:
        case pb::Envelope::kSnapshotBytes:
        case pb::Envelope::kSnapshotVerified:
        case pb::Envelope::kSnapshotReceived:
        case pb::Envelope::kSnapshotRestored:
        case pb::Envelope::kRequestFailed:
            return on_answer(message, context);
        case pb::Envelope::kApplied:
            return on_applied(message->mutable_applied(), context);
        case pb::Envelope::kPeerUp:
            return on_peer_up(message->peer_up(), context);
        case pb::Envelope::kPeerDown:
            return on_peer_down(message->peer_down(), context);
        case pb::Envelope::kTimerFired:
            return on_timer(context);
        case pb::Envelope::kRaftStatusRequest:
            return on_status_request(message, context);
        default:
            context.unexpected(message);
    }
}

// --- Start

void RaftNode::on_start_raft(const pb::StartRaft& start, Context& context) {
    options_ = options_of(start);
    options_->feature_level = feature_level_;
    metrics_.emplace(context.metrics());
    applier_.set_metrics(context.metrics());
    begin_when_ready(context);
}

void RaftNode::on_log_recovered(const pb::LogRecovered& recovered, Context& context) {
    recovered_ = recovered;
    begin_when_ready(context);
}

void RaftNode::on_snapshots_recovered(const pb::SnapshotsRecovered& recovered, Context& context) {
    snapshots_recovered_ = recovered;
    begin_when_ready(context);
}

void RaftNode::on_state_machine_ready(const pb::StateMachineReady& ready, Context& context) {
    state_machine_index_ = ready.applied_index();
    begin_when_ready(context);
}

void RaftNode::begin_when_ready(Context& context) {
    if (core_ != nullptr || !options_ || !recovered_ || !snapshots_recovered_ || !state_machine_index_) return;
    snapshots_.assign(snapshots_recovered_->snapshots().begin(), snapshots_recovered_->snapshots().end());
    const pb::SnapshotMeta* newest = snapshots_.empty() ? nullptr : &snapshots_.front();
    if (const std::string problem = RaftCore::problem_with(*recovered_, newest); !problem.empty()) {
        return context.fail_stop(problem);
    }
    const std::string beyond_us = feature_problem(*recovered_, newest, options_->feature_level);
    if (!beyond_us.empty()) return context.fail_stop(beyond_us);
    core_ = std::make_unique<RaftCore>(*options_, *recovered_, newest, input(context));
    applier_.start(*state_machine_index_);
    if (newest != nullptr && newest->index() > *state_machine_index_) restore(*newest, context);
    context.info("raft started", {{"term", core_->term()},
                                  {"last_index", core_->last_index()},
                                  {"snapshot_index", snapshot_index()},
                                  {"voters", core_->voters().size()}});
    recovered_.reset();
    snapshots_recovered_.reset();
    carry_out(context);
    core_->on_disk_space(input(context), disk_full_, disk_exhausted_);
    carry_out(context);
}

// --- Events for the core

void RaftNode::on_peer_message(const Message& message, Context& context) {
    if (core_ == nullptr || message->from_node().empty()) return;
    core_->on_message(input(context), message->from_node(), message);
    carry_out(context);
}

// Proposals that arrive together become one append: the Flush sent to ourselves comes after what is in the mailbox now.
void RaftNode::on_propose(Message message, Context& context) {
    const ReplyTo asker = reply_to(message);
    if (metrics_) metrics_->proposal_arrived();
    if (core_ == nullptr) return refuse_proposal(asker, pb::STATUS_UNAVAILABLE, "this node is starting", context);
    if (!core_->is_leader()) return refuse_proposal(asker, pb::STATUS_NOT_LEADER, "not the leader", context);
    if (message.payload.size() > kRecordDataBytesMax && !planted("oversized-command-taken")) {
        return refuse_proposal(asker, pb::STATUS_INVALID_ARGUMENT, "the command is too large for the log", context);
    }
    if (!message->propose().on_full_disk()) {
        const std::string why = core_->why_no_room();
        if (!why.empty()) return refuse_proposal(asker, pb::STATUS_ENOSPC, why, context);
    }
    if (batch_bytes_ >= core_->room_for_proposals() && !planted("uncommitted-tail-unbounded")) {
        return refuse_proposal(asker, pb::STATUS_RESOURCE_EXHAUSTED, "too much waits to be committed", context);
    }
    batch_bytes_ += kRecordHeaderBytes + message.payload.size();
    batch_.push_back({RecordType::kCommand, std::move(message.payload)});
    batch_askers_.push_back(asker);
    if (flush_pending_) return;
    flush_pending_ = true;
    context.send(context.self(), message_of(pb::Flush()));
}

void RaftNode::on_flush(Context& context) {
    flush_pending_ = false;
    batch_bytes_ = 0;
    std::vector<ReplyTo> askers = std::move(batch_askers_);
    batch_askers_.clear();
    std::vector<RaftCore::Proposal> batch = std::move(batch_);
    batch_.clear();
    uint64_t index = 0;
    const auto refuse_all = [&](pb::StatusCode code, std::string_view why) {
        for (const ReplyTo& asker : askers) refuse_proposal(asker, code, why, context);
    };
    switch (core_->propose(input(context), std::move(batch), &index)) {
        case RaftCore::ProposeOutcome::kNotLeader:
            return refuse_all(pb::STATUS_NOT_LEADER, "not the leader");
        case RaftCore::ProposeOutcome::kTransferring:
            return refuse_all(pb::STATUS_NOT_LEADER, "leadership is being handed over");
        case RaftCore::ProposeOutcome::kTooMuchUncommitted:
            return refuse_all(pb::STATUS_RESOURCE_EXHAUSTED, "too much waits to be committed");
        case RaftCore::ProposeOutcome::kDiskFull:
            return refuse_all(pb::STATUS_ENOSPC, "the leader's disk has no room for the log");
        case RaftCore::ProposeOutcome::kAccepted:
            for (ReplyTo& asker : askers) proposals_.add(index++, std::move(asker));
            metrics_->set_pending(proposals_.size());
            carry_out(context);
            return;
    }
}

void RaftNode::refuse_proposal(const ReplyTo& asker, pb::StatusCode code, std::string_view why, Context& context) {
    if (metrics_) metrics_->proposals_failed(code, 1);
    pb::ProposeReply reply;
    fill_status(code, why, reply.mutable_status());
    context.reply(asker, message_of(std::move(reply)));
}

void RaftNode::on_log_persisted(const pb::LogPersisted& persisted, Context& context) {
    if (core_ == nullptr) return;
    persisted_write_ = std::max(persisted_write_, persisted.write_id());
    send_held(context);
    core_->on_persisted(input(context), persisted.write_id());
    carry_out(context);
}

void RaftNode::on_log_space(const pb::LogSpace& space, Context& context) {
    if (space.full() && !disk_full_) context.warn("Disk full", {{"why", space.detail()}});
    if (!space.full() && disk_full_) context.info("Disk has room again");
    disk_full_ = space.full();
    disk_exhausted_ = space.exhausted();
    if (core_ == nullptr) return;  // It is told when it begins.
    core_->on_disk_space(input(context), disk_full_, disk_exhausted_);
    carry_out(context);
    consider_snapshot(context);
}

// The answer to a request of ours, or its failure.
void RaftNode::on_answer(const Message& message, Context& context) {
    if (core_ == nullptr) return;
    if (on_forwarded_read_answer(message, context) || on_snapshot_answer(message, context)) return;
    on_log_answer(message, context);
}

void RaftNode::on_log_answer(const Message& message, Context& context) {
    const uint64_t sent = applier_.sent_index();
    if (applier_.on_log_answer(context, message, !proposals_.empty())) {
        if (applier_.sent_index() > sent) pump(context);  // After a failed read, the next event tries again.
        return;
    }
    auto found = reads_for_peers_.find(message->reply_to());
    if (found == reads_for_peers_.end()) return;
    const std::string peer = found->second;
    reads_for_peers_.erase(found);
    const bool failed = message->body_case() != pb::Envelope::kLogRecords;
    core_->on_records(input(context), peer, failed ? 0 : message->log_records().first_index(),
                      failed ? 0 : message->log_records().record_count(), failed ? Payload() : message.payload);
    carry_out(context);
}

void RaftNode::on_applied(pb::Applied* applied, Context& context) {
    applier_.on_applied(*applied, context);
    proposals_.resolve(context, applied);
    metrics_->set_pending(proposals_.size());
    pump(context);
    consider_snapshot(context);
}

void RaftNode::on_peer_up(const pb::PeerUp& up, Context& context) {
    if (core_ == nullptr) return;
    core_->on_peer_up(input(context), up.node_id());
    carry_out(context);
}

void RaftNode::on_peer_down(const pb::PeerDown& down, Context& context) {
    if (core_ == nullptr) return;
    core_->on_peer_down(input(context), down.node_id());
    carry_out(context);
}

void RaftNode::on_timer(Context& context) {
    tick_ = 0;
    if (core_ == nullptr) return;
    if (context.now_us() >= core_->next_deadline_us()) core_->on_tick(input(context));
    carry_out(context);
    look_after_transfers(context);
    if (disk_full_) relieve_disk(context);
}

// --- Effects of the core

void RaftNode::carry_out(Context& context) {
    RaftEffects effects = core_->take_effects();
    if (!effects.fatal.empty()) return context.fail_stop(effects.fatal);
    // Before the messages: a leader's own disk and its peers work at the same time.
    if (effects.write) context.send(neighbour(pb::ACTOR_LOG, context), std::move(*effects.write));
    for (RaftEffects::Outgoing& outgoing : effects.messages) {
        if (outgoing.after_write <= persisted_write_) {
            context.send(peer_address(outgoing.to, context), std::move(outgoing.message));
        } else {
            held_.push_back({std::move(outgoing.to), std::move(outgoing.message), outgoing.after_write});
        }
    }
    for (const RaftEffects::ReadForPeer& wanted : effects.reads_for_peers) {
        pb::LogRead read;
        read.set_first_index(wanted.first_index);
        read.set_last_index(wanted.last_index);
        read.set_max_bytes(wanted.bytes_max);
        const Address log = neighbour(pb::ACTOR_LOG, context);
        reads_for_peers_[context.ask(log, message_of(std::move(read)), kLogReadTimeoutUs)] = wanted.peer;
    }
    begin_transfers(effects.snapshots_for_peers, context);
    answer_reads(effects, context);
    for (const RaftEffects::RoundTrip& trip : effects.round_trips) metrics_->round_trip(trip.peer, trip.took_us);
    if (effects.damaged_message) context.warn("a peer's entries did not check out and were ignored");
    if (!effects.notice.empty()) context.warn(effects.notice);
    log_losses(effects.losses, context);
    if (effects.new_storage != 0 && context.self().instance == 0) {
        pb::StorageChanged changed;
        changed.set_storage(effects.new_storage);
        context.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(changed)));
    }
    if (effects.role_changed) announce_role(context);
    if (effects.configuration_changed) announce_configuration(context);
    settle_requests(context);
    pump(context);
    arm_tick(context);
}

void RaftNode::answer_reads(const RaftEffects& effects, Context& context) {
    for (const RaftEffects::ReadReady& ready : effects.reads_ready) {
        pb::ReadIndexReply reply;
        reply.set_index(ready.index);
        auto asker = reads_.extract(ready.token);
        if (!asker.empty()) context.reply(asker.mapped(), message_of(std::move(reply)));
    }
    for (const uint64_t token : effects.reads_failed) {
        pb::ReadIndexReply reply;
        fill_status(pb::STATUS_NOT_LEADER, "leadership was lost", reply.mutable_status());
        auto asker = reads_.extract(token);
        if (!asker.empty()) context.reply(asker.mapped(), message_of(std::move(reply)));
    }
}

// In the order of the writes they wait for. Gates of one step may name an older write than those before: the term's.
void RaftNode::send_held(Context& context) {
    std::deque<Held> still_held;
    for (Held& held : held_) {
        if (held.after_write <= persisted_write_) {
            context.send(peer_address(held.to, context), std::move(held.message));
        } else {
            still_held.push_back(std::move(held));
        }
    }
    held_ = std::move(still_held);
}

void RaftNode::pump(Context& context) {
    applier_.pump(context, core_->cache(), core_->commit_index(), !proposals_.empty());
}

// One timer for all deadlines. A deadline that moves away (each heartbeat moves it) leaves the timer where it is.
void RaftNode::arm_tick(Context& context) {
    const uint64_t due_us = core_->next_deadline_us();
    if (tick_ != 0 && tick_at_us_ <= due_us) return;
    context.cancel_timer(tick_);
    tick_at_us_ = due_us;
    tick_ = context.arm_timer(due_us > context.now_us() ? due_us - context.now_us() : 0, 0);
}

void RaftNode::announce_role(Context& context) {
    pb::RoleChanged now;
    now.set_role(core_->role());
    now.set_term(core_->term());
    now.set_leader_id(core_->leader_id());
    const bool same =
        now.role() == announced_.role() && now.term() == announced_.term() && now.leader_id() == announced_.leader_id();
    if (same) return;
    const bool was_leader = announced_.role() == pb::RoleChanged::LEADER;
    if (was_leader && (!core_->is_leader() || now.term() != announced_.term())) {
        metrics_->proposals_failed(pb::STATUS_UNAVAILABLE, proposals_.size());
        metrics_->set_pending(0);
        proposals_.fail_all(context, pb::STATUS_UNAVAILABLE,
                            "the leader changed before the outcome was known: ask again with the same sequence");
    }
    count_elections(now);
    announced_ = now;
    log_role(context);
    for (const pb::ActorKind listener : kListeners) {
        context.send(neighbour(listener, context), message_of(pb::RoleChanged(now)));
    }
}

// Called with each change of role, term or leader; what was announced before is still known.
void RaftNode::count_elections(const pb::RoleChanged& now) {
    const bool was_leader = announced_.role() == pb::RoleChanged::LEADER && announced_.term() == now.term();
    if (now.role() == pb::RoleChanged::LEADER) {
        if (!was_leader) metrics_->elections_won.add();
    } else if (announced_.role() == pb::RoleChanged::CANDIDATE) {
        const bool stands_still = now.role() == pb::RoleChanged::CANDIDATE && now.term() == announced_.term();
        if (!stands_still) metrics_->elections_lost.add();
    }
}

void RaftNode::announce_configuration(Context& context) {
    pb::ConfigurationChanged changed;
    *changed.mutable_configuration() = core_->configuration().message();
    changed.set_index(core_->configuration_index());
    changed.set_committed(core_->is_configuration_committed());
    for (const pb::ActorKind listener : kListeners) {
        context.send(neighbour(listener, context), message_of(pb::ConfigurationChanged(changed)));
    }
    // What it keeps is about the node's first group.
    if (context.self().instance == 0) {
        context.send(pb::ACTOR_BOOTSTRAP, message_of(pb::ConfigurationChanged(changed)));
    }
    context.send(pb::PORT_TRANSPORT, message_of(std::move(changed)));
    log_members(context);
    if (core_->is_removed()) context.warn("this node is no member of the cluster any more");
}

static std::string joined(const Configuration::Nodes& nodes) {
    std::string text;
    for (const std::string& node : nodes) str_append(&text, text.empty() ? "" : ",", node);
    return text.empty() ? "none" : text;
}

// Once it is decided, on every node; what is only planned may be taken back. The first line after a start says where
// the node begins.
void RaftNode::log_members(Context& context) {
    const Configuration& now = core_->configuration();
    if (now.empty() || now.is_joint() || !core_->is_configuration_committed() || now == told_members_) return;
    told_members_ = now;
    context.info("Members changed", {{"index", core_->configuration_index()},
                                     {"voters", joined(now.voters())},
                                     {"learners", joined(now.learners())}});
}

void RaftNode::log_losses(const std::vector<RaftEffects::Loss>& losses, Context& context) {
    for (const RaftEffects::Loss& loss : losses) {
        if (loss.repaired) {
            context.info("a peer has again what it had acknowledged", {{"peer", loss.peer}, {"index", loss.index}});
            continue;
        }
        metrics_->acknowledged_lost(loss.peer, 1);
        context.warn("a peer has lost entries that it had acknowledged; it does not count until it has them again",
                     {{"peer", loss.peer}, {"acknowledged", loss.index}});
    }
}

void RaftNode::log_role(Context& context) {
    if (core_->is_leader()) {
        const uint64_t took_us = context.now_us() - core_->campaign_started_us();
        context.info("Became Leader", {{"term", core_->term()},
                                       {"index", core_->last_index()},
                                       {"votes", str_cat(core_->votes(), "/", core_->voters().size())},
                                       {"took", str_cat(took_us / 1000, "ms")}});
    } else if (core_->role() == pb::RoleChanged::FOLLOWER && !core_->leader_id().empty()) {
        context.info("Became Follower", {{"term", core_->term()}, {"leader", core_->leader_id()}});
    } else {
        context.debug("role changed", {{"role", pb::RoleChanged::Role_Name(core_->role())}, {"term", core_->term()}});
    }
}

}  // namespace sandstore
