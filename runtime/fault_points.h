// What a running node can be told to suffer, so that a whole cluster can be tried: `sandstore node --debug-faults`. The
// loop's thread sets these, the disks' threads and the clock read them. Without that flag nothing points here.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/event_runtime.h"

namespace sandstore {

struct FaultPoints {
    std::atomic<uint64_t> disk_delay_us = 0;        // Each request to a disk takes so much longer.
    std::atomic<bool> disk_full = false;            // What needs more room on the disk fails with ENOSPC.
    std::atomic<int64_t> wall_clock_offset_us = 0;  // The wall clock is ahead by this; timers do not notice.
};

// Another clock, with its wall clock shifted. Both arguments outlive it.
class ShiftedClock final : public Clock {
 public:
    ShiftedClock(const FaultPoints& faults, const Clock& base) : faults_(faults), base_(base) {}
    uint64_t monotonic_us() const override { return base_.monotonic_us(); }
    uint64_t wall_us() const override {
        return static_cast<uint64_t>(static_cast<int64_t>(base_.wall_us()) + faults_.wall_clock_offset_us);
    }

 private:
    const FaultPoints& faults_;
    const Clock& base_;
};

}  // namespace sandstore
