// What the replicator counts and times, under the names of docs/metrics.md. Both RaftNode and NoOpReplicator have it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "messages/common.pb.h"
#include "runtime/metrics.h"

namespace sandstore {

class RaftMetrics {
 public:
    explicit RaftMetrics(MetricsRegistry& registry);

    void proposal_arrived() { proposals_.add(); }
    // `code` says why: refused, or its outcome was lost with the leadership.
    void proposals_failed(pb::StatusCode code, uint64_t count);
    void set_pending(uint64_t proposals) { pending_.set(static_cast<double>(proposals)); }
    void acknowledged_lost(const std::string& peer, uint64_t times);
    void round_trip(const std::string& peer, uint64_t took_us);

    Counter& elections_won;
    Counter& elections_lost;
    Counter& snapshots_failed;
    Counter& snapshots_damaged;
    Counter& transfers_failed;
    Histogram& snapshot_save;
    Histogram& snapshot_install;

 private:
    MetricsRegistry& registry_;
    Counter& proposals_;
    Gauge& pending_;
    std::map<std::string, Histogram*, std::less<>> round_trips_;  // By peer.
};

}  // namespace sandstore
