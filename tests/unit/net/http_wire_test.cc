// Frames over HTTP/1.1: what is sent, what is understood, and what strangers cannot do.
#include "net/http_wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "runtime/message_of.h"
#include "runtime/random.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope::BodyCase;
using Next = FrameDecoder::Next;

Message heartbeat(uint64_t term, size_t payload_bytes = 0) {
    pb::Heartbeat body;
    body.set_term(term);
    return message_of(std::move(body), Payload(std::string(payload_bytes, 'p')));
}

std::string sent_bytes(Wire& wire, Message message) {
    WireBytes bytes;
    EXPECT_TRUE(encode_frame(message, 1, &bytes.frame));
    wire.wrap(message, &bytes);
    return wire.take_output() + bytes.frame.head + bytes.frame.payload.to_string() + bytes.tail;
}

// Gives the bytes to the wire in pieces of random length, as a socket would.
std::vector<Message> understood(Wire& wire, std::string_view bytes, RandomStream& random) {
    std::vector<Message> messages;
    while (true) {
        Message message;
        const Next step = wire.next(1, &message);
        if (step == Next::kBad) return messages;
        if (step == Next::kMessage) {
            messages.push_back(std::move(message));
            continue;
        }
        if (bytes.empty()) return messages;
        const size_t piece = std::min<size_t>(1 + random.below(random.below(4) == 0 ? 3 : 5000), bytes.size());
        size_t given = 0;
        for (const iovec& area : wire.space(piece)) {
            const size_t part = std::min(area.iov_len, piece - given);
            std::memcpy(area.iov_base, bytes.data() + given, part);
            given += part;
        }
        wire.received(given);
        bytes.remove_prefix(given);
    }
}

// The same bytes, cut into other chunks.
std::string chunked_anew(std::string_view data, RandomStream& random) {
    std::string result;
    while (!data.empty()) {
        const size_t length = std::min<size_t>(1 + random.below(2000), data.size());
        result += str_format(random.below(2) == 0 ? "%zx" : "%04zX", length);
        if (random.below(3) == 0) result += ";name=value";
        str_append(&result, "\r\n", data.substr(0, length), "\r\n");
        data.remove_prefix(length);
    }
    return result;
}

const std::string kRequest = "POST /v1/envelopes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(HttpWire, both_sides_understand_each_other_however_the_bytes_are_cut) {
    for (uint64_t seed = 0; seed < 50; seed++) {
        RandomStream random(seed, 1);
        HttpWire client(WireSide::kDialled, {}, "10.0.0.1:8080");
        HttpWire server(WireSide::kAccepted, {}, "");
        std::string to_server, to_client;
        for (uint64_t i = 0; i < 20; i++) {
            to_server += sent_bytes(client, heartbeat(i, i % 3 == 0 ? random.below(100'000) : 0));
        }
        const std::vector<Message> at_server = understood(server, to_server, random);
        ASSERT_EQ(at_server.size(), 20u);
        for (uint64_t i = 0; i < 20; i++) EXPECT_EQ(at_server[i]->heartbeat().term(), i);
        for (uint64_t i = 0; i < 20; i++) to_client += sent_bytes(server, heartbeat(100 + i, i));
        const std::vector<Message> at_client = understood(client, to_client, random);
        ASSERT_EQ(at_client.size(), 20u);
        EXPECT_EQ(at_client[19]->heartbeat().term(), 119u);
        EXPECT_EQ(at_client[19].payload.size(), 19u);
        EXPECT_FALSE(server.mid_frame());
        EXPECT_FALSE(client.mid_frame());
    }
}

TEST(HttpWire, frames_may_be_cut_into_chunks_in_any_way) {
    for (uint64_t seed = 0; seed < 50; seed++) {
        RandomStream random(seed, 2);
        std::string frames;
        for (uint64_t i = 0; i < 10; i++) frames += frame_bytes(heartbeat(i, random.below(20'000)));
        HttpWire server(WireSide::kAccepted, {}, "");
        const std::string bytes = kRequest + chunked_anew(frames, random) + "0\r\nTrailer: ignored\r\n\r\n";
        EXPECT_EQ(understood(server, bytes, random).size(), 10u);
        EXPECT_TRUE(server.finished());
        EXPECT_EQ(server.error(), "");
    }
}

TEST(HttpWire, a_body_of_stated_length_ends_with_it) {
    RandomStream random(1, 3);
    const std::string frames = frame_bytes(heartbeat(1)) + frame_bytes(heartbeat(2));
    HttpWire server(WireSide::kAccepted, {}, "");
    const std::string request =
        str_cat("POST /v1/envelopes HTTP/1.1\r\ncontent-length: ", frames.size(), "\r\n\r\n", frames);
    EXPECT_EQ(understood(server, request, random).size(), 2u);
    EXPECT_TRUE(server.finished());
    EXPECT_TRUE(understood(server, "x", random).empty());
    EXPECT_EQ(server.error(), "http_after_end");
}

TEST(HttpWire, is_finished_only_when_all_requests_are_answered) {
    RandomStream random(1, 4);
    Message question = message_of(pb::Query());
    question->set_request_id(7);
    const std::string frames = frame_bytes(std::move(question));
    HttpWire server(WireSide::kAccepted, {}, "");
    EXPECT_EQ(understood(server, kRequest + chunked_anew(frames, random) + "0\r\n\r\n", random).size(), 1u);
    EXPECT_FALSE(server.finished());
    Message answer = message_of(pb::StatusReply());
    answer->set_reply_to(7);
    sent_bytes(server, std::move(answer));
    EXPECT_TRUE(server.finished());
}

struct Refusal {
    std::string bytes;
    std::string status;  // Empty: too late to tell.
    std::string_view reason;
};

std::vector<Refusal> refusals() {
    const auto head = [](std::string_view headers) {
        return str_cat("POST /v1/envelopes HTTP/1.1\r\n", headers, "\r\n");
    };
    return {
        {"GET /v1/envelopes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "405", "http_method"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "404", "http_path"},
        {"POST /v1/envelopes HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "505", "http_version"},
        {"POST /v1/envelopes HTTP/2\r\n\r\n", "505", "http_version"},
        {head(""), "411", "http_length"},
        {head("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "400", "http_head"},
        {head("Content-Length: 1\r\nContent-Length: 1\r\n"), "400", "http_head"},
        {head("Content-Length: -1\r\n"), "400", "http_head"},
        {head("Content-Length: 99999999999999999999\r\n"), "400", "http_head"},
        {head("Transfer-Encoding: gzip\r\n"), "400", "http_head"},
        {head("Transfer-Encoding: chunked\r\n folded: yes\r\n"), "400", "http_head"},
        {head("no colon\r\n"), "400", "http_head"},
        {head("Name : value\r\n"), "400", "http_head"},
        {std::string("POST /v1/\0 HTTP/1.1\r\n\r\n", 23), "400", "http_head"},
        {"POST /v1/envelopes HTTP/1.1\nHost: x\n\n", "400", "http_head"},
        {"POST\r\n\r\n", "400", "http_head"},
        {client_hello_bytes(), "400", "http_head"},
        {std::string("\x16\x03\x01\x02", 4), "400", "http_head"},
        {"POST /" + std::string(9000, 'a'), "431", "http_head"},
        {head(str_cat("X: ", std::string(9000, 'a'), "\r\n")), "431", "http_head"},
        {kRequest + "zz\r\n", "", "http_chunk"},
        {kRequest + "\r\n", "", "http_chunk"},
        {kRequest + "-1\r\n", "", "http_chunk"},
        {kRequest + "123456789\r\n", "", "http_chunk"},
        {kRequest + "5\nhello", "", "http_chunk"},
        {kRequest + std::string(300, '1'), "", "http_chunk"},
        {kRequest + "1\r\nSx\r\n", "", "http_chunk"},
        {kRequest + "1\r\nS\r\n0\r\n\r\n", "", "http_cut_off"},
        {kRequest + "0\r\n" + std::string(2000, 'a') + "\r\n", "", "http_chunk"},
        {kRequest + "4\r\njunk\r\n", "", "magic"},
    };
}

TEST(HttpWire, refuses_what_is_not_as_it_should_be) {
    for (const Refusal& refusal : refusals()) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            RandomStream random(seed, 5);
            HttpWire server(WireSide::kAccepted, {}, "");
            EXPECT_TRUE(understood(server, refusal.bytes, random).empty());
            EXPECT_EQ(server.error(), refusal.reason) << refusal.bytes;
            const std::string said = server.take_output();
            if (refusal.status.empty()) continue;
            EXPECT_TRUE(said.starts_with("HTTP/1.1 " + refusal.status)) << refusal.bytes << " -> " << said;
        }
    }
}

TEST(HttpWire, a_dialler_takes_nothing_but_success) {
    for (const std::string_view answer :
         {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
          "HTTP/1.0 200 OK\r\n\r\n", "SAND\x01", "SSH-2.0-OpenSSH\r\n"}) {
        RandomStream random(1, 6);
        HttpWire client(WireSide::kDialled, {}, "x");
        EXPECT_TRUE(understood(client, answer, random).empty());
        EXPECT_NE(client.error(), "") << answer;
    }
}

TEST(HttpWire, changed_bytes_never_become_another_message) {
    RandomStream random(7, 7);
    std::string frames;
    for (uint64_t i = 0; i < 5; i++) frames += frame_bytes(heartbeat(i, 300));
    for (int run = 0; run < 3000; run++) {
        std::string bytes = kRequest + chunked_anew(frames, random) + "0\r\n\r\n";
        for (uint64_t flips = 1 + random.below(4); flips > 0; flips--) {
            char& byte = bytes[random.below(bytes.size())];
            byte = static_cast<char>(random.below(3) == 0 ? random.next() : byte ^ (1 << random.below(8)));
        }
        if (random.below(4) == 0) bytes.resize(random.below(bytes.size()));
        HttpWire server(WireSide::kAccepted, {}, "");
        uint64_t expected = 0;
        for (const Message& message : understood(server, bytes, random)) {
            ASSERT_EQ(message->heartbeat().term(), expected++);
            ASSERT_EQ(message.payload.size(), 300u);
        }
    }
}

// --- At a listening node

TransportOptions http_options() {
    TransportOptions options = TestNode::short_options();
    options.wire = make_http_wire;
    return options;
}

struct Target {
    Target() {
        EXPECT_EQ(node.listen(), "");
        node.start("node-a");
    }
    void expect_service() {
        const size_t before = node.host.count(Body::kQuery);
        TestNode client(loop, http_options());
        client.send("@" + node.address(), pb::ACTOR_FILES, message_of(pb::Query()), 1);
        EXPECT_TRUE(loop.until([&] { return node.host.count(Body::kQuery) == before + 1; }));
    }
    TestLoop loop;
    TestNode node{loop, http_options()};
};

TEST(HttpWire, strangers_lose_their_connection_and_are_counted) {
    Target target;
    for (const Refusal& refusal : refusals()) {
        const uint64_t before = target.node.host.counter("sandstore_net_bad_frames_total", "reason", refusal.reason);
        RawSocket socket(target.node.transport->port());
        socket.send(refusal.bytes);
        EXPECT_TRUE(target.loop.until([&] { return socket.closed(); })) << refusal.bytes;
        EXPECT_EQ(target.node.host.counter("sandstore_net_bad_frames_total", "reason", refusal.reason), before + 1)
            << refusal.bytes;
    }
    target.expect_service();
}

TEST(HttpWire, a_request_with_an_end_gets_its_answers_and_an_end) {
    Target target;
    Message question = message_of(pb::Query());
    question->set_to_actor(pb::ACTOR_FILES);
    question->set_request_id(5);
    const std::string body = client_hello_bytes() + frame_bytes(std::move(question));
    RawSocket socket(target.node.transport->port());
    socket.send(str_cat("POST /v1/envelopes HTTP/1.1\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
    ASSERT_TRUE(target.loop.until([&] { return target.node.host.find(Body::kQuery) != nullptr; }));
    EXPECT_FALSE(socket.closed());
    const Message& asked = *target.node.host.find(Body::kQuery);
    Message answer = message_of(pb::StatusReply());
    answer->set_to_node(asked->from_node());
    answer->set_to_actor(asked->from_actor());
    answer->set_reply_to(5);
    target.node.transport->handle(std::move(answer));
    ASSERT_TRUE(target.loop.until([&] { return socket.closed(); }));
    EXPECT_TRUE(socket.received().starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(socket.received().ends_with("\r\n0\r\n\r\n"));
    RandomStream random(1, 8);
    HttpWire reader(WireSide::kDialled, {}, "x");
    const std::vector<Message> answers = understood(reader, socket.received(), random);
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_TRUE(answers[0]->has_hello_reply());
    EXPECT_EQ(answers[1]->reply_to(), 5u);
}

TEST(HttpWire, nodes_that_speak_differently_do_not_come_together) {
    TestLoop loop;
    TestNode over_http(loop, http_options());
    TestNode over_tcp(loop);
    for (TestNode* node : {&over_http, &over_tcp}) EXPECT_EQ(node->listen(), "");
    over_http.start("node-a");
    over_tcp.start("node-b");
    const std::vector<std::pair<std::string, std::string>> members = {{"node-a", over_http.address()},
                                                                      {"node-b", over_tcp.address()}};
    over_http.view(members);
    over_tcp.view(members);
    ASSERT_TRUE(loop.until([&] {
        return over_http.host.counter("sandstore_net_bad_frames_total", "reason", "http_head") > 0 &&
               over_tcp.host.counter("sandstore_net_bad_frames_total", "reason", "magic") > 0;
    }));
    EXPECT_FALSE(over_http.up("node-b"));
    EXPECT_FALSE(over_tcp.up("node-a"));
}

}  // namespace
}  // namespace sandstore
