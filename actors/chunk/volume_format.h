// The bytes of volumes, the files that chunks stand in. docs/formats.md, section "Volumes", describes them in full. All
// numbers are little endian. Pure computation; VolumeStore does the reading and writing.
//
// chunks/<8 hex digits>.volume: a header of 4 KiB, then records, each on a multiple of 8 bytes: a chunk with the
// checksums of its blocks. Records are never changed. Each repeats the volume's salt and says where it stands, so that
// what else may be in the file (zeros, a write that was torn, a volume inside of a chunk) is never taken for one, and
// behind a damaged record the next one is found again.
//
// chunks/<8 hex digits>.index: what is in the volume, in batches: chunks that were stored, that are damaged, that are
// gone. All but what is gone could be read from the volume too: a batch that is missing costs time, and chunks that
// were deleted come back and are deleted again. Each batch says which part of the volume it and those before it cover.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/chunk/chunk_file.h"
#include "actors/chunk/chunk_key.h"

namespace sandstore {

inline constexpr std::string_view kChunkDirectory = "chunks";
inline constexpr uint32_t kVolumeFormatVersion = 1;
inline constexpr uint64_t kVolumeHeaderBytes = 4096;
inline constexpr uint64_t kRecordAlignment = 8;
inline constexpr uint64_t kChunkRecordHeaderBytes = 56;
inline constexpr uint64_t kVolumeBytesDefault = uint64_t{1} << 30;
inline constexpr uint64_t kVolumeBytesMin = uint64_t{64} << 10;
inline constexpr uint64_t kVolumeBytesMax = uint64_t{16} << 30;  // Offsets, in units of 8 bytes, fit 32 bits.
inline constexpr uint32_t kVolumeNumberMax = (uint32_t{1} << 24) - 1;

// Of a volume and of its index.
struct VolumeHeader {
    uint32_t number = 0;  // 1 .. kVolumeNumberMax
    uint32_t salt = 0;    // Random.
};

std::string encode_volume_header(const VolumeHeader& header);  // kVolumeHeaderBytes long.
struct DecodedVolumeHeader {
    HeadProblem problem = HeadProblem::kNone;
    std::string why;  // A sentence, unless kNone.
    VolumeHeader header;
};
// The first bytes of a file, which may be anything. `number` is what the file's name says.
DecodedVolumeHeader decode_volume_header(std::string_view bytes, uint32_t number);

// --- Records
struct ChunkRecordHeader {
    ChunkKey key;
    uint64_t length = 0;  // Of the data, 1 .. kChunkBytesLimit
    uint64_t allocated_at_us = 0;
    uint32_t table_crc32c = 0;  // Of the table of block checksums behind the header.
};

uint64_t record_head_bytes(uint64_t chunk_length);  // Header and table: where the data begins.
uint64_t record_bytes(uint64_t chunk_length);       // All of it, with what fills it up.
// A record but for its data and the record_padding(length) zeros behind that.
std::string encode_record_head(const ChunkHead& head, uint32_t salt, uint64_t offset);
uint64_t record_padding(uint64_t chunk_length);
// Nothing unless `bytes` begins with a whole header of a record that belongs there. Says nothing about what follows.
std::optional<ChunkRecordHeader> decode_record_header(std::string_view bytes, uint32_t salt, uint64_t offset);
// Quick test of the first 8 bytes that come into question: decode_record_header would need to look further.
bool may_be_record(const char* bytes, uint32_t salt);
// Header and table, as the index knows the chunk.
DecodedHead decode_record_head(std::string_view bytes, uint32_t salt, uint64_t offset, ChunkKey key, uint64_t length);

// --- The index of a volume
inline constexpr uint64_t kVolumeIndexHeaderBytes = 64;
inline constexpr uint64_t kIndexBatchHeaderBytes = 40;
inline constexpr uint64_t kIndexEntryBytes = 40;
inline constexpr size_t kIndexBatchEntriesMax = 8192;
inline constexpr uint64_t kIndexBatchBytesMax = kIndexBatchHeaderBytes + kIndexBatchEntriesMax * kIndexEntryBytes;

struct VolumeIndexEntry {
    enum class Kind : uint32_t { kStored = 1, kDamaged = 2, kGone = 3 };
    Kind kind = Kind::kStored;
    uint64_t offset = 0;       // Of the record.
    ChunkRecordHeader record;  // Without the table's checksum.
};

std::string encode_volume_index_header(const VolumeHeader& header);  // kVolumeIndexHeaderBytes long.
DecodedVolumeHeader decode_volume_index_header(std::string_view bytes, uint32_t number);

// What the entries know of the volume: all records that begin from `covered_from` on and before `covered_to`.
struct IndexBatch {
    uint64_t covered_from = 0;
    uint64_t covered_to = 0;
    std::vector<VolumeIndexEntry> entries;
};

std::string encode_index_batch(const IndexBatch& batch, uint32_t salt);
// The next batch in `bytes` at or behind `*at`, which is moved behind it; nothing when there is none. `more`: the file
// goes on behind `bytes`, so what may not be whole is left for later.
std::optional<IndexBatch> next_index_batch(std::string_view bytes, bool more, uint32_t salt, size_t* at);

// --- Names, relative to the data directory
std::string volume_file(uint32_t number);
std::string volume_index_file(uint32_t number);
struct VolumeFileName {
    uint32_t number = 0;
    bool is_index = false;
};
std::optional<VolumeFileName> parse_volume_file_name(std::string_view name);  // Without the directory.

}  // namespace sandstore
