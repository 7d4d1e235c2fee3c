#include "actors/cluster/identity.h"

#include "actors/cluster/member_record.h"
#include "actors/cluster/strict_json.h"
#include "runtime/text.h"

namespace sandstore {

std::string identity_text(const pb::Identity& identity) {
    Json::Value file(Json::objectValue);
    file["format"] = kIdentityFormat;
    file["cluster_id"] = identity.cluster_id();
    file["node_id"] = identity.node_id();
    if (identity.joined()) {
        file["joined"] = true;
    } else {
        file["bootstrap_voters"] = Json::Value(Json::arrayValue);
        for (const std::string& id : identity.bootstrap_voters()) file["bootstrap_voters"].append(id);
    }
    return json_line(file) + "\n";
}

std::optional<pb::Identity> parse_identity(std::string_view text, std::string* error) {
    if (text.size() > kIdentityBytesMax) {
        *error = "it is too long";
        return std::nullopt;
    }
    const std::optional<Json::Value> file = parse_json(text, error);
    if (!file) return std::nullopt;
    if (!file->isObject() || !(*file)["format"].isInt()) {
        *error = "it has no format number";
        return std::nullopt;
    }
    if (const int format = (*file)["format"].asInt(); format != kIdentityFormat) {
        *error = str_cat("its format is ", format, ", and this version knows format ", kIdentityFormat);
        return std::nullopt;
    }
    const std::optional<std::string> cluster_id = json_string(*file, "cluster_id");
    const std::optional<std::string> node_id = json_string(*file, "node_id");
    const Json::Value& voters = (*file)["bootstrap_voters"];
    *error = "cluster_id, node_id, bootstrap_voters or joined is missing or not valid";
    if (!cluster_id || !is_cluster_name(*cluster_id) || !node_id || !is_node_name(*node_id)) return std::nullopt;
    pb::Identity identity;
    identity.set_format(kIdentityFormat);
    identity.set_cluster_id(*cluster_id);
    identity.set_node_id(*node_id);
    const Json::Value& joined = (*file)["joined"];
    if (!joined.isNull()) {
        if (!joined.isBool() || !joined.asBool() || !voters.isNull()) return std::nullopt;
        identity.set_joined(true);
        error->clear();
        return identity;
    }
    if (!voters.isArray() || voters.empty() || voters.size() > kMembersMax) return std::nullopt;
    for (const Json::Value& voter : voters) {
        if (!voter.isString() || !is_node_name(voter.asString())) return std::nullopt;
        identity.add_bootstrap_voters(voter.asString());
    }
    error->clear();
    return identity;
}

}  // namespace sandstore
