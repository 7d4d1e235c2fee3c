#include "actors/log/record.h"

#include <algorithm>

#include "actors/log/little_endian.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"

namespace sandstore {

namespace {

// Offsets in the header.
constexpr size_t kLengthAt = 0;
constexpr size_t kCrcAt = 4;
constexpr size_t kTermAt = 8;
constexpr size_t kIndexAt = 16;
constexpr size_t kTypeAt = 24;

// Of the header without its CRC field; the CRC of the data continues from it.
uint32_t header_crc(const char* header) {
    const uint32_t of_length = crc32c({header + kLengthAt, kCrcAt - kLengthAt});
    return crc32c({header + kTermAt, kRecordHeaderBytes - kTermAt}, of_length);
}

void encode_header(char* header, uint64_t term, uint64_t index, RecordType type, size_t data_bytes) {
    SANDSTORE_CHECK(data_bytes <= kRecordDataBytesMax, "data_bytes=", data_bytes, " index=", index);
    put_integer(header + kLengthAt, static_cast<uint32_t>(data_bytes));
    put_integer(header + kTermAt, term);
    put_integer(header + kIndexAt, index);
    header[kTypeAt] = static_cast<char>(type);
}

}  // namespace

void append_record(std::string* out, uint64_t term, uint64_t index, RecordType type, std::string_view data) {
    char header[kRecordHeaderBytes];
    encode_header(header, term, index, type, data.size());
    put_integer(header + kCrcAt, crc32c(data, header_crc(header)));
    out->append(header, sizeof(header));
    out->append(data);
}

void append_record(std::string* out, uint64_t term, uint64_t index, RecordType type, const Payload& data) {
    char header[kRecordHeaderBytes];
    encode_header(header, term, index, type, data.size());
    put_integer(header + kCrcAt, crc32c(data, header_crc(header)));
    out->append(header, sizeof(header));
    for (const Payload::Piece& piece : data.pieces()) out->append(piece.bytes);
}

bool RecordReader::next(Record* record) {
    if (left_ == 0 || damaged()) return false;
    char encoded[kRecordHeaderBytes];
    RecordHeader header;
    peek(std::min(left_, sizeof(encoded)), encoded);
    if (!decode_header(encoded, &header)) return false;
    const size_t start = offset();
    record->term = header.term;
    record->index = header.index;
    record->type = header.type;
    record->bytes = Payload();
    take(header.encoded_bytes(), &record->bytes);
    record->data = record->bytes.slice(kRecordHeaderBytes, header.data_bytes);
    if (crc32c(record->data, header_crc(encoded)) != get_integer<uint32_t>(encoded + kCrcAt)) {
        return fail(str_cat("the checksum of record ", header.index, " at offset ", start, " is wrong"));
    }
    return true;
}

bool RecordReader::next_header(RecordHeader* header) {
    if (left_ == 0 || damaged()) return false;
    char encoded[kRecordHeaderBytes];
    peek(std::min(left_, sizeof(encoded)), encoded);
    if (!decode_header(encoded, header)) return false;
    take(header->encoded_bytes(), nullptr);
    return true;
}

bool RecordReader::decode_header(const char* encoded, RecordHeader* header) {
    if (left_ < kRecordHeaderBytes) {
        return fail(str_cat("a record header is cut off at offset ", offset(), ": ", left_, " bytes are left"));
    }
    header->data_bytes = get_integer<uint32_t>(encoded + kLengthAt);
    header->term = get_integer<uint64_t>(encoded + kTermAt);
    header->index = get_integer<uint64_t>(encoded + kIndexAt);
    header->type = static_cast<RecordType>(encoded[kTypeAt]);
    if (header->data_bytes > kRecordDataBytesMax) {
        return fail(str_cat("the record at offset ", offset(), " claims ", header->data_bytes, " bytes of data"));
    }
    if (header->type < RecordType::kNoOp || header->type > RecordType::kConfiguration) {
        return fail(str_cat("the record at offset ", offset(), " has the unknown type ", header->type));
    }
    if (header->encoded_bytes() > left_) {
        return fail(str_cat("the record at offset ", offset(), " is cut off: ", header->encoded_bytes(),
                            " bytes long, ", left_, " are left"));
    }
    return true;
}

void RecordReader::take(size_t length, Payload* out) {
    left_ -= length;
    const auto pieces = bytes_.pieces();
    while (length > 0) {
        const Payload::Piece& piece = pieces[piece_];
        const std::string_view part = piece.bytes.substr(piece_offset_, length);
        if (out != nullptr) out->append(Payload::view_of(piece.owner, part));
        length -= part.size();
        piece_offset_ += part.size();
        if (piece_offset_ == piece.bytes.size()) {
            piece_++;
            piece_offset_ = 0;
        }
    }
}

void RecordReader::peek(size_t length, char* out) const {
    const auto pieces = bytes_.pieces();
    size_t offset = piece_offset_;
    for (size_t piece = piece_; length > 0; piece++, offset = 0) {
        const std::string_view part = pieces[piece].bytes.substr(offset, length);
        std::memcpy(out, part.data(), part.size());
        out += part.size();
        length -= part.size();
    }
}

bool RecordReader::fail(std::string why) {
    problem_ = std::move(why);
    return false;
}

}  // namespace sandstore
