// sandstore cluster: who belongs to a cluster, and who leads it.
#include <cstdio>
#include <string_view>
#include <vector>

#include "apps/modules/modules.h"
#include "apps/sandstore/cluster_tools.h"
#include "apps/sandstore/commands.h"
#include "apps/sandstore/subcommands.h"
#include "runtime/flags.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr Command kCommands[] = {
    {"members", cluster_members, "show who votes, who learns, and how far each is", "members"},
    {"add", cluster_add, "take a node in: it learns, catches up, then votes", "add NODE [ADDRESS]"},
    {"remove", cluster_remove, "take a node out; a leader hands leadership over first", "remove NODE"},
    {"replace", cluster_replace, "take a node in and another out, in one change", "replace OLD NEW [ADDRESS]"},
    {"promote", cluster_promote, "give a learner its vote, once it has caught up", "promote NODE"},
    {"demote", cluster_demote, "make a voter a learner", "demote NODE"},
    {"rejoin", cluster_rejoin, "take a voter back that lost its disk", "rejoin NODE"},
    {"transfer", cluster_transfer, "hand leadership over", "transfer [NODE]"},
    {"snapshot", cluster_snapshot, "have a node take a snapshot now", "snapshot [NODE]"},
    {"allow-deletions", cluster_allow_deletions, "let a node delete the many chunks that it has stopped at",
     "allow-deletions NODE"},
    {"raise-features", cluster_raise_features, "let the log hold what only the programs of now understand",
     "raise-features"},
};

// Those of this build: its modules' first.
std::vector<Command> commands() {
    std::vector<Command> all;
    for (const Module* module : modules()) {
        all.insert(all.end(), module->cluster_commands.begin(), module->cluster_commands.end());
    }
    all.insert(all.end(), std::begin(kCommands), std::end(kCommands));
    return all;
}

}  // namespace

int cluster_command(int argc, char** argv) {
    constexpr CommandFamily kFamily = {
        "cluster", "who belongs to a cluster, and who leads it.", "[flags] ...",
        "All but init and recover talk to any node: --servers (SANDSTORE_SERVERS, SANDSTORE_ADDR) "
        "and --timeout. `sandstore\ncluster COMMAND --help` tells more."};
    return run_subcommand(kFamily, commands(), argc, argv);
}

}  // namespace sandstore
