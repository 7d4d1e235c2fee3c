#include "actors/chunk/chunk_file.h"

#include <gtest/gtest.h>

#include "actors/chunk/table_cache.h"
#include "runtime/crc32c.h"

namespace sandstore {
namespace {

ChunkHead head_of(uint64_t length) {
    ChunkHead head;
    head.key = {0x12, 0xabc};
    head.length = length;
    head.allocated_at_us = 1'700'000'000'123'456;
    head.replicas = {"node-1", "node-2", std::string(63, 'x')};
    for (uint64_t i = 0; i < block_count(length); i++) head.block_crc32c.push_back(static_cast<uint32_t>(i * 77 + 5));
    return head;
}

TEST(ChunkFile, head_survives_the_round_trip) {
    for (const uint64_t length : {uint64_t{1}, uint64_t{65536}, uint64_t{65537}, kChunkBytesLimit}) {
        const ChunkHead head = head_of(length);
        const std::string bytes = encode_head(head);
        EXPECT_EQ(bytes.size(), head_bytes(length));
        const DecodedHead decoded = decode_head(bytes, head.key, length);
        EXPECT_EQ(decoded.problem, HeadProblem::kNone) << decoded.why;
        EXPECT_EQ(decoded.head.length, length);
        EXPECT_EQ(decoded.head.allocated_at_us, head.allocated_at_us);
        EXPECT_EQ(decoded.head.replicas, head.replicas);
        EXPECT_EQ(decoded.head.block_crc32c, head.block_crc32c);
    }
}

TEST(ChunkFile, every_flipped_bit_of_the_head_is_noticed) {
    const ChunkHead head = head_of(200'000);
    const std::string good = encode_head(head);
    for (size_t at = 0; at < good.size(); at++) {
        for (int bit = 0; bit < 8; bit++) {
            std::string bad = good;
            bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
            EXPECT_EQ(decode_head(bad, head.key, head.length).problem, HeadProblem::kDamaged) << at << "." << bit;
        }
    }
}

TEST(ChunkFile, a_cut_off_head_is_damaged) {
    const ChunkHead head = head_of(200'000);
    const std::string good = encode_head(head);
    for (size_t size = 0; size < good.size(); size++) {
        EXPECT_EQ(decode_head(good.substr(0, size), head.key, head.length).problem, HeadProblem::kDamaged) << size;
    }
}

TEST(ChunkFile, the_head_of_another_chunk_is_damaged) {
    const ChunkHead head = head_of(1000);
    EXPECT_EQ(decode_head(encode_head(head), {0x12, 0xabd}, 1000).problem, HeadProblem::kDamaged);
    EXPECT_EQ(decode_head(encode_head(head), head.key, 1001).problem, HeadProblem::kDamaged);
}

TEST(ChunkFile, an_unknown_version_is_not_mistaken_for_damage) {
    const ChunkHead head = head_of(1000);
    std::string bytes = encode_head(head);
    bytes[8] = 2;
    const uint32_t crc = crc32c(std::string_view(bytes).substr(0, 508));
    for (int i = 0; i < 4; i++) bytes[508 + i] = static_cast<char>(crc >> (8 * i));
    const DecodedHead decoded = decode_head(bytes, head.key, 1000);
    EXPECT_EQ(decoded.problem, HeadProblem::kUnknownVersion);
    EXPECT_NE(decoded.why.find("version 2"), std::string::npos) << decoded.why;
}

TEST(ChunkFile, the_length_follows_from_the_size_of_the_file) {
    for (const uint64_t length : {1u, 2u, 65535u, 65536u, 65537u, 131072u, 131073u, 8u << 20, 64u << 20}) {
        EXPECT_EQ(chunk_length_of_file(chunk_file_bytes(length)), length);
    }
    EXPECT_EQ(chunk_length_of_file(0), std::nullopt);
    EXPECT_EQ(chunk_length_of_file(kChunkHeaderBytes + 4), std::nullopt);
    EXPECT_EQ(chunk_length_of_file(kChunkHeaderBytes + 8), std::nullopt);
    // One byte more than a full block needs a second table entry and a second block's byte.
    EXPECT_EQ(chunk_length_of_file(chunk_file_bytes(65536) + 1), std::nullopt);
    EXPECT_EQ(chunk_length_of_file(chunk_file_bytes(kChunkBytesLimit) + 1), std::nullopt);
    EXPECT_EQ(chunk_length_of_file(UINT64_MAX), std::nullopt);
}

TEST(ChunkFile, checksums_do_not_depend_on_how_the_bytes_are_cut) {
    std::string bytes(200'000, '\0');
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>(i * 31 + i / 251);
    Payload pieces;
    for (size_t at = 0; at < bytes.size(); at += 7919) pieces.append(Payload(bytes.substr(at, 7919)));
    std::vector<uint32_t> expected;
    for (size_t at = 0; at < bytes.size(); at += 65536)
        expected.push_back(crc32c(std::string_view(bytes).substr(at, 65536)));
    EXPECT_EQ(block_checksums(pieces), expected);
    EXPECT_EQ(block_checksums(Payload(bytes)), expected);
    EXPECT_TRUE(block_checksums(Payload()).empty());
}

TEST(ChunkFile, names_are_parsed_strictly) {
    using Kind = ChunkFileName::Kind;
    const ChunkKey key{0x2, 0x1f};
    const auto kind = [](std::string_view name) { return parse_chunk_file_name(name).kind; };
    EXPECT_EQ(parse_chunk_file_name("2-1f.chunk").key, key);
    EXPECT_EQ(kind("2-1f.chunk"), Kind::kChunk);
    EXPECT_EQ(kind("2-1f.damaged"), Kind::kDamaged);
    EXPECT_EQ(kind("2-1f.77.tmp"), Kind::kTemporary);
    EXPECT_EQ(kind("ffffffffffffffff-ffffffffffffffff.chunk"), Kind::kChunk);
    for (const std::string_view name :
         {"", ".", "-", "2-.chunk", "-1.chunk", "2-1F.chunk", "02-1f.chunk", "2-1f", "2-1f.chunk.bak", "0-1.chunk",
          "2-0.chunk", "fffffffffffffffff-1.chunk", "2.5-1.chunk", "2--1.chunk", "lost+found"}) {
        EXPECT_EQ(kind(name), Kind::kForeign) << name;
    }
    const std::string path = chunk_path(key);
    EXPECT_EQ(path, chunk_directory(chunk_directory_number(key)) + "/2-1f.chunk");
    EXPECT_EQ(path.size(), std::string("chunks/00/2-1f.chunk").size());
    EXPECT_EQ(kind(temporary_chunk_path(key, 9).substr(10)), Kind::kTemporary);
}

TEST(TableCache, forgets_the_least_recently_used) {
    TableCache cache(1500);
    for (uint64_t i = 1; i <= 5; i++) cache.put({1, i}, std::vector<uint32_t>(10, 7));  // 200 bytes each.
    EXPECT_NE(cache.find({1, 1}), nullptr);
    for (uint64_t i = 6; i <= 8; i++) cache.put({1, i}, std::vector<uint32_t>(10, 7));
    EXPECT_LE(cache.bytes(), 1500u);
    EXPECT_NE(cache.find({1, 1}), nullptr);
    EXPECT_EQ(cache.find({1, 2}), nullptr);
    cache.erase({1, 1});
    EXPECT_EQ(cache.find({1, 1}), nullptr);
    for (uint64_t i = 1; i <= 8; i++) cache.erase({1, i});
    EXPECT_EQ(cache.bytes(), 0u);
}

}  // namespace
}  // namespace sandstore
