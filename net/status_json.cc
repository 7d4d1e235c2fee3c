#include "net/status_json.h"

#include <json/json.h>

#include "runtime/text.h"

namespace sandstore {
namespace {

Json::Value number(uint64_t value) {
    return Json::Value(static_cast<Json::UInt64>(value));
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
    json["disk_free_bytes"] = number(node.chunks().disk_free_bytes());
    json["version"] = node.version();
    json["uptime_seconds"] = number(node.uptime_us() / 1'000'000);
    json["detail"] = node.detail();
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
    switch (node.raft().role()) {
        case pb::RoleChanged::FOLLOWER:
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

Json::Value status_json(const pb::ClusterStatus& status) {
    Json::Value json(Json::objectValue);
    json["cluster_id"] = status.cluster_id();
    json["leader"] = status.leader_id().empty() ? Json::Value() : Json::Value(status.leader_id());
    json["term"] = number(status.term());
    json["nodes"] = Json::Value(Json::arrayValue);
    for (const pb::NodeStatus& node : status.nodes()) json["nodes"].append(node_json(node));
    return json;
}

std::string status_json_text(const pb::ClusterStatus& status) {
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "  ";
    return Json::writeString(builder, status_json(status)) + "\n";
}

}  // namespace sandstore
