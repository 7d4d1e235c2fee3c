#include "net/resolver.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "runtime/message_of.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

// A name server on loopback: every name has the one address that it is told, or none.
class NameServer {
 public:
    explicit NameServer(event_base* base) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
        port_ = evdns_add_server_port_with_base(base, socket_, 0, &NameServer::answer, this);
    }
    ~NameServer() {
        evdns_close_server_port(port_);
        ::close(socket_);
    }

    std::string address() const {
        sockaddr_in address{};
        socklen_t length = sizeof(address);
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
        return str_cat("127.0.0.1:", ntohs(address.sin_port));
    }

    std::string answer_with;  // Empty: no such name.
    int questions = 0;

 private:
    static void answer(evdns_server_request* request, void* argument) {
        NameServer& server = *static_cast<NameServer*>(argument);
        server.questions++;
        in_addr address{};
        inet_pton(AF_INET, server.answer_with.c_str(), &address);
        for (int i = 0; i < request->nquestions; i++) {
            const evdns_server_question& question = *request->questions[i];
            if (question.type == EVDNS_TYPE_A && !server.answer_with.empty()) {
                evdns_server_request_add_a_reply(request, question.name, 1, &address, 10);
            }
        }
        evdns_server_request_respond(request, server.answer_with.empty() ? DNS_ERR_NOTEXIST : DNS_ERR_NONE);
    }

    int socket_;
    evdns_server_port* port_;
};

struct Asked {
    explicit Asked(Resolver& resolver, const HostPort& address)
        : lookup(resolver.resolve(address, [this](Resolver::Result answer) {
              result = std::move(answer);
              answered = true;
          })) {}
    Resolver::Result result;
    bool answered = false;
    std::unique_ptr<Resolver::Lookup> lookup;
};

TEST(Resolver, numeric_addresses_need_no_server_but_answer_from_the_loop) {
    TestLoop loop;
    Resolver resolver(loop.base(), {"127.0.0.1:1"});
    for (const char* host : {"10.0.0.7", "fe80::7"}) {
        Asked asked(resolver, {host, 90});
        EXPECT_FALSE(asked.answered);
        ASSERT_TRUE(loop.until([&] { return asked.answered; }));
        ASSERT_EQ(asked.result.addresses.size(), 1u);
        EXPECT_EQ(to_string(asked.result.addresses[0]), to_string(HostPort{host, 90}));
    }
}

TEST(Resolver, knows_the_hosts_file) {
    TestLoop loop;
    Resolver resolver(loop.base(), {"127.0.0.1:1"});
    Asked asked(resolver, {"localhost", 80});
    EXPECT_FALSE(asked.answered);
    ASSERT_TRUE(loop.until([&] { return asked.answered; }));
    EXPECT_EQ(asked.result.error, "");
    ASSERT_FALSE(asked.result.addresses.empty());
}

TEST(Resolver, asks_anew_each_time_and_sees_a_changed_address) {
    TestLoop loop;
    NameServer server(loop.base());
    Resolver resolver(loop.base(), {server.address()});
    for (const char* address : {"10.0.0.1", "10.0.0.2"}) {
        server.answer_with = address;
        Asked asked(resolver, {"node-2.test", 8080});
        ASSERT_TRUE(loop.until([&] { return asked.answered; }));
        ASSERT_EQ(asked.result.addresses.size(), 1u) << asked.result.error;
        EXPECT_EQ(to_string(asked.result.addresses[0]), str_cat(address, ":8080"));
    }
}

TEST(Resolver, a_name_that_does_not_exist_is_an_error_with_the_name) {
    TestLoop loop;
    NameServer server(loop.base());
    Resolver resolver(loop.base(), {server.address()});
    Asked asked(resolver, {"nobody.test", 8080});
    ASSERT_TRUE(loop.until([&] { return asked.answered; }));
    EXPECT_TRUE(asked.result.addresses.empty());
    EXPECT_NE(asked.result.error.find("cannot resolve nobody.test:8080"), std::string::npos);
}

TEST(Resolver, a_cancelled_question_is_never_answered) {
    TestLoop loop;
    NameServer server(loop.base());
    server.answer_with = "10.0.0.1";
    Resolver resolver(loop.base(), {server.address()});
    Asked cancelled(resolver, {"one.test", 1});
    cancelled.lookup.reset();
    Asked other(resolver, {"two.test", 1});
    ASSERT_TRUE(loop.until([&] { return other.answered; }));
    EXPECT_FALSE(cancelled.answered);
}

TEST(Resolver, a_peer_that_came_back_under_its_name_with_a_new_address_is_found) {
    TestLoop loop;
    NameServer server(loop.base());
    server.answer_with = "127.0.0.1";
    TransportOptions options = TestNode::short_options();
    options.name_servers = {server.address()};
    TestNode a(loop, options);
    auto b = std::make_unique<TestNode>(loop);
    ASSERT_EQ(b->listen(), "");
    const uint16_t port = b->transport->port();
    b->start("node-b");
    a.view({{"node-b", str_cat("node-b.test:", port)}});
    a.start("node-a");
    ASSERT_TRUE(loop.until([&] { return a.up("node-b"); }));

    b = std::make_unique<TestNode>(loop);
    server.answer_with = "127.0.0.2";
    ASSERT_EQ(b->transport->listen(str_cat("127.0.0.2:", port)), "");
    b->start("node-b", "cluster-a", "elsewhere");
    ASSERT_TRUE(loop.until([&] { return !a.up("node-b"); }));
    ASSERT_TRUE(loop.until([&] { return a.up("node-b"); }));
}

}  // namespace
}  // namespace sandstore
