#include "tests/unit/net/net_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/frame.h"
#include "runtime/check.h"
#include "runtime/message_of.h"

namespace sandstore {
namespace {

uint64_t monotonic_us() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_nsec) / 1'000;
}

event_base* make_base() {
    event_config* config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_base* base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

}  // namespace

TestLoop::TestLoop() : base_(make_base()) {
    tick_.reset(event_new(
        base_, -1, EV_PERSIST, [](int, short, void*) {}, nullptr));
    const timeval interval{0, 5'000};
    event_add(tick_.get(), &interval);
}

TestLoop::~TestLoop() {
    tick_.reset();
    event_base_free(base_);
}

bool TestLoop::until(const std::function<bool()>& condition, uint64_t seconds_max) {
    const uint64_t deadline_us = monotonic_us() + seconds_max * 1'000'000;
    while (!condition()) {
        if (monotonic_us() > deadline_us) return false;
        event_base_loop(base_, EVLOOP_ONCE);
    }
    return true;
}

void TestLoop::turn() {
    event_base_loop(base_, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

uint64_t FakeHost::now_us() const {
    return monotonic_us();
}

void FakeHost::reply(const ReplyTo& to, LocalAddress from, Message message) {
    message->set_from_actor(from.actor);
    message->set_reply_to(to.request_id);
    replies.push_back({to, std::move(message)});
}

void FakeHost::node_unreachable(std::string_view node, std::string_view why) {
    unreachables.emplace_back(node, why);
}

const Message* FakeHost::find(pb::Envelope::BodyCase body, pb::ActorKind actor) const {
    for (const Message& message : delivered) {
        if (message->body_case() != body) continue;
        if (actor == pb::ACTOR_NONE || message->to_actor() == actor) return &message;
    }
    return nullptr;
}

size_t FakeHost::count(pb::Envelope::BodyCase body) const {
    size_t found = 0;
    for (const Message& message : delivered) found += message->body_case() == body ? 1 : 0;
    return found;
}

const FakeHost::Reply* FakeHost::find_reply(uint64_t request_id) const {
    for (const Reply& reply : replies) {
        if (reply.to.request_id == request_id) return &reply;
    }
    return nullptr;
}

bool FakeHost::unreachable(std::string_view node) const {
    for (const auto& [name, why] : unreachables) {
        if (name == node) return true;
    }
    return false;
}

uint64_t FakeHost::counter(std::string_view name, std::string_view label, std::string_view value) {
    MetricLabels labels;
    if (!label.empty()) labels.emplace_back(label, value);
    return metrics_.counter(name, "", labels).value();
}

TransportOptions TestNode::short_options() {
    TransportOptions options;
    options.retry_min_us = 5'000;
    options.control_retry_max_us = 20'000;
    options.bulk_retry_max_us = 20'000;
    options.probe_interval_us = 5'000;
    return options;
}

TestNode::TestNode(TestLoop& loop, TransportOptions options)
    : transport(std::make_unique<Transport>(loop.base(), host, std::move(options))) {}

std::string TestNode::listen(uint16_t port) {
    return transport->listen(str_cat("127.0.0.1:", port));
}

std::string TestNode::address() const {
    return str_cat("127.0.0.1:", transport->port());
}

void TestNode::start(const std::string& node_id, const std::string& cluster_id, const std::string& instance_id) {
    pb::StartTransport start;
    start.set_node_id(node_id);
    start.set_cluster_id(cluster_id);
    start.set_instance_id(instance_id.empty() ? "instance-of-" + node_id : instance_id);
    transport->handle(message_of(std::move(start)));
}

void TestNode::view(const std::vector<std::pair<std::string, std::string>>& members) {
    pb::ClusterView view;
    for (const auto& [id, address] : members) {
        pb::Member* member = view.add_members();
        member->set_id(id);
        member->set_address(address);
    }
    transport->handle(message_of(std::move(view)));
}

void TestNode::send(const std::string& to_node, pb::ActorKind to_actor, Message message, uint64_t request_id) {
    message->set_to_node(to_node);
    message->set_to_actor(to_actor);
    message->set_from_actor(pb::ACTOR_FILES);
    message->set_request_id(request_id);
    transport->handle(std::move(message));
}

bool TestNode::up(const std::string& node) const {
    bool is_up = false;
    for (const Message& message : host.delivered) {
        if (message->to_actor() != pb::ACTOR_RAFT) continue;
        if (message->has_peer_up() && message->peer_up().node_id() == node) is_up = true;
        if (message->has_peer_down() && message->peer_down().node_id() == node) is_up = false;
    }
    return is_up;
}

RawSocket::RawSocket(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int result = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    SANDSTORE_CHECK(result == 0, "port=", port);
}

RawSocket::~RawSocket() {
    ::close(socket_);
}

void RawSocket::send(std::string_view bytes) {
    [[maybe_unused]] const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool RawSocket::closed() {
    char buffer[16384];
    while (!closed_) {
        const ssize_t n = ::recv(socket_, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n > 0) {
            received_.append(buffer, static_cast<size_t>(n));
        } else if (n == 0 || errno != EAGAIN) {
            closed_ = true;
        } else {
            break;
        }
    }
    return closed_;
}

const std::string& RawSocket::received() {
    closed();
    return received_;
}

void RawSocket::finish_sending() {
    ::shutdown(socket_, SHUT_WR);
}

std::string frame_bytes(Message message, uint64_t now_us) {
    EncodedFrame frame;
    SANDSTORE_CHECK(encode_frame(message, now_us, &frame), "too large");
    return frame.head + frame.payload.to_string();
}

std::string client_hello_bytes() {
    return frame_bytes(message_of(make_hello(pb::Hello::CLIENT, {})));
}

}  // namespace sandstore
