// May this node be stopped now? Judged from the status of the cluster alone, as far as the nodes know: GET
// /health?maintenance, the status page and `sandstore status` all say the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/cluster.pb.h"

namespace sandstore {

struct Verdict {
    bool yes = false;
    std::string why;  // A sentence, also for a yes.
};

// Without this node a majority of the voters must be up and caught up, and no chunk may lose its last healthy copy.
Verdict may_be_stopped(const pb::ClusterStatus& status, std::string_view node_id);

// Whether the cluster serves: it has a leader, and a majority of its voters is up and caught up.
Verdict cluster_serves(const pb::ClusterStatus& status);

// Whether every chunk has as many intact copies as promised, as the leader counted them on the nodes. A node that is
// away for less than --repair-delay counts as having its copies; where no node within reach has one, nothing does.
Verdict copies_are_intact(const pb::ClusterStatus& status);

// What waits for an operator though the cluster serves.
std::vector<std::string> warnings(const pb::ClusterStatus& status);

// Entries of the leader's log that this node has yet to acknowledge, both told by the leader at one moment, so that it
// is right under load too; nothing when no leader tells. The leader's own: what it has yet to apply.
std::optional<uint64_t> lag_of(const pb::ClusterStatus& status, const pb::NodeStatus& node);

}  // namespace sandstore
