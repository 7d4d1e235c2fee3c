// Parts of LogStore that only its own files see.
#pragma once

#include <vector>

#include "actors/log/log_store.h"
#include "runtime/metrics.h"

namespace sandstore {

struct LogStore::Metrics {
    explicit Metrics(MetricsRegistry& registry);
    Histogram& sync_seconds;
    Counter& bytes;
    Counter& blocks;
    Counter& records;
    Counter& writes;
    Counter& segments_made;
    Gauge& segments;
    Gauge& last_index;
};

struct LogStore::PendingRead {
    // Records that lie back to back in the bytes read.
    struct Run {
        size_t offset = 0;
        size_t bytes = 0;
    };
    ReplyTo reply_to;
    DiskCall call;
    uint64_t first_index = 0;
    uint32_t record_count = 0;
    uint64_t last_term = 0;
    uint64_t read_bytes = 0;
    std::vector<Run> runs;
};

}  // namespace sandstore
