#include "actors/cluster/event_log.h"

#include <algorithm>
#include <utility>

namespace sandstore {

void EventLog::stamp(pb::NodeEvent& event, uint64_t started_at_us, const Context& context) {
    event.set_number(++last_number_);
    event.set_uptime_us(context.now_us() - started_at_us);
    event.set_wall_us(context.wall_us());
}

pb::NodeEvent& EventLog::add(pb::NodeEvent::Kind kind, std::string text, uint64_t started_at_us,
                             const Context& context) {
    if (events_.size() >= kEventsMax) events_.pop_front();
    pb::NodeEvent& event = events_.emplace_back();
    stamp(event, started_at_us, context);
    event.set_kind(kind);
    event.set_count(1);
    event.set_text(std::move(text));
    return event;
}

pb::NodeEvent* EventLog::repeat(pb::NodeEvent::Kind kind, uint64_t started_at_us, const Context& context) {
    if (events_.empty() || events_.back().kind() != kind) return nullptr;
    pb::NodeEvent& event = events_.back();
    stamp(event, started_at_us, context);
    event.set_count(event.count() + 1);
    return &event;
}

void EventLog::copy_newest(size_t events_max, pb::NodeStatus* line) const {
    const size_t skipped = events_.size() - std::min(events_.size(), events_max);
    for (size_t i = skipped; i < events_.size(); ++i) *line->add_events() = events_[i];
}

}  // namespace sandstore
