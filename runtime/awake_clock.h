// A clock for programs that people stop (^Z and `fg`, a machine that sleeps): what passed since it was last read does
// not count when that was longer than the process meant to wait. So no deadline passes that could not be kept: what was
// asked before may have been answered long ago, and the answer lies in the socket.
//
// Not for nodes: what they promise each other goes on while they are stopped.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/dispatcher.h"

namespace sandstore {

class AwakeClock final : public Clock {
 public:
    // So much later than it was meant to, a process may come back without having been stopped: machines are busy.
    static constexpr uint64_t kLateUs = 1'000'000;

    explicit AwakeClock(const Clock& clock) : clock_(clock), seen_us_(clock.monotonic_us()) {}

    uint64_t monotonic_us() const override {
        const uint64_t now_us = clock_.monotonic_us();
        const uint64_t expected_us = std::max(seen_us_, waits_until_us_) + kLateUs;
        if (now_us > expected_us) lost_us_ += now_us - seen_us_;
        seen_us_ = now_us;
        waits_until_us_ = 0;
        return now_us - lost_us_;
    }
    uint64_t wall_us() const override { return clock_.wall_us(); }
    // The process is about to wait, until then at most (in this clock's time; UINT64_MAX: for as long as it takes).
    void waits_until(uint64_t at_us) { waits_until_us_ = std::min(at_us, UINT64_MAX / 2) + lost_us_; }

 private:
    const Clock& clock_;
    mutable uint64_t seen_us_;
    mutable uint64_t waits_until_us_ = 0;  // By clock_.
    mutable uint64_t lost_us_ = 0;
};

}  // namespace sandstore
