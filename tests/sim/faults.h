// Carries out what a schedule does to a simulated cluster besides its clients' operations, and undoes it again.
//
// The fault budget: damage that a cluster cannot recover from is never more than it survives. At most one node has its
// disk damaged for good; everything else (power cuts, failed syncs, full disks) is survivable on all nodes at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/aimed_faults.h"
#include "tests/sim/durable_log.h"
#include "tests/sim/schedule.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_ports.h"

namespace sandstore {

class SimCluster;
struct LogTail;

class Faults {
 public:
    static constexpr int kAttempts = 250;  // For what cannot happen at once.

    Faults(SimCluster& cluster, const Schedule& schedule);

    void apply(const SimEvent& event);
    // Network and disks, as bad as the settings say, or good.
    void trouble();
    void calm();
    // Each message that a node is about to handle, and the end of each step: for what is aimed.
    void on_deliver(const std::string& id, const Message& message) { aimed_.on_deliver(id, message); }
    void after_step();
    // Everything works again, and every node that can runs.
    void heal();
    // A node stopped by itself. False when nothing that was done to it explains that.
    bool explains_stop(const std::string& id, const std::string& reason);
    bool members_leave() const { return members_leave_; }
    bool is_lost(const std::string& id) const { return lost_.contains(id); }  // Its disk is beyond repair.

    std::function<void(const std::string& id)> on_damage;
    std::function<void(const std::string& id)> on_take_back;  // Of what it has stored, some may be gone.

 private:
    bool takes(const std::string& to, const Message& message);
    void apply_to_process(const SimEvent& event);
    void apply_to_network(const SimEvent& event);
    bool must_wait(const SimEvent& event, const std::string& id) const;
    void apply_to_disk(const SimEvent& event, int attempts);
    void apply_to_etcd(const SimEvent& event);
    bool is_member_for_all(const std::string& id) const;
    void shoot(const AimedFaults::Shot& shot);
    void stop(const std::string& id, bool power_cut);
    void isolate(const std::string& id, uint64_t for_us);
    void slow_turns(const std::string& id, uint64_t turn_us, uint64_t until_us);
    void start_later(const std::string& id, uint64_t delay_us);
    void after(uint64_t delay_us, std::function<void()> undo);
    void split(uint64_t side, uint64_t for_us, const std::string& except);
    void block_for(const std::string& from, const std::string& to, uint64_t for_us);
    void flap(const std::string& one, const std::string& other, uint64_t period_us, uint64_t until_us, bool blocked);
    bool may_damage(const std::string& id);
    void flip_bit(const std::string& id, uint64_t where);
    void wipe(const std::string& id);
    bool may_take_back(const std::string& id);
    void copy_directory(const SimEvent& event, const std::string& id);
    struct OldCopy {
        std::string id;
        SimDisk::Copy files;
        DurableLog log;
        uint64_t for_us = 0;
    };
    void put_back(std::shared_ptr<OldCopy> copy, int attempts);
    bool others_know_its_start(const std::string& id) const;
    LogTail tail_of(const std::string& id, uint64_t blocks);
    void lose_tail(const SimEvent& event, const std::string& id, int attempts);
    void damage_tail(const SimEvent& event, const std::string& id, int attempts);
    void swap_disks(const std::string& one, const std::string& other, uint64_t for_us);
    void exchange_disks();
    void lose_directory(const SimEvent& event, const std::string& id);
    void damage_snapshot(const std::string& id, uint64_t where);
    void lie(const std::string& id, const SimEvent& event);
    void fail_operation(const SimEvent& event, const std::string& id);
    void set_network();
    void set_disk(const std::string& id, uint64_t sync_us);
    std::string node(int64_t number) const;

    SimCluster& cluster_;
    const Schedule& schedule_;
    AimedFaults aimed_;
    SimEtcd::Records etcd_records_;         // The right ones.
    bool etcd_was_wrong_ = false;           // To all,
    std::set<std::string> told_otherwise_;  // or to these alone.
    std::set<std::string> sync_errors_;     // Nodes that have to stop when they notice.
    std::set<std::string> full_;            // Whose disk was full at some time.
    std::set<std::string> power_failing_;
    std::vector<std::pair<std::string, std::string>> broken_;  // Connections.
    struct Starved {
        uint64_t until_us;
        uint64_t from_index;
    };
    std::map<std::string, Starved> starved_;  // By node: it does not get back what it has lost from that entry on.
    std::vector<std::string> swapped_;        // The two whose disks are exchanged now.
    std::set<std::string> lost_;
    std::string damaged_;         // The one node whose disk may be damaged.
    std::string wiped_;           // The one node whose disk may be replaced, or taken back to an earlier time.
    bool members_leave_ = false;  // Operators take some away.
    bool healed_ = false;         // Undoing and restarting are over: heal() did it all.
};

}  // namespace sandstore
