#include "net/transport.h"

#include <gtest/gtest.h>

#include "runtime/message_of.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope::BodyCase;

Message heartbeat(uint64_t term) {
    pb::Heartbeat body;
    body.set_term(term);
    return message_of(std::move(body));
}

Message put(std::string bytes) {
    return message_of(pb::ChunkPut(), Payload(std::move(bytes)));
}

// Two nodes that know each other and are connected both ways.
struct Pair {
    Pair() {
        EXPECT_EQ(a.listen(), "");
        EXPECT_EQ(b.listen(), "");
        connect();
    }

    std::vector<std::pair<std::string, std::string>> members() const {
        return {{"node-a", a.address()}, {"node-b", b.address()}};
    }

    void connect() {
        for (TestNode* node : {&a, &b}) node->view(members());
        a.start("node-a");
        b.start("node-b");
        ASSERT_TRUE(loop.until([this] { return a.up("node-b") && b.up("node-a"); }));
    }

    TestLoop loop;
    TestNode a{loop};
    TestNode b{loop};
};

TEST(Transport, tells_raft_files_status_chunks_repairer_and_mover_that_a_peer_is_up) {
    Pair pair;
    for (pb::ActorKind actor :
         {pb::ACTOR_RAFT, pb::ACTOR_FILES, pb::ACTOR_STATUS, pb::ACTOR_CHUNKS, pb::ACTOR_REPAIRER, pb::ACTOR_MOVER}) {
        const Message* up = pair.a.host.find(Body::kPeerUp, actor);
        ASSERT_NE(up, nullptr);
        EXPECT_EQ((*up)->peer_up().node_id(), "node-b");
    }
}

TEST(Transport, carries_messages_and_payloads_both_ways) {
    Pair pair;
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(3));
    pair.a.send("node-b", pb::ACTOR_CHUNKS, put(std::string(8 << 20, 'c')), 41);
    pair.b.send("node-a", pb::ACTOR_RAFT, heartbeat(4));
    ASSERT_TRUE(pair.loop.until([&] {
        return pair.b.host.find(Body::kHeartbeat) != nullptr && pair.b.host.find(Body::kChunkPut) != nullptr &&
               pair.a.host.find(Body::kHeartbeat) != nullptr;
    }));
    const Message& beat = *pair.b.host.find(Body::kHeartbeat);
    EXPECT_EQ(beat->heartbeat().term(), 3u);
    EXPECT_EQ(beat->from_node(), "node-a");
    EXPECT_EQ(beat->to_node(), "");
    EXPECT_EQ(beat->to_actor(), pb::ACTOR_RAFT);
    const Message& chunk = *pair.b.host.find(Body::kChunkPut);
    EXPECT_EQ(chunk->request_id(), 41u);
    EXPECT_EQ(chunk->from_actor(), pb::ACTOR_FILES);
    EXPECT_EQ(chunk.payload, Payload(std::string(8 << 20, 'c')));
}

TEST(Transport, keeps_the_order_of_messages_on_a_link) {
    Pair pair;
    constexpr uint64_t kMessages = 3000;
    for (uint64_t i = 0; i < kMessages; i++) pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(i));
    ASSERT_TRUE(pair.loop.until([&] { return pair.b.host.count(Body::kHeartbeat) == kMessages; }));
    uint64_t expected = 0;
    for (const Message& message : pair.b.host.delivered) {
        if (!message->has_heartbeat()) continue;
        EXPECT_EQ(message->heartbeat().term(), expected++);
    }
}

TEST(Transport, sends_replies_over_its_own_connection) {
    Pair pair;
    pair.a.send("node-b", pb::ACTOR_FILES, message_of(pb::Query()), 77);
    ASSERT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kQuery) != nullptr; }));
    const ReplyTo back = reply_to(*pair.b.host.find(Body::kQuery));
    EXPECT_EQ(back.address.node, "node-a");
    Message reply = message_of(pb::QueryResult());
    reply->set_reply_to(back.request_id);
    pair.b.send(back.address.node, back.address.actor, std::move(reply));
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.find(Body::kQueryResult) != nullptr; }));
    EXPECT_EQ((*pair.a.host.find(Body::kQueryResult))->reply_to(), 77u);
    EXPECT_EQ((*pair.a.host.find(Body::kQueryResult))->from_node(), "node-b");
}

TEST(Transport, overwrites_what_a_sender_claims_about_itself) {
    Pair pair;
    Message lie = heartbeat(1);
    lie->set_from_node("node-x");
    lie->set_incarnation(9);
    pair.a.send("node-b", pb::ACTOR_RAFT, std::move(lie));
    ASSERT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kHeartbeat) != nullptr; }));
    EXPECT_EQ((*pair.b.host.find(Body::kHeartbeat))->from_node(), "node-a");
    EXPECT_EQ((*pair.b.host.find(Body::kHeartbeat))->incarnation(), 0u);
}

TEST(Transport, refuses_local_messages_from_a_peer_and_goes_on) {
    Pair pair;
    pair.a.send("node-b", pb::ACTOR_RAFT, message_of(pb::LogPersisted()), 5);
    pair.a.send("node-b", pb::ACTOR_CHUNKS, put("after"));
    ASSERT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kChunkPut) != nullptr; }));
    EXPECT_EQ(pair.b.host.find(Body::kLogPersisted), nullptr);
    EXPECT_EQ(pair.b.host.counter("sandstore_net_refused_total", "reason", "message_from_peer"), 1u);
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.find(Body::kRequestFailed) != nullptr; }));
    EXPECT_EQ((*pair.a.host.find(Body::kRequestFailed))->reply_to(), 5u);
}

TEST(Transport, leads_our_own_node_id_back_to_us) {
    Pair pair;
    pair.a.send("node-a", pb::ACTOR_CHUNKS, put("to myself"), 6);
    const Message* message = pair.a.host.find(Body::kChunkPut);
    ASSERT_NE(message, nullptr);
    EXPECT_EQ((*message)->from_node(), "node-a");
}

TEST(Transport, reports_a_lost_peer_and_finds_it_again_on_the_same_port) {
    Pair pair;
    const uint16_t port = pair.b.transport->port();
    const auto members = pair.members();
    pair.b.transport.reset();
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.count(Body::kPeerDown) > 0; }));
    EXPECT_TRUE(pair.a.host.unreachable("node-b"));
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(1), 12);
    ASSERT_NE(pair.a.host.find_reply(12), nullptr);
    EXPECT_EQ(pair.a.host.find_reply(12)->message->request_failed().status().code(), pb::STATUS_UNAVAILABLE);

    TestNode again(pair.loop);
    ASSERT_EQ(again.listen(port), "");
    again.view(members);
    again.start("node-b", "cluster-a", "second-life");
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.up("node-b") && again.up("node-a"); }));
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(2));
    ASSERT_TRUE(pair.loop.until([&] { return again.host.find(Body::kHeartbeat) != nullptr; }));
}

TEST(Transport, follows_a_changed_address) {
    Pair pair;
    TestNode moved(pair.loop);
    ASSERT_EQ(moved.listen(), "");
    pair.b.transport.reset();
    const std::vector<std::pair<std::string, std::string>> members = {{"node-a", pair.a.address()},
                                                                      {"node-b", moved.address()}};
    moved.view(members);
    moved.start("node-b", "cluster-a", "moved");
    pair.a.view(members);
    pair.a.send("node-b", pb::ACTOR_CHUNKS, put("x"));
    ASSERT_TRUE(pair.loop.until([&] { return moved.host.find(Body::kChunkPut) != nullptr && pair.a.up("node-b"); }));
}

TEST(Transport, an_empty_view_takes_no_connection_away) {
    Pair pair;
    pair.a.view({});
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(1));
    ASSERT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kHeartbeat) != nullptr; }));
    EXPECT_TRUE(pair.a.up("node-b"));
}

TEST(Transport, bad_member_records_are_skipped) {
    TestLoop loop;
    TestNode node(loop);
    node.view({{"~1", "127.0.0.1:1"}, {"node-c", "no port"}, {"", "127.0.0.1:1"}});
    node.start("node-a");
    node.send("~1", pb::ACTOR_RAFT, heartbeat(1), 1);
    node.send("node-c", pb::ACTOR_RAFT, heartbeat(1), 2);
    EXPECT_NE(node.host.find_reply(1), nullptr);
    EXPECT_NE(node.host.find_reply(2), nullptr);
}

TEST(Transport, a_request_to_an_unknown_node_fails_at_once) {
    Pair pair;
    pair.a.send("node-z", pb::ACTOR_RAFT, heartbeat(1), 31);
    pair.a.send("node-z", pb::ACTOR_RAFT, heartbeat(1));
    ASSERT_EQ(pair.a.host.replies.size(), 1u);
    const pb::Status& status = pair.a.host.replies[0].message->request_failed().status();
    EXPECT_EQ(status.code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(status.message(), "node node-z is not a known member");
    EXPECT_EQ(pair.a.host.counter("sandstore_net_undeliverable_total", "reason", "unknown_node"), 2u);
}

TEST(Transport, messages_of_raft_that_cannot_be_sent_are_counted_by_peer) {
    TestLoop loop;
    TestNode node(loop);
    const auto failures = [&] {
        return node.host.counter("sandstore_raft_peer_send_failures_total", "peer", "node-b");
    };
    ASSERT_EQ(node.listen(), "");
    node.view({{"node-a", node.address()}, {"node-b", "127.0.0.1:1"}});
    node.start("node-a");
    EXPECT_EQ(failures(), 0u);
    node.send("node-b", pb::ACTOR_RAFT, heartbeat(1));
    ASSERT_TRUE(loop.until([&] { return failures() == 1; })) << "nobody listens there";
    node.send("node-b", pb::ACTOR_CHUNKS, put("c"));
    ASSERT_TRUE(loop.until(
        [&] { return node.host.counter("sandstore_net_undeliverable_total", "reason", "not_connected") == 2; }));
    EXPECT_EQ(failures(), 1u) << "chunks are not Raft's";
}

TEST(Transport, a_full_queue_refuses_and_says_so) {
    TestLoop loop;
    TransportOptions options = TestNode::short_options();
    options.bulk_queue_bytes_max = 1000;
    TestNode a(loop, options), b(loop);
    ASSERT_EQ(b.listen(), "");
    a.view({{"node-b", b.address()}});
    a.start("node-a");
    b.start("node-b");
    ASSERT_TRUE(loop.until([&] { return a.up("node-b"); }));
    for (uint64_t i = 1; i <= 5; i++) a.send("node-b", pb::ACTOR_CHUNKS, put(std::string(600, 'x')), i);
    ASSERT_EQ(a.host.replies.size(), 3u);
    EXPECT_EQ(a.host.replies[0].to.request_id, 3u);
    EXPECT_EQ(a.host.replies[0].message->request_failed().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    ASSERT_TRUE(loop.until([&] { return b.host.count(Body::kChunkPut) == 2; }));
}

TEST(Transport, a_message_larger_than_a_frame_is_refused) {
    Pair pair;
    pair.a.send("node-b", pb::ACTOR_CHUNKS, put(std::string(kFramePayloadBytesMax + 1, 'x')), 8);
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.find_reply(8) != nullptr; }));
    EXPECT_EQ(pair.a.host.find_reply(8)->message->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST(Transport, a_peer_of_another_cluster_is_refused) {
    TestLoop loop;
    TestNode a(loop), b(loop);
    ASSERT_EQ(a.listen(), "");
    ASSERT_EQ(b.listen(), "");
    a.view({{"node-b", b.address()}});
    a.start("node-a", "cluster-a");
    b.start("node-b", "cluster-b");
    ASSERT_TRUE(loop.until([&] { return b.host.counter("sandstore_net_refused_total", "reason", "hello") >= 3; }));
    EXPECT_FALSE(a.up("node-b"));
    a.send("node-b", pb::ACTOR_RAFT, heartbeat(1), 3);
    ASSERT_NE(a.host.find_reply(3), nullptr);
    EXPECT_NE(a.host.find_reply(3)->message->request_failed().status().message().find("cluster"), std::string::npos);
}

TEST(Transport, a_wrong_node_at_the_right_address_is_not_talked_to) {
    TestLoop loop;
    TestNode a(loop), c(loop);
    ASSERT_EQ(c.listen(), "");
    a.view({{"node-b", c.address()}});
    a.start("node-a");
    c.start("node-c");
    a.send("node-b", pb::ACTOR_CHUNKS, put("for b"), 1);
    ASSERT_TRUE(loop.until([&] { return a.host.find_reply(1) != nullptr; }));
    EXPECT_NE(a.host.find_reply(1)->message->request_failed().status().message().find("answers node node-c"),
              std::string::npos);
    EXPECT_EQ(c.host.find(Body::kChunkPut), nullptr);
    EXPECT_FALSE(a.up("node-b"));
}

TEST(Transport, peers_are_refused_until_the_start_and_then_found) {
    TestLoop loop;
    TestNode a(loop), b(loop);
    ASSERT_EQ(b.listen(), "");
    a.view({{"node-b", b.address()}});
    a.start("node-a");
    ASSERT_TRUE(loop.until([&] { return b.host.counter("sandstore_net_refused_total", "reason", "starting") >= 2; }));
    EXPECT_FALSE(a.up("node-b"));
    b.start("node-b");
    ASSERT_TRUE(loop.until([&] { return a.up("node-b"); }));
}

TEST(Transport, another_process_with_our_name_at_our_address_is_reported) {
    TestLoop loop;
    TestNode first(loop), second(loop);
    ASSERT_EQ(first.listen(), "");
    ASSERT_EQ(second.listen(), "");
    first.start("node-a", "cluster-a", "first");
    second.view({{"node-a", first.address()}});
    second.start("node-a", "cluster-a", "second");
    ASSERT_TRUE(loop.until([&] { return second.host.find(Body::kDuplicateNode) != nullptr; }));
    const Message& duplicate = *second.host.find(Body::kDuplicateNode);
    EXPECT_EQ(duplicate->to_actor(), pb::ACTOR_BOOTSTRAP);
    EXPECT_EQ(duplicate->duplicate_node().instance_id(), "first");
    EXPECT_EQ(duplicate->duplicate_node().address(), first.address());
}

TEST(Transport, another_process_that_is_still_starting_is_asked_again) {
    TestLoop loop;
    TestNode first(loop), second(loop);
    ASSERT_EQ(first.listen(), "");
    second.view({{"node-a", first.address()}});
    second.start("node-a", "cluster-a", "second");
    ASSERT_TRUE(
        loop.until([&] { return first.host.counter("sandstore_net_refused_total", "reason", "starting") >= 2; }));
    EXPECT_EQ(second.host.find(Body::kDuplicateNode), nullptr);
    first.start("node-a", "cluster-a", "first");
    ASSERT_TRUE(loop.until([&] { return second.host.find(Body::kDuplicateNode) != nullptr; }));
}

TEST(Transport, a_node_alone_at_its_address_is_no_duplicate) {
    Pair pair;  // Both have probed their own address by the time a probe's traces are seen.
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.counter("sandstore_net_received_messages_total") >= 6; }));
    EXPECT_EQ(pair.a.host.find(Body::kDuplicateNode), nullptr);
    EXPECT_EQ(pair.b.host.find(Body::kDuplicateNode), nullptr);
}

TEST(Transport, refuses_a_peer_that_bears_our_own_name) {
    TestLoop loop;
    TestNode node(loop);
    ASSERT_EQ(node.listen(), "");
    node.start("node-a", "cluster-a", "first");
    RawSocket impostor(node.transport->port());
    impostor.send(frame_bytes(message_of(make_hello(pb::Hello::PEER_CONTROL, {"cluster-a", "node-a", "other", ""}))));
    ASSERT_TRUE(loop.until([&] { return impostor.closed(); }));
    EXPECT_NE(impostor.received().find("another process already runs as node node-a"), std::string::npos);
}

TEST(Transport, a_taken_address_is_named) {
    TestLoop loop;
    TestNode first(loop), second(loop);
    ASSERT_EQ(first.listen(), "");
    EXPECT_EQ(second.transport->listen(first.address()),
              "cannot listen on " + first.address() + ": the address is already in use by another process");
    EXPECT_NE(second.transport->listen("nonsense").find("bad address"), std::string::npos);
    EXPECT_NE(second.transport->listen("192.0.2.1:0").find("does not have that address"), std::string::npos);
}

TEST(Transport, listens_on_every_interface_without_a_host) {
    TestLoop loop;
    TestNode node(loop);
    ASSERT_EQ(node.transport->listen(":0"), "");
    ASSERT_NE(node.transport->port(), 0);
    RawSocket socket(node.transport->port());
    ASSERT_TRUE(loop.until([&] { return node.transport->inbound_connections() == 1; }));
}

TEST(Transport, drain_writes_what_is_queued_and_accepts_nobody) {
    Pair pair;
    pair.a.send("node-b", pb::ACTOR_CHUNKS, put(std::string(8 << 20, 'd')));
    bool drained = false;
    pair.a.transport->drain(10'000'000, [&] { drained = true; });
    ASSERT_TRUE(pair.loop.until([&] { return drained; }));
    pair.a.transport.reset();
    ASSERT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kChunkPut) != nullptr; }));
}

TEST(Transport, the_drain_message_is_answered) {
    Pair pair;
    Message drain = message_of(pb::Drain());
    drain->set_request_id(15);
    pair.a.transport->handle(std::move(drain));
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.find_reply(15) != nullptr; }));
    EXPECT_TRUE(pair.a.host.find_reply(15)->message->has_status_reply());
}

TEST(Transport, messages_that_it_does_not_know_are_answered) {
    TestLoop loop;
    TestNode node(loop);
    Message odd = message_of(pb::Flush());
    odd->set_request_id(3);
    node.transport->handle(std::move(odd));
    ASSERT_NE(node.host.find_reply(3), nullptr);
    EXPECT_EQ(node.host.find_reply(3)->message->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

// --- Addresses from the log -----------------------------------------------------------------------------------------

pb::ConfigurationChanged configuration_of(std::vector<std::pair<std::string, std::string>> voters) {
    pb::ConfigurationChanged changed;
    changed.set_committed(true);
    for (auto& [id, address] : voters) {
        changed.mutable_configuration()->add_voters(id);
        if (address.empty()) continue;
        pb::RaftMember* member = changed.mutable_configuration()->add_addresses();
        member->set_id(id);
        member->set_address(address);
    }
    return changed;
}

TransportOptions retiring_soon() {
    TransportOptions options = TestNode::short_options();
    options.retire_after_us = 20'000;
    return options;
}

// node-b is known from the log alone.
struct PairByConfiguration {
    PairByConfiguration() {
        EXPECT_EQ(a.listen(), "");
        EXPECT_EQ(b.listen(), "");
        a.view({{"node-a", a.address()}});
        b.view({{"node-a", a.address()}, {"node-b", b.address()}});
        a.start("node-a");
        b.start("node-b");
        a.transport->handle(message_of(configuration_of({{"node-a", ""}, {"node-b", b.address()}})));
        connected = loop.until([this] { return a.up("node-b") && b.up("node-a"); });
    }

    TestLoop loop;
    TestNode a{loop, retiring_soon()};
    TestNode b{loop};
    bool connected = false;
};

TEST(Transport, dials_a_member_that_only_the_log_knows) {
    PairByConfiguration pair;
    ASSERT_TRUE(pair.connected);
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(3));
    EXPECT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kHeartbeat) != nullptr; }));
}

TEST(Transport, discoverys_address_goes_before_the_logs) {
    Pair pair;
    pair.a.transport->handle(message_of(configuration_of({{"node-a", ""}, {"node-b", "127.0.0.1:1"}})));
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(3));
    EXPECT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kHeartbeat) != nullptr; }));
    EXPECT_TRUE(pair.a.up("node-b"));
}

TEST(Transport, ends_the_connections_to_a_removed_node_a_while_after) {
    PairByConfiguration pair;
    ASSERT_TRUE(pair.connected);
    EXPECT_GT(pair.a.transport->inbound_connections(), 0u);
    pair.a.transport->handle(message_of(configuration_of({{"node-a", ""}})));
    EXPECT_TRUE(pair.a.up("node-b")) << "it must be told first";
    ASSERT_TRUE(pair.loop.until([&] { return pair.a.host.count(Body::kPeerDown) > 0; }));
    EXPECT_TRUE(pair.a.host.unreachable("node-b"));
}

TEST(Transport, a_removed_node_that_calls_again_is_answered) {
    PairByConfiguration pair;
    ASSERT_TRUE(pair.connected);
    pair.a.transport->handle(message_of(configuration_of({{"node-a", ""}})));
    const size_t ups = pair.a.host.count(Body::kPeerUp);
    // It dials again when its connections end, and so does this side then.
    EXPECT_TRUE(pair.loop.until([&] { return pair.a.host.count(Body::kPeerUp) > ups; }));
}

TEST(Transport, a_removed_node_that_discovery_lists_keeps_its_connections) {
    Pair pair;
    pair.a.transport->handle(message_of(configuration_of({{"node-a", ""}, {"node-b", ""}})));
    pair.a.transport->handle(message_of(configuration_of({{"node-a", ""}})));
    pair.a.send("node-b", pb::ACTOR_RAFT, heartbeat(3));
    EXPECT_TRUE(pair.loop.until([&] { return pair.b.host.find(Body::kHeartbeat) != nullptr; }));
    EXPECT_EQ(pair.a.host.count(Body::kPeerDown), 0u);
}

}  // namespace
}  // namespace sandstore
