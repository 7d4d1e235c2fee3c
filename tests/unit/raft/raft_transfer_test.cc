// Leadership handed over, disks that hang or are full, priorities, lease reads.
#include <gtest/gtest.h>

#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

class Transfer : public ::testing::Test {
 protected:
    explicit Transfer(std::function<void(RaftOptions*)> adjust = nullptr) : cluster(3, 33, {}, std::move(adjust)) {
        EXPECT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 2 * kSecond));
        cluster.run_for(100'000);
        leader = cluster.leader();
        for (const std::string& name : cluster.names()) {
            if (name != leader) (first.empty() ? first : second) = name;
        }
    }
    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    bool leads(const std::string& name, uint64_t limit_us) {
        return cluster.run_until([&] { return cluster.leader() == name; }, limit_us);
    }

    CoreCluster cluster;
    std::string leader, first, second;
};

TEST_F(Transfer, the_target_leads_within_a_fraction_of_an_election_timeout) {
    ASSERT_TRUE(cluster.transfer(leader, first));
    EXPECT_TRUE(leads(first, 50'000));
}

TEST_F(Transfer, without_a_target_the_best_one_is_chosen) {
    cluster.crash(first);
    cluster.run_for(500'000);
    ASSERT_TRUE(cluster.transfer(leader, ""));
    EXPECT_TRUE(leads(second, 50'000));
}

TEST_F(Transfer, proposals_wait_and_a_lagging_target_catches_up_first) {  // Scenario 23.
    cluster.filter = [&](const std::string&, const std::string& to, const Message& message) {
        return !(to == first && message->has_append_entries());
    };
    ASSERT_TRUE(cluster.propose(leader, "x"));
    cluster.run_for(20'000);
    ASSERT_TRUE(cluster.transfer(leader, first));
    EXPECT_FALSE(cluster.propose(leader, "refused"));
    cluster.run_for(50'000);
    EXPECT_EQ(cluster.leader(), leader);  // It lags, so it was not asked yet.
    cluster.filter = nullptr;
    cluster.run_for(kSecond);
    EXPECT_TRUE(cluster.propose(cluster.leader(), "accepted"));
}

TEST_F(Transfer, a_target_that_dies_costs_one_election_timeout_and_writing_goes_on) {  // Scenario 23.
    const uint64_t term = core(leader).term();
    cluster.filter = [&](const std::string&, const std::string&, const Message& message) {
        return !message->has_timeout_now();
    };
    ASSERT_TRUE(cluster.transfer(leader, first));
    EXPECT_FALSE(cluster.propose(leader, "refused"));
    ASSERT_TRUE(cluster.run_until([&] { return core(leader).transferring_to().empty(); }, 400'000));
    EXPECT_TRUE(cluster.propose(leader, "accepted"));
    EXPECT_EQ(core(leader).term(), term);
}

TEST_F(Transfer, those_who_cannot_lead_are_refused) {
    EXPECT_FALSE(cluster.transfer(leader, "n9"));
    EXPECT_FALSE(cluster.transfer(leader, leader));
    EXPECT_FALSE(cluster.transfer(first, second));
    cluster.crash(first);
    cluster.run_for(500'000);
    EXPECT_FALSE(cluster.transfer(leader, first));
}

TEST_F(Transfer, a_stale_request_to_stand_is_ignored) {
    pb::TimeoutNow stale;
    stale.set_term(core(leader).term() - 1);
    Message message;
    *message.envelope().mutable_timeout_now() = stale;
    cluster.core(first)->on_message({cluster.now_us(), 1}, leader, message);
    EXPECT_EQ(core(first).role(), pb::RoleChanged::FOLLOWER);
    message.envelope().mutable_timeout_now()->set_term(core(leader).term());
    cluster.core(first)->on_message({cluster.now_us(), 1}, second, message);  // Not from our leader.
    EXPECT_EQ(core(first).role(), pb::RoleChanged::FOLLOWER);
}

TEST_F(Transfer, a_leader_whose_sync_hangs_gives_up_leadership) {  // Scenario 22.
    cluster.hang_disk(leader, true);
    ASSERT_TRUE(cluster.propose(leader, "x"));
    const std::string old_leader = leader;
    ASSERT_TRUE(
        cluster.run_until([&] { return !cluster.leader().empty() && cluster.leader() != old_leader; }, kSecond));
    cluster.run_for(2 * kSecond);  // And does not stand again while it hangs.
    EXPECT_NE(cluster.leader(), old_leader);
    EXPECT_TRUE(cluster.propose(cluster.leader(), "y"));
}

TEST_F(Transfer, a_slow_disk_causes_no_election) {  // Scenario 22.
    CoreCluster::Faults slow;
    slow.sync_max_us = 250'000;
    cluster.set_faults(slow);
    const uint64_t term = core(leader).term();
    for (int i = 0; i < 40; i++) {
        EXPECT_TRUE(cluster.propose(leader, std::to_string(i)));
        cluster.run_for(100'000);
    }
    EXPECT_EQ(cluster.leader(), leader);
    EXPECT_EQ(core(leader).term(), term);
}

TEST_F(Transfer, a_full_disk_refuses_writes_and_hands_over_to_one_with_room) {  // Scenario 9.
    cluster.fill_disk(leader, true);
    EXPECT_FALSE(cluster.propose(leader, "x"));
    const auto token = cluster.read(leader);
    ASSERT_TRUE(token);
    EXPECT_TRUE(cluster.run_until([&] { return cluster.reads_ready().contains(*token); }, kSecond));
    const std::string old_leader = leader;
    EXPECT_TRUE(
        cluster.run_until([&] { return !cluster.leader().empty() && cluster.leader() != old_leader; }, 5 * kSecond));
    EXPECT_TRUE(cluster.propose(cluster.leader(), "y"));
}

TEST_F(Transfer, when_all_disks_are_full_the_leader_stays_and_goes_on_when_there_is_room) {  // Scenario 9.
    for (const std::string& name : cluster.names()) cluster.fill_disk(name, true);
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(cluster.leader(), leader);
    EXPECT_FALSE(cluster.propose(leader, "x"));
    for (const std::string& name : cluster.names()) cluster.fill_disk(name, false);
    EXPECT_TRUE(cluster.propose(leader, "y"));
}

TEST_F(Transfer, a_follower_with_a_full_disk_keeps_its_room_for_votes) {  // Scenario 9.
    cluster.fill_disk(first, true);
    const uint64_t last = core(first).last_index();
    ASSERT_TRUE(cluster.propose(leader, "x"));
    cluster.run_for(kSecond);
    EXPECT_EQ(core(first).last_index(), last);
    EXPECT_EQ(cluster.leader(), leader);
    cluster.fill_disk(first, false);
    EXPECT_TRUE(
        cluster.run_until([&] { return core(first).commit_index() == core(leader).last_index(); }, 2 * kSecond));
}

TEST_F(Transfer, full_disks_that_are_not_exhausted_take_what_frees_space_and_say_which_they_are) {
    EXPECT_EQ(core(leader).why_no_room(), "");
    for (const std::string& name : cluster.names()) cluster.fill_disk(name, true, false);
    // A majority is enough for a refusal; the third is named when it has said so too.
    ASSERT_TRUE(cluster.run_until([&] { return !core(leader).why_no_room().empty(); }, kSecond));
    for (const std::string& name : cluster.names()) {
        EXPECT_TRUE(
            cluster.run_until([&] { return core(leader).why_no_room().find(name) != std::string::npos; }, kSecond))
            << core(leader).why_no_room();
    }
    const uint64_t last = core(leader).last_index();
    ASSERT_TRUE(cluster.propose(leader, "remove"));
    EXPECT_TRUE(cluster.run_until([&] { return core(leader).commit_index() > last; }, kSecond));
    for (const std::string& name : cluster.names()) cluster.fill_disk(name, true, true);
    EXPECT_FALSE(cluster.propose(leader, "remove"));
}

TEST_F(Transfer, writes_go_on_while_a_majority_of_disks_has_room) {
    cluster.fill_disk(first, true, false);
    cluster.run_for(kSecond);
    EXPECT_EQ(core(leader).why_no_room(), "");
}

TEST(Priorities, the_node_of_the_highest_priority_leads_in_the_end) {
    CoreCluster cluster(3, 5, {}, [](RaftOptions* options) {
        options->election_priority = options->node_id == "n2" ? 90 : options->node_id == "n1" ? 0 : 10;
    });
    EXPECT_TRUE(cluster.run_until([&] { return cluster.leader() == "n2"; }, 10 * kSecond)) << cluster.describe();
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(cluster.leader(), "n2");
    cluster.crash("n2");
    EXPECT_TRUE(cluster.run_until([&] { return cluster.leader() == "n3"; }, 5 * kSecond));
    cluster.crash("n3");
    cluster.restart("n2");  // n1 may vote, but never stands.
    EXPECT_TRUE(cluster.run_until([&] { return cluster.leader() == "n2"; }, 5 * kSecond));
}

class Leases : public Transfer {
 protected:
    Leases() : Transfer([](RaftOptions* options) { options->lease_reads = true; }) {}
};

TEST_F(Leases, a_read_under_the_lease_needs_no_round) {
    ASSERT_TRUE(core(leader).has_lease(cluster.now_us()));
    const uint64_t heartbeats = cluster.messages_sent(pb::Envelope::kHeartbeat);
    const auto token = cluster.read(leader);
    ASSERT_TRUE(token);
    EXPECT_TRUE(cluster.reads_ready().contains(*token));
    EXPECT_EQ(cluster.messages_sent(pb::Envelope::kHeartbeat), heartbeats);
}

TEST_F(Leases, a_cut_off_leader_has_lost_its_lease_before_another_can_lead) {  // Scenario 26.
    cluster.partition({leader});
    const std::string old_leader = leader;
    ASSERT_TRUE(cluster.run_until([&] { return !core(old_leader).has_lease(cluster.now_us()); }, kSecond));
    EXPECT_EQ(cluster.leader(), old_leader);
    const auto token = cluster.read(old_leader);
    cluster.run_for(3 * kSecond);
    EXPECT_TRUE(!token || !cluster.reads_ready().contains(*token));
}

// One node was given a longer timeout than the others, as in the middle of a rolling change of the flag.
TEST(UnequalLeases, last_as_long_as_the_followers_promise_not_the_leader) {
    CoreCluster cluster(3, 5, {}, [](RaftOptions* options) {
        options->lease_reads = true;
        if (options->node_id != "n1") return;
        options->election_timeout_min_us = 2 * kSecond;
        options->election_timeout_max_us = 3 * kSecond;
    });
    ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, kSecond));
    cluster.run_for(kSecond / 2);
    ASSERT_TRUE(cluster.transfer(cluster.leader(), "n1"));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.core("n1")->has_lease(cluster.now_us()); }, kSecond));
    cluster.partition({"n1"});
    ASSERT_TRUE(cluster.run_until([&] { return cluster.leader() != "n1"; }, 2 * kSecond));
    EXPECT_TRUE(cluster.core("n1")->is_leader());
    EXPECT_FALSE(cluster.core("n1")->has_lease(cluster.now_us()));
}

TEST(UnequalLeases, are_none_while_the_followers_promise_nothing) {
    CoreCluster cluster(3, 5, {}, [](RaftOptions* options) { options->lease_reads = options->node_id == "n1"; });
    ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, kSecond));
    cluster.run_for(kSecond / 2);
    if (cluster.leader() != "n1") {
        ASSERT_TRUE(cluster.transfer(cluster.leader(), "n1"));
    }
    ASSERT_TRUE(cluster.run_until([&] { return cluster.leader() == "n1"; }, kSecond));
    cluster.run_for(kSecond / 2);
    EXPECT_FALSE(cluster.core("n1")->has_lease(cluster.now_us()));
}

TEST_F(Leases, none_is_left_once_another_was_asked_to_stand) {  // Scenario 23.
    ASSERT_TRUE(cluster.transfer(leader, first));
    EXPECT_FALSE(core(leader).has_lease(cluster.now_us()));
}

}  // namespace
}  // namespace sandstore
