// A node that goes on alone because its operator says that the majority is lost for good.
#include <gtest/gtest.h>

#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;
using Change = pb::ChangeMembership::Change;
using Outcome = RaftCore::RequestOutcome;

class Recover : public ::testing::Test {
 protected:
    Recover() : cluster(3, 37, {}, [this](RaftOptions* options) { adjust(options); }) { await_leader(); }

    void adjust(RaftOptions* options) {
        options->storage = std::hash<std::string>()(options->node_id);
        for (const std::string& voter : options->bootstrap_voters) {
            options->bootstrap_storages[voter] = std::hash<std::string>()(voter);
        }
        options->founding = "founding-1";
        const auto told = recoveries.find(options->node_id);
        if (told != recoveries.end()) options->recover_founding = told->second;
    }
    void await_leader() {
        ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 5 * kSecond)) << cluster.describe();
    }
    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    bool all_committed(const std::string& name) {
        return cluster.run_until([&] { return core(name).commit_index() == core(name).last_index(); }, 2 * kSecond);
    }
    // All others are gone; the last one leads alone, or has at least begun to.
    void lose_all_but(const std::string& survivor) {
        for (const std::string& name : cluster.names()) {
            if (cluster.is_up(name)) cluster.crash(name);
        }
        recoveries[survivor] = "founding-2";
        cluster.restart(survivor);
    }

    std::map<std::string, std::string> recoveries;  // What operators have told.
    CoreCluster cluster;
};

TEST_F(Recover, the_survivor_votes_alone_and_keeps_all_that_its_log_holds) {
    const std::string survivor = cluster.leader();
    for (int i = 0; i < 20; i++) ASSERT_TRUE(cluster.propose(survivor, "entry " + std::to_string(i)));
    ASSERT_TRUE(all_committed(survivor));
    const uint64_t held = core(survivor).last_index();
    lose_all_but(survivor);
    await_leader();
    ASSERT_TRUE(all_committed(survivor));
    EXPECT_EQ(core(survivor).last_index(), held + 2) << "the configuration, and what a leader begins with";
    const Configuration& alone = core(survivor).configuration();
    EXPECT_EQ(alone.members(), std::vector<std::string>{survivor});
    EXPECT_EQ(alone.storage_of(survivor), std::hash<std::string>()(survivor));
    EXPECT_EQ(alone.message().founding(), "founding-2");
    EXPECT_EQ(alone.message().recovered(0), "founding-1");
    EXPECT_TRUE(cluster.propose(survivor, "written alone"));
    EXPECT_TRUE(all_committed(survivor));
}

TEST_F(Recover, what_was_not_acknowledged_counts_from_then_on) {
    const std::string survivor = cluster.leader();
    cluster.partition({survivor});
    ASSERT_TRUE(cluster.propose(survivor, "of one node only"));
    const uint64_t index = core(survivor).last_index();
    const uint64_t term = core(survivor).term();
    cluster.run_for(10'000);  // On its own disk.
    ASSERT_LT(core(survivor).commit_index(), index);
    cluster.heal();
    for (const std::string& name : cluster.names()) {
        if (name != survivor) cluster.crash(name);
    }
    lose_all_but(survivor);
    await_leader();
    ASSERT_TRUE(all_committed(survivor));
    EXPECT_GT(core(survivor).commit_index(), index);
    EXPECT_EQ(core(survivor).terms().term_at(index), term) << "the same entry";
}

TEST_F(Recover, a_crash_at_any_moment_begins_anew_no_second_time) {
    const std::string survivor = cluster.leader();
    ASSERT_TRUE(all_committed(survivor));
    const uint64_t held = core(survivor).last_index();
    lose_all_but(survivor);
    for (const uint64_t lived_us : {0u, 200u, 1'500u, 100'000u, 1'000'000u}) {
        cluster.crash(survivor);
        cluster.restart(survivor);
        cluster.run_for(lived_us);
    }
    await_leader();
    ASSERT_TRUE(all_committed(survivor));
    EXPECT_EQ(core(survivor).configuration_index(), held + 1);
    EXPECT_EQ(core(survivor).configuration().message().recovered_size(), 1);
}

// Chunks are named after the term in which they were written: a name must not come to mean two things.
TEST_F(Recover, its_terms_are_none_that_the_lost_majority_or_another_recovery_can_have_reached) {
    const std::string survivor = cluster.leader();
    const uint64_t before = core(survivor).term();
    lose_all_but(survivor);
    const uint64_t after = core(survivor).term();
    EXPECT_GT(after, before + 900'000);
    cluster.crash(survivor);
    const std::string other = survivor == "n1" ? "n2" : "n1";
    recoveries[other] = "founding-3";
    cluster.restart(other);
    const uint64_t elsewhere = core(other).term();
    EXPECT_GT(elsewhere > after ? elsewhere - after : after - elsewhere, 900'000u);
}

TEST_F(Recover, others_are_taken_in_as_new_nodes) {
    const std::string survivor = cluster.leader();
    lose_all_but(survivor);
    await_leader();
    ASSERT_TRUE(all_committed(survivor));
    const std::string emptied = survivor == "n1" ? "n2" : "n1";
    cluster.wipe(emptied);
    cluster.restart(emptied);
    ASSERT_EQ(cluster.change(survivor, Change::ADD_LEARNER, emptied), Outcome::kAccepted);
    cluster.run_for(kSecond);
    ASSERT_EQ(cluster.change(survivor, Change::PROMOTE, emptied), Outcome::kAccepted) << cluster.refusal();
    ASSERT_TRUE(all_committed(survivor));
    EXPECT_EQ(core(emptied).configuration().voters().size(), 2u);
    EXPECT_EQ(core(emptied).configuration().message().founding(), "founding-2");
    EXPECT_EQ(core(emptied).configuration().message().recovered(0), "founding-1");
}

TEST_F(Recover, a_second_loss_is_recovered_like_the_first) {
    const std::string survivor = cluster.leader();
    lose_all_but(survivor);
    await_leader();
    ASSERT_TRUE(all_committed(survivor));
    cluster.crash(survivor);
    recoveries[survivor] = "founding-3";
    cluster.restart(survivor);
    await_leader();
    ASSERT_TRUE(all_committed(survivor));
    const pb::RaftConfiguration& now = core(survivor).configuration().message();
    EXPECT_EQ(now.founding(), "founding-3");
    ASSERT_EQ(now.recovered_size(), 2);
    EXPECT_EQ(now.recovered(1), "founding-2");
}

TEST_F(Recover, an_empty_log_is_nothing_to_go_on_with) {
    recoveries["n4"] = "founding-2";
    cluster.add_node("n4");
    cluster.run_for(kSecond);
    EXPECT_EQ(core("n4").last_index(), 0u);
    EXPECT_FALSE(core("n4").is_leader());
}

}  // namespace
}  // namespace sandstore
