// RaftNode: reads, and what operators ask.
#include "actors/raft/raft_node.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {
constexpr uint64_t kForwardedReadTimeoutUs = 5'000'000;  // When the asker gave no deadline.
}

void RaftNode::fill_status(pb::StatusCode code, std::string_view why, pb::Status* status) const {
    *status = make_status(code, why);
    const bool knows_leader = core_ != nullptr && core_->transferring_to().empty();
    if (code == pb::STATUS_NOT_LEADER && knows_leader) status->set_leader_id(core_->leader_id());
}

// --- Reads

void RaftNode::on_read_index(const Message& message, Context& context) {
    const auto refuse = [&](pb::StatusCode code, std::string_view why) {
        pb::ReadIndexReply reply;
        fill_status(code, why, reply.mutable_status());
        context.reply(reply_to(message), message_of(std::move(reply)));
    };
    if (core_ == nullptr) return refuse(pb::STATUS_UNAVAILABLE, "this node is starting");
    if (reads_.size() + forwarded_reads_.size() >= kReadsMax) {
        return refuse(pb::STATUS_RESOURCE_EXHAUSTED, "too many reads wait for the leader to be confirmed");
    }
    const uint64_t token = next_read_token_++;
    if (core_->read_index(input(context), token)) {
        reads_[token] = reply_to(message);
        return carry_out(context);
    }
    if (message->read_index().leader_only() || core_->leader_id().empty()) {
        return refuse(pb::STATUS_NOT_LEADER, "not the leader");
    }
    forward_read(message, context);
}

// A follower reads at the leader's index, once it has applied that much itself.
void RaftNode::forward_read(const Message& message, Context& context) {
    pb::ReadIndex question;
    question.set_leader_only(true);
    const ReplyTo asker = reply_to(message);
    const bool has_time = asker.deadline_us > context.now_us();
    const uint64_t timeout_us = has_time ? asker.deadline_us - context.now_us() : kForwardedReadTimeoutUs;
    const Address leader = peer_address(core_->leader_id(), context);
    forwarded_reads_[context.ask(leader, message_of(std::move(question)), timeout_us)] = asker;
}

bool RaftNode::on_forwarded_read_answer(const Message& message, Context& context) {
    auto asker = forwarded_reads_.extract(message->reply_to());
    if (asker.empty()) return false;
    pb::ReadIndexReply reply;
    if (message->has_read_index_reply()) {
        reply = message->read_index_reply();
    } else {
        *reply.mutable_status() = message->request_failed().status();
    }
    context.reply(asker.mapped(), message_of(std::move(reply)));
    return true;
}

// --- Operators

namespace {

pb::StatusCode code_of(RaftCore::RequestOutcome outcome) {
    switch (outcome) {
        case RaftCore::RequestOutcome::kAccepted:
            return pb::STATUS_OK;
        case RaftCore::RequestOutcome::kNotLeader:
            return pb::STATUS_NOT_LEADER;
        case RaftCore::RequestOutcome::kNotNow:
            return pb::STATUS_EBUSY;
        case RaftCore::RequestOutcome::kImpossible:
            return pb::STATUS_INVALID_ARGUMENT;
    }
    return pb::STATUS_INTERNAL;
}

}  // namespace

void RaftNode::on_change_membership(const Message& message, Context& context) {
    std::string problem = "not the leader";
    RaftCore::RequestOutcome outcome = RaftCore::RequestOutcome::kNotLeader;
    if (core_ != nullptr) outcome = core_->change_membership(input(context), message->change_membership(), &problem);
    if (outcome != RaftCore::RequestOutcome::kAccepted) {
        pb::MembershipChanged reply;
        fill_status(code_of(outcome), problem.empty() ? "not the leader" : problem, reply.mutable_status());
        if (core_ != nullptr) *reply.mutable_configuration() = core_->configuration().message();
        return context.reply(reply_to(message), message_of(std::move(reply)));
    }
    change_ = PendingChange{reply_to(message), core_->configuration_index(), core_->term()};
    context.info("membership is being changed", {{"index", core_->configuration_index()},
                                                 {"change", message->change_membership().ShortDebugString()}});
    carry_out(context);
}

void RaftNode::on_transfer_leadership(const Message& message, Context& context) {
    std::string problem;
    RaftCore::RequestOutcome outcome = RaftCore::RequestOutcome::kNotLeader;
    if (core_ != nullptr) {
        outcome = core_->transfer_leadership(input(context), message->transfer_leadership().node_id(), &problem);
    }
    if (outcome != RaftCore::RequestOutcome::kAccepted) {
        pb::StatusReply reply;
        fill_status(code_of(outcome), problem.empty() ? "not the leader" : problem, reply.mutable_status());
        return context.reply(reply_to(message), message_of(std::move(reply)));
    }
    context.info("leadership is handed over", {{"to", core_->transferring_to()}});
    transfer_askers_.push_back(reply_to(message));
    carry_out(context);
}

// After each event: what operators wait for may be decided.
void RaftNode::settle_requests(Context& context) {
    if (change_) {
        const bool leads_on = core_->is_leader() && core_->term() == change_->term;
        const bool done = core_->is_change_done() && core_->commit_index() >= change_->index;
        if (done || !leads_on) {
            pb::MembershipChanged reply;
            if (!done) {
                fill_status(pb::STATUS_UNAVAILABLE,
                            "the leader changed before the outcome was known: look at the members, then decide",
                            reply.mutable_status());
            }
            reply.set_index(core_->configuration_index());
            *reply.mutable_configuration() = core_->configuration().message();
            context.reply(change_->asker, message_of(std::move(reply)));
            change_.reset();
        }
    }
    if (transfer_askers_.empty()) return;
    const bool failed = core_->is_leader() && core_->transferring_to().empty();
    const bool done = !core_->is_leader() && !core_->leader_id().empty();
    if (!failed && !done) return;
    for (const ReplyTo& asker : transfer_askers_) {
        pb::StatusReply reply;
        if (failed) {
            fill_status(pb::STATUS_DEADLINE_EXCEEDED, "the other node did not take over in time; this one leads on",
                        reply.mutable_status());
        }
        context.reply(asker, message_of(std::move(reply)));
    }
    transfer_askers_.clear();
}

// --- Status

namespace {

pb::RaftPeerStatus::State state_of(const Progress& progress) {
    switch (progress.state()) {
        case Progress::State::kProbe:
            return pb::RaftPeerStatus::PROBE;
        case Progress::State::kReplicate:
            return pb::RaftPeerStatus::REPLICATE;
        case Progress::State::kSnapshot:
            return pb::RaftPeerStatus::SNAPSHOT;
    }
    return pb::RaftPeerStatus::PROBE;
}

}  // namespace

void RaftNode::on_status_request(const Message& message, Context& context) {
    pb::RaftStatus status;
    if (core_ == nullptr) return context.reply(reply_to(message), message_of(std::move(status)));
    status.set_role(core_->role());
    status.set_term(core_->term());
    status.set_leader_id(core_->leader_id());
    status.set_first_index(core_->first_index());
    status.set_last_index(core_->last_index());
    status.set_commit_index(core_->commit_index());
    status.set_applied_index(applier_.applied_index());
    for (const std::string& voter : core_->voters()) status.add_voters(voter);
    *status.mutable_configuration() = core_->configuration().message();
    status.set_configuration_index(core_->configuration_index());
    status.set_snapshot_index(snapshot_index());
    status.set_removed(core_->is_removed());
    status.set_disk_full(core_->is_disk_full());
    status.set_disk_slow(core_->is_disk_slow(context.now_us()));
    status.set_transferring_to(core_->transferring_to());
    status.set_election_priority(options_->election_priority);
    status.set_owed_index(core_->owed_index());
    status.set_forgot(core_->has_forgotten());
    status.set_ask_to_rejoin(options_->ask_to_rejoin);
    status.set_feature_level(options_->feature_level);
    if (core_->follows()) {
        if (core_->standing().ByteSizeLong() > 0) *status.mutable_standing() = core_->standing();
        status.set_leader_silent_us(core_->leader_silent_us(context.now_us()));
    }
    for (const auto& [peer, progress] : core_->peers()) {
        pb::RaftPeerStatus* line = status.add_peers();
        line->set_node_id(peer);
        line->set_match_index(progress.match());
        line->set_next_index(progress.next());
        line->set_reachable(core_->is_reachable(peer));
        line->set_state(state_of(progress));
        line->set_learner(core_->configuration().is_learner(peer));
        line->set_owed_index(progress.owed_index());
        line->set_forgot(core_->has_forgotten(peer));
        line->set_feature_level(progress.health.feature_level);
        if (auto transfer = transfers_.find(peer); transfer != transfers_.end()) {
            line->set_snapshot_sent_bytes(transfer->second.acknowledged_bytes());
            line->set_snapshot_bytes(transfer->second.meta().file_bytes());
        }
    }
    context.reply(reply_to(message), message_of(std::move(status)));
}

}  // namespace sandstore
