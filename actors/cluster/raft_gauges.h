// Raft's standing as metrics: what StatusService hears of it, set down under the names of docs/metrics.md.
#pragma once

#include <map>
#include <string>

#include "messages/raft.pb.h"

namespace sandstore {

class Counter;
class Gauge;
class MetricsRegistry;

class RaftGauges {
 public:
    // Before all else.
    void start(MetricsRegistry& metrics);

    void on_role_changed(const pb::RoleChanged& change);
    void on_raft_status(const pb::RaftStatus& raft);

 private:
    void set_standing(uint64_t term, bool leads, bool has_leader);

    MetricsRegistry* metrics_ = nullptr;
    Gauge* term_ = nullptr;
    Gauge* is_leader_ = nullptr;
    Gauge* has_leader_ = nullptr;
    Gauge* commit_index_ = nullptr;
    Gauge* applied_index_ = nullptr;
    Gauge* first_index_ = nullptr;
    Gauge* last_index_ = nullptr;
    Gauge* log_entries_ = nullptr;
    Gauge* snapshot_index_ = nullptr;
    Gauge* voters_ = nullptr;
    Gauge* learners_ = nullptr;
    Gauge* disk_full_ = nullptr;
    Gauge* disk_slow_ = nullptr;
    Gauge* removed_ = nullptr;
    Gauge* forgot_ = nullptr;
    Gauge* voters_forgot_ = nullptr;
    Counter* leader_changes_ = nullptr;
    std::string last_leader_;
    std::map<std::string, Gauge*> peer_lags_;  // Of peers that this node led at some time.
};

}  // namespace sandstore
