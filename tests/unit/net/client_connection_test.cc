// Clients and servers: "~N" and "@host:port".
#include <gtest/gtest.h>

#include "net/transport.h"
#include "runtime/message_of.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope::BodyCase;

// A server that was not started, and a client library's transport.
struct ServerAndClient {
    explicit ServerAndClient(TransportOptions client_options = TestNode::short_options(),
                             TransportOptions server_options = TestNode::short_options())
        : server(loop, std::move(server_options)), client(loop, std::move(client_options)) {
        EXPECT_EQ(server.listen(), "");
        at = "@" + server.address();
    }

    void ask(uint64_t request_id, std::string payload = "") {
        client.send(at, pb::ACTOR_CHUNKS, message_of(pb::ChunkPut(), Payload(std::move(payload))), request_id);
    }

    // Waits until the server has `count` requests, and answers the last one.
    void answer(size_t count, std::string payload = "") {
        ASSERT_TRUE(loop.until([&] { return server.host.count(Body::kChunkPut) == count; }));
        const ReplyTo to = reply_to(server.host.delivered.back());
        Message reply = message_of(pb::ChunkPutReply(), Payload(std::move(payload)));
        reply->set_reply_to(to.request_id);
        server.send(to.address.node, to.address.actor, std::move(reply));
    }

    TestLoop loop;
    TestNode server;
    TestNode client;
    std::string at;
};

TEST(ClientConnection, asks_and_is_answered_before_the_node_has_started) {
    ServerAndClient pair;
    pair.ask(21, "bytes");
    pair.answer(1, "answer bytes");
    const Message& request = pair.server.host.delivered[0];
    EXPECT_EQ(request->from_node().front(), '~');
    EXPECT_EQ(request.payload.to_string(), "bytes");
    ASSERT_TRUE(pair.loop.until([&] { return pair.client.host.find(Body::kChunkPutReply) != nullptr; }));
    const Message& reply = *pair.client.host.find(Body::kChunkPutReply);
    EXPECT_EQ(reply->from_node(), pair.at);
    EXPECT_EQ(reply->reply_to(), 21u);
    EXPECT_EQ(reply->to_actor(), pb::ACTOR_FILES) << "the actor that had asked";
    EXPECT_EQ(reply.payload.to_string(), "answer bytes");
}

TEST(ClientConnection, many_clients_each_get_their_own_answer) {
    TestLoop loop;
    TestNode server(loop);
    ASSERT_EQ(server.listen(), "");
    std::vector<std::unique_ptr<TestNode>> clients;
    for (uint64_t i = 0; i < 20; i++) {
        clients.push_back(std::make_unique<TestNode>(loop));
        clients.back()->send("@" + server.address(), pb::ACTOR_CHUNKS, message_of(pb::ChunkGet()), 100 + i);
    }
    ASSERT_TRUE(loop.until([&] { return server.host.count(Body::kChunkGet) == 20; }));
    for (const Message& request : server.host.delivered) {
        Message reply = message_of(pb::ChunkGetReply());
        reply->set_reply_to(request->request_id());
        server.send(request->from_node(), request->from_actor(), std::move(reply));
    }
    for (uint64_t i = 0; i < 20; i++) {
        FakeHost& host = clients[i]->host;
        ASSERT_TRUE(loop.until([&] { return host.find(Body::kChunkGetReply) != nullptr; }));
        EXPECT_EQ((*host.find(Body::kChunkGetReply))->reply_to(), 100 + i);
        EXPECT_EQ(host.count(Body::kChunkGetReply), 1u);
    }
}

TEST(ClientConnection, a_request_that_clients_may_not_make_is_refused_and_the_connection_stays) {
    ServerAndClient pair;
    pair.client.send(pair.at, pb::ACTOR_RAFT, message_of(pb::Propose()), 5);
    pair.ask(6);
    ASSERT_TRUE(pair.loop.until([&] { return pair.client.host.find(Body::kRequestFailed) != nullptr; }));
    const Message& refusal = *pair.client.host.find(Body::kRequestFailed);
    EXPECT_EQ(refusal->reply_to(), 5u);
    EXPECT_EQ(refusal->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
    pair.answer(1);
    EXPECT_EQ(pair.server.host.find(Body::kPropose), nullptr);
    EXPECT_EQ(pair.server.host.counter("sandstore_net_refused_total", "reason", "message_from_client"), 1u);
}

TEST(ClientConnection, may_not_answer_anything) {
    ServerAndClient pair;
    RawSocket socket(pair.server.transport->port());
    Message spoof = message_of(pb::Mutation());
    spoof->set_to_actor(pb::ACTOR_FILES);
    spoof->set_reply_to(1234);
    socket.send(client_hello_bytes() + frame_bytes(std::move(spoof)));
    ASSERT_TRUE(pair.loop.until(
        [&] { return pair.server.host.counter("sandstore_net_refused_total", "reason", "message_from_client") == 1; }));
    EXPECT_TRUE(pair.server.host.delivered.empty());
}

TEST(ClientConnection, a_server_that_is_not_there_fails_the_requests) {
    TestLoop loop;
    TestNode nobody(loop), client(loop);
    ASSERT_EQ(nobody.listen(), "");
    const std::string at = "@" + nobody.address();
    nobody.transport.reset();
    client.send(at, pb::ACTOR_FILES, message_of(pb::Query()), 1);
    client.send(at, pb::ACTOR_FILES, message_of(pb::Query()), 2);
    ASSERT_TRUE(loop.until([&] { return client.host.replies.size() == 2; }));
    const pb::Status& status = client.host.replies[0].message->request_failed().status();
    EXPECT_EQ(status.code(), pb::STATUS_UNAVAILABLE);
    EXPECT_NE(status.message().find("Connection refused"), std::string::npos);
}

TEST(ClientConnection, a_bad_server_address_is_explained) {
    TestLoop loop;
    TestNode client(loop);
    client.send("@nowhere", pb::ACTOR_FILES, message_of(pb::Query()), 1);
    ASSERT_EQ(client.host.replies.size(), 1u);
    EXPECT_NE(client.host.replies[0].message->request_failed().status().message().find("port is missing"),
              std::string::npos);
}

TEST(ClientConnection, a_lost_server_fails_open_requests_and_is_found_again) {
    ServerAndClient pair;
    pair.ask(1);
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.host.count(Body::kChunkPut) == 1; }));
    const uint16_t port = pair.server.transport->port();
    pair.server.transport.reset();
    ASSERT_TRUE(pair.loop.until([&] { return pair.client.host.unreachable(pair.at); }));
    TestNode again(pair.loop);
    ASSERT_EQ(again.listen(port), "");
    pair.ask(2);
    ASSERT_TRUE(pair.loop.until([&] { return again.host.count(Body::kChunkPut) == 1; }));
}

TEST(ClientConnection, idle_ones_are_left_and_made_again_when_needed) {
    TransportOptions options = TestNode::short_options();
    options.server_idle_us = 50'000;
    ServerAndClient pair(options);
    pair.ask(1);
    pair.answer(1);
    ASSERT_TRUE(pair.loop.until([&] { return pair.client.host.find(Body::kChunkPutReply) != nullptr; }));
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.transport->inbound_connections() == 0; }));
    pair.ask(2);
    pair.answer(2);
    ASSERT_TRUE(pair.loop.until([&] { return pair.client.host.count(Body::kChunkPutReply) == 2; }));
}

TEST(ClientConnection, a_reply_to_a_client_that_has_gone_is_counted) {
    ServerAndClient pair;
    pair.ask(1);
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.host.count(Body::kChunkPut) == 1; }));
    pair.client.transport.reset();
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.transport->inbound_connections() == 0; }));
    pair.answer(1);
    EXPECT_EQ(pair.server.host.counter("sandstore_net_undeliverable_total", "reason", "client_gone"), 1u);
    for (const char* nonsense : {"~", "~x", "~99999999999999999999999", "~-1"}) {
        pair.server.send(nonsense, pb::ACTOR_CLIENT, message_of(pb::QueryResult()));
    }
    EXPECT_EQ(pair.server.host.counter("sandstore_net_undeliverable_total", "reason", "client_gone"), 5u);
}

TEST(ClientConnection, a_reply_that_is_too_large_becomes_a_failure) {
    ServerAndClient pair;
    pair.ask(9);
    pair.answer(1, std::string(kFramePayloadBytesMax + 1, 'x'));
    ASSERT_TRUE(pair.loop.until([&] { return pair.client.host.find(Body::kRequestFailed) != nullptr; }));
    EXPECT_EQ((*pair.client.host.find(Body::kRequestFailed))->reply_to(), 9u);
}

TEST(ClientConnection, more_clients_than_allowed_are_turned_away_with_a_sentence) {
    TransportOptions options = TestNode::short_options();
    options.clients_max = 2;
    options.idle_before_eviction_us = 3600ull * 1'000'000;
    ServerAndClient pair(TestNode::short_options(), options);
    RawSocket first(pair.server.transport->port()), second(pair.server.transport->port());
    first.send(client_hello_bytes());
    second.send(client_hello_bytes());
    ASSERT_TRUE(pair.loop.until([&] { return !first.received().empty() && !second.received().empty(); }));
    RawSocket third(pair.server.transport->port());
    third.send(client_hello_bytes());
    ASSERT_TRUE(pair.loop.until([&] { return third.closed(); }));
    EXPECT_NE(third.received().find("try another one"), std::string::npos);
    EXPECT_FALSE(first.closed());
}

// Says hello, and if asked to also asks something that is not answered.
std::unique_ptr<RawSocket> raw_client(ServerAndClient& pair, bool asks) {
    auto socket = std::make_unique<RawSocket>(pair.server.transport->port());
    const size_t before = pair.server.host.count(Body::kQuery);
    Message query = message_of(pb::Query());
    query->set_to_actor(pb::ACTOR_FILES);
    query->set_request_id(1);
    socket->send(client_hello_bytes() + (asks ? frame_bytes(std::move(query)) : ""));
    EXPECT_TRUE(pair.loop.until([&] {
        return !socket->received().empty() && pair.server.host.count(Body::kQuery) == before + (asks ? 1 : 0);
    }));
    return socket;
}

TEST(ClientConnection, when_slots_run_out_the_client_that_is_idle_for_longest_makes_room) {
    TransportOptions options = TestNode::short_options();
    options.clients_max = 3;
    options.idle_before_eviction_us = 0;
    ServerAndClient pair(TestNode::short_options(), options);
    const auto busy = raw_client(pair, true);
    const auto idle = raw_client(pair, false);
    const auto idle_for_less = raw_client(pair, false);
    pair.ask(1);
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.host.count(Body::kChunkPut) == 1; }));
    EXPECT_TRUE(pair.loop.until([&] { return idle->closed(); }));
    EXPECT_FALSE(busy->closed()) << "it waits for an answer";
    EXPECT_FALSE(idle_for_less->closed());
    EXPECT_EQ(pair.server.host.counter("sandstore_net_refused_total", "reason", "idle_client"), 1u);
}

TEST(ClientConnection, an_operator_and_peers_find_room_when_clients_have_taken_all_of_theirs) {
    TransportOptions options = TestNode::short_options();
    options.clients_max = 2;
    options.operators_max = 3;
    options.inbound_max = 5;
    TransportOptions mine = TestNode::short_options();
    mine.client_kind = pb::Hello::OPERATOR;
    ServerAndClient pair(mine, options);
    const auto one = raw_client(pair, true);
    const auto two = raw_client(pair, true);
    RawSocket three(pair.server.transport->port());
    three.send(client_hello_bytes());
    ASSERT_TRUE(pair.loop.until([&] { return three.closed(); })) << "nobody is idle";
    pair.ask(1);
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.host.count(Body::kChunkPut) == 1; }));
    pair.answer(1);
    EXPECT_TRUE(pair.loop.until([&] { return pair.client.host.find(Body::kChunkPutReply) != nullptr; }));
}

TEST(ClientConnection, a_client_that_does_not_read_is_not_read_from_and_is_closed_in_the_end) {
    TransportOptions options = TestNode::short_options();
    options.stall_timeout_us = 100'000;
    ServerAndClient pair(TestNode::short_options(), options);
    RawSocket lazy(pair.server.transport->port());
    Message request = message_of(pb::ChunkGet());
    request->set_to_actor(pb::ACTOR_CHUNKS);
    request->set_request_id(1);
    lazy.send(client_hello_bytes() + frame_bytes(std::move(request)));
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.host.count(Body::kChunkGet) == 1; }));
    const std::string client = pair.server.host.delivered[0]->from_node();
    for (int i = 0; i < 6; i++) {
        Message reply = message_of(pb::ChunkGetReply(), Payload(std::string(8 << 20, 'r')));
        reply->set_reply_to(1);
        pair.server.send(client, pb::ACTOR_CLIENT, std::move(reply));
    }
    ASSERT_TRUE(pair.loop.until([&] { return pair.server.transport->inbound_connections() == 0; }));
}

}  // namespace
}  // namespace sandstore
