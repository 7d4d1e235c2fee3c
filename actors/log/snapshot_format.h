// The byte layout of a snapshot's file; docs/formats.md, section "Snapshots", describes it in full. All numbers little
// endian.
//
// A file is a header (which state, of which cluster), sections with a checksum each (the pieces that the state machine
// gave, in their order), and a trailer with the number of sections and the checksum of everything. The node is not
// named: a file goes from one node to another as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "messages/snapshot.pb.h"
#include "runtime/payload.h"

namespace sandstore {

inline constexpr std::string_view kSnapshotDirectory = "snapshots";
inline constexpr uint32_t kSnapshotFormatVersion = 1;
inline constexpr size_t kSnapshotHeaderStartBytes = 20;  // Magic, version, length and checksum of the header.
inline constexpr size_t kSnapshotHeaderBytesMax = size_t{1} << 20;
inline constexpr size_t kSectionHeaderBytes = 16;
inline constexpr size_t kSectionDataBytesMax = size_t{64} << 20;
inline constexpr size_t kSnapshotTrailerBytes = 32;
inline constexpr size_t kClusterIdBytesMax = 255;

// --- Header

// Size and checksum of the file are not in it: they are not known yet when it is written.
std::string encode_snapshot_header(std::string_view cluster_id, const pb::SnapshotMeta& meta);
// The length of the whole header, from its first kSnapshotHeaderStartBytes. Nothing when they are none.
std::optional<size_t> snapshot_header_bytes(std::string_view start);
enum class SnapshotHeaderCheck { kValid, kUnknownVersion, kDamaged };
// `bytes` is the whole header. `version` is set when its checksum is right, also when it is an unknown one.
SnapshotHeaderCheck decode_snapshot_header(std::string_view bytes, std::string* cluster_id, pb::SnapshotMeta* meta,
                                           uint32_t* version);

// --- Sections
struct SectionHeader {
    uint32_t data_bytes = 0;
    uint32_t data_crc = 0;
};
std::string encode_section_header(const SectionHeader& header);
std::optional<SectionHeader> decode_section_header(std::string_view bytes);

// --- Trailer
struct SnapshotTrailer {
    uint64_t section_count = 0;
    uint64_t file_bytes = 0;
};
// All but its last four bytes, which are the checksum of all that is before them.
std::string encode_snapshot_trailer(const SnapshotTrailer& trailer);
std::optional<SnapshotTrailer> decode_snapshot_trailer(std::string_view bytes);

// --- What is kept beside a file that is being received
std::string encode_incoming_meta(const pb::SnapshotMeta& meta);
std::optional<pb::SnapshotMeta> decode_incoming_meta(std::string_view bytes);

// --- Names, without the directory
inline constexpr std::string_view kIncomingFile = "incoming.part";
inline constexpr std::string_view kIncomingMetaFile = "incoming.meta";
inline constexpr std::string_view kDamagedSuffix = ".damaged";
inline constexpr std::string_view kTemporarySuffix = ".tmp";
struct SnapshotName {
    uint64_t index = 0;
    uint64_t term = 0;
};
std::string snapshot_file(uint64_t index, uint64_t term);
std::optional<SnapshotName> parse_snapshot_name(std::string_view name);

}  // namespace sandstore
