#include "net/memory_budget.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "net/transport.h"
#include "runtime/message_of.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope::BodyCase;
constexpr size_t kMiB = size_t{1} << 20;

struct Waiter : MemoryWaiter {
    void on_memory(MemoryCharge given) override {
        charge = std::move(given);
        served = true;
    }
    MemoryCharge charge;
    bool served = false;
};

struct Budget {
    TestLoop loop;
    FakeHost host;
    MemoryBudget budget{loop.base(), host.metrics(), MemoryBudget::kBytesMin};
    Waiter first, second;
};

TEST(MemoryBudget, what_is_given_back_goes_to_those_who_wait_in_their_order) {
    Budget test;
    auto held = test.budget.ask(20 * kMiB, test.first);
    ASSERT_TRUE(held);
    EXPECT_FALSE(test.budget.ask(20 * kMiB, test.first));
    EXPECT_FALSE(test.budget.ask(1, test.second)) << "it would fit, and is behind";
    EXPECT_EQ(test.host.counter("sandstore_memory_waits_total"), 2u);
    held->give_back();
    ASSERT_TRUE(test.loop.until([&] { return test.first.served && test.second.served; }));
    EXPECT_EQ(test.budget.used(), 20 * kMiB + 1);
    test.first.charge.give_back();
    test.second.charge.give_back();
    EXPECT_EQ(test.budget.used(), 0u);
}

TEST(MemoryBudget, a_frame_that_is_whole_makes_room_for_the_next_and_still_counts) {
    Budget test;
    auto held = test.budget.ask(20 * kMiB, test.first);
    EXPECT_FALSE(test.budget.ask(20 * kMiB, test.first));
    held->arrived();
    ASSERT_TRUE(test.loop.until([&] { return test.first.served; }));
    EXPECT_EQ(test.budget.used(), 40 * kMiB);
}

TEST(MemoryBudget, giving_back_in_another_thread_wakes_the_loop) {
    Budget test;
    MemoryCharge held = test.budget.take(MemoryBudget::kBytesMin, false);
    EXPECT_TRUE(test.budget.exhausted());
    EXPECT_FALSE(test.budget.ask(0, test.first));
    std::thread worker([&] { held.give_back(); });
    EXPECT_TRUE(test.loop.until([&] { return test.first.served; }));
    worker.join();
}

TEST(MemoryBudget, who_leaves_the_queue_is_not_served_and_does_not_block_it) {
    Budget test;
    auto held = test.budget.ask(20 * kMiB, test.first);
    EXPECT_FALSE(test.budget.ask(20 * kMiB, test.first));
    EXPECT_FALSE(test.budget.ask(kMiB, test.second));
    test.budget.forget(test.first);
    ASSERT_TRUE(test.loop.until([&] { return test.second.served; }));
    EXPECT_FALSE(test.first.served);
}

// --- On connections

struct Node {
    explicit Node(uint64_t stall_timeout_us = 300'000) : options(TestNode::short_options()) {
        options.memory_budget_bytes = MemoryBudget::kBytesMin;
        options.stall_timeout_us = stall_timeout_us;
        node = std::make_unique<TestNode>(loop, options);
        EXPECT_EQ(node->listen(), "");
        node->start("node-a");
    }
    uint64_t waits() { return node->host.counter("sandstore_memory_waits_total"); }
    void put(TestNode& from, size_t bytes) {
        from.send("@" + node->address(), pb::ACTOR_CHUNKS, message_of(pb::ChunkPut(), Payload(std::string(bytes, 'p'))),
                  1);
    }
    size_t puts() const { return node->host.count(Body::kChunkPut); }

    TestLoop loop;
    TransportOptions options;
    std::unique_ptr<TestNode> node;
};

// A hello, and the beginning of a frame with a payload of 16 MiB.
std::string half_frame() {
    Message message = message_of(pb::ChunkPut(), Payload(std::string(kFramePayloadBytesMax, 'h')));
    message->set_to_actor(pb::ACTOR_CHUNKS);
    return client_hello_bytes() + frame_bytes(std::move(message)).substr(0, 100'000);
}

TEST(MemoryOfConnections, half_frames_wait_for_their_turn_and_are_given_up_when_they_do_not_go_on) {
    Node test;
    const std::string half = half_frame();
    std::vector<std::unique_ptr<RawSocket>> sockets;
    for (int i = 0; i < 20; i++) {
        sockets.push_back(std::make_unique<RawSocket>(test.node->transport->port()));
        sockets.back()->send(half);
    }
    ASSERT_TRUE(test.loop.until([&] { return test.waits() >= 19; }));
    TestNode client(test.loop);
    test.put(client, 8 * kMiB);
    ASSERT_TRUE(test.loop.until([&] { return test.puts() == 1; }, 60)) << "somebody honest comes in the end";
    EXPECT_GT(test.node->host.counter("sandstore_memory_refusals_total"), 0u);
}

TEST(MemoryOfConnections, what_is_not_done_with_holds_others_back) {
    Node test(60'000'000);
    TestNode client(test.loop);
    for (int i = 0; i < 5; i++) test.put(client, 15 * kMiB);
    ASSERT_TRUE(test.loop.until([&] { return test.puts() == 4 && test.waits() > 0; }));
    for (int turn = 0; turn < 20; turn++) test.loop.turn();
    EXPECT_EQ(test.puts(), 4u);
    test.node->host.delivered.clear();
    ASSERT_TRUE(test.loop.until([&] { return test.puts() == 1; }));
}

TEST(MemoryOfConnections, operators_and_peers_come_through_when_nothing_is_left) {
    Node test(60'000'000);
    TestNode client(test.loop);
    for (int i = 0; i < 5; i++) test.put(client, 15 * kMiB);
    ASSERT_TRUE(test.loop.until([&] { return test.waits() > 0; }));
    TransportOptions options = TestNode::short_options();
    options.client_kind = pb::Hello::OPERATOR;
    TestNode somebody(test.loop, options);
    somebody.send("@" + test.node->address(), pb::ACTOR_STATUS, message_of(pb::ClusterStatusRequest()), 1);
    EXPECT_TRUE(test.loop.until([&] { return test.node->host.count(Body::kClusterStatusRequest) == 1; }));
    TestNode peer(test.loop);
    ASSERT_EQ(peer.listen(), "");
    peer.start("node-b");
    peer.view({{"node-a", test.node->address()}, {"node-b", peer.address()}});
    test.node->view({{"node-a", test.node->address()}, {"node-b", peer.address()}});
    const size_t before = test.puts();
    peer.send("node-a", pb::ACTOR_CHUNKS, message_of(pb::ChunkPut(), Payload(std::string(16 * kMiB, 'q'))), 1);
    EXPECT_TRUE(test.loop.until([&] { return test.puts() == before + 1; }));
}

TEST(MemoryOfConnections, answers_that_nobody_reads_count_until_they_are_gone) {
    Node test;
    RawSocket lazy(test.node->transport->port());
    Message request = message_of(pb::ChunkGet());
    request->set_to_actor(pb::ACTOR_CHUNKS);
    request->set_request_id(1);
    lazy.send(client_hello_bytes() + frame_bytes(std::move(request)));
    ASSERT_TRUE(test.loop.until([&] { return test.node->host.count(Body::kChunkGet) == 1; }));
    const std::string who = test.node->host.delivered[0]->from_node();
    for (int i = 0; i < 8; i++) {
        Message reply = message_of(pb::ChunkGetReply(), Payload(std::string(15 * kMiB, 'r')));
        reply->set_reply_to(1);
        test.node->send(who, pb::ACTOR_CLIENT, std::move(reply));
    }
    TestNode client(test.loop);
    test.put(client, kMiB);
    ASSERT_TRUE(test.loop.until([&] { return test.puts() == 1; })) << "who does not read was closed";
    EXPECT_EQ(test.node->transport->inbound_connections(), 1u);
}

}  // namespace
}  // namespace sandstore
