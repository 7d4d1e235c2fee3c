// sandstore fs: files and directories of a cluster from the command line.
#include <cstdio>
#include <string_view>
#include <vector>

#include "apps/common/remote_path.h"
#include "apps/sandstore/commands.h"
#include "apps/sandstore/fs_tools.h"
#include "runtime/text.h"

#include <unistd.h>

namespace sandstore {

namespace {

struct FsCommand {
    std::string_view name;
    int (*run)(int argc, char** argv);
    std::string_view usage;
    std::string_view summary;
};

constexpr FsCommand kCommands[] = {
    {"ls", fs_ls, "ls [-laR] [PATH...]", "list directories"},
    {"tree", fs_tree, "tree [PATH...]", "show a directory with all below it"},
    {"stat", fs_stat, "stat PATH...", "show what is known of a file"},
    {"mkdir", fs_mkdir, "mkdir [-p] PATH...", "make directories"},
    {"put", fs_put, "put LOCAL... REMOTE", "copy files into the cluster; - is standard input"},
    {"get", fs_get, "get REMOTE... [LOCAL]", "copy files out of the cluster; - is standard output"},
    {"cat", fs_cat, "cat PATH...", "write files to standard output"},
    {"rm", fs_rm, "rm [-rf] PATH...", "remove files and directories"},
    {"mv", fs_mv, "mv [-n] FROM... TO", "rename or move"},
    {"truncate", fs_truncate, "truncate -s SIZE PATH...", "cut a file, or grow it with zeros"},
    {"df", fs_df, "df", "show how full the cluster is"},
};

std::string overview() {
    std::string text =
        "sandstore fs: files and directories of a cluster.\n\nUsage: sandstore fs COMMAND [flags] ...\n\n";
    for (const FsCommand& command : kCommands) {
        text += str_format("  %-26s %s\n", std::string(command.usage).c_str(), std::string(command.summary).c_str());
    }
    text +=
        "\nAll take --servers (SANDSTORE_SERVERS, SANDSTORE_ADDR) and --timeout; `sandstore fs COMMAND --help` tells "
        "more.\n";
    return text;
}

}  // namespace

CommandSpec command_spec(const FsSpec& fs) {
    CommandSpec spec;
    spec.name = fs.name;
    spec.summary = fs.summary;
    spec.usage = fs.usage;
    if (!fs.flags.empty()) spec.groups.push_back({"Options", fs.flags});
    spec.groups.push_back(cluster_flags());
    spec.letters = fs.letters;
    spec.required = fs.required;
    spec.positionals_min = fs.positionals_min;
    spec.positionals_max = fs.positionals_max;
    spec.positionals_name = fs.positionals_name;
    spec.notes = fs.notes;
    return spec;
}

void FsErrors::say(std::string_view path, std::string_view what) {
    std::fflush(stdout);
    std::fprintf(stderr, "sandstore: %s: %.*s\n", shown(path).c_str(), static_cast<int>(what.size()), what.data());
    failed_ = true;
}

void FsErrors::say(std::string_view path, const ClientStatus& status) {
    say(path, status.text());
}

bool is_directory(const pb::Attributes& attributes) {
    return attributes.type() == pb::FILE_TYPE_DIRECTORY;
}

std::string shown(std::string_view name) {
    return isatty(STDOUT_FILENO) == 1 ? printable(name) : std::string(name);
}

int fs_command(int argc, char** argv) {
    const std::string_view name = argc > 1 ? argv[1] : "";
    if (name == "--help" || name == "-h" || name == "help") {
        std::fputs(overview().c_str(), stdout);
        return 0;
    }
    std::vector<std::string_view> names;
    for (const FsCommand& command : kCommands) {
        if (command.name == name) return command.run(argc - 1, argv + 1);
        names.push_back(command.name);
    }
    if (name.empty()) {
        std::fputs(overview().c_str(), stderr);
        return 2;
    }
    const std::string_view match = nearest_match(name, names);
    const std::string hint =
        match.empty() ? "(sandstore fs --help lists the commands)" : str_cat("did you mean ", match, "?");
    std::fprintf(stderr, "sandstore fs: unknown command \"%s\": %s\n", argv[1], hint.c_str());
    return 2;
}

}  // namespace sandstore
