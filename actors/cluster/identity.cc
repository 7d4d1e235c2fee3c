#include "actors/cluster/identity.h"

#include <algorithm>

#include "actors/cluster/member_record.h"
#include "actors/cluster/strict_json.h"
#include "actors/raft/storage_starts.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kFoundingSource = "founding";

std::string storage_text(uint64_t storage) {
    return str_format("%016llx", static_cast<unsigned long long>(storage));
}

// 0: it is none.
uint64_t parse_storage(const Json::Value& value) {
    constexpr size_t kDigits = 16;
    if (!value.isString()) return 0;
    const std::string text = value.asString();
    uint64_t storage = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), storage, 16);
    const bool whole = text.size() == kDigits && error == std::errc() && end == text.data() + text.size();
    return whole ? storage : 0;
}

bool parse_voters(const Json::Value& file, pb::Identity* identity) {
    const Json::Value& voters = file["bootstrap_voters"];
    if (!voters.isArray() || voters.empty() || voters.size() > kMembersMax) return false;
    for (const Json::Value& voter : voters) {
        if (!voter.isString() || !is_node_name(voter.asString())) return false;
        identity->add_bootstrap_voters(voter.asString());
    }
    const Json::Value& storages = file["storages"];
    if (storages.isNull()) return true;
    if (!storages.isObject() || storages.size() != voters.size()) return false;
    for (const std::string& voter : identity->bootstrap_voters()) {
        pb::RaftStorage* known = identity->add_storages();
        known->set_id(voter);
        known->set_storage(parse_storage(storages[voter]));
        if (known->storage() == 0) return false;
    }
    return true;
}

// Missing or a list.
bool parse_starts(const Json::Value& file, pb::Identity* identity) {
    const Json::Value& starts = file["starts"];
    if (starts.isNull()) return true;
    if (!starts.isArray() || starts.size() > kStartsKept) return false;
    for (const Json::Value& start : starts) {
        identity->add_starts(parse_storage(start));
        if (*identity->starts().rbegin() == 0) return false;
    }
    return true;
}

// Missing or true.
bool parse_mark(const Json::Value& file, const char* name, bool* mark) {
    const Json::Value& value = file[name];
    *mark = !value.isNull();
    return value.isNull() || (value.isBool() && value.asBool());
}

// Of a directory that `cluster recover` has changed.
bool parse_recovery(const Json::Value& file, pb::Identity* identity) {
    const std::optional<std::string> founding = json_string(file, "recover_founding");
    const Json::Value& recovered = file["recovered"];
    if (!founding || !(recovered.isNull() || recovered.isArray())) return false;
    identity->set_recover_founding(*founding);
    for (const Json::Value& ended : recovered) {
        if (!ended.isString()) return false;
        identity->add_recovered(ended.asString());
    }
    return true;
}

void add_recovery(const pb::Identity& identity, Json::Value* file) {
    if (!identity.recover_founding().empty()) (*file)["recover_founding"] = identity.recover_founding();
    for (const std::string& ended : identity.recovered()) (*file)["recovered"].append(ended);
}

bool parse_members(const Json::Value& file, pb::Identity* identity) {
    const std::optional<std::string> cluster_id = json_string(file, "cluster_id");
    const std::optional<std::string> node_id = json_string(file, "node_id");
    const std::optional<std::string> founding = json_string(file, "founding");
    identity->set_storage(parse_storage(file["storage_id"]));
    if (!node_id || !is_node_name(*node_id) || !cluster_id || !founding || identity->storage() == 0) return false;
    identity->set_node_id(*node_id);
    if (!parse_starts(file, identity)) return false;
    if (file["cluster_id"].isNull()) return true;  // It belongs to no cluster yet.
    identity->set_cluster_id(*cluster_id);
    identity->set_founding(*founding);
    bool joined = false;
    bool begun = false;
    bool returned = false;
    if (!is_cluster_name(*cluster_id) || !parse_mark(file, "joined", &joined) || !parse_mark(file, "begun", &begun) ||
        !parse_mark(file, "returned", &returned)) {
        return false;
    }
    identity->set_joined(joined);
    identity->set_begun(begun);
    identity->set_returned(returned);
    if (!parse_recovery(file, identity)) return false;
    return joined ? file["bootstrap_voters"].isNull() : parse_voters(file, identity);
}

}  // namespace

// Of all the rest, as json_line() has it. A file from before there were checksums has none.
static std::string checksum_of(const Json::Value& file) {
    Json::Value rest = file;
    rest.removeMember("checksum");
    return str_format("%08x", crc32c(json_line(rest)));
}

static std::string sealed(Json::Value file) {
    file["checksum"] = checksum_of(file);
    return json_line(file) + "\n";
}

std::string identity_text(const pb::Identity& identity) {
    Json::Value file(Json::objectValue);
    file["format"] = kIdentityFormat;
    file["node_id"] = identity.node_id();
    file["storage_id"] = storage_text(identity.storage());
    for (const uint64_t start : identity.starts()) file["starts"].append(storage_text(start));
    if (identity.cluster_id().empty()) return sealed(std::move(file));
    file["cluster_id"] = identity.cluster_id();
    if (!identity.founding().empty()) file["founding"] = identity.founding();
    if (identity.begun()) file["begun"] = true;
    if (identity.returned()) file["returned"] = true;
    if (identity.joined()) file["joined"] = true;
    add_recovery(identity, &file);
    for (const std::string& id : identity.bootstrap_voters()) file["bootstrap_voters"].append(id);
    for (const pb::RaftStorage& known : identity.storages())
        file["storages"][known.id()] = storage_text(known.storage());
    return sealed(std::move(file));
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
    if (file->isMember("checksum") && (*file)["checksum"] != checksum_of(*file)) {
        *error = "its checksum does not match";
        return std::nullopt;
    }
    pb::Identity identity;
    identity.set_format(kIdentityFormat);
    if (!parse_members(*file, &identity)) {
        *error = "node_id, storage_id, starts, cluster_id, bootstrap_voters or joined is missing or not valid";
        return std::nullopt;
    }
    error->clear();
    return identity;
}

std::string founding_in_force(const pb::Identity& identity) {
    return identity.recover_founding().empty() ? identity.founding() : identity.recover_founding();
}

bool was_recovered(const pb::Identity& identity) {
    return !identity.recover_founding().empty() || !identity.recovered().empty();
}

std::string recovered_founding(const pb::Identity& identity, uint64_t random) {
    return derived_cluster_id(kFoundingSource,
                              {identity.cluster_id(), identity.founding(), identity.node_id(), storage_text(random)});
}

bool is_founding(std::string_view text) {
    constexpr size_t kDigits = 16;
    if (!text.starts_with(kFoundingSource)) return false;
    text.remove_prefix(kFoundingSource.size());
    return text.size() == 1 + kDigits && text[0] == '-' &&
           text.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
}

std::string chunk_mark_text(const ChunkMark& mark) {
    Json::Value file(Json::objectValue);
    file["format"] = kChunkMarkFormat;
    file["cluster_id"] = mark.cluster_id;
    file["node_id"] = mark.node_id;
    return json_line(file) + "\n";
}

std::optional<ChunkMark> parse_chunk_mark(std::string_view text, std::string* error) {
    const std::optional<Json::Value> file = parse_json(text, error);
    if (!file) return std::nullopt;
    if (!file->isObject() || (*file)["format"] != kChunkMarkFormat) {
        *error = str_cat("it is not of format ", kChunkMarkFormat);
        return std::nullopt;
    }
    const std::optional<std::string> cluster_id = json_string(*file, "cluster_id");
    const std::optional<std::string> node_id = json_string(*file, "node_id");
    if (!cluster_id || !node_id || !is_cluster_name(*cluster_id) || !is_node_name(*node_id)) {
        *error = "cluster_id or node_id is missing or not valid";
        return std::nullopt;
    }
    return ChunkMark{*cluster_id, *node_id};
}

std::string founding_of(const pb::Identity& identity) {
    std::vector<std::string> parts = {identity.cluster_id()};
    for (const pb::RaftStorage& known : identity.storages()) {
        parts.push_back(str_cat(known.id(), "=", storage_text(known.storage())));
    }
    std::sort(parts.begin() + 1, parts.end());
    return derived_cluster_id(kFoundingSource, parts);
}

}  // namespace sandstore
