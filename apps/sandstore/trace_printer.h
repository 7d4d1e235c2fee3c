// A trace as text, one line for each delivery and each effect below it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "runtime/message.h"

namespace sandstore {

class TraceReader;

struct TraceSelection {
    pb::ActorKind actor{};  // ACTOR_NONE: all.
    uint64_t from = 0;      // Deliveries.
    uint64_t to = UINT64_MAX;
};

// Both give a sentence when the file is damaged, and print a note when it is cut off. Bodies are decoded with the
// descriptions in the trace's own header, so that a trace of another version prints as well.
std::string print_trace(TraceReader& trace, const TraceSelection& selection, std::FILE* out);
std::string print_trace_statistics(TraceReader& trace, const TraceSelection& selection, std::FILE* out);

}  // namespace sandstore
