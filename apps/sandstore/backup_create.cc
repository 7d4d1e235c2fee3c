// sandstore backup create.
#include <gflags/gflags.h>
#include <json/json.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <set>

#include "apps/backup/backup_directory.h"
#include "apps/backup/chunk_stream.h"
#include "apps/backup/files.h"
#include "apps/backup/manifest.h"
#include "apps/backup/namespace_export.h"
#include "apps/backup/tar_stream.h"
#include "apps/common/remote_path.h"
#include "apps/sandstore/backup_tools.h"
#include "apps/terminal/progress_bar.h"
#include "apps/terminal/units.h"
#include "runtime/event_runtime.h"
#include "runtime/one_line.h"
#include "runtime/text.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

constexpr size_t kDamagedShown = 20;

// Everything about the cluster that a backup begins with: the hold is older than the namespace, so every chunk that
// the namespace names stays.
struct Snapshot {
    pb::BackupHeader header;
    ExportedNamespace exported;
    std::unique_ptr<NamespaceWalk> walk;
};

ClientStatus take_snapshot(Client& client, HoldKeeper& hold, const pb::ClusterStatus& cluster, Snapshot* snapshot) {
    if (ClientStatus status = hold.take(); !status.ok()) return status;
    if (ClientStatus status = export_namespace(client, &snapshot->exported); !status.ok()) return status;
    snapshot->walk = std::make_unique<NamespaceWalk>(snapshot->exported.state.files());
    pb::BackupHeader& header = snapshot->header;
    header.set_format(kBackupFormat);
    header.set_cluster_id(cluster.cluster_id());
    header.set_created_at_us(SystemClock().wall_us());
    header.set_applied_index(snapshot->exported.index);
    header.set_term(cluster.term());
    header.set_version(version_text());
    header.set_directories(snapshot->walk->directories());
    header.set_files(snapshot->walk->files());
    header.set_file_bytes(snapshot->walk->file_bytes());
    header.set_chunks(snapshot->walk->chunks().size());
    header.set_chunk_bytes(snapshot->walk->chunk_bytes());
    return {};
}

// Names the files that need one of these chunks, as many as are worth reading.
void tell_affected_files(const Snapshot& snapshot, const std::set<uint64_t>& chunks) {
    NamespaceWalk walk(snapshot.exported.state.files());
    EntryChecker paths(walk.chunks());
    pb::BackupEntry entry;
    size_t shown = 0;
    while (walk.next(&entry)) {
        (void)paths.check(entry);
        bool affected = false;
        for (const pb::BackupExtent& extent : entry.extents()) affected |= chunks.contains(extent.chunk());
        if (!affected) continue;
        if (++shown > kDamagedShown) return backup_says("and more files");
        backup_says(str_cat(one_line(paths.path_of(entry)), ": its bytes cannot be read"));
    }
}

// --- Into a directory ------------------------------------------------------------------------------------------------

// The chunks that are not in the directory yet; the others get their checksums.
std::vector<size_t> missing_chunks(const BackupDirectory& directory, std::vector<pb::BackupChunk>* chunks,
                                   Client& client, HoldKeeper& hold, ClientStatus* status) {
    constexpr size_t kLookUpEvery = 256;
    std::vector<size_t> missing;
    for (size_t i = 0; i < chunks->size() && status->ok(); ++i) {
        const std::string problem = directory.check_chunk(&(*chunks)[i], directory.was_unfinished());
        if (!problem.empty()) missing.push_back(i);
        if (!problem.empty() && problem != BackupDirectory::kMissing && !directory.was_unfinished()) {
            backup_says(str_cat(directory.chunk_path((*chunks)[i]), ": ", problem, "; it is copied again"));
        }
        if (i % kLookUpEvery != 0) continue;
        client.run_until([] { return true; }, 0);
        *status = interrupted() ? ClientStatus(pb::STATUS_UNAVAILABLE, "interrupted") : hold.keep();
    }
    return missing;
}

ClientStatus copy_chunks(BackupDirectory& directory, Client& client, HoldKeeper& hold, Snapshot& snapshot,
                         std::vector<pb::BackupChunk>* chunks, const std::vector<size_t>& missing) {
    uint64_t total = 0;
    for (const size_t number : missing) total += (*chunks)[number].length();
    ProgressBar bar("copying", total);
    ChunkStream stream(client, hold, *snapshot.walk, missing);
    std::set<uint64_t> unreadable;
    uint64_t done = 0;
    while (!stream.at_end()) {
        const size_t number = stream.next_number();
        Result<Payload> bytes = stream.next();
        if (stream.broken()) return bytes.status();
        if (!bytes.ok()) {
            backup_says(bytes.text());
            unreadable.insert(number);
            continue;
        }
        if (const int error = directory.write_chunk(&(*chunks)[number], *bytes); error != 0) {
            return ClientStatus(pb::STATUS_EIO, str_cat(directory.path(), ": ", strerror(error)));
        }
        bar.update(done += bytes->size());
    }
    if (unreadable.empty()) return {};
    tell_affected_files(snapshot, unreadable);
    return ClientStatus(pb::STATUS_EIO,
                        str_cat(unreadable.size(), " of ", chunks->size(),
                                " chunks cannot be read: there is no backup (what could be is copied)"));
}

bool write_manifest(const BackupDirectory& directory, Snapshot& snapshot, const std::vector<pb::BackupChunk>& chunks,
                    std::string* error) {
    ManifestWriter manifest(directory.manifest_path(snapshot.header.backup_id()));
    pb::BackupRecord record;
    *record.mutable_header() = snapshot.header;
    manifest.add(record);
    for (const pb::BackupChunk& chunk : chunks) {
        *record.mutable_chunk() = chunk;
        manifest.add(record);
    }
    while (snapshot.walk->next(record.mutable_entry())) manifest.add(record);
    return manifest.finish(error);
}

void tell_result(const pb::BackupHeader& header, const std::string& path, uint64_t took_us) {
    if (FLAGS_json) {
        Json::Value line;
        line["backup"] = header.backup_id();
        line["cluster_id"] = header.cluster_id();
        line["applied_index"] = Json::UInt64(header.applied_index());
        tell_counts(header, &line);
        line["took_us"] = Json::UInt64(took_us);
        Json::StreamWriterBuilder builder;
        builder["indentation"] = "";
        std::puts(Json::writeString(builder, line).c_str());
        return;
    }
    std::printf("%s\n", header.backup_id().c_str());
    std::fprintf(stderr, "%s: %llu files, %s; %llu of %llu chunks are new (%s), %s\n", path.c_str(),
                 static_cast<unsigned long long>(header.files()), format_bytes(header.file_bytes()).c_str(),
                 static_cast<unsigned long long>(header.new_chunks()), static_cast<unsigned long long>(header.chunks()),
                 format_bytes(header.new_chunk_bytes()).c_str(), format_duration(took_us).c_str());
}

int create_in_directory(const std::string& path, Client& client, const pb::ClusterStatus& cluster) {
    const SystemClock clock;
    const uint64_t began_us = clock.monotonic_us();
    std::string error;
    const std::unique_ptr<BackupDirectory> directory =
        BackupDirectory::open(path, BackupDirectory::Use::kWrite, cluster.cluster_id(), &error);
    if (directory == nullptr) return backup_failed(error);
    Snapshot snapshot;
    HoldKeeper hold(client);
    ClientStatus status = take_snapshot(client, hold, cluster, &snapshot);
    if (!status.ok()) return backup_failed(str_cat("the cluster: ", status.text()));
    if (const int failed = directory->begin(); failed != 0) return backup_failed(str_cat(path, ": ", strerror(failed)));
    std::vector<pb::BackupChunk> chunks = snapshot.walk->chunks();
    const std::vector<size_t> missing = missing_chunks(*directory, &chunks, client, hold, &status);
    if (status.ok()) status = copy_chunks(*directory, client, hold, snapshot, &chunks, missing);
    if (!status.ok()) {
        backup_failed(status.text());
        return interrupted() ? kInterruptedStatus : 1;
    }
    hold.release();
    snapshot.header.set_backup_id(directory->new_backup_id(snapshot.header.created_at_us()));
    snapshot.header.set_new_chunks(missing.size());
    for (const size_t number : missing) {
        snapshot.header.set_new_chunk_bytes(snapshot.header.new_chunk_bytes() + chunks[number].length());
    }
    // The manifest comes last: whatever it names is on the disk.
    if (const int failed = directory->sync(); failed != 0) return backup_failed(str_cat(path, ": ", strerror(failed)));
    if (!write_manifest(*directory, snapshot, chunks, &error)) return backup_failed(error);
    if (const int failed = directory->finish(); failed != 0)
        return backup_failed(str_cat(path, ": ", strerror(failed)));
    tell_result(snapshot.header, path, clock.monotonic_us() - began_us);
    return 0;
}

// --- As a tar stream -------------------------------------------------------------------------------------------------

ClientStatus stream_tree(Client& client, HoldKeeper& hold, Snapshot& snapshot, TarWriter& tar) {
    // In which order chunks are read: a chunk in several runs of a file is read once for each.
    std::vector<size_t> order;
    NamespaceWalk first(snapshot.exported.state.files());
    pb::BackupEntry entry;
    while (first.next(&entry)) {
        for (const pb::BackupExtent& extent : entry.extents()) order.push_back(extent.chunk());
    }
    ChunkStream stream(client, hold, *snapshot.walk, std::move(order));
    EntryChecker paths(snapshot.walk->chunks());
    tar.begin(snapshot.header);
    ProgressBar bar("streaming", snapshot.header.file_bytes());
    uint64_t done = 0;
    while (snapshot.walk->next(&entry)) {
        (void)paths.check(entry);
        const std::string path = paths.path_of(entry).substr(1);
        if (entry.directory()) {
            tar.directory(path, entry);
            continue;
        }
        tar.file(path, entry);
        for (const pb::BackupExtent& extent : entry.extents()) {
            const Result<Payload> bytes = stream.next();
            if (!bytes.ok()) return ClientStatus(bytes.code(), str_cat("/", path, ": ", bytes.text()));
            const Payload run = bytes->slice(extent.chunk_offset(), extent.length());
            for (const Payload::Piece& piece : run.pieces()) tar.data(piece.bytes);
            if (tar.error() != 0)
                return ClientStatus(pb::STATUS_EIO, str_cat("standard output: ", strerror(tar.error())));
            bar.update(done += extent.length());
        }
        tar.end_file();
    }
    tar.finish();
    if (tar.error() != 0) return ClientStatus(pb::STATUS_EIO, str_cat("standard output: ", strerror(tar.error())));
    return {};
}

int create_as_stream(Client& client, const pb::ClusterStatus& cluster) {
    if (isatty(STDOUT_FILENO) != 0) return backup_failed("a tar stream is not written to a terminal: give it a file");
    Snapshot snapshot;
    HoldKeeper hold(client);
    ClientStatus status = take_snapshot(client, hold, cluster, &snapshot);
    if (!status.ok()) return backup_failed(str_cat("the cluster: ", status.text()));
    const uint64_t created_us = snapshot.header.created_at_us();
    snapshot.header.set_backup_id(str_cat("stream-", created_us));
    TarWriter tar([](std::string_view bytes) { return write_all(STDOUT_FILENO, bytes); });
    status = stream_tree(client, hold, snapshot, tar);
    if (status.ok()) return 0;
    backup_failed(str_cat(status.text(), ": the stream is not complete, and will be refused"));
    return interrupted() ? kInterruptedStatus : 1;
}

// A node of an older version does not know holds: its state would be another one.
bool versions_agree(const pb::ClusterStatus& cluster) {
    std::set<std::string> versions;
    for (const pb::NodeStatus& node : cluster.nodes()) {
        if (!node.version().empty()) versions.insert(node.version());
    }
    return versions.size() < 2;
}

}  // namespace

int backup_create(int argc, char** argv) {
    CommandSpec spec;
    spec.name = "backup create";
    spec.summary = "Backs a running cluster up: its namespace at one moment, and the bytes of its files.";
    spec.usage = "sandstore backup create DIR|-";
    spec.groups = {cluster_flags(), {"Output", {"json"}}};
    spec.positionals_min = spec.positionals_max = 1;
    spec.positionals_name = "DIR|-";
    spec.notes =
        "Clients may go on writing. DIR is made when it is not there; a later backup into it copies only what is new.\n"
        "An interrupted backup is not listed, and running it again goes on from there. With - a tar stream is written\n"
        "to standard output. Prints the backup's id. Exit status: 0 done, 1 no backup, 2 bad command line.\n";
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    catch_interrupts();
    Client client(backup_client_options());
    const Result<pb::ClusterStatus> cluster = client.cluster_status();
    if (!cluster.ok()) return backup_failed(str_cat("the cluster: ", cluster.text()));
    if (!versions_agree(*cluster)) {
        return backup_failed("the nodes run different versions: finish the upgrade, then back up");
    }
    if (parsed.positionals[0] == "-") return create_as_stream(client, *cluster);
    const std::string path = without_slashes(parsed.positionals[0]);
    return create_in_directory(path, client, *cluster);
}

}  // namespace sandstore
