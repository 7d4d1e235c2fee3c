// How one node is to run: what the command line says, and what nobody has wanted to set yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "messages/common.pb.h"

namespace sandstore {

struct FaultPoints;

struct NodeOptions {
    std::string node_id;
    std::string cluster_id;               // Empty: from discovery.
    std::string listen;                   // Peers and clients.
    std::string http_listen;              // Health, metrics, status.
    std::string data_directory;           // Made when missing.
    std::string trace_file;               // Empty: none.
    bool trace_content = false;           // File data too.
    bool debug_faults = false;            // POST /debug/faults makes disk and clock misbehave.
    const FaultPoints* faults = nullptr;  // What they suffer now; Node sets it, for its disks.
    std::vector<pb::Member> peers;        // Static discovery; empty: etcd is asked.
    std::vector<std::string> etcd_endpoints;
    uint64_t poll_interval_ms = 2'000;
    bool single_node = false;    // The NoOp replicator instead of Raft.
    bool join = false;           // A new node of a cluster that runs already.
    bool ask_to_rejoin = false;  // A voter that lost its storage waits for an operator.
    bool auto_join = false;      // On the leader: nodes that appear in etcd become learners.

    uint64_t election_timeout_ms = 300;      // Of each election, drawn from here
    uint64_t election_timeout_max_ms = 600;  // to here.
    uint64_t heartbeat_interval_ms = 50;
    uint32_t election_priority = 50;  // 0: never leads.
    bool lease_reads = false;
    uint32_t append_window = 16;
    uint64_t append_window_bytes = 8 << 20;
    uint64_t append_bytes_max = 1 << 20;
    uint64_t uncommitted_bytes_max = 64 << 20;
    uint64_t log_cache_bytes = 64 << 20;
    uint64_t segment_bytes = 16 << 20;
    uint64_t snapshot_log_bytes = 256 << 20;  // Log since the last snapshot. 0: only on request.
    uint64_t snapshot_piece_bytes = 1 << 20;
    uint64_t disk_reserve_bytes = 256 << 20;  // Less on a small disk. 0: none.
    uint64_t volume_bytes = 1 << 30;          // Of the files that chunks stand in.
    uint32_t vacuum_percent = 30;             // A volume with more garbage than this is rewritten. 0: none ever is.
    uint64_t vacuum_bytes_per_s = 64 << 20;   // How fast at most. 0: as fast as it goes.
    bool chunks_on_disk = true;

    uint32_t copies = 3;  // Of each chunk; of as many nodes as there are when they are fewer.
    uint64_t chunk_bytes_max = 8 << 20;
    uint64_t memory_budget_bytes = 256 << 20;  // That clients may make the node hold.
    uint64_t spin_us = 0;                      // Loop and log's disk thread look for more before they sleep.
    uint64_t repair_delay_us = 600'000'000;    // A node away for longer gets its chunks' copies made elsewhere.
};

}  // namespace sandstore
