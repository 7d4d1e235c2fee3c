// A connection that somebody else made to us: first a hello within the time allowed, then messages.
#pragma once

#include <memory>
#include <string>

#include "messages/net.pb.h"
#include "net/connection.h"
#include "net/transport_options.h"

namespace sandstore {

class Inbound;

// The inbound connection may be destroyed in on_inbound_closed, and outside of its callbacks.
class InboundOwner {
 public:
    virtual ~InboundOwner() = default;
    virtual pb::HelloReply on_inbound_hello(Inbound& inbound, const pb::Hello& hello) = 0;
    virtual void on_inbound_message(Inbound& inbound, Message message) = 0;
    virtual void on_inbound_flushed(Inbound& inbound) = 0;
    virtual void on_inbound_closed(Inbound& inbound, const std::string& why) = 0;
};

class Inbound : private ConnectionOwner {
 public:
    Inbound(NetContext& net, const TransportOptions& options, uint64_t number, int socket, std::string remote,
            InboundOwner& owner);
    ~Inbound() override;
    Inbound(const Inbound&) = delete;
    Inbound& operator=(const Inbound&) = delete;

    Connection::SendResult send(Message& message);

    uint64_t number() const { return number_; }
    bool greeted() const { return greeted_; }          // A hello was accepted.
    const pb::Hello& hello() const { return hello_; }  // Valid once greeted.
    bool is_operator() const { return greeted_ && hello_.kind() == pb::Hello::OPERATOR; }
    bool is_client() const { return is_operator() || (greeted_ && hello_.kind() == pb::Hello::CLIENT); }
    bool is_peer() const {
        return greeted_ && (hello_.kind() == pb::Hello::PEER_CONTROL || hello_.kind() == pb::Hello::PEER_BULK);
    }
    std::string node() const;  // "node-2", or "~7" for a client.
    const std::string& remote() const { return connection_->remote(); }
    bool flushed() const { return connection_->queued_messages() == 0; }
    // Nothing is under way in either direction; since when.
    bool idle() const { return unanswered_ == 0 && flushed() && !connection_->mid_frame(); }
    uint64_t idle_since_us() const { return connection_->last_progress_us(); }

    bool warned = false;  // About a message it may not send: once for each connection.

 private:
    void on_hello(Message message);
    void end(const std::string& why);
    void on_message(Connection& connection, Message message) override;
    void on_flushed(Connection& connection) override;
    void on_closed(Connection& connection, const std::string& why) override;

    NetContext& net_;
    const TransportOptions& options_;
    uint64_t number_;
    InboundOwner& owner_;
    bool greeted_ = false;
    uint64_t unanswered_ = 0;  // Requests that have no reply yet.
    pb::Hello hello_;
    LoopTimer hello_timer_;
    std::shared_ptr<Connection> connection_;
};

}  // namespace sandstore
