#include "actors/cluster/status_service.h"

#include <utility>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint32_t kTagMetrics = 1;
constexpr uint64_t kMetricsIntervalUs = 1'000'000;

}  // namespace

void StatusService::receive(Message message, Context& context) {
    switch (message->body_case()) {
        case pb::Envelope::kStartStatus:
            return on_start_status(std::move(message), context);
        case pb::Envelope::kBootProgress:
            return on_boot_progress(std::move(message), context);
        case pb::Envelope::kClusterView:
            return on_cluster_view(std::move(message), context);
        case pb::Envelope::kConfigurationChanged:
            return on_configuration_changed(std::move(message), context);
        case pb::Envelope::kChangeMembership:
        case pb::Envelope::kTransferLeadership:
        case pb::Envelope::kRequestSnapshot:
        case pb::Envelope::kAllowDeletions:
            return on_operator_request(std::move(message), context);
        case pb::Envelope::kRepairState:
            repair_state_ = std::move(*message->mutable_repair_state());
            return;
        case pb::Envelope::kMembershipChanged:
        case pb::Envelope::kStatusReply:
        case pb::Envelope::kSnapshotSaved:
            if (!operators_.on_answer(message, context)) context.unexpected(message);
            return;
        case pb::Envelope::kClusterStatusRequest:
            return on_cluster_status_request(std::move(message), context);
        case pb::Envelope::kNodeFigures:
            return on_node_figures(std::move(message), context);
        case pb::Envelope::kRoleChanged:
            return on_role_changed(std::move(message), context);
        case pb::Envelope::kChunkStats:
            return on_chunk_stats(std::move(message), context);
        case pb::Envelope::kCopiesReport:
            return on_copies_report(std::move(message), context);
        case pb::Envelope::kPeerUp:
            return on_peer_up(std::move(message), context);
        case pb::Envelope::kPeerDown:
            return on_peer_down(std::move(message), context);
        case pb::Envelope::kRaftStatus:
            return on_raft_status(std::move(message), context);
        case pb::Envelope::kStateHash:
            return on_state_hash(std::move(message), context);
        case pb::Envelope::kClusterStatus:
            return on_cluster_status(std::move(message), context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(std::move(message), context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(std::move(message), context);
        default:
            context.unexpected(message);
    }
}

// --- What is known without asking -----------------------------------------------------------------------------------

void StatusService::on_start_status(Message message, Context& context) {
    if (started_) return context.unexpected(message);
    config_ = std::move(*message->mutable_start_status());
    started_ = true;
    operators_.set_self(config_.node_id());
    started_at_us_ = context.now_us();
    raft_gauges_.start(context.metrics());
    count_peers(context);
    watch_.on_start(config_.node_id(), config_.version(), context);
    context.arm_timer(kMetricsIntervalUs, kTagMetrics);
}

void StatusService::on_boot_progress(Message message, Context&) {
    waiting_for_ = message->boot_progress().waiting_for();
    if (message->boot_progress().has_founding()) founding_ = message->boot_progress().founding();
    if (!message->boot_progress().cluster_id().empty()) cluster_id_ = message->boot_progress().cluster_id();
}

void StatusService::on_cluster_view(Message message, Context&) {
    view_ = std::move(*message->mutable_cluster_view());
    know_members();
}

void StatusService::on_configuration_changed(Message message, Context& context) {
    watch_.on_configuration(message->configuration_changed(), context);
    configuration_ = std::move(*message->mutable_configuration_changed());
    know_members();
}

// Discovery knows addresses best; the log those of nodes that it was told about when they were added.
void StatusService::know_members() {
    const std::map<std::string, pb::Member> before = std::exchange(members_, {});
    // A member that discovery lists no more is where it was, for all that is known.
    const pb::RaftConfiguration& configuration = configuration_.configuration();
    for (const auto* names : {&configuration.voters(), &configuration.learners(), &configuration.old_voters()}) {
        for (const std::string& name : *names) {
            if (const auto known = before.find(name); known != before.end()) members_.insert(*known);
        }
    }
    for (const pb::RaftMember& added : configuration_.configuration().addresses()) {
        pb::Member& member = members_[added.id()];
        member.set_id(added.id());
        member.set_address(added.address());
    }
    for (const pb::Member& member : view_.members()) members_[member.id()] = member;
    std::erase_if(chunk_stats_, [&](const auto& entry) { return !members_.contains(entry.first); });
}

void StatusService::on_operator_request(Message message, Context& context) {
    const auto address_of = [&](std::string_view node) {
        const auto member = members_.find(std::string(node));
        return member == members_.end() ? std::string() : member->second.address();
    };
    operators_.begin(std::move(message), address_of, context);
}

void StatusService::on_chunk_stats(Message message, Context& context) {
    pb::ChunkStats& stats = *message->mutable_chunk_stats();
    if (stats.node_id() == self_id()) own_stats_at_us_ = context.now_us();
    if (members_.contains(stats.node_id())) chunk_stats_[stats.node_id()] = std::move(stats);
}

void StatusService::on_role_changed(Message message, Context& context) {
    const pb::RoleChanged& change = message->role_changed();
    watch_.on_role(change, context);
    raft_gauges_.on_role_changed(change);
    operators_.set_leader(change.leader_id());
}

void StatusService::on_copies_report(Message message, Context&) {
    copies_report_ = std::move(*message->mutable_copies_report());
}

void StatusService::on_peer_up(Message message, Context& context) {
    peers_up_.insert(message->peer_up().node_id());
    watch_.on_peer(message->peer_up().node_id(), true, context);
    count_peers(context);
}

void StatusService::on_peer_down(Message message, Context& context) {
    peers_up_.erase(message->peer_down().node_id());
    watch_.on_peer(message->peer_down().node_id(), false, context);
    count_peers(context);
}

void StatusService::count_peers(Context& context) const {
    context.metrics()
        .gauge("sandstore_peers_connected", "Other nodes with a working control connection.")
        .set(static_cast<double>(peers_up_.size()));
}

// The sampler's clock beats the seconds of the history; Raft's side of a sample is what the last question brought.
void StatusService::on_node_figures(Message message, Context& context) {
    if (!started_) return;
    pb::NodeFigures& figures = *message->mutable_node_figures();
    watch_.on_figures(figures, context);
    history_.add(context.now_us() - started_at_us_, std::move(figures), last_raft_);
}

void StatusService::note_raft(const pb::RaftStatus& raft, Context& context) {
    watch_.on_raft(raft, context);
    last_raft_ = raft;
    raft_gauges_.on_raft_status(raft);
}

// --- Metrics --------------------------------------------------------------------------------------------------------

void StatusService::on_timer_fired(Message message, Context& context) {
    if (message->timer_fired().tag() != kTagMetrics) return context.unexpected(message);
    if (booted()) {
        ask(pb::ACTOR_RAFT, message_of(pb::RaftStatusRequest()), kLocalTimeoutUs, {Question::kMetrics, 0, ""}, context);
    }
    context.arm_timer(kMetricsIntervalUs, kTagMetrics);
}

}  // namespace sandstore
