// What the operating system says of this process, and what software it is, as metrics. For the side of a node that is
// not actors: it reads /proc and the clock whenever the metrics are asked for.
#pragma once

#include <functional>
#include <string>

namespace sandstore {

class MetricsRegistry;

struct SoftwareFacts {
    std::string version;
    std::string commit;
    std::string profile;
};

// `wall_us` is the node's own wall clock, by which others can see how far it is off.
void add_process_metrics(MetricsRegistry& registry, const SoftwareFacts& software, std::function<uint64_t()> wall_us);

}  // namespace sandstore
