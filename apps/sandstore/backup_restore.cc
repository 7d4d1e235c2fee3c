// sandstore backup restore.
#include <gflags/gflags.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "apps/backup/backup_directory.h"
#include "apps/backup/files.h"
#include "apps/backup/manifest.h"
#include "apps/backup/restore_target.h"
#include "apps/backup/tar_stream.h"
#include "apps/common/remote_path.h"
#include "apps/sandstore/backup_tools.h"
#include "apps/terminal/progress_bar.h"
#include "apps/terminal/units.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

DEFINE_string(backup, "", "which backup of the directory (none: the newest)");
DEFINE_string(into, "/", "a directory that does not exist yet or is empty; / only in an empty cluster");

namespace sandstore {

namespace {

constexpr uint64_t kPieceBytes = 8ull << 20;  // Of one write.

const FlagRule kIntoRule("into", {"a path that begins with / and has no . or .. in it", [](std::string_view text) {
                                      const std::string padded = str_cat(text, "/");
                                      return text.starts_with('/') && padded.find("/./") == std::string::npos &&
                                             padded.find("/../") == std::string::npos;
                                  }});

// Chunks of a backup, verified; those used last are kept.
class ChunkCache {
 public:
    ChunkCache(const BackupDirectory& directory, const std::vector<pb::BackupChunk>& chunks)
        : directory_(directory), chunks_(chunks) {}

    // Nothing: told why in `problem`.
    bool get(uint64_t number, Payload* bytes, std::string* problem) {
        for (const auto& [known, kept] : recent_) {
            if (known != number) continue;
            *bytes = kept;
            return true;
        }
        std::string read;
        std::string what;
        if (!directory_.read_chunk(chunks_[number], &read, &what)) {
            *problem = str_cat(directory_.chunk_path(chunks_[number]), ": ", what);
            return false;
        }
        *bytes = Payload(std::move(read));
        recent_.emplace_back(number, *bytes);
        if (recent_.size() > kKept) recent_.pop_front();
        return true;
    }

 private:
    static constexpr size_t kKept = 4;
    const BackupDirectory& directory_;
    const std::vector<pb::BackupChunk>& chunks_;
    std::deque<std::pair<uint64_t, Payload>> recent_;
};

// Runs that go on in the next extent are written together, in pieces of 8 MiB.
bool write_extents(const pb::BackupEntry& entry, ChunkCache& cache, TreeWriter& writer, ProgressBar& bar,
                   uint64_t* done, std::string* problem) {
    Payload piece;
    uint64_t piece_offset = 0;
    for (const pb::BackupExtent& extent : entry.extents()) {
        Payload chunk;
        if (!cache.get(extent.chunk(), &chunk, problem)) return false;
        uint64_t taken = 0;
        while (taken < extent.length()) {
            if (piece_offset + piece.size() != extent.offset() + taken || piece.size() >= kPieceBytes) {
                writer.write(piece_offset, std::exchange(piece, {}));
                piece_offset = extent.offset() + taken;
            }
            const uint64_t length = std::min(extent.length() - taken, kPieceBytes - piece.size());
            piece.append(chunk.slice(extent.chunk_offset() + taken, length));
            taken += length;
        }
        bar.update(*done += extent.length());
    }
    writer.write(piece_offset, std::move(piece));
    return true;
}

int failed_or_interrupted(std::string_view what) {
    backup_failed(interrupted() ? "interrupted: run it again to go on from here" : what);
    return interrupted() ? kInterruptedStatus : 1;
}

void tell_result(const RestoreTarget& target, uint64_t files, uint64_t bytes, uint64_t took_us) {
    const std::string kept =
        target.kept_files() == 0 ? "" : str_cat(" (", target.kept_files(), " had been restored before)");
    std::fprintf(stderr, "%s: %llu files%s, %s restored and compared, %s\n", FLAGS_into.c_str(),
                 static_cast<unsigned long long>(files), kept.c_str(), format_bytes(bytes).c_str(),
                 format_duration(took_us).c_str());
}

// --- From a directory ------------------------------------------------------------------------------------------------

struct OpenBackup {
    std::string path;
    std::unique_ptr<ManifestReader> manifest;
    std::vector<pb::BackupChunk> chunks;

    bool open(std::string* error) {
        manifest = ManifestReader::open(path, error);
        if (manifest == nullptr) return false;
        if (manifest->read_chunks(&chunks)) return true;
        *error = manifest->problem();
        return false;
    }
};

// Before anything is written: a restore that must fail half way through is worth little.
bool check_manifest(const std::string& path, pb::BackupEntry* root, std::string* error) {
    OpenBackup backup{path, nullptr, {}};
    if (!backup.open(error)) return false;
    pb::BackupEntry entry;
    bool first = true;
    while (backup.manifest->next(&entry)) {
        if (std::exchange(first, false)) *root = entry;
    }
    *error = backup.manifest->problem();
    return error->empty();
}

bool restore_entries(const BackupDirectory& directory, OpenBackup& backup, RestoreTarget& target, std::string* error) {
    ChunkCache cache(directory, backup.chunks);
    ProgressBar bar("restoring", backup.manifest->header().file_bytes());
    pb::BackupEntry entry;
    uint64_t done = 0;
    while (backup.manifest->next(&entry)) {
        if (target.add(entry)) {
            if (!write_extents(entry, cache, target.writer(), bar, &done, error)) return false;
            target.writer().end_file();
        }
        if (!target.error().empty() || !target.writer().failure().ok()) break;
    }
    *error = backup.manifest->problem();
    if (!error->empty()) return false;
    if (target.finish_writing()) return true;
    *error = target.error();
    return false;
}

bool compare_entries(OpenBackup& backup, RestoreTarget& target, std::string* error) {
    bool same = target.begin_comparing();
    pb::BackupEntry entry;
    while (same && backup.manifest->next(&entry)) same = target.compare(entry);
    same = same && target.end_comparing();
    *error = target.error();
    return same;
}

int restore_from_directory(const std::string& path, Client& client) {
    const SystemClock clock;
    const uint64_t began_us = clock.monotonic_us();
    std::string error;
    const std::unique_ptr<BackupDirectory> directory =
        BackupDirectory::open(path, BackupDirectory::Use::kRead, "", &error);
    if (directory == nullptr) return backup_failed(error);
    const std::vector<std::string> ids = directory->backup_ids();
    if (ids.empty()) return backup_failed(str_cat(path, ": there is no complete backup in it"));
    const std::string id = FLAGS_backup.empty() ? ids.back() : FLAGS_backup;
    pb::BackupEntry root;
    if (!check_manifest(directory->manifest_path(id), &root, &error)) return backup_failed(error);
    RestoreTarget target(client, FLAGS_into, id);
    if (!target.prepare()) return backup_failed(target.error());
    OpenBackup backup{directory->manifest_path(id), nullptr, {}};
    if (!backup.open(&error)) return backup_failed(error);
    const pb::BackupHeader header = backup.manifest->header();
    if (!target.only_to_be_moved()) {
        if (!restore_entries(*directory, backup, target, &error)) return failed_or_interrupted(error);
        if (!backup.open(&error) || !compare_entries(backup, target, &error)) return failed_or_interrupted(error);
    }
    if (!target.move_into_place(root)) return failed_or_interrupted(target.error());
    tell_result(target, header.files(), header.file_bytes(), clock.monotonic_us() - began_us);
    return 0;
}

// --- From a tar stream -----------------------------------------------------------------------------------------------

int64_t read_stdin(char* buffer, size_t size) {
    while (true) {
        if (interrupted()) return -EINTR;
        const ssize_t count = ::read(STDIN_FILENO, buffer, size);
        if (count >= 0) return count;
        if (errno != EINTR) return -errno;
    }
}

// The stream's paths as the entries of a backup: each with a number, and that of its directory.
class StreamEntries {
 public:
    // Empty, or what is wrong.
    std::string take(TarMember* member) {
        pb::BackupEntry& entry = member->entry;
        entry.set_inode(++last_);
        if (entries_.empty() != member->path.empty()) return "the root is not exactly the first member";
        if (!entries_.empty()) {
            const size_t slash = member->path.rfind('/');
            const std::string parent = slash == std::string::npos ? "" : member->path.substr(0, slash);
            const auto found = directories_.find(parent);
            if (found == directories_.end()) return "a member comes before its directory";
            entry.set_parent(found->second);
            entry.set_name(slash == std::string::npos ? member->path : member->path.substr(slash + 1));
        }
        if (std::string problem = checker_.check(entry); !problem.empty()) return problem;
        if (entry.directory()) directories_[member->path] = entry.inode();
        for (const DataRange& range : member->ranges) {
            pb::BackupExtent* extent = entry.add_extents();
            extent->set_offset(range.offset);
            extent->set_length(range.length);
        }
        entries_.push_back(entry);
        return {};
    }
    const std::vector<pb::BackupEntry>& all() const { return entries_; }

 private:
    std::unordered_map<std::string, uint64_t> directories_;
    std::vector<pb::BackupEntry> entries_;
    const std::vector<pb::BackupChunk> no_chunks_;  // A stream names none.
    EntryChecker checker_{no_chunks_};
    uint64_t last_ = 0;
};

bool restore_members(TarReader& tar, RestoreTarget& target, StreamEntries* entries, uint64_t total,
                     std::string* error) {
    ProgressBar bar("restoring", total);
    TarMember member;
    std::string bytes;
    uint64_t done = 0;
    while (tar.next(&member)) {
        *error = entries->take(&member);
        if (!error->empty()) return false;
        const bool wanted = target.add(member.entry);
        if (!target.error().empty() || !target.writer().failure().ok()) break;
        if (!wanted) continue;  // What is not read is passed over.
        for (const DataRange& range : member.ranges) {
            for (uint64_t at = 0; at < range.length && target.writer().failure().ok();) {
                const uint64_t length = std::min(kPieceBytes, range.length - at);
                if (!tar.read(&bytes, length)) break;
                target.writer().write(range.offset + at, Payload(std::exchange(bytes, {})));
                at += length;
                bar.update(done += length);
            }
            if (!tar.problem().empty()) break;
        }
        if (!tar.problem().empty()) break;
        target.writer().end_file();
    }
    *error = tar.problem();
    if (!error->empty()) return false;
    if (target.finish_writing()) return true;
    *error = target.error();
    return false;
}

int restore_from_stream(Client& client) {
    const SystemClock clock;
    const uint64_t began_us = clock.monotonic_us();
    TarReader tar(read_stdin);
    pb::BackupHeader header;
    if (!tar.begin(&header)) return backup_failed(tar.problem());
    RestoreTarget target(client, FLAGS_into, header.backup_id());
    if (!target.prepare()) return backup_failed(target.error());
    if (target.only_to_be_moved()) {
        TarMember root;
        if (!tar.next(&root)) return backup_failed(tar.problem());
        if (!target.move_into_place(root.entry)) return failed_or_interrupted(target.error());
        return 0;
    }
    std::string error;
    StreamEntries entries;
    if (!restore_members(tar, target, &entries, header.file_bytes(), &error)) {
        // A damaged stream is of no use a second time either.
        if (!tar.problem().empty() && !interrupted()) target.abandon();
        return failed_or_interrupted(error);
    }
    bool same = target.begin_comparing();
    for (size_t i = 0; same && i < entries.all().size(); ++i) same = target.compare(entries.all()[i]);
    same = same && target.end_comparing();
    if (!same || !target.move_into_place(entries.all().front())) return failed_or_interrupted(target.error());
    tell_result(target, header.files(), header.file_bytes(), clock.monotonic_us() - began_us);
    return 0;
}

}  // namespace

int backup_restore(int argc, char** argv) {
    CommandSpec spec;
    spec.name = "backup restore";
    spec.summary = "Writes a backup into a cluster, compares it, and puts it into its place.";
    spec.usage = "sandstore backup restore DIR|- [--backup=ID] [--into=/DIRECTORY]";
    spec.groups = {{"Restore", {"backup", "into"}}, cluster_flags()};
    spec.positionals_min = spec.positionals_max = 1;
    spec.positionals_name = "DIR|-";
    spec.notes =
        "Into an empty cluster, or with --into beside what is there. Nothing appears in its place before all of it is\n"
        "restored and compared; run an interrupted one again to go on. With - a tar stream is read from standard "
        "input.\n"
        "Exit status: 0 done, 1 not done, 2 bad command line.\n";
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    catch_interrupts();
    Client client(backup_client_options());
    if (parsed.positionals[0] == "-") return restore_from_stream(client);
    const std::string path = without_slashes(parsed.positionals[0]);
    return restore_from_directory(path, client);
}

}  // namespace sandstore
