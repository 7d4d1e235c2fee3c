// sandstore fs mkdir, rm, mv, truncate.
#include <gflags/gflags.h>

#include "apps/common/remote_path.h"
#include "apps/common/remove_tree.h"
#include "apps/sandstore/fs_tools.h"
#include "runtime/text.h"

DEFINE_bool(parents, false, "make what is missing on the way; an existing directory is fine");
DEFINE_bool(force, false, "what is not there is no error");
DEFINE_bool(no_clobber, false, "do not replace what is there");
DEFINE_string(size, "", "size in bytes; also with K, M or G: 4096, 64K, 8MiB");

DECLARE_bool(recursive);

namespace sandstore {

namespace {

constexpr uint64_t kSizeMax = 1ull << 53;
const FlagRule kSizeRule("size", size_between(0, kSizeMax));

void remove(Client& client, const std::string& path, FsErrors& errors) {
    if (tidy_path(path) == "/") return errors.say(path, "refusing to remove the root directory");
    if (ends_with_dots(path)) return errors.say(path, "refusing to remove what is named by \".\" or \"..\"");
    const Result<pb::Attributes> attributes = client.stat(path);
    const bool absent = attributes.code() == pb::STATUS_ENOENT || attributes.code() == pb::STATUS_ENOTDIR;
    if (absent && FLAGS_force) return;
    if (!attributes.ok()) return errors.say(path, attributes.status());
    if (is_directory(*attributes) && !FLAGS_recursive) return errors.say(path, ClientStatus(pb::STATUS_EISDIR));
    if (!is_directory(*attributes)) {
        const ClientStatus status = client.remove_file(path);
        if (!status.ok() && !(FLAGS_force && status.code == pb::STATUS_ENOENT)) errors.say(path, status);
        return;
    }
    for (const RemovalFailure& failure : remove_tree(client, tidy_path(path))) errors.say(failure.path, failure.status);
}

void move(Client& client, const std::string& from, const std::string& place, FsErrors& errors) {
    const std::string both = str_cat(from, " -> ", place);
    if (!FLAGS_no_clobber && tidy_path(from) == tidy_path(place)) return errors.say(both, "they are the same file");
    if (place.ends_with('/')) {
        const Result<pb::Attributes> moved = client.stat(from);
        if (moved.ok() && !is_directory(*moved)) return errors.say(both, ClientStatus(pb::STATUS_ENOTDIR));
    }
    const ClientStatus status = client.rename(from, place, FLAGS_no_clobber);
    if (FLAGS_no_clobber && status.code == pb::STATUS_EEXIST) return;
    if (!status.ok()) errors.say(status.code == pb::STATUS_ENOENT ? from : both, status);
}

}  // namespace

int fs_mkdir(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs mkdir",
                                           .summary = "Makes directories.",
                                           .usage = "sandstore fs mkdir [-p] PATH...",
                                           .flags = {"parents"},
                                           .letters = {{'p', "parents"}},
                                           .positionals_min = 1,
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH"});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        for (const std::string& path : paths) {
            const Result<pb::Attributes> made = client.make_directory(path, FLAGS_parents);
            if (!made.ok()) errors.say(path, made.status());
        }
    });
}

int fs_rm(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs rm",
                                           .summary = "Removes files, and with -r directories with all below them.",
                                           .usage = "sandstore fs rm [-rf] PATH...",
                                           .flags = {"recursive", "force"},
                                           .letters = {{'r', "recursive"}, {'R', "recursive"}, {'f', "force"}},
                                           .positionals_min = 0,
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH"});
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    if (parsed.positionals.empty() && !FLAGS_force) return usage_error(spec, "missing PATH");
    Client client(client_options_from_flags());
    FsErrors errors;
    for (const std::string& path : parsed.positionals) remove(client, path, errors);
    return errors.exit_status();
}

int fs_mv(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs mv",
                                           .summary = "Renames a file or directory, or moves several into a directory.",
                                           .usage = "sandstore fs mv [-n] FROM... TO",
                                           .flags = {"no_clobber"},
                                           .letters = {{'n', "no_clobber"}},
                                           .positionals_min = 2,
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "FROM... TO"});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        const std::string& to = paths.back();
        const Result<pb::Attributes> target = client.stat(to);
        if (!target.ok() && target.code() != pb::STATUS_ENOENT) return errors.say(to, target.status());
        const bool into = target.ok() && is_directory(*target);
        if (!into && paths.size() > 2)
            return errors.say(to, ClientStatus(target.ok() ? pb::STATUS_ENOTDIR : pb::STATUS_ENOENT));
        Made made;
        for (size_t i = 0; i + 1 < paths.size(); ++i) {
            const std::string& from = paths[i];
            const std::string place = into ? join_path(to, base_name(from)) : to;
            if (ends_with_dots(from) || tidy_path(from) == "/") {
                errors.say(from, "refusing to move the root, or what is named by \".\" or \"..\"");
            } else if (FLAGS_no_clobber || errors.may_make(made, from, place)) {
                // With -n nothing is written over anyway.
                move(client, from, place, errors);
            }
        }
    });
}

int fs_truncate(int argc, char** argv) {
    const CommandSpec spec = command_spec({.name = "fs truncate",
                                           .summary = "Cuts files to a size, or grows them with zeros.",
                                           .usage = "sandstore fs truncate -s SIZE PATH...",
                                           .flags = {"size"},
                                           .letters = {{'s', "size"}},
                                           .positionals_min = 1,
                                           .positionals_max = kAnyNumber,
                                           .positionals_name = "PATH",
                                           .notes = "A file that is not there is made.\n",
                                           .required = {"size"}});
    return run_fs(argc, argv, spec, [](Client& client, const std::vector<std::string>& paths, FsErrors& errors) {
        const uint64_t size = parse_size(FLAGS_size).value_or(0);
        for (const std::string& path : paths) {
            Result<pb::Attributes> result = client.truncate(path, size);
            if (result.code() == pb::STATUS_ENOENT) {
                result = client.create_file(path);
                if (result.ok() && size > 0) result = client.truncate(path, size);
            }
            if (!result.ok()) errors.say(path, result.status());
        }
    });
}

}  // namespace sandstore
