#include "runtime/request_metrics.h"

#include <utility>

#include "runtime/check.h"

namespace sandstore {

namespace {

constexpr int kFirstOwnCode = pb::STATUS_NOT_LEADER;
constexpr std::string_view kName = "sandstore_request_duration_seconds";
constexpr std::string_view kHelp = "From a request's arrival to its answer.";
constexpr std::string_view kPrefix = "STATUS_";

// "ok", "enoent", "not_leader".
std::string code_label(pb::StatusCode code) {
    std::string name = pb::StatusCode_IsValid(code) ? pb::StatusCode_Name(code) : "STATUS_UNKNOWN";
    name.erase(0, kPrefix.size());
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return name;
}

}  // namespace

RequestMetrics::RequestMetrics(MetricsRegistry& registry, std::string api, std::vector<std::string> operations)
    : registry_(registry), api_(std::move(api)), operations_(std::move(operations)), durations_(operations_.size()) {
    registry_.declare(kName, kHelp, "histogram");
}

// A code that is not known shares the place of INTERNAL: it has no business here.
size_t RequestMetrics::place_of(pb::StatusCode code) {
    const int number = code;
    if (number >= 0 && number < static_cast<int>(kPosixCodes)) return static_cast<size_t>(number);
    const int own = number - kFirstOwnCode;
    if (own >= 0 && own < static_cast<int>(kOwnCodes)) return kPosixCodes + static_cast<size_t>(own);
    return kPosixCodes + (pb::STATUS_INTERNAL - kFirstOwnCode);
}

Histogram& RequestMetrics::make(size_t op, pb::StatusCode code) {
    Histogram& histogram =
        registry_.histogram(kName, kHelp, {{"api", api_}, {"op", operations_[op]}, {"code", code_label(code)}});
    durations_[op][place_of(code)] = &histogram;
    return histogram;
}

void RequestMetrics::observe(size_t op, pb::StatusCode code, uint64_t took_us) {
    SANDSTORE_CHECK(op < durations_.size(), "op=", op, " of ", api_);
    Histogram* known = durations_[op][place_of(code)];
    (known != nullptr ? *known : make(op, code)).observe_us(took_us);
}

}  // namespace sandstore
