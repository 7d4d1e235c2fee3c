// What `sandstore top` shows: a status as lines of a terminal of a given size. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "messages/cluster.pb.h"

namespace sandstore {

enum class TopOrder { kName, kRequests, kLag };

struct TopView {
    size_t width = 80;
    size_t height = 24;
    bool colors = true;
    bool unicode = true;
    bool live = true;  // The keys are shown, and the frame fills the height.
    TopOrder order = TopOrder::kName;
    uint64_t wall_us = 0;  // Now.
    std::string problem;   // Why the status is an old one; empty when it is not.
};

// At most `height` lines, each at most `width` columns wide (plus escape sequences), without newlines.
std::vector<std::string> top_frame(const pb::ClusterStatus& status, const TopView& view);

// The values as a row of bars, the newest on the right, scaled to the greatest.
std::string sparkline(const std::vector<uint64_t>& values, size_t width, bool unicode);

}  // namespace sandstore
