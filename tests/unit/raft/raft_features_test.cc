// What the log may hold: the level rises when all members know the next one, and whoever does not know it stops before
// it takes in anything of it.
#include <gtest/gtest.h>

#include "actors/raft/feature_check.h"
#include "messages/log.pb.h"
#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;
using Change = pb::ChangeMembership::Change;
using Outcome = RaftCore::RequestOutcome;

class Features : public ::testing::Test {
 protected:
    Features() : cluster(3, 29, {}, [this](RaftOptions* options) { adjust(options); }) { await_settled(); }

    void adjust(RaftOptions* options) {
        const auto other = levels.find(options->node_id);
        options->feature_level = other == levels.end() ? level : other->second;
    }
    bool settled() {
        const std::string name = cluster.leader();
        return !name.empty() && core(name).commit_index() == core(name).last_index() && core(name).is_change_done();
    }
    void await_settled() {
        ASSERT_TRUE(cluster.run_until([&] { return settled(); }, 5 * kSecond)) << cluster.describe();
    }
    std::string leader() { return cluster.leader(); }
    std::string follower() { return leader() == "n1" ? "n2" : "n1"; }
    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    uint32_t log_level(const std::string& name) { return core(name).configuration().feature_level(); }
    void restart(const std::string& name) {
        cluster.crash(name);
        cluster.restart(name);
    }
    // All of them, one after the other.
    void update_to(uint32_t next) {
        level = next;
        for (const std::string& name : cluster.names()) {
            restart(name);
            await_settled();
        }
        cluster.run_for(kSecond);  // The leader hears what they know.
    }
    Outcome raise(uint32_t to) {
        pb::ChangeMembership request;
        request.set_raise_feature_level(to);
        return cluster.change(leader(), request);
    }
    bool all_at(uint32_t wanted) {
        return cluster.run_until(
            [&] {
                for (const std::string& name : cluster.names()) {
                    if (cluster.is_up(name) && log_level(name) != wanted) return false;
                }
                return settled();
            },
            2 * kSecond);
    }

    uint32_t level = 1;
    std::map<std::string, uint32_t> levels;  // Of single nodes.
    CoreCluster cluster;
};

TEST_F(Features, a_log_that_names_no_level_is_of_the_first) {
    EXPECT_EQ(log_level(leader()), 1u);
    EXPECT_EQ(core(leader()).configuration().message().feature_level(), 0u);
}

TEST_F(Features, an_update_of_all_nodes_raises_nothing_by_itself) {
    update_to(3);
    EXPECT_TRUE(all_at(1));
}

TEST_F(Features, an_operator_raises_it_once_all_members_know_it) {
    update_to(2);
    EXPECT_EQ(raise(2), Outcome::kAccepted) << cluster.refusal();
    EXPECT_TRUE(all_at(2));
    const uint64_t index = core(leader()).last_index();
    EXPECT_EQ(raise(2), Outcome::kAccepted) << "it is done already";
    EXPECT_EQ(raise(1), Outcome::kAccepted) << "it never falls";
    EXPECT_EQ(core(leader()).last_index(), index);
    EXPECT_TRUE(all_at(2));
}

TEST_F(Features, it_is_refused_while_a_member_knows_less_and_that_one_is_named) {
    const std::string older = follower();
    levels[older] = 1;
    update_to(2);
    while (leader() == older) {
        cluster.transfer(older, older == "n1" ? "n2" : "n1");
        cluster.run_for(kSecond);
    }
    EXPECT_EQ(raise(2), Outcome::kImpossible);
    EXPECT_EQ(cluster.refusal(), "not all members are known to understand feature level 2: " + older +
                                     " knows level 1. Update them first, or remove them");
    EXPECT_TRUE(all_at(1));
}

TEST_F(Features, it_is_refused_while_a_member_is_not_heard) {
    update_to(2);
    const std::string away = follower();
    cluster.crash(away);
    cluster.run_for(kSecond);
    EXPECT_EQ(raise(2), Outcome::kNotNow);
    EXPECT_NE(cluster.refusal().find("no answer from " + away), std::string::npos) << cluster.refusal();
    cluster.restart(away);
    cluster.run_for(kSecond);
    EXPECT_EQ(raise(2), Outcome::kAccepted) << cluster.refusal();
}

TEST_F(Features, a_leader_that_knows_less_refuses_and_says_so) {
    EXPECT_EQ(raise(2), Outcome::kImpossible);
    EXPECT_EQ(cluster.refusal(), "the leader, " + leader() + ", knows feature level 1 and not 2: update it first");
}

TEST_F(Features, it_is_raised_alone) {
    update_to(2);
    pb::ChangeMembership request;
    request.set_raise_feature_level(2);
    request.add_changes()->set_kind(Change::DEMOTE);
    request.mutable_changes(0)->set_node_id(follower());
    EXPECT_EQ(cluster.change(leader(), request), Outcome::kImpossible);
    EXPECT_TRUE(all_at(1));
}

TEST_F(Features, a_change_of_members_keeps_the_level) {
    update_to(2);
    ASSERT_EQ(raise(2), Outcome::kAccepted);
    await_settled();
    ASSERT_EQ(cluster.change(leader(), Change::DEMOTE, follower()), Outcome::kAccepted);
    await_settled();
    EXPECT_TRUE(all_at(2));
}

TEST_F(Features, a_node_that_goes_back_stops_at_its_own_log) {
    update_to(2);
    ASSERT_EQ(raise(2), Outcome::kAccepted);
    await_settled();
    const std::string older = follower();
    levels[older] = 1;
    restart(older);
    EXPECT_EQ(
        cluster.stopped(older),
        "the log holds records of feature level 2, and this version knows level 1: update this node to the version "
        "of the others");
    levels.clear();
    cluster.restart(older);
    EXPECT_EQ(cluster.stopped(older), "");
}

TEST_F(Features, a_learner_that_knows_less_stops_before_it_takes_anything_in) {
    update_to(2);
    ASSERT_EQ(raise(2), Outcome::kAccepted);
    await_settled();
    levels["n4"] = 1;
    cluster.add_node("n4");
    ASSERT_EQ(cluster.change(leader(), Change::ADD_LEARNER, "n4"), Outcome::kAccepted);
    EXPECT_TRUE(cluster.run_until([&] { return !cluster.is_up("n4"); }, 2 * kSecond));
    EXPECT_NE(cluster.stopped("n4").find("feature level 2"), std::string::npos) << cluster.stopped("n4");
    EXPECT_NE(cluster.change(leader(), Change::PROMOTE, "n4"), Outcome::kAccepted);
    levels.clear();
    cluster.restart("n4");
    cluster.run_for(2 * kSecond);
    EXPECT_EQ(cluster.change(leader(), Change::PROMOTE, "n4"), Outcome::kAccepted) << cluster.refusal();
}

TEST_F(Features, a_snapshot_of_a_higher_level_is_not_taken_in_either) {
    update_to(2);
    ASSERT_EQ(raise(2), Outcome::kAccepted);
    await_settled();
    const std::string first = leader();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++) cluster.propose(first, "entry");
        await_settled();
        cluster.take_snapshot(first);
    }
    ASSERT_GT(core(first).first_index(), core(first).configuration_index());
    levels["n4"] = 1;
    cluster.add_node("n4");
    ASSERT_EQ(cluster.change(first, Change::ADD_LEARNER, "n4"), Outcome::kAccepted);
    EXPECT_TRUE(cluster.run_until([&] { return !cluster.is_up("n4"); }, 3 * kSecond));
    EXPECT_NE(cluster.stopped("n4").find("feature level 2"), std::string::npos) << cluster.stopped("n4");
}

// Not in the first entry, which each of the first voters makes by itself: their programs may differ.
TEST(FeaturesOfANewLog, it_gets_the_level_of_its_programs_when_all_were_heard) {
    for (const bool one_is_older : {false, true}) {
        CoreCluster cluster(3, 31, {}, [&](RaftOptions* options) {
            options->feature_level = one_is_older && options->node_id == "n3" ? 1 : 2;
            if (options->node_id == "n3") options->election_priority = 0;
        });
        cluster.run_for(3 * kSecond);
        for (const std::string& name : cluster.names()) {
            EXPECT_EQ(cluster.core(name)->configuration().feature_level(), one_is_older ? 1u : 2u);
            EXPECT_TRUE(cluster.core(name)->is_configuration_committed());
        }
    }
}

TEST(FeatureProblem, what_is_on_disk_is_looked_at_whole) {
    pb::RaftConfiguration configuration;
    configuration.add_voters("n1");
    pb::LogRecovered recovered;
    recovered.add_configurations()->set_configuration(configuration.SerializeAsString());
    EXPECT_EQ(feature_problem(recovered, nullptr, 1), "");
    pb::SnapshotMeta snapshot;
    *snapshot.mutable_configuration() = configuration;
    snapshot.mutable_configuration()->set_feature_level(2);
    EXPECT_NE(feature_problem(recovered, &snapshot, 1), "");
    EXPECT_EQ(feature_problem(recovered, &snapshot, 2), "");
    configuration.set_feature_level(3);
    recovered.add_configurations()->set_configuration(configuration.SerializeAsString());
    EXPECT_NE(feature_problem(recovered, &snapshot, 2), "");
}

}  // namespace
}  // namespace sandstore
