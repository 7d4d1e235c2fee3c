// A part of the disk is left free for the log: chunks stop before the disk is full, at once, and begin again when there
// is room.
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class ChunkSpaceTest : public ChunkServiceTest {
 protected:
    static constexpr uint64_t kReserve = 50'000;

    void SetUp() override { restart_with(200'000); }

    void restart_with(uint64_t free_bytes) {
        disk.free_bytes = free_bytes;
        kit = std::make_unique<StepKit>(std::make_unique<ChunkService>(), LocalAddress{pb::ACTOR_CHUNKS, 0});
        pb::StartChunks start;
        start.set_node_id("node-1");
        start.set_chunk_bytes_max(100'000);
        start.set_stats_interval_ms(5000);
        start.set_disk_reserve_bytes(kReserve);
        kit->deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
        run_disk();
        kit->drop_effects();
    }

    pb::Status put(ChunkKey key, size_t bytes) {
        const std::string data = sample_bytes(bytes);
        const uint64_t id = send_put(put_of(key, data), data, {"node-2", pb::ACTOR_CHUNKS});
        run_disk();
        return put_answer(id).status();
    }
};

TEST_F(ChunkSpaceTest, chunks_stop_before_the_reserve_and_say_what_to_do) {
    EXPECT_EQ(put({1, 1}, 90'000).code(), pb::STATUS_OK);
    const pb::Status refused = put({1, 2}, 90'000);  // 200,000 less the first one and the reserve.
    EXPECT_EQ(refused.code(), pb::STATUS_ENOSPC);
    EXPECT_NE(refused.message().find("remove files"), std::string::npos) << refused.message();
    EXPECT_EQ(disk.files_with("1-2"), 0u) << "the disk was not even asked";
    EXPECT_EQ(put({1, 3}, 1'000).code(), pb::STATUS_OK) << "a smaller one fits";
}

TEST_F(ChunkSpaceTest, on_a_small_disk_the_reserve_is_a_share_of_it) {
    disk.total_bytes = 80'000;  // An eighth: 10,000.
    restart_with(40'000);
    EXPECT_EQ(put({1, 1}, 29'000).code(), pb::STATUS_OK);
    EXPECT_EQ(put({1, 2}, 5'000).code(), pb::STATUS_ENOSPC);
}

TEST_F(ChunkSpaceTest, what_stands_here_already_needs_no_room) {
    EXPECT_EQ(put({1, 1}, 90'000).code(), pb::STATUS_OK);
    disk.free_bytes = 0;
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(put({1, 1}, 90'000).code(), pb::STATUS_OK);
}

TEST_F(ChunkSpaceTest, a_refusal_has_the_room_looked_at_again) {
    restart_with(kReserve);
    EXPECT_EQ(put({1, 1}, 10).code(), pb::STATUS_ENOSPC);
    disk.free_bytes = 200'000;
    kit->advance(ChunkService::kSpaceAgainUs);
    EXPECT_EQ(put({1, 1}, 10).code(), pb::STATUS_ENOSPC);  // At once; the figures come behind it.
    EXPECT_EQ(put({1, 1}, 10).code(), pb::STATUS_OK);
}

TEST_F(ChunkSpaceTest, deleting_gives_room_and_everybody_is_told) {
    EXPECT_EQ(put({1, 1}, 90'000).code(), pb::STATUS_OK);
    disk.free_bytes = 100'000;
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(put({1, 2}, 60'000).code(), pb::STATUS_ENOSPC);
    run_disk();
    kit->drop_effects();
    kit->advance(ChunkService::kSpaceAgainUs);
    pb::ChunkDelete request;
    *request.add_ids() = id_of({1, 1});
    kit->request(message_of(request), repairer_);
    disk.free_bytes = 200'000;
    run_disk();
    const Message stats = kit->take(Body::kChunkStats);
    EXPECT_EQ(stats->chunk_stats().disk_free_bytes(), 200'000u);
    EXPECT_EQ(stats->chunk_stats().disk_reserve_bytes(), kReserve);
    EXPECT_EQ(put({1, 2}, 60'000).code(), pb::STATUS_OK);
}

TEST_F(ChunkSpaceTest, what_cannot_be_stored_is_not_downloaded) {
    restart_with(kReserve + 1000);
    pb::ChunkFetch fetch;
    *fetch.mutable_place() = place_of({1, 1});
    const uint64_t id = kit->request(message_of(fetch), repairer_);
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_ENOSPC);
    EXPECT_FALSE(kit->has(Body::kChunkGet));
}

TEST_F(ChunkSpaceTest, a_put_that_full_disks_make_impossible_is_refused_as_such_whatever_the_others_say) {
    restart_with(kReserve);
    const std::string data = sample_bytes(1000);
    const uint64_t id = send_put(put_of({1, 1}, data, true), data, client_);
    run_disk();
    const Message second = kit->take_to(Body::kChunkPut, "node-2");
    pb::ChunkPutReply full;
    full.mutable_status()->set_code(pb::STATUS_ENOSPC);
    kit->answer(second, message_of(full));
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_ENOSPC);
}

TEST_F(ChunkSpaceTest, a_full_disk_here_does_not_keep_the_others_from_storing) {
    restart_with(kReserve);
    const std::string data = sample_bytes(1000);
    const uint64_t id = send_put(put_of({1, 1}, data, true), data, client_);
    run_disk();
    for (const char* node : {"node-2", "node-3"})
        kit->answer(kit->take_to(Body::kChunkPut, node), message_of(peer_ok(node)));
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_OK);
}

// --- Whether the disk takes writes

TEST_F(ChunkSpaceTest, a_store_that_nobody_writes_to_finds_out_by_itself_whether_it_could) {
    const auto problem = [&] {
        kit->drop_effects();
        kit->advance(5'000'000);
        run_disk();
        return kit->take_to(Body::kChunkStats, "")->chunk_stats().problem();
    };
    EXPECT_EQ(problem(), "") << "tried at the start";
    disk.fail_next({.operation = pb::DiskOperation::kReplace, .error = EIO});
    EXPECT_NE(problem().find("Input/output error"), std::string::npos);
    disk.fail_next({.operation = pb::DiskOperation::kReplace, .error = EROFS});
    EXPECT_NE(problem().find("Read-only file system"), std::string::npos) << "asked again without waiting";
    EXPECT_EQ(problem(), "");
}

TEST_F(ChunkSpaceTest, a_full_disk_is_not_one_that_takes_no_writes) {
    kit->advance(5'000'000);
    run_disk();
    disk.free_bytes = 0;
    disk.fail_next({.operation = pb::DiskOperation::kReplace, .error = ENOSPC});
    kit->drop_effects();
    kit->advance(5'000'000);
    run_disk();
    const pb::ChunkStats stats = kit->take_to(Body::kChunkStats, "")->chunk_stats();
    EXPECT_EQ(stats.problem(), "");
    EXPECT_EQ(stats.disk_free_bytes(), 0u);
    EXPECT_EQ(put({1, 1}, 1'000).code(), pb::STATUS_ENOSPC);
}

TEST_F(ChunkSpaceTest, where_chunks_are_stored_nothing_else_is_written) {
    kit->advance(4'000'000);
    EXPECT_EQ(put({1, 1}, 1'000).code(), pb::STATUS_OK);
    disk.fail_next({.operation = pb::DiskOperation::kReplace, .error = EIO});
    kit->drop_effects();
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(kit->take_to(Body::kChunkStats, "")->chunk_stats().problem(), "");
}

TEST_F(ChunkSpaceTest, after_a_chunk_that_could_not_be_stored_it_is_found_out_at_once) {
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = EIO, .times = 2});
    EXPECT_NE(put({1, 1}, 1'000).code(), pb::STATUS_OK);
    disk.fail_next({.operation = pb::DiskOperation::kReplace, .error = EIO});
    kit->drop_effects();
    kit->advance(5'000'000);
    run_disk();
    EXPECT_NE(kit->take_to(Body::kChunkStats, "")->chunk_stats().problem(), "");
    EXPECT_EQ(put({1, 1}, 1'000).code(), pb::STATUS_OK);
    kit->drop_effects();
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(kit->take_to(Body::kChunkStats, "")->chunk_stats().problem(), "") << "a chunk was stored";
}

}  // namespace
}  // namespace sandstore
