// An outgoing connection to one peer or server, kept up (peers) or made when needed (servers).
//
// A message given to send() is on its way, or comes back through on_link_undeliverable. What is on its way when the
// connection breaks is lost: on_link_down tells.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "net/dialer.h"
#include "net/handshake.h"
#include "net/transport_options.h"
#include "runtime/random.h"

namespace sandstore {

class Link;

class LinkOwner {
 public:
    virtual ~LinkOwner() = default;
    virtual void on_link_up(Link& link) = 0;
    virtual void on_link_down(Link& link, const std::string& why) = 0;  // Was up before.
    virtual void on_link_message(Link& link, Message message) = 0;
    virtual void on_link_undeliverable(Link& link, Message message, std::string_view reason, pb::StatusCode code,
                                       const std::string& why) = 0;
    virtual void on_link_flushed(Link& link) = 0;
};

struct LinkConfig {
    std::string node;  // "node-2", or "@host:port".
    pb::Hello::Kind kind = pb::Hello::CLIENT;
    bool keep_up = true;              // Dials by itself, again and again.
    bool wait_for_connection = true;  // Messages wait while it dials; otherwise they come back.
    std::string expected_node_id;     // Who must answer; empty: anybody.
    uint64_t retry_max_us = 2'000'000;
    size_t queue_bytes_max = 0;
    uint64_t idle_timeout_us = 0;
};

class Link : private ConnectionOwner {
 public:
    Link(NetContext& net, Resolver& resolver, const TransportOptions& options, const LocalNames& names,
         LinkConfig config, LinkOwner& owner);
    ~Link() override;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    void set_address(const std::string& address);  // Another one than before: leaves the old connection.
    void retry_now();                              // There is reason to believe that it works now.
    void send(Message message);

    const std::string& node() const { return config_.node; }
    pb::Hello::Kind kind() const { return config_.kind; }
    bool up() const { return state_ == State::kUp; }
    bool idle() const { return state_ == State::kIdle; }
    bool flushed() const { return pending_.empty() && (!connection_ || connection_->queued_messages() == 0); }

 private:
    enum class State { kIdle, kDialing, kUp, kWaiting };

    void dial();
    void on_dialed(Dialer::Result result);
    void dial_failed(const std::string& why);
    void wait_and_retry();
    void hold(Message message);
    void send_pending();
    void send_now(Message message);
    void give_back(Message message, std::string_view reason, pb::StatusCode code, const std::string& why);
    void give_back_pending(const std::string& why);
    void leave(const std::string& why);

    void on_message(Connection& connection, Message message) override;
    void on_flushed(Connection& connection) override;
    void on_closed(Connection& connection, const std::string& why) override;

    NetContext& net_;
    Resolver& resolver_;
    const TransportOptions& options_;
    const LocalNames& names_;
    LinkConfig config_;
    LinkOwner& owner_;
    State state_ = State::kIdle;
    std::string address_;
    std::unique_ptr<Dialer> dialer_;
    std::shared_ptr<Connection> connection_;
    LoopTimer retry_timer_;
    RandomStream jitter_;
    uint64_t backoff_us_;
    std::string problem_;  // The last one, so that each is logged once.
    std::deque<Message> pending_;
    size_t pending_bytes_ = 0;
};

}  // namespace sandstore
