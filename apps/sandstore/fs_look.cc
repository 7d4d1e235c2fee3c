// sandstore fs ls, tree, stat, df.
#include <gflags/gflags.h>

#include <cinttypes>
#include <cstdio>

#include "apps/common/remote_path.h"
#include "apps/sandstore/fs_tools.h"
#include "apps/terminal/units.h"
#include "runtime/text.h"

DEFINE_bool(long, false, "mode, links, owner, group, size and time of each entry");
DEFINE_bool(all, false, "names that start with a dot, too");
DEFINE_bool(recursive, false, "with all below");

namespace sandstore {

namespace {

constexpr size_t kDepthMax = 2048;  // A path of 4096 bytes has no more parts.

std::string long_line(std::string_view name, const pb::Attributes& of) {
    return str_format("%s %3u %5u %5u %12" PRIu64 " %s %s", format_mode(of.mode(), is_directory(of)).c_str(),
                      of.links(), of.uid(), of.gid(), of.size(), format_time(of.modify_time_us()).c_str(),
                      shown(name).c_str());
}

void print_entry(std::string_view name, const pb::Attributes& attributes) {
    const std::string line = FLAGS_long ? long_line(name, attributes) : shown(name);
    std::printf("%s\n", line.c_str());
}

void list_directory(Client& client, const std::string& path, bool with_header, size_t depth, FsErrors& errors) {
    const Result<std::vector<pb::DirectoryEntry>> entries = client.list(path);
    if (!entries.ok()) return errors.say(path, entries.status());
    if (with_header) std::printf("%s:\n", shown(path).c_str());
    for (const pb::DirectoryEntry& entry : *entries) {
        if (FLAGS_all || !entry.name().starts_with('.')) print_entry(entry.name(), entry.attributes());
    }
    if (!FLAGS_recursive || depth >= kDepthMax) return;
    for (const pb::DirectoryEntry& entry : *entries) {
        if (!is_directory(entry.attributes()) || (!FLAGS_all && entry.name().starts_with('.'))) continue;
        std::printf("\n");
        list_directory(client, join_path(path, entry.name()), true, depth + 1, errors);
    }
}

struct TreeCounts {
    uint64_t directories = 0;
    uint64_t files = 0;
    uint64_t bytes = 0;
};

void print_tree(Client& client, const std::string& path, const std::string& indent, size_t depth, TreeCounts* counts,
                FsErrors& errors) {
    const Result<std::vector<pb::DirectoryEntry>> entries = client.list(path);
    if (!entries.ok()) return errors.say(path, entries.status());
    for (size_t i = 0; i < entries->size(); ++i) {
        const pb::DirectoryEntry& entry = (*entries)[i];
        const bool last = i + 1 == entries->size();
        std::printf("%s%s%s\n", indent.c_str(), last ? "└── " : "├── ", shown(entry.name()).c_str());
        if (!is_directory(entry.attributes())) {
            ++counts->files;
            counts->bytes += entry.attributes().size();
            continue;
        }
        ++counts->directories;
        if (depth >= kDepthMax) continue;
        print_tree(client, join_path(path, entry.name()), indent + (last ? "    " : "│   "), depth + 1, counts, errors);
    }
}

void print_stat(const std::string& path, const pb::Attributes& of) {
    std::printf("  Path: %s\n", shown(path).c_str());
    std::printf("  Type: %s\n", is_directory(of) ? "directory" : "regular file");
    std::printf("  Size: %" PRIu64 " (%s)  Stored: %" PRIu64 "\n", of.size(), format_bytes(of.size()).c_str(),
                of.stored_bytes());
    std::printf(" Inode: %" PRIu64 "  Links: %u\n", of.inode(), of.links());
    std::printf("  Mode: %04o (%s)  Uid: %u  Gid: %u\n", of.mode(), format_mode(of.mode(), is_directory(of)).c_str(),
                of.uid(), of.gid());
    std::printf("Access: %s\nModify: %s\nChange: %s\n Birth: %s\n", format_time(of.access_time_us()).c_str(),
                format_time(of.modify_time_us()).c_str(), format_time(of.change_time_us()).c_str(),
                format_time(of.birth_time_us()).c_str());
}

}  // namespace

int fs_ls(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs ls",
                                           .summary = "Lists directories, their entries by name.",
                                           .usage = "sandstore fs ls [-laR] [PATH...]",
                                           .flags = {"long", "all", "recursive"},
                                           .letters = {{'l', "long"}, {'a', "all"}, {'R', "recursive"}},
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH"});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>& given, FsErrors& errors) {
        std::vector<std::string> paths = given;
        if (paths.empty()) paths.push_back("/");
        std::vector<std::string> directories;
        bool printed = false;
        for (const std::string& path : paths) {
            const Result<pb::Attributes> attributes = client.stat(path);
            if (!attributes.ok()) {
                errors.say(path, attributes.status());
            } else if (is_directory(*attributes)) {
                directories.push_back(tidy_path(path));
            } else {
                print_entry(path, *attributes);
                printed = true;
            }
        }
        for (const std::string& path : directories) {
            if (printed) std::printf("\n");
            list_directory(client, path, paths.size() > 1 || FLAGS_recursive, 0, errors);
            printed = true;
        }
    });
}

int fs_tree(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs tree",
                                           .summary = "Shows directories with all below them.",
                                           .usage = "sandstore fs tree [PATH...]",
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH"});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>& given, FsErrors& errors) {
        TreeCounts counts;
        std::vector<std::string> paths = given;
        if (paths.empty()) paths.push_back("/");
        for (const std::string& path : paths) {
            const Result<pb::Attributes> attributes = client.stat(path);
            if (!attributes.ok()) {
                errors.say(path, attributes.status());
                continue;
            }
            std::printf("%s\n", shown(tidy_path(path)).c_str());
            if (is_directory(*attributes)) {
                print_tree(client, tidy_path(path), "", 0, &counts, errors);
            } else {
                ++counts.files;
                counts.bytes += attributes->size();
            }
        }
        std::printf("\n%" PRIu64 " director%s, %" PRIu64 " file%s, %s\n", counts.directories,
                    counts.directories == 1 ? "y" : "ies", counts.files, counts.files == 1 ? "" : "s",
                    format_bytes(counts.bytes).c_str());
    });
}

int fs_stat(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs stat",
                                           .summary = "Shows what is known of files and directories.",
                                           .usage = "sandstore fs stat PATH...",
                                           .positionals_min = 1,
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH"});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        for (const std::string& path : paths) {
            const Result<pb::Attributes> attributes = client.stat(path);
            if (attributes.ok()) {
                print_stat(tidy_path(path), *attributes);
            } else {
                errors.say(path, attributes.status());
            }
        }
    });
}

int fs_df(int argc, char** argv) {
    const CommandSpec spec =
        command_spec({.name = "fs df",
                      .summary = "Shows how full the cluster is.",
                      .usage = "sandstore fs df",
                      .notes = "Total, used and available count the disks of all nodes; a file takes "
                               "its size times the copies.\n"});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>&, FsErrors& errors) {
        const Result<pb::QueryResult> result = client.stat_file_system();
        if (!result.ok()) return errors.say("df", result.status());
        const uint64_t total = result->disk_total_bytes();
        const uint64_t free = std::min(result->disk_free_bytes(), total);
        const double used_share = total == 0 ? 0 : static_cast<double>(total - free) / static_cast<double>(total);
        std::printf("%12s %12s %12s %5s %12s %10s %10s %7s\n", "Total", "Used", "Available", "Use%", "Files hold",
                    "Inodes", "Chunks", "Copies");
        std::printf("%12s %12s %12s %4.0f%% %12s %10" PRIu64 " %10" PRIu64 " %7u\n", format_bytes(total).c_str(),
                    format_bytes(total - free).c_str(), format_bytes(free).c_str(), used_share * 100,
                    format_bytes(result->file_bytes()).c_str(), result->inode_count(), result->chunk_count(),
                    result->copies());
    });
}

}  // namespace sandstore
