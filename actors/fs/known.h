// Whether this version knows all that a command says. Protobuf keeps fields that it does not know, and would pass them
// on into the log, where a newer replica acts by them and an older one does not. So the file service proposes nothing
// that holds any, and a state machine that finds some in the log stops: what it does not know came with a feature level
// that it does not know either (actors/raft/feature_level.h).
#pragma once

#include "actors/state/outcome.h"
#include "messages/fs.pb.h"

namespace sandstore {

// For the door: of everything in the mutation.
Outcome check_known(const pb::Mutation& mutation);
// For the log: of the command, the mutation and which operation it is. What the door lets through passes here.
Outcome check_known(const pb::Command& command);

}  // namespace sandstore
