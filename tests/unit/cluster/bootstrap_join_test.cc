// Bootstrap of nodes that come to a cluster that runs already, wanted or not.
#include "tests/unit/cluster/bootstrap_fixture.h"

namespace sandstore {
namespace {

// --- Joining a cluster that runs already ----------------------------------------------------------------------------

class JoiningTest : public BootstrapTest {
 protected:
    JoiningTest() { node.set_node_id("node-4"); }

    static std::string joined_identity() {
        pb::Identity identity;
        identity.set_cluster_id("blue");
        identity.set_node_id("node-4");
        identity.set_joined(true);
        return identity_text(identity);
    }
    void tell_cluster(std::string cluster_id, std::string leader_id) {
        Message asked = kit.take(pb::Envelope::kClusterStatusRequest);
        EXPECT_TRUE(asked->cluster_status_request().local());
        pb::ClusterStatus answer;
        answer.set_cluster_id(std::move(cluster_id));
        answer.set_leader_id(std::move(leader_id));
        kit.answer(asked, message_of(answer));
    }
    pb::StartRaft started() {
        kit.advance(kDuplicateWaitUs);
        return kit.take(pb::Envelope::kStartRaft)->start_raft();
    }
};

TEST_F(JoiningTest, a_node_that_joins_takes_the_cluster_id_of_the_running_nodes_and_bootstraps_nothing) {
    node.set_join(true);
    use_peers("node-1=a:1,node-2=b:2,node-4=d:4");
    start();
    const pb::Envelope::BodyCase asked = pb::Envelope::kClusterStatusRequest;
    EXPECT_EQ(kit.count(asked), 1u);
    EXPECT_FALSE(kit.has(pb::Envelope::kStartTransport));
    tell_cluster("static-of-the-first-three", "node-2");
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.cluster_id(), "static-of-the-first-three");
    EXPECT_TRUE(written.joined());
    EXPECT_TRUE(written.bootstrap_voters().empty());
    write_done();
    const pb::StartRaft raft = started();
    EXPECT_TRUE(raft.join());
    EXPECT_TRUE(raft.bootstrap_voters().empty());
}

TEST_F(JoiningTest, peers_are_asked_one_after_the_other_and_again_until_one_knows_the_cluster) {
    node.set_join(true);
    use_peers("node-1=a:1,node-2=b:2,node-4=d:4");
    start();
    Message first = kit.take(pb::Envelope::kClusterStatusRequest);
    EXPECT_EQ(first->to_node(), "@a:1");
    kit.fail(first, pb::STATUS_UNAVAILABLE, "connection refused");
    Message second = kit.take(pb::Envelope::kClusterStatusRequest);
    EXPECT_EQ(second->to_node(), "@b:2");
    pb::ClusterStatus no_leader;
    no_leader.set_cluster_id("blue");
    kit.answer(second, message_of(no_leader));
    EXPECT_EQ(
        last_progress(),
        "a node of the cluster to say which cluster it is (node-1: connection refused; node-2: it knows no leader "
        "yet); --cluster-id would say it too");
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "nothing is claimed on a guess";
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    kit.fire_next_timer();
    tell_cluster("blue", "node-1");
    EXPECT_EQ(take_identity_write().cluster_id(), "blue");
}

TEST_F(JoiningTest, with_a_cluster_id_nobody_is_asked) {
    node.set_join(true);
    node.set_cluster_id("green");
    use_peers("node-1=a:1,node-4=d:4");
    start();
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.cluster_id(), "green");
    EXPECT_TRUE(written.joined());
}

TEST_F(JoiningTest, a_list_without_the_node_itself_is_enough_to_join) {
    node.set_join(true);
    use_peers(kThreePeers);
    start();
    EXPECT_FALSE(kit.stopped());
    tell_cluster("blue", "node-1");
    EXPECT_TRUE(take_identity_write().joined());
}

TEST_F(JoiningTest, a_node_that_etcds_cluster_record_does_not_name_joins_without_being_told_to) {
    start();
    // The record of node-1 is gone already: the running cluster has replaced it.
    kit.deliver(message_of(view_of("node-2=b:2,node-3=c:3,node-4=d:4", "blue", {"node-1", "node-2", "node-3"})));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.cluster_id(), "blue");
    EXPECT_TRUE(written.joined());
    write_done();
    EXPECT_TRUE(started().join());
}

TEST_F(JoiningTest, with_etcd_and_no_cluster_record_the_running_nodes_say_which_cluster_it_is) {
    node.set_join(true);
    start();
    kit.deliver(message_of(view_of("node-1=a:1,node-4=d:4")));
    tell_cluster("etcd-of-the-first-three", "node-1");
    EXPECT_EQ(take_identity_write().cluster_id(), "etcd-of-the-first-three");
}

TEST_F(JoiningTest, a_joined_node_starts_again_without_the_flag_and_asks_nobody) {
    use_peers("node-1=a:1,node-4=d:4");
    start(joined_identity());
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), "blue");
    EXPECT_TRUE(started().join());
}

TEST_F(JoiningTest, a_first_voter_that_is_started_with_join_stays_what_it_is) {
    node.set_node_id("node-1");
    node.set_join(true);
    use_peers(kThreePeers);
    start(identity());
    const pb::StartRaft raft = started();
    EXPECT_FALSE(raft.join());
    EXPECT_EQ(raft.bootstrap_voters_size(), 3);
}

TEST_F(JoiningTest, a_joined_nodes_directory_is_no_single_nodes) {
    node.set_single_node(true);
    start(joined_identity());
    ASSERT_TRUE(kit.stopped());
    EXPECT_TRUE(kit.stopped()->starts_with("data directory belongs to node-4 of cluster blue (which it joined)"));
}

TEST_F(JoiningTest, an_identity_that_both_joined_and_bootstrapped_is_damaged) {
    std::string error;
    EXPECT_FALSE(parse_identity(
        R"({"format":1,"cluster_id":"blue","node_id":"node-4","joined":true,"bootstrap_voters":["node-1"]})", &error));
    EXPECT_FALSE(parse_identity(R"({"format":1,"cluster_id":"blue","node_id":"node-4","joined":false})", &error));
    EXPECT_FALSE(parse_identity(R"({"format":1,"cluster_id":"blue","node_id":"node-4"})", &error));
}

// --- Lost directories -----------------------------------------------------------------------------------------------

class AcquaintanceTest : public BootstrapTest {
 protected:
    AcquaintanceTest() {
        node.set_ask_members(true);
        node.set_cluster_id("blue");
        use_peers(kThreePeers);
    }

    // The line of a member that leads, as its StatusService gives it.
    static pb::ClusterStatus leader_line(std::string cluster_id, uint64_t match_of_node_1) {
        pb::ClusterStatus answer;
        answer.set_cluster_id(std::move(cluster_id));
        answer.set_leader_id("node-2");
        pb::NodeStatus* line = answer.add_nodes();
        line->set_id("node-2");
        pb::RaftPeerStatus* peer = line->mutable_raft()->add_peers();
        peer->set_node_id("node-1");
        peer->set_match_index(match_of_node_1);
        return answer;
    }
    Message asked(std::string_view address) { return kit.take_to(pb::Envelope::kClusterStatusRequest, address); }
};

TEST_F(AcquaintanceTest, a_first_voter_whose_entries_the_leader_has_seen_lost_its_directory_and_is_refused) {
    start();
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "nothing is claimed before the others were asked";
    kit.fail(asked("@c:3"), pb::STATUS_UNAVAILABLE, "connection refused");
    kit.answer(asked("@b:2"), message_of(leader_line("blue", 41)));
    expect_refused(
        "the data directory is empty, but node-1 has acknowledged entries up to 41 of cluster blue: give the "
        "--data-dir "
        "that holds them. If it is lost, the node may not vote again under this name: start it with --join and a new "
        "--node-id, and run `sandstore cluster replace node-1 NEW-ID HOST:PORT`");
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "or the next start would find a directory that is not new";
}

TEST_F(AcquaintanceTest, a_first_voter_that_comes_late_for_the_first_time_goes_on) {
    start();
    kit.answer(asked("@b:2"), message_of(leader_line("blue", 0)));
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "node-3 has not answered";
    kit.fail(asked("@c:3"), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_FALSE(take_identity_write().joined());
}

TEST_F(AcquaintanceTest, nobody_need_answer) {
    start();
    kit.fail(asked("@b:2"), pb::STATUS_UNAVAILABLE);
    kit.fail(asked("@c:3"), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(take_identity_write().cluster_id(), "blue");
}

TEST_F(AcquaintanceTest, a_node_that_is_as_new_as_we_are_says_nothing_that_counts) {
    start();
    for (const char* address : {"@b:2", "@c:3"}) kit.answer(asked(address), message_of(pb::ClusterStatus()));
    EXPECT_EQ(take_identity_write().cluster_id(), "blue");
}

TEST_F(AcquaintanceTest, a_member_of_another_running_cluster_is_no_reason_to_begin_a_second_one) {
    start();
    kit.answer(asked("@b:2"), message_of(leader_line("green", 0)));
    expect_refused(
        "node-2 belongs to cluster green, which runs already, and this node would begin cluster blue: start it with "
        "--join to take it into that cluster, or correct the member list or --cluster-id");
    kit.fail(asked("@c:3"), pb::STATUS_UNAVAILABLE);
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
}

TEST_F(AcquaintanceTest, a_second_process_with_the_name_of_a_running_node_is_told_so) {
    start();
    pb::ClusterStatus line = leader_line("blue", 41);
    line.mutable_nodes(0)->mutable_raft()->mutable_peers(0)->set_reachable(true);
    kit.answer(asked("@b:2"), message_of(line));
    expect_refused("another process already runs as node-1 at a:1: stop it or choose another --node-id");
}

TEST_F(AcquaintanceTest, a_known_node_and_one_that_joins_ask_nobody_that) {
    start(identity("blue"));
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
}

}  // namespace
}  // namespace sandstore
