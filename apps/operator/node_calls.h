// Single questions to the StatusServices of nodes, for the commands that look after a cluster. Unlike the client
// library it repeats nothing by itself: who changes a cluster must know what each request did.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "messages/envelope.pb.h"
#include "runtime/message.h"

namespace sandstore {

class NodeCalls {
 public:
    explicit NodeCalls(std::vector<std::string> servers);
    ~NodeCalls();
    NodeCalls(const NodeCalls&) = delete;
    NodeCalls& operator=(const NodeCalls&) = delete;

    // Asks the server that answered last, or one after the other until one answers. Nothing: `error` has what each
    // said.
    std::optional<pb::ClusterStatus> cluster_status(const pb::ClusterStatusRequest& request, uint64_t timeout_us,
                                                    std::string* error);
    std::optional<pb::ClusterStatus> cluster_status(bool state_hash, uint64_t timeout_us, std::string* error);
    // Of the server that answered last: its reply, or RequestFailed.
    Message ask(Message request, uint64_t timeout_us);
    const std::string& server() const { return servers_[current_]; }
    // More nodes that may be asked, as found in a status.
    void learn(const pb::ClusterStatus& status);

    uint64_t now_us() const;
    void pause(uint64_t microseconds);

 private:
    struct Inside;

    std::vector<std::string> servers_;
    size_t current_ = 0;
    std::unique_ptr<Inside> inside_;
};

}  // namespace sandstore
