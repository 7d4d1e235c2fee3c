// sandstore backup: copies of a cluster's namespace and file data, taken while it runs.
#include <cstdio>
#include <string_view>

#include "apps/sandstore/backup_tools.h"
#include "apps/sandstore/commands.h"
#include "apps/sandstore/subcommands.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr Command kCommands[] = {
    {"create", backup_create, "back the cluster up into a directory, or as a tar stream", "create DIR|-"},
    {"list", backup_list, "show the backups in a directory", "list DIR"},
    {"verify", backup_verify, "check every byte of backups", "verify DIR [BACKUP...]"},
    {"restore", backup_restore, "write a backup into a cluster", "restore DIR|-"},
    {"delete", backup_delete, "remove backups, and chunks that no other one needs", "delete DIR BACKUP..."},
    {"prune", backup_prune, "remove all but the newest backups", "prune DIR --keep=N"},
};

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

std::string without_slashes(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

void tell_counts(const pb::BackupHeader& header, Json::Value* line) {
    (*line)["directories"] = Json::UInt64(header.directories());
    (*line)["files"] = Json::UInt64(header.files());
    (*line)["file_bytes"] = Json::UInt64(header.file_bytes());
    (*line)["chunks"] = Json::UInt64(header.chunks());
    (*line)["chunk_bytes"] = Json::UInt64(header.chunk_bytes());
    (*line)["new_chunks"] = Json::UInt64(header.new_chunks());
    (*line)["new_chunk_bytes"] = Json::UInt64(header.new_chunk_bytes());
}

int backup_command(int argc, char** argv) {
    constexpr CommandFamily kFamily = {
        "backup", "copies of a cluster's namespace and file data, taken while it runs.", "[flags] ...",
        "`sandstore backup COMMAND --help` tells more; docs/backup.md has the whole story."};
    return run_subcommand(kFamily, kCommands, argc, argv);
}

}  // namespace sandstore
