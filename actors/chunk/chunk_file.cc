#include "actors/chunk/chunk_file.h"

#include <algorithm>
#include <charconv>

#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/random.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kMagic = "SANDCHNK";
constexpr size_t kVersionAt = 8;
constexpr size_t kBlockBytesAt = 12;
constexpr size_t kTermAt = 16;
constexpr size_t kNumberAt = 24;
constexpr size_t kLengthAt = 32;
constexpr size_t kAllocatedAt = 40;
constexpr size_t kReplicaCountAt = 48;
constexpr size_t kHeaderBytesAt = 52;
constexpr size_t kReplicasAt = 56;
constexpr size_t kReplicaBytes = 1 + kNodeIdBytesMax;
constexpr size_t kHeaderCrcAt = 508;
static_assert(kReplicasAt + kChunkReplicasMax * kReplicaBytes <= kHeaderCrcAt);
static_assert(kHeaderCrcAt + 4 == kChunkHeaderBytes);

constexpr std::string_view kChunkSuffix = ".chunk";
constexpr std::string_view kDamagedSuffix = ".damaged";
constexpr std::string_view kTemporarySuffix = ".tmp";

template <typename Number>
void put_number(std::string* bytes, size_t at, Number number) {
    for (size_t i = 0; i < sizeof(Number); i++) (*bytes)[at + i] = static_cast<char>(number >> (8 * i));
}

template <typename Number>
Number get_number(std::string_view bytes, size_t at) {
    Number number = 0;
    for (size_t i = 0; i < sizeof(Number); i++) {
        number |= static_cast<Number>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
    }
    return number;
}

DecodedHead problem(HeadProblem what, std::string why) {
    return {what, std::move(why), {}};
}

bool read_replicas(std::string_view bytes, std::vector<std::string>* replicas) {
    const auto count = get_number<uint32_t>(bytes, kReplicaCountAt);
    if (count == 0 || count > kChunkReplicasMax) return false;
    for (uint32_t i = 0; i < count; i++) {
        const std::string_view slot = bytes.substr(kReplicasAt + i * kReplicaBytes, kReplicaBytes);
        const auto length = static_cast<unsigned char>(slot[0]);
        if (length == 0 || length > kNodeIdBytesMax) return false;
        replicas->emplace_back(slot.substr(1, length));
    }
    return true;
}

std::optional<uint64_t> parse_hex(std::string_view text) {
    uint64_t number = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
    return number;
}

std::string path_without_suffix(ChunkKey key) {
    return str_cat(chunk_directory(chunk_directory_number(key)), "/", to_string(key));
}

}  // namespace

std::string to_string(ChunkKey key) {
    return str_format("%llx-%llx", static_cast<unsigned long long>(key.term),
                      static_cast<unsigned long long>(key.number));
}

uint64_t block_count(uint64_t chunk_length) {
    return (chunk_length + kChunkBlockBytes - 1) / kChunkBlockBytes;
}

uint64_t head_bytes(uint64_t chunk_length) {
    return kChunkHeaderBytes + 4 * block_count(chunk_length) + 4;
}

uint64_t chunk_file_bytes(uint64_t chunk_length) {
    return head_bytes(chunk_length) + chunk_length;
}

std::optional<uint64_t> chunk_length_of_file(uint64_t file_bytes) {
    if (file_bytes <= kChunkHeaderBytes + 4 || file_bytes > chunk_file_bytes(kChunkBytesLimit)) return std::nullopt;
    const uint64_t rest = file_bytes - kChunkHeaderBytes - 4;  // The table's entries and the data.
    const uint64_t blocks = (rest + kChunkBlockBytes + 4 - 1) / (kChunkBlockBytes + 4);
    if (rest <= 4 * blocks) return std::nullopt;
    const uint64_t length = rest - 4 * blocks;
    if (chunk_file_bytes(length) != file_bytes) return std::nullopt;
    return length;
}

std::vector<uint32_t> block_checksums(const Payload& data) {
    std::vector<uint32_t> checksums;
    checksums.reserve(block_count(data.size()));
    uint64_t in_block = 0;
    uint32_t crc = 0;
    for (const Payload::Piece& piece : data.pieces()) {
        std::string_view rest = piece.bytes;
        while (!rest.empty()) {
            const std::string_view part = rest.substr(0, kChunkBlockBytes - in_block);
            crc = crc32c(part, crc);
            in_block += part.size();
            rest.remove_prefix(part.size());
            if (in_block < kChunkBlockBytes) continue;
            checksums.push_back(crc);
            crc = 0;
            in_block = 0;
        }
    }
    if (in_block > 0) checksums.push_back(crc);
    return checksums;
}

uint32_t table_checksum(const std::vector<uint32_t>& block_crc32c) {
    std::string table(4 * block_crc32c.size(), '\0');
    for (size_t i = 0; i < block_crc32c.size(); i++) put_number(&table, 4 * i, block_crc32c[i]);
    return crc32c(table);
}

std::string encode_head(const ChunkHead& head) {
    SANDSTORE_CHECK(head.length > 0 && head.length <= kChunkBytesLimit, "length=", head.length);
    SANDSTORE_CHECK(head.block_crc32c.size() == block_count(head.length), "checksums=", head.block_crc32c.size());
    SANDSTORE_CHECK(!head.replicas.empty() && head.replicas.size() <= kChunkReplicasMax,
                    "replicas=", head.replicas.size());
    std::string bytes(head_bytes(head.length), '\0');
    kMagic.copy(bytes.data(), kMagic.size());
    put_number(&bytes, kVersionAt, kChunkFormatVersion);
    put_number(&bytes, kBlockBytesAt, static_cast<uint32_t>(kChunkBlockBytes));
    put_number(&bytes, kTermAt, head.key.term);
    put_number(&bytes, kNumberAt, head.key.number);
    put_number(&bytes, kLengthAt, head.length);
    put_number(&bytes, kAllocatedAt, head.allocated_at_us);
    put_number(&bytes, kReplicaCountAt, static_cast<uint32_t>(head.replicas.size()));
    put_number(&bytes, kHeaderBytesAt, static_cast<uint32_t>(kChunkHeaderBytes));
    size_t at = kReplicasAt;
    for (const std::string& replica : head.replicas) {
        SANDSTORE_CHECK(!replica.empty() && replica.size() <= kNodeIdBytesMax, "node=", replica);
        bytes[at] = static_cast<char>(replica.size());
        replica.copy(bytes.data() + at + 1, replica.size());
        at += kReplicaBytes;
    }
    put_number(&bytes, kHeaderCrcAt, crc32c(std::string_view(bytes).substr(0, kHeaderCrcAt)));
    at = kChunkHeaderBytes;
    for (const uint32_t crc : head.block_crc32c) {
        put_number(&bytes, at, crc);
        at += 4;
    }
    put_number(&bytes, at, table_checksum(head.block_crc32c));
    return bytes;
}

DecodedHead decode_header(std::string_view bytes, ChunkKey key, uint64_t length) {
    if (bytes.size() < kChunkHeaderBytes) return problem(HeadProblem::kDamaged, "the header is cut off");
    if (!bytes.starts_with(kMagic)) return problem(HeadProblem::kDamaged, "this is not a chunk file");
    if (get_number<uint32_t>(bytes, kHeaderCrcAt) != crc32c(bytes.substr(0, kHeaderCrcAt))) {
        return problem(HeadProblem::kDamaged, "the header's checksum is wrong");
    }
    const auto version = get_number<uint32_t>(bytes, kVersionAt);
    if (version != kChunkFormatVersion) {
        return problem(HeadProblem::kUnknownVersion,
                       str_cat("format version ", version, " is unknown, this program knows ", kChunkFormatVersion));
    }
    DecodedHead decoded;
    ChunkHead& head = decoded.head;
    head.key = {get_number<uint64_t>(bytes, kTermAt), get_number<uint64_t>(bytes, kNumberAt)};
    head.length = get_number<uint64_t>(bytes, kLengthAt);
    head.allocated_at_us = get_number<uint64_t>(bytes, kAllocatedAt);
    if (head.key != key) {
        return problem(HeadProblem::kDamaged, str_cat("the file holds chunk ", to_string(head.key)));
    }
    if (head.length != length) {
        return problem(HeadProblem::kDamaged,
                       str_cat("the header says ", head.length, " bytes, the file's size ", length));
    }
    if (get_number<uint32_t>(bytes, kBlockBytesAt) != kChunkBlockBytes ||
        get_number<uint32_t>(bytes, kHeaderBytesAt) != kChunkHeaderBytes || !read_replicas(bytes, &head.replicas)) {
        return problem(HeadProblem::kDamaged, "the header is out of bounds");
    }
    return decoded;
}

DecodedHead decode_head(std::string_view bytes, ChunkKey key, uint64_t length) {
    DecodedHead decoded = decode_header(bytes, key, length);
    if (decoded.problem != HeadProblem::kNone) return decoded;
    if (bytes.size() < head_bytes(length)) return problem(HeadProblem::kDamaged, "the checksum table is cut off");
    const uint64_t blocks = block_count(length);
    const std::string_view table = bytes.substr(kChunkHeaderBytes, 4 * blocks);
    if (get_number<uint32_t>(bytes, kChunkHeaderBytes + table.size()) != crc32c(table)) {
        return problem(HeadProblem::kDamaged, "the checksum table's checksum is wrong");
    }
    decoded.head.block_crc32c.reserve(blocks);
    for (uint64_t i = 0; i < blocks; i++) {
        decoded.head.block_crc32c.push_back(get_number<uint32_t>(table, 4 * i));
    }
    return decoded;
}

uint32_t chunk_directory_number(ChunkKey key) {
    return static_cast<uint32_t>(mix64(mix64(key.term) ^ key.number) % kChunkDirectories);
}

std::string chunk_directory(uint32_t number) {
    return str_format("chunks/%02x", number);
}

std::string chunk_path(ChunkKey key) {
    return str_cat(path_without_suffix(key), kChunkSuffix);
}

std::string damaged_chunk_path(ChunkKey key) {
    return str_cat(path_without_suffix(key), kDamagedSuffix);
}

std::string temporary_chunk_path(ChunkKey key, uint64_t serial) {
    return str_cat(path_without_suffix(key), ".", serial, kTemporarySuffix);
}

ChunkFileName parse_chunk_file_name(std::string_view name) {
    using Kind = ChunkFileName::Kind;
    const size_t dash = name.find('-');
    const size_t dot = name.find('.');
    if (dash == std::string_view::npos || dot == std::string_view::npos || dash > dot) return {};
    const auto term = parse_hex(name.substr(0, dash));
    const auto number = parse_hex(name.substr(dash + 1, dot - dash - 1));
    if (!term || !number) return {};
    const ChunkKey key{*term, *number};
    // One spelling only: "01-2.chunk" is not ours.
    if (!is_valid(key) || to_string(key) != name.substr(0, dot)) return {};
    const std::string_view suffix = name.substr(dot);
    if (suffix == kChunkSuffix) return {Kind::kChunk, key};
    if (suffix == kDamagedSuffix) return {Kind::kDamaged, key};
    if (suffix.ends_with(kTemporarySuffix)) return {Kind::kTemporary, key};
    return {};
}

}  // namespace sandstore
