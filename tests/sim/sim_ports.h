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
    std::map<std::string, std::string> records;  // Full key to value.
    bool is_up = true;
    // {"error": 0} for an answer of the gateway to a range request; body in the second part.
    std::string range_answer() const;
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
