// What one Raft group on one node is told at its start.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/raft/feature_level.h"

namespace sandstore {

inline constexpr uint32_t kElectionPriorityDefault = 50;
inline constexpr uint32_t kElectionPriorityMax = 100;

struct RaftOptions {
    std::string node_id;
    std::vector<std::string> bootstrap_voters;           // Used when the log is empty and this node does not join.
    uint64_t storage = 0;                                // Of this node's directory; 0: not told.
    std::vector<uint64_t> starts;                        // Of that storage, newest last (storage_starts.h).
    std::map<std::string, uint64_t> bootstrap_storages;  // Of bootstrap_voters.
    std::string founding;
    std::string recover_founding;  // Not empty: this node alone goes on, with what its log holds, under this founding.
    uint32_t feature_level = kFeatureLevel;
    bool ask_to_rejoin = false;  // Should it have another storage than the log knows.
    bool join = false;           // An empty log stays empty until a leader writes to it.
    uint64_t election_timeout_min_us = 150'000;
    uint64_t election_timeout_max_us = 300'000;
    uint64_t heartbeat_interval_us = 30'000;
    uint32_t election_priority = kElectionPriorityDefault;  // 0: never stands for election by itself.
    bool lease_reads = false;
    uint32_t append_window = 16;
    uint64_t append_window_bytes = 8u << 20;
    uint64_t append_bytes_max = 1u << 20;
    uint64_t uncommitted_bytes_max = 64u << 20;
    uint64_t cache_bytes = 64u << 20;
    uint64_t snapshot_log_bytes = 0;  // 0: snapshots only on request.
    uint64_t snapshot_piece_bytes = 256u << 10;
};

}  // namespace sandstore
