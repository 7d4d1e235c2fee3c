// What operators ask of a simulated cluster: leadership handed over, snapshots, members added, removed, promoted,
// demoted, several at once. They ask some node, which
// passes it on, and take no for an answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/message.h"
#include "tests/sim/schedule.h"

namespace sandstore {

class SimCluster;

class Operators {
 public:
    explicit Operators(SimCluster& cluster) : cluster_(cluster) {}

    void apply(const SimEvent& event);
    void stop() { stopped_ = true; }  // Nothing new from here on.
    size_t granted() const { return granted_; }
    bool all_ended() const;  // Nothing that was asked can still be granted.

 private:
    void apply_until(const SimEvent& event, uint64_t until_us);
    void ask(const std::string& node, Message request);
    std::string node(int64_t number) const;
    std::string choose(int64_t number, const std::vector<std::string>& among) const;

    SimCluster& cluster_;
    size_t granted_ = 0;
    uint64_t asked_us_ = 0;  // The last time; 0: never.
    bool stopped_ = false;
};

}  // namespace sandstore
