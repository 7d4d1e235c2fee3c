// Notices what changes on this node, from what the StatusService hears anyhow, and writes it into the EventLog. A part
// of the StatusService. What changes and changes back between two looks (a second) at Raft's status goes unnoticed;
// roles, leaders, members and peers are told as they change.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "actors/cluster/event_log.h"
#include "messages/cluster.pb.h"
#include "messages/raft.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class ChangeWatch {
 public:
    void on_start(const std::string& node_id, std::string_view version, Context& context);
    void on_role(const pb::RoleChanged& role, Context& context);
    void on_configuration(const pb::ConfigurationChanged& changed, Context& context);
    void on_peer(const std::string& peer, bool up, Context& context);
    void on_raft(const pb::RaftStatus& raft, Context& context);
    void on_figures(const pb::NodeFigures& figures, Context& context);
    const EventLog& events() const { return events_; }

 private:
    pb::NodeEvent& add(pb::NodeEvent::Kind kind, std::string text, const Context& context);
    void on_snapshots(const pb::RaftStatus& before, const pb::RaftStatus& now, Context& context);

    EventLog events_;
    std::string self_;
    uint64_t started_at_us_ = 0;
    std::optional<pb::RoleChanged> role_;
    std::optional<pb::RaftConfiguration> configuration_;
    std::set<std::string> lost_;  // Peers that were connected, and are not.
    std::set<std::string> met_;   // Peers that were connected at some time.
    std::optional<pb::RaftStatus> raft_;
    std::optional<pb::NodeFigures> figures_;
};

}  // namespace sandstore
