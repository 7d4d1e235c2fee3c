// A log entry as bytes: what the log keeps, what AppendEntries and Apply carry, back to back in a payload.
//
//     [u32 length of data][u32 crc32c][u64 term][u64 index][u8 type][data]        little endian
//
// The CRC covers the length and everything after the CRC. An entry is encoded once, by the leader that made it; log,
// peers and state machine share these bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/payload.h"

namespace sandstore {

enum class RecordType : uint8_t { kNoOp = 1, kCommand = 2, kConfiguration = 3 };

inline constexpr size_t kRecordHeaderBytes = 25;
inline constexpr size_t kRecordDataBytesMax = size_t{4} << 20;

struct Record {
    uint64_t term = 0;
    uint64_t index = 0;
    RecordType type = RecordType::kNoOp;
    Payload data;
    Payload bytes;  // The whole encoded record, header included; shares memory with what was read.
};

// A record without its bytes.
struct RecordHeader {
    uint64_t term = 0;
    uint64_t index = 0;
    RecordType type = RecordType::kNoOp;
    uint32_t data_bytes = 0;
    size_t encoded_bytes() const { return kRecordHeaderBytes + data_bytes; }
};

// Data beyond kRecordDataBytesMax breaks an invariant: whoever takes a command in refuses it before.
void append_record(std::string* out, uint64_t term, uint64_t index, RecordType type, std::string_view data);
void append_record(std::string* out, uint64_t term, uint64_t index, RecordType type, const Payload& data);

// Walks records back to back, once over the pieces from front to back. Whatever the bytes are, it never reads past
// them: it stops, and says why.
class RecordReader {
 public:
    explicit RecordReader(Payload bytes) : bytes_(std::move(bytes)), left_(bytes_.size()) {}

    // The next record, its CRC checked. False at the clean end, or on damage.
    bool next(Record* record);
    // The same without looking at the data or the CRC: for bytes that this process has already checked.
    bool next_header(RecordHeader* header);

    bool damaged() const { return !problem_.empty(); }
    std::string problem() const { return problem_; }         // Empty when not damaged.
    size_t offset() const { return bytes_.size() - left_; }  // Bytes read so far: where the next record begins.

 private:
    bool decode_header(const char* encoded, RecordHeader* header);
    void take(size_t length, Payload* out);     // The next `length` bytes, which are there; out may be null: skip.
    void peek(size_t length, char* out) const;  // The same, copied, without moving on.
    bool fail(std::string why);

    Payload bytes_;
    size_t left_;
    size_t piece_ = 0;         // Where reading goes on: the piece,
    size_t piece_offset_ = 0;  // and the offset in it.
    std::string problem_;
};

}  // namespace sandstore
