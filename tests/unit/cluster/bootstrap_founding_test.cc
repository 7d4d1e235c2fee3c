// Bootstrap: a cluster begins once, when all its first voters say that they are fresh; whoever was there before comes
// back without a vote.
#include "actors/raft/storage_starts.h"
#include "tests/unit/cluster/bootstrap_fixture.h"

namespace sandstore {
namespace {

class FoundingTest : public BootstrapTest {
 protected:
    FoundingTest() {
        node.set_ask_members(true);
        node.set_cluster_id("blue");
        use_peers(kThreePeers);
    }

    // Up to the questions: the storage is durable.
    void start_fresh() {
        start();
        claimed = take_identity_write();
        EXPECT_EQ(claimed.cluster_id(), "");
        EXPECT_NE(claimed.storage(), 0u);
        EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest)) << "nobody is told of a storage that is not durable";
        write_done();
    }
    Message asked(std::string_view address) { return kit.take_to(pb::Envelope::kClusterStatusRequest, address); }

    static pb::ClusterStatus line_of(std::string id) {
        pb::ClusterStatus answer;
        answer.add_nodes()->set_id(std::move(id));
        return answer;
    }
    static pb::ClusterStatus fresh(std::string id, uint64_t storage, std::string cluster = "blue") {
        pb::ClusterStatus answer = line_of(std::move(id));
        pb::Founding* founding = answer.mutable_nodes(0)->mutable_founding();
        founding->set_storage(storage);
        founding->set_fresh(true);
        founding->set_cluster_id(std::move(cluster));
        for (const char* voter : {"node-1", "node-2", "node-3"}) founding->add_voters(voter);
        return answer;
    }
    // One that belongs to the cluster, with what it knows of node-1.
    static pb::ClusterStatus running(std::string id, uint64_t storage_of_node_1, std::vector<std::string> voters = {}) {
        pb::ClusterStatus answer = line_of(std::move(id));
        answer.set_cluster_id("blue");
        pb::NodeStatus* line = answer.mutable_nodes(0);
        line->mutable_founding()->set_storage(2);
        line->mutable_founding()->set_founding("founding-of-blue");
        for (const auto& [name, storage] : {std::pair("node-1", storage_of_node_1), std::pair("node-2", uint64_t{2}),
                                            std::pair("node-3", uint64_t{3})}) {
            pb::RaftStorage* known = line->mutable_founding()->add_storages();
            known->set_id(name);
            known->set_storage(storage);
        }
        for (std::string& voter : voters) line->mutable_raft()->mutable_configuration()->add_voters(std::move(voter));
        return answer;
    }

    pb::Identity claimed;
};

TEST_F(FoundingTest, a_cluster_begins_when_all_first_voters_are_fresh_and_knows_all_their_storages) {
    start_fresh();
    kit.answer(asked("@b:2"), message_of(fresh("node-2", 22)));
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "node-3 has not answered";
    kit.answer(asked("@c:3"), message_of(fresh("node-3", 33)));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.storage(), claimed.storage());
    EXPECT_EQ(written.bootstrap_voters_size(), 3);
    ASSERT_EQ(written.storages_size(), 3);
    EXPECT_EQ(written.storages(0).storage(), claimed.storage());
    EXPECT_EQ(written.storages(1).storage(), 22u);
    EXPECT_EQ(written.storages(2).storage(), 33u);
    EXPECT_EQ(written.founding(), founding_of(written));
    write_done();
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().founding(), written.founding());
    begin_with_new_chunks();
    const pb::StartRaft raft = kit.take(pb::Envelope::kStartRaft)->start_raft();
    EXPECT_EQ(raft.storage(), claimed.storage());
    EXPECT_EQ(raft.bootstrap_storages_size(), 3);
    EXPECT_EQ(raft.founding(), written.founding());
}

TEST_F(FoundingTest, silence_is_waited_for_and_says_of_whom) {
    start_fresh();
    kit.answer(asked("@b:2"), message_of(fresh("node-2", 22)));
    kit.fail(asked("@c:3"), pb::STATUS_UNAVAILABLE, "connection refused");
    expect_waiting(
        "an answer of node-3 (node-3: connection refused): the data directory is empty, and only when all first voters "
        "say the same of theirs is there no cluster that this would be a second of; start them");
    kit.fire_next_timer();
    kit.answer(asked("@b:2"), message_of(fresh("node-2", 22)));
    kit.answer(asked("@c:3"), message_of(fresh("node-3", 33)));
    EXPECT_EQ(take_identity_write().cluster_id(), "blue");
}

TEST_F(FoundingTest, a_process_that_died_before_all_had_answered_goes_on_with_the_storage_it_told) {
    start(R"({"format":2,"node_id":"node-1","storage_id":"000000000000000b"})");
    kit.answer(asked("@b:2"), message_of(fresh("node-2", 22)));
    kit.answer(asked("@c:3"), message_of(fresh("node-3", 33)));
    EXPECT_EQ(take_identity_write().storages(0).storage(), 11u);
}

TEST_F(FoundingTest, the_unfinished_directory_of_another_node_is_refused) {
    start(R"({"format":2,"node_id":"node-2","storage_id":"000000000000000b"})");
    expect_refused("data directory belongs to node-2, and this is node-1: use another --data-dir, or --node-id=node-2");
}

TEST_F(FoundingTest, what_another_one_has_begun_with_this_storage_is_taken_over) {
    start_fresh();
    kit.answer(asked("@b:2"), message_of(running("node-2", claimed.storage())));
    const pb::Identity written = take_identity_write();
    EXPECT_FALSE(written.joined());
    EXPECT_EQ(written.storages_size(), 3);
    EXPECT_EQ(written.founding(), founding_of(written)) << "of the same storages, so the same";
}

TEST_F(FoundingTest, a_member_with_an_empty_directory_comes_back_without_a_vote) {
    start_fresh();
    kit.fail(asked("@c:3"), pb::STATUS_UNAVAILABLE);
    kit.answer(asked("@b:2"), message_of(running("node-2", 999, {"node-1", "node-2", "node-3"})));
    const pb::Identity written = take_identity_write();
    EXPECT_TRUE(written.joined());
    EXPECT_TRUE(written.returned());
    EXPECT_EQ(written.storage(), claimed.storage());
    EXPECT_EQ(written.founding(), "founding-of-blue");
    write_done();
    begin_with_new_chunks();
    EXPECT_TRUE(kit.take(pb::Envelope::kStartRaft)->start_raft().join());
}

TEST_F(FoundingTest, a_running_cluster_that_does_not_know_this_node_is_joined_on_purpose_only) {
    start_fresh();
    kit.answer(asked("@b:2"), message_of(running("node-2", 999, {"node-2", "node-3"})));
    expect_refused(
        "node-2 runs cluster blue, and node-1 is no member of it: start it with --join, and run `sandstore cluster add "
        "node-1 a:1`. A cluster begins only once");
}

TEST_F(FoundingTest, two_ideas_of_the_same_beginning_do_not_begin) {
    start_fresh();
    kit.answer(asked("@b:2"), message_of(fresh("node-2", 22, "green")));
    kit.answer(asked("@c:3"), message_of(fresh("node-3", 33)));
    EXPECT_TRUE(last_progress().starts_with(
        "an answer of node-2 (node-2: it would begin cluster green with node-1, node-2, node-3, and this node blue "));
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
}

TEST_F(FoundingTest, a_member_of_another_running_cluster_is_no_reason_to_begin_a_second_one) {
    start_fresh();
    pb::ClusterStatus other = running("node-2", 999, {"node-2"});
    other.set_cluster_id("green");
    kit.answer(asked("@b:2"), message_of(other));
    expect_refused(
        "node-2 belongs to cluster green, which runs already, and this node would begin cluster blue: start it with "
        "--join to take it into that cluster, or correct the member list or --cluster-id");
}

TEST_F(FoundingTest, a_second_process_with_the_name_of_a_running_node_is_told_so) {
    start_fresh();
    pb::ClusterStatus line = running("node-2", 999, {"node-1", "node-2", "node-3"});
    pb::RaftPeerStatus* peer = line.mutable_nodes(0)->mutable_raft()->add_peers();
    peer->set_node_id("node-1");
    peer->set_match_index(41);
    peer->set_reachable(true);
    kit.answer(asked("@b:2"), message_of(line));
    kit.answer(asked("@c:3"), message_of(fresh("node-3", 33)));
    EXPECT_TRUE(last_progress().find("it hears another process that runs as node-1") != std::string::npos)
        << "it may be the process before this one";
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
    kit.advance(5'000'000);
    kit.answer(asked("@b:2"), message_of(line));
    expect_refused("another process already runs as node-1 at a:1: stop it or choose another --node-id");
}

TEST_F(FoundingTest, a_known_node_and_one_that_joins_ask_nobody) {
    start(identity("blue"));
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    note_start();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
}

// --- A log that was lost --------------------------------------------------------------------------------------------

class LostLogTest : public BootstrapTest {
 protected:
    LostLogTest() {
        node.set_cluster_id("blue");
        use_peers(kThreePeers);
    }
    static std::string begun(std::vector<std::string> voters = {"node-1", "node-2", "node-3"}) {
        std::string error;
        pb::Identity known = parse_identity(identity("blue", "node-1", std::move(voters)), &error).value();
        known.set_begun(true);
        known.set_founding("founding-of-blue");
        return identity_text(known);
    }
    std::string error;
    void list_log(std::vector<std::string> files) {
        Message list = kit.take(pb::Envelope::kDiskRequest);
        EXPECT_EQ(list->disk_request().operations(0).list().directory(), "log");
        pb::DiskReply reply;
        for (std::string& file : files) reply.add_files()->set_name(std::move(file));
        kit.answer(list, message_of(reply));
    }
};

TEST_F(LostLogTest, a_node_with_its_log_goes_on) {
    start(begun());
    list_log({"0000000000000001.seg"});
    note_start();
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
}

TEST_F(LostLogTest, a_node_without_its_log_is_another_storage_and_comes_back_without_a_vote) {
    start(begun());
    list_log({});
    const pb::Identity written = take_identity_write();
    EXPECT_NE(written.storage(), kStorage);
    EXPECT_TRUE(written.joined());
    EXPECT_TRUE(written.returned());
    EXPECT_EQ(written.founding(), "founding-of-blue");
    EXPECT_TRUE(written.bootstrap_voters().empty());
    EXPECT_TRUE(kit.logged("The log is gone"));
}

TEST_F(LostLogTest, the_only_voter_without_its_log_is_refused) {
    start(begun({"node-1"}));
    list_log({});
    ASSERT_TRUE(kit.stopped());
    EXPECT_TRUE(kit.stopped()->starts_with("the log of this node is gone from the data directory"));
}

TEST_F(LostLogTest, a_committed_configuration_marks_the_log_as_begun) {
    start(identity("blue"));
    note_start();
    begin_with_new_chunks();
    kit.drop_effects();
    pb::ConfigurationChanged changed;
    changed.mutable_configuration()->set_founding("founding-of-blue");
    changed.mutable_configuration()->add_voters("node-1");
    kit.deliver(message_of(changed));
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest)) << "it is not committed";
    changed.set_committed(true);
    kit.deliver(message_of(changed));
    const pb::Identity written = take_identity_write();
    EXPECT_TRUE(written.begun());
    EXPECT_EQ(written.founding(), "founding-of-blue");
    EXPECT_EQ(written.storage(), kStorage);
    write_done();
    kit.deliver(message_of(changed));
    kit.expect_nothing();
}

// --- Starts of the storage ------------------------------------------------------------------------------------------

TEST_F(LostLogTest, each_start_is_noted_and_told_to_raft) {
    start(begun());
    list_log({"0000000000000001.seg"});
    pb::Identity written = take_identity_write();
    ASSERT_EQ(written.starts_size(), 1);
    write_done();
    begin_with_new_chunks();
    const pb::StartRaft raft = kit.take(pb::Envelope::kStartRaft)->start_raft();
    ASSERT_EQ(raft.starts_size(), 1);
    EXPECT_EQ(raft.starts(0), written.starts(0));
}

TEST_F(LostLogTest, of_many_starts_the_newest_are_kept) {
    pb::Identity many = parse_identity(begun(), &error).value();
    for (uint64_t i = 1; i <= kStartsKept; i++) many.add_starts(i);
    start(identity_text(many));
    list_log({"0000000000000001.seg"});
    const pb::Identity written = take_identity_write();
    ASSERT_EQ(static_cast<size_t>(written.starts_size()), kStartsKept);
    EXPECT_EQ(written.starts(0), 2u);
    EXPECT_GT(written.starts(kStartsKept - 1), kStartsKept);
}

TEST_F(LostLogTest, a_start_that_cannot_be_noted_is_not_told_and_the_node_starts_all_the_same) {
    pb::Identity known = parse_identity(begun(), &error).value();
    known.add_starts(77);
    start(identity_text(known));
    list_log({"0000000000000001.seg"});
    take_identity_write();
    pb::DiskReply full;
    full.set_error(pb::STATUS_ENOSPC);
    kit.answer(last_write, message_of(full));
    EXPECT_TRUE(kit.logged("Cannot write identity.json"));
    begin_with_new_chunks();
    const pb::StartRaft raft = kit.take(pb::Envelope::kStartRaft)->start_raft();
    ASSERT_EQ(raft.starts_size(), 1);
    EXPECT_EQ(raft.starts(0), 77u);
}

TEST_F(LostLogTest, an_older_copy_is_another_storage_from_now_on) {
    start(begun());
    list_log({"0000000000000001.seg"});
    note_start();
    begin_with_new_chunks();
    kit.drop_effects();
    pb::StorageChanged changed;
    changed.set_storage(99);
    kit.deliver(message_of(changed));
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.storage(), 99u);
    EXPECT_TRUE(written.starts().empty()) << "they are of the storage before";
    EXPECT_TRUE(written.begun());
    EXPECT_EQ(written.bootstrap_voters_size(), 3);
}

TEST_F(LostLogTest, the_empty_log_of_a_node_that_waits_to_be_added_has_not_begun) {
    start(identity("blue"));
    note_start();
    begin_with_new_chunks();
    kit.drop_effects();
    pb::ConfigurationChanged changed;
    changed.set_committed(true);
    kit.deliver(message_of(changed));
    kit.expect_nothing();
}

// Simulator, seed 9000434: a flipped bit made another founding of it.
TEST(IdentityFile, a_changed_bit_is_damage) {
    pb::Identity identity;
    identity.set_node_id("node-1");
    identity.set_cluster_id("blue");
    identity.set_storage(kStorage);
    identity.set_founding("founding-0123456789abcdef");
    identity.add_bootstrap_voters("node-1");
    std::string text = identity_text(identity);
    std::string error;
    EXPECT_TRUE(parse_identity(text, &error)) << error;
    text[text.find("0123456789abcdef")] ^= 1;
    EXPECT_FALSE(parse_identity(text, &error));
    EXPECT_EQ(error, "its checksum does not match");
}

}  // namespace
}  // namespace sandstore
