// Runs one actor again from its recorded inbox and compares what it does with what it did.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/actor.h"

namespace sandstore {

class TraceReader;

struct ReplayResult {
    uint64_t deliveries = 0;
    uint64_t effects = 0;
    bool same = true;
    std::string difference;    // The first one: delivery, what was recorded, what came now.
    std::string ending;        // The failure that ended the actor or the node, when it came again now.
    std::string note;          // "the trace is cut off at offset N" and the like.
    bool damaged = false;      // The trace itself; `note` says where.
    bool lacks_data = false;   // The first difference came after data that the trace left out; `note` says so.
    bool begins_late = false;  // The actor's life began before the trace: it cannot be run again; `note` says why.
};

enum class ReplayMode {
    kSemantic,  // Effects are compared field by field.
    kStrict,    // As bytes: for traces of the same build.
};

// Feeds every delivery that the trace holds for `address` to an actor made by `make`.
ReplayResult replay_actor(TraceReader& trace, LocalAddress address, const std::function<std::unique_ptr<Actor>()>& make,
                          ReplayMode mode = ReplayMode::kSemantic);

}  // namespace sandstore
