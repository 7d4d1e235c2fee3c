#include "services/status/http_answers.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "runtime/text.h"
#include "services/status/history_json.h"
#include "services/status/maintenance.h"
#include "services/status/readiness.h"
#include "services/status/status_json.h"

namespace sandstore {
namespace {

constexpr int kPreconditionFailed = 412, kUnavailable = 503;
constexpr uint32_t kSecondsMax = 600, kSecondsUsual = 300;
constexpr uint32_t kEventsMax = 256, kEventsUsual = 100;

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) < ' ') {
            out += ' ';
        } else {
            out += c;
        }
    }
    return out + "\"";
}

HttpAnswerText text_answer(int code, std::string body) {
    return {code, kTextType, std::move(body)};
}

HttpAnswerText json_answer(std::string body) {
    return {200, kJsonType, std::move(body)};
}

// The first line is the verdict; warnings follow.
HttpAnswerText verdict_answer(const Verdict& verdict, const pb::ClusterStatus& status, int code_of_no) {
    std::string text = verdict.why + "\n";
    for (const std::string& warning : warnings(status)) str_append(&text, "warning: ", warning, "\n");
    return text_answer(verdict.yes ? 200 : code_of_no, std::move(text));
}

HttpAnswerText ready_answer(const std::vector<ReadyCheck>& checks, const QueryParameters& query) {
    std::set<std::string_view> excluded;
    const auto [first, last] = query.equal_range("exclude");
    for (auto name = first; name != last; ++name) excluded.insert(name->second);
    std::string text, why;
    for (const ReadyCheck& check : checks) {
        const bool counts = !excluded.contains(check.name);
        str_append(&text,
                   check.warns    ? "[!] "
                   : check.passed ? "[+] "
                                  : "[-] ",
                   check.name, ": ", check.detail, counts ? "" : " (excluded)", "\n");
        if (!check.passed && counts && why.empty()) why = check.detail;
    }
    const bool verbose = query.contains("verbose");
    if (why.empty()) return text_answer(200, verbose ? text + "ready\n" : "ok\n");
    return text_answer(kUnavailable, verbose ? text + "not ready\n" : why + "\n");
}

std::vector<ReadyCheck> ready_checks_of(const pb::ClusterStatus* local_status, const std::string& error) {
    if (local_status == nullptr) return {{"status", false, error}};
    if (local_status->status().code() != pb::STATUS_OK) return {{"status", false, local_status->status().message()}};
    if (local_status->nodes().empty()) return {{"status", false, "the node does not report itself"}};
    return ready_checks(local_status->nodes(0));
}

HttpAnswerText readyz(const pb::ClusterStatus& status, const std::string&, const QueryParameters& query) {
    return ready_answer(ready_checks_of(&status, ""), query);
}

HttpAnswerText readyz_failure(const std::string& error, const QueryParameters& query) {
    return ready_answer(ready_checks_of(nullptr, error), query);
}

HttpAnswerText health(const pb::ClusterStatus& status, const std::string& self, const QueryParameters& query) {
    if (query.contains("maintenance")) return verdict_answer(may_be_stopped(status, self), status, kPreconditionFailed);
    const Verdict serves = cluster_serves(status);
    const Verdict intact = copies_are_intact(status);
    return verdict_answer(serves.yes && !intact.yes ? intact : serves, status, kUnavailable);
}

HttpAnswerText health_failure(const std::string& error, const QueryParameters& query) {
    return text_answer(query.contains("maintenance") ? kPreconditionFailed : kUnavailable, error + "\n");
}

HttpAnswerText status_answer(const pb::ClusterStatus& status, const std::string&, const QueryParameters&) {
    return json_answer(status_json_text(status));
}

HttpAnswerText history_answer(const pb::ClusterStatus& status, const std::string&, const QueryParameters&) {
    return json_answer(history_json_text(status));
}

HttpAnswerText events_answer(const pb::ClusterStatus& status, const std::string&, const QueryParameters&) {
    return json_answer(events_json_text(status));
}

HttpAnswerText overview_answer(const pb::ClusterStatus& status, const std::string& self, const QueryParameters&) {
    return json_answer(overview_json_text(status, self));
}

constexpr StatusRoute kRoutes[] = {
    {"/readyz", true, readyz, readyz_failure},  {"/healthz", true, readyz, readyz_failure},
    {"/health", false, health, health_failure}, {"/status", false, status_answer},
    {"/history", false, history_answer},        {"/events", false, events_answer},
    {"/overview", false, overview_answer},
};

// A whole number of the query, at most `most`; `usual` when it is not given.
bool number_of(const QueryParameters& query, const std::string& name, uint32_t usual, uint32_t most, uint32_t* value,
               std::string* error) {
    const auto found = query.find(name);
    *value = usual;
    if (found == query.end()) return true;
    const std::string& text = found->second;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), *value);
    if (problem == std::errc() && end == text.data() + text.size() && *value <= most) return true;
    *error = str_cat(name, " must be a number from 0 to ", most);
    return false;
}

}  // namespace

HttpAnswerText error_answer(int code, std::string_view error) {
    return {code, kJsonType, str_cat("{\"error\": ", json_text(error), "}\n")};
}

const StatusRoute* find_status_route(std::string_view path) {
    const auto found = std::ranges::find(kRoutes, path, &StatusRoute::path);
    return found == std::end(kRoutes) ? nullptr : &*found;
}

bool question_of(const StatusRoute& route, const QueryParameters& query, pb::ClusterStatusRequest* question,
                 std::string* error) {
    question->set_local(route.local);
    const auto [first, last] = query.equal_range("exclude");
    for (auto name = first; name != last; ++name) {
        if (std::ranges::find(kReadyChecks, name->second) != std::end(kReadyChecks)) continue;
        *error =
            "exclude names no check; there are status, started, leader, acknowledged, applied, disk, chunks and "
            "deletions";
        return false;
    }
    uint32_t seconds = 0, events = 0;
    if (!number_of(query, "seconds", kSecondsUsual, kSecondsMax, &seconds, error)) return false;
    if (!number_of(query, "events", kEventsUsual, kEventsMax, &events, error)) return false;
    const bool overview = route.answer == overview_answer;
    if (overview || route.answer == history_answer) question->set_samples_max(seconds);
    if (overview || route.answer == events_answer) question->set_events_max(events);
    return true;
}

}  // namespace sandstore
