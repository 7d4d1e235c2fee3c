// Owning handles for libevent's objects. Loop thread only, as everything in net/.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace sandstore {

struct EventFree {
    void operator()(event* e) const { event_free(e); }
};
using EventPointer = std::unique_ptr<event, EventFree>;

// A one-shot timer. May be started, stopped and destroyed from its own callback; destroying it cancels it.
class LoopTimer {
 public:
    LoopTimer(event_base* base, std::function<void()> callback);
    LoopTimer(const LoopTimer&) = delete;
    LoopTimer& operator=(const LoopTimer&) = delete;

    void start_us(uint64_t delay_us);  // Replaces an earlier start. 0: in the next loop turn.
    void stop();
    bool running() const;

 private:
    static void fire(int fd, short what, void* self);

    std::shared_ptr<const std::function<void()>> callback_;  // Shared: survives the timer's end in its own callback.
    EventPointer event_;
};

}  // namespace sandstore
