// The simulated driver: many dispatchers (one for each node or client), one virtual clock, one thread, one seed. The
// order of what may happen at the same moment is drawn from the seed, so that runs explore it and every run can be had
// again. What it does not cover: the real loop's fairness, real sockets and files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/dispatcher.h"
#include "runtime/metrics.h"
#include "runtime/random.h"

namespace sandstore {

class SimRuntime {
 public:
    explicit SimRuntime(uint64_t seed);
    ~SimRuntime();

    uint64_t now_us() const { return clock_.now_us; }
    uint64_t seed() const { return seed_; }
    RandomStream& random() { return random_; }  // For the world around the actors: network, disks, faults.

    // A node that was removed may be added again under its name: the next process on the same machine. The logger and
    // the metrics live as long as the node.
    Dispatcher& add_node(const std::string& id, Logger& logger);
    void remove_node(const std::string& id);  // At once, whatever it was doing.
    Dispatcher* node(const std::string& id);

    // Runs `action` once after the delay, unless a node named in `only_while` is removed before.
    void schedule(uint64_t delay_us, std::function<void()> action, const std::string& only_while = {});

    // One message on one node, or, when no node has any, one jump to the next thing due. False when nothing is left.
    bool step();
    // Steps until `done`; false when virtual time passed the limit first or a node stopped by itself (see stopped()).
    bool run_until(const std::function<bool()>& done, uint64_t limit_us);
    void run_for(uint64_t microseconds);

    // Called after each step: the place for invariants.
    std::function<void()> after_step;
    // Called when a node stopped by itself (fail_stop, broken invariant). Without it, such a stop throws.
    std::function<void(const std::string& node, const std::string& reason)> on_stop;

 private:
    struct VirtualClock final : Clock {
        uint64_t now_us = 1'000'000;
        uint64_t monotonic_us() const override { return now_us; }
        uint64_t wall_us() const override { return 1'700'000'000'000'000 + now_us; }
    };
    struct Node {
        std::unique_ptr<MetricsRegistry> metrics;
        std::unique_ptr<Dispatcher> dispatcher;
        uint64_t life;
    };
    struct Action {
        std::function<void()> run;
        std::string only_while;
        uint64_t life;
    };

    bool run_one_message();
    bool jump();
    void look_for_stops(const std::string& id);

    uint64_t seed_;
    VirtualClock clock_;
    RandomStream random_;
    std::map<std::string, Node> nodes_;
    uint64_t next_life_ = 1;
    uint64_t messages_at_this_time_ = 0;
    std::multimap<std::pair<uint64_t, uint64_t>, Action> actions_;  // By (time, tie drawn from the seed).
};

}  // namespace sandstore
