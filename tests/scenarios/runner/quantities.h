// What a scenario can look at: a number or a word for each, and the comparisons that expect, wait and throughout make.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "tests/scenarios/runner/arguments.h"
#include "tests/scenarios/runner/message_rules.h"
#include "tests/scenarios/runner/requests.h"

namespace sandstore {

class RaftNode;
class SimCluster;

class Quantities {
 public:
    using Answers = std::map<std::string, std::shared_ptr<std::optional<Answer>>, std::less<>>;

    Quantities(SimCluster& cluster, const MessageRules& rules, const Answers& answers)
        : cluster_(cluster), rules_(rules), answers_(answers) {}

    // A quantity that was named, to be asked for its value again and again.
    using Quantity = std::function<std::string()>;
    // Several where several nodes are named.
    std::vector<Quantity> parse(Arguments& arguments);
    // `committed node-1 >= 5`, `leader == node-2`, `stopped node-1 ~ "sync"`, `applied all == 7`. Says what is seen
    // when it does not hold.
    struct Condition {
        std::function<bool(std::string* seen)> holds;
    };
    Condition parse_condition(Arguments& arguments);
    // Nodes whose stop the scenario has asked for.
    const std::set<std::string>& explained_stops() const { return explained_stops_; }

 private:
    std::vector<Quantity> of_nodes(const std::string& name, Arguments& arguments);
    Quantity of_node(const std::string& name, const std::string& node, uint64_t index, const std::string& peer);
    std::string leader() const;
    std::string stopped(const std::string& node) const;

    SimCluster& cluster_;
    const MessageRules& rules_;
    const Answers& answers_;
    std::set<std::string> explained_stops_;
};

}  // namespace sandstore
