#include "net/frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "runtime/crc32c.h"
#include "runtime/message_of.h"
#include "runtime/random.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

constexpr uint64_t kNowUs = 5'000'000;
using Next = FrameDecoder::Next;

Message sample(std::string_view payload = "payload bytes") {
    pb::AppendEntries body;
    body.set_term(7);
    body.set_record_count(3);
    Message message = message_of(std::move(body), Payload::copy_of(payload));
    message->set_to_actor(pb::ACTOR_RAFT);
    message->set_request_id(99);
    return message;
}

// As a socket would: into the areas given, never more than they hold.
void feed(FrameDecoder& decoder, std::string_view* bytes, size_t bytes_max) {
    size_t filled = 0;
    for (const iovec& area : decoder.space(bytes_max)) {
        const size_t part = std::min(area.iov_len, bytes->size());
        std::memcpy(area.iov_base, bytes->data(), part);
        bytes->remove_prefix(part);
        filled += part;
    }
    decoder.received(filled);
}

// All of it, `step` bytes at a time; the messages that came out, and the error that ended it.
std::vector<Message> decode(FrameDecoder& decoder, std::string_view bytes, size_t step) {
    std::vector<Message> messages;
    while (!bytes.empty()) {
        feed(decoder, &bytes, step);
        Message message;
        Next next = decoder.next(kNowUs, &message);
        for (; next == Next::kMessage; next = decoder.next(kNowUs, &message)) messages.push_back(std::move(message));
        if (next == Next::kBad) break;
    }
    return messages;
}

FrameError error_of(std::string_view bytes) {
    FrameDecoder decoder;
    EXPECT_TRUE(decode(decoder, bytes, bytes.size()).empty());
    return decoder.error();
}

void set_checksums(std::string* bytes, size_t body_length) {
    const std::string_view all = *bytes;
    const uint32_t head = crc32c(all.substr(kFrameHeaderBytes, body_length), crc32c(all.substr(0, 16)));
    const uint32_t payload = crc32c(all.substr(kFrameHeaderBytes + body_length));
    std::memcpy(bytes->data() + 16, &head, 4);
    std::memcpy(bytes->data() + 20, &payload, 4);
}

TEST(Frame, has_the_documented_header) {
    const std::string bytes = frame_bytes(sample("xyz"));
    EXPECT_EQ(bytes.substr(0, 8), std::string("SAND\x01\0\0\0", 8));
    uint32_t body = 0, payload = 0;
    std::memcpy(&body, bytes.data() + 8, 4);
    std::memcpy(&payload, bytes.data() + 12, 4);
    EXPECT_EQ(payload, 3u);
    EXPECT_EQ(bytes.size(), kFrameHeaderBytes + body + payload);
    EXPECT_EQ(bytes.substr(bytes.size() - 3), "xyz");
}

TEST(Frame, payload_is_shared_not_copied_when_encoded) {
    Message message = sample("some bytes");
    const char* address = message.payload.pieces()[0].bytes.data();
    EncodedFrame frame;
    ASSERT_TRUE(encode_frame(message, kNowUs, &frame));
    EXPECT_EQ(frame.payload.pieces()[0].bytes.data(), address);
}

TEST(Frame, arrives_whole_at_every_split_of_the_stream) {
    const std::string one = frame_bytes(sample());
    const std::string stream = one + frame_bytes(sample("")) + one;
    for (size_t split = 0; split <= stream.size(); split++) {
        FrameDecoder decoder;
        std::vector<Message> messages;
        const std::string_view parts[] = {std::string_view(stream).substr(0, split),
                                          std::string_view(stream).substr(split)};
        for (std::string_view part : parts) {
            for (Message& message : decode(decoder, part, 1 << 20)) messages.push_back(std::move(message));
        }
        ASSERT_EQ(messages.size(), 3u) << "split at " << split;
        EXPECT_EQ(messages[0].payload.flat_view(), "payload bytes");
        EXPECT_EQ(messages[1].payload.size(), 0u);
        EXPECT_EQ(messages[2]->append_entries().term(), 7u);
        EXPECT_EQ(messages[2]->request_id(), 99u);
        EXPECT_FALSE(decoder.mid_frame());
    }
}

TEST(Frame, arrives_whole_in_pieces_of_any_size) {
    std::string stream;
    for (int i = 0; i < 50; i++) stream += frame_bytes(sample(std::string(static_cast<size_t>(i * 37), 'a')));
    for (size_t step : {1, 2, 3, 7, 23, 24, 25, 100, 4096, 70000}) {
        FrameDecoder decoder;
        const std::vector<Message> messages = decode(decoder, stream, step);
        ASSERT_EQ(messages.size(), 50u) << "step " << step;
        for (size_t i = 0; i < messages.size(); i++) EXPECT_EQ(messages[i].payload.size(), i * 37);
    }
}

TEST(Frame, of_the_largest_size_arrives_with_either_way_of_allocating) {
    std::string bytes(kFramePayloadBytesMax, '\0');
    RandomStream random(1, 1);
    for (size_t i = 0; i < bytes.size(); i += 4096) bytes[i] = static_cast<char>(random.next());
    const std::string stream = frame_bytes(sample(bytes)) + frame_bytes(sample());
    for (const bool grow : {false, true}) {
        FrameDecoder decoder(FrameLimits{.grow_with_data = grow});
        const std::vector<Message> messages = decode(decoder, stream, 300'001);
        ASSERT_EQ(messages.size(), 2u);
        EXPECT_EQ(messages[0].payload.pieces().size(), 1u);
        EXPECT_EQ(messages[0].payload.flat_view(), bytes);
        EXPECT_EQ(messages[1].payload.flat_view(), "payload bytes");
    }
}

TEST(Frame, with_a_large_body_arrives) {
    pb::Query query;
    query.mutable_stat()->mutable_at()->set_path(std::string(kFrameBodyBytesMax - 100, 'p'));
    const std::string stream = frame_bytes(message_of(query)) + frame_bytes(sample());
    FrameDecoder decoder;
    const std::vector<Message> messages = decode(decoder, stream, 65'536);
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[0]->query().stat().at().path().size(), kFrameBodyBytesMax - 100);
}

TEST(Frame, too_large_is_not_encoded_and_the_message_stays_whole) {
    Message payload_too_large = sample(std::string(kFramePayloadBytesMax + 1, 'x'));
    EncodedFrame frame;
    EXPECT_FALSE(encode_frame(payload_too_large, kNowUs, &frame));
    EXPECT_EQ(payload_too_large.payload.size(), kFramePayloadBytesMax + 1);

    pb::Query query;
    query.mutable_stat()->mutable_at()->set_path(std::string(kFrameBodyBytesMax, 'p'));
    Message body_too_large = message_of(std::move(query));
    body_too_large->set_deadline_us(kNowUs + 10);
    EXPECT_FALSE(encode_frame(body_too_large, kNowUs, &frame));
    EXPECT_EQ(body_too_large->deadline_us(), kNowUs + 10);
}

uint64_t deadline_after_the_wire(uint64_t deadline_us, uint64_t sender_now_us) {
    Message message = sample();
    message->set_deadline_us(deadline_us);
    FrameDecoder decoder;
    const std::vector<Message> messages = decode(decoder, frame_bytes(std::move(message), sender_now_us), 4096);
    return messages.at(0)->deadline_us();
}

TEST(Frame, deadline_travels_as_time_left) {
    EXPECT_EQ(deadline_after_the_wire(1'000'300, 1'000'000), kNowUs + 300);
    EXPECT_EQ(deadline_after_the_wire(0, 1'000'000), 0u);
    EXPECT_EQ(deadline_after_the_wire(1'000, 1'000'000), kNowUs + 1) << "over already, but still a deadline";
    EXPECT_EQ(deadline_after_the_wire(UINT64_MAX, 1), kNowUs + kFrameDeadlineMaxUs);
}

TEST(Frame, of_another_protocol_is_told_by_its_first_bytes) {
    EXPECT_EQ(error_of("G"), FrameError::kMagic);
    EXPECT_EQ(error_of("GET / HTTP/1.1\r\n\r\n"), FrameError::kMagic);
    EXPECT_EQ(error_of("SANE"), FrameError::kMagic);
    EXPECT_EQ(error_of("HTTP/1.1 400 Bad Request\r\n"), FrameError::kHttp);
    EXPECT_EQ(error_of("HTT"), FrameError::kNone) << "it may become one";
    EXPECT_EQ(error_of("HTTX"), FrameError::kMagic);
    EXPECT_EQ(error_of(std::string(100, '\0')), FrameError::kMagic);
}

TEST(Frame, of_another_version_is_refused) {
    std::string bytes = frame_bytes(sample());
    bytes[4] = 2;
    EXPECT_EQ(error_of(bytes), FrameError::kVersion);
    bytes = frame_bytes(sample());
    bytes[5] = 1;  // A flag that nobody knows.
    EXPECT_EQ(error_of(bytes), FrameError::kVersion);
}

TEST(Frame, with_stated_lengths_over_the_limit_is_refused_by_its_header) {
    const uint32_t lengths[] = {kFrameBodyBytesMax + 1, UINT32_MAX, kFramePayloadBytesMax + 1};
    for (size_t i = 0; i < 3; i++) {
        std::string bytes = frame_bytes(sample()).substr(0, kFrameHeaderBytes);
        std::memcpy(bytes.data() + (i < 2 ? 8 : 12), &lengths[i], 4);
        EXPECT_EQ(error_of(bytes), FrameError::kOversized);
    }
}

TEST(Frame, with_a_wrong_checksum_is_refused) {
    for (const size_t at : {size_t{16}, size_t{20}}) {
        std::string bytes = frame_bytes(sample());
        bytes[at] = static_cast<char>(bytes[at] ^ 1);
        EXPECT_EQ(error_of(bytes), FrameError::kChecksum);
    }
}

TEST(Frame, that_protobuf_cannot_parse_is_refused_though_its_checksum_is_right) {
    std::string bytes = frame_bytes(sample(""));
    const size_t body_length = bytes.size() - kFrameHeaderBytes;
    std::fill(bytes.begin() + kFrameHeaderBytes, bytes.end(), '\xff');
    set_checksums(&bytes, body_length);
    EXPECT_EQ(error_of(bytes), FrameError::kUnparsable);
}

TEST(Frame, with_any_bit_flipped_never_becomes_a_message) {
    const std::string good = frame_bytes(sample());
    for (size_t byte = 0; byte < good.size(); byte++) {
        for (int bit = 0; bit < 8; bit++) {
            std::string bytes = good;
            bytes[byte] = static_cast<char>(bytes[byte] ^ (1 << bit));
            FrameDecoder decoder;
            EXPECT_TRUE(decode(decoder, bytes, 1 << 20).empty()) << "byte " << byte << " bit " << bit;
        }
    }
}

TEST(Frame, cut_off_anywhere_is_waited_for) {
    const std::string good = frame_bytes(sample());
    for (size_t length = 1; length < good.size(); length++) {
        FrameDecoder decoder;
        EXPECT_TRUE(decode(decoder, good.substr(0, length), 1 << 20).empty());
        EXPECT_EQ(decoder.error(), FrameError::kNone);
        EXPECT_TRUE(decoder.mid_frame());
    }
}

TEST(Frame, that_lies_about_its_length_gets_no_memory_for_it) {
    std::string bytes = frame_bytes(sample(""));
    const uint32_t length = kFramePayloadBytesMax;
    std::memcpy(bytes.data() + 12, &length, 4);
    set_checksums(&bytes, bytes.size() - kFrameHeaderBytes);
    FrameDecoder decoder;
    EXPECT_TRUE(decode(decoder, bytes, 1 << 20).empty());
    const auto areas = decoder.space(size_t{1} << 30);
    ASSERT_EQ(areas.size(), 1u);
    EXPECT_LE(areas[0].iov_len, 64u << 10);
}

TEST(Frame, decoder_survives_random_bytes) {
    RandomStream random(7, 7);
    for (int run = 0; run < 2000; run++) {
        std::string bytes(1 + random.below(300), '\0');
        for (char& byte : bytes) byte = static_cast<char>(random.next());
        if (run % 2 == 0) bytes.replace(0, 5, std::string("SAND\x01", 5));
        if (run % 4 == 0 && bytes.size() > 24) bytes.replace(5, 11, std::string("\0\0\0\x05\0\0\0\x07\0\0\0", 11));
        FrameDecoder decoder;
        EXPECT_TRUE(decode(decoder, bytes, 1 + random.below(64)).empty());
    }
}

TEST(Frame, decoder_survives_random_damage_in_a_stream) {
    std::string stream;
    for (int i = 0; i < 20; i++) stream += frame_bytes(sample(std::string(100, 'x')));
    RandomStream random(11, 3);
    for (int run = 0; run < 500; run++) {
        std::string bytes = stream;
        const size_t at = random.below(bytes.size());
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        FrameDecoder decoder;
        const size_t whole = at / (stream.size() / 20);  // Frames before the damage.
        EXPECT_EQ(decode(decoder, bytes, 1 + random.below(500)).size(), whole);
    }
}

TEST(FrameDecoder, a_large_frame_is_not_read_before_it_was_given_its_memory) {
    TestLoop loop;
    FakeHost host;
    MemoryBudget budget(loop.base(), host.metrics(), MemoryBudget::kBytesMin);
    FrameDecoder decoder({.memory = &budget, .memory_waits = true});
    const std::string small = frame_bytes(sample(), kNowUs);
    EXPECT_EQ(decode(decoder, small, small.size()).size(), 1u);
    const std::string bytes = frame_bytes(sample(std::string(200'000, 'x')), kNowUs);
    std::string_view rest = bytes;
    feed(decoder, &rest, 30);
    Message message;
    EXPECT_EQ(decoder.next(kNowUs, &message), Next::kMore);
    EXPECT_EQ(decoder.memory_wanted(), bytes.size());
    decoder.give_memory(budget.take(bytes.size(), true));
    EXPECT_EQ(decoder.next(kNowUs, &message), Next::kMore);
    EXPECT_EQ(budget.used(), bytes.size());
    std::vector<Message> messages = decode(decoder, rest, 50'000);
    ASSERT_EQ(messages.size(), 1u);
    Payload held = messages[0].payload;
    messages.clear();
    EXPECT_EQ(budget.used(), bytes.size()) << "somebody still holds the bytes";
    held = Payload();
    EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace sandstore
