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
            return on_operator_request(std::move(message), context);
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
    watch_.on_start(config_.node_id(), config_.version(), context);
    context.metrics()
        .gauge("sandstore_build_info", "Always 1; the labels say which software runs.",
               {{"version", config_.version()}})
        .set(1);
    context.arm_timer(kMetricsIntervalUs, kTagMetrics);
}

void StatusService::on_boot_progress(Message message, Context&) {
    waiting_for_ = message->boot_progress().waiting_for();
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

void StatusService::on_chunk_stats(Message message, Context&) {
    pb::ChunkStats& stats = *message->mutable_chunk_stats();
    if (members_.contains(stats.node_id())) chunk_stats_[stats.node_id()] = std::move(stats);
}

void StatusService::on_role_changed(Message message, Context& context) {
    const pb::RoleChanged& change = message->role_changed();
    watch_.on_role(change, context);
    auto& metrics = context.metrics();
    metrics.gauge("sandstore_raft_term", "Raft's current term.").set(static_cast<double>(change.term()));
    metrics.gauge("sandstore_raft_is_leader", "Whether this node leads.").set(change.role() == pb::RoleChanged::LEADER);
    metrics.gauge("sandstore_raft_has_leader", "Whether this node knows a leader.").set(!change.leader_id().empty());
    operators_.set_leader(change.leader_id());
    if (change.leader_id().empty() || change.leader_id() == last_leader_) return;
    if (!last_leader_.empty()) {
        metrics.counter("sandstore_raft_leader_changes_total", "Changes of leader that this node saw.").add();
    }
    last_leader_ = change.leader_id();
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
    set_raft_gauges(raft, context);
}

// --- Metrics --------------------------------------------------------------------------------------------------------

void StatusService::on_timer_fired(Message message, Context& context) {
    if (message->timer_fired().tag() != kTagMetrics) return context.unexpected(message);
    context.metrics()
        .gauge("sandstore_uptime_seconds", "Since the start of the process.")
        .set(static_cast<double>(context.now_us() - started_at_us_) / 1e6);
    if (booted()) {
        ask(pb::ACTOR_RAFT, message_of(pb::RaftStatusRequest()), kLocalTimeoutUs, {Question::kMetrics, 0, ""}, context);
    }
    context.arm_timer(kMetricsIntervalUs, kTagMetrics);
}

void StatusService::set_raft_gauges(const pb::RaftStatus& raft, Context& context) {
    const auto set = [&](std::string_view name, std::string_view help, uint64_t value) {
        context.metrics().gauge(name, help).set(static_cast<double>(value));
    };
    set("sandstore_raft_term", "Raft's current term.", raft.term());
    set("sandstore_raft_is_leader", "Whether this node leads.", raft.role() == pb::RoleChanged::LEADER);
    set("sandstore_raft_has_leader", "Whether this node knows a leader.", !raft.leader_id().empty());
    set("sandstore_raft_commit_index", "Last index known to be committed.", raft.commit_index());
    set("sandstore_raft_applied_index", "Last index that the state machine has applied.", raft.applied_index());
    set("sandstore_raft_first_index", "First index in the log.", raft.first_index());
    set("sandstore_raft_last_index", "Last index in the log.", raft.last_index());
    set("sandstore_raft_voters", "Voting members.", static_cast<uint64_t>(raft.voters_size()));
    set("sandstore_raft_learners", "Members without a vote.",
        static_cast<uint64_t>(raft.configuration().learners_size()));
    set("sandstore_raft_snapshot_index", "Last index in the newest snapshot.", raft.snapshot_index());
    set("sandstore_raft_disk_full", "Whether the disk has no room for the log.", raft.disk_full());
    set("sandstore_raft_disk_slow", "Whether a write of the log takes longer than an election timeout.",
        raft.disk_slow());
    set("sandstore_raft_removed", "Whether this node is no member any more.", raft.removed());
    for (auto& [peer, lag] : peer_lags_) lag = 0;  // Only a leader knows; what it knew before is void.
    for (const pb::RaftPeerStatus& peer : raft.peers()) {
        peer_lags_[peer.node_id()] =
            raft.last_index() > peer.match_index() ? raft.last_index() - peer.match_index() : 0;
    }
    for (const auto& [peer, lag] : peer_lags_) {
        context.metrics()
            .gauge("sandstore_raft_peer_lag_entries", "Entries that a peer has yet to acknowledge, on the leader.",
                   {{"peer", peer}})
            .set(static_cast<double>(lag));
    }
}

}  // namespace sandstore
