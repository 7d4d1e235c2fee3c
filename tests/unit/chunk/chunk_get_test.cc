#include <cerrno>

#include "runtime/crc32c.h"
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class ChunkGetTest : public ChunkServiceTest {
 protected:
    const std::string data_ = sample_bytes(200'000);
    Record record_;

    void SetUp() override {
        ChunkServiceTest::SetUp();
        store(kKey, data_);
        record_ = record_of(kKey);
    }

    void flip(size_t offset_in_record, int bit = 0) {
        disk.flip_bit(record_.file, record_.offset + offset_in_record, bit);
    }
    void flip_data(size_t offset) { disk.flip_bit(record_.file, record_.data() + offset); }

    void expect_damage_noticed(const std::string& what) {
        EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED) << what;
        EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED) << what;
        const pb::ChunkListReply listed = list();
        ASSERT_EQ(listed.chunks_size(), 1);
        EXPECT_TRUE(listed.chunks(0).damaged()) << what;
    }
};

TEST_F(ChunkGetTest, ranges_are_exact_and_only_their_blocks_are_read) {
    struct Case {
        uint64_t offset, length, blocks_bytes;
    };
    const uint64_t block = kChunkBlockBytes;
    const uint64_t last = 200'000 - 3 * block;  // Bytes of the last block.
    for (const Case& c : {Case{0, 1, block},
                          {0, 65536, block},
                          {0, 65537, 2 * block},
                          {65535, 1, block},
                          {65535, 2, 2 * block},
                          {65536, 1, block},
                          {65536, 65536, block},
                          {65537, 65535, block},
                          {65537, 65536, 2 * block},
                          {131072, 100, block},
                          {199'999, 1, last},
                          {199'999, 100, last},
                          {196'607, 2, block + last},
                          {0, 200'000, 200'000},
                          {0, UINT64_MAX, 200'000},
                          {1, UINT64_MAX, 200'000},
                          {200'000, 1, 0},
                          {200'001, 1, 0},
                          {UINT64_MAX, UINT64_MAX, 0},
                          {0, 0, 0},
                          {70'000, 0, 0}}) {
        disk.bytes_read = 0;
        const Message answer = get(kKey, c.offset, c.length);
        const pb::ChunkGetReply& reply = answer->chunk_get_reply();
        EXPECT_EQ(reply.status().code(), pb::STATUS_OK);
        const std::string expected = c.offset < data_.size() ? data_.substr(c.offset, c.length) : "";
        EXPECT_TRUE(answer.payload.to_string() == expected) << c.offset << "+" << c.length;
        EXPECT_EQ(reply.chunk_length(), 200'000u);
        EXPECT_EQ(reply.payload_crc32c(), crc32c(expected));
        EXPECT_EQ(disk.bytes_read, c.blocks_bytes) << c.offset << "+" << c.length;
    }
}

TEST_F(ChunkGetTest, first_read_after_a_restart_also_reads_the_head_in_the_same_request) {
    start();
    disk.bytes_read = disk.requests = 0;
    EXPECT_EQ(get(kKey, 65'536, 10).payload.to_string(), data_.substr(65'536, 10));
    EXPECT_EQ(disk.bytes_read, record_head_bytes(200'000) + kChunkBlockBytes);
    EXPECT_EQ(disk.requests, 1u);
    disk.bytes_read = 0;
    EXPECT_EQ(get(kKey, 131'072, 10).payload.to_string(), data_.substr(131'072, 10));
    EXPECT_EQ(disk.bytes_read, kChunkBlockBytes);
}

TEST_F(ChunkGetTest, unknown_and_invalid_ids) {
    EXPECT_EQ(get_code({2, 32}), pb::STATUS_ENOENT);
    EXPECT_EQ(get_code({0, 31}), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(get_code({}), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(ChunkGetTest, a_chunk_on_its_way_to_the_disk_is_not_here_yet) {
    const std::string data = sample_bytes(10);
    send_put(put_of({5, 5}, data), data, client_);
    pb::ChunkGet request;
    *request.mutable_id() = id_of({5, 5});
    const uint64_t id = kit->request(message_of(request), client_);
    EXPECT_EQ(kit->take_answer(id)->chunk_get_reply().status().code(), pb::STATUS_ENOENT);
}

TEST_F(ChunkGetTest, a_flipped_bit_in_any_block_is_noticed_by_those_who_read_it) {
    flip_data(65'536 + 77);
    EXPECT_EQ(get(kKey, 0, 65'536)->chunk_get_reply().status().code(), pb::STATUS_OK);
    const Message answer = get(kKey, 131'071, 1);
    EXPECT_EQ(answer->chunk_get_reply().status().code(), pb::STATUS_CORRUPTED);
    EXPECT_TRUE(answer.payload.empty());
    EXPECT_TRUE(kit->logged("block 1"));
    expect_damage_noticed("data");
}

TEST_F(ChunkGetTest, a_flipped_bit_in_any_region_is_noticed) {
    stop();
    const size_t table = kChunkRecordHeaderBytes;
    const size_t data = record_head_bytes(200'000);
    const std::string good = disk.bytes_of(record_.file);
    const std::string index = disk.bytes_of(volume_index_file(1));
    for (const size_t at :
         {size_t{0}, size_t{5}, size_t{9}, size_t{13}, size_t{20}, size_t{25}, size_t{33}, size_t{44}, size_t{50},
          size_t{55}, table, table + 15, data - 1, data, data + 65'535, data + 65'536, data + 199'999}) {
        disk.put_file(record_.file, good);
        disk.put_file(volume_index_file(1), index);
        flip(at);
        start();
        expect_damage_noticed(str_cat("offset ", at));
    }
}

TEST_F(ChunkGetTest, a_volume_that_lost_its_end_is_damaged_and_not_written_to) {
    stop();
    disk.truncate(record_.file, record_.offset + record_.bytes - 8);
    start();
    EXPECT_EQ(get(kKey, 0, 10)->chunk_get_reply().status().code(), pb::STATUS_OK);
    expect_damage_noticed("found when it is read");
    store(kKey, data_);
    EXPECT_NE(record_of(kKey).file, record_.file);
    EXPECT_EQ(get(kKey, 0, 300'000).payload.to_string(), data_);
}

TEST_F(ChunkGetTest, a_sector_that_cannot_be_read_twice_is_damage) {
    disk.fail_next({.operation = pb::DiskOperation::kRead, .error = EIO, .times = 4});
    expect_damage_noticed("EIO");
}

TEST_F(ChunkGetTest, a_sector_that_can_be_read_at_the_second_try_is_none) {
    disk.fail_next({pb::DiskOperation::kRead, EIO});
    EXPECT_EQ(get(kKey, 0, 300'000).payload.to_string(), data_);
    EXPECT_FALSE(list().chunks(0).damaged());
}

TEST_F(ChunkGetTest, running_out_of_something_fails_one_request_and_condemns_nothing) {
    for (const int error : {EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN, ENOSPC, EACCES}) {
        disk.fail_next({pb::DiskOperation::kRead, error});
        EXPECT_NE(get_code(kKey), pb::STATUS_OK) << error;
        EXPECT_EQ(get(kKey, 0, 300'000).payload.to_string(), data_) << error;
        EXPECT_FALSE(list().chunks(0).damaged()) << error;
    }
    EXPECT_FALSE(kit->logged("damaged"));
}

TEST_F(ChunkGetTest, the_intact_blocks_of_a_damaged_chunk_are_served_on) {
    flip_data(65'536 + 77);
    EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    for (int run = 0; run < 2; run++) {
        EXPECT_EQ(get(kKey, 0, 65'536).payload.to_string(), data_.substr(0, 65'536));
        EXPECT_EQ(get(kKey, 65'536, 1)->chunk_get_reply().status().code(), pb::STATUS_CORRUPTED);
        EXPECT_EQ(get(kKey, 131'072, 100'000).payload.to_string(), data_.substr(131'072));
        start();  // And after a restart.
    }
}

TEST_F(ChunkGetTest, a_volume_that_vanished_is_missed_with_all_that_was_in_it) {
    store({5, 5}, "x");
    disk.remove_file(record_.file);
    EXPECT_EQ(get_code(kKey), pb::STATUS_ENOENT);
    EXPECT_TRUE(kit->logged("gone"));
    EXPECT_EQ(list().chunks_size(), 0);
    store(kKey, data_);
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
}

TEST_F(ChunkGetTest, a_damaged_chunk_is_still_refused_after_a_restart_and_healed_by_a_put) {
    flip_data(700);
    EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    start();
    EXPECT_TRUE(list().chunks(0).damaged());
    expect_damage_noticed("after the restart");
    store(kKey, data_);
    EXPECT_EQ(get(kKey, 0, 300'000).payload.to_string(), data_);
    EXPECT_FALSE(list().chunks(0).damaged());
    start();
    EXPECT_FALSE(list().chunks(0).damaged());
}

TEST_F(ChunkGetTest, a_put_over_a_record_with_a_broken_head_replaces_it) {
    stop();
    flip(kChunkRecordHeaderBytes + 1);  // The table: a start does not read it.
    start();
    store(kKey, data_);
    EXPECT_EQ(get(kKey, 0, 300'000).payload.to_string(), data_);
}

TEST_F(ChunkGetTest, a_late_bad_read_does_not_condemn_the_good_copy_that_came_since) {
    flip_data(5);
    pb::ChunkGet request;
    *request.mutable_id() = id_of(kKey);
    request.set_length(10);
    const uint64_t slow = kit->request(message_of(request), client_);
    const Message slow_read = kit->take(Body::kDiskRequest);
    Payload bad;
    pb::DiskReply bad_reply = disk.execute(slow_read->disk_request(), {}, &bad);
    EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    store(kKey, data_);
    kit->answer(slow_read, message_of(bad_reply, bad));
    run_disk();
    EXPECT_EQ(kit->take_answer(slow).payload.to_string(), data_.substr(0, 10)) << "it is read where it is now";
    EXPECT_FALSE(list().chunks(0).damaged());
}

TEST_F(ChunkGetTest, what_is_deleted_while_it_is_read_is_not_there) {
    pb::ChunkGet request;
    *request.mutable_id() = id_of(kKey);
    request.set_length(10);
    const uint64_t id = kit->request(message_of(request), client_);
    const Message slow_read = kit->take(Body::kDiskRequest);
    pb::ChunkDelete remove;
    *remove.add_ids() = id_of(kKey);
    kit->request(message_of(remove), repairer_);
    run_disk();
    EXPECT_GT(disk.punched_bytes, 190'000u);
    answer_disk(slow_read);
    EXPECT_EQ(kit->take_answer(id)->chunk_get_reply().status().code(), pb::STATUS_ENOENT);
    EXPECT_FALSE(kit->logged("damaged"));
}

TEST_F(ChunkGetTest, a_silent_disk_does_not_condemn_the_chunk) {
    pb::ChunkGet request;
    *request.mutable_id() = id_of(kKey);
    request.set_length(10);
    const uint64_t id = kit->request(message_of(request), client_);
    kit->fail(kit->take(Body::kDiskRequest), pb::STATUS_DEADLINE_EXCEEDED, "no answer");
    EXPECT_EQ(kit->take_answer(id)->chunk_get_reply().status().code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
    // A full queue of the disk reaches the client as what it is.
    const uint64_t refused = kit->request(message_of(request), client_);
    kit->fail(kit->take(Body::kDiskRequest), pb::STATUS_RESOURCE_EXHAUSTED, "too much waits");
    EXPECT_EQ(kit->take_answer(refused)->chunk_get_reply().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace sandstore
