// May this node be stopped now? Judged from the status of the cluster alone, as far as the nodes know: GET
// /health?maintenance, the status page and `sandstore status` all say the same.
#pragma once

#include <string>
#include <string_view>

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

}  // namespace sandstore
