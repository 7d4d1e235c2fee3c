// A few RaftCores with a make-believe network and make-believe disks, driven from one seed. Only the core is real: fast
// enough for thousands of runs. What it does not cover: the actors around the core, real encodings on disk, time skew.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/raft/raft_core.h"
#include "messages/envelope.pb.h"
#include "messages/snapshot.pb.h"
#include "runtime/random.h"

namespace sandstore {

class CoreCluster {
 public:
    struct Faults {
        uint64_t loss_percent = 0;
        uint64_t duplicate_percent = 0;
        uint64_t delay_max_us = 2'000;
        uint64_t sync_max_us = 1'000;
        bool reorder = false;  // Otherwise each link keeps its order, as a connection does.
    };

    CoreCluster(int nodes, uint64_t seed, Faults faults, std::function<void(RaftOptions*)> adjust_options = nullptr);

    // --- The script
    void run_for(uint64_t microseconds);
    bool run_until(const std::function<bool()>& done, uint64_t limit_us);
    void crash(const std::string& node);  // Loses what was not synced.
    void restart(const std::string& node);
    void wipe(const std::string& node);  // While it is down: it comes back with an empty disk, and joins.
    // Of a node that is down, and back to it later.
    void copy_disk(const std::string& node);
    void put_back_copy(const std::string& node);
    void partition(const std::set<std::string>& side);  // These on one side, all others on the other.
    void block_one_way(const std::string& from, const std::string& to) { blocked_.insert({from, to}); }
    void heal() { blocked_.clear(); }
    // A new machine that waits to be added.
    void add_node(const std::string& node);
    // Takes a snapshot of all that is committed, and compacts the log behind the one before.
    void take_snapshot(const std::string& node);
    // Of a node that is down: its disk comes back without the entries after `last_kept`.
    void lose_tail(const std::string& node, uint64_t last_kept);
    void lose_snapshot(const std::string& node);  // The newest is damaged; found out at the next start.
    RaftCore::RequestOutcome change(const std::string& leader, const pb::ChangeMembership& request);
    RaftCore::RequestOutcome change(const std::string& leader, pb::ChangeMembership::Change::Kind kind,
                                    const std::string& node);
    bool transfer(const std::string& leader, const std::string& target);
    void fill_disk(const std::string& node, bool full) { fill_disk(node, full, full); }
    void fill_disk(const std::string& node, bool full, bool exhausted);
    // Before start_all(): how nodes are configured from their next start on.
    std::function<void(RaftOptions*)> adjust;
    void set_faults(Faults faults) { faults_ = faults; }
    void hang_disk(const std::string& node, bool hung);
    bool propose(const std::string& node, const std::string& data);
    std::optional<uint64_t> read(const std::string& node);  // A token, or nothing when it is not the leader.

    // --- What is seen
    std::string leader() const;  // With the highest term; empty without one.
    RaftCore* core(const std::string& node) { return nodes_[node].core.get(); }
    bool is_up(const std::string& node) const { return nodes_.at(node).core != nullptr; }
    // Why the node stopped by itself; empty: it did not.
    std::string stopped(const std::string& node) { return stopped_[node]; }
    const std::string& refusal() const { return refusal_; }  // Of the last change().
    std::vector<std::string> names() const;
    const std::vector<std::string>& committed() const { return committed_; }          // Data by index - 1.
    const std::map<uint64_t, uint64_t>& reads_ready() const { return reads_ready_; }  // Token to index.
    uint64_t now_us() const { return now_us_; }
    RandomStream& random() { return random_; }
    std::string describe() const;  // One line for each node.
    uint64_t messages_sent(pb::Envelope::BodyCase body) const;
    // Delivered messages pass here; false swallows one.
    std::function<bool(const std::string& from, const std::string& to, const Message&)> filter;

 private:
    struct DiskWrite {
        uint64_t write_id;
        pb::LogWrite write;
        Payload records;
    };
    struct Disk {
        uint64_t term = 0;
        std::string voted_for;
        uint64_t log_start = 0;   // The log's first entry is the one after,
        uint64_t start_term = 0;  // and this is the term of the one before.
        std::vector<Record> log;
        std::vector<pb::SnapshotMeta> snapshots;  // Newest first.
        bool joins = false;
    };
    struct Node : Disk {
        std::unique_ptr<RaftCore> core;
        uint64_t generation = 0;
        Disk copy;
        std::vector<DiskWrite> unsynced;
        uint64_t persisted_write = 0;
        std::vector<RaftEffects::Outgoing> held;
        bool disk_hung = false;
        bool sync_running = false;
    };
    struct Event {
        uint64_t at_us;
        std::function<void()> run;
    };

    void at(uint64_t delay_us, std::function<void()> run);
    void start(const std::string& name);
    void carry_out(const std::string& name);
    void send_snapshot(const std::string& name, const std::string& peer, uint64_t generation);
    void receive_snapshot(const std::string& name, const std::string& from, const Message& message);
    void transmit(const std::string& from, const std::string& to, const Message& message);
    void start_sync(const std::string& name);
    void finish_sync(const std::string& name, size_t count);
    void arm_tick(const std::string& name);
    void check(const std::string& name);
    RaftInput input() { return {now_us_, random_.next()}; }

    RandomStream random_;
    Faults faults_;
    uint64_t now_us_ = 1'000'000;
    std::map<std::string, Node> nodes_;
    std::multimap<uint64_t, std::function<void()>> events_;
    std::set<std::pair<std::string, std::string>> blocked_;
    std::vector<std::string> committed_;
    std::vector<uint64_t> committed_terms_;
    std::map<uint64_t, std::string> leaders_;  // By term.
    std::map<std::string, uint64_t> commit_seen_;
    std::map<std::string, std::string> stopped_;
    std::string refusal_;
    std::map<uint64_t, uint64_t> reads_ready_;
    std::map<uint64_t, uint64_t> committed_before_read_;  // By token: what any read begun then must see.
    uint64_t next_token_ = 1;
    std::map<int, uint64_t> sent_;
    std::map<std::pair<std::string, std::string>, uint64_t> link_free_us_;
};

}  // namespace sandstore
