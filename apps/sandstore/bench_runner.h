// Runs a workload with so many clients for so long: a closed loop, each client with one operation under way, all of
// them on one event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/sandstore/bench_workload.h"
#include "apps/sandstore/latency_histogram.h"

namespace sandstore {

struct BenchRow {
    std::string operation;
    LatencyHistogram latencies;  // Of the operations that succeeded.
    uint64_t bytes = 0;
    uint64_t errors = 0;
};

struct BenchRun {
    std::string workload;
    size_t clients = 0;
    uint64_t measured_us = 0;
    std::vector<BenchRow> rows;
    std::string first_error;  // Empty: none.

    BenchRow total() const;
};

// The first part of the run, a fifth of the duration but at most a second, comes before it and is not counted.
Result<BenchRun> run_workload(Client& client, BenchWorkload& workload, size_t clients, uint64_t duration_us,
                              const std::function<void(uint64_t elapsed_us, uint64_t operations)>& progress);

std::string bench_table_head();
std::string bench_table_lines(const BenchRun& run);
// One object on one line, with the fields that scripts rely on; several operations are listed beside their total.
std::string bench_json(const BenchRun& run);

}  // namespace sandstore
