// Reads the node's metrics once a second and tells the StatusService what was done since the time before. Actors write
// metrics and never read them; this is the way in which figures come back to one, as a message like any other.
#pragma once

#include <cstdint>

#include "messages/cluster.pb.h"
#include "net/event_handle.h"
#include "runtime/actor.h"
#include "runtime/metrics.h"

namespace sandstore {

class FiguresSampler {
 public:
    static constexpr uint64_t kIntervalUs = 1'000'000;

    FiguresSampler(event_base* base, PortHost& host);

    // What happened since the call before (since the start, the first time). Public for tests.
    pb::NodeFigures take();

 private:
    // The metrics of the time before.
    struct Seen {
        uint64_t at_us = 0;
        uint64_t requests = 0, failures = 0;
        uint64_t received_bytes = 0, sent_bytes = 0;
        uint64_t chunk_puts = 0, chunk_gets = 0;
        uint64_t messages = 0, slow_turns = 0;
        Histogram mutations, syncs;
    };

    Seen look() const;
    void on_timer();

    PortHost& host_;
    Seen before_;
    uint64_t due_us_ = 0;
    LoopTimer timer_;
};

}  // namespace sandstore
