// What the network tests share: a real loop, a runtime that only takes notes, and a raw socket for bad behaviour.
#pragma once

#include <event2/event.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "messages/envelope.pb.h"
#include "net/event_handle.h"
#include "net/transport.h"
#include "runtime/actor.h"
#include "runtime/logging.h"
#include "runtime/message.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

class TestLoop {
 public:
    TestLoop();
    ~TestLoop();
    event_base* base() const { return base_; }
    // Turns the loop until the condition holds; false after a deadline that only a hang reaches.
    [[nodiscard]] bool until(const std::function<bool()>& condition, uint64_t seconds_max = 20);
    void turn();  // One round of whatever is ready.

 private:
    event_base* base_;
    EventPointer tick_;  // So that a condition which no event announces is looked at again.
};

// Stands in for the runtime.
class FakeHost : public PortHost {
 public:
    struct Reply {
        ReplyTo to;
        Message message;
    };

    uint64_t now_us() const override;
    uint64_t wall_us() const override { return 1'700'000'000'000'000; }
    void deliver(Message message) override { delivered.push_back(std::move(message)); }
    void reply(const ReplyTo& to, LocalAddress from, Message message) override;
    void node_unreachable(std::string_view node, std::string_view why) override;
    Logger& logger() override { return logger_; }
    MetricsRegistry& metrics() override { return metrics_; }

    // The first delivered message with this body, for this actor when one is given; null without one.
    const Message* find(pb::Envelope::BodyCase body, pb::ActorKind actor = pb::ACTOR_NONE) const;
    size_t count(pb::Envelope::BodyCase body) const;
    const Reply* find_reply(uint64_t request_id) const;
    bool unreachable(std::string_view node) const;
    uint64_t counter(std::string_view name, std::string_view label = "", std::string_view value = "");

    std::vector<Message> delivered;
    std::vector<Reply> replies;
    std::vector<std::pair<std::string, std::string>> unreachables;

 private:
    Logger logger_;
    MetricsRegistry metrics_;
};

// A node's or client's transport with its host. Intervals are short, so that tests are.
struct TestNode {
    explicit TestNode(TestLoop& loop, TransportOptions options = short_options());
    static TransportOptions short_options();

    std::string listen(uint16_t port = 0);
    std::string address() const;
    void start(const std::string& node_id, const std::string& cluster_id = "cluster-a",
               const std::string& instance_id = "");
    void view(const std::vector<std::pair<std::string, std::string>>& members);
    // A message from a local actor to another node.
    void send(const std::string& to_node, pb::ActorKind to_actor, Message message, uint64_t request_id = 0);
    bool up(const std::string& node) const;  // By the last PeerUp or PeerDown that Raft was told.

    FakeHost host;
    std::unique_ptr<Transport> transport;
};

// A socket under the test's own hand.
class RawSocket {
 public:
    explicit RawSocket(uint16_t port);
    ~RawSocket();
    RawSocket(const RawSocket&) = delete;
    RawSocket& operator=(const RawSocket&) = delete;

    void send(std::string_view bytes);  // Bytes that the other side no longer wants are lost.
    bool closed();                      // By the other side. Reads what there is.
    const std::string& received();      // Reads what there is.
    void finish_sending();

 private:
    int socket_;
    bool closed_ = false;
    std::string received_;
};

std::string frame_bytes(Message message, uint64_t now_us = 1);
std::string client_hello_bytes();

}  // namespace sandstore
