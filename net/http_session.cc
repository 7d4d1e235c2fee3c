#include "net/http_session.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr size_t kReadBytes = 4 << 10;
constexpr int kBadRequest = 400, kLengthRequired = 411, kTooLarge = 413, kHeadTooLarge = 431, kVersion = 505;

}  // namespace

HttpSession::HttpSession(event_base* base, const Limits& limits, uint64_t number, int socket, uint64_t now_us,
                         HttpSessionOwner& owner)
    : limits_(limits),
      number_(number),
      since_us_(now_us),
      owner_(owner),
      socket_(socket),
      read_event_(event_new(base, socket, EV_READ | EV_PERSIST, &HttpSession::on_readable, this)),
      write_event_(event_new(base, socket, EV_WRITE, &HttpSession::on_writable, this)),
      timer_(base, [this] { owner_.on_closed(*this); }) {
    event_add(read_event_.get(), nullptr);
    timer_.start_us(limits_.timeout_us);
}

HttpSession::~HttpSession() {
    read_event_.reset();
    write_event_.reset();
    ::close(socket_);
}

// --- The request

void HttpSession::on_readable(int, short, void* self) {
    static_cast<HttpSession*>(self)->read_some();
}

void HttpSession::read_some() {
    char bytes[kReadBytes];
    const ssize_t n = ::recv(socket_, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return owner_.on_closed(*this);
    take(std::string_view(bytes, static_cast<size_t>(n)));
}

void HttpSession::take(std::string_view bytes) {
    if (!has_head_) {
        switch (parser_.feed(&bytes)) {
            case HttpHeadParser::Result::kMore:
                return;
            case HttpHeadParser::Result::kTooLarge:
                return malformed(kHeadTooLarge, "the request's head is too large");
            case HttpHeadParser::Result::kBad:
                return malformed(kBadRequest, "this is not an HTTP request");
            case HttpHeadParser::Result::kDone:
                break;
        }
        has_head_ = true;
        if (head().third != "HTTP/1.1" && head().third != "HTTP/1.0")
            return malformed(kVersion, "only HTTP/1.1 is known");
        if (head().chunked) return malformed(kLengthRequired, "a body needs a Content-Length");
        if (head().content_length.value_or(0) > limits_.body_bytes_max)
            return malformed(kTooLarge, "the body is too large");
    }
    body_ += bytes.substr(0, head().content_length.value_or(0) - body_.size());  // Nobody waits for a second request.
    if (body_.size() < head().content_length.value_or(0)) return;
    state_ = State::kWaiting;
    event_del(read_event_.get());
    timer_.stop();
    owner_.on_request(*this);
}

void HttpSession::malformed(int code, std::string_view why) {
    state_ = State::kWaiting;
    event_del(read_event_.get());
    timer_.stop();
    owner_.on_malformed(*this, code, why);
}

// --- The answer

void HttpSession::answer(std::string bytes) {
    state_ = State::kAnswering;
    output_ = std::move(bytes);
    write_some();
    // Also when all is written: the owner hears of the end from the loop, never from inside this call.
    event_add(write_event_.get(), nullptr);
    timer_.start_us(limits_.timeout_us);
}

void HttpSession::on_writable(int, short, void* self) {
    HttpSession& session = *static_cast<HttpSession*>(self);
    if (!session.write_some()) return session.owner_.on_closed(session);
    event_add(session.write_event_.get(), nullptr);
}

bool HttpSession::write_some() {
    while (written_ < output_.size()) {
        const ssize_t n = ::send(socket_, output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN;
        written_ += static_cast<size_t>(n);
        timer_.start_us(limits_.timeout_us);
    }
    ::shutdown(socket_, SHUT_WR);
    return false;
}

}  // namespace sandstore
