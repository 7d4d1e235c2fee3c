// A clock for programs that people stop (^Z and `fg`, a machine that sleeps): when it was not read for longer than a
// second, the time since then does not count. So a longer stop passes no deadline: what was asked before may have been
// answered long ago, and the answer lies in the socket.
//
// A process that uses it reads it at least every half second while it runs: its loop sees to that (kWaitMaxUs). What a
// callback takes longer for does not count either.
//
// Not for nodes: what they promise each other goes on while they are stopped.
#pragma once

#include <cstdint>

#include "runtime/dispatcher.h"

namespace sandstore {

class AwakeClock final : public Clock {
 public:
    static constexpr uint64_t kStoppedUs = 1'000'000;  // Not read for longer.
    static constexpr uint64_t kWaitMaxUs = kStoppedUs / 2;

    explicit AwakeClock(const Clock& clock) : clock_(clock), seen_us_(clock.monotonic_us()) {}

    uint64_t monotonic_us() const override {
        const uint64_t now_us = clock_.monotonic_us();
        if (now_us > seen_us_ + kStoppedUs) lost_us_ += now_us - seen_us_;
        seen_us_ = now_us;
        return now_us - lost_us_;
    }
    uint64_t wall_us() const override { return clock_.wall_us(); }

 private:
    const Clock& clock_;
    mutable uint64_t seen_us_;
    mutable uint64_t lost_us_ = 0;
};

}  // namespace sandstore
