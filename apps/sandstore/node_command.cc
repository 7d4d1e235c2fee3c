// sandstore node: runs one node until SIGTERM.
#include <gflags/gflags.h>
#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "actors/cluster/member_record.h"
#include "apps/common/common_flags.h"
#include "apps/common/node.h"
#include "apps/common/node_checks.h"
#include "apps/sandstore/commands.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "runtime/version.h"

DEFINE_string(node_id, "", "name of this node, as the member list has it");
DEFINE_string(cluster_id, "", "name of the cluster; from discovery when it is not given");
DEFINE_string(listen, ":8080", "address for peers and clients");
DEFINE_string(http_listen, ":9400", "address for /livez, /readyz, /status and /metrics");
DEFINE_string(data_dir, "/var/lib/sandstore", "where this node keeps its data; one directory for each node");
DEFINE_string(peers, "", "all members as id=host:port,...; then etcd is not needed");
DEFINE_uint64(poll_interval, 2000, "how often etcd is asked for the members");
DEFINE_string(replicator, "raft", "Raft, or for a single node without replication noop");
DEFINE_uint64(election_timeout, 300,
              "a follower without news from a leader stands for election after this to twice this");
DEFINE_uint64(heartbeat_interval, 50, "how often a leader shows that it is there");
DEFINE_uint32(election_priority, 50,
              "of two nodes that could lead, the one with the higher number does; 0: this one never leads");
DEFINE_bool(lease_reads, false,
            "a leader reads without asking the others first; clocks must run equally fast (to 10 %)");
DEFINE_string(snapshot_log_size, "256MiB",
              "a snapshot is taken when the log has grown by this since the last one; 0: only on request");
DEFINE_bool(join, false, "this new node comes to a cluster that runs already, and waits to be added");
DEFINE_bool(auto_join, false, "while it leads, this node adds nodes that appear in etcd, as learners");
DEFINE_uint32(copies, 3,
              "nodes that keep each chunk of a file; a majority of them must have it for a write to be done");
DEFINE_string(chunk_size, "8MiB", "the longest run of a file's bytes that is stored as one piece");
DEFINE_string(log_dir, "", "also write the log to <node-id>.log in this directory");
DEFINE_string(trace_file, "", "record every message of this node's actors in this file");
DEFINE_bool(debug_faults, false,
            "for tests only: whoever reaches the HTTP port can make disk and clock misbehave (POST /debug/faults)");
DEFINE_bool(trace_content, false, "record file data too, not only its length and checksum");

namespace sandstore {

namespace {

// Giving hundreds of megabytes back to the system in one go, as after a snapshot, would hold up the loop for
// milliseconds. Setting one of the limits ends glibc's own adjustment of both, so both are set.
void keep_freed_memory() {
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

const FlagRule kListenRule("listen", listen_address());
const FlagRule kHttpListenRule("http_listen", listen_address());
const FlagRule kPollIntervalRule("poll_interval", number_between(100, 3'600'000, "milliseconds"));
const FlagRule kReplicatorRule("replicator", one_of({"raft", "noop"}));
const FlagRule kElectionRule("election_timeout", number_between(50, 60'000, "milliseconds"));
const FlagRule kHeartbeatRule("heartbeat_interval", number_between(5, 10'000, "milliseconds"));
const FlagRule kPriorityRule("election_priority", number_between(0, 100));
const FlagRule kSnapshotLogRule("snapshot_log_size", size_between(0, uint64_t{1} << 40));
const FlagRule kCopiesRule("copies", number_between(1, 7));
const FlagRule kChunkSizeRule("chunk_size", size_between(64 << 10, 8 << 20));
const FlagRule kDataDirectoryRule("data_dir", not_empty("directory"));

const CommandSpec& spec() {
    static const CommandSpec kSpec = {
        .name = "node",
        .summary = "Runs one node of a cluster.",
        .usage = "sandstore node --node-id=ID [flags]",
        .groups = {{"Node", {"node_id", "cluster_id", "data_dir", "listen", "http_listen"}},
                   {"Discovery", {"etcd_endpoints", "peers", "poll_interval", "join", "auto_join"}},
                   {"Replication",
                    {"replicator", "election_timeout", "heartbeat_interval", "election_priority", "lease_reads",
                     "snapshot_log_size", "copies", "chunk_size"}},
                   {"Logging", {"log_level", "log_format", "log_dir", "trace_file", "trace_content"}},
                   {"Testing", {"debug_faults"}}},
        .required = {"node_id"},
        .notes = "SIGTERM ends it cleanly, within a second: a leader hands leadership over first.",
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
    options.trace_file = FLAGS_trace_file;
    options.trace_content = FLAGS_trace_content;
    options.debug_faults = FLAGS_debug_faults;
    options.copies = FLAGS_replicator == "noop" ? 1 : FLAGS_copies;
    options.peers = std::move(peers);
    options.etcd_endpoints = split_list(FLAGS_etcd_endpoints);
    options.poll_interval_ms = FLAGS_poll_interval;
    options.single_node = FLAGS_replicator == "noop";
    options.join = FLAGS_join;
    options.auto_join = FLAGS_auto_join;
    options.election_timeout_ms = FLAGS_election_timeout;
    options.election_timeout_max_ms = 2 * FLAGS_election_timeout;
    options.election_priority = FLAGS_election_priority;
    options.lease_reads = FLAGS_lease_reads;
    options.snapshot_log_bytes = parse_size(FLAGS_snapshot_log_size).value();
    options.heartbeat_interval_ms = FLAGS_heartbeat_interval;
    options.chunk_bytes_max = parse_size(FLAGS_chunk_size).value();
    return options;
}

std::string discovery_text() {
    if (FLAGS_replicator == "noop") return "none (single node)";
    return FLAGS_peers.empty() ? str_cat("etcd ", FLAGS_etcd_endpoints) : str_cat("static ", FLAGS_peers);
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
    log_options.node_id = FLAGS_node_id;
    std::error_code ignored;  // Opening the file says what is wrong.
    if (!FLAGS_log_dir.empty()) std::filesystem::create_directories(FLAGS_log_dir, ignored);
    Logger logger(log_options);
    logger.write(LogLevel::kInfo, SystemClock().wall_us(), "main", "Starting",
                 {{"version", version_text()},
                  {"listen", FLAGS_listen},
                  {"http", FLAGS_http_listen},
                  {"data_dir", FLAGS_data_dir},
                  {"discovery", discovery_text()},
                  {"replicator", FLAGS_replicator}});
    keep_freed_memory();
    Node node(std::move(options), logger);
    if (const std::string problem = node.start(); !problem.empty()) return fail(logger, problem);
    if (const std::string reason = node.run(); !reason.empty()) return fail(logger, reason);
    logger.write(LogLevel::kInfo, SystemClock().wall_us(), "main", "Stopped", {});
    return 0;
}

}  // namespace sandstore
