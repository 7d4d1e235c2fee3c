// How long requests took, by what was asked and how it ended: sandstore_request_duration_seconds{api,op,code}.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "messages/common.pb.h"
#include "runtime/metrics.h"

namespace sandstore {

// The labels come from two closed sets, the operations of the api and the codes, never from what a client wrote. After
// the first request of its kind, one costs two array lookups.
class RequestMetrics {
 public:
    // `op` of observe() counts from 0 in `operations`.
    RequestMetrics(MetricsRegistry& registry, std::string api, std::vector<std::string> operations);

    void observe(size_t op, pb::StatusCode code, uint64_t took_us);

 private:
    // Places for POSIX numbers, then for Sandstore's own codes.
    static constexpr size_t kPosixCodes = 128;
    static constexpr size_t kOwnCodes = 32;
    static size_t place_of(pb::StatusCode code);
    Histogram& make(size_t op, pb::StatusCode code);

    MetricsRegistry& registry_;
    const std::string api_;
    const std::vector<std::string> operations_;
    std::vector<std::array<Histogram*, kPosixCodes + kOwnCodes>> durations_;  // By operation; null: none yet.
};

}  // namespace sandstore
