#include "net/dialer.h"

#include "net/handshake.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

// Before the hello's answer nobody has shown that it is one of us: small frames only.
constexpr FrameLimits kHelloLimits{.body_bytes_max = 4 << 10, .payload_bytes_max = 0, .grow_with_data = true};

Dialer::Dialer(NetContext& net, Resolver& resolver, const DialOptions& options, const std::string& address,
               pb::Hello hello, Done done)
    : net_(net),
      options_(options),
      address_(address),
      hello_(std::move(hello)),
      done_(std::move(done)),
      timer_(net.base, [this] { on_timeout(); }) {
    const auto parsed = parse_address(address, &start_failure_);
    if (!parsed) {
        timer_.start_us(0);
        return;
    }
    lookup_ = resolver.resolve(*parsed, [this](Resolver::Result result) { on_resolved(std::move(result)); });
    timer_.start_us(options_.hello_timeout_us);
}

Dialer::~Dialer() {
    if (connection_) connection_->close();
}

void Dialer::on_resolved(Resolver::Result result) {
    if (!result.error.empty()) return fail(std::move(result.error));
    addresses_ = std::move(result.addresses);
    try_next_address();
}

void Dialer::try_next_address() {
    ConnectionOptions options = options_.connection;
    options.frame_limits = kHelloLimits;
    connected_ = false;
    connection_ = Connection::connect(net_, options, addresses_[next_address_++], this);
    timer_.start_us(options_.connect_timeout_us);
}

void Dialer::on_connected(Connection& connection) {
    connected_ = true;
    timer_.start_us(options_.hello_timeout_us);
    Message message = message_of(hello_);
    if (connection.send(message) != Connection::SendResult::kQueued) fail(str_cat("cannot say hello to ", address_));
}

void Dialer::on_message(Connection&, Message message) {
    if (!message->has_hello_reply()) return fail(str_cat(address_, " did not answer the hello"));
    Result result;
    result.reply = std::move(*message->mutable_hello_reply());
    if (const std::string problem = problem_with(result.reply); !problem.empty()) {
        result.error = str_cat(address_, ": ", problem);
    } else {
        result.connection = std::move(connection_);
        result.connection->set_owner(nullptr);
        result.connection->set_frame_limits(options_.connection.frame_limits);
    }
    finish(std::move(result));
}

void Dialer::on_closed(Connection&, const std::string& why) {
    if (!connected_ && next_address_ < addresses_.size()) return try_next_address();
    if (connected_ && why == str_cat("bad frame: ", to_string(FrameError::kHttp))) {
        return fail(str_cat(address_, " speaks HTTP: what is wanted is the port of --listen, not of --http-listen"));
    }
    fail(connected_ ? str_cat(address_, " ended the connection during the hello: ", why) : why);
}

void Dialer::on_timeout() {
    if (!start_failure_.empty()) return fail(std::move(start_failure_));
    if (!connection_) return fail(str_cat("cannot resolve ", address_, ": no answer in time"));
    connection_->close();
    if (connected_)
        return fail(str_cat(address_, " did not answer the hello in time: is it the --listen port of a node?"));
    on_closed(*connection_, str_cat("cannot connect to ", address_, ": no answer in time"));
}

void Dialer::finish(Result result) {
    timer_.stop();
    lookup_.reset();
    const Done done = std::move(done_);
    done(std::move(result));
}

void Dialer::fail(std::string why) {
    if (connection_) connection_->close();
    Result result;
    result.error = std::move(why);
    finish(std::move(result));
}

}  // namespace sandstore
