// One attempt to reach a server: resolve, connect (each address in turn), say hello, hear the answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "messages/net.pb.h"
#include "net/connection.h"
#include "net/resolver.h"

namespace sandstore {

struct DialOptions {
    uint64_t connect_timeout_us = 3'000'000;  // To each address.
    uint64_t hello_timeout_us = 5'000'000;    // Once connected, and for the name lookup.
    ConnectionOptions connection;
};

class Dialer : private ConnectionOwner {
 public:
    struct Result {
        std::shared_ptr<Connection> connection;  // Null: it failed, and `error` says why. Its owner must be set.
        pb::HelloReply reply;                    // Also of a refusal.
        std::string error;
    };
    // Called once, from the loop; the dialer may be destroyed in it.
    using Done = std::function<void(Result)>;

    Dialer(NetContext& net, Resolver& resolver, const DialOptions& options, const std::string& address, pb::Hello hello,
           Done done);
    ~Dialer() override;  // Gives up without calling done.

 private:
    void on_resolved(Resolver::Result result);
    void try_next_address();
    void on_connected(Connection& connection) override;
    void on_message(Connection& connection, Message message) override;
    void on_closed(Connection& connection, const std::string& why) override;
    void on_timeout();
    void finish(Result result);
    void fail(std::string why);

    NetContext& net_;
    DialOptions options_;
    std::string address_;
    pb::Hello hello_;
    Done done_;
    LoopTimer timer_;
    std::unique_ptr<Resolver::Lookup> lookup_;
    std::vector<SocketAddress> addresses_;
    size_t next_address_ = 0;
    std::shared_ptr<Connection> connection_;
    bool connected_ = false;
    std::string start_failure_;
};

}  // namespace sandstore
