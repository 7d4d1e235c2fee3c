#include "actors/log/segment_format.h"

#include <algorithm>
#include <charconv>

#include "actors/log/little_endian.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"

namespace sandstore {

namespace {

// Segment header: fixed fields, then the three strings, each as u16 length and bytes, then zeros.
constexpr std::string_view kSegmentMagic = "SANDLOG\n";
constexpr size_t kSegmentVersionAt = 8;
constexpr size_t kSegmentCrcAt = 12;  // Over everything after it, and the magic and version before it.
constexpr size_t kSegmentNumberAt = 16;

// Block header.
constexpr uint32_t kBlockMagic = 0x4b4c4253;  // "SBLK"
constexpr size_t kBlockCrcAt = 4;             // Over the rest of the header.
constexpr size_t kSequenceAt = 8;
constexpr size_t kFirstIndexAt = 16;
constexpr size_t kHardTermAt = 24;
constexpr size_t kSaltAt = 32;
constexpr size_t kBodyBytesAt = 36;
constexpr size_t kBodyCrcAt = 40;
constexpr size_t kRecordCountAt = 44;
constexpr size_t kFlagsAt = 48;
constexpr size_t kVoteBytesAt = 50;
constexpr size_t kReservedAt = 52;
constexpr uint16_t kHardStateFlag = 1;
constexpr uint16_t kRestartFlag = 2;
constexpr uint16_t kSealFlag = 4;
static_assert(kReservedAt + sizeof(uint32_t) == kBlockHeaderBytes && kBlockHeaderBytes % kBlockAlignment == 0);

uint32_t segment_header_crc(std::string_view bytes) {
    const uint32_t before = crc32c(bytes.substr(0, kSegmentCrcAt));
    return crc32c(bytes.substr(kSegmentNumberAt, kSegmentHeaderBytes - kSegmentNumberAt), before);
}

void append_text(std::string* out, std::string_view text) {
    SANDSTORE_CHECK(text.size() <= kIdBytesMax, "length=", text.size());
    append_integer(out, static_cast<uint16_t>(text.size()));
    out->append(text);
}

// Takes fields off the front of a header.
class FieldReader {
 public:
    explicit FieldReader(std::string_view bytes) : rest_(bytes) {}
    template <typename Integer>
    Integer number() {
        if (rest_.size() < sizeof(Integer)) return whole_ = false, 0;
        const Integer value = get_integer<Integer>(rest_.data());
        rest_.remove_prefix(sizeof(Integer));
        return value;
    }
    std::string text() {
        const size_t length = number<uint16_t>();
        if (length > rest_.size()) return whole_ = false, std::string();
        std::string value(rest_.substr(0, length));
        rest_.remove_prefix(length);
        return value;
    }
    bool whole() const { return whole_; }

 private:
    std::string_view rest_;
    bool whole_ = true;
};

std::string hex_digits(uint64_t number) {
    return str_format("%016llx", static_cast<unsigned long long>(number));
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
    std::string bytes(kSegmentMagic);
    append_integer(&bytes, kSegmentFormatVersion);
    append_integer(&bytes, uint32_t{0});  // The CRC, below.
    append_integer(&bytes, header.number);
    append_integer(&bytes, header.segment_bytes);
    append_integer(&bytes, header.first_sequence);
    append_integer(&bytes, header.first_index);
    append_integer(&bytes, header.last_index);
    append_integer(&bytes, header.last_term);
    append_integer(&bytes, static_cast<uint64_t>(header.hard_state.term()));
    append_integer(&bytes, header.salt);
    append_text(&bytes, header.cluster_id);
    append_text(&bytes, header.node_id);
    append_text(&bytes, header.hard_state.voted_for());
    SANDSTORE_CHECK(bytes.size() <= kSegmentHeaderBytes, "size=", bytes.size());
    bytes.resize(kSegmentHeaderBytes, '\0');
    put_integer(bytes.data() + kSegmentCrcAt, segment_header_crc(bytes));
    return bytes;
}

HeaderCheck decode_segment_header(std::string_view bytes, SegmentHeader* header, uint32_t* version) {
    if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kSegmentMagic)) return HeaderCheck::kDamaged;
    if (get_integer<uint32_t>(bytes.data() + kSegmentCrcAt) != segment_header_crc(bytes)) return HeaderCheck::kDamaged;
    *version = get_integer<uint32_t>(bytes.data() + kSegmentVersionAt);
    if (*version != kSegmentFormatVersion) return HeaderCheck::kUnknownVersion;
    FieldReader reader(bytes.substr(kSegmentNumberAt, kSegmentHeaderBytes - kSegmentNumberAt));
    header->number = reader.number<uint64_t>();
    header->segment_bytes = reader.number<uint64_t>();
    header->first_sequence = reader.number<uint64_t>();
    header->first_index = reader.number<uint64_t>();
    header->last_index = reader.number<uint64_t>();
    header->last_term = reader.number<uint64_t>();
    header->hard_state.set_term(reader.number<uint64_t>());
    header->salt = reader.number<uint32_t>();
    header->cluster_id = reader.text();
    header->node_id = reader.text();
    header->hard_state.set_voted_for(reader.text());
    return reader.whole() ? HeaderCheck::kValid : HeaderCheck::kDamaged;
}

std::string encode_block_header(const BlockHeader& header) {
    std::string bytes(kBlockHeaderBytes, '\0');
    char* out = bytes.data();
    put_integer(out, kBlockMagic);
    put_integer(out + kSequenceAt, header.sequence);
    put_integer(out + kFirstIndexAt, header.first_index);
    put_integer(out + kHardTermAt, header.hard_state_term);
    put_integer(out + kSaltAt, header.salt);
    put_integer(out + kBodyBytesAt, header.body_bytes);
    put_integer(out + kBodyCrcAt, header.body_crc);
    put_integer(out + kRecordCountAt, header.record_count);
    const int flags = (header.has_hard_state ? kHardStateFlag : 0) | (header.has_restart ? kRestartFlag : 0) |
                      (header.is_seal ? kSealFlag : 0);
    put_integer(out + kFlagsAt, static_cast<uint16_t>(flags));
    put_integer(out + kVoteBytesAt, header.vote_bytes);
    put_integer(out + kBlockCrcAt, crc32c(std::string_view(bytes).substr(kSequenceAt)));
    return bytes;
}

std::string encode_seal(uint64_t sequence, uint32_t salt) {
    BlockHeader header;
    header.sequence = sequence;
    header.salt = salt;
    header.is_seal = true;
    return encode_block_header(header);
}

std::optional<BlockHeader> decode_block_header(std::string_view bytes) {
    if (bytes.size() < kBlockHeaderBytes || !may_be_block(bytes.data())) return std::nullopt;
    const char* in = bytes.data();
    if (get_integer<uint32_t>(in + kBlockCrcAt) != crc32c(bytes.substr(kSequenceAt, kBlockHeaderBytes - kSequenceAt))) {
        return std::nullopt;
    }
    BlockHeader header;
    header.sequence = get_integer<uint64_t>(in + kSequenceAt);
    header.first_index = get_integer<uint64_t>(in + kFirstIndexAt);
    header.hard_state_term = get_integer<uint64_t>(in + kHardTermAt);
    header.salt = get_integer<uint32_t>(in + kSaltAt);
    header.body_bytes = get_integer<uint32_t>(in + kBodyBytesAt);
    header.body_crc = get_integer<uint32_t>(in + kBodyCrcAt);
    header.record_count = get_integer<uint32_t>(in + kRecordCountAt);
    const auto flags = get_integer<uint16_t>(in + kFlagsAt);
    header.has_hard_state = (flags & kHardStateFlag) != 0;
    header.has_restart = (flags & kRestartFlag) != 0;
    header.is_seal = (flags & kSealFlag) != 0;
    header.has_unknown_flags = (flags & ~(kHardStateFlag | kRestartFlag | kSealFlag)) != 0;
    header.vote_bytes = get_integer<uint16_t>(in + kVoteBytesAt);
    if (header.vote_bytes + (header.has_restart ? kRestartBytes : 0) > header.body_bytes) return std::nullopt;
    return header;
}

bool may_be_block(const char* bytes) {
    return get_integer<uint32_t>(bytes) == kBlockMagic;
}

void append_restart(std::string* out, const pb::LogStart& restart) {
    append_integer(out, static_cast<uint64_t>(restart.index()));
    append_integer(out, static_cast<uint64_t>(restart.term()));
}

pb::LogStart decode_restart(std::string_view bytes) {
    SANDSTORE_CHECK(bytes.size() >= kRestartBytes, "bytes=", bytes.size());
    pb::LogStart restart;
    restart.set_index(get_integer<uint64_t>(bytes.data()));
    restart.set_term(get_integer<uint64_t>(bytes.data() + sizeof(uint64_t)));
    return restart;
}

std::string segment_file(std::string_view directory, uint64_t number) {
    return str_cat(directory, "/", hex_digits(number), ".seg");
}

std::string spare_file(std::string_view directory, uint64_t number) {
    return str_cat(directory, "/spare-", hex_digits(number), ".seg");
}

std::optional<LogFileName> parse_file_name(std::string_view name) {
    constexpr std::string_view kSparePrefix = "spare-";
    constexpr std::string_view kSuffix = ".seg";
    LogFileName parsed;
    std::string_view digits = name;
    if (digits.starts_with(kSparePrefix)) {
        parsed.spare = true;
        digits.remove_prefix(kSparePrefix.size());
    }
    if (!digits.ends_with(kSuffix)) return std::nullopt;
    digits.remove_suffix(kSuffix.size());
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.number, 16);
    if (digits.size() != 16 || result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
        return std::nullopt;
    }
    if (hex_digits(parsed.number) != digits) return std::nullopt;  // Only as we write them.
    return parsed;
}

}  // namespace sandstore
