// One run of the simulator: a cluster and its clients under a schedule, every invariant checked after every step; then
// all faults end, and the cluster must have one leader, serve, hold what it acknowledged, and be the same everywhere,
// each within bounded virtual time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/message.h"
#include "tests/sim/schedule.h"

namespace sandstore {

struct SimRunOptions {
    std::string trace_directory;  // Traces of all nodes are written there; empty: none.
    // Sees every message on every node and client, in order.
    std::function<void(uint64_t now_us, const std::string& id, const Message&)> on_deliver;
};

struct SimRunResult {
    std::string failure;    // Empty: none.
    std::string signature;  // What kind of failure: the same after shrinking.
    size_t begun = 0;       // Operations of clients,
    size_t acknowledged = 0;
    size_t undecided = 0;  // histories that were too much to judge.
    uint64_t elections = 0;
    size_t requests_granted = 0;  // Of operators.
    uint64_t committed = 0;
    uint64_t steps = 0;
    uint64_t virtual_us = 0;

    bool ok() const { return failure.empty(); }
};

SimRunResult run_schedule(const Schedule& schedule, const SimRunOptions& options = {});

}  // namespace sandstore
