#include "actors/raft/raft_metrics.h"

namespace sandstore {

namespace {

constexpr std::string_view kFailedName = "sandstore_raft_proposals_failed_total";
constexpr std::string_view kFailedHelp = "Proposals that were refused, or whose outcome was lost with the leadership.";
constexpr std::string_view kElectionsName = "sandstore_raft_elections_total";
constexpr std::string_view kElectionsHelp = "Elections in which this node stood, by how they ended.";

std::string_view reason_of(pb::StatusCode code) {
    switch (code) {
        case pb::STATUS_NOT_LEADER:
            return "not_leader";
        case pb::STATUS_RESOURCE_EXHAUSTED:
            return "too_many";
        case pb::STATUS_ENOSPC:
            return "disk_full";
        case pb::STATUS_INVALID_ARGUMENT:
            return "too_large";
        default:
            return "unavailable";
    }
}

}  // namespace

RaftMetrics::RaftMetrics(MetricsRegistry& registry)
    : elections_won(registry.counter(kElectionsName, kElectionsHelp, {{"result", "won"}})),
      elections_lost(registry.counter(kElectionsName, kElectionsHelp, {{"result", "lost"}})),
      snapshots_failed(
          registry.counter("sandstore_snapshot_failures_total", "Snapshots that could not be taken or saved.")),
      snapshots_damaged(registry.counter("sandstore_snapshot_damaged_total",
                                         "Snapshots that were found damaged when a peer needed them.")),
      transfers_failed(registry.counter("sandstore_snapshot_transfer_failures_total",
                                        "Transfers of a snapshot to a peer that failed and were put off.")),
      snapshot_save(registry.histogram("sandstore_snapshot_save_duration_seconds",
                                       "From the decision to take a snapshot until it is durable.")),
      snapshot_install(
          registry.histogram("sandstore_snapshot_install_duration_seconds",
                             "From the first piece of a leader's snapshot until the state machine continues from it.")),
      registry_(registry),
      proposals_(registry.counter("sandstore_raft_proposals_total", "Proposals that arrived here.")),
      pending_(registry.gauge("sandstore_raft_proposals_pending", "Proposals whose outcome is awaited.")) {
    for (const pb::StatusCode code : {pb::STATUS_NOT_LEADER, pb::STATUS_RESOURCE_EXHAUSTED, pb::STATUS_ENOSPC,
                                      pb::STATUS_INVALID_ARGUMENT, pb::STATUS_UNAVAILABLE}) {
        proposals_failed(code, 0);
    }
}

void RaftMetrics::proposals_failed(pb::StatusCode code, uint64_t count) {
    registry_.counter(kFailedName, kFailedHelp, {{"reason", std::string(reason_of(code))}}).add(count);
}

void RaftMetrics::acknowledged_lost(const std::string& peer, uint64_t times) {
    registry_
        .counter("sandstore_raft_acknowledged_lost_total",
                 "How often a peer was found to have lost log entries that it had acknowledged.", {{"peer", peer}})
        .add(times);
}

void RaftMetrics::round_trip(const std::string& peer, uint64_t took_us) {
    Histogram*& times = round_trips_[peer];
    if (times == nullptr) {
        times = &registry_.histogram("sandstore_raft_peer_rtt_seconds",
                                     "From a leader's heartbeat to the peer's answer.", {{"peer", peer}});
        acknowledged_lost(peer, 0);  // There from the first: a rate sees no increase in the first value of a series.
    }
    times->observe_us(took_us);
}

}  // namespace sandstore
