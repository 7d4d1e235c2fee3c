// Several Raft groups over the same nodes: each node runs three of everything that consensus needs, as instances 0 to
// 2, and all their logs go through one ordered writer. Nothing else is shared.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "actors/fs/file_state_machine.h"
#include "actors/log/log_store.h"
#include "actors/log/snapshot_store.h"
#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_ports.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;
constexpr uint32_t kGroups = 3;

class Groups {
 public:
    explicit Groups(uint64_t seed) : runtime_(seed), network_(runtime_), dice_(seed, 8) {
        runtime_.on_stop = [](const std::string& node, const std::string& reason) {
            ADD_FAILURE() << node << " stopped: " << reason;
        };
        for (const std::string& id : ids()) {
            disks_[id] = std::make_unique<SimDisk>(mix64(seed + id.back()));
            disks_[id]->set_delays({.operation_us = 20, .sync_us = 150, .jitter_us = 200});
            start(id);
        }
    }

    static std::vector<std::string> ids() { return {"node-1", "node-2", "node-3"}; }
    SimRuntime& runtime() { return runtime_; }

    void start(const std::string& id) {
        Dispatcher& dispatcher = runtime_.add_node(id, logger_);
        disk_ports_[id] = std::make_unique<DiskPorts>(runtime_, dispatcher, *disks_[id]);
        dispatcher.add_port({pb::PORT_LOG_DISK, 0}, &disk_ports_[id]->log);
        dispatcher.add_port({pb::PORT_CHUNK_DISK, 0}, &disk_ports_[id]->pool);
        network_.attach(id, dispatcher, false);
        for (uint32_t group = 0; group < kGroups; group++) start_group(dispatcher, id, group);
        dispatcher.send(Address(pb::PORT_TRANSPORT), message_of(pb::StartTransport()));
    }

    void power_cut(const std::string& id) {
        runtime_.remove_node(id);
        network_.detach(id);
        disk_ports_.erase(id);
        disks_[id]->crash();
    }

    RaftNode* raft(const std::string& id, uint32_t group) {
        Dispatcher* dispatcher = runtime_.node(id);
        return dispatcher == nullptr ? nullptr : static_cast<RaftNode*>(dispatcher->actor({pb::ACTOR_RAFT, group}));
    }

    std::string leader(uint32_t group) {
        for (const std::string& id : ids()) {
            RaftNode* node = raft(id, group);
            if (node != nullptr && node->core() != nullptr && node->core()->is_leader()) return id;
        }
        return "";
    }

    bool all_lead() {
        return runtime_.run_until(
            [this] {
                for (uint32_t group = 0; group < kGroups; group++) {
                    if (leader(group).empty()) return false;
                }
                return true;
            },
            30 * kSecond);
    }

    // The outcome of one command that opens a session; OK when it was committed and applied.
    bool propose(uint32_t group) {
        const std::string node = leader(group);
        if (node.empty()) return false;
        pb::Command command;
        command.set_time_us(++commands_);
        command.mutable_mutation()->mutable_open_session();
        std::optional<bool> committed;
        runtime_.node(node)->ask(
            Address(pb::ACTOR_RAFT, group), message_of(pb::Propose(), Payload(command.SerializeAsString())),
            5 * kSecond, [&committed](Message reply) {
                committed = reply->has_propose_reply() && reply->propose_reply().status().code() == pb::STATUS_OK;
            });
        runtime_.run_until([&committed] { return committed.has_value(); }, 10 * kSecond);
        return committed.value_or(false);
    }

    bool converge(uint32_t group) {
        return runtime_.run_until(
            [&] {
                std::set<std::pair<uint64_t, uint64_t>> states;
                for (const std::string& id : ids()) {
                    auto* machine =
                        static_cast<StateMachine*>(runtime_.node(id)->actor({pb::ACTOR_STATE_MACHINE, group}));
                    states.insert({machine->state().applied_index(), machine->state().hash()});
                }
                return states.size() == 1;
            },
            30 * kSecond);
    }

 private:
    struct DiskPorts {
        SimDiskPort log;
        SimDiskPort pool;
        DiskPorts(SimRuntime& runtime, Dispatcher& dispatcher, SimDisk& disk)
            : log(runtime, dispatcher, disk, {pb::PORT_LOG_DISK, 0}, true),
              pool(runtime, dispatcher, disk, {pb::PORT_CHUNK_DISK, 0}, false) {}
    };

    static void start_group(Dispatcher& dispatcher, const std::string& id, uint32_t group) {
        dispatcher.add_actor({{pb::ACTOR_LOG, group}, [] { return std::make_unique<LogStore>(); }});
        dispatcher.add_actor({{pb::ACTOR_SNAPSHOTS, group}, [] { return std::make_unique<SnapshotStore>(); }});
        dispatcher.add_actor({{pb::ACTOR_RAFT, group}, [] { return std::make_unique<RaftNode>(); }});
        dispatcher.add_actor({{pb::ACTOR_STATE_MACHINE, group}, make_file_state_machine});
        pb::StartLog log;
        log.set_cluster_id("sim");
        log.set_node_id(id);
        log.set_segment_bytes(64 * 1024);
        log.set_directory(str_cat("group-", group, "/log"));
        pb::StartSnapshots snapshots;
        snapshots.set_cluster_id("sim");
        snapshots.set_node_id(id);
        snapshots.set_directory(str_cat("group-", group, "/snapshots"));
        pb::StartRaft raft;
        raft.set_cluster_id("sim");
        raft.set_node_id(id);
        for (const std::string& voter : ids()) raft.add_bootstrap_voters(voter);
        raft.set_election_timeout_min_ms(150);
        raft.set_election_timeout_max_ms(300);
        raft.set_heartbeat_interval_ms(30);
        raft.set_snapshot_log_bytes(2'000);
        pb::StartStateMachine state;
        state.set_session_timeout_us(3'600 * kSecond);
        state.set_sessions_max(1'000);
        dispatcher.send(Address(pb::ACTOR_SNAPSHOTS, group), message_of(std::move(snapshots)));
        dispatcher.send(Address(pb::ACTOR_LOG, group), message_of(std::move(log)));
        dispatcher.send(Address(pb::ACTOR_RAFT, group), message_of(std::move(raft)));
        dispatcher.send(Address(pb::ACTOR_STATE_MACHINE, group), message_of(std::move(state)));
    }

    Logger logger_;
    std::map<std::string, std::unique_ptr<SimDisk>> disks_;
    std::map<std::string, std::unique_ptr<DiskPorts>> disk_ports_;
    SimRuntime runtime_;
    SimNetwork network_;
    RandomStream dice_;
    uint64_t commands_ = 0;
};

TEST(RaftGroups, three_groups_share_nodes_and_a_log_writer_and_nothing_else) {
    Groups groups(4);
    ASSERT_TRUE(groups.all_lead());
    const int commands[kGroups] = {60, 20, 90};  // Enough for snapshots in each.
    for (uint32_t group = 0; group < kGroups; group++) {
        for (int i = 0; i < commands[group]; i++) ASSERT_TRUE(groups.propose(group)) << group;
    }
    for (uint32_t group = 0; group < kGroups; group++) {
        ASSERT_TRUE(groups.converge(group));
        const RaftNode* node = groups.raft("node-1", group);
        EXPECT_GE(node->applied_index(), static_cast<uint64_t>(commands[group]));
        EXPECT_LT(node->applied_index(), static_cast<uint64_t>(commands[group]) + 10);
    }
    EXPECT_GT(groups.raft("node-1", 2)->snapshot_index(), 0u);
}

TEST(RaftGroups, each_group_elects_and_recovers_by_itself_when_nodes_lose_power) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        Groups groups(seed);
        RandomStream dice(seed, 1);
        int acknowledged[kGroups] = {};
        for (int round = 0; round < 12; round++) {
            ASSERT_TRUE(groups.all_lead()) << "seed " << seed;
            for (int i = 0; i < 20; i++) {
                const uint32_t group = static_cast<uint32_t>(dice.below(kGroups));
                acknowledged[group] += groups.propose(group);
            }
            const std::string id = Groups::ids()[dice.below(3)];
            groups.power_cut(id);
            groups.runtime().run_for(dice.below(kSecond));
            groups.start(id);
        }
        ASSERT_TRUE(groups.all_lead()) << "seed " << seed;
        for (uint32_t group = 0; group < kGroups; group++) {
            ASSERT_TRUE(groups.propose(group)) << "seed " << seed;
            ASSERT_TRUE(groups.converge(group)) << "seed " << seed;
            auto* machine =
                static_cast<StateMachine*>(groups.runtime().node("node-1")->actor({pb::ACTOR_STATE_MACHINE, group}));
            EXPECT_GE(file_state_of(*machine).sessions().size(), static_cast<size_t>(acknowledged[group]));
        }
    }
}

}  // namespace
}  // namespace sandstore
