#include "services/status/history_json.h"

#include <json/json.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "runtime/text.h"
#include "services/status/status_json.h"

namespace sandstore {
namespace {

Json::Value number(uint64_t value) {
    return Json::Value(static_cast<Json::UInt64>(value));
}

uint64_t age_ms(const pb::NodeStatus& node, uint64_t uptime_us) {
    return node.uptime_us() > uptime_us ? (node.uptime_us() - uptime_us) / 1000 : 0;
}

std::string rfc3339(uint64_t wall_us) {
    const auto seconds = static_cast<time_t>(wall_us / 1'000'000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    return str_format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                      parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<int>(wall_us / 1000 % 1000));
}

std::string_view raft_role_name(pb::RoleChanged::Role role) {
    switch (role) {
        case pb::RoleChanged::LEADER:
            return "leader";
        case pb::RoleChanged::CANDIDATE:
            return "candidate";
        case pb::RoleChanged::PRE_CANDIDATE:
            return "pre-candidate";
        default:
            return "follower";
    }
}

// One column of /history: its name, and how to get it from a sample.
struct Column {
    std::string_view name;
    uint64_t (*value)(const pb::NodeStatus& node, const pb::NodeSample& sample);
};

// A rate for each second, whatever the time between two samples was.
uint64_t rate(const pb::NodeSample& sample, uint64_t count) {
    const uint64_t interval_us = sample.figures().interval_us();
    return interval_us == 0 ? 0 : (count * 1'000'000 + interval_us / 2) / interval_us;
}

using Node = pb::NodeStatus;
using Sample = pb::NodeSample;
constexpr Column kColumns[] = {
    {"number", [](const Node&, const Sample& s) -> uint64_t { return s.number(); }},
    {"age_ms", [](const Node& n, const Sample& s) { return age_ms(n, s.uptime_us()); }},
    {"term", [](const Node&, const Sample& s) -> uint64_t { return s.term(); }},
    {"last_index", [](const Node&, const Sample& s) -> uint64_t { return s.last_index(); }},
    {"commit_index", [](const Node&, const Sample& s) -> uint64_t { return s.commit_index(); }},
    {"applied_index", [](const Node&, const Sample& s) -> uint64_t { return s.applied_index(); }},
    {"requests_per_second", [](const Node&, const Sample& s) { return rate(s, s.figures().requests()); }},
    {"mutations_per_second", [](const Node&, const Sample& s) { return rate(s, s.figures().mutations()); }},
    {"mutation_p50_us", [](const Node&, const Sample& s) -> uint64_t { return s.figures().mutation_p50_us(); }},
    {"mutation_p99_us", [](const Node&, const Sample& s) -> uint64_t { return s.figures().mutation_p99_us(); }},
    {"syncs_per_second", [](const Node&, const Sample& s) { return rate(s, s.figures().syncs()); }},
    {"sync_p50_us", [](const Node&, const Sample& s) -> uint64_t { return s.figures().sync_p50_us(); }},
    {"sync_p99_us", [](const Node&, const Sample& s) -> uint64_t { return s.figures().sync_p99_us(); }},
    {"received_bytes_per_second", [](const Node&, const Sample& s) { return rate(s, s.figures().received_bytes()); }},
    {"sent_bytes_per_second", [](const Node&, const Sample& s) { return rate(s, s.figures().sent_bytes()); }},
    {"messages_per_second", [](const Node&, const Sample& s) { return rate(s, s.figures().messages()); }},
    {"loop_delay_us", [](const Node&, const Sample& s) -> uint64_t { return s.figures().loop_delay_us(); }},
};

Json::Value history_json(const pb::ClusterStatus& status) {
    Json::Value json(Json::objectValue);
    json["columns"] = Json::Value(Json::arrayValue);
    for (const Column& column : kColumns) json["columns"].append(std::string(column.name));
    json["columns"].append("role");
    json["nodes"] = Json::Value(Json::arrayValue);
    for (const pb::NodeStatus& node : status.nodes()) {
        Json::Value samples(Json::arrayValue);
        for (const pb::NodeSample& sample : node.samples()) {
            Json::Value row(Json::arrayValue);
            for (const Column& column : kColumns) row.append(number(column.value(node, sample)));
            row.append(std::string(raft_role_name(sample.role())));
            samples.append(std::move(row));
        }
        Json::Value line(Json::objectValue);
        line["id"] = node.id();
        line["up"] = node.up();
        line["uptime_ms"] = number(node.uptime_us() / 1000);
        line["samples"] = std::move(samples);
        json["nodes"].append(std::move(line));
    }
    return json;
}

Json::Value event_json(const pb::NodeStatus& node, const pb::NodeEvent& event) {
    Json::Value json(Json::objectValue);
    json["node"] = node.id();
    json["number"] = number(event.number());
    json["time"] = rfc3339(event.wall_us());
    json["age_ms"] = number(age_ms(node, event.uptime_us()));
    json["kind"] = std::string(event_kind_name(event.kind()));
    json["text"] = event.text();
    if (event.term() != 0) json["term"] = number(event.term());
    if (event.index() != 0) json["index"] = number(event.index());
    if (event.count() > 1) json["count"] = number(event.count());
    if (!event.subject().empty()) json["subject"] = event.subject();
    return json;
}

// Of all nodes, newest first.
Json::Value events_json(const pb::ClusterStatus& status) {
    struct Line {
        uint64_t age_ms;
        uint64_t number;
        const pb::NodeStatus* node;
        const pb::NodeEvent* event;
    };
    std::vector<Line> lines;
    for (const pb::NodeStatus& node : status.nodes()) {
        for (const pb::NodeEvent& event : node.events()) {
            lines.push_back({age_ms(node, event.uptime_us()), event.number(), &node, &event});
        }
    }
    std::stable_sort(lines.begin(), lines.end(), [](const Line& one, const Line& other) {
        return one.age_ms != other.age_ms ? one.age_ms < other.age_ms : one.number > other.number;
    });
    Json::Value json(Json::arrayValue);
    for (const Line& line : lines) json.append(event_json(*line.node, *line.event));
    return json;
}

std::string compact(const Json::Value& json) {
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "";
    return Json::writeString(builder, json) + "\n";
}

}  // namespace

std::string history_json_text(const pb::ClusterStatus& status) {
    return compact(history_json(status));
}

std::string events_json_text(const pb::ClusterStatus& status) {
    Json::Value json(Json::objectValue);
    json["events"] = events_json(status);
    return compact(json);
}

std::string overview_json_text(const pb::ClusterStatus& status, const std::string& self) {
    Json::Value json(Json::objectValue);
    json["self"] = self;
    json["status"] = status_json(status);
    json["history"] = history_json(status);
    json["events"] = events_json(status);
    return compact(json);
}

std::string_view event_kind_name(pb::NodeEvent::Kind kind) {
    using Event = pb::NodeEvent;
    switch (kind) {
        case Event::STARTED:
            return "started";
        case Event::LEADS:
            return "leads";
        case Event::FOLLOWS:
            return "follows";
        case Event::STANDS:
            return "stands";
        case Event::NO_LEADER:
            return "no_leader";
        case Event::MEMBERS:
            return "members";
        case Event::PEER_LOST:
            return "peer_lost";
        case Event::PEER_BACK:
            return "peer_back";
        case Event::SNAPSHOT_TAKEN:
            return "snapshot_taken";
        case Event::SNAPSHOT_INSTALLED:
            return "snapshot_installed";
        case Event::CHUNKS_MISSING:
            return "chunks_missing";
        case Event::CHUNKS_REPAIRED:
            return "chunks_repaired";
        case Event::DISK_FULL:
            return "disk_full";
        case Event::DISK_HAS_ROOM:
            return "disk_has_room";
        case Event::DISK_SLOW:
            return "disk_slow";
        case Event::DISK_ANSWERS:
            return "disk_answers";
        case Event::ETCD_LOST:
            return "etcd_lost";
        case Event::ETCD_BACK:
            return "etcd_back";
        case Event::REMOVED:
            return "removed";
        case Event::TRANSFER:
            return "transfer";
        default:
            return "unknown";
    }
}

}  // namespace sandstore
