// The verbs by which a scenario does harm: to processes, machines, links, disks, clocks and etcd.
#pragma once

#include <map>
#include <string>

#include "tests/scenarios/runner/arguments.h"
#include "tests/scenarios/runner/message_rules.h"

namespace sandstore {

class SimCluster;
class SimDisk;

class FaultVerbs {
 public:
    FaultVerbs(SimCluster& cluster, MessageRules& rules);

    // False: the verb is none of these.
    bool execute(const std::string& verb, Arguments& arguments);

 private:
    bool execute_on_processes(const std::string& verb, Arguments& arguments);
    bool execute_on_network(const std::string& verb, Arguments& arguments);
    void partition(Arguments& arguments);
    void add_rule(MessageRules::Fate fate, Arguments& arguments);
    void network(Arguments& arguments);
    void disk(Arguments& arguments);
    bool damage(const std::string& id, const std::string& what, Arguments& arguments);
    std::string file(const SimDisk& disk, Arguments& arguments) const;
    void clock(Arguments& arguments);
    void etcd(Arguments& arguments);

    SimCluster& cluster_;
    MessageRules& rules_;
    std::map<std::string, std::string> etcd_records_;
};

}  // namespace sandstore
