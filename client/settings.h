// The client library's bounds, and what StartClient configures.
#pragma once

#include <cstdint>

namespace sandstore {

// One ClientRead or ClientWrite; longer transfers are several of them.
inline constexpr uint64_t kTransferBytesMax = 64ull << 20;
inline constexpr uint64_t kChunkBytesMax = 8ull << 20;
inline constexpr uint64_t kChunkBytesMin = 4ull << 10;
// The most chunks of one ClientWrite: as many as one commit takes (actors/fs/limits.h).
inline constexpr uint64_t kChunksPerWriteMax = 1024;
// The most that one AllocateChunks gives, and that one AbandonChunks takes.
inline constexpr uint64_t kChunksPerAllocationMax = 64;
inline constexpr uint64_t kChunksAbandonedMax = 256;
inline constexpr uint64_t kPutsInParallel = 4;
inline constexpr uint64_t kGetsInParallel = 8;
// Requests that the actor works on at once, and the bytes waiting in its writes; beyond: RESOURCE_EXHAUSTED.
inline constexpr uint64_t kOperationsMax = 4096;
inline constexpr uint64_t kWriteBytesInFlightMax = 1ull << 30;
// Servers remembered, the configured ones and those learned from hints together.
inline constexpr uint64_t kServersMax = 64;
// Largest offset of a file's byte (off_t is signed).
inline constexpr uint64_t kFileOffsetMax = INT64_MAX;

struct ClientSettings {
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint64_t chunk_bytes_max = kChunkBytesMax;
    uint64_t attempt_timeout_us = 2'000'000;
    uint64_t retry_min_us = 10'000;
    uint64_t retry_max_us = 250'000;
    bool read_any_node = false;  // Queries go to all servers in turn, not only to the leader.
};

}  // namespace sandstore
