// TOOLS=all: what helps to watch, measure, try and keep a cluster.
#include "apps/modules/modules.h"
#include "apps/sandstore/commands.h"

namespace sandstore {

const Module& tools_module() {
    static const Module kModule = {
        .option = "TOOLS",
        .value = "all",
        .commands = {{"demo", demo_command, "a throw-away cluster on this machine, until Ctrl-C"},
                     {"top", top_command, "what `status` shows, live: a terminal with curves and events"},
                     {"doctor", doctor_command, "whether this machine is fit for a node, and what to change"},
                     {"backup", backup_command, "create, list, verify, restore, delete, prune"},
                     {"bench", bench_command, "load generator: raft, meta, io"}},
    };
    return kModule;
}

}  // namespace sandstore
