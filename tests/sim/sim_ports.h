// Simulated disk and etcd ports.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>

#include "runtime/sim_runtime.h"
#include "tests/sim/sim_disk.h"

namespace sandstore {

// Executes requests on a SimDisk after its delays: in order for the log's port, in any order for the pool.
class SimDiskPort final : public Port {
 public:
    SimDiskPort(SimRuntime& runtime, Dispatcher& dispatcher, SimDisk& disk, LocalAddress self, bool ordered);
    void handle(Message message) override;

 private:
    void begin(Message message);
    void try_later(std::shared_ptr<Message> message);
    void execute(const Message& message);

    SimRuntime& runtime_;
    Dispatcher& dispatcher_;
    SimDisk& disk_;
    LocalAddress self_;
    bool ordered_;
    bool busy_ = false;
    std::deque<Message> waiting_;
};

// etcd's JSON gateway with a scripted content.
class SimEtcd {
 public:
    using Records = std::map<std::string, std::string>;  // Full key to value.
    Records records;
    std::map<std::string, Records> told;  // By node: what it is told instead.
    bool is_up = true;
    // The body of the gateway's answer to a range request of that node.
    std::string range_answer(const std::string& node) const;
};

class SimEtcdPort final : public Port {
 public:
    SimEtcdPort(SimRuntime& runtime, Dispatcher& dispatcher, SimEtcd& etcd)
        : runtime_(runtime), dispatcher_(dispatcher), etcd_(etcd) {}
    void handle(Message message) override;

 private:
    SimRuntime& runtime_;
    Dispatcher& dispatcher_;
    SimEtcd& etcd_;
};

}  // namespace sandstore
