// Judges a recorded history: is what was answered in each directory linearizable (tests/sim/linearizability.h), and do
// the journals hold everything that was acknowledged, once, and nothing that was refused?
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/history/history.h"

namespace sandstore {

struct HistoryVerdict {
    size_t directories = 0;
    size_t not_linearizable = 0;
    size_t undecided = 0;       // Too many possible orders: not proven, so not good enough.
    uint64_t acknowledged = 0;  // In the journals,
    uint64_t lost = 0;          // and not there at the end.
    uint64_t doubled = 0;       // There twice; or a file that only one operation makes was there before it.
    uint64_t alien = 0;         // There, although it was refused or never asked for.
    uint64_t absurd = 0;
    std::vector<std::string> problems;  // Sentences; the first of each kind in full.

    bool good() const { return problems.empty(); }
};

HistoryVerdict judge(const RecordedHistory& history, size_t files, size_t states_max = 1'000'000);

// One JSON object in one line.
std::string to_json(const RecordedHistory& history, const HistoryVerdict& verdict);

}  // namespace sandstore
