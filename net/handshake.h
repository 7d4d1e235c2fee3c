// The first frame in each direction of a connection: who are you, and do we belong together?
#pragma once

#include <string>

#include "messages/net.pb.h"

namespace sandstore {

constexpr uint32_t kProtocolVersion = 1;

// What this process calls itself. Node and cluster are empty in clients, and in a node that is still starting.
struct LocalNames {
    std::string cluster_id;
    std::string node_id;
    std::string instance_id;
    std::string software_version;
    bool started() const { return !node_id.empty(); }
};

pb::Hello make_hello(pb::Hello::Kind kind, const LocalNames& names);
pb::HelloReply answer_hello(const pb::Hello& hello, const LocalNames& names);

}  // namespace sandstore
