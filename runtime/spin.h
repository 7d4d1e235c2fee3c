// Looking for the next work a little longer before going to sleep. To wake a sleeping thread costs the one that wakes
// it a system call, and the work some ten microseconds until a processor has it; a processor that has nothing else to
// do can save both.
//
// It adapts: only after a wait that was short is the next one expected to be short, too. So a thread with nothing to do
// spins once and then sleeps, and one that is kept busy by waits of a few microseconds does not sleep at all.
#pragma once

#include <chrono>
#include <cstdint>

namespace sandstore {

template <typename Clock>
class BasicSpin {
 public:
    explicit BasicSpin(uint64_t limit_us) : limit_(limit_us) {}  // 0: never.

    bool expects_work() const { return expects_work_; }  // So wait() would look.
    // Calls `look` until it says that there is work, or the time is over. False: sleep, and then call slept().
    template <typename Look>
    bool wait(Look look) {
        if (limit_.count() == 0) return false;
        begun_ = Clock::now();
        while (expects_work_) {
            if (look()) return true;
            expects_work_ = Clock::now() - begun_ < limit_;
        }
        return false;
    }
    void slept() {
        if (limit_.count() != 0) expects_work_ = Clock::now() - begun_ < limit_;
    }

 private:
    std::chrono::microseconds limit_;
    typename Clock::time_point begun_;
    bool expects_work_ = false;
};

using Spin = BasicSpin<std::chrono::steady_clock>;

}  // namespace sandstore
