#include "actors/chunk/volume_format.h"

#include <gtest/gtest.h>

#include "runtime/random.h"
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

ChunkHead head_of(ChunkKey key, const std::string& data) {
    ChunkHead head;
    head.key = key;
    head.length = data.size();
    head.allocated_at_us = 1'600'000'000'000'000;
    head.block_crc32c = block_checksums(Payload(data));
    return head;
}

TEST(VolumeFormat, a_record_is_found_only_where_it_belongs) {
    const std::string data = sample_bytes(150'000);
    const std::string bytes = encode_record_head(head_of({7, 9}, data), 0x5a17, 8192);
    ASSERT_EQ(bytes.size(), record_head_bytes(data.size()));
    EXPECT_EQ(record_bytes(data.size()) % kRecordAlignment, 0u);
    EXPECT_EQ(record_bytes(data.size()), bytes.size() + data.size() + record_padding(data.size()));
    const auto header = decode_record_header(bytes, 0x5a17, 8192);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->key, (ChunkKey{7, 9}));
    EXPECT_EQ(header->length, data.size());
    EXPECT_EQ(header->allocated_at_us, 1'600'000'000'000'000u);
    EXPECT_FALSE(decode_record_header(bytes, 0x5a18, 8192)) << "another volume's";
    EXPECT_FALSE(decode_record_header(bytes, 0x5a17, 8200)) << "a copy inside of a chunk";
    EXPECT_FALSE(decode_record_header(std::string_view(bytes).substr(0, kChunkRecordHeaderBytes - 1), 0x5a17, 8192));
    const DecodedHead decoded = decode_record_head(bytes, 0x5a17, 8192, {7, 9}, data.size());
    EXPECT_EQ(decoded.problem, HeadProblem::kNone);
    EXPECT_EQ(decoded.head.block_crc32c, block_checksums(Payload(data)));
    EXPECT_EQ(decode_record_head(bytes, 0x5a17, 8192, {7, 8}, data.size()).problem, HeadProblem::kDamaged);
}

TEST(VolumeFormat, any_flipped_bit_of_a_head_is_noticed) {
    const std::string data = sample_bytes(150'000);
    const std::string good = encode_record_head(head_of({7, 9}, data), 0x5a17, 8192);
    for (size_t at = 0; at < good.size(); at++) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 4);
        // What fills the header up is covered, too.
        EXPECT_EQ(decode_record_head(bad, 0x5a17, 8192, {7, 9}, data.size()).problem, HeadProblem::kDamaged) << at;
    }
}

TEST(VolumeFormat, headers_of_files_know_their_number_and_their_version) {
    std::string bytes = encode_volume_header({3, 77});
    EXPECT_EQ(bytes.size(), kVolumeHeaderBytes);
    EXPECT_EQ(decode_volume_header(bytes, 3).header.salt, 77u);
    EXPECT_EQ(decode_volume_header(bytes, 4).problem, HeadProblem::kDamaged);
    EXPECT_EQ(decode_volume_index_header(bytes, 3).problem, HeadProblem::kDamaged);
    EXPECT_EQ(decode_volume_header("", 3).problem, HeadProblem::kDamaged);
    for (size_t at = 0; at < 64; at++) {
        std::string bad = bytes;
        bad[at] = static_cast<char>(bad[at] ^ 1);
        EXPECT_EQ(decode_volume_header(bad, 3).problem, HeadProblem::kDamaged) << at;
    }
    EXPECT_EQ(decode_volume_index_header(encode_volume_index_header({3, 77}), 3).header.salt, 77u);
}

IndexBatch batch_of(uint64_t from, uint64_t to, size_t entries) {
    IndexBatch batch;
    batch.covered_from = from;
    batch.covered_to = to;
    for (size_t i = 0; i < entries; i++) {
        VolumeIndexEntry entry;
        entry.kind = static_cast<VolumeIndexEntry::Kind>(1 + i % 3);
        entry.offset = kVolumeHeaderBytes + 8 * i;
        entry.record.key = {1, i + 1};
        entry.record.length = 1 + i;
        entry.record.allocated_at_us = 5 + i;
        batch.entries.push_back(entry);
    }
    return batch;
}

TEST(VolumeFormat, batches_are_read_back_and_a_damaged_one_costs_only_itself) {
    const std::string first = encode_index_batch(batch_of(4096, 5000, 3), 9);
    const std::string second = encode_index_batch(batch_of(5000, 6000, 2), 9);
    const std::string third = encode_index_batch(batch_of(6000, 6000, 0), 9);
    const std::string all = first + second + third;
    for (size_t flipped = 0; flipped < first.size() + second.size(); flipped++) {
        std::string bytes = all;
        bytes[flipped] = static_cast<char>(bytes[flipped] ^ 16);
        size_t at = 0;
        std::vector<uint64_t> found;
        while (const auto batch = next_index_batch(bytes, false, 9, &at)) found.push_back(batch->covered_to);
        const bool is_first = flipped < first.size();
        EXPECT_EQ(found, is_first ? (std::vector<uint64_t>{6000, 6000}) : (std::vector<uint64_t>{5000, 6000}));
    }
    size_t at = 0;
    const auto batch = next_index_batch(all, false, 9, &at);
    ASSERT_TRUE(batch);
    ASSERT_EQ(batch->entries.size(), 3u);
    EXPECT_EQ(batch->entries[2].kind, VolumeIndexEntry::Kind::kGone);
    EXPECT_EQ(batch->entries[2].record.key, (ChunkKey{1, 3}));
    EXPECT_EQ(batch->entries[2].offset, kVolumeHeaderBytes + 16);
    EXPECT_EQ(at, first.size());
    size_t nothing = 0;
    EXPECT_FALSE(next_index_batch(all, false, 8, &nothing)) << "another volume's";
    size_t early = 0;
    EXPECT_FALSE(next_index_batch(all, true, 9, &early)) << "more of the file may belong to it";
    EXPECT_EQ(early, 0u);
}

TEST(VolumeFormat, arbitrary_bytes_are_nothing) {
    RandomStream random(1, 1);
    for (int i = 0; i < 2000; i++) {
        std::string bytes(random.below(300), '\0');
        for (char& byte : bytes) byte = static_cast<char>(random.next());
        if (bytes.size() > 8 && random.below(2) == 0) bytes.replace(0, 4, random.below(2) == 0 ? "CREC" : "VIXB");
        EXPECT_FALSE(decode_record_header(bytes, 0, 0));
        size_t at = 0;
        EXPECT_FALSE(next_index_batch(bytes, false, 0, &at));
        EXPECT_NE(decode_volume_header(bytes, 1).problem, HeadProblem::kNone);
    }
}

TEST(VolumeFormat, names) {
    EXPECT_EQ(volume_file(0xab), "chunks/000000ab.volume");
    EXPECT_EQ(volume_index_file(0xab), "chunks/000000ab.index");
    EXPECT_EQ(parse_volume_file_name("000000ab.volume")->number, 0xabu);
    EXPECT_TRUE(parse_volume_file_name("000000ab.index")->is_index);
    for (const char* name :
         {"", "000000ab", "000000AB.volume", "00000000.volume", "0x0000ab.volume", "000000ab.volumes", "0000ab.volume",
          "ff0000ab.volume", "identity.json", "000000ab.index.old"}) {
        EXPECT_FALSE(parse_volume_file_name(name)) << name;
    }
}

}  // namespace
}  // namespace sandstore
