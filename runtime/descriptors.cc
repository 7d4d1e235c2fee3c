#include "runtime/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace sandstore {

namespace {

constexpr uint64_t kLimitMin = 64;
constexpr uint64_t kLimitMax = uint64_t{1} << 20;  // More is of no use, and some systems say "unlimited".
constexpr uint64_t kCachedFilesMin = 4;
constexpr uint64_t kCachedFilesMax = 64;
constexpr uint64_t kDisks = 2;
constexpr uint64_t kAtWork = 16;  // Files and directories that the disks' threads have open for a request each.
constexpr uint64_t kOwn = 24;     // Standard streams, the loop, listeners, logs, links to peers, discovery.
constexpr uint64_t kHttpMax = 64;
constexpr uint64_t kHttpShare = 8;  // One part in so many of what is left.

}  // namespace

DescriptorPlan plan_descriptors(uint64_t limit) {
    limit = std::clamp(limit, kLimitMin, kLimitMax);
    DescriptorPlan plan;
    plan.limit = limit;
    plan.cached_files = std::clamp(limit / 16, kCachedFilesMin, kCachedFilesMax);
    const uint64_t below = limit - kAtWork - kDisks * plan.cached_files;
    plan.accepted_below = static_cast<int>(below);
    plan.http_connections = std::clamp<uint64_t>((below - kOwn) / kHttpShare, 1, kHttpMax);
    plan.connections = below - kOwn - plan.http_connections;
    return plan;
}

uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kLimitMin;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);  // What comes of it is asked below.
    }
    return descriptor_limit();
}

uint64_t descriptor_limit() {
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : kLimitMin;
}

}  // namespace sandstore
