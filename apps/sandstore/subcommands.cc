#include "apps/sandstore/subcommands.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/flags.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

std::string overview(const CommandFamily& family, std::span<const Command> commands) {
    std::string text = str_cat("sandstore ", family.name, ": ", family.summary, "\n\nUsage: sandstore ", family.name,
                               " COMMAND ", family.arguments, "\n\n");
    size_t width = 0;
    for (const Command& command : commands) width = std::max(width, command.usage.size());
    for (const Command& command : commands) {
        str_append(&text, "  ", command.usage, std::string(width + 2 - command.usage.size(), ' '), command.summary,
                   "\n");
    }
    return str_cat(text, "\n", family.notes, "\n");
}

int unknown(const CommandFamily& family, std::span<const Command> commands, std::string_view name) {
    const std::string whole = str_cat(family.name, " ", name);
    if (const std::string why = why_command_is_absent(whole); !why.empty()) {
        std::fprintf(stderr, "sandstore: %s %s\n", whole.c_str(), why.c_str());
        return 2;
    }
    std::vector<std::string_view> names;
    for (const Command& command : commands) names.push_back(command.name);
    const std::string_view match = nearest_match(name, names);
    const std::string hint = match.empty() ? str_cat("(sandstore ", family.name, " --help lists the commands)")
                                           : str_cat("did you mean ", match, "?");
    const std::string line = str_cat("sandstore ", family.name, ": unknown command \"", name, "\": ", hint, "\n");
    std::fputs(line.c_str(), stderr);
    return 2;
}

}  // namespace

int run_subcommand(const CommandFamily& family, std::span<const Command> commands, int argc, char** argv) {
    const std::string_view name = argc > 1 ? argv[1] : "";
    const bool asks_for_help = name == "--help" || name == "-h" || name == "help";
    if (asks_for_help || name.empty()) {
        std::fputs(overview(family, commands).c_str(), asks_for_help ? stdout : stderr);
        return asks_for_help ? 0 : 2;
    }
    for (const Command& command : commands) {
        if (command.name == name) return command.run(argc - 1, argv + 1);
    }
    return unknown(family, commands, name);
}

}  // namespace sandstore
