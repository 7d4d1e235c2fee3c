// sandstore: a node, and everything to work with one. Finds the command; the rest is in the commands' own files.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "apps/sandstore/commands.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

struct Command {
    std::string_view name;
    int (*run)(int argc, char** argv);
    std::string_view summary;
};

int version_command(int, char**) {
    std::printf("sandstore %s\n", version_text().c_str());
    return 0;
}

constexpr Command kCommands[] = {
    {"node", node_command, "run a node (`sandstore --server node ...` is the same)"},
    {"demo", demo_command, "a throw-away cluster on this machine, until Ctrl-C"},
    {"status", status_command, "what the cluster is doing, as a table or --json"},
    {"health", health_command, "whether one node serves: exit status 0 or 1"},
    {"doctor", doctor_command, "whether this machine is fit for a node, and what to change"},
    {"fs", fs_command, "ls, tree, stat, mkdir, put, get, cat, rm, mv, truncate, df"},
    {"cluster", cluster_command, "who belongs, and who leads: init, members, add, remove, transfer, ..."},
    {"backup", backup_command, "create, list, verify, restore, delete, prune"},
    {"bench", bench_command, "load generator: raft, meta, io"},
    {"trace", trace_command, "look at a recorded trace: print, stat, diff, replay, sequence"},
    {"version", version_command, "which software this is"},
};

const Command* find_command(std::string_view name) {
    for (const Command& command : kCommands) {
        if (command.name == name) return &command;
    }
    return nullptr;
}

std::string general_help() {
    std::string text = "Sandstore, a distributed file store.\n\nUsage: sandstore COMMAND [flags]\n\n";
    for (const Command& command : kCommands) {
        text += str_format("  %-8s  %.*s\n", std::string(command.name).c_str(),
                           static_cast<int>(command.summary.size()), command.summary.data());
    }
    text +=
        "\n`sandstore COMMAND --help` shows the flags of a command. Every flag can be given in the environment too: "
        "--data-dir as\nSANDSTORE_DATA_DIR. The command line goes before the environment.\n\n"
        "To begin: `sandstore demo`.\n";
    return text;
}

int unknown_command(std::string_view name) {
    std::vector<std::string_view> names;
    for (const Command& command : kCommands) names.push_back(command.name);
    const std::string_view match = nearest_match(name, names);
    const std::string line =
        name.starts_with('-') ? str_cat("sandstore: unknown flag ", name, ": the command comes first, then its flags")
                              : str_cat("sandstore: unknown command \"", name, "\"",
                                        match.empty() ? "" : ": did you mean ", match, match.empty() ? "" : "?");
    std::fprintf(stderr, "%s (sandstore --help lists the commands)\n", line.c_str());
    return 2;
}

int run(int argc, char** argv) {
    int first = 1;
    if (first < argc && std::string_view(argv[first]) == "--server") ++first;
    const std::string_view name = first < argc ? argv[first] : "";
    if (name == "help" && first + 1 < argc) {
        const Command* command = find_command(argv[first + 1]);
        if (command == nullptr) return unknown_command(argv[first + 1]);
        std::string help_flag = "--help";
        char* help_arguments[] = {argv[first + 1], help_flag.data(), nullptr};
        return command->run(2, help_arguments);
    }
    if (name.empty() || name == "--help" || name == "-h" || name == "help") {
        std::fputs(general_help().c_str(), stdout);
        return 0;
    }
    if (name == "--version") return version_command(0, nullptr);
    const Command* command = find_command(name);
    return command == nullptr ? unknown_command(name) : command->run(argc - first, argv + first);
}

}  // namespace

}  // namespace sandstore

int main(int argc, char** argv) {
    try {
        return sandstore::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sandstore: %s\n", error.what());
        return 1;
    }
}
