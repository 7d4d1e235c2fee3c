#include "services/status/maintenance.h"

#include <gtest/gtest.h>

#include "runtime/text.h"

namespace sandstore {
namespace {

// node-1 leads, all are up and equal; each chunk is on three nodes.
pb::ClusterStatus cluster_of(int size) {
    pb::ClusterStatus status;
    status.set_leader_id("node-1");
    status.set_term(4);
    for (int i = 1; i <= size; ++i) {
        pb::NodeStatus* node = status.add_nodes();
        node->set_id(str_cat("node-", i));
        node->set_up(true);
        node->set_copies(3);
        node->mutable_chunks()->set_chunk_count(10);
        pb::RaftStatus* raft = node->mutable_raft();
        raft->set_role(i == 1 ? pb::RoleChanged::LEADER : pb::RoleChanged::FOLLOWER);
        raft->set_leader_id("node-1");
        raft->set_applied_index(5000);
        raft->set_commit_index(5000);
        raft->set_last_index(5000);
        for (int voter = 1; voter <= size; ++voter) {
            raft->mutable_configuration()->add_voters(str_cat("node-", voter));
        }
    }
    pb::CopiesReport* report = status.mutable_nodes(0)->mutable_copies_report();
    report->set_rounds(1);
    report->set_current(true);
    report->set_chunks(10);
    report->set_copies(3);
    for (int i = 1; i <= size; ++i) {
        pb::CopiesReport::Node* node = report->add_nodes();
        node->set_node_id(str_cat("node-", i));
        node->set_counted(true);
        node->set_places(10);
    }
    return status;
}

pb::CopiesReport& report_of(pb::ClusterStatus& status) {
    return *status.mutable_nodes(0)->mutable_copies_report();
}

// Also the leader has seen it go, and counted again.
void take_down(pb::ClusterStatus& status, int node) {
    report_of(status).mutable_nodes(node - 1)->set_counted(false);
    status.mutable_nodes(node - 1)->set_up(false);
    status.mutable_nodes(node - 1)->clear_raft();
}

TEST(Maintenance, any_one_of_three_healthy_nodes_may_be_stopped) {
    const pb::ClusterStatus status = cluster_of(3);
    EXPECT_TRUE(may_be_stopped(status, "node-2").yes);
    EXPECT_EQ(may_be_stopped(status, "node-2").why, "node-2 may be stopped");
    const Verdict leader = may_be_stopped(status, "node-1");
    EXPECT_TRUE(leader.yes);
    EXPECT_NE(leader.why.find("it leads"), std::string::npos) << leader.why;
    EXPECT_NE(leader.why.find("sandstore cluster transfer"), std::string::npos);
    EXPECT_EQ(cluster_serves(status).why, "the cluster serves; node-1 leads in term 4");
}

TEST(Maintenance, with_one_of_three_down_the_others_are_needed) {
    pb::ClusterStatus status = cluster_of(3);
    take_down(status, 3);
    const Verdict verdict = may_be_stopped(status, "node-2");
    EXPECT_FALSE(verdict.yes);
    EXPECT_EQ(verdict.why,
              "without node-2, only 1 of 3 voters would be up and caught up, and 2 are needed: node-3 is down");
    EXPECT_TRUE(may_be_stopped(status, "node-3").yes) << "it is down already";
    EXPECT_TRUE(cluster_serves(status).yes);
}

// From seed 30000691: a lone voter and its learner each have one of two copies.
TEST(Maintenance, a_learner_is_needed_where_new_chunks_could_not_be_stored_without_it) {
    pb::ClusterStatus status = cluster_of(2);
    for (pb::NodeStatus& node : *status.mutable_nodes()) {
        node.mutable_raft()->mutable_configuration()->clear_voters();
        node.mutable_raft()->mutable_configuration()->add_voters("node-1");
        node.mutable_raft()->mutable_configuration()->add_learners("node-2");
    }
    EXPECT_EQ(may_be_stopped(status, "node-2").why,
              "without node-2, only 1 of 2 nodes could store new file data, and 2 are needed");
    EXPECT_TRUE(cluster_serves(status).yes);
    take_down(status, 2);
    EXPECT_EQ(cluster_serves(status).why, "only 1 of 2 nodes could store new file data, and 2 are needed");
}

TEST(Maintenance, a_voter_that_lost_its_storage_does_not_count) {
    pb::ClusterStatus status = cluster_of(3);
    pb::RaftPeerStatus* peer = status.mutable_nodes(0)->mutable_raft()->add_peers();
    peer->set_node_id("node-3");
    peer->set_match_index(5000);
    peer->set_forgot(true);
    EXPECT_EQ(may_be_stopped(status, "node-2").why,
              "without node-2, only 1 of 3 voters would be up and caught up, and 2 are needed: node-3 lost the storage "
              "on which its vote is");
    EXPECT_TRUE(cluster_serves(status).yes);
}

TEST(Maintenance, a_voter_that_has_not_caught_up_or_whose_disk_fails_does_not_count) {
    pb::ClusterStatus status = cluster_of(3);
    status.mutable_nodes(2)->mutable_raft()->set_last_index(4000);
    EXPECT_TRUE(may_be_stopped(status, "node-2").yes) << "it makes up for that in a moment";
    status.mutable_nodes(2)->mutable_raft()->set_last_index(3999);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("node-3 is 1001 entries behind"), std::string::npos);
    status = cluster_of(3);
    status.mutable_nodes(2)->mutable_raft()->set_disk_full(true);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("the disk of node-3 is full"), std::string::npos);
    status = cluster_of(3);
    status.mutable_nodes(2)->mutable_raft()->set_disk_slow(true);
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes);
    status = cluster_of(3);
    status.mutable_nodes(2)->clear_raft();
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("node-3 does not answer"), std::string::npos);
}

TEST(Maintenance, the_leader_knows_best_how_far_a_voter_is) {
    pb::ClusterStatus status = cluster_of(3);
    pb::RaftPeerStatus* peer = status.mutable_nodes(0)->mutable_raft()->add_peers();
    peer->set_node_id("node-3");
    peer->set_match_index(4990);
    status.mutable_nodes(2)->mutable_raft()->set_last_index(2000);  // Asked a moment earlier, under load.
    EXPECT_TRUE(may_be_stopped(status, "node-2").yes);
    EXPECT_EQ(lag_of(status, status.nodes(2)), 10u);
    EXPECT_EQ(lag_of(status, status.nodes(1)), 0u) << "by what it says itself";
    peer->set_match_index(100);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("node-3 is 4900 entries behind"), std::string::npos);
    peer->set_state(pb::RaftPeerStatus::SNAPSHOT);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("node-3 is sent a snapshot"), std::string::npos);
    status.mutable_nodes(0)->mutable_raft()->set_applied_index(4998);
    EXPECT_EQ(lag_of(status, status.nodes(0)), 2u);
    status.clear_leader_id();
    EXPECT_EQ(lag_of(status, status.nodes(2)), std::nullopt);
}

TEST(Maintenance, without_a_leader_nothing_may_be_stopped_and_nothing_serves) {
    pb::ClusterStatus status = cluster_of(3);
    status.clear_leader_id();
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes);
    EXPECT_EQ(cluster_serves(status).why, "the cluster has no leader");
}

TEST(Maintenance, a_leader_without_a_majority_does_not_serve) {
    pb::ClusterStatus status = cluster_of(3);
    take_down(status, 2);
    take_down(status, 3);
    EXPECT_EQ(cluster_serves(status).why,
              "only 1 of 3 voters is up and caught up, and 2 are needed: node-2 is down, node-3 is down");
}

TEST(Maintenance, a_single_node_is_needed) {
    pb::ClusterStatus status = cluster_of(1);
    EXPECT_EQ(may_be_stopped(status, "node-1").why,
              "without node-1, only 0 of 1 voter would be up and caught up, and 1 is needed");
    EXPECT_TRUE(cluster_serves(status).yes);
}

TEST(Maintenance, a_learner_counts_for_no_majority) {
    pb::ClusterStatus status = cluster_of(4);
    for (pb::NodeStatus& node : *status.mutable_nodes()) {
        node.mutable_raft()->mutable_configuration()->mutable_voters()->RemoveLast();
        node.mutable_raft()->mutable_configuration()->add_learners("node-4");
    }
    take_down(status, 3);
    EXPECT_TRUE(may_be_stopped(status, "node-4").yes);
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes) << "the learner cannot vote in its place";
}

TEST(Maintenance, while_members_change_old_and_new_majorities_are_needed) {
    pb::ClusterStatus status = cluster_of(5);
    pb::RaftConfiguration members;
    for (const char* voter : {"node-3", "node-4", "node-5"}) members.add_voters(voter);
    for (const char* voter : {"node-1", "node-2", "node-3"}) members.add_old_voters(voter);
    *status.mutable_nodes(0)->mutable_raft()->mutable_configuration() = members;
    EXPECT_TRUE(may_be_stopped(status, "node-2").yes);
    take_down(status, 1);
    status.set_leader_id("node-3");
    *status.mutable_nodes(2)->mutable_raft()->mutable_configuration() = members;
    const Verdict verdict = may_be_stopped(status, "node-2");
    EXPECT_FALSE(verdict.yes);
    EXPECT_NE(verdict.why.find("members are being changed"), std::string::npos) << verdict.why;
}

TEST(Maintenance, the_last_intact_copy_of_a_chunk_stays) {
    pb::ClusterStatus status = cluster_of(5);
    take_down(status, 5);
    EXPECT_TRUE(may_be_stopped(status, "node-2").yes) << "every chunk is on another node that answers";
    report_of(status).mutable_nodes(1)->set_last(7);
    EXPECT_EQ(may_be_stopped(status, "node-2").why, "node-2 holds the only intact copy within reach of 7 chunks");
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes);
    EXPECT_TRUE(may_be_stopped(status, "node-3").yes);
    // From seed 50000386: what a node says of itself may be older than what it holds.
    status.mutable_nodes(1)->mutable_chunks()->set_chunk_count(0);
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes);
    report_of(status).set_rounds(0);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("being counted"), std::string::npos);
}

TEST(Maintenance, what_was_counted_before_a_node_came_or_went_says_nothing) {
    pb::ClusterStatus status = cluster_of(5);
    status.mutable_nodes(4)->set_up(false);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("node-5 went down since"), std::string::npos);
    status = cluster_of(5);
    report_of(status).set_current(false);
    EXPECT_NE(may_be_stopped(status, "node-2").why.find("are being counted"), std::string::npos);
    status = cluster_of(5);
    report_of(status).mutable_nodes(1)->set_counted(false);
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes) << "nobody knows what it holds";
    status = cluster_of(5);
    status.mutable_nodes(0)->clear_copies_report();
    EXPECT_FALSE(may_be_stopped(status, "node-2").yes) << "the leader is new";
    EXPECT_FALSE(copies_are_intact(status).yes);
}

TEST(Maintenance, copies_are_intact_when_each_chunk_has_as_many_as_promised) {
    pb::ClusterStatus status = cluster_of(5);
    EXPECT_TRUE(copies_are_intact(status).yes);
    EXPECT_EQ(copies_are_intact(status).why, "each of 10 chunks has its copies");
    report_of(status).set_fewer(4);
    EXPECT_EQ(copies_are_intact(status).why, "4 of 10 chunks have fewer than 3 copies");
    report_of(status).set_none(2);
    report_of(status).set_problem("node-4: its disk is full");
    EXPECT_EQ(
        copies_are_intact(status).why,
        "4 of 10 chunks have fewer than 3 copies, and 2 of them none within reach: what is in them cannot be read "
        "until a node that has one is back (node-4: its disk is full)");
    EXPECT_FALSE(copies_are_intact(status).yes);
}

TEST(Maintenance, with_a_single_copy_of_each_chunk_a_node_that_holds_some_stays) {
    pb::ClusterStatus status = cluster_of(3);
    for (pb::NodeStatus& node : *status.mutable_nodes()) node.set_copies(1);
    EXPECT_EQ(may_be_stopped(status, "node-2").why, "each chunk is on one node only, and node-2 holds 10");
}

TEST(Maintenance, a_stranger_is_no_node_of_the_cluster) {
    EXPECT_FALSE(may_be_stopped(cluster_of(3), "node-9").yes);
}

}  // namespace
}  // namespace sandstore
