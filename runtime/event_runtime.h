// The real driver: one dispatcher on one libevent loop, in one thread. Each round delivers a bounded batch of messages,
// then gives the loop one turn, so that sockets are served however many messages there are.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "runtime/awake_clock.h"
#include "runtime/dispatcher.h"
#include "runtime/spin.h"

struct event_base;
struct event;

namespace sandstore {

class SystemClock final : public Clock {
 public:
    uint64_t monotonic_us() const override;
    uint64_t wall_us() const override;
};

class EventRuntime {
 public:
    struct Options {
        std::string node_id;
        uint64_t root_seed = 0;        // 0: drawn from the system.
        const Clock* clock = nullptr;  // The system's, unless a test brings another.
        bool may_be_stopped = false;   // By people; that time does not count (awake_clock.h).
        uint64_t spin_us = 0;          // How long to look for more before sleeping (spin.h).
    };

    EventRuntime(Options options, Logger& logger, MetricsRegistry& metrics);
    ~EventRuntime();
    EventRuntime(const EventRuntime&) = delete;
    EventRuntime& operator=(const EventRuntime&) = delete;

    event_base* base() { return base_.get(); }
    Dispatcher& dispatcher() { return dispatcher_; }  // Also the PortHost for ports.
    uint64_t root_seed() const { return root_seed_; }
    // Owned from here on; destroyed before the loop, in reverse order of adding.
    template <typename SomePort>
    SomePort& own_port(LocalAddress address, std::unique_ptr<SomePort> port) {
        SomePort& reference = *port;
        dispatcher_.add_port(address, &reference);
        ports_.push_back(std::move(port));
        return reference;
    }

    // Runs until stop() or until the dispatcher stopped (see Dispatcher::stop_reason).
    void run();
    // Runs until `done` is true (looked at after each batch of messages), with a time limit. False when the limit came
    // first or the dispatcher stopped.
    bool run_until(const std::function<bool()>& done, uint64_t timeout_us);
    void stop() { stopping_ = true; }

 private:
    struct BaseDeleter {
        void operator()(event_base* base) const;
    };
    struct EventDeleter {
        void operator()(event* event) const;
    };

    const Clock& choose_clock(const Options& options);
    bool deliver();
    void poll(bool messages_left);
    uint64_t due_us();
    void sleep();
    static void on_timer(int, short, void* runtime);
    void arm_timer(uint64_t at_us);

    SystemClock system_clock_;
    std::optional<AwakeClock> awake_clock_;
    const Clock& clock_;
    uint64_t root_seed_;
    std::unique_ptr<event_base, BaseDeleter> base_;
    std::unique_ptr<event, EventDeleter> timer_;
    Dispatcher dispatcher_;
    std::vector<std::unique_ptr<Port>> ports_;
    Spin spin_;
    uint64_t armed_at_us_ = 0;  // 0: not armed.
    uint64_t limit_us_ = UINT64_MAX;
    bool stopping_ = false;
};

uint64_t random_seed_of_system();

}  // namespace sandstore
