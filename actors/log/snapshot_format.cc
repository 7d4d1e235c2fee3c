#include "actors/log/snapshot_format.h"

#include <charconv>

#include "actors/log/little_endian.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"

namespace sandstore {

namespace {

constexpr std::string_view kHeaderMagic = "SANDSNAP";
constexpr size_t kVersionAt = 8;
constexpr size_t kLengthAt = 12;
constexpr size_t kCrcAt = 16;
constexpr uint32_t kSectionMagic = 0x43455353;  // "SSEC"
constexpr size_t kSectionCrcAt = 12;
constexpr uint32_t kTrailerMagic = 0x4c525453;  // "STRL"
constexpr std::string_view kIncomingMagic = "SANDPART";
constexpr uint32_t kIncomingVersion = 1;
constexpr std::string_view kSuffix = ".snap";

uint32_t header_crc(std::string_view bytes) {
    return crc32c(bytes.substr(kSnapshotHeaderStartBytes), crc32c(bytes.substr(0, kCrcAt)));
}

std::string hex_digits(uint64_t number) {
    return str_format("%016llx", static_cast<unsigned long long>(number));
}

std::optional<uint64_t> parse_digits(std::string_view digits) {
    uint64_t number = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    if (result.ec != std::errc() || hex_digits(number) != digits) return std::nullopt;  // Only as we write them.
    return number;
}

}  // namespace

// --- Header

std::string encode_snapshot_header(std::string_view cluster_id, const pb::SnapshotMeta& meta) {
    SANDSTORE_CHECK(cluster_id.size() <= kClusterIdBytesMax, "length=", cluster_id.size());
    const std::string configuration = meta.configuration().SerializeAsString();
    std::string bytes(kHeaderMagic);
    append_integer(&bytes, kSnapshotFormatVersion);
    append_integer(&bytes, uint64_t{0});  // Length and CRC, below.
    append_integer(&bytes, static_cast<uint64_t>(meta.index()));
    append_integer(&bytes, static_cast<uint64_t>(meta.term()));
    append_integer(&bytes, static_cast<uint64_t>(meta.configuration_index()));
    append_integer(&bytes, static_cast<uint32_t>(configuration.size()));
    append_integer(&bytes, static_cast<uint16_t>(cluster_id.size()));
    bytes.append(cluster_id).append(configuration);
    SANDSTORE_CHECK(bytes.size() <= kSnapshotHeaderBytesMax, "size=", bytes.size());
    put_integer(bytes.data() + kLengthAt, static_cast<uint32_t>(bytes.size()));
    put_integer(bytes.data() + kCrcAt, header_crc(bytes));
    return bytes;
}

std::optional<size_t> snapshot_header_bytes(std::string_view start) {
    if (start.size() < kSnapshotHeaderStartBytes || !start.starts_with(kHeaderMagic)) return std::nullopt;
    const size_t length = get_integer<uint32_t>(start.data() + kLengthAt);
    if (length < kSnapshotHeaderStartBytes || length > kSnapshotHeaderBytesMax) return std::nullopt;
    return length;
}

SnapshotHeaderCheck decode_snapshot_header(std::string_view bytes, std::string* cluster_id, pb::SnapshotMeta* meta,
                                           uint32_t* version) {
    constexpr size_t kFixedBytes = kSnapshotHeaderStartBytes + 30;
    if (snapshot_header_bytes(bytes) != bytes.size()) return SnapshotHeaderCheck::kDamaged;
    if (get_integer<uint32_t>(bytes.data() + kCrcAt) != header_crc(bytes)) return SnapshotHeaderCheck::kDamaged;
    *version = get_integer<uint32_t>(bytes.data() + kVersionAt);
    if (*version != kSnapshotFormatVersion) return SnapshotHeaderCheck::kUnknownVersion;
    if (bytes.size() < kFixedBytes) return SnapshotHeaderCheck::kDamaged;
    const char* in = bytes.data() + kSnapshotHeaderStartBytes;
    meta->set_index(get_integer<uint64_t>(in));
    meta->set_term(get_integer<uint64_t>(in + 8));
    meta->set_configuration_index(get_integer<uint64_t>(in + 16));
    const size_t configuration_bytes = get_integer<uint32_t>(in + 24);
    const size_t id_bytes = get_integer<uint16_t>(in + 28);
    if (kFixedBytes + id_bytes + configuration_bytes != bytes.size()) return SnapshotHeaderCheck::kDamaged;
    *cluster_id = bytes.substr(kFixedBytes, id_bytes);
    const bool parsed = meta->mutable_configuration()->ParseFromArray(bytes.data() + kFixedBytes + id_bytes,
                                                                      static_cast<int>(configuration_bytes));
    return parsed ? SnapshotHeaderCheck::kValid : SnapshotHeaderCheck::kDamaged;
}

// --- Sections and trailer

std::string encode_section_header(const SectionHeader& header) {
    std::string bytes;
    append_integer(&bytes, kSectionMagic);
    append_integer(&bytes, header.data_bytes);
    append_integer(&bytes, header.data_crc);
    append_integer(&bytes, crc32c(bytes));
    return bytes;
}

std::optional<SectionHeader> decode_section_header(std::string_view bytes) {
    if (bytes.size() < kSectionHeaderBytes || get_integer<uint32_t>(bytes.data()) != kSectionMagic) return std::nullopt;
    if (get_integer<uint32_t>(bytes.data() + kSectionCrcAt) != crc32c(bytes.substr(0, kSectionCrcAt))) {
        return std::nullopt;
    }
    const SectionHeader header{get_integer<uint32_t>(bytes.data() + 4), get_integer<uint32_t>(bytes.data() + 8)};
    if (header.data_bytes > kSectionDataBytesMax) return std::nullopt;
    return header;
}

std::string encode_snapshot_trailer(const SnapshotTrailer& trailer) {
    std::string bytes;
    append_integer(&bytes, kTrailerMagic);
    append_integer(&bytes, uint32_t{0});
    append_integer(&bytes, trailer.section_count);
    append_integer(&bytes, trailer.file_bytes);
    append_integer(&bytes, uint32_t{0});
    SANDSTORE_CHECK(bytes.size() + sizeof(uint32_t) == kSnapshotTrailerBytes);
    return bytes;
}

std::optional<SnapshotTrailer> decode_snapshot_trailer(std::string_view bytes) {
    if (bytes.size() < kSnapshotTrailerBytes || get_integer<uint32_t>(bytes.data()) != kTrailerMagic) {
        return std::nullopt;
    }
    return SnapshotTrailer{get_integer<uint64_t>(bytes.data() + 8), get_integer<uint64_t>(bytes.data() + 16)};
}

// --- The file that is being received

std::string encode_incoming_meta(const pb::SnapshotMeta& meta) {
    const std::string body = meta.SerializeAsString();
    std::string bytes(kIncomingMagic);
    append_integer(&bytes, kIncomingVersion);
    append_integer(&bytes, crc32c(body));
    return bytes + body;
}

std::optional<pb::SnapshotMeta> decode_incoming_meta(std::string_view bytes) {
    constexpr size_t kStartBytes = 16;
    if (bytes.size() < kStartBytes || !bytes.starts_with(kIncomingMagic)) return std::nullopt;
    if (get_integer<uint32_t>(bytes.data() + 8) != kIncomingVersion) return std::nullopt;
    const std::string_view body = bytes.substr(kStartBytes);
    if (get_integer<uint32_t>(bytes.data() + 12) != crc32c(body)) return std::nullopt;
    pb::SnapshotMeta meta;
    if (!meta.ParseFromArray(body.data(), static_cast<int>(body.size()))) return std::nullopt;
    return meta;
}

// --- Names

std::string snapshot_file(uint64_t index, uint64_t term) {
    return str_cat(hex_digits(index), "-", hex_digits(term), kSuffix);
}

std::optional<SnapshotName> parse_snapshot_name(std::string_view name) {
    constexpr size_t kDigits = 16;
    if (name.size() != 2 * kDigits + 1 + kSuffix.size() || name[kDigits] != '-' || !name.ends_with(kSuffix)) {
        return std::nullopt;
    }
    const std::optional<uint64_t> index = parse_digits(name.substr(0, kDigits));
    const std::optional<uint64_t> term = parse_digits(name.substr(kDigits + 1, kDigits));
    if (!index || !term) return std::nullopt;
    return SnapshotName{*index, *term};
}

}  // namespace sandstore
