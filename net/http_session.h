// One HTTP connection that somebody made to us: one request of bounded size within bounded time, one answer, the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/event_handle.h"
#include "net/http_head.h"

struct event_base;

namespace sandstore {

class HttpSession;

// The session may be destroyed in on_closed(), and outside of its callbacks. One of on_request() and on_malformed()
// comes, at most once; the owner answers then or later.
class HttpSessionOwner {
 public:
    virtual ~HttpSessionOwner() = default;
    virtual void on_request(HttpSession& session) = 0;
    virtual void on_malformed(HttpSession& session, int code, std::string_view why) = 0;
    virtual void on_closed(HttpSession& session) = 0;
};

class HttpSession {
 public:
    struct Limits {
        uint64_t timeout_us = 0;    // For the whole request; and for each progress in writing the answer.
        size_t body_bytes_max = 0;  // The head's limit is the parser's own.
    };

    // Takes over a connected socket, which must be non-blocking.
    HttpSession(event_base* base, const Limits& limits, uint64_t number, int socket, uint64_t now_us,
                HttpSessionOwner& owner);
    ~HttpSession();
    HttpSession(const HttpSession&) = delete;
    HttpSession& operator=(const HttpSession&) = delete;

    uint64_t number() const { return number_; }
    uint64_t since_us() const { return since_us_; }
    bool asked() const { return state_ != State::kReading; }  // A whole request was here.
    const HttpHead& head() const { return parser_.head(); }   // Valid in and after on_request(),
    const std::string& body() const { return body_; }         // and so is this.
    void answer(std::string bytes);  // All of them, head and body. What the socket takes at once is written at once.

 private:
    enum class State { kReading, kWaiting, kAnswering };

    static void on_readable(int, short, void* self);
    static void on_writable(int, short, void* self);
    void read_some();
    void take(std::string_view bytes);
    void malformed(int code, std::string_view why);
    bool write_some();  // False: there is nothing left to do.

    const Limits limits_;
    const uint64_t number_;
    const uint64_t since_us_;
    HttpSessionOwner& owner_;
    int socket_;
    State state_ = State::kReading;
    HttpHeadParser parser_;
    bool has_head_ = false;
    std::string body_;
    std::string output_;
    size_t written_ = 0;
    EventPointer read_event_;
    EventPointer write_event_;
    LoopTimer timer_;
};

}  // namespace sandstore
