// What is done to a simulated cluster from outside, as a list that can be printed, read back, and shortened: settings
// that hold for the whole run, and events, each with its time. An event that lasts says how long: taking one out of the
// list takes away its end as well, so that any part of a schedule is a schedule.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

enum class SimEventKind : uint8_t {
    // Processes and machines
    kKill,
    kPowerCut,
    kKillAll,
    kPowerCutAll,
    kPowerFailing,  // In the middle of one of the next operations of the disk.
    kPause,
    kSlowTurns,    // Stopped for a moment, again and again.
    kSilentDeath,  // The machine is gone, and nobody is told that connections broke.
    kAimed,        // What is done at the n-th message of a kind: see aimed_faults.h.
    // Network
    kPartition,
    kIsolateLeader,
    kClientCut,  // A client reaches a node no more, nor the node it.
    kOneWay,
    kFlappingLink,
    kBridge,
    kSlowLink,
    kLossyNetwork,
    kHeldLink,        // What is sent arrives all the same, when the link is let go.
    kLostConnection,  // Both are told that it broke, and that it is there again.
    // Disks
    kSlowDisk,
    kHungDisk,
    kSyncError,
    kDiskError,  // EIO, of an operation that does not sync, too.
    kFullDisk,
    kShortDisk,  // Of descriptors and memory.
    kFlippedBit,
    kWipedDisk,        // The machine comes back with a new disk,
    kOldCopy,          // or with a copy of its directory that was made before its last start,
    kLostTail,         // or without the end of its log, which it had acknowledged.
    kDamagedTail,      // The newest block of its log is damaged: what was acknowledged has a seal behind it.
    kLostDirectory,    // One of log/, chunks/ and snapshots/ is gone from its disk.
    kSwappedDisks,     // Each of two machines got the other one's.
    kDamagedSnapshot,  // While the node runs and may send it.
    kLyingWrite,       // Of a chunk or a snapshot: it succeeds, and lands nowhere or in the wrong place.
    // Clocks, etcd
    kWallJump,
    kEtcdDown,
    kEtcdEmpty,
    kEtcdWrong,
    kEtcdDiffers,  // For one node.
    // Operators
    kTransfer,
    kSnapshot,
    kRaiseFeatures,
    kAddNode,  // As a learner.
    kPromoteNode,
    kDemoteNode,
    kRemoveNode,
    kSwapNodes,  // One is promoted and another demoted, together.
    // Clients
    kCreate,
    kWrite,
    kAppend,
    kWriteAt,
    kTruncate,
    kRemove,
    kRename,
    kRead,
    kStat,
    kList,
    // Clients, besides files
    kOwnDirectory,  // Made, or removed again.
    kHold,          // Of chunks; or one is released.
    kExport,
};

struct SimEvent {
    uint64_t at_us = 0;  // After the faults begin.
    SimEventKind kind = SimEventKind::kKill;
    std::vector<int64_t> arguments;  // In the order of argument_names_of(kind).

    int64_t argument(size_t place) const { return arguments.at(place); }
    uint64_t duration_us() const { return arguments.back() < 0 ? 0 : static_cast<uint64_t>(arguments.back()); }
};

std::string_view name_of(SimEventKind kind);
const std::vector<std::string_view>& argument_names_of(SimEventKind kind);
bool is_operation(SimEventKind kind);  // Of a client, on files.
bool is_side_work(SimEventKind kind);  // Of a client, besides them.
bool is_request(SimEventKind kind);    // Of an operator.

struct Schedule {
    uint64_t seed = 0;                        // Of everything that no event says: delays, ties, timeouts.
    std::map<std::string, int64_t> settings;  // What is missing has its default, default_settings().
    std::vector<SimEvent> events;             // By time.

    int64_t setting(const std::string& name) const;
};

const std::map<std::string, int64_t>& default_settings();

// One line for each setting and event; '#' begins a comment.
std::string to_text(const Schedule& schedule);
std::optional<Schedule> parse_schedule(std::string_view text, std::string* error);

}  // namespace sandstore
