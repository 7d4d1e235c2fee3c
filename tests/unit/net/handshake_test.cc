#include "net/handshake.h"

#include <gtest/gtest.h>

#include "net/message_policy.h"
#include "runtime/message_of.h"

namespace sandstore {
namespace {

const LocalNames kUs{"cluster-a", "node-1", "instance-1", "0.1"};
const LocalNames kThem{"cluster-a", "node-2", "instance-2", "0.1"};

pb::Status answer(const pb::Hello& hello, const LocalNames& names = kUs) {
    return answer_hello(hello, names).status();
}

TEST(Handshake, peers_of_one_cluster_are_welcome) {
    EXPECT_EQ(answer(make_hello(pb::Hello::PEER_CONTROL, kThem)).code(), pb::STATUS_OK);
    const pb::HelloReply reply = answer_hello(make_hello(pb::Hello::PEER_BULK, kThem), kUs);
    EXPECT_EQ(reply.status().code(), pb::STATUS_OK);
    EXPECT_EQ(reply.node_id(), "node-1");
    EXPECT_EQ(reply.instance_id(), "instance-1");
}

TEST(Handshake, before_the_start_only_clients_are_welcome) {
    EXPECT_EQ(answer(make_hello(pb::Hello::PEER_CONTROL, kThem), {}).code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(answer(make_hello(pb::Hello::PROBE, kThem), {}).code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(answer(make_hello(pb::Hello::CLIENT, {}), {}).code(), pb::STATUS_OK);
}

TEST(Handshake, another_cluster_is_refused_by_name) {
    LocalNames other = kThem;
    other.cluster_id = "cluster-b";
    const pb::Status status = answer(make_hello(pb::Hello::PEER_BULK, other));
    EXPECT_EQ(status.code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_NE(status.message().find("cluster-a"), std::string::npos);
    EXPECT_NE(status.message().find("cluster-b"), std::string::npos);
}

TEST(Handshake, another_founding_of_the_same_name_is_refused) {
    LocalNames us = kUs;
    LocalNames other = kThem;
    us.founding = "founding-1";
    EXPECT_EQ(answer(make_hello(pb::Hello::PEER_CONTROL, other), us).code(), pb::STATUS_OK) << "it has not learned it";
    other.founding = "founding-2";
    const pb::Status status = answer(make_hello(pb::Hello::PEER_CONTROL, other), us);
    EXPECT_EQ(status.code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_NE(status.message().find("two clusters of the same name cluster-a"), std::string::npos);
    other.founding = "founding-1";
    EXPECT_EQ(answer(make_hello(pb::Hello::PEER_CONTROL, other), us).code(), pb::STATUS_OK);
}

TEST(Handshake, another_protocol_version_is_refused_also_from_clients) {
    pb::Hello hello = make_hello(pb::Hello::CLIENT, {});
    hello.set_protocol_version(2);
    hello.set_software_version("7.0.1");
    EXPECT_EQ(answer(hello).code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(
        answer(hello).message(),
        "this node (Sandstore 0.1) speaks protocol version 1, the caller (Sandstore 7.0.1) version 2; all nodes and "
        "clients of a cluster must speak the same");
    hello.set_kind(pb::Hello::PEER_CONTROL);
    EXPECT_EQ(answer(hello).code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST(Handshake, another_software_version_of_the_same_protocol_is_welcome) {
    LocalNames newer = kThem;
    newer.software_version = "0.2";
    for (const pb::Hello::Kind kind : {pb::Hello::PEER_CONTROL, pb::Hello::PEER_BULK, pb::Hello::CLIENT}) {
        const pb::HelloReply reply = answer_hello(make_hello(kind, newer), kUs);
        EXPECT_EQ(reply.status().code(), pb::STATUS_OK);
        EXPECT_EQ(reply.software_version(), "0.1") << "the caller shows it";
        EXPECT_EQ(problem_with(reply), "");
    }
}

TEST(Handshake, a_caller_goes_on_only_with_an_answer_of_its_own_protocol_version) {
    pb::HelloReply reply = answer_hello(make_hello(pb::Hello::CLIENT, {}), kUs);
    reply.set_protocol_version(3);
    EXPECT_EQ(
        problem_with(reply),
        "it (Sandstore 0.1) speaks protocol version 3, this program version 1; all nodes and clients of a cluster "
        "must speak the same");
    reply.set_software_version("");
    EXPECT_NE(problem_with(reply).find("of an unknown version"), std::string::npos);
    reply.mutable_status()->set_code(pb::STATUS_UNAVAILABLE);
    reply.mutable_status()->set_message("the node is still starting");
    EXPECT_EQ(problem_with(reply), "refused: the node is still starting");
}

TEST(Handshake, our_own_node_id_is_refused) {
    LocalNames double_us = kUs;
    double_us.instance_id = "instance-9";
    const pb::Status status = answer(make_hello(pb::Hello::PEER_CONTROL, double_us));
    EXPECT_EQ(status.code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_NE(status.message().find("already runs as node node-1"), std::string::npos);
}

TEST(Handshake, node_ids_that_look_like_other_addresses_are_refused) {
    for (const char* id : {"", "~1", "@host:1", "a/b", "a b", "a\nb"}) {
        LocalNames names = kThem;
        names.node_id = id;
        EXPECT_EQ(answer(make_hello(pb::Hello::PEER_CONTROL, names)).code(), pb::STATUS_INVALID_ARGUMENT) << id;
    }
    EXPECT_FALSE(is_valid_node_id(std::string(256, 'a')));
}

TEST(Handshake, unknown_kinds_are_refused) {
    pb::Hello hello = make_hello(pb::Hello::CLIENT, {});
    hello.set_kind(static_cast<pb::Hello::Kind>(77));
    EXPECT_EQ(answer(hello).code(), pb::STATUS_INVALID_ARGUMENT);
}

template <typename Body>
pb::Envelope to(pb::ActorKind actor, Body body, uint64_t reply_to = 0) {
    Message message = message_of(std::move(body));
    message->set_to_actor(actor);
    message->set_reply_to(reply_to);
    return message.envelope();
}

TEST(MessagePolicy, clients_may_ask_for_files_chunks_and_status_only) {
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_FILES, pb::Mutation())), "");
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_FILES, pb::Query())), "");
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_FILES, pb::AllocateChunks())), "");
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_CHUNKS, pb::ChunkPut())), "");
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_CHUNKS, pb::ChunkGet())), "");
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_STATUS, pb::ClusterStatusRequest())), "");
    EXPECT_EQ(refuse_from_client(to(pb::ACTOR_RAFT, pb::Propose())), "a client may not send propose to raft");
    EXPECT_NE(refuse_from_client(to(pb::ACTOR_STATE_MACHINE, pb::Query())), "");
    EXPECT_NE(refuse_from_client(to(pb::ACTOR_CHUNKS, pb::ChunkDelete())), "");
    EXPECT_NE(refuse_from_client(to(pb::ACTOR_RAFT, pb::AppendEntries())), "");
    EXPECT_NE(refuse_from_client(to(pb::ACTOR_FILES, pb::Mutation(), 5)), "") << "a client answers nothing";
    EXPECT_NE(refuse_from_client(pb::Envelope()), "");
}

TEST(MessagePolicy, peers_may_not_send_what_only_a_node_itself_says) {
    EXPECT_EQ(refuse_from_peer(to(pb::ACTOR_RAFT, pb::AppendEntries())), "");
    EXPECT_EQ(refuse_from_peer(to(pb::ACTOR_CHUNKS, pb::ChunkPut())), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_RAFT, pb::TimerFired())), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_RAFT, pb::PeerDown())), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_RAFT, pb::Propose())), "") << "another program may know other commands";
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_RAFT, pb::LogPersisted())), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_STATE_MACHINE, pb::Apply())), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_RAFT, pb::Hello())), "");
    EXPECT_NE(refuse_from_peer(pb::Envelope()), "");
}

TEST(MessagePolicy, peers_never_reach_ports) {
    EXPECT_NE(refuse_from_peer(to(pb::PORT_LOG_DISK, pb::DiskRequest())), "");
    EXPECT_NE(refuse_from_peer(to(pb::PORT_TRANSPORT, pb::Query())), "");
    EXPECT_NE(refuse_from_peer(to(pb::PORT_LOG_DISK, pb::QueryResult(), 5)), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_BOOTSTRAP, pb::Query())), "");
}

TEST(MessagePolicy, answers_travel_only_as_answers) {
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_FILES, pb::RequestFailed())), "");
    EXPECT_EQ(refuse_from_peer(to(pb::ACTOR_FILES, pb::RequestFailed(), 5)), "");
    EXPECT_EQ(refuse_from_peer(to(pb::ACTOR_EXTERNAL, pb::QueryResult(), 5)), "");
    EXPECT_NE(refuse_from_peer(to(pb::ACTOR_LOG, pb::DiskReply(), 5)), "");
    EXPECT_EQ(refuse_from_server(to(pb::ACTOR_CLIENT, pb::MutationResult(), 5)), "");
    EXPECT_NE(refuse_from_server(to(pb::ACTOR_CLIENT, pb::MutationResult())), "");
}

TEST(MessagePolicy, raft_traffic_goes_over_the_control_link) {
    EXPECT_TRUE(is_control_message(to(pb::ACTOR_RAFT, pb::Heartbeat())));
    EXPECT_TRUE(is_control_message(to(pb::ACTOR_RAFT, pb::AppendReply())));
    EXPECT_FALSE(is_control_message(to(pb::ACTOR_CHUNKS, pb::ChunkPut())));
}

}  // namespace
}  // namespace sandstore
