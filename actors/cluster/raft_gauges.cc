#include "actors/cluster/raft_gauges.h"

#include <algorithm>

#include "runtime/metrics.h"

namespace sandstore {

void RaftGauges::start(MetricsRegistry& metrics) {
    metrics_ = &metrics;
    term_ = &metrics.gauge("sandstore_raft_term", "Raft's current term.");
    is_leader_ = &metrics.gauge("sandstore_raft_is_leader", "Whether this node leads.");
    has_leader_ = &metrics.gauge("sandstore_raft_has_leader", "Whether this node knows a leader.");
    commit_index_ = &metrics.gauge("sandstore_raft_commit_index", "Last index known to be committed.");
    applied_index_ = &metrics.gauge("sandstore_raft_applied_index", "Last index that the state machine has applied.");
    first_index_ = &metrics.gauge("sandstore_raft_first_index", "First index in the log.");
    last_index_ = &metrics.gauge("sandstore_raft_last_index", "Last index in the log.");
    log_entries_ = &metrics.gauge("sandstore_raft_log_entries", "Entries in the log.");
    snapshot_index_ = &metrics.gauge("sandstore_raft_snapshot_index", "Last index in the newest snapshot.");
    voters_ = &metrics.gauge("sandstore_raft_voters", "Voting members.");
    learners_ = &metrics.gauge("sandstore_raft_learners", "Members without a vote.");
    disk_full_ = &metrics.gauge("sandstore_raft_disk_full", "Whether the disk has no room for the log.");
    disk_slow_ =
        &metrics.gauge("sandstore_raft_disk_slow", "Whether a write of the log takes longer than an election timeout.");
    removed_ = &metrics.gauge("sandstore_raft_removed", "Whether this node is no member any more.");
    forgot_ = &metrics.gauge("sandstore_raft_forgot",
                             "Whether this node has another storage than the one on which its vote is.");
    voters_forgot_ = &metrics.gauge("sandstore_raft_voters_forgot",
                                    "Voters that lost the storage on which their vote is, on the leader.");
    leader_changes_ = &metrics.counter("sandstore_raft_leader_changes_total", "Changes of leader that this node saw.");
}

void RaftGauges::set_standing(uint64_t term, bool leads, bool has_leader) {
    term_->set(static_cast<double>(term));
    is_leader_->set(leads);
    has_leader_->set(has_leader);
}

void RaftGauges::on_role_changed(const pb::RoleChanged& change) {
    if (metrics_ == nullptr) return;
    set_standing(change.term(), change.role() == pb::RoleChanged::LEADER, !change.leader_id().empty());
    if (change.leader_id().empty() || change.leader_id() == last_leader_) return;
    if (!last_leader_.empty()) leader_changes_->add();
    last_leader_ = change.leader_id();
}

void RaftGauges::on_raft_status(const pb::RaftStatus& raft) {
    if (metrics_ == nullptr) return;
    set_standing(raft.term(), raft.role() == pb::RoleChanged::LEADER, !raft.leader_id().empty());
    commit_index_->set(static_cast<double>(raft.commit_index()));
    applied_index_->set(static_cast<double>(raft.applied_index()));
    first_index_->set(static_cast<double>(raft.first_index()));
    last_index_->set(static_cast<double>(raft.last_index()));
    // A node that still starts has no log to tell of.
    const bool has_log = raft.first_index() > 0;
    log_entries_->set(has_log ? static_cast<double>(raft.last_index() + 1 - raft.first_index()) : 0);
    snapshot_index_->set(static_cast<double>(raft.snapshot_index()));
    voters_->set(raft.voters_size());
    learners_->set(raft.configuration().learners_size());
    disk_full_->set(raft.disk_full());
    disk_slow_->set(raft.disk_slow());
    removed_->set(raft.removed());
    forgot_->set(raft.forgot());
    voters_forgot_->set(static_cast<double>(
        std::count_if(raft.peers().begin(), raft.peers().end(), [](const auto& peer) { return peer.forgot(); })));
    for (const auto& [peer, lag] : peer_lags_) lag->set(0);  // Only a leader knows; what it knew before is void.
    for (const pb::RaftPeerStatus& peer : raft.peers()) {
        Gauge*& lag = peer_lags_[peer.node_id()];
        if (lag == nullptr) {
            lag = &metrics_->gauge("sandstore_raft_peer_lag_entries",
                                   "Entries that a peer has yet to acknowledge, on the leader.",
                                   {{"peer", peer.node_id()}});
        }
        const bool behind = raft.last_index() > peer.match_index();
        lag->set(behind ? static_cast<double>(raft.last_index() - peer.match_index()) : 0);
    }
}

}  // namespace sandstore
