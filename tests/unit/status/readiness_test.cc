// When a node is of use: see readiness.h.
#include "services/status/readiness.h"

#include <gtest/gtest.h>

namespace sandstore {
namespace {

// A follower that is well.
pb::NodeStatus follower() {
    pb::NodeStatus node;
    node.set_id("node-2");
    node.set_up(true);
    pb::RaftStatus& raft = *node.mutable_raft();
    raft.set_role(pb::RoleChanged::FOLLOWER);
    raft.set_leader_id("node-1");
    raft.set_commit_index(5000);
    raft.set_applied_index(5000);
    raft.set_leader_silent_us(50'000);
    raft.mutable_standing()->set_match_index(5000);
    raft.mutable_standing()->set_commit_index(5000);
    raft.mutable_standing()->set_silent_us(50'000);
    return node;
}

TEST(Readiness, a_node_whose_leader_has_its_acknowledgements_and_whose_disks_take_writes_is_ready) {
    EXPECT_EQ(not_ready(follower()), "");
    pb::NodeStatus leader = follower();
    leader.mutable_raft()->set_role(pb::RoleChanged::LEADER);
    leader.mutable_raft()->clear_standing();
    leader.mutable_raft()->set_leader_silent_us(60'000'000);
    EXPECT_EQ(not_ready(leader), "");
}

TEST(Readiness, a_follower_that_its_leader_does_not_hear_is_not) {
    pb::NodeStatus node = follower();
    node.mutable_raft()->mutable_standing()->set_silent_us(7'000'000);
    EXPECT_EQ(not_ready(node), "the leader has heard nothing of it for 7 s");
    EXPECT_EQ(not_ready_remark(node), "not ready: the leader has heard nothing of it for 7 s");
    node = follower();
    node.mutable_raft()->set_leader_silent_us(4'000'000);
    EXPECT_EQ(not_ready(node), "nothing was heard of the leader for 4 s");
}

TEST(Readiness, a_follower_that_is_far_behind_is_not_though_it_has_applied_all_that_it_knows) {
    pb::NodeStatus node = follower();
    node.mutable_raft()->mutable_standing()->set_commit_index(6000);
    EXPECT_EQ(not_ready(node), "");
    node.mutable_raft()->mutable_standing()->set_commit_index(6001);
    EXPECT_EQ(not_ready(node), "it is 1001 entries behind");
    node.mutable_raft()->clear_standing();
    EXPECT_EQ(not_ready(node), "") << "a leader of an older version does not say";
    node.mutable_raft()->set_commit_index(6001);
    EXPECT_EQ(not_ready(node), "applied 5000 of 6001 committed");
}

TEST(Readiness, a_voter_that_forgot_or_owes_entries_or_was_removed_is_not) {
    pb::NodeStatus node = follower();
    node.mutable_raft()->set_forgot(true);
    EXPECT_EQ(not_ready(node), "it lost the storage on which its vote is");
    node = follower();
    node.mutable_raft()->set_owed_index(17);
    EXPECT_EQ(not_ready(node), "it lacks entries that it once acknowledged, and is sent them");
    node = follower();
    node.mutable_raft()->set_removed(true);
    EXPECT_EQ(not_ready(node), "this node is no member any more");
}

TEST(Readiness, a_disk_that_takes_no_writes_is_told_whichever_it_is) {
    pb::NodeStatus node = follower();
    node.mutable_chunks()->set_problem("write: Input/output error");
    EXPECT_EQ(not_ready(node), "write: Input/output error");
    node.mutable_raft()->set_disk_slow(true);
    EXPECT_EQ(not_ready(node), "the disk does not answer");
    node.mutable_raft()->set_disk_slow(false);
    node.mutable_raft()->set_disk_full(true);
    EXPECT_EQ(not_ready(node), "the disk is full: no writes");
}

TEST(Readiness, what_its_detail_says_anyway_is_not_said_twice) {
    pb::NodeStatus node;
    node.set_up(true);
    node.mutable_raft();
    node.set_detail("waits for an operator");
    EXPECT_EQ(not_ready(node), "waits for an operator");
    EXPECT_EQ(not_ready_remark(node), "");
    node.set_up(false);
    node.clear_detail();
    EXPECT_EQ(not_ready(node), "the node is still starting");
    EXPECT_EQ(not_ready_remark(node), "") << "that it is down stands there";
}

TEST(Readiness, each_check_has_its_name) {
    const std::vector<ReadyCheck> checks = ready_checks(follower());
    ASSERT_EQ(checks.size(), std::size(kReadyChecks));
    for (size_t i = 0; i < checks.size(); ++i) EXPECT_EQ(checks[i].name, kReadyChecks[i]);
}

}  // namespace
}  // namespace sandstore
