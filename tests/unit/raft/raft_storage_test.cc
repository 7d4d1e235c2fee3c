// Votes and acknowledgements are bound to a storage: a voter whose disk came back empty counts as absent until the log
// has given it its vote again.
#include <gtest/gtest.h>

#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;
using Change = pb::ChangeMembership::Change;

class Storages : public ::testing::Test {
 protected:
    explicit Storages(int nodes = 3) : cluster(nodes, 23, {}, [this](RaftOptions* options) { adjust(options); }) {
        await_leader();
    }

    void adjust(RaftOptions* options) {
        options->storage = storage_of(options->node_id);
        for (const std::string& voter : options->bootstrap_voters) {
            options->bootstrap_storages[voter] = std::hash<std::string>()(voter);
        }
        options->ask_to_rejoin = ask_to_rejoin;
    }
    uint64_t storage_of(const std::string& name) { return std::hash<std::string>()(name) + disks[name]; }
    void replace_disk(const std::string& name) {
        if (cluster.is_up(name)) cluster.crash(name);
        cluster.wipe(name);
        disks[name]++;
    }

    void await_leader() {
        ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 5 * kSecond)) << cluster.describe();
    }
    std::string leader() { return cluster.leader(); }
    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    std::string other(const std::string& than, const std::string& and_than = "") {
        for (const std::string& name : cluster.names()) {
            if (name != than && name != and_than) return name;
        }
        return "";
    }
    void propose(int count) {
        for (int i = 0; i < count; i++) EXPECT_TRUE(cluster.propose(leader(), "entry " + std::to_string(i)));
    }
    bool all_committed() {
        const uint64_t last = core(leader()).last_index();
        return cluster.run_until([&] { return core(leader()).commit_index() >= last; }, 2 * kSecond);
    }
    // A voter again, and on the disk that it has now.
    bool votes_again(const std::string& name) {
        return cluster.run_until(
            [&] {
                if (leader().empty() || !core(leader()).is_change_done()) return false;
                const Configuration& now = core(leader()).configuration();
                return now.is_voter(name) && now.storage_of(name) == storage_of(name) &&
                       now.message().rejoining().empty();
            },
            5 * kSecond);
    }

    std::map<std::string, uint64_t> disks;  // How often it was replaced.
    bool ask_to_rejoin = false;
    CoreCluster cluster;
};

TEST_F(Storages, the_first_configuration_knows_all_of_them) {
    for (const std::string& name : cluster.names()) {
        EXPECT_EQ(core(leader()).configuration().storage_of(name), storage_of(name));
    }
}

TEST_F(Storages, a_new_disk_and_one_that_was_away_are_no_majority) {
    const std::string first = leader();
    const std::string away = other(first);
    const std::string wiped = other(first, away);
    cluster.crash(away);
    propose(5);
    ASSERT_TRUE(all_committed());
    const uint64_t committed = core(first).commit_index();
    cluster.crash(first);
    replace_disk(wiped);
    cluster.restart(wiped);
    cluster.restart(away);
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(leader(), "") << cluster.describe();
    cluster.restart(first);
    await_leader();
    EXPECT_GE(core(leader()).last_index(), committed);
    EXPECT_TRUE(votes_again(wiped)) << cluster.describe();
}

TEST_F(Storages, acknowledgements_of_a_new_disk_commit_nothing) {
    ask_to_rejoin = true;
    const std::string wiped = other(leader());
    const std::string away = other(leader(), wiped);
    replace_disk(wiped);
    cluster.restart(wiped);
    cluster.run_for(kSecond);
    EXPECT_TRUE(core(leader()).has_forgotten(wiped));
    EXPECT_TRUE(core(wiped).has_forgotten());
    const uint64_t committed = core(leader()).commit_index();
    const std::string led = leader();
    cluster.crash(away);
    cluster.propose(led, "of one disk only");
    cluster.run_for(2 * kSecond);
    EXPECT_EQ(core(led).commit_index(), committed);
    EXPECT_EQ(leader(), "") << "the leader is in contact with no majority that counts";
    EXPECT_EQ(core(wiped).last_index(), core(led).last_index()) << "it learns all the same";
}

TEST_F(Storages, a_node_with_a_new_disk_is_taken_back_and_its_vote_counts_again) {
    propose(20);
    const std::string first = leader();
    const std::string wiped = other(first);
    replace_disk(wiped);
    cluster.restart(wiped);
    ASSERT_TRUE(votes_again(wiped)) << cluster.describe();
    EXPECT_EQ(core(wiped).last_index(), core(leader()).last_index());
    cluster.crash(leader() == first ? first : other(wiped, first));
    await_leader();
    propose(1);
    EXPECT_TRUE(all_committed());
}

TEST_F(Storages, one_that_asks_waits_for_an_operator) {
    ask_to_rejoin = true;
    const std::string wiped = other(leader());
    replace_disk(wiped);
    cluster.restart(wiped);
    cluster.run_for(3 * kSecond);
    EXPECT_TRUE(core(leader()).has_forgotten(wiped));
    ASSERT_EQ(cluster.change(leader(), Change::REJOIN, wiped), RaftCore::RequestOutcome::kAccepted);
    EXPECT_TRUE(votes_again(wiped)) << cluster.describe();
}

TEST_F(Storages, nobody_is_taken_back_while_too_few_others_answer) {
    const std::string wiped = other(leader());
    const std::string away = other(leader(), wiped);
    cluster.crash(away);
    replace_disk(wiped);
    cluster.restart(wiped);
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(leader(), "");
    for (const std::string& name : {other(wiped, away), wiped}) {
        EXPECT_TRUE(core(name).configuration().learners().empty());
    }
    cluster.restart(away);
    await_leader();
    EXPECT_TRUE(votes_again(wiped)) << cluster.describe();
}

TEST_F(Storages, a_learner_that_is_promoted_is_bound_to_the_disk_that_caught_up) {
    cluster.add_node("n4");
    ASSERT_TRUE(all_committed());
    ASSERT_EQ(cluster.change(leader(), Change::ADD_LEARNER, "n4"), RaftCore::RequestOutcome::kAccepted);
    ASSERT_TRUE(cluster.run_until([&] { return core("n4").last_index() == core(leader()).last_index(); }, 2 * kSecond));
    replace_disk("n4");  // Before it has a vote there is nothing to forget, but all to learn again.
    cluster.restart("n4");
    cluster.run_for(kSecond);
    ASSERT_EQ(cluster.change(leader(), Change::PROMOTE, "n4"), RaftCore::RequestOutcome::kAccepted);
    EXPECT_EQ(core(leader()).configuration().storage_of("n4"), storage_of("n4"));
}

// One disk after the other is replaced, while others come and go: nothing committed is lost (CoreCluster checks).
TEST(StorageStorm, disks_are_replaced_one_after_the_other) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        SCOPED_TRACE(seed);
        std::map<std::string, uint64_t> disks;
        CoreCluster cluster(3, seed, {.loss_percent = 2, .duplicate_percent = 5, .reorder = true},
                            [&](RaftOptions* options) {
                                options->storage = std::hash<std::string>()(options->node_id) + disks[options->node_id];
                                for (const std::string& voter : options->bootstrap_voters) {
                                    options->bootstrap_storages[voter] = std::hash<std::string>()(voter);
                                }
                            });
        for (int round = 0; round < 6; round++) {
            ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 20 * kSecond));
            for (int i = 0; i < 10; i++) cluster.propose(cluster.leader(), "entry");
            cluster.run_for(cluster.random().below(kSecond / 5));
            const std::vector<std::string> names = cluster.names();
            const std::string wiped = names[cluster.random().below(names.size())];
            const std::string away = names[cluster.random().below(names.size())];
            if (cluster.is_up(away)) cluster.crash(away);
            if (cluster.is_up(wiped)) cluster.crash(wiped);
            cluster.wipe(wiped);
            disks[wiped]++;
            cluster.restart(wiped);
            cluster.run_for(cluster.random().below(kSecond));
            cluster.restart(away);
            const auto is_whole = [&] {
                const std::string leader = cluster.leader();
                if (leader.empty() || !cluster.core(leader)->is_change_done()) return false;
                const Configuration& now = cluster.core(leader)->configuration();
                return now.voters().size() == 3 &&
                       now.storage_of(wiped) == std::hash<std::string>()(wiped) + disks[wiped];
            };
            ASSERT_TRUE(cluster.run_until(is_whole, 30 * kSecond)) << cluster.describe();
        }
    }
}

}  // namespace
}  // namespace sandstore
