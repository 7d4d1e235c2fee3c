// Everything at once on a cluster of cores: loss, duplicates, reordering, slow and hung disks, crashes, partitions,
// members that come and go, leadership handed over, snapshots, lease reads. The checks are in CoreCluster.
#include <gtest/gtest.h>

#include <cstdlib>

#include "runtime/check.h"
#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;
using Change = pb::ChangeMembership::Change;

class Storm {
 public:
    explicit Storm(uint64_t seed)
        : seed_(seed), dice_(seed, 99), cluster_(dice_.below(3) == 0 ? 5 : 3, seed, draw_faults(), draw_options()) {
        crash_percent_ = draw(10);
        partition_percent_ = draw(10);
        change_percent_ = draw(20);
        transfer_percent_ = draw(10);
        snapshot_percent_ = draw(40);
        read_percent_ = draw(80);
        full_percent_ = draw(4);
    }

    void run() {
        for (int step = 0; step < 300; step++) {
            cluster_.run_for(dice_.below(30'000));
            break_something();
            change_something();
            work();
        }
        heal();
    }

 private:
    // Half of the runs leave each kind of trouble out altogether.
    uint64_t draw(uint64_t percent_max) { return dice_.below(2) == 0 ? 0 : dice_.below(percent_max) + 1; }
    bool happens(uint64_t percent) { return dice_.below(100) < percent; }

    CoreCluster::Faults draw_faults() {
        CoreCluster::Faults faults;
        faults.loss_percent = dice_.below(3) == 0 ? dice_.below(30) : 0;
        faults.duplicate_percent = dice_.below(3) == 0 ? dice_.below(30) : 0;
        faults.delay_max_us = dice_.below(2) == 0 ? 500 : 1 + dice_.below(60'000);
        faults.sync_max_us = dice_.below(2) == 0 ? 500 : 1 + dice_.below(80'000);
        faults.reorder = dice_.below(3) == 0;
        return faults;
    }

    std::function<void(RaftOptions*)> draw_options() {
        const bool leases = dice_.below(2) == 0;
        const bool priorities = dice_.below(3) == 0;
        const uint64_t salt = dice_.next();
        return [leases, priorities, salt](RaftOptions* options) {
            options->lease_reads = leases;
            if (priorities)
                options->election_priority = static_cast<uint32_t>(20 + mix64(salt + options->node_id[1]) % 80);
        };
    }

    const std::string& any_node() {
        const std::vector<std::string> names = cluster_.names();
        picked_ = names[dice_.below(names.size())];
        return picked_;
    }

    void break_something() {
        const std::string name = any_node();
        if (happens(crash_percent_)) {
            if (cluster_.is_up(name)) {
                cluster_.crash(name);
            } else {
                cluster_.restart(name);
            }
        }
        if (happens(partition_percent_)) {
            std::set<std::string> side;
            for (const std::string& each : cluster_.names()) {
                if (dice_.below(2) == 0) side.insert(each);
            }
            cluster_.partition(side);
        }
        if (happens(partition_percent_)) cluster_.block_one_way(any_node(), name);
        if (happens(partition_percent_)) cluster_.heal();
        if (happens(3)) cluster_.hang_disk(name, dice_.below(2) == 0);
        if (happens(full_percent_)) cluster_.fill_disk(name, dice_.below(2) == 0);
    }

    void change_something() {
        const std::string leader = cluster_.leader();
        if (leader.empty()) return;
        const std::string name = any_node();
        if (happens(snapshot_percent_)) cluster_.take_snapshot(name);
        if (happens(transfer_percent_)) cluster_.transfer(leader, dice_.below(2) == 0 ? "" : name);
        if (!happens(change_percent_)) return;
        if (added_ < 3 && dice_.below(4) == 0) {
            const std::string added = "new" + std::to_string(++added_);
            cluster_.add_node(added);
            cluster_.change(leader, Change::ADD_LEARNER, added);
            return;
        }
        const Change::Kind kinds[] = {Change::ADD_LEARNER, Change::PROMOTE, Change::PROMOTE, Change::DEMOTE,
                                      Change::REMOVE};
        pb::ChangeMembership request;
        const uint64_t count = 1 + dice_.below(3);
        for (uint64_t i = 0; i < count; i++) {
            Change* change = request.add_changes();
            change->set_kind(kinds[dice_.below(5)]);
            change->set_node_id(any_node());
        }
        cluster_.change(leader, request);
    }

    void work() {
        const std::string leader = cluster_.leader();
        const uint64_t burst = dice_.below(10) == 0 ? 60 : 1;
        for (uint64_t i = 0; i < burst; i++) {
            cluster_.propose(leader.empty() ? any_node() : leader, "entry " + std::to_string(++proposed_));
        }
        if (happens(read_percent_)) cluster_.read(any_node());  // Whoever believes to lead.
        if (happens(read_percent_) && !leader.empty()) cluster_.read(leader);
    }

    bool all_members_have(uint64_t index) {
        const std::string leader = cluster_.leader();
        if (leader.empty()) return false;
        for (const std::string& name : cluster_.core(leader)->configuration().members()) {
            if (cluster_.core(name)->commit_index() < index) return false;
        }
        return true;
    }

    // Then there must be one leader, and everything it holds must reach every member.
    void heal() {
        cluster_.heal();
        cluster_.set_faults({});
        for (const std::string& name : cluster_.names()) {
            cluster_.hang_disk(name, false);
            cluster_.restart(name);
            cluster_.fill_disk(name, false);
        }
        const auto accepts = [this] {
            return !cluster_.leader().empty() && cluster_.propose(cluster_.leader(), "last");
        };
        cluster_.run_for(3 * kSecond);
        ASSERT_TRUE(cluster_.run_until(accepts, 20 * kSecond)) << "seed " << seed_ << "\n" << cluster_.describe();
        const uint64_t last = cluster_.core(cluster_.leader())->last_index();
        ASSERT_TRUE(cluster_.run_until([&] { return all_members_have(last); }, 20 * kSecond))
            << "seed " << seed_ << "\n"
            << cluster_.describe();
    }

    uint64_t seed_;
    RandomStream dice_;
    CoreCluster cluster_;
    std::string picked_;
    uint64_t crash_percent_, partition_percent_, change_percent_, transfer_percent_, snapshot_percent_, read_percent_,
        full_percent_;
    uint64_t proposed_ = 0;
    int added_ = 0;
};

// SANDSTORE_STORM_FROM and SANDSTORE_STORM_SEEDS choose other runs.
TEST(RaftStorm, never_breaks_an_invariant_and_always_heals) {
    const char* from_text = std::getenv("SANDSTORE_STORM_FROM");
    const char* count_text = std::getenv("SANDSTORE_STORM_SEEDS");
    const uint64_t from = from_text == nullptr ? 1 : std::strtoull(from_text, nullptr, 10);
    const uint64_t count = count_text == nullptr ? 100 : std::strtoull(count_text, nullptr, 10);
    for (uint64_t seed = from; seed < from + count; seed++) {
        try {
            Storm(seed).run();
        } catch (const InvariantBroken& broken) {
            ADD_FAILURE() << "seed " << seed << ": " << broken.what();
        }
        if (::testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace sandstore
