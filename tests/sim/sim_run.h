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

// What a run reached: sums of these tell whether faults really got in each other's way.
struct SimFigures {
    uint64_t begun = 0;  // Operations of clients,
    uint64_t acknowledged = 0;
    uint64_t undecided = 0;         // histories that were too much to judge,
    uint64_t requests_granted = 0;  // requests of operators.
    uint64_t elections = 0;
    uint64_t committed = 0;  // Entries.
    uint64_t snapshots_saved = 0;
    uint64_t snapshots_restored = 0;
    uint64_t starts = 0;  // Of processes.
    uint64_t messages = 0;
    uint64_t virtual_us = 0;

    void add(const SimFigures& other);
    std::string text() const;
};

struct SimRunResult {
    std::string failure;    // Empty: none.
    std::string signature;  // What kind of failure: the same after shrinking.
    SimFigures figures;

    bool ok() const { return failure.empty(); }
};

SimRunResult run_schedule(const Schedule& schedule, const SimRunOptions& options = {});

}  // namespace sandstore
