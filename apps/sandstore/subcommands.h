// Commands that are families of commands: `sandstore fs ls`, `sandstore cluster add`, ...
#pragma once

#include <span>
#include <string_view>

#include "apps/modules/modules.h"

namespace sandstore {

struct CommandFamily {
    std::string_view name;       // "fs"
    std::string_view summary;    // What stands behind "sandstore fs: ", with its full stop.
    std::string_view arguments;  // Behind "Usage: sandstore fs COMMAND ".
    std::string_view notes;      // Ends the overview.
};

// Runs the command that argv[1] names, or shows the overview (--help: exit status 0; nothing named: 2), or says what
// it could have been.
int run_subcommand(const CommandFamily& family, std::span<const Command> commands, int argc, char** argv);

}  // namespace sandstore
