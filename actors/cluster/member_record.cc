#include "actors/cluster/member_record.h"

#include <algorithm>
#include <charconv>

#include "actors/cluster/strict_json.h"
#include "runtime/names.h"
#include "runtime/random.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

bool is_name(std::string_view text, size_t bytes_max) {
    if (text.empty() || text.size() > bytes_max) return false;
    const auto alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (!alphanumeric(text.front())) return false;
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

// What came from outside, for a message: short and on one line.
std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (const char c : text.substr(0, 80)) result.push_back(static_cast<unsigned char>(c) < 0x20 ? '?' : c);
    return result + (text.size() > 80 ? "...\"" : "\"");
}

// Calls with each comma separated "name=value"; an error when one has no '='.
template <typename Use>
bool for_each_pair(std::string_view text, std::string* error, Use use) {
    for (size_t start = 0; start <= text.size();) {
        const size_t end = std::min(text.find(',', start), text.size());
        const std::string_view part = text.substr(start, end - start);
        const size_t equals = part.find('=');
        if (equals == std::string_view::npos) {
            *error = str_cat(quoted(part), " is not of the form id=value");
            return false;
        }
        if (!use(part.substr(0, equals), part.substr(equals + 1))) return false;
        start = end + 1;
    }
    return true;
}

}  // namespace

bool is_node_name(std::string_view id) {
    return is_name(id, kNodeIdBytesMax);
}

bool is_cluster_name(std::string_view id) {
    return is_name(id, kClusterNameBytesMax);
}

std::string address_problem(std::string_view address) {
    if (address.empty()) return "the address is empty";
    const size_t colon = address.rfind(':');
    if (colon == std::string_view::npos || colon == 0)
        return str_cat("the address ", quoted(address), " is not host:port");
    const std::string_view host = address.substr(0, colon);
    const std::string_view digits = address.substr(colon + 1);
    unsigned port = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (digits.empty() || failed != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535) {
        return str_cat("the port in the address ", quoted(address), " is not 1..65535");
    }
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    const bool plain = std::all_of(host.begin(), host.end(), [&](char c) {
        return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '/' && c != ',' && c != '=' && c != '@' &&
               (bracketed || c != ':');
    });
    if (!plain || host.size() > 255) return str_cat("the host in the address ", quoted(address), " is not a host name");
    return "";
}

std::optional<pb::Member> parse_member_record(std::string_view id_in_key, std::string_view text, std::string* error) {
    if (!is_node_name(id_in_key)) {
        *error = "the key does not end in a node id (letters, digits, '-', '_', '.')";
        return std::nullopt;
    }
    if (text.empty()) {
        *error = "the record is empty";
        return std::nullopt;
    }
    const std::optional<Json::Value> record = parse_json(text, error);
    if (!record) return std::nullopt;
    if (!record->isObject()) {
        *error = "the record is not a JSON object";
        return std::nullopt;
    }
    const std::optional<std::string> id = json_string(*record, "id");
    const std::optional<std::string> address = json_string(*record, "address");
    const std::optional<std::string> role = json_string(*record, "role");
    const Json::Value& metadata = (*record)["metadata"];
    const std::optional<std::string> zone =
        metadata.isNull() ? std::optional<std::string>("") : json_string(metadata, "zone");
    if (!id || !address || !role) {
        *error = "id, address and role must be strings";
    } else if (*id != id_in_key) {
        *error = str_cat("the id ", quoted(*id), " differs from the key's");
    } else if (const std::string problem = address_problem(*address); !problem.empty()) {
        *error = problem;
    } else if (*role != kMemberRole) {
        *error = str_cat("the role ", quoted(*role), " is not known here (", kMemberRole, ")");
    } else if (!zone || zone->size() > kZoneBytesMax) {
        *error = "metadata must be an object, and its zone a short string";
    } else {
        pb::Member member;
        member.set_id(*id);
        member.set_address(*address);
        member.set_role(*role);
        member.set_zone(*zone);
        return member;
    }
    return std::nullopt;
}

std::string member_record_text(const pb::Member& member) {
    Json::Value record(Json::objectValue);
    record["id"] = member.id();
    record["address"] = member.address();
    record["role"] = std::string(kMemberRole);
    record["metadata"] = Json::Value(Json::objectValue);
    if (!member.zone().empty()) record["metadata"]["zone"] = member.zone();
    return json_line(record);
}

std::optional<ClusterRecord> parse_cluster_record(std::string_view text, std::string* error) {
    if (text.empty()) {
        *error = "the record is empty";
        return std::nullopt;
    }
    const std::optional<Json::Value> record = parse_json(text, error);
    if (!record) return std::nullopt;
    const std::optional<std::string> id = json_string(*record, "id");
    if (!id || !is_cluster_name(*id)) {
        *error = "the id must be a string of letters, digits, '-', '_', '.'";
        return std::nullopt;
    }
    const Json::Value& members = (*record)["members"];
    ClusterRecord cluster{*id, {}};
    if (!members.isArray() || members.empty() || members.size() > kMembersMax) {
        *error = "members must be a list of node ids";
        return std::nullopt;
    }
    for (const Json::Value& member : members) {
        if (!member.isString() || !is_node_name(member.asString())) {
            *error = "members must be a list of node ids";
            return std::nullopt;
        }
        cluster.members.push_back(member.asString());
    }
    std::sort(cluster.members.begin(), cluster.members.end());
    if (std::adjacent_find(cluster.members.begin(), cluster.members.end()) != cluster.members.end()) {
        *error = "members names a node twice";
        return std::nullopt;
    }
    return cluster;
}

std::string cluster_record_text(const ClusterRecord& cluster) {
    Json::Value record(Json::objectValue);
    record["id"] = cluster.id;
    record["members"] = Json::Value(Json::arrayValue);
    for (const std::string& member : cluster.members) record["members"].append(member);
    return json_line(record);
}

std::optional<std::vector<pb::Member>> parse_peers(std::string_view text, std::string* error) {
    std::vector<pb::Member> members;
    const bool parsed = for_each_pair(text, error, [&](std::string_view id, std::string_view address) {
        if (!is_node_name(id)) {
            *error = str_cat(quoted(id), " is not a node id (letters, digits, '-', '_', '.')");
            return false;
        }
        *error = address_problem(address);
        if (!error->empty()) return false;
        for (const pb::Member& other : members) {
            if (other.id() != id && other.address() != address) continue;
            *error = str_cat(other.id() == id ? "the id " : "the address ", other.id() == id ? id : address,
                             " is given twice");
            return false;
        }
        pb::Member& member = members.emplace_back();
        member.set_id(std::string(id));
        member.set_address(std::string(address));
        member.set_role(std::string(kMemberRole));
        return true;
    });
    if (!parsed) return std::nullopt;
    if (members.size() > kMembersMax) {
        *error = str_cat("more than ", kMembersMax, " nodes");
        return std::nullopt;
    }
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.id() < b.id(); });
    return members;
}

bool set_zones(std::string_view text, std::vector<pb::Member>* members, std::string* error) {
    if (text.empty()) return true;
    return for_each_pair(text, error, [&](std::string_view id, std::string_view zone) {
        const auto member = std::find_if(members->begin(), members->end(), [&](const auto& m) { return m.id() == id; });
        if (member == members->end()) {
            *error = str_cat(quoted(id), " is not one of the nodes (", id_list(member_ids(*members)), ")");
            return false;
        }
        if (!is_name(zone, kZoneBytesMax)) {
            *error = str_cat(quoted(zone), " is not a zone name (letters, digits, '-', '_', '.')");
            return false;
        }
        member->set_zone(std::string(zone));
        return true;
    });
}

std::string id_list(const std::vector<std::string>& ids) {
    std::string text;
    for (const std::string& id : ids) str_append(&text, text.empty() ? "" : ", ", id);
    return text;
}

std::vector<std::string> member_ids(const std::vector<pb::Member>& members) {
    std::vector<std::string> ids;
    for (const pb::Member& member : members) ids.push_back(member.id());
    return ids;
}

std::string derived_cluster_id(std::string_view source, const std::vector<std::string>& sorted_ids) {
    uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a; mix64 spreads it over all digits.
    for (const std::string& id : sorted_ids) {
        for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        hash = (hash ^ 0xffu) * 0x100000001b3u;  // Ends an id: no byte of one.
    }
    return str_cat(source, str_format("-%016llx", static_cast<unsigned long long>(mix64(hash))));
}

bool is_derived_cluster_id(std::string_view id) {
    constexpr size_t kHashDigits = 16;
    const size_t hyphen = id.find('-');
    if (hyphen == std::string_view::npos || id.size() - hyphen - 1 != kHashDigits) return false;
    const std::string_view source = id.substr(0, hyphen);
    return (source == "static" || source == "etcd") &&
           id.substr(hyphen + 1).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace sandstore
