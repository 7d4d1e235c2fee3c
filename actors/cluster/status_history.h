// What this node did in each of the last ten minutes' seconds, in memory: for the curves of the status page. A part of
// the StatusService.
#pragma once

#include <cstdint>
#include <deque>

#include "messages/cluster.pb.h"

namespace sandstore {

class StatusHistory {
 public:
    static constexpr size_t kSamplesMax = 600;

    void add(uint64_t uptime_us, pb::NodeFigures figures, const pb::RaftStatus& raft);
    // Oldest first.
    void copy_newest(size_t samples_max, pb::NodeStatus* line) const;
    const pb::NodeFigures* newest() const { return samples_.empty() ? nullptr : &samples_.back().figures(); }

 private:
    std::deque<pb::NodeSample> samples_;
    uint64_t last_number_ = 0;
};

}  // namespace sandstore
