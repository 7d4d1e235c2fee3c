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
        identity.set_storage(kStorage);
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
        begin_with_new_chunks();
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
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    note_start();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), "blue");
    EXPECT_TRUE(started().join());
}

TEST_F(JoiningTest, a_first_voter_that_is_started_with_join_stays_what_it_is) {
    node.set_node_id("node-1");
    node.set_join(true);
    use_peers(kThreePeers);
    start(identity());
    note_start();
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
    const std::string start = R"({"format":2,"cluster_id":"blue","node_id":"node-4","storage_id":"00000000000000ff")";
    EXPECT_FALSE(parse_identity(start + R"(,"joined":true,"bootstrap_voters":["node-1"]})", &error));
    EXPECT_FALSE(parse_identity(start + R"(,"joined":false})", &error));
    EXPECT_FALSE(parse_identity(start + "}", &error));
}

}  // namespace
}  // namespace sandstore
