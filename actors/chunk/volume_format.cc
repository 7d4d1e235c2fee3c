#include "actors/chunk/volume_format.h"

#include <charconv>
#include <cstring>

#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kVolumeMagic = "SANDVOLM";
constexpr std::string_view kIndexMagic = "SANDVIDX";
constexpr std::string_view kRecordMagic = "CREC";
constexpr std::string_view kBatchMagic = "VIXB";
constexpr std::string_view kVolumeSuffix = ".volume";
constexpr std::string_view kIndexSuffix = ".index";

// Of both file headers.
constexpr size_t kVersionAt = 8;
constexpr size_t kNumberAt = 12;
constexpr size_t kSaltAt = 16;
constexpr size_t kFileCrcAt = 60;

// Of a record. Its own checksum is of all from kRecordLengthAt on.
constexpr size_t kRecordSaltAt = 4;
constexpr size_t kRecordCrcAt = 8;
constexpr size_t kRecordLengthAt = 12;
constexpr size_t kRecordOffsetAt = 16;
constexpr size_t kRecordTermAt = 24;
constexpr size_t kRecordNumberAt = 32;
constexpr size_t kRecordTimeAt = 40;
constexpr size_t kRecordTableCrcAt = 48;

// Of a batch. Its checksum is of all from kBatchCountAt on.
constexpr size_t kBatchSaltAt = 4;
constexpr size_t kBatchCrcAt = 8;
constexpr size_t kBatchCountAt = 12;
constexpr size_t kBatchFromAt = 16;
constexpr size_t kBatchToAt = 24;

// Of an entry.
constexpr size_t kEntryTermAt = 0;
constexpr size_t kEntryNumberAt = 8;
constexpr size_t kEntryTimeAt = 16;
constexpr size_t kEntryOffsetAt = 24;
constexpr size_t kEntryLengthAt = 32;
constexpr size_t kEntryKindAt = 36;

template <typename Number>
void put_number(char* at, Number number) {
    for (size_t i = 0; i < sizeof(Number); i++) at[i] = static_cast<char>(number >> (8 * i));
}

template <typename Number>
Number get_number(const char* at) {
    Number number = 0;
    for (size_t i = 0; i < sizeof(Number); i++) {
        number |= static_cast<Number>(static_cast<unsigned char>(at[i])) << (8 * i);
    }
    return number;
}

std::string encode_file_header(std::string_view magic, const VolumeHeader& header, size_t bytes) {
    SANDSTORE_CHECK(header.number > 0 && header.number <= kVolumeNumberMax, "number=", header.number);
    std::string encoded(bytes, '\0');
    encoded.replace(0, magic.size(), magic);
    put_number(&encoded[kVersionAt], kVolumeFormatVersion);
    put_number(&encoded[kNumberAt], header.number);
    put_number(&encoded[kSaltAt], header.salt);
    put_number(&encoded[kFileCrcAt], crc32c(std::string_view(encoded).substr(0, kFileCrcAt)));
    return encoded;
}

DecodedVolumeHeader decode_file_header(std::string_view magic, std::string_view bytes, uint32_t number) {
    if (bytes.size() < kVolumeIndexHeaderBytes) return {HeadProblem::kDamaged, "its header is cut off", {}};
    if (bytes.substr(0, magic.size()) != magic) return {HeadProblem::kDamaged, "its first bytes are others", {}};
    if (get_number<uint32_t>(&bytes[kFileCrcAt]) != crc32c(bytes.substr(0, kFileCrcAt))) {
        return {HeadProblem::kDamaged, "the checksum of its header is wrong", {}};
    }
    const auto version = get_number<uint32_t>(&bytes[kVersionAt]);
    if (version != kVolumeFormatVersion) {
        return {HeadProblem::kUnknownVersion, str_cat("its format has version ", version), {}};
    }
    const VolumeHeader header{get_number<uint32_t>(&bytes[kNumberAt]), get_number<uint32_t>(&bytes[kSaltAt])};
    if (header.number != number) return {HeadProblem::kDamaged, str_cat("it is that of number ", header.number), {}};
    return {HeadProblem::kNone, {}, header};
}

std::string numbered_file(uint32_t number, std::string_view suffix) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits(8, '0');
    for (size_t i = 0; i < digits.size(); i++) digits[digits.size() - 1 - i] = kDigits[(number >> (4 * i)) & 15];
    return str_cat(kChunkDirectory, "/", digits, suffix);
}

}  // namespace

std::string encode_volume_header(const VolumeHeader& header) {
    return encode_file_header(kVolumeMagic, header, kVolumeHeaderBytes);
}

DecodedVolumeHeader decode_volume_header(std::string_view bytes, uint32_t number) {
    return decode_file_header(kVolumeMagic, bytes, number);
}

std::string encode_volume_index_header(const VolumeHeader& header) {
    return encode_file_header(kIndexMagic, header, kVolumeIndexHeaderBytes);
}

DecodedVolumeHeader decode_volume_index_header(std::string_view bytes, uint32_t number) {
    return decode_file_header(kIndexMagic, bytes, number);
}

// --- Records

uint64_t record_head_bytes(uint64_t chunk_length) {
    return kChunkRecordHeaderBytes + 4 * block_count(chunk_length);
}

uint64_t record_padding(uint64_t chunk_length) {
    const uint64_t bytes = record_head_bytes(chunk_length) + chunk_length;
    return (kRecordAlignment - bytes % kRecordAlignment) % kRecordAlignment;
}

uint64_t record_bytes(uint64_t chunk_length) {
    return record_head_bytes(chunk_length) + chunk_length + record_padding(chunk_length);
}

std::string encode_record_head(const ChunkHead& head, uint32_t salt, uint64_t offset) {
    SANDSTORE_CHECK(is_valid(head.key) && head.length > 0 && head.length <= kChunkBytesLimit &&
                        head.block_crc32c.size() == block_count(head.length) && offset % kRecordAlignment == 0,
                    "chunk=", to_string(head.key), " length=", head.length, " offset=", offset);
    std::string bytes(record_head_bytes(head.length), '\0');
    bytes.replace(0, kRecordMagic.size(), kRecordMagic);
    put_number(&bytes[kRecordSaltAt], salt);
    put_number(&bytes[kRecordLengthAt], static_cast<uint32_t>(head.length));
    put_number(&bytes[kRecordOffsetAt], offset);
    put_number(&bytes[kRecordTermAt], head.key.term);
    put_number(&bytes[kRecordNumberAt], head.key.number);
    put_number(&bytes[kRecordTimeAt], head.allocated_at_us);
    put_number(&bytes[kRecordTableCrcAt], table_checksum(head.block_crc32c));
    const std::string_view covered = std::string_view(bytes).substr(0, kChunkRecordHeaderBytes).substr(kRecordLengthAt);
    put_number(&bytes[kRecordCrcAt], crc32c(covered));
    for (size_t i = 0; i < head.block_crc32c.size(); i++) {
        put_number(&bytes[kChunkRecordHeaderBytes + 4 * i], head.block_crc32c[i]);
    }
    return bytes;
}

bool may_be_record(const char* bytes, uint32_t salt) {
    return std::memcmp(bytes, kRecordMagic.data(), kRecordMagic.size()) == 0 &&
           get_number<uint32_t>(bytes + kRecordSaltAt) == salt;
}

std::optional<ChunkRecordHeader> decode_record_header(std::string_view bytes, uint32_t salt, uint64_t offset) {
    if (bytes.size() < kChunkRecordHeaderBytes || !may_be_record(bytes.data(), salt)) return std::nullopt;
    const std::string_view covered = bytes.substr(0, kChunkRecordHeaderBytes).substr(kRecordLengthAt);
    if (get_number<uint32_t>(&bytes[kRecordCrcAt]) != crc32c(covered)) return std::nullopt;
    if (get_number<uint64_t>(&bytes[kRecordOffsetAt]) != offset) return std::nullopt;
    ChunkRecordHeader header;
    header.key = {get_number<uint64_t>(&bytes[kRecordTermAt]), get_number<uint64_t>(&bytes[kRecordNumberAt])};
    header.length = get_number<uint32_t>(&bytes[kRecordLengthAt]);
    header.allocated_at_us = get_number<uint64_t>(&bytes[kRecordTimeAt]);
    header.table_crc32c = get_number<uint32_t>(&bytes[kRecordTableCrcAt]);
    if (!is_valid(header.key) || header.length == 0 || header.length > kChunkBytesLimit) return std::nullopt;
    return header;
}

DecodedHead decode_record_head(std::string_view bytes, uint32_t salt, uint64_t offset, ChunkKey key, uint64_t length) {
    const auto damaged = [](std::string why) { return DecodedHead{HeadProblem::kDamaged, std::move(why), {}}; };
    const std::optional<ChunkRecordHeader> header = decode_record_header(bytes, salt, offset);
    if (!header) return damaged("the header of its record is damaged");
    if (header->key != key || header->length != length) return damaged("its record is that of another chunk");
    if (bytes.size() < record_head_bytes(length)) return damaged("its record is cut off");
    DecodedHead decoded;
    decoded.head.key = key;
    decoded.head.length = length;
    decoded.head.allocated_at_us = header->allocated_at_us;
    for (size_t i = 0; i < block_count(length); i++) {
        decoded.head.block_crc32c.push_back(get_number<uint32_t>(&bytes[kChunkRecordHeaderBytes + 4 * i]));
    }
    if (table_checksum(decoded.head.block_crc32c) != header->table_crc32c) {
        return damaged("the table of its checksums is damaged");
    }
    return decoded;
}

// --- The index of a volume

std::string encode_index_batch(const IndexBatch& batch, uint32_t salt) {
    SANDSTORE_CHECK(batch.entries.size() <= kIndexBatchEntriesMax, "entries=", batch.entries.size());
    std::string bytes(kIndexBatchHeaderBytes + batch.entries.size() * kIndexEntryBytes, '\0');
    bytes.replace(0, kBatchMagic.size(), kBatchMagic);
    put_number(&bytes[kBatchSaltAt], salt);
    put_number(&bytes[kBatchCountAt], static_cast<uint32_t>(batch.entries.size()));
    put_number(&bytes[kBatchFromAt], batch.covered_from);
    put_number(&bytes[kBatchToAt], batch.covered_to);
    char* at = bytes.data() + kIndexBatchHeaderBytes;
    for (const VolumeIndexEntry& entry : batch.entries) {
        put_number(at + kEntryTermAt, entry.record.key.term);
        put_number(at + kEntryNumberAt, entry.record.key.number);
        put_number(at + kEntryTimeAt, entry.record.allocated_at_us);
        put_number(at + kEntryOffsetAt, entry.offset);
        put_number(at + kEntryLengthAt, static_cast<uint32_t>(entry.record.length));
        put_number(at + kEntryKindAt, static_cast<uint32_t>(entry.kind));
        at += kIndexEntryBytes;
    }
    put_number(&bytes[kBatchCrcAt], crc32c(std::string_view(bytes).substr(kBatchCountAt)));
    return bytes;
}

namespace {

bool decode_entry(const char* at, VolumeIndexEntry* entry) {
    const auto kind = get_number<uint32_t>(at + kEntryKindAt);
    if (kind < 1 || kind > 3) return false;
    entry->kind = static_cast<VolumeIndexEntry::Kind>(kind);
    entry->record.key = {get_number<uint64_t>(at + kEntryTermAt), get_number<uint64_t>(at + kEntryNumberAt)};
    entry->record.allocated_at_us = get_number<uint64_t>(at + kEntryTimeAt);
    entry->record.length = get_number<uint32_t>(at + kEntryLengthAt);
    entry->offset = get_number<uint64_t>(at + kEntryOffsetAt);
    return is_valid(entry->record.key) && entry->record.length > 0 && entry->record.length <= kChunkBytesLimit &&
           entry->offset >= kVolumeHeaderBytes && entry->offset < kVolumeBytesMax + kChunkBytesLimit &&
           entry->offset % kRecordAlignment == 0;
}

std::optional<IndexBatch> decode_batch(std::string_view bytes, uint32_t salt, size_t* batch_bytes) {
    if (bytes.size() < kIndexBatchHeaderBytes || bytes.substr(0, kBatchMagic.size()) != kBatchMagic ||
        get_number<uint32_t>(&bytes[kBatchSaltAt]) != salt) {
        return std::nullopt;
    }
    const auto count = get_number<uint32_t>(&bytes[kBatchCountAt]);
    if (count > kIndexBatchEntriesMax) return std::nullopt;
    *batch_bytes = kIndexBatchHeaderBytes + count * kIndexEntryBytes;
    if (bytes.size() < *batch_bytes) return std::nullopt;
    bytes = bytes.substr(0, *batch_bytes);
    if (get_number<uint32_t>(&bytes[kBatchCrcAt]) != crc32c(bytes.substr(kBatchCountAt))) return std::nullopt;
    IndexBatch batch;
    batch.covered_from = get_number<uint64_t>(&bytes[kBatchFromAt]);
    batch.covered_to = get_number<uint64_t>(&bytes[kBatchToAt]);
    batch.entries.resize(count);
    const char* at = bytes.data() + kIndexBatchHeaderBytes;
    for (VolumeIndexEntry& entry : batch.entries) {
        if (!decode_entry(at, &entry)) return std::nullopt;
        at += kIndexEntryBytes;
    }
    return batch;
}

}  // namespace

std::optional<IndexBatch> next_index_batch(std::string_view bytes, bool more, uint32_t salt, size_t* at) {
    const uint64_t needed = more ? kIndexBatchBytesMax : kIndexBatchHeaderBytes;
    size_t begin = *at;
    for (; begin + needed <= bytes.size(); begin += kRecordAlignment) {
        size_t batch_bytes = 0;
        std::optional<IndexBatch> batch = decode_batch(bytes.substr(begin), salt, &batch_bytes);
        if (!batch) continue;
        *at = begin + batch_bytes;
        return batch;
    }
    *at = begin;
    return std::nullopt;
}

// --- Names

std::string volume_file(uint32_t number) {
    return numbered_file(number, kVolumeSuffix);
}

std::string volume_index_file(uint32_t number) {
    return numbered_file(number, kIndexSuffix);
}

std::optional<VolumeFileName> parse_volume_file_name(std::string_view name) {
    constexpr size_t kDigits = 8;
    if (name.size() <= kDigits) return std::nullopt;
    VolumeFileName parsed;
    const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, parsed.number, 16);
    if (error != std::errc() || end != name.data() + kDigits) return std::nullopt;
    if (parsed.number == 0 || parsed.number > kVolumeNumberMax) return std::nullopt;
    const std::string_view suffix = name.substr(kDigits);
    if (suffix != kVolumeSuffix && suffix != kIndexSuffix) return std::nullopt;
    parsed.is_index = suffix == kIndexSuffix;
    // One file has one name: no capital letters.
    const std::string canonical = parsed.is_index ? volume_index_file(parsed.number) : volume_file(parsed.number);
    if (canonical.substr(kChunkDirectory.size() + 1) != name) return std::nullopt;
    return parsed;
}

}  // namespace sandstore
