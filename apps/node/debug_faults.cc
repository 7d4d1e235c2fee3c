#include "apps/node/debug_faults.h"

#include <json/value.h>

#include <optional>

#include "actors/cluster/strict_json.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr int64_t kDelayMaxMs = 60'000;                           // A worker cannot be woken from it.
constexpr int64_t kOffsetMaxMs = int64_t{10} * 365 * 86'400'000;  // Ten years.

struct Wanted {
    int64_t disk_delay_ms;
    bool disk_full;
    int64_t wall_clock_offset_ms;
};

Wanted read_faults(const FaultPoints& faults) {
    return {static_cast<int64_t>(faults.disk_delay_us) / 1000, faults.disk_full, faults.wall_clock_offset_us / 1000};
}

std::string json_of(const Wanted& wanted) {
    Json::Value json(Json::objectValue);
    json["disk_delay_ms"] = Json::Int64{wanted.disk_delay_ms};
    json["disk_full"] = wanted.disk_full;
    json["wall_clock_offset_ms"] = Json::Int64{wanted.wall_clock_offset_ms};
    return json_line(json) + "\n";
}

std::string take_number(const Json::Value& value, int64_t least, int64_t most, std::string_view name, int64_t* number) {
    if (!value.isInt64() || value.asInt64() < least || value.asInt64() > most) {
        return str_cat(name, ": expected a whole number of milliseconds from ", least, " to ", most);
    }
    *number = value.asInt64();
    return "";
}

// Empty, or what is wrong with the request.
std::string merge(const Json::Value& request, Wanted* wanted) {
    if (!request.isObject()) return "expected a JSON object";
    for (const std::string& name : request.getMemberNames()) {
        const Json::Value& value = request[name];
        std::string problem;
        if (name == "disk_delay_ms") {
            problem = take_number(value, 0, kDelayMaxMs, name, &wanted->disk_delay_ms);
        } else if (name == "wall_clock_offset_ms") {
            problem = take_number(value, -kOffsetMaxMs, kOffsetMaxMs, name, &wanted->wall_clock_offset_ms);
        } else if (name == "disk_full") {
            if (!value.isBool()) problem = "disk_full: expected true or false";
            wanted->disk_full = value.isBool() && value.asBool();
        } else {
            problem = str_cat("unknown fault ", name, "; known: disk_delay_ms, disk_full, wall_clock_offset_ms");
        }
        if (!problem.empty()) return problem;
    }
    return "";
}

HttpAnswerText refusal(const std::string& why) {
    Json::Value json(Json::objectValue);
    json["error"] = why;
    return {400, kJsonType, json_line(json) + "\n"};
}

}  // namespace

HttpHandler debug_faults_handler(FaultPoints& faults) {
    return [&faults](bool post, std::string_view body) -> HttpAnswerText {
        Wanted wanted = read_faults(faults);
        if (!post) return {200, kJsonType, json_of(wanted)};
        std::string error;
        const std::optional<Json::Value> request = parse_json(body, &error);
        if (!request) return refusal(error);
        if (const std::string problem = merge(*request, &wanted); !problem.empty()) return refusal(problem);
        faults.disk_delay_us = static_cast<uint64_t>(wanted.disk_delay_ms) * 1000;
        faults.disk_full = wanted.disk_full;
        faults.wall_clock_offset_us = wanted.wall_clock_offset_ms * 1000;
        return {200, kJsonType, json_of(wanted)};
    };
}

}  // namespace sandstore
