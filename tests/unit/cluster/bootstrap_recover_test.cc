// Bootstrap of a node on whose directory `sandstore cluster recover` was run.
#include "tests/unit/cluster/bootstrap_fixture.h"

namespace sandstore {
namespace {

constexpr std::string_view kOld = "founding-0000000000000001";
constexpr std::string_view kNew = "founding-0000000000000002";

class RecoverTest : public BootstrapTest {
 protected:
    static pb::Identity recovering() {
        pb::Identity identity;
        identity.set_cluster_id(std::string(kDerivedId));
        identity.set_node_id("node-1");
        identity.set_storage(kStorage);
        for (const char* voter : {"node-1", "node-2", "node-3"}) identity.add_bootstrap_voters(voter);
        identity.set_founding(std::string(kOld));
        identity.set_begun(true);
        identity.set_recover_founding(std::string(kNew));
        return identity;
    }
    void answer_log_list(bool has_log) {
        pb::DiskReply files;
        if (has_log) files.add_files()->set_name("0000000000000001.seg");
        kit.answer(kit.take(pb::Envelope::kDiskRequest), message_of(files));
    }
    void boot(const pb::Identity& identity) {
        start(identity_text(identity));
        if (kit.stopped()) return;
        answer_log_list(true);
        note_start();
    }
    pb::ConfigurationChanged changed(std::string_view founding, bool committed) {
        pb::ConfigurationChanged change;
        change.mutable_configuration()->add_voters("node-1");
        change.mutable_configuration()->set_founding(std::string(founding));
        change.mutable_configuration()->add_recovered(std::string(kOld));
        change.set_committed(committed);
        return change;
    }
};

TEST_F(RecoverTest, it_speaks_under_the_new_founding_from_the_start) {
    use_peers(kThreePeers);
    boot(recovering());
    EXPECT_EQ(kit.take(pb::Envelope::kStartTransport)->start_transport().founding(), kNew);
    std::string told;
    while (auto progress = kit.try_take(pb::Envelope::kBootProgress)) {
        if ((*progress)->to_actor() == pb::ACTOR_STATUS) told = (*progress)->boot_progress().founding().founding();
    }
    EXPECT_EQ(told, kNew) << "what joining nodes are told";
    begin_with_new_chunks();
    const pb::StartRaft raft = kit.take(pb::Envelope::kStartRaft)->start_raft();
    EXPECT_EQ(raft.recover_founding(), kNew);
    EXPECT_EQ(raft.founding(), kOld);
}

TEST_F(RecoverTest, it_is_noted_when_it_is_committed_and_not_before) {
    use_peers(kThreePeers);
    boot(recovering());
    begin_with_new_chunks();
    kit.deliver(message_of(changed(kNew, false)), pb::ACTOR_RAFT);
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
    kit.deliver(message_of(changed(kNew, true)), pb::ACTOR_RAFT);
    const pb::Identity written = take_identity_write();
    EXPECT_EQ(written.founding(), kNew);
    EXPECT_EQ(written.recover_founding(), "");
    ASSERT_EQ(written.recovered_size(), 1);
    EXPECT_EQ(written.recovered(0), kOld);
    write_done();
    kit.deliver(message_of(changed(kNew, true)), pb::ACTOR_RAFT);
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
}

TEST_F(RecoverTest, without_its_log_there_is_nothing_to_go_on_with) {
    use_peers(kThreePeers);
    start(identity_text(recovering()));
    answer_log_list(false);
    expect_refused(
        "the log of this node is gone, and it was to go on alone with what that holds (cluster recover): bring back "
        "the "
        "directory log, or recover another node of the cluster");
}

TEST_F(RecoverTest, its_member_list_need_not_name_the_nodes_that_are_lost) {
    use_peers("node-1=a:1,node-7=g:7");
    pb::Identity recovered = recovering();
    recovered.set_founding(std::string(kNew));
    recovered.clear_recover_founding();
    recovered.add_recovered(std::string(kOld));
    boot(recovered);
    EXPECT_TRUE(kit.has(pb::Envelope::kStartTransport));
}

TEST_F(RecoverTest, another_member_list_is_refused_without_a_recovery) {
    use_peers("node-1=a:1,node-7=g:7");
    pb::Identity whole = recovering();
    whole.clear_recover_founding();
    start(identity_text(whole));
    EXPECT_TRUE(kit.stopped());
}

TEST(RecoveredIdentity, it_is_read_as_it_was_written) {
    pb::Identity identity;
    identity.set_cluster_id("blue");
    identity.set_node_id("node-2");
    identity.set_storage(kStorage);
    identity.set_joined(true);
    identity.set_founding(std::string(kNew));
    identity.add_recovered(std::string(kOld));
    identity.add_recovered("founding-00000000000000ff");
    identity.set_recover_founding("founding-0000000000000003");
    std::string error;
    const auto read = parse_identity(identity_text(identity), &error);
    ASSERT_TRUE(read) << error;
    EXPECT_EQ(identity_text(*read), identity_text(identity));
    EXPECT_EQ(read->recovered_size(), 2);
    const std::string start = R"({"format":2,"cluster_id":"blue","node_id":"node-2","storage_id":"00000000000000ff",)"
                              R"("joined":true,)";
    EXPECT_TRUE(parse_identity(start + R"("recovered":["a"]})", &error));
    EXPECT_FALSE(parse_identity(start + R"("recovered":[1]})", &error));
    EXPECT_FALSE(parse_identity(start + R"("recovered":"a"})", &error));
    EXPECT_FALSE(parse_identity(start + R"("recover_founding":1})", &error));
}

TEST(RecoveredFounding, it_is_new_each_time_and_has_the_form_of_one) {
    pb::Identity identity;
    identity.set_cluster_id("blue");
    identity.set_node_id("node-2");
    identity.set_founding(std::string(kOld));
    const std::string one = recovered_founding(identity, 1);
    EXPECT_TRUE(is_founding(one)) << one;
    EXPECT_NE(one, recovered_founding(identity, 2));
    EXPECT_NE(one, kOld);
    for (const char* text : {"", "founding-", "founding-1", "static-0000000000000001", "founding-000000000000000g"}) {
        EXPECT_FALSE(is_founding(text)) << text;
    }
}

}  // namespace
}  // namespace sandstore
