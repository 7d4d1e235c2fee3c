#include "net/event_handle.h"

#include <sys/time.h>

namespace sandstore {

LoopTimer::LoopTimer(event_base* base, std::function<void()> callback)
    : callback_(std::make_shared<const std::function<void()>>(std::move(callback))),
      event_(event_new(base, -1, 0, &LoopTimer::fire, this)) {}

void LoopTimer::start_us(uint64_t delay_us) {
    timeval delay;
    delay.tv_sec = static_cast<time_t>(delay_us / 1'000'000);
    delay.tv_usec = static_cast<suseconds_t>(delay_us % 1'000'000);
    event_add(event_.get(), &delay);
}

void LoopTimer::stop() {
    event_del(event_.get());
}

bool LoopTimer::running() const {
    return event_pending(event_.get(), EV_TIMEOUT, nullptr) != 0;
}

void LoopTimer::fire(int, short, void* self) {
    const auto callback = static_cast<LoopTimer*>(self)->callback_;
    (*callback)();
}

}  // namespace sandstore
