// What the namespace accepts at most. Replicas must agree on these to the byte: they are part of the state machine's
// behaviour, not settings. Those of the tables that all kinds of state machines share stand with them (actors/state/).
#pragma once

#include <cstddef>
#include <cstdint>

namespace sandstore {

inline constexpr uint64_t kRootInode = 1;

inline constexpr size_t kNameBytesMax = 255;
inline constexpr size_t kPathBytesMax = 4096;
inline constexpr size_t kFillerBytesMax = size_t{1} << 20;
inline constexpr uint32_t kModeMask = 07777;
inline constexpr uint32_t kFileModeDefault = 0644;

inline constexpr uint64_t kFileBytesMax = uint64_t{1} << 53;
inline constexpr uint64_t kInodesMax = 100'000'000;
inline constexpr size_t kFileExtentsMax = size_t{1} << 20;

// Of one CommitExtents: 8 GiB in chunks of 8 MiB, applied within some milliseconds.
inline constexpr int kExtentsPerCommandMax = 1024;
inline constexpr int kReplicasMax = 16;
// Of one MoveChunks.
inline constexpr int kMovesPerCommandMax = 1000;
// A serialized pb::Command; below what a log record may hold (kRecordDataBytesMax).
inline constexpr size_t kCommandBytesMax = size_t{2} << 20;

inline constexpr uint32_t kDirectoryEntriesDefault = 1000;
inline constexpr uint32_t kDirectoryEntriesMax = 10'000;
// A stripe of a file in so many extents is crowded: who writes to it is asked to put small ones together
// (ReplaceExtents), not with every write but now and then, since others may be about it.
inline constexpr uint64_t kStripeBytes = uint64_t{8} << 20;
inline constexpr size_t kCrowdedExtents = 128;
inline constexpr size_t kCrowdedReminder = 16;  // Once in so many extents beyond.
inline constexpr size_t kReplacedExtentsMax = 4096;

// Of one answer, whatever was asked for: then QueryResult.more is set. They keep the turn short.
inline constexpr size_t kDirectoryEntriesPerAnswerMax = 2500;
inline constexpr size_t kExtentsPerAnswerMax = 4096;
inline constexpr uint32_t kAuditChunksDefault = 1000;
inline constexpr uint32_t kAuditChunksMax = 10'000;
// Chunks that one audit query looks at, of the node asked about or not: keeps the turn short.
inline constexpr uint32_t kAuditScanMax = 20'000;
inline constexpr int kAuditCandidatesMax = 1000;
inline constexpr uint32_t kAllocationsPerRequestMax = 64;

// Holds on chunks that are there at once, and how long one lasts when it is not prolonged.
inline constexpr size_t kHoldsMax = 64;
inline constexpr uint64_t kHoldLifetimeMaxUs = uint64_t{24} * 3600 * 1'000'000;

// Long reads and uploads at once, and how long a lease lasts when it is not prolonged.
inline constexpr size_t kLeasesMax = 1024;
inline constexpr uint64_t kLeaseUs = 60'000'000;

// Of one AbandonChunks.
inline constexpr int kAbandonedPerCommandMax = 256;
// Work that one command does on behalf of earlier ones: each of them at most a few milliseconds.
inline constexpr size_t kSessionsExpiredPerCommand = 2;
inline constexpr size_t kLeasesEndedPerCommand = 16;
inline constexpr size_t kExtentsReclaimedPerCommand = 2048;
inline constexpr size_t kCollectedForgottenPerCommand = 512;

}  // namespace sandstore
