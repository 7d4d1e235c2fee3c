// sandstore fs: files and directories of a cluster from the command line.
#include <cstdio>
#include <string_view>

#include "apps/common/remote_path.h"
#include "apps/sandstore/commands.h"
#include "apps/sandstore/fs_tools.h"
#include "apps/sandstore/subcommands.h"
#include "runtime/one_line.h"
#include "runtime/text.h"

#include <unistd.h>

namespace sandstore {

namespace {

constexpr Command kCommands[] = {
    {"ls", fs_ls, "list directories", "ls [-laR] [PATH...]"},
    {"tree", fs_tree, "show a directory with all below it", "tree [PATH...]"},
    {"stat", fs_stat, "show what is known of a file", "stat PATH..."},
    {"mkdir", fs_mkdir, "make directories", "mkdir [-p] PATH..."},
    {"put", fs_put, "copy files into the cluster; - is standard input", "put LOCAL... REMOTE"},
    {"get", fs_get, "copy files out of the cluster; - is standard output", "get REMOTE... [LOCAL]"},
    {"cat", fs_cat, "write files to standard output", "cat PATH..."},
    {"rm", fs_rm, "remove files and directories", "rm [-rf] PATH..."},
    {"mv", fs_mv, "rename or move", "mv [-n] FROM... TO"},
    {"truncate", fs_truncate, "cut a file, or grow it with zeros", "truncate -s SIZE PATH..."},
    {"df", fs_df, "show how full the cluster is", "df"},
};

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

int run_fs(int argc, char** argv, const CommandSpec& spec, const FsWork& work) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    Client client(client_options_from_flags());
    FsErrors errors;
    work(client, parsed.positionals, errors);
    return errors.exit_status();
}

void FsErrors::say(std::string_view path, std::string_view what) {
    std::fflush(stdout);
    std::fprintf(stderr, "sandstore: %s: %s\n", one_line(path).c_str(), one_line(what).c_str());
    failed_ = true;
}

bool FsErrors::may_make(Made& made, std::string_view source, std::string_view place) {
    bool harmless = false;
    const std::string why = made.add(source, place, &harmless);
    if (harmless) {
        std::fflush(stdout);
        std::fprintf(stderr, "sandstore: warning: %s: %s\n", one_line(source).c_str(), why.c_str());
    } else if (!why.empty()) {
        say(str_cat(source, " -> ", place), why);
    }
    return why.empty();
}

void FsErrors::say(std::string_view path, const ClientStatus& status) {
    say(path, status.text());
}

bool is_directory(const pb::Attributes& attributes) {
    return attributes.type() == pb::FILE_TYPE_DIRECTORY;
}

std::string shown(std::string_view name) {
    return isatty(STDOUT_FILENO) == 1 ? one_line(name) : std::string(name);
}

int fs_command(int argc, char** argv) {
    constexpr CommandFamily kFamily = {"fs", "files and directories of a cluster.", "[flags] ...",
                                       "All take --servers (SANDSTORE_SERVERS, SANDSTORE_ADDR) and --timeout; "
                                       "`sandstore fs COMMAND --help` tells more."};
    return run_subcommand(kFamily, kCommands, argc, argv);
}

}  // namespace sandstore
