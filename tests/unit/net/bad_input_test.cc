// What strangers can do to a listening node: nothing but lose their connection.
#include <gtest/gtest.h>

#include <cstring>

#include "net/transport.h"
#include "runtime/message_of.h"
#include "runtime/random.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope::BodyCase;

struct Target {
    explicit Target(TransportOptions options = TestNode::short_options()) : node(loop, std::move(options)) {
        EXPECT_EQ(node.listen(), "");
        node.start("node-a");
    }

    uint16_t port() const { return node.transport->port(); }
    uint64_t bad_frames(std::string_view reason) {
        return node.host.counter("sandstore_net_bad_frames_total", "reason", reason);
    }

    // Somebody well-behaved is served.
    void expect_service() {
        const size_t before = node.host.count(Body::kQuery);
        TestNode client(loop);
        client.send("@" + node.address(), pb::ACTOR_FILES, message_of(pb::Query()), 1);
        EXPECT_TRUE(loop.until([&] { return node.host.count(Body::kQuery) == before + 1; }));
    }

    // Sends the bytes after a hello (or not) and waits for the end of the connection.
    bool closes_on(const std::string& bytes, bool with_hello = true) {
        RawSocket socket(port());
        socket.send((with_hello ? client_hello_bytes() : "") + bytes);
        return loop.until([&] { return socket.closed(); });
    }

    TestLoop loop;
    TestNode node;
};

std::string query_bytes() {
    Message message = message_of(pb::Query(), Payload::copy_of("some payload"));
    message->set_to_actor(pb::ACTOR_FILES);
    return frame_bytes(std::move(message));
}

TEST(BadInput, each_kind_closes_the_connection_and_is_counted) {
    Target target;
    std::string version = query_bytes(), head = query_bytes(), payload = query_bytes(), oversized = query_bytes();
    version[4] = 9;
    head[16] = static_cast<char>(head[16] ^ 1);
    payload.back() = static_cast<char>(payload.back() ^ 1);
    std::memset(oversized.data() + 8, 0xff, 4);
    EXPECT_TRUE(target.closes_on("junk"));
    EXPECT_TRUE(target.closes_on(version));
    EXPECT_TRUE(target.closes_on(head));
    EXPECT_TRUE(target.closes_on(payload));
    EXPECT_TRUE(target.closes_on(oversized));
    EXPECT_EQ(target.bad_frames("magic"), 1u);
    EXPECT_EQ(target.bad_frames("version"), 1u);
    EXPECT_EQ(target.bad_frames("checksum"), 2u);
    EXPECT_EQ(target.bad_frames("oversized"), 1u);
    target.expect_service();
}

TEST(BadInput, a_first_message_that_is_no_hello_closes_the_connection) {
    Target target;
    Message small = message_of(pb::Query());
    EXPECT_TRUE(target.closes_on(frame_bytes(std::move(small)), false));
    EXPECT_EQ(target.bad_frames("no_hello"), 1u);
    EXPECT_EQ(target.node.host.count(Body::kQuery), 0u);
    target.expect_service();
}

TEST(BadInput, large_frames_are_not_even_read_before_the_hello) {
    Target target;
    EXPECT_TRUE(target.closes_on(query_bytes(), false)) << "it has a payload";
    EXPECT_EQ(target.bad_frames("oversized"), 1u);
}

TEST(BadInput, a_second_hello_is_refused) {
    Target target;
    RawSocket socket(target.port());
    socket.send(client_hello_bytes() + client_hello_bytes());
    ASSERT_TRUE(target.loop.until(
        [&] { return target.node.host.counter("sandstore_net_refused_total", "reason", "message_from_client") == 1; }));
    target.expect_service();
}

TEST(BadInput, a_bit_flipped_anywhere_in_a_frame_never_reaches_an_actor) {
    Target target;
    const std::string good = query_bytes();
    for (size_t byte = 0; byte < good.size(); byte++) {
        std::string bytes = good;
        bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << (byte % 8)));
        RawSocket socket(target.port());
        socket.send(client_hello_bytes() + bytes);
        socket.finish_sending();
        ASSERT_TRUE(target.loop.until([&] { return socket.closed(); })) << "byte " << byte;
    }
    EXPECT_TRUE(target.node.host.delivered.empty());
    target.expect_service();
}

TEST(BadInput, random_bytes_and_cut_off_frames_harm_nobody) {
    Target target;
    RandomStream random(42, 1);
    const std::string good = query_bytes();
    for (int run = 0; run < 200; run++) {
        std::string bytes;
        if (run % 3 == 0) {
            bytes = good.substr(0, 1 + random.below(good.size() - 1));
        } else {
            bytes.resize(1 + random.below(5000));
            for (char& byte : bytes) byte = static_cast<char>(random.next());
            if (run % 3 == 1) bytes = good.substr(0, 8) + bytes;
        }
        RawSocket socket(target.port());
        socket.send((run % 2 == 0 ? client_hello_bytes() : "") + bytes);
        socket.finish_sending();
        ASSERT_TRUE(target.loop.until([&] { return socket.closed(); })) << "run " << run;
    }
    EXPECT_TRUE(target.node.host.delivered.empty());
    ASSERT_TRUE(target.loop.until([&] { return target.node.transport->inbound_connections() == 0; }));
    target.expect_service();
}

TEST(BadInput, who_says_no_hello_is_closed_after_a_while) {
    TransportOptions options = TestNode::short_options();
    options.hello_timeout_us = 30'000;
    Target target(options);
    RawSocket silent(target.port());
    ASSERT_TRUE(target.loop.until([&] { return silent.closed(); }));
    EXPECT_EQ(target.node.transport->inbound_connections(), 0u);
}

TEST(BadInput, who_stops_within_a_frame_is_closed_after_a_while) {
    TransportOptions options = TestNode::short_options();
    options.stall_timeout_us = 30'000;
    Target target(options);
    RawSocket slow(target.port());
    slow.send(client_hello_bytes() + query_bytes().substr(0, 30));
    ASSERT_TRUE(target.loop.until([&] { return slow.closed(); }));
}

TEST(BadInput, connections_beyond_the_limit_are_closed_and_the_others_stay) {
    TransportOptions options = TestNode::short_options();
    options.inbound_max = 3;
    options.idle_before_eviction_us = 3600ull * 1'000'000;
    Target target(options);
    RawSocket a(target.port()), b(target.port()), c(target.port());
    ASSERT_TRUE(target.loop.until([&] { return target.node.transport->inbound_connections() == 3; }));
    RawSocket d(target.port());
    ASSERT_TRUE(target.loop.until([&] { return d.closed(); }));
    EXPECT_FALSE(a.closed());
    EXPECT_EQ(target.node.host.counter("sandstore_net_refused_total", "reason", "too_many_connections"), 1u);
}

TEST(BadInput, when_slots_run_out_the_oldest_of_those_who_say_nothing_makes_room) {
    TransportOptions options = TestNode::short_options();
    options.inbound_max = 3;
    options.idle_before_eviction_us = 0;
    Target target(options);
    RawSocket a(target.port()), b(target.port()), c(target.port());
    ASSERT_TRUE(target.loop.until([&] { return target.node.transport->inbound_connections() == 3; }));
    target.expect_service();
    EXPECT_TRUE(target.loop.until([&] { return a.closed(); }));
    EXPECT_FALSE(b.closed());
    EXPECT_FALSE(c.closed());
}

TEST(BadInput, a_hello_with_nonsense_is_refused_with_a_sentence) {
    Target target;
    pb::Hello hello = make_hello(pb::Hello::PEER_CONTROL, {"cluster-a", "@evil:1", "x", ""});
    RawSocket socket(target.port());
    socket.send(frame_bytes(message_of(std::move(hello))));
    ASSERT_TRUE(target.loop.until([&] { return socket.closed(); }));
    EXPECT_NE(socket.received().find("no valid node id"), std::string::npos);
    target.expect_service();
}

TEST(BadInput, a_server_that_talks_nonsense_fails_the_clients_request) {
    TestLoop loop;
    TestNode client(loop);
    NetContext net(loop.base(), client.host);
    std::vector<int> accepted;
    Listener listener(net, [&](int socket, std::string) {
        const char junk[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
        [[maybe_unused]] const ssize_t n = ::send(socket, junk, sizeof(junk), MSG_NOSIGNAL);
        accepted.push_back(socket);
    });
    ASSERT_EQ(listener.listen("127.0.0.1:0"), "");
    client.send(str_cat("@127.0.0.1:", listener.port()), pb::ACTOR_FILES, message_of(pb::Query()), 4);
    ASSERT_TRUE(loop.until([&] { return client.host.find_reply(4) != nullptr; }));
    EXPECT_NE(client.host.find_reply(4)->message->request_failed().status().message().find("speaks HTTP"),
              std::string::npos);
    for (int socket : accepted) evutil_closesocket(socket);
}

}  // namespace
}  // namespace sandstore
