#include "services/status/status_json.h"

#include <json/json.h>

#include <algorithm>

#include "runtime/text.h"
#include "services/status/maintenance.h"
#include "services/status/readiness.h"

namespace sandstore {
namespace {

Json::Value number(uint64_t value) {
    return Json::Value(static_cast<Json::UInt64>(value));
}

Json::Value names(const google::protobuf::RepeatedPtrField<std::string>& list) {
    Json::Value json(Json::arrayValue);
    for (const std::string& name : list) json.append(name);
    return json;
}

// Programs and logs from before there were levels say nothing.
uint32_t level_of(uint32_t said) {
    return std::max(said, 1u);
}

Json::Value peer_json(const pb::RaftPeerStatus& peer) {
    Json::Value json(Json::objectValue);
    json["id"] = peer.node_id();
    json["state"] = std::string(peer_state_name(peer.state()));
    json["learner"] = peer.learner();
    json["forgot"] = peer.forgot();
    json["reachable"] = peer.reachable();
    json["match_index"] = number(peer.match_index());
    json["next_index"] = number(peer.next_index());
    if (peer.owed_index() != 0) json["owed_index"] = number(peer.owed_index());
    if (peer.state() == pb::RaftPeerStatus::SNAPSHOT) {
        json["snapshot_bytes"] = number(peer.snapshot_bytes());
        json["snapshot_sent_bytes"] = number(peer.snapshot_sent_bytes());
    }
    return json;
}

Json::Value configuration_json(const pb::RaftStatus& raft) {
    Json::Value json(Json::objectValue);
    json["index"] = number(raft.configuration_index());
    json["voters"] = names(raft.configuration().voters());
    json["learners"] = names(raft.configuration().learners());
    json["old_voters"] = names(raft.configuration().old_voters());
    json["leaving"] = names(raft.configuration().leaving());
    json["joint"] = !raft.configuration().old_voters().empty();
    json["feature_level"] = level_of(raft.configuration().feature_level());
    json["founding"] = raft.configuration().founding();
    json["recovered"] = names(raft.configuration().recovered());
    json["starts"] = Json::Value(Json::objectValue);
    for (const pb::RaftStorage& known : raft.configuration().storages()) {
        if (known.start() == 0) continue;
        // As in identity.json.
        json["starts"][known.id()] = str_format("%016llx", static_cast<unsigned long long>(known.start()));
    }
    return json;
}

Json::Value figures_json(const pb::NodeFigures& figures) {
    const auto rate = [&](uint64_t count) {
        return number(figures.interval_us() == 0 ? 0 : count * 1'000'000 / figures.interval_us());
    };
    Json::Value json(Json::objectValue);
    json["requests_per_second"] = rate(figures.requests());
    json["mutations_per_second"] = rate(figures.mutations());
    json["mutation_p50_us"] = number(figures.mutation_p50_us());
    json["mutation_p99_us"] = number(figures.mutation_p99_us());
    json["syncs_per_second"] = rate(figures.syncs());
    json["sync_p50_us"] = number(figures.sync_p50_us());
    json["sync_p99_us"] = number(figures.sync_p99_us());
    json["received_bytes_per_second"] = rate(figures.received_bytes());
    json["sent_bytes_per_second"] = rate(figures.sent_bytes());
    json["messages_per_second"] = rate(figures.messages());
    json["loop_delay_us"] = number(figures.loop_delay_us());
    json["chunks_missing"] = number(figures.chunks_missing());
    json["chunks_repaired"] = number(figures.chunks_repaired());
    json["chunks_collected"] = number(figures.chunks_collected());
    json["etcd"] = figures.etcd() == pb::NodeFigures::ANSWERS ? "answers"
                   : figures.etcd() == pb::NodeFigures::LOST  ? "lost"
                                                              : "not used";
    return json;
}

Json::Value verdict_json(const Verdict& verdict) {
    Json::Value json(Json::objectValue);
    json["yes"] = verdict.yes;
    json["why"] = verdict.why;
    return json;
}

Json::Value copies_json(const pb::CopiesReport& report) {
    Json::Value json(Json::objectValue);
    json["rounds"] = number(report.rounds());
    json["current"] = report.current();
    json["chunks"] = number(report.chunks());
    json["promised"] = report.copies();
    json["fewer"] = number(report.fewer());
    json["none"] = number(report.none());
    json["problem"] = report.problem();
    json["nodes"] = Json::Value(Json::arrayValue);
    for (const pb::CopiesReport::Node& node : report.nodes()) {
        Json::Value line(Json::objectValue);
        line["id"] = node.node_id();
        line["counted"] = node.counted();
        line["places"] = number(node.places());
        line["last"] = number(node.last());
        json["nodes"].append(std::move(line));
    }
    return json;
}

Json::Value node_json(const pb::NodeStatus& node) {
    Json::Value json(Json::objectValue);
    json["id"] = node.id();
    json["address"] = node.address();
    json["http_address"] = node.http_address();
    json["zone"] = node.zone();
    json["role"] = std::string(role_name(node));
    json["up"] = node.up();
    json["term"] = number(node.raft().term());
    json["commit_index"] = number(node.raft().commit_index());
    json["applied_index"] = number(node.raft().applied_index());
    json["last_index"] = number(node.raft().last_index());
    json["chunks"] = number(node.chunks().chunk_count());
    json["chunk_bytes"] = number(node.chunks().chunk_bytes());
    json["volumes"] = node.chunks().volumes();
    json["garbage_bytes"] = number(node.chunks().garbage_bytes());
    json["disk_free_bytes"] = number(node.chunks().disk_free_bytes());
    json["version"] = node.version();
    json["commit"] = node.commit();
    json["profile"] = node.profile();
    json["disk_total_bytes"] = number(node.chunks().disk_total_bytes());
    json["copies"] = node.copies();
    json["figures"] = node.has_figures() ? figures_json(node.figures()) : Json::Value();
    json["uptime_seconds"] = number(node.uptime_us() / 1'000'000);
    json["detail"] = node.detail();
    const std::string why_not = not_ready(node);
    json["ready"] = why_not.empty();
    json["not_ready"] = why_not;
    json["first_index"] = number(node.raft().first_index());
    json["snapshot_index"] = number(node.raft().snapshot_index());
    json["disk_full"] = node.raft().disk_full();
    json["disk_slow"] = node.raft().disk_slow();
    json["repair_problem"] = node.repair().problem();
    json["deletions_stopped"] = node.repair().deletions_stopped();
    json["removed"] = node.raft().removed();
    json["transferring_to"] = node.raft().transferring_to();
    json["election_priority"] = node.raft().election_priority();
    json["feature_level"] = node.has_raft() ? level_of(node.raft().feature_level()) : 0;
    if (!node.raft().peers().empty()) {
        json["peers"] = Json::Value(Json::arrayValue);
        for (const pb::RaftPeerStatus& peer : node.raft().peers()) json["peers"].append(peer_json(peer));
    }
    if (node.state_hash_index() != 0) {
        // Text: JSON readers lose digits of large numbers.
        json["state_hash"] = str_format("%016llx", static_cast<unsigned long long>(node.state_hash()));
        json["state_hash_index"] = number(node.state_hash_index());
    }
    return json;
}

}  // namespace

std::string_view role_name(const pb::NodeStatus& node) {
    if (!node.up() || !node.has_raft()) return "unknown";
    const pb::RaftStatus& raft = node.raft();
    const auto& learners = raft.configuration().learners();
    switch (raft.role()) {
        case pb::RoleChanged::FOLLOWER:
            if (raft.removed()) return "removed";
            if (raft.voters().empty() && raft.first_index() > 0) return "waiting";
            if (std::find(learners.begin(), learners.end(), node.id()) != learners.end()) return "learner";
            return "follower";
        case pb::RoleChanged::PRE_CANDIDATE:
            return "pre-candidate";
        case pb::RoleChanged::CANDIDATE:
            return "candidate";
        case pb::RoleChanged::LEADER:
            return "leader";
        default:
            return "unknown";
    }
}

const pb::NodeStatus* best_informed(const pb::ClusterStatus& status) {
    const pb::NodeStatus* best = nullptr;
    for (const pb::NodeStatus& node : status.nodes()) {
        if (!node.up() || !node.has_raft() || node.raft().voters().empty()) continue;
        if (node.id() == status.leader_id()) return &node;
        if (best == nullptr || node.raft().configuration_index() > best->raft().configuration_index()) best = &node;
    }
    return best;
}

std::string feature_hint(const pb::ClusterStatus& status) {
    const pb::NodeStatus* informed = best_informed(status);
    if (informed == nullptr) return "";
    const uint32_t log = level_of(informed->raft().configuration().feature_level());
    std::string nodes;
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;
    for (const pb::NodeStatus& node : status.nodes()) {
        if (!node.up() || !node.has_raft()) continue;
        const uint32_t level = level_of(node.raft().feature_level());
        least = std::min(least, level);
        most = std::max(most, level);
        str_append(&nodes, nodes.empty() ? "" : ", ", node.id(), " knows level ", level);
    }
    if (least < most) return str_cat("feature levels differ, and the log is of level ", log, ": ", nodes);
    if (least <= log) return "";
    return str_cat("all nodes know feature level ", least, ", and the log is of level ", log,
                   ": when no node is to go back to an older version, run `sandstore cluster raise-features`");
}

std::string_view peer_state_name(pb::RaftPeerStatus::State state) {
    switch (state) {
        case pb::RaftPeerStatus::PROBE:
            return "probe";
        case pb::RaftPeerStatus::REPLICATE:
            return "replicate";
        case pb::RaftPeerStatus::SNAPSHOT:
            return "snapshot";
        default:
            return "unknown";
    }
}

Json::Value status_json(const pb::ClusterStatus& status) {
    Json::Value json(Json::objectValue);
    json["cluster_id"] = status.cluster_id();
    json["leader"] = status.leader_id().empty() ? Json::Value() : Json::Value(status.leader_id());
    json["term"] = number(status.term());
    const pb::NodeStatus* informed = best_informed(status);
    json["configuration"] = informed == nullptr ? Json::Value() : configuration_json(informed->raft());
    json["nodes"] = Json::Value(Json::arrayValue);
    json["serves"] = verdict_json(cluster_serves(status));
    json["intact"] = verdict_json(copies_are_intact(status));
    for (const pb::NodeStatus& node : status.nodes()) {
        if (node.id() == status.leader_id()) json["copies"] = copies_json(node.copies_report());
    }
    for (const pb::NodeStatus& node : status.nodes()) {
        Json::Value line = node_json(node);
        const std::optional<uint64_t> lag = lag_of(status, node);
        line["lag"] = lag ? number(*lag) : Json::Value();
        line["may_be_stopped"] = verdict_json(may_be_stopped(status, node.id()));
        json["nodes"].append(std::move(line));
    }
    return json;
}

std::string status_json_text(const pb::ClusterStatus& status) {
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "  ";
    return Json::writeString(builder, status_json(status)) + "\n";
}

}  // namespace sandstore
