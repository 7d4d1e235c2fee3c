#include "net/inbound.h"

#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

// Until the hello: small frames only, so that a stranger costs next to nothing.
constexpr FrameLimits kHelloLimits{.body_bytes_max = 4 << 10, .payload_bytes_max = 0, .grow_with_data = true};
// Operators do not wait for memory, and have no need of large frames.
constexpr size_t kOperatorBodyBytes = 256 << 10;
// Answers that a client does not take. Beyond this its further requests are not read.
constexpr size_t kPauseReadingBytes = size_t{16} << 20;

ConnectionOptions inbound_options(const TransportOptions& options) {
    ConnectionOptions connection;
    connection.queue_bytes_max = options.bulk_queue_bytes_max;
    connection.queue_messages_max = options.queue_messages_max;
    connection.pause_reading_bytes = kPauseReadingBytes;
    connection.stall_timeout_us = options.stall_timeout_us;
    connection.frame_limits = kHelloLimits;
    return connection;
}

}  // namespace

Inbound::Inbound(NetContext& net, const TransportOptions& options, uint64_t number, int socket, std::string remote,
                 InboundOwner& owner)
    : net_(net),
      options_(options),
      number_(number),
      owner_(owner),
      hello_timer_(net.base, [this] { end("no hello in time"); }),
      connection_(Connection::adopt(net, inbound_options(options), socket, std::move(remote), this)) {
    hello_timer_.start_us(options.hello_timeout_us);
}

Inbound::~Inbound() {
    connection_->close();
}

std::string Inbound::node() const {
    return is_peer() ? hello_.node_id() : str_cat("~", number_);
}

Connection::SendResult Inbound::send(Message& message) {
    const bool reply = message->reply_to() != 0;
    const Connection::SendResult result = connection_->send(message);
    if (reply && result == Connection::SendResult::kQueued && unanswered_ > 0) unanswered_--;
    return result;
}

void Inbound::on_message(Connection&, Message message) {
    if (greeted_ && message->request_id() != 0) unanswered_++;
    if (greeted_) return owner_.on_inbound_message(*this, std::move(message));
    on_hello(std::move(message));
}

void Inbound::on_hello(Message message) {
    if (!message->has_hello()) {
        net_.count_bad_frame("no_hello");
        net_.log(LogLevel::kWarning, "bad frame, connection closed",
                 {{"from", remote()}, {"reason", "the first message is not a hello"}});
        return end("the first message is not a hello");
    }
    hello_ = std::move(*message->mutable_hello());
    pb::HelloReply reply = owner_.on_inbound_hello(*this, hello_);
    const bool accepted = reply.status().code() == pb::STATUS_OK;
    greeted_ = accepted && hello_.kind() != pb::Hello::PROBE;
    Message answer = message_of(std::move(reply));
    if (connection_->send(answer) != Connection::SendResult::kQueued) return end("the hello cannot be answered");
    if (!greeted_) return connection_->close_when_flushed();
    hello_timer_.stop();
    FrameLimits limits;
    limits.grow_with_data = is_client();
    limits.memory = net_.memory;
    limits.memory_waits = is_client() && !is_operator();
    if (is_operator()) {
        limits.body_bytes_max = kOperatorBodyBytes;
        limits.payload_bytes_max = 0;
    }
    connection_->set_frame_limits(limits);
    if (is_client()) connection_->count_unread(net_.memory);
    if (is_client()) connection_->set_idle_timeout_us(options_.client_idle_us);
}

void Inbound::on_flushed(Connection&) {
    owner_.on_inbound_flushed(*this);
}

void Inbound::on_closed(Connection&, const std::string& why) {
    owner_.on_inbound_closed(*this, why);  // Destroys this.
}

void Inbound::end(const std::string& why) {
    connection_->close();
    owner_.on_inbound_closed(*this, why);  // Destroys this.
}

}  // namespace sandstore
