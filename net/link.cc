#include "net/link.h"

#include <algorithm>
#include <functional>
#include <random>

#include "runtime/text.h"

namespace sandstore {
namespace {

std::string_view kind_name(pb::Hello::Kind kind) {
    switch (kind) {
        case pb::Hello::PEER_CONTROL:
            return "control";
        case pb::Hello::PEER_BULK:
            return "bulk";
        default:
            return "client";
    }
}

uint64_t message_bytes(const Message& message) {
    return message->ByteSizeLong() + message.payload.size();
}

}  // namespace

Link::Link(NetContext& net, Resolver& resolver, const TransportOptions& options, const LocalNames& names,
           LinkConfig config, LinkOwner& owner)
    : net_(net),
      resolver_(resolver),
      options_(options),
      names_(names),
      config_(std::move(config)),
      owner_(owner),
      retry_timer_(net.base, [this] { dial(); }),
      jitter_(std::random_device{}(), std::hash<std::string>{}(config_.node) + static_cast<uint64_t>(config_.kind)),
      backoff_us_(options.retry_min_us) {}

Link::~Link() {
    if (connection_) connection_->close();
}

// --- Connecting

void Link::set_address(const std::string& address) {
    if (address == address_) return;
    const bool changed = !address_.empty();
    address_ = address;
    if (changed) leave(str_cat("the address changed to ", address));
    backoff_us_ = options_.retry_min_us;
    if (config_.keep_up) dial();
}

void Link::retry_now() {
    if (state_ == State::kWaiting) dial();
}

void Link::dial() {
    retry_timer_.stop();
    state_ = State::kDialing;
    DialOptions dial;
    dial.connect_timeout_us = options_.connect_timeout_us;
    dial.hello_timeout_us = options_.hello_timeout_us;
    dial.connection.queue_bytes_max = config_.queue_bytes_max;
    dial.connection.queue_messages_max = options_.queue_messages_max;
    dial.connection.stall_timeout_us = options_.stall_timeout_us;
    dial.connection.frame_limits.grow_with_data = false;  // We chose whom to talk to.
    dialer_ = std::make_unique<Dialer>(net_, resolver_, dial, address_, make_hello(config_.kind, names_),
                                       [this](Dialer::Result result) { on_dialed(std::move(result)); });
}

void Link::on_dialed(Dialer::Result result) {
    dialer_.reset();
    if (!result.connection) return dial_failed(result.error);
    if (!config_.expected_node_id.empty() && result.reply.node_id() != config_.expected_node_id) {
        result.connection->close();
        return dial_failed(str_cat("at ", address_, " answers node ", result.reply.node_id(), ", not ",
                                   config_.expected_node_id, "; check the member list"));
    }
    connection_ = std::move(result.connection);
    connection_->set_owner(this);
    connection_->set_idle_timeout_us(config_.idle_timeout_us);
    state_ = State::kUp;
    backoff_us_ = options_.retry_min_us;
    problem_.clear();
    net_.log(config_.keep_up ? LogLevel::kInfo : LogLevel::kDebug, "connected",
             {{"peer", config_.node},
              {"link", kind_name(config_.kind)},
              {"address", connection_->remote()},
              {"version", result.reply.software_version()}});
    send_pending();
    owner_.on_link_up(*this);
}

void Link::dial_failed(const std::string& why) {
    if (why != problem_) {
        net_.log(config_.keep_up ? LogLevel::kWarning : LogLevel::kDebug, "cannot connect",
                 {{"peer", config_.node}, {"link", kind_name(config_.kind)}, {"error", why}});
        problem_ = why;
    }
    wait_and_retry();
    give_back_pending(why);
}

void Link::wait_and_retry() {
    if (!config_.keep_up) {
        state_ = State::kIdle;
        return;
    }
    state_ = State::kWaiting;
    const uint64_t half_us = backoff_us_ / 2;
    retry_timer_.start_us(half_us + jitter_.below(half_us + 1));
    backoff_us_ = std::min(backoff_us_ * 2, config_.retry_max_us);
}

// Ends what is, without a word from the old connection.
void Link::leave(const std::string& why) {
    const bool was_up = up();
    dialer_.reset();
    retry_timer_.stop();
    if (connection_) connection_->close();
    connection_.reset();
    state_ = State::kIdle;
    if (was_up) owner_.on_link_down(*this, why);
    give_back_pending(why);
}

void Link::on_closed(Connection&, const std::string& why) {
    connection_.reset();
    net_.log(config_.keep_up ? LogLevel::kWarning : LogLevel::kDebug, "connection lost",
             {{"peer", config_.node}, {"link", kind_name(config_.kind)}, {"error", why}});
    wait_and_retry();
    owner_.on_link_down(*this, why);
}

void Link::on_message(Connection&, Message message) {
    owner_.on_link_message(*this, std::move(message));
}

void Link::on_flushed(Connection&) {
    owner_.on_link_flushed(*this);
}

// --- Sending

void Link::send(Message message) {
    if (state_ == State::kUp) return send_now(std::move(message));
    if (state_ == State::kIdle && !address_.empty()) dial();
    if (state_ == State::kDialing && config_.wait_for_connection) return hold(std::move(message));
    const std::string why = problem_.empty() ? str_cat("not connected to ", config_.node) : problem_;
    give_back(std::move(message), "not_connected", pb::STATUS_UNAVAILABLE, why);
}

void Link::hold(Message message) {
    const size_t bytes = message_bytes(message);
    if (pending_.size() >= options_.queue_messages_max || pending_bytes_ >= config_.queue_bytes_max) {
        return give_back(std::move(message), "queue_full", pb::STATUS_RESOURCE_EXHAUSTED,
                         str_cat("too much is waiting for the connection to ", config_.node));
    }
    pending_bytes_ += bytes;
    pending_.push_back(std::move(message));
}

void Link::send_pending() {
    std::deque<Message> pending;
    pending.swap(pending_);
    pending_bytes_ = 0;
    for (Message& message : pending) {
        const uint64_t deadline_us = message->deadline_us();
        if (deadline_us != 0 && deadline_us <= net_.host.now_us()) {
            give_back(std::move(message), "expired", pb::STATUS_DEADLINE_EXCEEDED,
                      str_cat("no connection to ", config_.node, " in time"));
        } else {
            send_now(std::move(message));
        }
    }
}

void Link::send_now(Message message) {
    switch (connection_->send(message)) {
        case Connection::SendResult::kQueued:
            return;
        case Connection::SendResult::kQueueFull:
            return give_back(std::move(message), "queue_full", pb::STATUS_RESOURCE_EXHAUSTED,
                             str_cat("the send queue to ", config_.node, " is full"));
        case Connection::SendResult::kTooLarge:
            return give_back(std::move(message), "too_large", pb::STATUS_INVALID_ARGUMENT,
                             "the message is larger than a frame can be");
        case Connection::SendResult::kClosed:
            return give_back(std::move(message), "not_connected", pb::STATUS_UNAVAILABLE,
                             str_cat("the connection to ", config_.node, " is closed"));
    }
}

void Link::give_back(Message message, std::string_view reason, pb::StatusCode code, const std::string& why) {
    owner_.on_link_undeliverable(*this, std::move(message), reason, code, why);
}

void Link::give_back_pending(const std::string& why) {
    std::deque<Message> pending;
    pending.swap(pending_);
    pending_bytes_ = 0;
    for (Message& message : pending) give_back(std::move(message), "not_connected", pb::STATUS_UNAVAILABLE, why);
}

}  // namespace sandstore
