// Who belongs to the cluster (thesis 4): learners, single and joint changes, leaders and followers that are removed.
#include <gtest/gtest.h>

#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;
using Change = pb::ChangeMembership::Change;
using Outcome = RaftCore::RequestOutcome;

class Membership : public ::testing::Test {
 protected:
    explicit Membership(int nodes = 3) : cluster(nodes, 17, {}) {
        EXPECT_TRUE(cluster.run_until([&] { return settled(); }, kSecond));
    }

    bool settled() {
        const std::string name = cluster.leader();
        return !name.empty() && cluster.core(name)->commit_index() == cluster.core(name)->last_index() &&
               cluster.core(name)->is_change_done();
    }
    std::string leader() { return cluster.leader(); }
    std::string follower() { return leader() == "n1" ? "n2" : "n1"; }
    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    bool change_and_settle(Change::Kind kind, const std::string& name) {
        if (cluster.change(leader(), kind, name) != Outcome::kAccepted) return false;
        return cluster.run_until([&] { return settled(); }, 2 * kSecond);
    }
    // As far as the leader knows.
    bool catches_up(const std::string& name) {
        return cluster.run_until(
            [&] {
                const auto peer = core(leader()).peers().find(name);
                return peer != core(leader()).peers().end() && peer->second.match() == core(leader()).last_index();
            },
            5 * kSecond);
    }
    void propose(int count) {
        for (int i = 0; i < count; i++) EXPECT_TRUE(cluster.propose(leader(), "entry " + std::to_string(i)));
    }

    CoreCluster cluster;
};

TEST_F(Membership, a_learner_gets_everything_and_counts_for_nothing) {
    propose(50);
    cluster.add_node("n4");
    ASSERT_TRUE(change_and_settle(Change::ADD_LEARNER, "n4"));
    const uint64_t last = core(leader()).last_index();
    EXPECT_TRUE(cluster.run_until([&] { return core("n4").commit_index() >= last; }, kSecond));
    EXPECT_EQ(core("n4").configuration().learners(), std::vector<std::string>{"n4"});
    // With both other voters gone, the learner is no help.
    const std::string old_leader = leader();
    for (const std::string name : {"n1", "n2", "n3"}) {
        if (name != old_leader) cluster.crash(name);
    }
    cluster.propose(old_leader, "lost");
    cluster.run_for(2 * kSecond);
    EXPECT_EQ(core(old_leader).commit_index(), last);
    EXPECT_FALSE(core("n4").is_leader());
}

TEST_F(Membership, a_learner_is_promoted_only_when_it_has_caught_up) {
    propose(2'000);
    cluster.add_node("n4");
    cluster.partition({"n4"});
    ASSERT_TRUE(change_and_settle(Change::ADD_LEARNER, "n4"));
    EXPECT_EQ(cluster.change(leader(), Change::PROMOTE, "n4"), Outcome::kNotNow);
    cluster.heal();
    ASSERT_TRUE(catches_up("n4"));
    ASSERT_TRUE(change_and_settle(Change::PROMOTE, "n4"));
    EXPECT_TRUE(core(leader()).configuration().is_voter("n4"));
}

TEST_F(Membership, one_change_at_a_time) {
    cluster.add_node("n4");
    cluster.add_node("n5");
    ASSERT_EQ(cluster.change(leader(), Change::ADD_LEARNER, "n4"), Outcome::kAccepted);
    EXPECT_EQ(cluster.change(leader(), Change::ADD_LEARNER, "n5"), Outcome::kNotNow);
    ASSERT_TRUE(cluster.run_until([&] { return settled(); }, kSecond));
    EXPECT_EQ(cluster.change(leader(), Change::ADD_LEARNER, "n5"), Outcome::kAccepted);
}

TEST_F(Membership, no_change_before_the_first_commit_of_the_term) {  // Scenario 3.
    cluster.crash(leader());
    // The new leader's no-op cannot be committed: nobody answers it.
    cluster.filter = [](const std::string&, const std::string&, const Message& message) {
        return !message->has_append_entries();
    };
    ASSERT_TRUE(cluster.run_until([&] { return !leader().empty(); }, 2 * kSecond));
    EXPECT_EQ(cluster.change(leader(), Change::REMOVE, follower()), Outcome::kNotNow);
    cluster.filter = nullptr;
}

TEST_F(Membership, impossible_changes_are_refused_with_a_reason) {
    EXPECT_EQ(cluster.change(leader(), Change::PROMOTE, "n9"), Outcome::kImpossible);
    EXPECT_EQ(cluster.change(leader(), Change::ADD_LEARNER, "n1"), Outcome::kImpossible);
    EXPECT_EQ(cluster.change(leader(), Change::REMOVE, "n9"), Outcome::kImpossible);
    EXPECT_EQ(cluster.change(leader(), Change::REMOVE, ""), Outcome::kImpossible);
    EXPECT_EQ(cluster.change(leader(), pb::ChangeMembership()), Outcome::kImpossible);
    EXPECT_EQ(cluster.change(follower(), Change::ADD_LEARNER, "n9"), Outcome::kNotLeader);
    pb::ChangeMembership all;
    for (const std::string name : {"n1", "n2", "n3"}) {
        all.add_changes()->set_kind(Change::REMOVE);
        all.mutable_changes(all.changes_size() - 1)->set_node_id(name);
    }
    EXPECT_EQ(cluster.change(leader(), all), Outcome::kImpossible);
}

TEST_F(Membership, two_votes_at_once_go_through_a_joint_configuration) {
    cluster.add_node("n4");
    cluster.add_node("n5");
    for (const std::string name : {"n4", "n5"}) ASSERT_TRUE(change_and_settle(Change::ADD_LEARNER, name));
    ASSERT_TRUE(catches_up("n4") && catches_up("n5"));
    const std::string leaving = follower();
    pb::ChangeMembership request;
    for (const auto& [kind, name] :
         {std::pair(Change::PROMOTE, std::string("n4")), {Change::PROMOTE, "n5"}, {Change::REMOVE, leaving}}) {
        request.add_changes()->set_kind(kind);
        request.mutable_changes(request.changes_size() - 1)->set_node_id(name);
    }
    ASSERT_EQ(cluster.change(leader(), request), Outcome::kAccepted);
    EXPECT_TRUE(core(leader()).configuration().is_joint());
    ASSERT_TRUE(cluster.run_until([&] { return settled(); }, 2 * kSecond));
    EXPECT_EQ(core(leader()).configuration().voters().size(), 4u);
    EXPECT_FALSE(core(leader()).configuration().is_member(leaving));
    EXPECT_TRUE(cluster.run_until([&] { return core(leaving).is_removed(); }, kSecond));
}

TEST_F(Membership, the_next_leader_finishes_a_joint_change) {  // Scenario 3, joint.
    cluster.add_node("n4");
    ASSERT_TRUE(change_and_settle(Change::ADD_LEARNER, "n4"));
    ASSERT_TRUE(catches_up("n4"));
    const uint64_t last = core(leader()).last_index();
    const std::string old_leader = leader();
    const std::string leaving = follower();
    pb::ChangeMembership swap;
    swap.add_changes()->set_kind(Change::PROMOTE);
    swap.mutable_changes(0)->set_node_id("n4");
    swap.add_changes()->set_kind(Change::REMOVE);
    swap.mutable_changes(1)->set_node_id(leaving);
    // The joint configuration reaches everybody, what follows it nobody.
    const uint64_t joint = last + 1;
    cluster.filter = [&](const std::string& from, const std::string&, const Message& message) {
        return !(from == old_leader && message->has_append_entries() &&
                 message->append_entries().prev_log_index() >= joint && message->append_entries().record_count() > 0);
    };
    ASSERT_EQ(cluster.change(old_leader, swap), Outcome::kAccepted);
    ASSERT_TRUE(cluster.run_until([&] { return !core(old_leader).configuration().is_joint(); }, kSecond));
    cluster.crash(old_leader);
    cluster.filter = nullptr;
    ASSERT_TRUE(cluster.run_until([&] { return !leader().empty() && settled(); }, 5 * kSecond)) << cluster.describe();
    EXPECT_FALSE(core(leader()).configuration().is_joint());
    EXPECT_TRUE(core(leader()).configuration().is_voter("n4"));
    EXPECT_FALSE(core(leader()).configuration().is_member(leaving));
}

TEST_F(Membership, a_leader_removes_itself_last_and_another_leads_at_once) {  // Scenario 24.
    const std::string old_leader = leader();
    ASSERT_EQ(cluster.change(old_leader, Change::REMOVE, old_leader), Outcome::kAccepted);
    EXPECT_TRUE(core(old_leader).is_leader());  // Until the change is committed.
    ASSERT_TRUE(cluster.run_until([&] { return !leader().empty() && leader() != old_leader; }, kSecond));
    EXPECT_TRUE(core(old_leader).is_removed());
    cluster.run_for(3 * kSecond);
    EXPECT_NE(leader(), old_leader);
    EXPECT_EQ(core(leader()).configuration().voters().size(), 2u);
    EXPECT_TRUE(cluster.propose(leader(), "on"));
}

TEST_F(Membership, a_removed_node_that_was_away_learns_of_it_and_disturbs_nobody) {  // Scenario 24.
    const std::string away = follower();
    cluster.partition({away});
    ASSERT_TRUE(change_and_settle(Change::REMOVE, away));
    cluster.run_for(5 * kSecond);  // The leader has given up on telling it.
    const std::string old_leader = leader();
    const uint64_t term = core(old_leader).term();
    cluster.heal();
    EXPECT_TRUE(cluster.run_until([&] { return core(away).is_removed(); }, 2 * kSecond));
    cluster.run_for(3 * kSecond);
    EXPECT_EQ(leader(), old_leader);
    EXPECT_EQ(core(old_leader).term(), term);
    cluster.crash(away);
    cluster.restart(away);
    EXPECT_TRUE(cluster.run_until([&] { return core(away).is_removed(); }, 2 * kSecond));
    EXPECT_EQ(core(old_leader).term(), term);
}

TEST_F(Membership, a_node_that_has_not_seen_its_promotion_votes_all_the_same) {  // Scenario 24.
    cluster.add_node("n4");
    ASSERT_TRUE(change_and_settle(Change::ADD_LEARNER, "n4"));
    ASSERT_TRUE(catches_up("n4"));
    cluster.filter = [](const std::string&, const std::string& to, const Message& message) {
        return !(to == "n4" && message->has_append_entries());
    };
    ASSERT_TRUE(change_and_settle(Change::PROMOTE, "n4"));
    EXPECT_FALSE(core("n4").configuration().is_voter("n4"));
    // Three of four are needed now; one of them is gone for good.
    cluster.crash(leader());
    EXPECT_TRUE(cluster.run_until([&] { return !leader().empty(); }, 5 * kSecond)) << cluster.describe();
    cluster.filter = nullptr;
    EXPECT_TRUE(cluster.run_until([&] { return settled(); }, 5 * kSecond));
}

TEST_F(Membership, a_configuration_that_is_replaced_gives_way_to_the_one_before) {
    const std::string old_leader = leader();
    cluster.partition({old_leader});
    ASSERT_EQ(cluster.change(old_leader, Change::REMOVE, follower()), Outcome::kAccepted);
    EXPECT_EQ(core(old_leader).configuration().voters().size(), 2u);
    ASSERT_TRUE(cluster.run_until([&] { return !leader().empty() && leader() != old_leader; }, 3 * kSecond));
    cluster.heal();
    ASSERT_TRUE(cluster.run_until([&] { return core(old_leader).configuration().voters().size() == 3u; }, 3 * kSecond));
}

TEST_F(Membership, a_node_that_waits_to_be_added_stands_for_nothing) {
    cluster.add_node("n4");
    cluster.run_for(3 * kSecond);
    EXPECT_EQ(core("n4").term(), 0u);
    EXPECT_FALSE(core("n4").is_removed());
}

class LoneNode : public Membership {
 protected:
    LoneNode() : Membership(1) {}
};

TEST_F(LoneNode, grows_to_two_and_shrinks_to_the_new_one) {
    propose(10);
    cluster.add_node("n2");
    ASSERT_TRUE(change_and_settle(Change::ADD_LEARNER, "n2"));
    ASSERT_TRUE(catches_up("n2"));
    ASSERT_TRUE(change_and_settle(Change::PROMOTE, "n2"));
    ASSERT_EQ(cluster.change("n1", Change::REMOVE, "n1"), Outcome::kAccepted);
    EXPECT_TRUE(cluster.run_until([&] { return leader() == "n2" && settled(); }, 3 * kSecond)) << cluster.describe();
    EXPECT_TRUE(cluster.propose("n2", "alone"));
}

TEST(Configuration, reached_by_quorum_is_what_a_naive_count_says) {
    RandomStream dice(3, 4);
    for (int round = 0; round < 2'000; round++) {
        pb::RaftConfiguration message;
        std::map<std::string, uint64_t> values;
        for (int i = 0; i < 7; i++) {
            const std::string name = "n" + std::to_string(i);
            values[name] = dice.below(6);
            if (dice.below(2) == 0) message.add_voters(name);
            if (dice.below(3) == 0) message.add_old_voters(name);
        }
        if (message.voters().empty()) continue;
        const Configuration configuration(message);
        const auto has = [&](const auto& voters, uint64_t value) {
            int count = 0;
            for (const std::string& voter : voters) count += values[voter] >= value;
            return voters.empty() || 2 * count > voters.size();
        };
        uint64_t expected = 0;
        for (uint64_t value = 1; value < 6; value++) {
            if (has(message.voters(), value) && has(message.old_voters(), value)) expected = value;
        }
        EXPECT_EQ(configuration.reached_by_quorum([&](const std::string& voter) { return values[voter]; }), expected);
        EXPECT_EQ(configuration.is_quorum([&](const std::string& voter) { return values[voter] >= 3; }), expected >= 3);
    }
}

TEST(Configuration, bytes_that_name_nobody_or_somebody_twice_are_refused) {
    Configuration configuration;
    EXPECT_FALSE(Configuration::parse("\xff\xff", &configuration));
    EXPECT_FALSE(Configuration::parse("", &configuration));
    pb::RaftConfiguration twice;
    twice.add_voters("a");
    twice.add_voters("a");
    EXPECT_FALSE(Configuration::parse(twice.SerializeAsString(), &configuration));
}

// It would be in force at once, and nothing could be decided any more, not even to take it back.
TEST_F(Membership, no_change_leaves_voters_that_could_not_commit_it) {
    const std::string down = follower();
    std::string other;
    for (const std::string name : {"n1", "n2", "n3"}) {
        if (name != leader() && name != down) other = name;
    }
    cluster.crash(down);
    cluster.run_for(kSecond);
    EXPECT_EQ(cluster.change(leader(), Change::REMOVE, other), Outcome::kNotNow);
    EXPECT_EQ(cluster.change(leader(), Change::DEMOTE, other), Outcome::kNotNow);
    EXPECT_EQ(core(leader()).voters().size(), 3u);
    EXPECT_TRUE(change_and_settle(Change::REMOVE, down));
    EXPECT_EQ(core(leader()).voters().size(), 2u);
}

// --- Leaving ---------------------------------------------------------------------------------------------------------

pb::ChangeMembership one_change(Change::Kind kind, const std::string& node) {
    pb::ChangeMembership request;
    request.add_changes()->set_kind(kind);
    request.mutable_changes(0)->set_node_id(node);
    return request;
}

TEST(LeavingMembers, keep_their_vote_until_they_are_removed_or_stay) {
    pb::RaftConfiguration first;
    for (const char* node : {"n1", "n2", "n3"}) first.add_voters(node);
    pb::RaftConfiguration planned;
    std::string problem;
    ASSERT_TRUE(plan_change(Configuration(first), one_change(Change::LEAVE, "n2"), &planned, &problem)) << problem;
    const Configuration leaving(planned);
    EXPECT_TRUE(leaving.is_voter("n2"));
    EXPECT_FALSE(leaving.is_joint());
    ASSERT_EQ(planned.leaving_size(), 1);
    EXPECT_EQ(planned.leaving(0), "n2");
    EXPECT_FALSE(leaving == Configuration(first));
    EXPECT_FALSE(plan_change(leaving, one_change(Change::LEAVE, "n2"), &planned, &problem));
    EXPECT_EQ(problem, "n2 is leaving already");
    EXPECT_FALSE(plan_change(leaving, one_change(Change::LEAVE, "n9"), &planned, &problem));
    ASSERT_TRUE(plan_change(leaving, one_change(Change::DEMOTE, "n1"), &planned, &problem));
    EXPECT_EQ(planned.leaving_size(), 1) << "another change does not forget it";
    ASSERT_TRUE(plan_change(leaving, one_change(Change::STAY, "n2"), &planned, &problem));
    EXPECT_EQ(planned.leaving_size(), 0);
    ASSERT_TRUE(plan_change(leaving, one_change(Change::REMOVE, "n2"), &planned, &problem));
    EXPECT_EQ(planned.leaving_size(), 0) << "when it comes back it is a member like any other";
    EXPECT_FALSE(plan_change(Configuration(first), one_change(Change::STAY, "n2"), &planned, &problem));
}

}  // namespace
}  // namespace sandstore
