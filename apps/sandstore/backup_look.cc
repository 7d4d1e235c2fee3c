// sandstore backup list, verify, delete, prune: what needs no cluster.
#include <gflags/gflags.h>
#include <json/json.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

#include "apps/backup/backup_directory.h"
#include "apps/backup/files.h"
#include "apps/backup/manifest.h"
#include "apps/common/remote_path.h"
#include "apps/sandstore/backup_tools.h"
#include "apps/terminal/progress_bar.h"
#include "apps/terminal/table.h"
#include "apps/terminal/units.h"
#include "runtime/one_line.h"
#include "runtime/text.h"

DEFINE_uint64(keep_backups, 7, "how many backups to keep, the newest ones");

namespace sandstore {

namespace {

const FlagRule kKeepRule("keep_backups", number_between(1, 1'000'000));

CommandSpec spec_of(std::string_view name, std::string_view summary, std::string_view usage, size_t most,
                    std::vector<std::string_view> flags) {
    CommandSpec spec;
    spec.name = name;
    spec.summary = summary;
    spec.usage = usage;
    if (!flags.empty()) spec.groups = {{"Options", std::move(flags)}};
    spec.positionals_min = 1;
    spec.positionals_max = most;
    spec.positionals_name = "DIR";
    return spec;
}

void print_json(const Json::Value& value) {
    std::puts(Json::writeString(Json::StreamWriterBuilder(), value).c_str());
}

// --- list ------------------------------------------------------------------------------------------------------------

Json::Value json_of(const std::string& id, const ManifestReader* manifest, const std::string& error) {
    Json::Value line;
    line["id"] = id;
    if (manifest == nullptr) {
        line["error"] = error;
        return line;
    }
    const pb::BackupHeader& header = manifest->header();
    line["cluster_id"] = header.cluster_id();
    line["created_at_us"] = Json::UInt64(header.created_at_us());
    line["applied_index"] = Json::UInt64(header.applied_index());
    line["version"] = header.version();
    tell_counts(header, &line);
    return line;
}

std::vector<std::string> row_of(const std::string& id, const ManifestReader* manifest) {
    if (manifest == nullptr) return {id, "damaged", "", "", "", ""};
    const pb::BackupHeader& header = manifest->header();
    return {id,
            format_time(header.created_at_us()),
            std::to_string(header.applied_index()),
            std::to_string(header.files()),
            format_bytes(header.file_bytes()),
            format_bytes(header.new_chunk_bytes())};
}

// --- verify ----------------------------------------------------------------------------------------------------------

class Verifier {
 public:
    explicit Verifier(const BackupDirectory& directory) : directory_(directory) {}

    // Tells what is damaged; false: something is.
    bool verify(const std::string& id) {
        std::string error;
        const std::unique_ptr<ManifestReader> manifest = ManifestReader::open(directory_.manifest_path(id), &error);
        if (manifest == nullptr) return tell(id, error);
        std::vector<pb::BackupChunk> chunks;
        if (!manifest->read_chunks(&chunks)) return tell(id, manifest->problem());
        if (manifest->header().backup_id() != id || manifest->header().cluster_id() != directory_.cluster_id()) {
            return tell(id, "the manifest is another backup's");
        }
        const std::set<uint64_t> damaged = damaged_chunks(id, chunks, manifest->header().chunk_bytes());
        EntryChecker paths(chunks);
        pb::BackupEntry entry;
        while (manifest->next(&entry)) {
            (void)paths.check(entry);
            uint64_t lost = 0;
            for (const pb::BackupExtent& extent : entry.extents()) {
                if (damaged.contains(extent.chunk())) lost += extent.length();
            }
            if (lost == 0) continue;
            tell(id, str_cat(one_line(paths.path_of(entry)), ": ", lost, " of ", entry.size(), " bytes are lost"));
        }
        if (!manifest->problem().empty()) return tell(id, manifest->problem());
        return damaged.empty() && !interrupted();
    }

    const Json::Value& problems() const { return problems_; }
    uint64_t bytes() const { return bytes_; }

 private:
    bool tell(const std::string& id, const std::string& what) {
        Json::Value line;
        line["backup"] = id;
        line["problem"] = what;
        problems_.append(line);
        if (!FLAGS_json) std::printf("%s: %s\n", id.c_str(), what.c_str());
        return false;
    }

    // Backups share chunks: each is read once.
    std::set<uint64_t> damaged_chunks(const std::string& id, const std::vector<pb::BackupChunk>& chunks,
                                      uint64_t total_bytes) {
        ProgressBar bar(id, total_bytes);
        std::set<uint64_t> damaged;
        uint64_t done = 0;
        for (size_t i = 0; i < chunks.size() && !interrupted(); ++i) {
            const std::string path = directory_.chunk_path(chunks[i]);
            auto [known, added] = known_.try_emplace({path, chunks[i].crc32c()});
            if (added) {
                directory_.read_chunk(chunks[i], &buffer_, &known->second);
                bytes_ += chunks[i].length();
            }
            if (!known->second.empty()) {
                damaged.insert(i);
                tell(id, str_cat(path, ": ", known->second));
            }
            bar.update(done += chunks[i].length());
        }
        return damaged;
    }

    const BackupDirectory& directory_;
    std::map<std::pair<std::string, uint32_t>, std::string> known_;  // Path and checksum -> what is wrong.
    std::string buffer_;
    Json::Value problems_{Json::arrayValue};
    uint64_t bytes_ = 0;
};

// --- delete ----------------------------------------------------------------------------------------------------------

int remove_backups(BackupDirectory& directory, const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
        if (::unlink(directory.manifest_path(id).c_str()) != 0) {
            return backup_failed(str_cat(directory.manifest_path(id), ": ", strerror(errno)));
        }
        std::printf("%s\n", id.c_str());
    }
    // Chunks go after the manifests that name them have gone for good.
    if (const int error = sync_directory_of(directory.manifest_path("any")); error != 0) {
        return backup_failed(str_cat(directory.path(), ": ", strerror(error)));
    }
    uint64_t removed = 0;
    uint64_t removed_bytes = 0;
    std::string error;
    if (!directory.collect_garbage(&removed, &removed_bytes, &error)) {
        return backup_failed(str_cat(error, ": no chunk is removed while a manifest cannot be read"));
    }
    std::fprintf(stderr, "%s: %zu backups and %llu chunks removed (%s)\n", directory.path().c_str(), ids.size(),
                 static_cast<unsigned long long>(removed), format_bytes(removed_bytes).c_str());
    return 0;
}

// Null: told, and the exit status is 1.
std::unique_ptr<BackupDirectory> open_directory(const ParsedCommandLine& parsed, BackupDirectory::Use use) {
    const std::string path = without_slashes(parsed.positionals[0]);
    std::string error;
    std::unique_ptr<BackupDirectory> directory = BackupDirectory::open(path, use, "", &error);
    if (directory == nullptr) backup_failed(error);
    return directory;
}

// Those named, checked, or all.
bool chosen_backups(const BackupDirectory& directory, const ParsedCommandLine& parsed, std::vector<std::string>* ids) {
    const std::vector<std::string> all = directory.backup_ids();
    if (parsed.positionals.size() == 1) {
        *ids = all;
        return true;
    }
    for (size_t i = 1; i < parsed.positionals.size(); ++i) {
        const std::string& id = parsed.positionals[i];
        if (std::find(all.begin(), all.end(), id) == all.end()) {
            backup_failed(str_cat(directory.path(), ": there is no backup ", id));
            return false;
        }
        ids->push_back(id);
    }
    return true;
}

}  // namespace

int backup_list(int argc, char** argv) {
    const CommandSpec spec = spec_of("backup list", "Shows the complete backups in a directory, oldest first.",
                                     "sandstore backup list DIR", 1, {"json"});
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    const std::unique_ptr<BackupDirectory> directory = open_directory(parsed, BackupDirectory::Use::kRead);
    if (directory == nullptr) return 1;
    Json::Value lines(Json::arrayValue);
    std::vector<std::vector<std::string>> rows{{"BACKUP", "CREATED", "INDEX", "FILES", "SIZE", "NEW"}};
    bool damaged = false;
    for (const std::string& id : directory->backup_ids()) {
        std::string error;
        const std::unique_ptr<ManifestReader> manifest = ManifestReader::open(directory->manifest_path(id), &error);
        damaged |= manifest == nullptr;
        lines.append(json_of(id, manifest.get(), error));
        rows.push_back(row_of(id, manifest.get()));
        if (manifest == nullptr) backup_says(error);
    }
    if (FLAGS_json) {
        print_json(lines);
    } else {
        print_table(rows);
        if (directory->was_unfinished()) {
            backup_says("a backup was begun here and has not ended: run `backup create` again to complete one");
        }
    }
    return damaged ? 1 : 0;
}

int backup_verify(int argc, char** argv) {
    CommandSpec spec = spec_of("backup verify", "Checks every byte of the backups in a directory, or of those named.",
                               "sandstore backup verify DIR [BACKUP...]", 10'000, {"json"});
    spec.notes =
        "Names what is damaged, and the files that need it. Exit status: 0 all is well, 1 something is damaged.\n";
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    const std::unique_ptr<BackupDirectory> directory = open_directory(parsed, BackupDirectory::Use::kRead);
    std::vector<std::string> ids;
    if (directory == nullptr || !chosen_backups(*directory, parsed, &ids)) return 1;
    catch_interrupts();
    Verifier verifier(*directory);
    bool good = true;
    for (const std::string& id : ids) {
        const bool this_one = verifier.verify(id);
        good &= this_one;
        if (interrupted()) return kInterruptedStatus;
        if (this_one && !FLAGS_json) std::printf("%s: good\n", id.c_str());
    }
    if (FLAGS_json) {
        Json::Value result;
        result["backups"] = Json::UInt64(ids.size());
        result["bytes"] = Json::UInt64(verifier.bytes());
        result["good"] = good;
        result["problems"] = verifier.problems();
        print_json(result);
    }
    return good ? 0 : 1;
}

int backup_delete(int argc, char** argv) {
    CommandSpec spec = spec_of("backup delete", "Removes backups, and the chunks that no other one needs.",
                               "sandstore backup delete DIR BACKUP...", 10'000, {});
    spec.positionals_min = 2;
    spec.positionals_name = "DIR BACKUP...";
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    const std::unique_ptr<BackupDirectory> directory = open_directory(parsed, BackupDirectory::Use::kWrite);
    std::vector<std::string> ids;
    if (directory == nullptr || !chosen_backups(*directory, parsed, &ids)) return 1;
    return remove_backups(*directory, ids);
}

int backup_prune(int argc, char** argv) {
    const CommandSpec spec =
        spec_of("backup prune", "Removes all but the newest backups, and the chunks that no other one needs.",
                "sandstore backup prune DIR --keep=N", 1, {"keep=keep_backups"});
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    const std::unique_ptr<BackupDirectory> directory = open_directory(parsed, BackupDirectory::Use::kWrite);
    if (directory == nullptr) return 1;
    std::vector<std::string> ids = directory->backup_ids();
    ids.resize(ids.size() > FLAGS_keep_backups ? ids.size() - FLAGS_keep_backups : 0);
    return remove_backups(*directory, ids);
}

}  // namespace sandstore
