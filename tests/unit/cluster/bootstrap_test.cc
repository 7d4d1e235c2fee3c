// Bootstrap through its messages: each step, each wait, each refusal.
#include "actors/cluster/bootstrap.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "actors/cluster/identity.h"
#include "actors/cluster/member_record.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/unit/cluster/bootstrap_fixture.h"

namespace sandstore {
namespace {

// --- The whole way --------------------------------------------------------------------------------------------------

TEST_F(BootstrapTest, a_fresh_node_with_a_static_list_starts_everything_in_order) {
    use_peers(kThreePeers);
    start();
    std::multiset<pb::ActorKind> told;
    while (auto view = kit.try_take(pb::Envelope::kClusterView)) {
        told.insert((*view)->to_actor());
        EXPECT_EQ((*view)->cluster_view().members_size(), 3);
    }
    EXPECT_EQ(told, (std::multiset<pb::ActorKind>{pb::ACTOR_FILES, pb::ACTOR_CHUNKS, pb::ACTOR_REPAIRER,
                                                  pb::ACTOR_STATUS, pb::ACTOR_MOVER, pb::PORT_TRANSPORT}));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.node_id(), "node-1");
    EXPECT_EQ(written.cluster_id(), derived_cluster_id("static", {"node-1", "node-2", "node-3"}));
    EXPECT_EQ(written.bootstrap_voters_size(), 3);
    EXPECT_FALSE(kit.has(pb::Envelope::kStartTransport)) << "the identity is not durable yet";
    write_done();
    Message transport = kit.take(pb::Envelope::kStartTransport);
    EXPECT_EQ(transport->to_actor(), pb::PORT_TRANSPORT);
    EXPECT_EQ(transport->start_transport().cluster_id(), written.cluster_id());
    EXPECT_EQ(transport->start_transport().node_id(), "node-1");
    EXPECT_EQ(transport->start_transport().instance_id(), "instance-a");
    last_progress();
    kit.advance(kDuplicateWaitUs - 1);
    kit.expect_nothing();
    begin_with_new_chunks(1);
    kit.take(pb::Envelope::kBootProgress);  // It looks at the chunks.
    const std::pair<pb::ActorKind, pb::Envelope::BodyCase> order[] = {
        {pb::ACTOR_LOG, pb::Envelope::kStartLog},           {pb::ACTOR_SNAPSHOTS, pb::Envelope::kStartSnapshots},
        {pb::ACTOR_RAFT, pb::Envelope::kStartRaft},         {pb::ACTOR_STATE_MACHINE, pb::Envelope::kStartStateMachine},
        {pb::ACTOR_FILES, pb::Envelope::kStartFiles},       {pb::ACTOR_CHUNKS, pb::Envelope::kStartChunks},
        {pb::ACTOR_REPAIRER, pb::Envelope::kStartRepairer}, {pb::ACTOR_MOVER, pb::Envelope::kStartMover},
        {pb::ACTOR_STATUS, pb::Envelope::kBootProgress}};
    ASSERT_EQ(kit.effects().size(), std::size(order));
    for (size_t i = 0; i < std::size(order); ++i) {
        EXPECT_EQ(kit.effects()[i].message->to_actor(), order[i].first) << i;
        EXPECT_EQ(kit.effects()[i].message->body_case(), order[i].second) << i;
    }
    EXPECT_EQ(last_progress(), "");
    const pb::StartLog log = kit.take(pb::Envelope::kStartLog)->start_log();
    EXPECT_EQ(log.cluster_id(), written.cluster_id());
    EXPECT_EQ(log.node_id(), "node-1");
    const pb::StartSnapshots snapshots = kit.take(pb::Envelope::kStartSnapshots)->start_snapshots();
    EXPECT_EQ(snapshots.cluster_id(), written.cluster_id());
    EXPECT_EQ(snapshots.node_id(), "node-1");
    const pb::StartRaft raft = kit.take(pb::Envelope::kStartRaft)->start_raft();
    EXPECT_FALSE(raft.join());
    EXPECT_EQ(raft.cluster_id(), written.cluster_id());
    EXPECT_EQ(raft.node_id(), "node-1");
    EXPECT_EQ(raft.bootstrap_voters_size(), 3);
    EXPECT_EQ(raft.heartbeat_interval_ms(), 30u);
    const pb::StartFiles files = kit.take(pb::Envelope::kStartFiles)->start_files();
    EXPECT_EQ(files.node_id(), "node-1");
    EXPECT_EQ(files.copies(), 3u);
    EXPECT_EQ(kit.take(pb::Envelope::kStartChunks)->start_chunks().node_id(), "node-1");
    EXPECT_EQ(kit.take(pb::Envelope::kStartRepairer)->start_repairer().node_id(), "node-1");
    EXPECT_EQ(kit.take(pb::Envelope::kStartMover)->start_mover().node_id(), "node-1");
}

TEST_F(BootstrapTest, a_known_node_keeps_its_identity_and_its_first_voters) {
    use_peers("node-1=a:1,node-2=b:2,node-4=d:4");
    start(identity());
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.cluster_id(), kDerivedId);
    EXPECT_EQ(written.storage(), kStorage);
    EXPECT_EQ(written.bootstrap_voters_size(), 3);
    EXPECT_EQ(written.starts_size(), 1) << "that it starts is all that is new";
    write_done();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), kDerivedId);
    begin_with_new_chunks();
    const pb::StartRaft raft = kit.take(pb::Envelope::kStartRaft)->start_raft();
    EXPECT_EQ(std::vector<std::string>(raft.bootstrap_voters().begin(), raft.bootstrap_voters().end()),
              (std::vector<std::string>{"node-1", "node-2", "node-3"}));
}

TEST_F(BootstrapTest, a_single_node_needs_no_discovery) {
    node.set_single_node(true);
    start();
    EXPECT_EQ(kit.take(pb::Envelope::kClusterView)->cluster_view().members(0).id(), "node-1");
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.bootstrap_voters_size(), 1);
    write_done();
    begin_with_new_chunks();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartRaft));
}

TEST_F(BootstrapTest, a_given_cluster_id_is_used) {
    use_peers(kThreePeers);
    node.set_cluster_id("green");
    start();
    EXPECT_EQ(take_identity_write().cluster_id(), "green");
}

// --- Waiting for etcd -----------------------------------------------------------------------------------------------

TEST_F(BootstrapTest, with_a_cluster_record_one_view_is_enough) {
    start();
    expect_waiting("the member list");
    kit.deliver(
        message_of(view_of("node-1=a:1,node-2=b:2,node-3=c:3,node-4=d:4", "blue", {"node-1", "node-2", "node-3"})));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.cluster_id(), "blue");
    EXPECT_EQ(written.bootstrap_voters_size(), 3) << "node-4 is no voter of the record";
    write_done();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
    bool poller_told = false;
    while (auto message = kit.try_take(pb::Envelope::kBootProgress)) {
        poller_told |=
            (*message)->to_actor() == pb::ACTOR_ETCD_POLLER && (*message)->boot_progress().cluster_id() == "blue";
    }
    EXPECT_TRUE(poller_told);
}

TEST_F(BootstrapTest, a_view_that_came_before_the_identity_was_read_is_used) {
    kit.deliver(message_of(view_of(kThreePeers, "blue", {"node-1", "node-2", "node-3"})));
    start();
    EXPECT_EQ(take_identity_write().cluster_id(), "blue");
}

TEST_F(BootstrapTest, it_waits_for_the_records_that_the_cluster_record_names) {
    start();
    kit.deliver(message_of(view_of("node-1=a:1", "blue", {"node-1", "node-2", "node-3"})));
    expect_waiting("the records of node-2, node-3, which etcd's cluster record names");
    EXPECT_TRUE(kit.logged("the records of node-2, node-3"));
    kit.deliver(message_of(view_of("node-1=a:1,node-3=c:3", "blue", {"node-1", "node-2", "node-3"})));
    expect_waiting("the records of node-2, which etcd's cluster record names");
    kit.deliver(message_of(view_of(kThreePeers, "blue", {"node-1", "node-2", "node-3"})));
    EXPECT_TRUE(kit.has(pb::Envelope::kDiskRequest));
}

TEST_F(BootstrapTest, a_wait_is_said_once) {
    start();
    last_progress();
    for (int i = 0; i < 3; ++i) kit.deliver(message_of(view_of("node-1=a:1", "blue", {"node-1", "node-2"})));
    EXPECT_EQ(kit.count(pb::Envelope::kBootProgress), 1u);
}

TEST_F(BootstrapTest, without_a_cluster_record_the_list_must_stay_the_same_for_two_polls) {
    start();
    kit.deliver(message_of(view_of("node-1=a:1,node-2=b:2")));
    expect_waiting("the member list to stay the same for two polls");
    kit.deliver(message_of(view_of(kThreePeers)));
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
    kit.deliver(message_of(view_of(kThreePeers)));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.cluster_id(), derived_cluster_id("etcd", {"node-1", "node-2", "node-3"}));
    EXPECT_EQ(written.bootstrap_voters_size(), 3);
}

TEST_F(BootstrapTest, without_a_cluster_record_one_member_is_not_enough) {
    start();
    for (int i = 0; i < 3; ++i) kit.deliver(message_of(view_of("node-1=a:1")));
    expect_waiting(
        "more members: etcd lists only node-1; write the other records or a cluster record with `sandstore "
        "cluster init`, or start one node alone with --replicator=noop");
}

TEST_F(BootstrapTest, a_cached_view_is_not_enough_for_a_fresh_node) {
    start();
    pb::ClusterView cached = view_of(kThreePeers, "blue", {"node-1", "node-2", "node-3"});
    cached.set_from_cache(true);
    kit.deliver(message_of(cached));
    expect_waiting("etcd: the list kept on disk is not enough for this node");
    cached.set_from_cache(false);
    kit.deliver(message_of(cached));
    EXPECT_TRUE(kit.has(pb::Envelope::kDiskRequest));
}

TEST_F(BootstrapTest, a_cached_view_is_enough_for_a_known_node) {
    start(identity());
    pb::ClusterView cached = view_of(kThreePeers);
    cached.set_from_cache(true);
    kit.deliver(message_of(cached));
    note_start();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
}

TEST_F(BootstrapTest, a_cached_view_without_this_node_is_no_reason_to_refuse) {
    start(identity());
    pb::ClusterView cached = view_of("node-2=b:2,node-3=c:3");
    cached.set_from_cache(true);
    kit.deliver(message_of(cached));
    expect_waiting("etcd: the list kept on disk is not enough for this node");
}

// Simulator, seed 2019530: the cluster needed this node for its quorum.
TEST_F(BootstrapTest, a_wrong_list_in_etcd_does_not_keep_a_known_node_out) {
    start(identity());
    kit.deliver(message_of(view_of("node-2=b:2,node-9=x:9")));
    EXPECT_FALSE(kit.stopped()) << kit.stopped().value_or("");
    note_start();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
}

TEST_F(BootstrapTest, a_known_node_needs_one_view_only) {
    start(identity());
    kit.deliver(message_of(view_of(kThreePeers)));
    note_start();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), kDerivedId);
}

TEST_F(BootstrapTest, views_after_the_start_change_nothing) {
    start(identity());
    kit.deliver(message_of(view_of(kThreePeers)));
    note_start();
    begin_with_new_chunks();
    kit.drop_effects();
    kit.deliver(message_of(view_of("node-2=b:2")));
    kit.expect_nothing();
    EXPECT_FALSE(kit.stopped());
    EXPECT_TRUE(kit.logged("no longer in etcd's member list"));
}

// --- Refusals -------------------------------------------------------------------------------------------------------

TEST_F(BootstrapTest, a_node_that_is_not_in_the_list_is_refused) {
    node.set_node_id("node-9");
    use_peers(kThreePeers);
    start();
    expect_refused(
        "node-9 is not in the member list (node-1, node-2, node-3): start it with one of these as --node-id, "
        "or add it to the list (--peers, or `sandstore cluster init` with etcd); a new node of a cluster that runs "
        "already needs --join");
}

TEST_F(BootstrapTest, a_node_that_is_not_in_etcds_list_is_refused) {
    node.set_node_id("node-9");
    start();
    kit.deliver(message_of(view_of(kThreePeers, "blue", {"node-1", "node-2", "node-3"})));
    ASSERT_TRUE(kit.stopped());
    EXPECT_TRUE(kit.stopped()->starts_with("node-9 is not in the member list (node-1, node-2, node-3): "));
}

TEST_F(BootstrapTest, the_directory_of_another_node_is_refused) {
    use_peers(kThreePeers);
    start(identity("blue", "node-2"));
    expect_refused(
        "data directory belongs to node-2 of cluster blue (node-1, node-2, node-3), and this is node-1: use "
        "another --data-dir, or --node-id=node-2");
}

TEST_F(BootstrapTest, the_directory_of_another_cluster_is_refused) {
    use_peers(kThreePeers);
    node.set_cluster_id("green");
    start(identity("blue"));
    expect_refused(
        "data directory belongs to node-1 of cluster blue (node-1, node-2, node-3), and this node is to run in "
        "cluster green: use another --data-dir, or --cluster-id=blue");
}

// etcd came back with an empty store, and the member list was written anew.
TEST_F(BootstrapTest, a_cluster_record_of_another_name_in_etcd_does_not_rename_the_cluster) {
    start(identity("blue"));
    kit.deliver(message_of(view_of(kThreePeers, "green", {"node-1", "node-2", "node-3"})));
    EXPECT_FALSE(kit.stopped());
    note_start();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), "blue");
    EXPECT_TRUE(kit.logged("is of another cluster than the data directory"));
}

TEST_F(BootstrapTest, the_directory_of_a_named_cluster_is_refused_when_the_list_comes_without_the_name) {
    use_peers(kThreePeers);
    start(identity("blue"));
    expect_refused(
        "data directory belongs to node-1 of cluster blue (node-1, node-2, node-3), and no cluster is named "
        "here: use another --data-dir, or --cluster-id=blue");
}

TEST_F(BootstrapTest, a_lost_cluster_record_in_etcd_does_no_harm) {
    start(identity("blue"));
    kit.deliver(message_of(view_of(kThreePeers)));
    note_start();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), "blue");
}

// Seed 5026842 of the simulator: all nodes restarted while etcd showed a list of strangers, and none came back.
TEST_F(BootstrapTest, a_list_of_strangers_in_etcd_does_no_harm_to_a_known_node) {
    start(identity("blue"));
    kit.deliver(message_of(view_of("node-9=d:4")));
    EXPECT_FALSE(kit.stopped());
    note_start();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().cluster_id(), "blue");
}

TEST_F(BootstrapTest, a_list_that_shares_no_other_node_with_the_directory_is_refused) {
    use_peers("node-1=a:1,node-7=b:2,node-8=c:3");
    start(identity());
    ASSERT_TRUE(kit.stopped());
    EXPECT_NE(kit.stopped()->find("none of its other nodes is in the member list (node-1, node-7, node-8)"),
              std::string::npos);
}

TEST_F(BootstrapTest, a_single_node_does_not_take_over_a_cluster) {
    node.set_single_node(true);
    start(identity("blue"));
    ASSERT_TRUE(kit.stopped());
    EXPECT_NE(kit.stopped()->find("start it without --replicator=noop"), std::string::npos);
}

TEST_F(BootstrapTest, a_damaged_identity_is_refused) {
    use_peers(kThreePeers);
    start(identity().substr(0, 20));
    ASSERT_TRUE(kit.stopped());
    EXPECT_TRUE(
        kit.stopped()->starts_with("cannot tell whose data directory this is: identity.json is damaged: not JSON: "));
    EXPECT_TRUE(kit.stopped()->ends_with("Restore that file, or start with another --data-dir"));
}

TEST_F(BootstrapTest, an_identity_of_a_later_format_is_refused) {
    use_peers(kThreePeers);
    start(R"({"format":3,"cluster_id":"blue","node_id":"node-1","bootstrap_voters":["node-1"]})");
    ASSERT_TRUE(kit.stopped());
    EXPECT_NE(kit.stopped()->find("its format is 3, and this version knows format 2"), std::string::npos);
}

TEST_F(BootstrapTest, an_unreadable_identity_is_refused) {
    for (const pb::StatusCode error : {pb::STATUS_EIO, pb::STATUS_EACCES}) {
        StepKit other(std::make_unique<Bootstrap>(), {pb::ACTOR_BOOTSTRAP});
        other.deliver(message_of(pb::StartLog()));
        other.deliver(message_of(pb::StartRaft()));
        other.deliver(message_of(pb::StartStateMachine()));
        other.deliver(message_of(pb::StartFiles()));
        other.deliver(message_of(pb::StartSnapshots()));
        other.deliver(message_of(pb::StartChunks()));
        other.deliver(message_of(pb::StartRepairer()));
        other.deliver(message_of(pb::StartMover()));
        other.deliver(message_of(pb::StartStatus()));
        other.deliver(message_of(node));
        pb::DiskReply reply;
        reply.set_error(error);
        other.answer(other.take(pb::Envelope::kDiskRequest), message_of(reply));
        ASSERT_TRUE(other.stopped());
        EXPECT_EQ(*other.stopped(), str_cat("cannot read identity.json in the data directory (errno ", error, ")"));
    }
}

TEST_F(BootstrapTest, a_directory_that_cannot_be_written_is_refused) {
    use_peers(kThreePeers);
    start();
    take_identity_write();
    pb::DiskReply full;
    full.set_error(pb::STATUS_ENOSPC);
    kit.answer(last_write, message_of(full));
    expect_refused(
        "cannot write identity.json into the data directory (errno 28): check that it is writable and has space");
}

TEST_F(BootstrapTest, a_disk_that_does_not_answer_is_refused) {
    use_peers(kThreePeers);
    start();
    take_identity_write();
    kit.fail(last_write, pb::STATUS_DEADLINE_EXCEEDED, "no reply in time");
    expect_refused("the disk of the data directory does not answer: no reply in time");
}

TEST_F(BootstrapTest, a_second_process_with_the_same_node_id_is_refused) {
    use_peers(kThreePeers);
    start(identity());
    note_start();
    kit.take(pb::Envelope::kStartTransport);
    pb::DuplicateNode other;
    other.set_address("a:1");
    other.set_instance_id("instance-b");
    kit.deliver(message_of(other));
    expect_refused("another process already runs as node-1 at a:1: stop it or choose another --node-id");
}

TEST_F(BootstrapTest, hearing_itself_is_no_duplicate) {
    use_peers(kThreePeers);
    start(identity());
    note_start();
    pb::DuplicateNode self;
    self.set_instance_id("instance-a");
    kit.deliver(message_of(self));
    EXPECT_FALSE(kit.stopped());
    begin_with_new_chunks();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartRaft));
}

TEST_F(BootstrapTest, chunks_without_a_mark_are_marked_before_anything_begins) {
    use_peers(kThreePeers);
    start(identity());
    note_start();
    kit.advance(kDuplicateWaitUs);
    answer_chunk_mark(std::nullopt);
    EXPECT_FALSE(kit.has(pb::Envelope::kStartLog));
    const ChunkMark mark = take_chunk_mark_write();
    EXPECT_EQ(mark.cluster_id, kDerivedId);
    EXPECT_EQ(mark.node_id, "node-1");
    EXPECT_TRUE(kit.has(pb::Envelope::kStartChunks));
}

TEST_F(BootstrapTest, chunks_with_its_own_mark_are_taken) {
    use_peers(kThreePeers);
    start(identity());
    note_start();
    kit.advance(kDuplicateWaitUs);
    answer_chunk_mark(chunk_mark_text({std::string(kDerivedId), "node-1"}));
    EXPECT_TRUE(kit.has(pb::Envelope::kStartChunks));
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "a mark is never rewritten";
}

class ForeignChunks : public BootstrapTest, public testing::WithParamInterface<std::pair<const char*, const char*>> {};

TEST_P(ForeignChunks, are_refused) {
    use_peers(kThreePeers);
    start(identity());
    note_start();
    kit.drop_effects();
    kit.advance(kDuplicateWaitUs);
    answer_chunk_mark(GetParam().first);
    expect_refused(GetParam().second);
}

INSTANTIATE_TEST_SUITE_P(
    Marks, ForeignChunks,
    testing::Values(
        std::pair(R"({"format":1,"cluster_id":"green","node_id":"node-1"})",
                  "the chunks in the data directory belong to node-1 of cluster green, and this is node-1 of cluster "
                  "static-0123456789abcdef: bring the directory chunks back to where it belongs, and start this node "
                  "with its own, or without one"),
        std::pair(R"({"format":1,"cluster_id":"static-0123456789abcdef","node_id":"node-2"})",
                  "the chunks in the data directory belong to node-2 of cluster static-0123456789abcdef, and this is "
                  "node-1 of cluster static-0123456789abcdef: bring the directory chunks back to where it belongs, and "
                  "start this node with its own, or without one"),
        std::pair("{}",
                  "cannot tell whose chunks are in the data directory: chunks/identity.json is damaged: it is not of "
                  "format 1. If they are this node's, remove that file")));

TEST_F(BootstrapTest, a_machine_that_is_short_of_descriptors_delays_the_start) {
    use_peers(kThreePeers);
    start(std::nullopt, EMFILE);
    EXPECT_FALSE(kit.stopped());
    EXPECT_EQ(last_progress(), "the machine to have what is short: Too many open files at the data directory");
    kit.advance(500'000);
    answer_identity(identity());
    note_start();
    kit.drop_effects();
    kit.advance(kDuplicateWaitUs);
    answer_chunk_mark(std::nullopt, ENOMEM);
    EXPECT_FALSE(kit.stopped());
    kit.advance(500'000);
    answer_chunk_mark(std::nullopt);
    take_chunk_mark_write();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartChunks));
}

TEST_F(BootstrapTest, a_node_id_that_is_no_name_is_refused) {
    for (const std::string bad : {"~1", "@host:1", "a b", "-x", ""}) {
        SCOPED_TRACE(bad);
        StepKit other(std::make_unique<Bootstrap>(), {pb::ACTOR_BOOTSTRAP});
        other.deliver(message_of(pb::StartLog()));
        other.deliver(message_of(pb::StartRaft()));
        other.deliver(message_of(pb::StartStateMachine()));
        other.deliver(message_of(pb::StartFiles()));
        other.deliver(message_of(pb::StartSnapshots()));
        other.deliver(message_of(pb::StartChunks()));
        other.deliver(message_of(pb::StartRepairer()));
        other.deliver(message_of(pb::StartMover()));
        other.deliver(message_of(pb::StartStatus()));
        node.set_node_id(bad);
        other.deliver(message_of(node));
        ASSERT_TRUE(other.stopped());
        EXPECT_NE(other.stopped()->find("is not a node id"), std::string::npos);
    }
}

}  // namespace
}  // namespace sandstore
