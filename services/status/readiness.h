// Whether a node is of use: the one rule behind /readyz, /health, /health?maintenance, the status page, `sandstore
// status`, `cluster members` and `top`. A node is ready when its leader has its acknowledgements up to now, and its log
// and its chunk store take writes. Judged from what the node says of itself (its line of the status), to which its
// leader adds with each heartbeat what it has heard of the node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "messages/cluster.pb.h"

namespace sandstore {

// One that passed may warn all the same.
struct ReadyCheck {
    std::string name;
    bool passed = false;
    std::string detail;
    bool warns = false;
};

// In the order in which they are told.
inline constexpr std::string_view kReadyChecks[] = {"status",  "started", "leader", "acknowledged",
                                                    "applied", "disk",    "chunks", "deletions"};

// Of a node's own line, `up` or not.
std::vector<ReadyCheck> ready_checks(const pb::NodeStatus& node);

// Why the node is not ready, a part of a sentence; empty when it is.
std::string not_ready(const pb::NodeStatus& node);

// The same for a table in which its detail stands anyway: "not ready: ..."; empty also when it is down.
std::string not_ready_remark(const pb::NodeStatus& node);

// Entries behind that a node makes up for in a moment.
inline constexpr uint64_t kEntriesBehindMax = 1000;

}  // namespace sandstore
