// REPLICATOR=raft: consensus. A node that is the only one may do without (--replicator=noop).
#include <gflags/gflags.h>

#include "actors/raft/noop_replicator.h"
#include "actors/raft/raft_node.h"
#include "apps/modules/modules.h"
#include "apps/sandstore/cluster_tools.h"
#include "runtime/event_runtime.h"

DEFINE_string(replicator, "raft", "Raft, or for a single node without replication noop");
DEFINE_bool(join, false, "this new node comes to a cluster that runs already, and waits to be added");
DEFINE_string(rejoin, "auto",
              "a voter whose disk comes back empty is taken back as a learner and votes again when it has caught up: "
              "auto, or ask: after `sandstore cluster rejoin`");
DEFINE_uint64(election_timeout, 300,
              "a follower without news from a leader stands for election after this to twice this");
DEFINE_uint64(heartbeat_interval, 50, "how often a leader shows that it is there");
DEFINE_uint32(election_priority, 50,
              "of two nodes that could lead, the one with the higher number does; 0: this one never leads");
DEFINE_bool(lease_reads, false,
            "a leader reads without asking the others first; clocks must run equally fast (to 10 %)");
DEFINE_uint32(copies, 3,
              "nodes that keep each chunk of a file; a majority of them must have it for a write to be done");

namespace sandstore {

namespace {

const FlagRule kReplicatorRule("replicator", one_of({"raft", "noop"}));
const FlagRule kRejoinRule("rejoin", one_of({"auto", "ask"}));
const FlagRule kElectionRule("election_timeout", number_between(50, 60'000, "milliseconds"));
const FlagRule kHeartbeatRule("heartbeat_interval", number_between(5, 10'000, "milliseconds"));
const FlagRule kPriorityRule("election_priority", number_between(0, 100));
const FlagRule kCopiesRule("copies", number_between(1, 7));

void read_flags(NodeOptions* options) {
    options->single_node = FLAGS_replicator == "noop";
    options->join = FLAGS_join;
    options->ask_to_rejoin = FLAGS_rejoin == "ask";
    options->election_timeout_ms = FLAGS_election_timeout;
    options->election_timeout_max_ms = 2 * FLAGS_election_timeout;
    options->heartbeat_interval_ms = FLAGS_heartbeat_interval;
    options->election_priority = FLAGS_election_priority;
    options->lease_reads = FLAGS_lease_reads;
    options->copies = options->single_node ? 1 : FLAGS_copies;
}

void add_to_node(EventRuntime& runtime, const NodeOptions& options) {
    const bool single_node = options.single_node;
    runtime.dispatcher().add_actor({{pb::ACTOR_RAFT}, [single_node]() -> std::unique_ptr<Actor> {
                                        if (single_node) return std::make_unique<NoOpReplicator>();
                                        return std::make_unique<RaftNode>();
                                    }});
}

}  // namespace

const Module& replicator_module() {
    static const Module kModule = {
        .option = "REPLICATOR",
        .value = "raft",
        .node_flags = {"replicator", "join", "rejoin", "election_timeout", "heartbeat_interval", "election_priority",
                       "lease_reads", "copies"},
        .read_flags = read_flags,
        .add_to_node = add_to_node,
        .cluster_commands = {{"recover", cluster_recover, "offline: one node goes on when a majority is lost for good",
                              "recover --data-dir=DIR"}},
        .replayable = {{"RaftNode", pb::ACTOR_RAFT, [] { return std::make_unique<RaftNode>(); }},
                       {"NoOpReplicator", pb::ACTOR_RAFT, [] { return std::make_unique<NoOpReplicator>(); }}},
    };
    return kModule;
}

}  // namespace sandstore
