// What happened to this node, newest last, bounded: for the status page, `sandstore top` and GET /events. A part of the
// StatusService. It is not kept on disk: the log lines are what outlives a process.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "messages/cluster.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class EventLog {
 public:
    static constexpr size_t kEventsMax = 256;

    // The fields that matter for the kind are set on what is returned; it is valid until the next call.
    pb::NodeEvent& add(pb::NodeEvent::Kind kind, std::string text, uint64_t started_at_us, const Context& context);
    // The newest event, to be told anew with a higher count, when it is of this kind; else null.
    pb::NodeEvent* repeat(pb::NodeEvent::Kind kind, uint64_t started_at_us, const Context& context);
    // The newest ones, oldest first.
    void copy_newest(size_t events_max, pb::NodeStatus* line) const;

 private:
    void stamp(pb::NodeEvent& event, uint64_t started_at_us, const Context& context);

    std::deque<pb::NodeEvent> events_;
    uint64_t last_number_ = 0;
};

}  // namespace sandstore
