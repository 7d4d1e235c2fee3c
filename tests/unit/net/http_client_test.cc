#include "net/http_client.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <gtest/gtest.h>

#include "net/listener.h"
#include "runtime/message_of.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

// A server with a few habits, by path.
struct Web {
    Web() : http(evhttp_new(loop.base())), client(std::make_unique<HttpClient>(loop.base(), host)) {
        std::string error;
        const int socket = open_listening_socket("127.0.0.1:0", &error);
        EXPECT_GE(socket, 0) << error;
        port = port_of_socket(socket);
        evhttp_accept_socket(http, socket);
        evhttp_set_gencb(http, &Web::answer, this);
    }
    ~Web() {
        client.reset();
        evhttp_free(http);
    }

    static void answer(evhttp_request* request, void* argument) {
        Web& web = *static_cast<Web*>(argument);
        const std::string path = evhttp_request_get_uri(request);
        evbuffer* out = evhttp_request_get_output_buffer(request);
        if (path == "/hang") return web.hanging.push_back(request);
        if (path == "/large") {
            const std::string large(1 << 20, 'L');
            evbuffer_add(out, large.data(), large.size());
        } else if (path == "/redirect") {
            evhttp_add_header(evhttp_request_get_output_headers(request), "Location", "/ok");
            return evhttp_send_reply(request, 302, nullptr, nullptr);
        } else if (path == "/echo") {
            evbuffer* in = evhttp_request_get_input_buffer(request);
            const char* type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
            evbuffer_add_printf(out, "%s:", type == nullptr ? "none" : type);
            evbuffer_add_buffer(out, in);
        } else {
            evbuffer_add_printf(out, "hello");
        }
        evhttp_send_reply(request, path == "/missing" ? 404 : 200, nullptr, nullptr);
    }

    std::string url(const std::string& path) const { return str_cat("http://127.0.0.1:", port, path); }

    uint64_t ask(pb::HttpRequest request, std::string body = "") {
        Message message = message_of(std::move(request), Payload(std::move(body)));
        message->set_request_id(++last_id);
        message->set_from_actor(pb::ACTOR_ETCD_POLLER);
        client->handle(std::move(message));
        return last_id;
    }
    uint64_t get(const std::string& path) {
        pb::HttpRequest request;
        request.set_method("GET");
        request.set_url(url(path));
        return ask(std::move(request));
    }

    const Message& reply(uint64_t id) {
        EXPECT_TRUE(loop.until([&] { return host.find_reply(id) != nullptr; }));
        return host.find_reply(id)->message;
    }

    TestLoop loop;
    FakeHost host;
    evhttp* http;
    uint16_t port = 0;
    std::unique_ptr<HttpClient> client;
    std::vector<evhttp_request*> hanging;
    uint64_t last_id = 0;
};

TEST(HttpClient, gets) {
    Web web;
    const Message& reply = web.reply(web.get("/ok"));
    EXPECT_EQ(reply->http_reply().code(), 200);
    EXPECT_EQ(reply->http_reply().error(), "");
    EXPECT_EQ(reply.payload.to_string(), "hello");
    EXPECT_EQ(web.host.replies[0].to.address.actor, pb::ACTOR_ETCD_POLLER);
}

TEST(HttpClient, posts_the_payload_with_its_type) {
    Web web;
    pb::HttpRequest request;
    request.set_method("POST");
    request.set_url(web.url("/echo"));
    request.set_content_type("application/json");
    const std::string body(100'000, 'b');
    EXPECT_EQ(web.reply(web.ask(std::move(request), body)).payload.to_string(), "application/json:" + body);
}

TEST(HttpClient, carries_many_requests_at_once) {
    Web web;
    std::vector<uint64_t> ids;
    for (int i = 0; i < 40; i++) ids.push_back(web.get("/ok"));
    for (uint64_t id : ids) EXPECT_EQ(web.reply(id)->http_reply().code(), 200);
}

TEST(HttpClient, passes_error_codes_and_redirects_on_as_they_are) {
    Web web;
    EXPECT_EQ(web.reply(web.get("/missing"))->http_reply().code(), 404);
    EXPECT_EQ(web.reply(web.get("/redirect"))->http_reply().code(), 302);
}

TEST(HttpClient, gives_up_after_the_timeout) {
    Web web;
    pb::HttpRequest request;
    request.set_method("GET");
    request.set_url(web.url("/hang"));
    request.set_timeout_ms(50);
    const Message& reply = web.reply(web.ask(std::move(request)));
    EXPECT_EQ(reply->http_reply().code(), 0);
    EXPECT_NE(reply->http_reply().error().find("timed out"), std::string::npos) << reply->http_reply().error();
}

TEST(HttpClient, reports_a_refused_connection) {
    Web web;
    std::string error;
    const int socket = open_listening_socket("127.0.0.1:0", &error);
    const uint16_t unused_port = port_of_socket(socket);
    evutil_closesocket(socket);
    pb::HttpRequest request;
    request.set_method("GET");
    request.set_url(str_cat("http://127.0.0.1:", unused_port, "/"));
    const Message& reply = web.reply(web.ask(std::move(request)));
    EXPECT_EQ(reply->http_reply().code(), 0);
    EXPECT_NE(reply->http_reply().error(), "");
}

TEST(HttpClient, stops_an_answer_that_is_too_large) {
    Web web;
    pb::HttpRequest request;
    request.set_method("GET");
    request.set_url(web.url("/large"));
    request.set_response_bytes_max(1000);
    const Message& reply = web.reply(web.ask(request));
    EXPECT_EQ(reply->http_reply().code(), 0);
    EXPECT_EQ(reply->http_reply().error(), "the answer is larger than 1000 bytes");
    request.set_response_bytes_max(0);
    EXPECT_EQ(web.reply(web.ask(std::move(request))).payload.size(), size_t{1} << 20);
}

TEST(HttpClient, refuses_other_protocols_and_bad_requests) {
    Web web;
    for (const char* url : {"file:///etc/passwd", "ftp://x/", "", "gopher://x", "http://a\r\nb/"}) {
        pb::HttpRequest request;
        request.set_method("GET");
        request.set_url(url);
        const Message& reply = web.reply(web.ask(std::move(request)));
        EXPECT_EQ(reply->http_reply().code(), 0);
        EXPECT_NE(reply->http_reply().error(), "") << url;
    }
    pb::HttpRequest request;
    request.set_method("GET / HTTP/1.1\r\nX: y");
    request.set_url(web.url("/ok"));
    EXPECT_NE(web.reply(web.ask(std::move(request)))->http_reply().error(), "");
}

TEST(HttpClient, bounds_the_requests_at_once) {
    Web web;
    uint64_t id = 0;
    for (size_t i = 0; i <= HttpClient::kRequestsMax; i++) id = web.get("/hang");
    EXPECT_EQ(web.reply(id)->request_failed().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
}

TEST(HttpClient, ends_with_requests_under_way) {
    Web web;
    web.get("/hang");
    ASSERT_TRUE(web.loop.until([&] { return web.hanging.size() == 1; }));
    web.get("/ok");
    web.client.reset();
    EXPECT_TRUE(web.host.replies.empty());
}

TEST(HttpClient, answers_messages_that_it_does_not_know) {
    Web web;
    Message odd = message_of(pb::Flush());
    odd->set_request_id(3);
    web.client->handle(std::move(odd));
    ASSERT_NE(web.host.find_reply(3), nullptr);
    EXPECT_EQ(web.host.find_reply(3)->message->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace sandstore
