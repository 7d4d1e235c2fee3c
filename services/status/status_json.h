// The cluster's state as JSON: GET /status and `sandstore status --json`. Scripts rely on these names.
#pragma once

#include <string>

#include "messages/cluster.pb.h"

namespace Json {
class Value;
}

namespace sandstore {

Json::Value status_json(const pb::ClusterStatus& status);
std::string status_json_text(const pb::ClusterStatus& status);  // Indented, with a newline at the end.

std::string_view role_name(const pb::NodeStatus& node);  // "leader", "follower", "learner", "pre-candidate",
                                                         // "candidate", "removed", "waiting" (to be added), "unknown".

// The line of the leader, or else of the node that knows the newest configuration; null when nobody knows any.
const pb::NodeStatus* best_informed(const pb::ClusterStatus& status);
// What is to be done about the feature level of the log, or of the nodes: a sentence, or empty.
std::string feature_hint(const pb::ClusterStatus& status);
std::string_view peer_state_name(pb::RaftPeerStatus::State state);  // "probe", "replicate", "snapshot".

}  // namespace sandstore
