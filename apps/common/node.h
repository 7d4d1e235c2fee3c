// A node, assembled: one event loop with its actors, ports and servers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "messages/common.pb.h"
#include "runtime/logging.h"
#include "runtime/metrics.h"

namespace sandstore {

struct NodeOptions {
    std::string node_id;
    std::string cluster_id;         // Empty: from discovery.
    std::string listen;             // Peers and clients.
    std::string http_listen;        // Health, metrics, status.
    std::string data_directory;     // Made when missing.
    std::string trace_file;         // Empty: none.
    bool trace_content = false;     // File data too.
    std::vector<pb::Member> peers;  // Static discovery; empty: etcd is asked.
    std::vector<std::string> etcd_endpoints;
    uint64_t poll_interval_ms = 2'000;
    bool single_node = false;            // The NoOp replicator instead of Raft.
    uint64_t election_timeout_ms = 300;  // Of each election, drawn from here to twice this.
    uint64_t heartbeat_interval_ms = 50;
    uint32_t copies = 3;  // Of each chunk.
    uint64_t chunk_bytes_max = 8 << 20;
    uint64_t segment_bytes = 16 << 20;
};

class Node {
 public:
    Node(NodeOptions options, Logger& logger);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    // Takes the data directory and the ports, and begins. Empty when it worked, else a sentence for the operator.
    [[nodiscard]] std::string start();
    // Serves until stop() or SIGTERM or SIGINT: empty; or until it must not go on: the reason.
    [[nodiscard]] std::string run();
    // Ends run() soon: queued messages are written, for a fraction of a second.
    void stop();

 private:
    struct Parts;
    std::string save_recording();
    NodeOptions options_;
    Logger& logger_;
    MetricsRegistry metrics_;
    std::unique_ptr<Parts> parts_;
};

}  // namespace sandstore
