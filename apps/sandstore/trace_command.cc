// sandstore trace print|stat|replay: looks at what a node recorded with --trace-file.
#include <gflags/gflags.h>

#include <cstdio>
#include <functional>
#include <map>
#include <memory>

#include "actors/chunk/chunk_service.h"
#include "actors/chunk/repairer.h"
#include "actors/cluster/bootstrap.h"
#include "actors/cluster/etcd_poller.h"
#include "actors/cluster/status_service.h"
#include "actors/fs/file_service.h"
#include "actors/fs/state_machine.h"
#include "actors/log/log_store.h"
#include "actors/raft/noop_replicator.h"
#include "actors/raft/raft_node.h"
#include "apps/sandstore/commands.h"
#include "apps/sandstore/trace_printer.h"
#include "messages/trace.pb.h"
#include "runtime/flags.h"
#include "runtime/replay.h"
#include "runtime/text.h"
#include "runtime/trace_reader.h"

DEFINE_string(actor, "", "only this actor: RaftNode, StateMachine, EtcdPoller, ...");
DEFINE_uint64(from, 0, "first delivery to print");
DEFINE_uint64(to, UINT64_MAX, "last delivery to print");

namespace sandstore {

namespace {

const CommandSpec kTraceSpec = {
    .name = "trace",
    .summary = "Prints a recorded trace, counts what is in it, or runs an actor again from its recorded inbox.",
    .usage = "sandstore trace print|stat|replay FILE [--actor=NAME]",
    .groups = {{"Selection", {"actor", "from", "to"}}},
    .positionals_min = 2,
    .positionals_max = 2,
    .positionals_name = "print|stat|replay FILE",
    .notes =
        "A trace is written by `sandstore node --trace-file=FILE`. Exit status of replay: 0 the same effects, 1 a\n"
        "difference or a damaged file.",
};

struct ReplayableActor {
    pb::ActorKind kind;
    std::function<std::unique_ptr<Actor>()> make;
};

template <typename SomeActor>
ReplayableActor replayable(pb::ActorKind kind) {
    return {kind, [] { return std::make_unique<SomeActor>(); }};
}

const std::map<std::string, ReplayableActor>& replayable_actors() {
    static const std::map<std::string, ReplayableActor> kActors = {
        {"RaftNode", replayable<RaftNode>(pb::ACTOR_RAFT)},
        {"NoOpReplicator", replayable<NoOpReplicator>(pb::ACTOR_RAFT)},
        {"LogStore", replayable<LogStore>(pb::ACTOR_LOG)},
        {"StateMachine", replayable<StateMachine>(pb::ACTOR_STATE_MACHINE)},
        {"FileService", replayable<FileService>(pb::ACTOR_FILES)},
        {"EtcdPoller", replayable<EtcdPoller>(pb::ACTOR_ETCD_POLLER)},
        {"Bootstrap", replayable<Bootstrap>(pb::ACTOR_BOOTSTRAP)},
        {"StatusService", replayable<StatusService>(pb::ACTOR_STATUS)},
        {"Repairer", replayable<Repairer>(pb::ACTOR_REPAIRER)},
    };
    return kActors;
}

int fail(const std::string& what) {
    std::fprintf(stderr, "sandstore: %s\n", what.c_str());
    return 1;
}

int replay(TraceReader& trace) {
    auto found = replayable_actors().find(FLAGS_actor);
    if (found == replayable_actors().end()) {
        std::string names;
        for (const auto& [name, actor] : replayable_actors()) str_append(&names, names.empty() ? "" : ", ", name);
        return usage_error(kTraceSpec, str_cat("replay needs --actor, one of ", names));
    }
    const ReplayResult result = replay_actor(trace, {found->second.kind, 0}, found->second.make);
    if (!result.note.empty()) std::printf("note: %s\n", result.note.c_str());
    if (!result.same) {
        std::printf("DIFFERENT after %llu deliveries: %s\n", static_cast<unsigned long long>(result.deliveries),
                    result.difference.c_str());
        return 1;
    }
    if (result.deliveries == 0) std::printf("note: the trace holds nothing for %s\n", FLAGS_actor.c_str());
    std::printf("%s: %s %llu deliveries, %llu effects\n", result.damaged ? "DAMAGED" : "SAME", FLAGS_actor.c_str(),
                static_cast<unsigned long long>(result.deliveries), static_cast<unsigned long long>(result.effects));
    return result.damaged ? 1 : 0;
}

}  // namespace

int trace_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, kTraceSpec);
    if (parsed.exit_code) return finish(parsed);
    const std::string& verb = parsed.positionals[0];
    if (verb != "print" && verb != "stat" && verb != "replay") {
        return usage_error(kTraceSpec, str_cat("\"", verb, "\" is none of print, stat, replay"));
    }
    std::string error;
    const std::unique_ptr<TraceReader> trace = TraceReader::open(parsed.positionals[1], &error);
    if (trace == nullptr) return fail(error);
    if (verb == "replay") return replay(*trace);
    TraceSelection selection;
    selection.from = FLAGS_from;
    selection.to = FLAGS_to;
    if (!FLAGS_actor.empty()) {
        selection.actor = actor_from_name(FLAGS_actor);
        if (selection.actor == pb::ACTOR_NONE) return usage_error(kTraceSpec, str_cat("no actor ", FLAGS_actor));
    }
    const std::string problem =
        verb == "print" ? print_trace(*trace, selection, stdout) : print_trace_statistics(*trace, selection, stdout);
    return problem.empty() ? 0 : fail(problem);
}

}  // namespace sandstore
