#include "apps/node/node_checks.h"

#include <algorithm>
#include <string_view>

#include "actors/chunk/chunk_file.h"
#include "actors/cluster/member_record.h"
#include "actors/fs/limits.h"
#include "actors/log/record.h"
#include "actors/log/segment_format.h"
#include "apps/modules/modules.h"
#include "net/frame.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kHeartbeatsPerElection = 5;
constexpr uint32_t kPriorityMax = 100;
constexpr uint64_t kSnapshotPieceMin = 4 << 10;

class Problems {
 public:
    template <typename... Pieces>
    void when(bool wrong, const Pieces&... pieces) {
        if (wrong) found_.push_back(str_cat(pieces...));
    }
    std::vector<std::string> take() { return std::move(found_); }

 private:
    std::vector<std::string> found_;
};

// "host:port" in two; an empty host listens everywhere.
struct Listening {
    explicit Listening(std::string_view address)
        : host(address.substr(0, address.rfind(':'))), port(address.substr(address.rfind(':') + 1)) {}
    bool everywhere() const { return host.empty() || host == "0.0.0.0" || host == "[::]"; }
    bool overlaps(const Listening& other) const {
        return port == other.port && (everywhere() || other.everywhere() || host == other.host);
    }
    std::string_view host;
    std::string_view port;
};

void check_names(const NodeOptions& options, Problems* problems) {
    problems->when(!is_node_name(options.node_id), "bad value \"", options.node_id,
                   "\" for --node-id: expected letters, digits, '-', '_', '.'");
    problems->when(!options.cluster_id.empty() && !is_cluster_name(options.cluster_id), "bad value \"",
                   options.cluster_id, "\" for --cluster-id: expected letters, digits, '-', '_', '.'");
    problems->when(Listening(options.listen).overlaps(Listening(options.http_listen)), "--listen=", options.listen,
                   " and --http-listen=", options.http_listen, ": they need different ports");
}

void check_discovery(const NodeOptions& options, Problems* problems) {
    const bool from_peers = !options.peers.empty();
    const auto others = std::count_if(options.peers.begin(), options.peers.end(),
                                      [&](const pb::Member& peer) { return peer.id() != options.node_id; });
    problems->when(options.single_node && others > 0,
                   "--replicator=noop does not replicate: it takes no --peers besides the node itself");
    problems->when(options.single_node && options.join,
                   "--join with --replicator=noop: a node without consensus has no cluster to join");
    problems->when(from_peers && options.join && others == 0,
                   "--join with --peers that name no other node: the running cluster cannot be found");
}

void check_elections(const NodeOptions& options, Problems* problems) {
    problems->when(options.heartbeat_interval_ms == 0,
                   "--heartbeat-interval=0: followers could not tell a leader from none");
    problems->when(options.election_timeout_ms < kHeartbeatsPerElection * options.heartbeat_interval_ms,
                   "--election-timeout=", options.election_timeout_ms, " is less than ", kHeartbeatsPerElection,
                   " times --heartbeat-interval=", options.heartbeat_interval_ms,
                   ": a heartbeat that comes a little late would cause an election");
    problems->when(options.election_timeout_max_ms <= options.election_timeout_ms, "the longest election timeout (",
                   options.election_timeout_max_ms, " ms) is not above the shortest (", options.election_timeout_ms,
                   " ms): candidates would stand at the same moment again and again");
    problems->when(options.election_priority > kPriorityMax, "--election-priority=", options.election_priority,
                   " is not in 0..", kPriorityMax);
    const bool only_voter = options.peers.size() == 1 && options.peers[0].id() == options.node_id && !options.join;
    problems->when(options.election_priority == 0 && (only_voter || options.single_node),
                   "--election-priority=0 on the only node: it never stands for election, so nobody would lead");
}

void check_replication(const NodeOptions& options, Problems* problems) {
    problems->when(options.append_window == 0, "an append window of 0 messages: nothing would ever be sent");
    problems->when(options.append_bytes_max == 0, "appends of 0 bytes: nothing would ever be sent");
    problems->when(options.append_bytes_max > options.append_window_bytes, "one append of ", options.append_bytes_max,
                   " bytes is larger than the window of ", options.append_window_bytes,
                   " bytes: a full one would never be sent");
    problems->when(
        std::max<uint64_t>(options.append_bytes_max, kRecordHeaderBytes + kRecordDataBytesMax) > kFramePayloadBytesMax,
        "one append of ", options.append_bytes_max, " bytes does not fit into a frame (", kFramePayloadBytesMax,
        " bytes): followers would never get it");
    problems->when(options.uncommitted_bytes_max < kCommandBytesMax, "room for ", options.uncommitted_bytes_max,
                   " uncommitted bytes is less than the largest command (", kCommandBytesMax,
                   " bytes): such a command would be refused for ever");
    problems->when(options.log_cache_bytes < options.append_window_bytes, "a log cache of ", options.log_cache_bytes,
                   " bytes is smaller than the window to one follower (", options.append_window_bytes,
                   " bytes): followers that keep up would be served from the disk");
}

void check_storage(const NodeOptions& options, Problems* problems) {
    constexpr uint64_t kRecordMax = kSegmentHeaderBytes + kBlockHeaderBytes + kRecordHeaderBytes + kCommandBytesMax;
    problems->when(options.segment_bytes < kRecordMax || options.segment_bytes > kSegmentBytesMax, "log segments of ",
                   options.segment_bytes, " bytes: the largest command with its headers needs ", kRecordMax, ", and ",
                   kSegmentBytesMax, " is the most that offsets in a segment can hold");
    problems->when(
        options.snapshot_log_bytes != 0 && options.snapshot_log_bytes < options.segment_bytes,
        "--snapshot-log-size=", options.snapshot_log_bytes, " is less than a log segment (", options.segment_bytes,
        " bytes): the log goes away by whole segments, so a snapshot would free nothing (0: on request only)");
    problems->when(
        options.snapshot_piece_bytes < kSnapshotPieceMin || options.snapshot_piece_bytes > kFramePayloadBytesMax,
        "snapshot pieces of ", options.snapshot_piece_bytes, " bytes: at least ", kSnapshotPieceMin,
        ", and no more than a frame holds (", kFramePayloadBytesMax, ")");
    problems->when(options.copies == 0 || options.copies > kChunkReplicasMax, "--copies=", options.copies,
                   " is not in 1..", kChunkReplicasMax, ": that many replicas fit into a chunk's record");
    problems->when(options.single_node && options.copies > 1, "--copies=", options.copies,
                   " with --replicator=noop: there is only this node to keep them");
    problems->when(options.chunk_bytes_max == 0 || options.chunk_bytes_max > kFramePayloadBytesMax,
                   "--chunk-size=", options.chunk_bytes_max, ": a chunk travels in one frame, which holds ",
                   kFramePayloadBytesMax, " bytes");
}

}  // namespace

std::vector<std::string> node_problems(const NodeOptions& options) {
    Problems problems;
    check_names(options, &problems);
    check_discovery(options, &problems);
    check_elections(options, &problems);
    check_replication(options, &problems);
    check_storage(options, &problems);
    for (const Module* module : modules()) {
        const std::string problem = module->check ? module->check(options) : "";
        problems.when(!problem.empty(), problem);
    }
    return problems.take();
}

}  // namespace sandstore
