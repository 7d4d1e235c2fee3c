#include "actors/cluster/view_cache.h"

#include <algorithm>

#include "actors/cluster/member_record.h"
#include "actors/cluster/strict_json.h"

namespace sandstore {

std::string view_cache_text(const pb::ClusterView& view) {
    Json::Value file(Json::objectValue);
    file["format"] = kViewCacheFormat;
    file["cluster_id"] = view.cluster_id();
    file["bootstrap_members"] = Json::Value(Json::arrayValue);
    for (const std::string& id : view.bootstrap_members()) file["bootstrap_members"].append(id);
    file["members"] = Json::Value(Json::arrayValue);
    for (const pb::Member& member : view.members()) {
        Json::Value entry(Json::objectValue);
        entry["id"] = member.id();
        entry["address"] = member.address();
        entry["role"] = member.role();
        entry["zone"] = member.zone();
        file["members"].append(entry);
    }
    return json_line(file) + "\n";
}

std::optional<pb::ClusterView> parse_view_cache(std::string_view text, std::string* error) {
    const std::optional<Json::Value> file = parse_json(text, error);
    if (!file) return std::nullopt;
    *error = "not of the expected form";
    if (!file->isObject() || !(*file)["format"].isInt() || (*file)["format"].asInt() != kViewCacheFormat) {
        return std::nullopt;
    }
    const std::optional<std::string> cluster_id = json_string(*file, "cluster_id");
    const Json::Value& members = (*file)["members"];
    const Json::Value& bootstrap = (*file)["bootstrap_members"];
    if (!cluster_id || !members.isArray() || !bootstrap.isArray()) return std::nullopt;
    if (members.size() > kMembersMax || bootstrap.size() > kMembersMax) return std::nullopt;
    pb::ClusterView view;
    view.set_cluster_id(*cluster_id);
    view.set_from_cache(true);
    for (const Json::Value& id : bootstrap) {
        if (!id.isString() || !is_node_name(id.asString())) return std::nullopt;
        view.add_bootstrap_members(id.asString());
    }
    for (const Json::Value& entry : members) {
        const std::optional<std::string> id = json_string(entry, "id");
        const std::optional<std::string> address = json_string(entry, "address");
        const std::optional<std::string> role = json_string(entry, "role");
        const std::optional<std::string> zone = json_string(entry, "zone");
        if (!id || !address || !role || !zone) return std::nullopt;
        if (!is_node_name(*id) || !address_problem(*address).empty()) return std::nullopt;
        pb::Member* member = view.add_members();
        member->set_id(*id);
        member->set_address(*address);
        member->set_role(*role);
        member->set_zone(*zone);
    }
    error->clear();
    return view;
}

bool same_view(const pb::ClusterView& a, const pb::ClusterView& b) {
    const auto same_member = [](const pb::Member& x, const pb::Member& y) {
        return x.id() == y.id() && x.address() == y.address() && x.role() == y.role() && x.zone() == y.zone();
    };
    return a.cluster_id() == b.cluster_id() &&
           std::equal(a.members().begin(), a.members().end(), b.members().begin(), b.members().end(), same_member) &&
           std::equal(a.bootstrap_members().begin(), a.bootstrap_members().end(), b.bootstrap_members().begin(),
                      b.bootstrap_members().end());
}

}  // namespace sandstore
