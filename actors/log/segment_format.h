// The byte layout of the log's files; docs/formats.md, section "Log", describes it in full. All numbers little endian.
//
// A segment file log/<16 hex digits>.seg is a header of 4 KiB and then blocks, each on a multiple of 8 bytes. A block
// is one durable step: hard state, restart, truncation and records together. Blocks carry one sequence that rises by
// one through the whole life of the log, and the salt of their segment: what else may be in the file (zeros, the former
// life of a recycled segment, a block that was torn) is never taken for the next block.
//
// After each sync a seal is written where the next block will go. Behind a bad last block it says that the block had
// been acknowledged and was damaged since; without it, a crash has torn it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "messages/log.pb.h"

namespace sandstore {

inline constexpr std::string_view kLogDirectory = "log";
inline constexpr size_t kSegmentHeaderBytes = 4096;
inline constexpr uint32_t kSegmentFormatVersion = 1;
inline constexpr size_t kBlockHeaderBytes = 56;
inline constexpr size_t kBlockAlignment = 8;
inline constexpr size_t kRestartBytes = 16;
inline constexpr size_t kIdBytesMax = 255;  // Of cluster id, node id and vote.
inline constexpr uint64_t kSegmentBytesDefault = uint64_t{16} << 20;
inline constexpr uint64_t kSegmentBytesMin = uint64_t{8} << 10;
inline constexpr uint64_t kSegmentBytesMax = uint64_t{1} << 30;  // Offsets in a segment fit 32 bits.

constexpr uint64_t round_up(uint64_t value, uint64_t step) {
    return (value + step - 1) / step * step;
}

// What is known when a segment begins. All but the first five fields repeat what the blocks before it say, so that the
// log can be read from any segment on.
struct SegmentHeader {
    uint64_t number = 0;
    uint64_t segment_bytes = 0;  // Size of the file.
    uint32_t salt = 0;           // Random; every block of the segment repeats it.
    std::string cluster_id;
    std::string node_id;
    uint64_t first_sequence = 0;  // Of its first block.
    uint64_t first_index = 0;     // The log's next index: last_index + 1.
    uint64_t last_index = 0;
    uint64_t last_term = 0;
    pb::HardState hard_state;
};

std::string encode_segment_header(const SegmentHeader& header);  // kSegmentHeaderBytes long.

enum class HeaderCheck { kValid, kUnknownVersion, kDamaged };
// `bytes` may be anything. `version` is set when the header is whole, also when it is an unknown one.
HeaderCheck decode_segment_header(std::string_view bytes, SegmentHeader* header, uint32_t* version);

struct BlockHeader {
    uint64_t sequence = 0;
    uint32_t salt = 0;
    uint32_t body_bytes = 0;  // Vote, restart and records.
    uint32_t body_crc = 0;
    uint32_t record_count = 0;
    uint64_t first_index = 0;  // Records from here on are replaced by those of the block. 0: the log stays as it is.
    bool has_hard_state = false;
    uint64_t hard_state_term = 0;
    bool has_restart =
        false;  // The body holds, after the vote, the index and term of the entry that the log restarts after.
    bool is_seal = false;            // No block of the log, but the mark that the one before it was synced.
    bool has_unknown_flags = false;  // Of a later version; only when decoded.
    uint16_t vote_bytes = 0;

    size_t block_bytes() const { return round_up(kBlockHeaderBytes + body_bytes, kBlockAlignment); }
};

std::string encode_block_header(const BlockHeader& header);  // kBlockHeaderBytes long.
// Stands where the next block will, and has its number. Also kBlockHeaderBytes long.
std::string encode_seal(uint64_t sequence, uint32_t salt);
// Nothing unless `bytes` begins with a whole header whose own CRC is right. Says nothing about the body.
std::optional<BlockHeader> decode_block_header(std::string_view bytes);
// Quick test that decode_block_header would need to look further: the magic is there.
bool may_be_block(const char* bytes);

// The body of a restart.
void append_restart(std::string* out, const pb::LogStart& restart);
pb::LogStart decode_restart(std::string_view bytes);  // At least kRestartBytes.

// File names, with the directory.
std::string segment_file(std::string_view directory, uint64_t number);
std::string spare_file(std::string_view directory, uint64_t number);
struct LogFileName {
    bool spare = false;
    uint64_t number = 0;
};
std::optional<LogFileName> parse_file_name(std::string_view name);  // Without the directory.

}  // namespace sandstore
