// Everything about a mutation or a query that can be judged without looking at the namespace. The file service asks
// before it proposes, so that no malformed command is replicated; the state machine asks again, so that its answer does
// not depend on who proposed.
#pragma once

#include "actors/state/outcome.h"
#include "messages/chunk.pb.h"
#include "messages/fs.pb.h"

namespace sandstore {

// Session, sequence and operation of a mutation.
Outcome check_mutation(const pb::Mutation& mutation);
// The operation alone.
Outcome check_operation(const pb::Mutation& mutation);
Outcome check_query(const pb::Query& query);
Outcome check_audit(const pb::ChunkAudit& audit);

}  // namespace sandstore
