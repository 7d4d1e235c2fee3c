// sandstore cluster: who belongs to a cluster, and who leads it.
#include <cstdio>
#include <string_view>
#include <vector>

#include "apps/modules/modules.h"
#include "apps/sandstore/cluster_tools.h"
#include "apps/sandstore/commands.h"
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
    {"transfer", cluster_transfer, "hand leadership over", "transfer [NODE]"},
    {"snapshot", cluster_snapshot, "have a node take a snapshot now", "snapshot [NODE]"},
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

std::string overview() {
    std::string text =
        "sandstore cluster: who belongs to a cluster, and who leads it.\n\nUsage: sandstore cluster COMMAND [flags] "
        "...\n\n";
    for (const Command& command : commands()) {
        text += str_format("  %-30s %s\n", command.usage.data(), command.summary.data());
    }
    text +=
        "\nAll but init talk to any node: --servers (SANDSTORE_SERVERS, SANDSTORE_ADDR) and --timeout. `sandstore "
        "cluster COMMAND --help`\ntells more.\n";
    return text;
}

}  // namespace

int cluster_command(int argc, char** argv) {
    const std::string_view name = argc > 1 ? argv[1] : "";
    if (name == "--help" || name == "-h" || name == "help") {
        std::fputs(overview().c_str(), stdout);
        return 0;
    }
    const std::vector<Command> all = commands();
    std::vector<std::string_view> names;
    for (const Command& command : all) {
        if (command.name == name) return command.run(argc - 1, argv + 1);
        names.push_back(command.name);
    }
    if (name.empty()) {
        std::fputs(overview().c_str(), stderr);
        return 2;
    }
    if (const std::string why = why_command_is_absent(str_cat("cluster ", name)); !why.empty()) {
        std::fprintf(stderr, "sandstore: cluster %s %s\n", argv[1], why.c_str());
        return 2;
    }
    const std::string_view match = nearest_match(name, names);
    const std::string hint =
        match.empty() ? "(sandstore cluster --help lists the commands)" : str_cat("did you mean ", match, "?");
    std::fprintf(stderr, "sandstore cluster: unknown command \"%s\": %s\n", argv[1], hint.c_str());
    return 2;
}

}  // namespace sandstore
