// sandstore node: runs one node until SIGTERM.
#include <gflags/gflags.h>
#include <malloc.h>

#include <cstdio>
#include <memory>

#include "actors/chunk/chunk_key.h"
#include "actors/chunk/volume_format.h"
#include "actors/cluster/member_record.h"
#include "apps/common/common_flags.h"
#include "apps/modules/modules.h"
#include "apps/node/node.h"
#include "apps/node/node_checks.h"
#include "apps/sandstore/commands.h"
#include "apps/terminal/units.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "runtime/version.h"

DEFINE_string(node_id, "", "name of this node, as the member list has it");
DEFINE_string(cluster_id, "", "name of the cluster; from discovery when it is not given");
DEFINE_string(listen, ":8080", "address for peers and clients");
DEFINE_string(http_listen, ":9400", "address for /livez, /readyz, /status and /metrics");
DEFINE_string(data_dir, "/var/lib/sandstore", "where this node keeps its data; one directory for each node");
DEFINE_string(peers, "", "all members as id=host:port,...: a fixed list");
DEFINE_string(snapshot_log_size, "256MiB",
              "a snapshot is taken when the log has grown by this since the last one; 0: only on request");
DEFINE_string(disk_reserve, "256MiB",
              "what file data leave free on the disk for the log and snapshots; at most an eighth of it. 0: none");
DEFINE_string(volume_size, "1GiB", "chunks are stored one behind the other in files of this size");
DEFINE_uint32(vacuum_garbage, 30,
              "percent of a volume that deleted chunks may take before the rest is moved and the volume goes; 0: any");
DEFINE_string(vacuum_rate, "64MiB", "bytes a second that are moved out of such volumes at most; 0: no limit");
DEFINE_string(chunk_size, "8MiB", "the longest run of a file's bytes that is stored as one piece");
DEFINE_string(memory_budget, "256MiB",
              "memory that clients may make this node hold: half-received requests, writes under way, unread answers");
DEFINE_string(repair_delay, "10m",
              "a node that is away for longer gets copies of its chunks made on other nodes, where there are any");
DEFINE_string(
    spin, "0",
    "after work, look for more for so long before sleeping: quicker answers where processors are idle anyway");
DEFINE_string(log_dir, "", "also write the log to <node-id>.log in this directory");
DEFINE_string(log_file_size, "64MiB", "a log file of --log-dir is not continued beyond this; 0: it grows");
DEFINE_uint32(log_files, 5, "log files that are kept in --log-dir, the one being written included");
DEFINE_bool(debug_faults, false,
            "for tests only: whoever reaches the HTTP port can make disk and clock misbehave (POST /debug/faults)");

namespace sandstore {

namespace {

// Giving hundreds of megabytes back to the system in one go, as after a snapshot, would hold up the loop for
// milliseconds. Setting one of the limits ends glibc's own adjustment of both, so both are set.
void keep_freed_memory() {
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

const FlagRule kNodeIdRule("node_id", {"letters, digits, '-', '_', '.'; at most 63",
                                       [](std::string_view id) { return id.empty() || is_node_name(id); }});
const FlagRule kClusterIdRule("cluster_id", {"letters, digits, '-', '_', '.'",
                                             [](std::string_view id) { return id.empty() || is_cluster_name(id); }});
const FlagRule kListenRule("listen", listen_address());
const FlagRule kHttpListenRule("http_listen", listen_address());
const FlagRule kSnapshotLogRule("snapshot_log_size", size_between(0, uint64_t{1} << 40));
const FlagRule kDiskReserveRule("disk_reserve", size_between(0, uint64_t{1} << 40));
const FlagRule kVolumeSizeRule("volume_size", size_between(16 << 20, kVolumeBytesMax));
const FlagRule kVacuumGarbageRule("vacuum_garbage", number_between(0, 95));
const FlagRule kVacuumRateRule("vacuum_rate", size_between(0, uint64_t{1} << 40));
const FlagRule kChunkSizeRule("chunk_size", size_between(64 << 10, kChunkBytesStored));
const FlagRule kMemoryBudgetRule("memory_budget", size_between(64 << 20, uint64_t{1} << 40));
const FlagRule kRepairDelayRule("repair_delay", duration_between(1'000'000, 86'400'000'000));
const FlagRule kSpinRule("spin", duration_between(0, 1'000));
const FlagRule kLogFileSizeRule("log_file_size", size_between(0, uint64_t{1} << 40));
const FlagRule kLogFilesRule("log_files", number_between(2, 1'000));
const FlagRule kDataDirectoryRule("data_dir", not_empty("directory"));

// The flags of a group, with those that its modules bring along in front.
FlagGroup group(std::string_view title, std::vector<const Module*> brought, std::vector<std::string_view> names) {
    FlagGroup result{title, {}};
    for (const Module* module : brought) {
        result.names.insert(result.names.end(), module->node_flags.begin(), module->node_flags.end());
    }
    result.names.insert(result.names.end(), names.begin(), names.end());
    return result;
}

const CommandSpec& spec() {
    static const CommandSpec kSpec = {
        .name = "node",
        .summary = "Runs one node of a cluster.",
        .usage = "sandstore node --node-id=ID [flags]",
        .groups = {{"Node", {"node_id", "cluster_id", "data_dir", "listen", "http_listen"}},
                   group("Discovery", {&discovery_module()}, {"peers"}),
                   group("Replication", {&replicator_module()}, {}),
                   group("Storage", {&chunk_store_module()},
                         {"snapshot_log_size", "disk_reserve", "chunk_size", "volume_size", "vacuum_garbage",
                          "vacuum_rate", "memory_budget", "repair_delay", "spin"}),
                   group("Logging", {&communicator_module(), &trace_module()},
                         {"log_level", "log_format", "log_dir", "log_file_size", "log_files"}),
                   {"Testing", {"debug_faults"}}},
        .required = {"node_id"},
        .notes = "SIGTERM ends it cleanly, within a second: a leader hands leadership over first.",
        .absent = absent_node_flags(),
    };
    return kSpec;
}

NodeOptions node_options(std::vector<pb::Member> peers) {
    NodeOptions options;
    options.node_id = FLAGS_node_id;
    options.cluster_id = FLAGS_cluster_id;
    options.listen = FLAGS_listen;
    options.http_listen = FLAGS_http_listen;
    options.data_directory = FLAGS_data_dir;
    options.debug_faults = FLAGS_debug_faults;
    options.peers = std::move(peers);
    for (const Module* module : modules()) {
        if (module->read_flags) module->read_flags(&options);
    }
    options.snapshot_log_bytes = parse_size(FLAGS_snapshot_log_size).value();
    options.disk_reserve_bytes = parse_size(FLAGS_disk_reserve).value();
    options.chunk_bytes_max = parse_size(FLAGS_chunk_size).value();
    options.volume_bytes = parse_size(FLAGS_volume_size).value();
    options.vacuum_percent = FLAGS_vacuum_garbage;
    options.vacuum_bytes_per_s = parse_size(FLAGS_vacuum_rate).value();
    options.memory_budget_bytes = parse_size(FLAGS_memory_budget).value();
    options.spin_us = parse_duration_us(FLAGS_spin).value();
    options.repair_delay_us = parse_duration_us(FLAGS_repair_delay).value();
    return options;
}

std::string discovery_text(const NodeOptions& options) {
    if (options.single_node) return "none (single node)";
    if (!FLAGS_peers.empty()) return str_cat("static ", FLAGS_peers);
    std::string text(discovery_module().value);
    for (const std::string& endpoint : options.etcd_endpoints) str_append(&text, " ", endpoint);
    return text;
}

// In the log, and for whoever looks at stderr only.
int fail(Logger& logger, const std::string& reason) {
    logger.write(LogLevel::kError, SystemClock().wall_us(), "main", reason, {});
    logger.flush();
    std::fprintf(stderr, "sandstore node: %s\n", reason.c_str());
    return 1;
}

}  // namespace

int node_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec());
    if (parsed.exit_code) return finish(parsed);
    std::vector<pb::Member> peers;
    if (!FLAGS_peers.empty()) {
        std::string error;
        std::optional<std::vector<pb::Member>> members = parse_peers(FLAGS_peers, &error);
        if (!members) return usage_error(spec(), str_cat("bad value for ", flag_with_source("peers"), ": ", error));
        peers = std::move(*members);
    }
    NodeOptions options = node_options(std::move(peers));
    const std::vector<std::string> problems = node_problems(options);
    for (const std::string& problem : problems) usage_error(spec(), problem);
    if (!problems.empty()) return 2;

    LogOptions log_options;
    parse_log_level(FLAGS_log_level, &log_options.level);
    log_options.json = FLAGS_log_format == "json";
    log_options.directory = FLAGS_log_dir;
    log_options.file_bytes_max = parse_size(FLAGS_log_file_size).value();
    log_options.files_max = FLAGS_log_files;
    log_options.node_id = FLAGS_node_id;
    Logger logger(log_options);
    logger.write(LogLevel::kInfo, SystemClock().wall_us(), "main", "Starting",
                 {{"version", version_text()},
                  {"profile", build_profile()},
                  {"listen", FLAGS_listen},
                  {"http", FLAGS_http_listen},
                  {"data_dir", FLAGS_data_dir},
                  {"discovery", discovery_text(options)},
                  {"replicator", options.single_node ? "noop" : "raft"}});
    keep_freed_memory();
    Node node(std::move(options), logger);
    if (const std::string problem = node.start(); !problem.empty()) return fail(logger, problem);
    if (const std::string reason = node.run(); !reason.empty()) return fail(logger, reason);
    logger.write(LogLevel::kInfo, SystemClock().wall_us(), "main", "Stopped", {});
    return 0;
}

}  // namespace sandstore
