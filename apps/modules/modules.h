// The modules of a build. For each option of scripts/profiles.txt one of the files <option>_<value>.cc is linked; all
// of an option define the same function, declared here. What was not chosen is not in the binary: neither its code nor
// its flags and commands (docs/builds.md).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/node/node_options.h"
#include "messages/common.pb.h"
#include "runtime/flags.h"

namespace sandstore {

class Actor;
class Dispatcher;
class EventRuntime;

// A command of the `sandstore` program, or of `sandstore cluster`.
struct Command {
    std::string_view name;
    int (*run)(int argc, char** argv);
    std::string_view summary;
    std::string_view usage = {};  // "init --nodes=ID=HOST:PORT,...", where that is listed.
};

// What makes an actor: for running it again from a recorded trace.
struct ReplayableActor {
    std::string_view name;  // "RaftNode"
    pb::ActorKind kind;
    std::function<std::unique_ptr<Actor>()> make;
};

// What a module brings along. What it leaves empty it does not have.
struct Module {
    std::string_view option;                                    // "DISCOVERY"
    std::string_view value;                                     // "etcd"
    std::vector<std::string_view> node_flags = {};              // Of `sandstore node`,
    std::function<void(NodeOptions*)> read_flags = {};          // once they are parsed.
    std::function<std::string(const NodeOptions&)> check = {};  // A sentence when the options cannot work. Else "".
    std::function<void(EventRuntime&, const NodeOptions&)> add_to_node = {};  // Its actors and ports.
    std::function<void(Dispatcher&, const NodeOptions&)> start = {};          // Its first messages.
    std::vector<Command> commands = {};                                       // Of `sandstore`,
    std::vector<Command> cluster_commands = {};                               // and of `sandstore cluster`.
    std::vector<ReplayableActor> replayable = {};
};

const Module& communicator_module();
const Module& discovery_module();
const Module& replicator_module();
const Module& chunk_store_module();
const Module& trace_module();
const Module& tools_module();

std::span<const Module* const> modules();  // All six, in the order of the table.

// --- What other builds have -----------------------------------------------------------------------------------------

// The flags of `sandstore node` and the commands that this build lacks, each with the reason: "--etcd-endpoints needs
// DISCOVERY=etcd; this build has static".
std::vector<AbsentFlag> absent_node_flags();
// Empty when the command is unknown to all builds.
std::string why_command_is_absent(std::string_view command);

// --- TRACE ----------------------------------------------------------------------------------------------------------

// What records a running node, for as long as it lives.
class Recording {
 public:
    virtual ~Recording() = default;
    // After the node ended by itself: where to look ("trace: PATH", "flight recording: PATH"), or why not.
    virtual std::string save(const Dispatcher& dispatcher) = 0;
};

// Null without TRACE=on, and, with a sentence in `error`, when the recording cannot begin.
std::unique_ptr<Recording> begin_recording(Dispatcher& dispatcher, const NodeOptions& options, std::string* error);

}  // namespace sandstore
