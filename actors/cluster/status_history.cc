#include "actors/cluster/status_history.h"

#include <algorithm>
#include <utility>

namespace sandstore {

void StatusHistory::add(uint64_t uptime_us, pb::NodeFigures figures, const pb::RaftStatus& raft) {
    if (samples_.size() >= kSamplesMax) samples_.pop_front();
    pb::NodeSample& sample = samples_.emplace_back();
    sample.set_number(++last_number_);
    sample.set_uptime_us(uptime_us);
    *sample.mutable_figures() = std::move(figures);
    sample.set_role(raft.role());
    sample.set_term(raft.term());
    sample.set_last_index(raft.last_index());
    sample.set_commit_index(raft.commit_index());
    sample.set_applied_index(raft.applied_index());
}

void StatusHistory::copy_newest(size_t samples_max, pb::NodeStatus* line) const {
    const size_t skipped = samples_.size() - std::min(samples_.size(), samples_max);
    for (size_t i = skipped; i < samples_.size(); ++i) *line->add_samples() = samples_[i];
}

}  // namespace sandstore
