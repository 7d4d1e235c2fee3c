// What a scenario asks of nodes (proposals, read indexes, members, leadership, snapshots) and, through clients, of the
// file system, and what was answered. A client is there from the first time it is named: client-1, client-2, ...
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/message.h"
#include "tests/scenarios/runner/arguments.h"

namespace sandstore {

class SimCluster;

struct Answer {
    std::string code;  // "OK", "ENOENT", ...
    std::string text;  // What was read; the index of a proposal, a read index, a snapshot; the size of a file.
    std::string why;   // The status's own words.
};

class Requests {
 public:
    explicit Requests(SimCluster& cluster) : cluster_(cluster) {}

    static bool is_request(std::string_view verb);
    // Sends what the arguments say: `propose node-1 "a"`, `client-1 read /a` and so on, as listed in README.md.
    std::shared_ptr<std::optional<Answer>> begin(Arguments& arguments);
    uint64_t last_index_of(const std::string& node);

 private:
    using Place = std::shared_ptr<std::optional<Answer>>;
    struct Order {
        Message message;
        uint64_t timeout_us = 60'000'000;
    };

    Place ask_node(const std::string& node, pb::ActorKind actor, Order order);
    Place ask_client(const std::string& client, Order order);
    Place propose(Arguments& arguments);
    Place change_members(Arguments& arguments);
    Order mutation(std::string_view verb, Arguments& arguments);
    Order file_order(std::string_view verb, Arguments& arguments);

    SimCluster& cluster_;
    std::set<std::string> clients_;
    uint64_t proposals_ = 0;
};

}  // namespace sandstore
