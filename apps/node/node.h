// A node, assembled: one event loop with its actors, ports and servers.
#pragma once

#include <memory>
#include <string>

#include "apps/node/node_options.h"
#include "runtime/logging.h"
#include "runtime/metrics.h"

namespace sandstore {

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
    // Ends run() soon, in a fraction of a second: a leader hands leadership over, then queued messages are written.
    void stop();

 private:
    struct Parts;
    void drain();
    void reopen_log();
    void look_at_directory();
    NodeOptions options_;
    Logger& logger_;
    MetricsRegistry metrics_;
    std::unique_ptr<Parts> parts_;
};

}  // namespace sandstore
