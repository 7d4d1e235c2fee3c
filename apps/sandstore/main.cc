// sandstore: a node, and everything to work with one. Finds the command; the rest is in the commands' own files.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "apps/modules/modules.h"
#include "apps/sandstore/commands.h"
#include "apps/smoke/smoke_command.h"
#include "apps/terminal/standard_streams.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

constexpr Command kCommands[] = {
    {"node", node_command, "run a node (`sandstore --server node ...` is the same)"},
    {"status", status_command, "what the cluster is doing, as a table or --json"},
    {"health", health_command, "whether one node serves: exit status 0 or 1"},
    {"smoke", smoke_command, "check a cluster from end to end; also the program `smoke`"},
    {"fs", fs_command, "ls, tree, stat, mkdir, put, get, cat, rm, mv, truncate, df"},
    {"cluster", cluster_command, "who belongs, and who leads: init, members, add, remove, transfer, ..."},
    {"version", version_command, "which software this is, and what it was made of"},
};

// Those of this build: its modules' last.
const std::vector<Command>& commands() {
    static const std::vector<Command> kAll = [] {
        std::vector<Command> all(std::begin(kCommands), std::end(kCommands));
        for (const Module* module : modules()) all.insert(all.end(), module->commands.begin(), module->commands.end());
        return all;
    }();
    return kAll;
}

const Command* find_command(std::string_view name) {
    for (const Command& command : commands()) {
        if (command.name == name) return &command;
    }
    return nullptr;
}

std::string general_help() {
    std::string text = "Sandstore, a distributed file store.\n\nUsage: sandstore COMMAND [flags]\n\n";
    for (const Command& command : commands()) {
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
    if (const std::string why = why_command_is_absent(name); !why.empty()) {
        std::fprintf(stderr, "sandstore: %s %s\n", std::string(name).c_str(), why.c_str());
        return 2;
    }
    std::vector<std::string_view> names;
    for (const Command& command : commands()) names.push_back(command.name);
    const std::string_view match = nearest_match(name, names);
    const std::string line =
        name.starts_with('-') ? str_cat("sandstore: unknown flag ", name, ": the command comes first, then its flags")
                              : str_cat("sandstore: unknown command \"", name, "\"",
                                        match.empty() ? "" : ": did you mean ", match, match.empty() ? "" : "?");
    std::fprintf(stderr, "%s (sandstore --help lists the commands)\n", line.c_str());
    return 2;
}

// Called as `smoke`, by a link of that name, it is that program.
bool called_as(std::string_view program, const char* path) {
    const std::string_view called = path;
    return called.substr(called.find_last_of('/') + 1) == program;
}

int run(int argc, char** argv) {
    if (argc > 0 && called_as("smoke", argv[0])) return smoke_command(argc, argv);
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
    if (name == "--version") {
        std::printf("sandstore %s\n", version_text().c_str());
        return 0;
    }
    const Command* command = find_command(name);
    return command == nullptr ? unknown_command(name) : command->run(argc - first, argv + first);
}

}  // namespace

}  // namespace sandstore

int main(int argc, char** argv) {
    sandstore::open_standard_streams();
    int status = 1;
    try {
        status = sandstore::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sandstore: %s\n", error.what());
    }
    return sandstore::finish_output("sandstore", status);
}
