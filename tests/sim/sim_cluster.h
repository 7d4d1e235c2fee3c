// A whole cluster in one thread: every actor of every node is the real one, clients too; network, disks, etcd and time
// are simulated from one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/sim_runtime.h"
#include "runtime/trace_writer.h"
#include "tests/sim/conduct.h"
#include "tests/sim/invariants.h"
#include "tests/sim/promises.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_ports.h"
#include "tests/sim/snapshot_conduct.h"

namespace sandstore {

class RaftCore;
class RaftNode;
class StateMachine;

// How the nodes of a simulated cluster are configured. Small sizes, so that little work reaches every limit.
struct SimOptions {
    int spares = 0;  // Nodes that run but are no members at first: they wait to be added.
    uint64_t election_min_ms = 150;
    uint64_t election_max_ms = 300;
    uint64_t heartbeat_ms = 30;
    uint32_t append_window = 0;  // 0: RaftNode's own default.
    uint64_t append_bytes_max = 16 * 1024;
    uint64_t cache_bytes = 64 * 1024;
    uint64_t segment_bytes = 256 * 1024;
    uint64_t session_timeout_us = 3'600'000'000;
    uint64_t sessions_max = 1000;
    uint64_t chunk_commit_window_us = 600'000'000;
    uint64_t orphan_grace_us = 1'800'000'000;
    uint64_t client_chunk_bytes = 64 * 1024;
    uint64_t volume_bytes = 1024 * 1024;
    uint32_t vacuum_percent = 30;
    uint64_t attempt_timeout_ms = 500;
    bool lease_reads = false;
    bool random_priorities = false;
    uint64_t snapshot_log_bytes = 0;
    uint64_t snapshot_piece_bytes = 4096;
    std::map<std::string, uint32_t> priorities;  // By node; without: RaftNode's own default.
    std::map<std::string, uint64_t> patience;    // By node: its election timeouts are so many times as long.
    uint64_t patience_max = 1;                   // Of nodes not named there: drawn from the seed.
    uint64_t uncommitted_bytes_max = 0;          // 0: RaftNode's own default.
    bool plain_log = false;                      // No entries but what a script asks for: no starts, feature level 1.
    bool older = false;             // Half of the first members know feature level 1 only, until their first restart.
    uint64_t mailbox_messages = 0;  // That wait for an actor of a node at most; 0: the dispatcher's own default.
    bool varied = false;            // Nodes have sizes of their own, up to four times these.
};

class SimCluster {
 public:
    SimCluster(int nodes, uint64_t seed, SimOptions options = {});
    ~SimCluster();

    SimRuntime& runtime() { return runtime_; }
    SimNetwork& network() { return network_; }
    SimEtcd& etcd() { return etcd_; }
    SimDisk& disk(const std::string& id) { return *disks_.at(id); }
    const std::vector<std::string>& ids() const { return ids_; }

    void start(const std::string& id);
    void start_all();
    void kill(const std::string& id);       // The process dies; what it wrote stays in the page cache.
    void power_cut(const std::string& id);  // The machine dies; unsynced bytes may be lost.
    void vanish(const std::string& id);     // The same, and its peers are not told that connections broke.
    bool is_running(const std::string& id) { return runtime_.node(id) != nullptr; }
    std::string leader() const;          // Of the highest term; empty without one.
    std::vector<std::string> members();  // As the leader knows them; all nodes without one.
    // Whether all would go on without it: all nodes run, and a quorum of every configuration that any of
    // them follows is left, also when those that are leaving have left.
    bool can_spare(const std::string& id) const;
    RaftNode* raft(const std::string& id) const;
    const RaftCore* core_of(const std::string& id) const;  // Null while it boots, and of clients.
    StateMachine* state_machine(const std::string& id);
    Invariants& invariants() { return invariants_; }
    Conduct& conduct() { return conduct_; }
    // Called when a node stopped by itself, after it is gone. An invariant that broke ends the run in any case.
    std::function<void(const std::string& id, const std::string& reason)> on_stop;
    // Nodes that stopped by themselves, with the reason.
    const std::map<std::string, std::string>& stops() const { return stops_; }
    // Sees every message on every node and client just before it is handled.
    std::function<void(const std::string& id, const Message&)> on_deliver;
    // After each step, when the invariants were checked. May stop nodes.
    std::function<void()> after_step;
    // Records what this node's actors do from its next start on; later processes of it into files beside, PATH.2 and
    // on.
    void trace_to(const std::string& id, const std::string& path) { trace_paths_[id] = path; }

    // A client on its own machine. Answers arrive while the runtime runs.
    void add_client(const std::string& id);
    void ask(const std::string& client, Message message, uint64_t timeout_us, std::function<void(Message)> done);
    // Asks and runs until the answer is there.
    Message call(const std::string& client, Message message, uint64_t timeout_us = 30'000'000);

    std::string describe();  // What Raft thinks on each node, for failures.
    // Equal state on all members that run, asked through their own actors. Empty when equal, else what differs.
    std::string compare_states();

 private:
    struct Ports;
    void check_step();
    void check_received_snapshot(const std::string& id, const pb::SnapshotMeta& meta);
    uint64_t own(const std::string& id, uint64_t size) const;
    uint32_t level_of(const std::string& id);
    void node_stopped(const std::string& id, const std::string& reason);
    void watch(Dispatcher& dispatcher, const std::string& id);
    Logger& logger_of(const std::string& id);
    void post_start_messages(Dispatcher& dispatcher, const std::string& id);

    const SimOptions options_;
    std::map<std::string, std::unique_ptr<Logger>> loggers_;
    std::map<std::string, std::unique_ptr<SimDisk>> disks_;
    std::vector<std::string> ids_;
    SimEtcd etcd_;
    std::map<std::string, std::unique_ptr<Ports>> ports_;
    std::map<std::string, std::unique_ptr<TraceWriter>> traces_;
    std::map<std::string, std::string> trace_paths_;
    std::map<std::string, uint64_t> traced_lives_;
    std::set<std::string> updated_;  // Nodes that have been started once.
    SimRuntime runtime_;
    SimNetwork network_;
    std::map<std::string, std::string> stops_;
    Invariants invariants_;
    Conduct conduct_;
    Promises promises_;
    SnapshotConduct snapshot_conduct_;
};

}  // namespace sandstore
