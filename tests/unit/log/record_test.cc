#include "actors/log/record.h"

#include <gtest/gtest.h>

#include <vector>

#include "runtime/check.h"
#include "runtime/random.h"

namespace sandstore {
namespace {

std::string three_records() {
    std::string bytes;
    append_record(&bytes, 3, 7, RecordType::kNoOp, "");
    append_record(&bytes, 3, 8, RecordType::kCommand, "make directory");
    append_record(&bytes, 4, 9, RecordType::kConfiguration, std::string(300, 'v'));
    return bytes;
}

// The same bytes in pieces of the given length.
Payload in_pieces(const std::string& bytes, size_t length) {
    Payload payload;
    for (size_t at = 0; at < bytes.size(); at += length) payload.append(Payload::copy_of(bytes.substr(at, length)));
    return payload;
}

TEST(Record, reads_back_what_was_appended_in_pieces_of_any_length) {
    const std::string bytes = three_records();
    for (size_t length = 1; length <= bytes.size(); length++) {
        RecordReader reader(in_pieces(bytes, length));
        Record record;
        ASSERT_TRUE(reader.next(&record));
        EXPECT_EQ(record.term, 3u);
        EXPECT_EQ(record.index, 7u);
        EXPECT_EQ(record.type, RecordType::kNoOp);
        EXPECT_TRUE(record.data.empty());
        ASSERT_TRUE(reader.next(&record));
        EXPECT_EQ(record.data.to_string(), "make directory");
        EXPECT_EQ(record.bytes.to_string(), bytes.substr(25, 39));
        ASSERT_TRUE(reader.next(&record));
        EXPECT_EQ(record.term, 4u);
        EXPECT_EQ(record.data.size(), 300u);
        EXPECT_FALSE(reader.next(&record));
        EXPECT_FALSE(reader.damaged());
    }
}

TEST(Record, bytes_are_shared_not_copied) {
    const Payload payload(three_records());
    RecordReader reader(payload);
    Record record;
    ASSERT_TRUE(reader.next(&record));
    ASSERT_TRUE(reader.next(&record));
    EXPECT_EQ(record.bytes.pieces().front().bytes.data(), payload.pieces().front().bytes.data() + 25);
}

TEST(Record, a_payload_is_appended_like_its_text) {
    std::string from_text;
    std::string from_payload;
    append_record(&from_text, 1, 2, RecordType::kCommand, std::string_view("hello there"));
    append_record(&from_payload, 1, 2, RecordType::kCommand, in_pieces("hello there", 3));
    EXPECT_EQ(from_text, from_payload);
}

TEST(Record, layout_is_as_documented) {
    std::string bytes;
    append_record(&bytes, 0x0102, 0x0304, RecordType::kCommand, "ab");
    ASSERT_EQ(bytes.size(), kRecordHeaderBytes + 2);
    EXPECT_EQ(bytes.substr(0, 4), std::string("\x02\0\0\0", 4));
    EXPECT_EQ(bytes.substr(8, 16), std::string("\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0", 16));
    EXPECT_EQ(bytes[24], 2);
    EXPECT_EQ(bytes.substr(25), "ab");
}

TEST(Record, every_flipped_bit_is_noticed) {
    const std::string whole = three_records();
    for (size_t at = 0; at < whole.size(); at++) {
        for (int bit = 0; bit < 8; bit++) {
            std::string bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
            RecordReader reader(in_pieces(bytes, 11));
            Record record;
            while (reader.next(&record)) {
            }
            EXPECT_TRUE(reader.damaged()) << "offset " << at << " bit " << bit;
        }
    }
}

TEST(Record, every_cut_is_noticed) {
    const std::string whole = three_records();
    for (size_t length = 0; length < whole.size(); length++) {
        RecordReader reader(Payload(whole.substr(0, length)));
        Record record;
        size_t count = 0;
        while (reader.next(&record)) count++;
        const bool between = length == 0 || length == 25 || length == 64;
        EXPECT_EQ(reader.damaged(), !between) << "length " << length;
        EXPECT_LT(count, 3u);
    }
}

TEST(Record, random_bytes_are_never_read_beyond_their_end) {
    RandomStream random(7, 1);
    for (int round = 0; round < 2000; round++) {
        std::string bytes(random.below(200), '\0');
        for (char& byte : bytes) byte = static_cast<char>(random.below(4) == 0 ? random.next() : 0);
        RecordReader reader(in_pieces(bytes, 1 + random.below(40)));
        Record record;
        while (reader.next(&record)) {
        }
        RecordReader headers(in_pieces(bytes, 1 + random.below(40)));
        RecordHeader header;
        while (headers.next_header(&header)) {
        }
        EXPECT_LE(headers.offset(), bytes.size());
    }
}

TEST(Record, data_beyond_the_bound_breaks_an_invariant) {
    std::string bytes;
    const std::string data(kRecordDataBytesMax + 1, 'x');
    EXPECT_THROW(append_record(&bytes, 1, 1, RecordType::kCommand, data), InvariantBroken);
}

}  // namespace
}  // namespace sandstore
