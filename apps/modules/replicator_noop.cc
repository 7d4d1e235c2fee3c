// REPLICATOR=noop: one node alone. What is durable in its log is committed.
#include <gflags/gflags.h>

#include "actors/raft/noop_replicator.h"
#include "apps/modules/modules.h"
#include "runtime/event_runtime.h"

DEFINE_string(replicator, "noop", "a single node without replication: this build has nothing else");

namespace sandstore {

namespace {

const FlagRule kReplicatorRule("replicator", one_of({"noop"}));

void read_flags(NodeOptions* options) {
    options->single_node = true;
    options->copies = 1;
}

void add_to_node(EventRuntime& runtime, const NodeOptions&) {
    runtime.dispatcher().add_actor({{pb::ACTOR_RAFT}, [] { return std::make_unique<NoOpReplicator>(); }});
}

}  // namespace

const Module& replicator_module() {
    static const Module kModule = {
        .option = "REPLICATOR",
        .value = "noop",
        .node_flags = {"replicator"},
        .read_flags = read_flags,
        .add_to_node = add_to_node,
        .replayable = {{"NoOpReplicator", pb::ACTOR_RAFT, [] { return std::make_unique<NoOpReplicator>(); }}},
    };
    return kModule;
}

}  // namespace sandstore
