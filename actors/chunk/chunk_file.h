// The file of one stored chunk: its bytes on disk and its name. Pure computation; ChunkService does the reading and
// writing. All numbers are little endian.
//
//     offset          bytes   what
//     0               8       magic "SANDCHNK"
//     8               4       format version, 1
//     12              4       bytes in a block, 65536
//     16              8       chunk id: term
//     24              8       chunk id: number
//     32              8       length of the data, 1 .. 64 MiB
//     40              8       allocated_at_us: the leader's wall clock when it gave out the id
//     48              4       number of replicas, 1..7
//     52              4       bytes of this header, 512
//     56              7 * 64  replicas: for each its length (one byte, 1..63) and the node id, padded with zeros
//     504             4       zero
//     508             4       CRC32C of the bytes 0..507
//     512             4 * n   CRC32C of each 64 KiB block of the data; n = length / 65536, rounded up
//     512 + 4n        4       CRC32C of this table
//     512 + 4n + 4    length  the data
//
// Every byte of the file is covered by one of the checksums. Magic, version and the header's checksum stay where they
// are in all versions, so that a newer file is told from a damaged one. The length follows from the size of the file.
// A chunk stands in `chunks/<2 hex digits of its hash>/<term>-<number>.chunk`, with ".damaged" instead when a checksum
// failed, and while it is being written with "<serial>.tmp". Only complete, synced files are renamed to ".chunk".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/chunk/chunk_key.h"
#include "runtime/names.h"
#include "runtime/payload.h"

namespace sandstore {

inline constexpr uint32_t kChunkFormatVersion = 1;
inline constexpr uint64_t kChunkBlockBytes = 64 * 1024;
inline constexpr uint64_t kChunkHeaderBytes = 512;
inline constexpr uint64_t kChunkBytesLimit = 64 * 1024 * 1024;  // Of the format; the node's own limit is lower.
inline constexpr size_t kChunkReplicasMax = 7;
inline constexpr uint32_t kChunkDirectories = 256;

// All that a chunk file says beside the data.
struct ChunkHead {
    ChunkKey key;
    uint64_t length = 0;
    uint64_t allocated_at_us = 0;
    std::vector<std::string> replicas;
    std::vector<uint32_t> block_crc32c;
};

uint64_t block_count(uint64_t chunk_length);
uint64_t head_bytes(uint64_t chunk_length);  // Header and table: where the data begins.
uint64_t chunk_file_bytes(uint64_t chunk_length);
std::optional<uint64_t> chunk_length_of_file(uint64_t file_bytes);  // Nothing when no chunk file has this size.

std::vector<uint32_t> block_checksums(const Payload& data);
uint32_t table_checksum(const std::vector<uint32_t>& block_crc32c);  // As it stands in the file behind the table.

// `head` must be within the bounds above: checked.
std::string encode_head(const ChunkHead& head);

enum class HeadProblem { kNone, kDamaged, kUnknownVersion };

struct DecodedHead {
    HeadProblem problem = HeadProblem::kNone;
    std::string why;  // A sentence, unless kNone.
    ChunkHead head;
};

// The first kChunkHeaderBytes of a file; leaves block_crc32c empty. `key` and `length` are those that the file's name
// and size promise.
DecodedHead decode_header(std::string_view bytes, ChunkKey key, uint64_t length);
// The first head_bytes(length) of a file.
DecodedHead decode_head(std::string_view bytes, ChunkKey key, uint64_t length);

// --- Names, relative to the data directory
uint32_t chunk_directory_number(ChunkKey key);
std::string chunk_directory(uint32_t number);  // "chunks/0a"
std::string chunk_path(ChunkKey key);
std::string damaged_chunk_path(ChunkKey key);
std::string temporary_chunk_path(ChunkKey key, uint64_t serial);

struct ChunkFileName {
    enum class Kind { kForeign, kChunk, kDamaged, kTemporary };
    Kind kind = Kind::kForeign;
    ChunkKey key;
};

ChunkFileName parse_chunk_file_name(std::string_view name);  // Without the directory.

}  // namespace sandstore
