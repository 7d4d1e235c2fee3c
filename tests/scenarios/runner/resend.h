// The verb that lets a leader send what a leader of another make may send, and this one never would: entries further
// back than it needs to (one that steps back entry by entry), or a snapshot to a node that could do with entries.
//
//     resend node-2 -> node-1 entries 1 2
//     resend node-2 -> node-3 snapshot
#pragma once

#include "tests/scenarios/runner/arguments.h"

namespace sandstore {

class SimCluster;

void resend(SimCluster& cluster, Arguments& arguments);

}  // namespace sandstore
