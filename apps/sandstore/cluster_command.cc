// sandstore cluster: who belongs to a cluster, and who leads it.
#include <cstdio>
#include <string_view>
#include <vector>

#include "apps/sandstore/cluster_tools.h"
#include "apps/sandstore/commands.h"
#include "runtime/flags.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

struct ClusterCommand {
    std::string_view name;
    int (*run)(int argc, char** argv);
    const char* usage;
    const char* summary;
};

constexpr ClusterCommand kCommands[] = {
    {"init", cluster_init, "init --nodes=ID=HOST:PORT,...", "write the member records of a new cluster into etcd"},
    {"members", cluster_members, "members", "show who votes, who learns, and how far each is"},
    {"add", cluster_add, "add NODE [ADDRESS]", "take a node in: it learns, catches up, then votes"},
    {"remove", cluster_remove, "remove NODE", "take a node out; a leader hands leadership over first"},
    {"replace", cluster_replace, "replace OLD NEW [ADDRESS]", "take a node in and another out, in one change"},
    {"promote", cluster_promote, "promote NODE", "give a learner its vote, once it has caught up"},
    {"demote", cluster_demote, "demote NODE", "make a voter a learner"},
    {"transfer", cluster_transfer, "transfer [NODE]", "hand leadership over"},
    {"snapshot", cluster_snapshot, "snapshot [NODE]", "have a node take a snapshot now"},
};

std::string overview() {
    std::string text =
        "sandstore cluster: who belongs to a cluster, and who leads it.\n\nUsage: sandstore cluster COMMAND [flags] "
        "...\n\n";
    for (const ClusterCommand& command : kCommands) {
        text += str_format("  %-30s %s\n", command.usage, command.summary);
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
    std::vector<std::string_view> names;
    for (const ClusterCommand& command : kCommands) {
        if (command.name == name) return command.run(argc - 1, argv + 1);
        names.push_back(command.name);
    }
    if (name.empty()) {
        std::fputs(overview().c_str(), stderr);
        return 2;
    }
    const std::string_view match = nearest_match(name, names);
    const std::string hint =
        match.empty() ? "(sandstore cluster --help lists the commands)" : str_cat("did you mean ", match, "?");
    std::fprintf(stderr, "sandstore cluster: unknown command \"%s\": %s\n", argv[1], hint.c_str());
    return 2;
}

}  // namespace sandstore
