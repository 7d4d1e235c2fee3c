// The first frame in each direction of a connection: who are you, and do we belong together?
#pragma once

#include <string>

#include "messages/net.pb.h"

namespace sandstore {

// Raised when a message changes its meaning. Programs of one protocol version work together, whatever their software
// version (docs/operations.md, "Versions"). What comes to the log has levels of its own (actors/raft/feature_level.h).
constexpr uint32_t kProtocolVersion = 1;

// What this process calls itself. Node and cluster are empty in clients, and in a node that is still starting.
struct LocalNames {
    std::string cluster_id;
    std::string node_id;
    std::string instance_id;
    std::string software_version;
    std::string founding = {};  // Of the cluster; empty while it is not known.
    bool started() const { return !node_id.empty(); }
};

pb::Hello make_hello(pb::Hello::Kind kind, const LocalNames& names);
pb::HelloReply answer_hello(const pb::Hello& hello, const LocalNames& names);
// Why the caller cannot go on with this answer. Empty: it can.
std::string problem_with(const pb::HelloReply& reply);

}  // namespace sandstore
