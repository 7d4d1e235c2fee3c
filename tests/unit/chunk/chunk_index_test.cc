// What is found at start, list, delete, statistics.
#include <cerrno>

#include "runtime/crc32c.h"
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class ChunkIndexTest : public ChunkServiceTest {
 protected:
    pb::Status remove(std::vector<ChunkKey> keys, const Address& from) {
        pb::ChunkDelete request;
        for (const ChunkKey key : keys) *request.add_ids() = id_of(key);
        const uint64_t id = kit->request(message_of(request), from);
        run_disk();
        return status_answer(id);
    }
};

TEST_F(ChunkIndexTest, a_restart_finds_all_chunks) {
    for (uint64_t number = 1; number <= 200; number++)
        store({number % 3 + 1, number}, sample_bytes(number * 50, number));
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_TRUE(kit->logged("chunks found count=200"));
    for (uint64_t number = 1; number <= 200; number++) {
        EXPECT_EQ(get({number % 3 + 1, number}, 0, 20'000).payload.to_string(), sample_bytes(number * 50, number));
    }
    const pb::ChunkListReply all = list();
    ASSERT_EQ(all.chunks_size(), 200);
    EXPECT_FALSE(all.more());
    ChunkKey before;
    for (const pb::ChunkStatus& chunk : all.chunks()) {
        EXPECT_LT(before, key_of(chunk.id()));
        before = key_of(chunk.id());
        EXPECT_EQ(chunk.length(), chunk.id().number() * 50);
        EXPECT_EQ(chunk.allocated_at_us(), 1'600'000'000'000'000 + chunk.id().number());
    }
}

TEST_F(ChunkIndexTest, disk_requests_at_start_are_bounded) {
    for (uint64_t number = 1; number <= 150; number++) store({1, number}, "x");
    for (uint64_t number = 1; number <= 150; number++) put_old_file({2, number}, "x");
    boot();
    size_t requests = 0;
    while (kit->has(Body::kDiskRequest)) {
        EXPECT_LE(kit->count(Body::kDiskRequest), ChunkService::kListRequestsMax);
        run_disk_once();
        requests++;
    }
    // The directories of old files; the volumes; of one its two headers, its records, a sync, and its index, which did
    // not know them; 150 old headers; the free space.
    EXPECT_EQ(requests, kChunkDirectories / ChunkService::kDirectoriesPerList + 6 + 3 + 1);
    EXPECT_EQ(list().chunks_size(), 300);
}

TEST_F(ChunkIndexTest, gets_and_puts_wait_for_the_listing_but_not_for_the_headers) {
    for (uint64_t number = 1; number <= 150; number++) put_old_file({1, number}, "x");
    boot();
    pb::ChunkGet get_request;
    *get_request.mutable_id() = id_of({1, 7});
    get_request.set_length(1);
    const uint64_t get_id = kit->request(message_of(get_request), client_);
    const uint64_t list_id = kit->request(message_of(pb::ChunkList()), repairer_);
    while (!kit->has(Body::kChunkGetReply) && run_disk_once()) {
    }
    EXPECT_EQ(kit->take_answer(get_id).payload.to_string(), "x");
    EXPECT_FALSE(kit->has(Body::kChunkListReply));
    run_disk();
    EXPECT_EQ(kit->take_answer(list_id)->chunk_list_reply().chunks_size(), 150);
}

TEST_F(ChunkIndexTest, waiting_requests_are_bounded) {
    boot();
    const std::string data = "x";
    for (size_t i = 0; i < ChunkService::kWaitingRequestsMax; i++) send_put(put_of(kKey, data), data, client_);
    EXPECT_FALSE(kit->has(Body::kChunkPutReply));
    const uint64_t id = send_put(put_of(kKey, data), data, client_);
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    run_disk();
    EXPECT_EQ(kit->count(Body::kChunkPutReply), ChunkService::kWaitingRequestsMax);
}

TEST_F(ChunkIndexTest, before_the_start_requests_are_refused) {
    kit = std::make_unique<StepKit>(std::make_unique<ChunkService>(), LocalAddress{pb::ACTOR_CHUNKS, 0});
    const uint64_t put = send_put(put_of(kKey, "x"), "x", client_);
    EXPECT_EQ(put_answer(put).status().code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(get_code(kKey), pb::STATUS_UNAVAILABLE);
    const uint64_t listed = kit->request(message_of(pb::ChunkList()), repairer_);
    EXPECT_TRUE(kit->take_answer(listed)->has_request_failed());
}

TEST_F(ChunkIndexTest, bad_configuration_stops_the_node) {
    for (const char* node_id : {"", "~1", "a b"}) {
        kit = std::make_unique<StepKit>(std::make_unique<ChunkService>(), LocalAddress{pb::ACTOR_CHUNKS, 0});
        pb::StartChunks bad;
        bad.set_node_id(node_id);
        bad.set_chunk_bytes_max(4096);
        kit->deliver(message_of(bad));
        EXPECT_TRUE(kit->stopped()) << node_id;
    }
}

// At every operation of a put: a power cut there leaves either the whole chunk or none, and nothing else.
TEST_F(ChunkIndexTest, a_power_cut_at_any_moment_of_a_put_leaves_all_or_nothing) {
    const std::string data = sample_bytes(100'000);
    for (const auto unsynced : {MemoryDisk::Unsynced::kLost, MemoryDisk::Unsynced::kTorn}) {
        bool whole = false;
        for (int operations = 0; !whole; operations++) {
            disk = MemoryDisk();
            start();
            send_put(put_of(kKey, data), data, client_);
            const Message asked = kit->take(Body::kDiskRequest);
            pb::DiskRequest cut = asked->disk_request();
            whole = operations == cut.operations_size();
            cut.mutable_operations()->DeleteSubrange(operations, cut.operations_size() - operations);
            uint64_t bytes = 0;
            for (const pb::DiskOperation& operation : cut.operations()) bytes += operation.write().length();
            Payload unused;
            disk.execute(cut, asked.payload.slice(0, bytes), &unused);
            disk.cut_power(unsynced);
            start();
            const bool there = list().chunks_size() == 1;
            EXPECT_TRUE(there || !whole) << operations;
            EXPECT_EQ(get_code(kKey), there ? pb::STATUS_OK : pb::STATUS_ENOENT) << operations;
            EXPECT_TRUE(!there || get(kKey, 0, 200'000).payload.to_string() == data);
            store({3, 1}, data);
            start();
            EXPECT_EQ(get({3, 1}, 0, 200'000).payload.to_string(), data);
        }
    }
}

TEST_F(ChunkIndexTest, foreign_files_are_left_alone) {
    disk.put_file("chunks/00/notes.txt", "mine");
    disk.put_file("chunks/07/README", "mine");
    start();
    EXPECT_TRUE(kit->logged("not chunks"));
    EXPECT_TRUE(disk.has("chunks/00/notes.txt"));
    EXPECT_EQ(list().chunks_size(), 0);
}

TEST_F(ChunkIndexTest, a_damaged_file_beside_its_good_copy_is_removed) {
    put_old_file(kKey, "good");
    disk.put_file(damaged_chunk_path(kKey), "bad");
    start();
    EXPECT_FALSE(disk.has(damaged_chunk_path(kKey)));
    EXPECT_EQ(get(kKey, 0, 10).payload.to_string(), "good");
}

TEST_F(ChunkIndexTest, directories_that_cannot_be_listed_stop_the_node) {
    store(kKey, "x");
    disk.fail_next({.operation = pb::DiskOperation::kList, .error = EIO, .file_part = "chunks/80"});
    boot();
    run_disk();
    ASSERT_TRUE(kit->stopped());
    EXPECT_NE(kit->stopped()->find("list"), std::string::npos);
}

TEST_F(ChunkIndexTest, an_unreadable_header_condemns_one_chunk_only) {
    for (uint64_t number = 1; number <= 10; number++) put_old_file({1, number}, "x");
    disk.fail_next({.operation = pb::DiskOperation::kRead, .error = EIO, .file_part = "/1-4.", .times = 2});
    start();
    const pb::ChunkListReply all = list();
    ASSERT_EQ(all.chunks_size(), 10);
    for (const pb::ChunkStatus& chunk : all.chunks()) {
        EXPECT_EQ(chunk.damaged(), chunk.id().number() == 4);
        EXPECT_EQ(chunk.allocated_at_us() == 0, chunk.damaged());
    }
}

TEST_F(ChunkIndexTest, a_start_short_of_descriptors_waits_and_condemns_nothing) {
    for (uint64_t number = 1; number <= 5; number++) store({1, number}, "x");
    for (uint64_t number = 6; number <= 10; number++) put_old_file({1, number}, "x");
    for (const auto operation : {pb::DiskOperation::kList, pb::DiskOperation::kRead}) {
        for (const int error : {EMFILE, ENFILE, ENOMEM}) {
            disk.fail_next({.operation = operation, .error = error, .times = 3});
            boot();
            const uint64_t id = kit->request(message_of(pb::ChunkList()), repairer_);
            for (int tries = 0; tries < 4; tries++) {
                run_disk();
                kit->advance(ChunkDisk::kRetryUs);
            }
            run_disk();
            ASSERT_FALSE(kit->stopped());
            const pb::ChunkListReply all = kit->take_answer(id)->chunk_list_reply();
            EXPECT_EQ(all.chunks_size(), 10);
            for (const pb::ChunkStatus& chunk : all.chunks()) EXPECT_FALSE(chunk.damaged());
        }
    }
}

TEST_F(ChunkIndexTest, a_header_that_may_not_be_read_is_neither_damage_nor_old) {
    put_old_file(kKey, "x");
    disk.fail_next({.operation = pb::DiskOperation::kRead, .error = EACCES});
    start();
    const pb::ChunkStatus chunk = list().chunks(0);
    EXPECT_FALSE(chunk.damaged());
    EXPECT_EQ(chunk.allocated_at_us(), UINT64_MAX);
}

TEST_F(ChunkIndexTest, headers_are_read_again_when_the_disk_was_silent) {
    put_old_file(kKey, "x");
    boot();
    const uint64_t id = kit->request(message_of(pb::ChunkList()), repairer_);
    bool failed = false;
    while (std::optional<Message> asked = kit->try_take(Body::kDiskRequest)) {
        const bool header = asked->envelope().disk_request().operations(0).has_read();
        if (header && !failed) {
            failed = true;
            kit->fail(*asked, pb::STATUS_DEADLINE_EXCEEDED, "no answer");
        } else {
            answer_disk(*asked);
        }
    }
    EXPECT_TRUE(failed);
    EXPECT_FALSE(kit->has(Body::kChunkListReply));
    kit->advance(ChunkDisk::kRetryUs);
    run_disk();
    EXPECT_EQ(kit->take_answer(id)->chunk_list_reply().chunks_size(), 1);
}

TEST_F(ChunkIndexTest, a_newer_format_of_files_is_refused) {
    put_old_file(kKey, "x");
    std::string bytes = disk.bytes_of(chunk_path(kKey));
    bytes[8] = 2;
    const uint32_t crc = crc32c(std::string_view(bytes).substr(0, 508));
    for (int i = 0; i < 4; i++) bytes[508 + i] = static_cast<char>(crc >> (8 * i));
    disk.put_file(chunk_path(kKey), bytes);
    boot();
    run_disk();
    ASSERT_TRUE(kit->stopped());
    EXPECT_NE(kit->stopped()->find("version 2"), std::string::npos) << *kit->stopped();
    EXPECT_EQ(disk.bytes_of(chunk_path(kKey)), bytes);
}

// --- List and delete

TEST_F(ChunkIndexTest, lists_ranges_page_by_page) {
    for (uint64_t number = 1; number <= 9; number++) store({number <= 5 ? 1u : 2u, number}, "x");
    const auto numbers = [&](ChunkKey after, ChunkKey until, uint32_t limit, bool more) {
        pb::ChunkList request;
        if (after != ChunkKey{}) *request.mutable_after() = id_of(after);
        if (until != ChunkKey{}) *request.mutable_until() = id_of(until);
        request.set_limit(limit);
        const pb::ChunkListReply reply = list(request);
        EXPECT_EQ(reply.more(), more);
        std::vector<uint64_t> found;
        for (const pb::ChunkStatus& chunk : reply.chunks()) found.push_back(chunk.id().number());
        return found;
    };
    using Numbers = std::vector<uint64_t>;
    EXPECT_EQ(numbers({}, {}, 0, false).size(), 9u);
    EXPECT_EQ(numbers({}, {}, 3, true), (Numbers{1, 2, 3}));
    EXPECT_EQ(numbers({1, 3}, {}, 3, true), (Numbers{4, 5, 6}));
    EXPECT_EQ(numbers({2, 6}, {}, 3, false), (Numbers{7, 8, 9}));
    EXPECT_EQ(numbers({1, 3}, {2, 6}, 10, false), (Numbers{4, 5, 6}));
    EXPECT_EQ(numbers({}, {1, 2}, 2, false), (Numbers{1, 2}));
    EXPECT_EQ(numbers({1, 100}, {1, 200}, 10, false), Numbers{});
    EXPECT_EQ(numbers({2, 6}, {1, 2}, 10, false), Numbers{});
    EXPECT_EQ(numbers({2, 9}, {}, 10, false), Numbers{});
}

TEST_F(ChunkIndexTest, deletes_what_it_is_told_to) {
    for (uint64_t number = 1; number <= 5; number++) store({1, number}, "x");
    EXPECT_EQ(remove({{1, 2}, {1, 4}, {9, 9}, {1, 2}}, repairer_).code(), pb::STATUS_OK);
    EXPECT_EQ(list().chunks_size(), 3);
    EXPECT_EQ(get_code({1, 2}), pb::STATUS_ENOENT);
    EXPECT_EQ(remove({{1, 2}}, repairer_).code(), pb::STATUS_OK);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_EQ(list().chunks_size(), 3);
}

TEST_F(ChunkIndexTest, deletes_damaged_ones_too) {
    store(kKey, "x");
    const Record record = record_of(kKey);
    disk.flip_bit(record.file, record.offset + 50);
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);  // The head is in memory.
    disk.flip_bit(record.file, record.data());
    EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    put_old_file({3, 1}, "x", true);
    start();
    EXPECT_EQ(list().chunks_size(), 2);
    EXPECT_EQ(remove({kKey, {3, 1}}, repairer_).code(), pb::STATUS_OK);
    EXPECT_FALSE(disk.has(damaged_chunk_path({3, 1})));
    start();
    EXPECT_EQ(list().chunks_size(), 0);
}

TEST_F(ChunkIndexTest, nobody_else_may_delete) {
    store(kKey, "x");
    EXPECT_EQ(remove({kKey}, client_).code(), pb::STATUS_EACCES);
    EXPECT_EQ(remove({kKey}, {"node-2", pb::ACTOR_REPAIRER}).code(), pb::STATUS_EACCES);
    EXPECT_EQ(remove(std::vector<ChunkKey>(ChunkService::kDeleteMax + 1, kKey), repairer_).code(),
              pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
}

TEST_F(ChunkIndexTest, a_deletion_that_cannot_be_written_is_reported_and_written_with_the_next_one) {
    for (uint64_t number = 1; number <= 4; number++) store({1, number}, "x");
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = EIO, .file_part = ".index"});
    const pb::Status status = remove({{1, 1}, {1, 2}}, repairer_);
    EXPECT_EQ(status.code(), pb::STATUS_EIO);
    EXPECT_NE(status.message().find(".index"), std::string::npos) << status.message();
    EXPECT_EQ(get_code({1, 2}), pb::STATUS_ENOENT);
    EXPECT_EQ(remove({{1, 4}}, repairer_).code(), pb::STATUS_OK);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    ASSERT_EQ(list().chunks_size(), 1);
    EXPECT_EQ(list().chunks(0).id().number(), 3u);
}

TEST_F(ChunkIndexTest, a_deletion_that_could_not_be_written_is_written_by_itself_when_that_works_again) {
    for (uint64_t number = 1; number <= 2; number++) store({1, number}, "x");
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = ENOSPC, .file_part = ".index"});
    EXPECT_EQ(remove({{1, 1}}, repairer_).code(), pb::STATUS_ENOSPC);
    kit->advance(5'000'000);
    run_disk();
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_EQ(list().chunks_size(), 1);
}

TEST_F(ChunkIndexTest, a_deletion_finds_its_room_made) {
    for (uint64_t number = 1; number <= 200; number++) store({1, number}, "x");
    EXPECT_EQ(remove({{1, 1}}, repairer_).code(), pb::STATUS_OK);
    const size_t size = disk.bytes_of(volume_index_file(1)).size();
    for (uint64_t number = 2; number <= 50; number++) EXPECT_EQ(remove({{1, number}}, repairer_).code(), pb::STATUS_OK);
    EXPECT_EQ(disk.bytes_of(volume_index_file(1)).size(), size);
}

TEST_F(ChunkIndexTest, without_an_answer_of_the_disk_nobody_is_told_that_chunks_are_deleted) {
    for (uint64_t number = 1; number <= 2; number++) store({1, number}, "x");
    kit->drop_effects();
    pb::ChunkDelete request;
    for (uint64_t number = 1; number <= 2; number++) *request.add_ids() = id_of({1, number});
    const uint64_t id = kit->request(message_of(request), repairer_);
    kit->fail(kit->take(Body::kDiskRequest), pb::STATUS_DEADLINE_EXCEEDED, "no answer");
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_UNAVAILABLE);
    start();
    EXPECT_EQ(list().chunks_size(), 2);
}

TEST_F(ChunkIndexTest, a_chunk_being_stored_is_not_deleted) {
    const uint64_t put = send_put(put_of(kKey, "x"), "x", client_);
    pb::ChunkDelete request;
    *request.add_ids() = id_of(kKey);
    const uint64_t id = kit->request(message_of(request), repairer_);
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    run_disk();
    EXPECT_EQ(put_answer(put).status().code(), pb::STATUS_OK);
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
}

TEST_F(ChunkIndexTest, what_is_stored_while_its_id_is_being_deleted_stays) {
    store(kKey, "x");
    pb::ChunkDelete request;
    *request.add_ids() = id_of(kKey);
    kit->request(message_of(request), repairer_);
    const uint64_t put = send_put(put_of(kKey, "x"), "x", client_);
    run_disk();
    EXPECT_EQ(put_answer(put).status().code(), pb::STATUS_OK);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
}

// --- Statistics

TEST_F(ChunkIndexTest, statistics_go_to_every_member) {
    store({1, 1}, std::string(100, 'x'));
    store({1, 2}, std::string(50, 'x'));
    pb::ClusterView view;
    for (const char* id : {"node-1", "node-2", "node-3"}) view.add_members()->set_id(id);
    kit->deliver(message_of(view), {pb::ACTOR_ETCD_POLLER});
    run_disk();
    kit->drop_effects();
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(kit->count(Body::kChunkStats), 9u);
    for (const char* node : {"", "node-2", "node-3"}) {
        for (const pb::ActorKind actor : {pb::ACTOR_FILES, pb::ACTOR_MOVER, pb::ACTOR_STATUS}) {
            const Message message = kit->take_to(Body::kChunkStats, node);
            EXPECT_EQ(message->to_actor(), actor);
            const pb::ChunkStats& stats = message->chunk_stats();
            EXPECT_EQ(stats.node_id(), "node-1");
            EXPECT_EQ(stats.chunk_count(), 2u);
            EXPECT_EQ(stats.chunk_bytes(), 150u);
            EXPECT_EQ(stats.disk_total_bytes(), 1'000'000u);
            EXPECT_EQ(stats.disk_free_bytes(), 400'000u);
        }
    }
}

TEST_F(ChunkIndexTest, statistics_are_sent_as_soon_as_the_index_stands_and_go_on_when_the_disk_is_silent) {
    boot();
    run_disk();
    EXPECT_EQ(kit->count(Body::kChunkStats), 3u);
    kit->drop_effects();
    kit->advance(5'000'000);
    kit->fail(kit->take(Body::kDiskRequest), pb::STATUS_DEADLINE_EXCEEDED, "no answer");
    EXPECT_FALSE(kit->has(Body::kChunkStats));
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(kit->count(Body::kChunkStats), 3u);
}

TEST_F(ChunkIndexTest, damaged_and_deleted_chunks_do_not_count) {
    for (uint64_t number = 1; number <= 3; number++) store({1, number}, "xy");
    remove({{1, 1}}, repairer_);
    disk.flip_bit(record_of({1, 2}).file, record_of({1, 2}).data());
    EXPECT_EQ(get_code({1, 2}), pb::STATUS_CORRUPTED);
    run_disk();
    kit->drop_effects();
    kit->advance(5'000'000);
    run_disk();
    const Message stats = kit->take(Body::kChunkStats);
    EXPECT_EQ(stats->chunk_stats().chunk_count(), 1u);
    EXPECT_EQ(stats->chunk_stats().chunk_bytes(), 2u);
}

}  // namespace
}  // namespace sandstore
