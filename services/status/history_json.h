// What the nodes did and what happened to them as JSON: GET /history, /events, and /overview for the status page.
//
// Clocks of nodes differ and may be set, so samples and events carry their age (`age_ms`), measured by the node's own
// monotonic clock, at the time of its answer.
#pragma once

#include <string>
#include <string_view>

#include "messages/cluster.pb.h"

namespace sandstore {

std::string history_json_text(const pb::ClusterStatus& status);
std::string events_json_text(const pb::ClusterStatus& status);
// Status, history and events together; `self` is the node that answers.
std::string overview_json_text(const pb::ClusterStatus& status, const std::string& self);

std::string_view event_kind_name(pb::NodeEvent::Kind kind);  // "leads", "peer_lost", ...

}  // namespace sandstore
