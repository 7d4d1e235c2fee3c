// sandstore backup: copies of a cluster's namespace and file data, taken while it runs.
#include <cstdio>
#include <string_view>
#include <vector>

#include "apps/sandstore/backup_tools.h"
#include "apps/sandstore/commands.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

struct BackupCommand {
    std::string_view name;
    int (*run)(int argc, char** argv);
    const char* usage;
    const char* summary;
};

constexpr BackupCommand kCommands[] = {
    {"create", backup_create, "create DIR|-", "back the cluster up into a directory, or as a tar stream"},
    {"list", backup_list, "list DIR", "show the backups in a directory"},
    {"verify", backup_verify, "verify DIR [BACKUP...]", "check every byte of backups"},
    {"restore", backup_restore, "restore DIR|-", "write a backup into a cluster"},
    {"delete", backup_delete, "delete DIR BACKUP...", "remove backups, and chunks that no other one needs"},
    {"prune", backup_prune, "prune DIR --keep=N", "remove all but the newest backups"},
};

std::string overview() {
    std::string text =
        "sandstore backup: copies of a cluster's namespace and file data, taken while it runs.\n\nUsage: sandstore "
        "backup COMMAND [flags] ...\n\n";
    for (const BackupCommand& command : kCommands) {
        text += str_format("  %-26s %s\n", command.usage, command.summary);
    }
    text += "\n`sandstore backup COMMAND --help` tells more; docs/backup.md has the whole story.\n";
    return text;
}

}  // namespace

ClientOptions backup_client_options() {
    constexpr uint64_t kPatienceUs = 60'000'000;
    ClientOptions options = client_options_from_flags();
    options.timeout_us = std::max(options.timeout_us, kPatienceUs);
    options.read_any_node = false;
    return options;
}

int backup_failed(std::string_view what) {
    backup_says(what);
    return 1;
}

void backup_says(std::string_view what) {
    std::fprintf(stderr, "sandstore: %.*s\n", static_cast<int>(what.size()), what.data());
}

int backup_command(int argc, char** argv) {
    const std::string_view name = argc > 1 ? argv[1] : "";
    if (name == "--help" || name == "-h" || name == "help") {
        std::fputs(overview().c_str(), stdout);
        return 0;
    }
    std::vector<std::string_view> names;
    for (const BackupCommand& command : kCommands) {
        if (command.name == name) return command.run(argc - 1, argv + 1);
        names.push_back(command.name);
    }
    if (name.empty()) {
        std::fputs(overview().c_str(), stderr);
        return 2;
    }
    const std::string_view match = nearest_match(name, names);
    const std::string hint =
        match.empty() ? "(sandstore backup --help lists the commands)" : str_cat("did you mean ", match, "?");
    std::fprintf(stderr, "sandstore backup: unknown command \"%s\": %s\n", argv[1], hint.c_str());
    return 2;
}

}  // namespace sandstore
