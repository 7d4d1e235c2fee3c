#include "runtime/event_runtime.h"

#include <event2/event.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <stdexcept>

namespace sandstore {

namespace {

constexpr size_t kMessagesPerRound = 256;
constexpr uint64_t kRoundBudgetUs = 1'000;

uint64_t read_clock(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_nsec) / 1'000;
}

event_base* make_base() {
    event_config* config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);  // One thread; workers wake the loop through eventfds.
    event_base* base = event_base_new_with_config(config);
    event_config_free(config);
    if (base == nullptr) throw std::runtime_error("libevent could not make an event loop");
    return base;
}

}  // namespace

// A machine that was suspended must find its leases and promises over: CLOCK_MONOTONIC stands still meanwhile.
// libevent's own timers go by that one; they only wake the loop, and what is due is decided by this.
uint64_t SystemClock::monotonic_us() const {
    return read_clock(CLOCK_BOOTTIME);
}
uint64_t SystemClock::wall_us() const {
    return read_clock(CLOCK_REALTIME);
}

uint64_t random_seed_of_system() {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != static_cast<ssize_t>(sizeof(seed))) {
        throw std::runtime_error("the system gives no random numbers");
    }
    return seed;
}

void EventRuntime::BaseDeleter::operator()(event_base* base) const {
    event_base_free(base);
}
void EventRuntime::EventDeleter::operator()(event* event) const {
    event_free(event);
}

EventRuntime::EventRuntime(Options options, Logger& logger, MetricsRegistry& metrics)
    : clock_(choose_clock(options)),
      root_seed_(options.root_seed != 0 ? options.root_seed : random_seed_of_system()),
      base_(make_base()),
      timer_(evtimer_new(base_.get(), &EventRuntime::on_timer, this)),
      dispatcher_({options.node_id, root_seed_}, clock_, logger, metrics),
      spin_(options.spin_us) {}

const Clock& EventRuntime::choose_clock(const Options& options) {
    const Clock& clock = options.clock != nullptr ? *options.clock : system_clock_;
    return options.may_be_stopped ? awake_clock_.emplace(clock) : clock;
}

EventRuntime::~EventRuntime() {
    while (!ports_.empty()) ports_.pop_back();
}

// libevent's clock is coarse: it may fire some milliseconds before our clock says so. Then poll() arms it again.
void EventRuntime::on_timer(int, short, void* runtime) {
    static_cast<EventRuntime*>(runtime)->armed_at_us_ = 0;
}

void EventRuntime::arm_timer(uint64_t at_us) {
    if (at_us == armed_at_us_) return;
    armed_at_us_ = at_us;
    const uint64_t now_us = clock_.monotonic_us();
    const uint64_t delay_us = at_us > now_us ? at_us - now_us : 0;
    const timeval delay{static_cast<time_t>(delay_us / 1'000'000), static_cast<suseconds_t>(delay_us % 1'000'000)};
    evtimer_add(timer_.get(), &delay);
}

bool EventRuntime::deliver() {
    dispatcher_.fire_due();
    return dispatcher_.run(kMessagesPerRound, kRoundBudgetUs);
}

// One turn of the loop: without waiting when messages are left, else until something happens or is due.
void EventRuntime::poll(bool messages_left) {
    if (messages_left) {
        event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    dispatcher_.flush_recorder();
    const bool spins = spin_.expects_work();
    spin_.wait([this] {
        event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return dispatcher_.has_work() || stopping_ || due_us() <= clock_.monotonic_us();
    });
    // A callback may have done what run_until() waits for: nobody sleeps right after having spun.
    if (!spins) sleep();
}

uint64_t EventRuntime::due_us() {
    return std::min(dispatcher_.next_due_us().value_or(UINT64_MAX), limit_us_);
}

void EventRuntime::sleep() {
    uint64_t until_us = due_us();
    const uint64_t now_us = clock_.monotonic_us();
    if (until_us <= now_us) {
        event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    if (awake_clock_) until_us = std::min(until_us, now_us + AwakeClock::kWaitMaxUs);
    if (until_us != UINT64_MAX) arm_timer(until_us);
    event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
    spin_.slept();
}

void EventRuntime::run() {
    run_until([] { return false; }, UINT64_MAX);
    dispatcher_.flush_recorder();
}

bool EventRuntime::run_until(const std::function<bool()>& done, uint64_t timeout_us) {
    stopping_ = false;
    limit_us_ = timeout_us == UINT64_MAX ? UINT64_MAX : clock_.monotonic_us() + timeout_us;
    bool reached = done();
    while (!reached && !stopping_ && !dispatcher_.stop_reason() && clock_.monotonic_us() < limit_us_) {
        const bool messages_left = deliver();
        // What was delivered may be all that was waited for.
        reached = done();
        if (!reached && !stopping_ && !dispatcher_.stop_reason()) poll(messages_left);
    }
    limit_us_ = UINT64_MAX;
    return reached;
}

}  // namespace sandstore
