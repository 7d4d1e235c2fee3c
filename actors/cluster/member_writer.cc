#include "actors/cluster/member_writer.h"

#include <json/value.h>

#include <algorithm>
#include <optional>

#include "actors/cluster/base64.h"
#include "actors/cluster/etcd_range.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/strict_json.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr int kAttemptsMax = 5;  // Others may write at the same time; each attempt starts from what is there then.

std::string key_of(const pb::Member& member) {
    return str_cat(kNodesPrefix, member.id());
}

bool same_record(const pb::Member& wanted, const std::string& text) {
    std::string error;
    const std::optional<pb::Member> found = parse_member_record(wanted.id(), text, &error);
    return found && found->address() == wanted.address() && found->role() == wanted.role() &&
           found->zone() == wanted.zone();
}

const EtcdRecord* find_record(const std::vector<EtcdRecord>& records, std::string_view key) {
    const auto found = std::find_if(records.begin(), records.end(), [&](const auto& r) { return r.key == key; });
    return found == records.end() ? nullptr : &*found;
}

// Puts `records` if none of their keys exists, and `seen` still has the values seen.
std::string transaction(const std::vector<EtcdRecord>& records, const std::vector<EtcdRecord>& seen) {
    Json::Value txn(Json::objectValue);
    for (const EtcdRecord& record : records) {
        Json::Value absent(Json::objectValue);
        absent["key"] = base64_encode(record.key);
        absent["target"] = "CREATE";
        absent["result"] = "EQUAL";
        absent["create_revision"] = "0";
        txn["compare"].append(absent);
        Json::Value put(Json::objectValue);
        put["request_put"]["key"] = base64_encode(record.key);
        put["request_put"]["value"] = base64_encode(record.value);
        txn["success"].append(put);
    }
    for (const EtcdRecord& record : seen) {
        Json::Value same(Json::objectValue);
        same["key"] = base64_encode(record.key);
        same["target"] = "VALUE";
        same["result"] = "EQUAL";
        same["value"] = base64_encode(record.value);
        txn["compare"].append(same);
    }
    return json_line(txn);
}

std::string delete_hint(std::string_view key) {
    return str_cat("if the new one is meant, remove the old one with `etcdctl del ", key, "` and run this again");
}

}  // namespace

MemberWriter::Result MemberWriter::write(const ClusterPlan& plan) {
    for (int attempt_number = 0; attempt_number < kAttemptsMax; ++attempt_number) {
        bool again = false;
        Result result = attempt(plan, &again);
        if (!again) return result;
    }
    return {Outcome::kFailed, "somebody else keeps changing the records: run this again when that is over"};
}

std::string MemberWriter::compare(const ClusterPlan& plan, const std::vector<EtcdRecord>& there,
                                  Difference* difference) {
    std::string error;
    const std::vector<std::string> ids = member_ids(plan.members);
    if (const EtcdRecord* record = find_record(there, kClusterKey)) {
        const std::optional<ClusterRecord> cluster = parse_cluster_record(record->value, &error);
        if (!cluster) {
            return str_cat("the record ", kClusterKey, " is not valid (", error, "): ", delete_hint(kClusterKey));
        }
        if (cluster->members != ids || (!plan.cluster_id.empty() && cluster->id != plan.cluster_id)) {
            return str_cat("etcd already has another cluster, ", cluster->id, " of ", id_list(cluster->members),
                           ": use another etcd; or ", delete_hint(kClusterKey),
                           " (who votes in a cluster that has started does not change by that)");
        }
        difference->seen.push_back(*record);
    } else {
        const std::string& id = plan.cluster_id.empty() ? plan.new_cluster_id : plan.cluster_id;
        difference->missing.push_back({std::string(kClusterKey), cluster_record_text({id, ids})});
    }
    for (const pb::Member& member : plan.members) {
        const EtcdRecord* record = find_record(there, key_of(member));
        if (record == nullptr) {
            difference->missing.push_back({key_of(member), member_record_text(member)});
        } else if (same_record(member, record->value)) {
            difference->seen.push_back(*record);
        } else {
            return str_cat("the record ", record->key, " has another content: ", record->value, ": ",
                           delete_hint(record->key));
        }
    }
    return "";
}

MemberWriter::Result MemberWriter::attempt(const ClusterPlan& plan, bool* again) {
    std::string answer;
    std::string error;
    if (!call_("/v3/kv/range", etcd_range_body(kConfigPrefix), &answer)) {
        return {Outcome::kFailed, "no answer of etcd that is of use: nothing was written"};
    }
    const std::optional<std::vector<EtcdRecord>> there = parse_etcd_range(answer, &error);
    if (!there) return {Outcome::kFailed, str_cat("etcd's answer makes no sense: ", error)};
    Difference difference;
    if (std::string conflict = compare(plan, *there, &difference); !conflict.empty()) {
        return {Outcome::kConflict, std::move(conflict)};
    }
    if (difference.missing.empty()) return {Outcome::kUnchanged, "the records are there already: nothing changed"};

    if (!call_("/v3/kv/txn", transaction(difference.missing, difference.seen), &answer)) {
        return {Outcome::kFailed, "etcd does not answer: run this again"};
    }
    const std::optional<Json::Value> outcome = parse_json(answer, &error);
    if (!outcome || !outcome->isObject()) return {Outcome::kFailed, str_cat("etcd's answer makes no sense: ", error)};
    if (outcome->isMember("error")) {
        return {Outcome::kFailed, str_cat("etcd refuses the records: ", json_line((*outcome)["error"]))};
    }
    // False is left out by the gateway.
    const Json::Value& succeeded = (*outcome)["succeeded"];
    *again = !succeeded.isBool() || !succeeded.asBool();
    std::vector<std::string> written;
    for (const EtcdRecord& record : difference.missing) written.push_back(record.key);
    return {Outcome::kWritten, str_cat("wrote ", id_list(written))};
}

}  // namespace sandstore
