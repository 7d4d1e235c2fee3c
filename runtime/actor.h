// What actors are made of. An actor owns its state, is entered by one message at a time on the reactor thread, and
// reaches the world only through the Context it is handed. It is built without arguments and learns its configuration
// from its Start message, so that a recorded inbox is enough to build and run it again.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "runtime/logging.h"
#include "runtime/message.h"

namespace sandstore {

class MetricsRegistry;

using TimerId = uint64_t;    // 0 is never a timer.
using RequestId = uint64_t;  // 0 is never a request.

// Valid during one receive() only.
class Context {
 public:
    virtual ~Context() = default;

    // --- Inputs: constant during one delivery -----------------------------------------------------------------------
    virtual uint64_t now_us() const = 0;   // Monotonic; starts anywhere.
    virtual uint64_t wall_us() const = 0;  // Since 1970; may jump.
    virtual LocalAddress self() const = 0;
    virtual uint64_t random() = 0;  // This actor's own stream.

    // --- Effects ----------------------------------------------------------------------------------------------------
    // Fire and forget. What cannot be delivered is counted and logged.
    virtual void send(const Address& to, Message message) = 0;
    // A request. It ends exactly once, with a message whose reply_to is the id returned: the reply, or RequestFailed
    // (DEADLINE_EXCEEDED, UNAVAILABLE, RESOURCE_EXHAUSTED). Late replies are dropped and counted.
    virtual RequestId ask(const Address& to, Message message, uint64_t timeout_us) = 0;
    // Answers a request. Does nothing when request_id is 0.
    virtual void reply(const ReplyTo& to, Message message) = 0;
    virtual TimerId arm_timer(uint64_t delay_us, uint32_t tag, uint64_t data = 0) = 0;
    virtual void cancel_timer(TimerId timer) = 0;  // 0 and timers that fired are fine.
    // The process must not go on (failed sync, unusable data). The current handler should return at once; no further
    // message is delivered. `reason` is a sentence for the operator.
    virtual void fail_stop(std::string reason) = 0;

    // --- Not part of the behaviour: never recorded in traces
    virtual bool log_enabled(LogLevel level) const = 0;
    virtual void log(LogLevel level, std::string_view text, std::initializer_list<LogField> fields = {}) = 0;
    virtual MetricsRegistry& metrics() = 0;

    void debug(std::string_view text, std::initializer_list<LogField> f = {}) { log(LogLevel::kDebug, text, f); }
    void info(std::string_view text, std::initializer_list<LogField> f = {}) { log(LogLevel::kInfo, text, f); }
    void warn(std::string_view text, std::initializer_list<LogField> f = {}) { log(LogLevel::kWarning, text, f); }
    void error(std::string_view text, std::initializer_list<LogField> f = {}) { log(LogLevel::kError, text, f); }

    // For the default branch of an actor's switch: counts and logs it, and answers a request with INVALID_ARGUMENT.
    void unexpected(const Message& message);
};

class Actor {
 public:
    virtual ~Actor() = default;
    // Handles one message: a switch on the envelope's body case, one handler for each message, named on_<message>.
    virtual void receive(Message message, Context& context) = 0;
};

// A door to the outside world, addressed like an actor (PORT_...). Reactor thread only.
class Port {
 public:
    virtual ~Port() = default;
    virtual void handle(Message message) = 0;
};

// What the runtime offers to ports.
class PortHost {
 public:
    virtual ~PortHost() = default;
    virtual uint64_t now_us() const = 0;
    virtual uint64_t wall_us() const = 0;
    // Into the mailbox of a local actor (the envelope's to_* fields; to_node is ignored). From outside a turn.
    virtual void deliver(Message message) = 0;
    // Fills in the addresses and delivers.
    virtual void reply(const ReplyTo& to, LocalAddress from, Message message) = 0;
    // Fails every open request of local actors that was sent to this node id with UNAVAILABLE.
    virtual void node_unreachable(std::string_view node, std::string_view why) = 0;
    // From handle(): something waits for the loop that others wait for. It gets its turn after this actor's, before the
    // messages that are left.
    virtual void hurry() {}
    virtual Logger& logger() = 0;
    virtual MetricsRegistry& metrics() = 0;
};

}  // namespace sandstore
