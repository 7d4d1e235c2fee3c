#include <cerrno>
#include <map>

#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class ChunkPutTest : public ChunkServiceTest {
 protected:
    // A client's put: answered by the disk and the peers as the test likes.
    uint64_t forwarded_put(const std::string& data) {
        const uint64_t id = send_put(put_of(kKey, data, true), data, client_);
        from_peer_2 = kit->take_to(Body::kChunkPut, "node-2");
        from_peer_3 = kit->take_to(Body::kChunkPut, "node-3");
        return id;
    }

    pb::StatusCode refused(const pb::ChunkPut& put, const std::string& data) {
        const size_t effects = kit->effects().size();
        const uint64_t id = send_put(put, data, client_);
        EXPECT_EQ(kit->effects().size(), effects + 1) << "more than an answer";
        return put_answer(id).status().code();
    }

    Message from_peer_2, from_peer_3;
};

TEST_F(ChunkPutTest, is_durable_before_it_is_acknowledged) {
    const std::string data = sample_bytes(4096);
    const uint64_t id = send_put(put_of(kKey, data), data, {"node-2", pb::ACTOR_CHUNKS});
    EXPECT_EQ(kit->effects().size(), 1u);
    ASSERT_TRUE(run_disk_once());
    const pb::ChunkPutReply answer = put_answer(id);
    EXPECT_EQ(answer.status().code(), pb::STATUS_OK);
    ASSERT_EQ(answer.stored_on_size(), 1);
    EXPECT_EQ(answer.stored_on(0), "node-1");
    EXPECT_TRUE(disk.durable(record_of(kKey).file));
    EXPECT_EQ(record_of(kKey).bytes, record_bytes(4096));
    kit->expect_nothing();
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_EQ(get(kKey, 0, 5000).payload.to_string(), data);
}

TEST_F(ChunkPutTest, writes_and_then_syncs_once_and_the_next_one_finds_its_room_made) {
    using Operation = pb::DiskOperation;
    const auto kinds = [&](ChunkKey key) {
        const std::string data = sample_bytes(10);
        send_put(put_of(key, data), data, client_);
        const Message asked = kit->take(Body::kDiskRequest);
        std::vector<Operation::OperationCase> found;
        for (const auto& operation : asked->disk_request().operations()) found.push_back(operation.operation_case());
        answer_disk(asked);
        return found;
    };
    EXPECT_EQ(kinds(kKey), (std::vector{Operation::kMakeDirectory, Operation::kZero, Operation::kWrite,
                                        Operation::kWrite, Operation::kZero, Operation::kSync}));
    const size_t size = disk.bytes_of(volume_file(1)).size();
    EXPECT_EQ(kinds({2, 32}), (std::vector{Operation::kWrite, Operation::kSync}));
    EXPECT_EQ(disk.bytes_of(volume_file(1)).size(), size);
}

TEST_F(ChunkPutTest, is_forwarded_at_the_same_time_as_it_is_stored) {
    const std::string data = sample_bytes(100'000);
    forwarded_put(data);
    EXPECT_TRUE(kit->has(Body::kDiskRequest));
    for (const Message* asked : {&from_peer_2, &from_peer_3}) {
        const pb::ChunkPut& put = (*asked)->chunk_put();
        EXPECT_EQ((*asked)->to_actor(), pb::ACTOR_CHUNKS);
        EXPECT_FALSE(put.forward());
        EXPECT_EQ(key_of(put.place().id()), kKey);
        EXPECT_EQ(put.checksums().block_crc32c_size(), 2);
        EXPECT_EQ(asked->payload.to_string(), data);
    }
    // The same bytes in memory, not copies.
    EXPECT_EQ(from_peer_2.payload.pieces()[0].bytes.data(), from_peer_3.payload.pieces()[0].bytes.data());
}

TEST_F(ChunkPutTest, is_acknowledged_by_a_majority_and_not_before) {
    const uint64_t id = forwarded_put(sample_bytes(100));
    kit->answer(from_peer_3, message_of(peer_ok("node-3")));
    EXPECT_FALSE(kit->has(Body::kChunkPutReply));
    run_disk();
    const pb::ChunkPutReply answer = put_answer(id);
    EXPECT_EQ(answer.status().code(), pb::STATUS_OK);
    EXPECT_EQ(std::vector<std::string>(answer.stored_on().begin(), answer.stored_on().end()),
              (std::vector<std::string>{"node-3", "node-1"}));
    kit->answer(from_peer_2, message_of(peer_ok("node-2")));
    kit->expect_nothing();
}

TEST_F(ChunkPutTest, own_disk_counts_only_when_durable) {
    const uint64_t id = forwarded_put(sample_bytes(100));
    run_disk();
    EXPECT_FALSE(kit->has(Body::kChunkPutReply));
    kit->answer(from_peer_2, message_of(peer_ok("node-2")));
    EXPECT_EQ(put_answer(id).stored_on_size(), 2);
}

TEST_F(ChunkPutTest, two_other_nodes_are_a_majority_too) {
    const uint64_t id = forwarded_put(sample_bytes(100));
    kit->answer(from_peer_2, message_of(peer_ok("node-2")));
    kit->answer(from_peer_3, message_of(peer_ok("node-3")));
    const pb::ChunkPutReply answer = put_answer(id);
    EXPECT_EQ(answer.status().code(), pb::STATUS_OK);
    EXPECT_EQ(answer.stored_on(0), "node-2");
    run_disk();
    kit->expect_nothing();
    EXPECT_EQ(get_code(kKey), pb::STATUS_OK);
}

TEST_F(ChunkPutTest, survives_one_dead_replica) {
    const uint64_t id = forwarded_put(sample_bytes(100));
    kit->fail(from_peer_2, pb::STATUS_UNAVAILABLE, "no connection");
    run_disk();
    EXPECT_FALSE(kit->has(Body::kChunkPutReply));
    kit->answer(from_peer_3, message_of(peer_ok("node-3")));
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_OK);
}

TEST_F(ChunkPutTest, fails_with_two_dead_replicas_and_says_why) {
    const uint64_t id = forwarded_put(sample_bytes(100));
    kit->fail(from_peer_2, pb::STATUS_UNAVAILABLE, "no connection");
    EXPECT_FALSE(kit->has(Body::kChunkPutReply));
    kit->fail(from_peer_3, pb::STATUS_DEADLINE_EXCEEDED, "silent");
    const pb::ChunkPutReply answer = put_answer(id);
    EXPECT_EQ(answer.status().code(), pb::STATUS_UNAVAILABLE);
    for (const char* part : {"node-2", "no connection", "node-3", "silent", "0 of 2"}) {
        EXPECT_NE(answer.status().message().find(part), std::string::npos) << answer.status().message();
    }
    run_disk();
    kit->expect_nothing();
}

TEST_F(ChunkPutTest, full_disks_everywhere_are_reported_as_such) {
    const uint64_t id = forwarded_put(sample_bytes(100));
    pb::ChunkPutReply full;
    full.mutable_status()->set_code(pb::STATUS_ENOSPC);
    kit->answer(from_peer_2, message_of(full));
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = ENOSPC, .times = 2});
    run_disk();
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_ENOSPC);
}

TEST_F(ChunkPutTest, waits_for_other_nodes_no_longer_than_the_client_does) {
    const std::string data = sample_bytes(10);
    kit->request(message_of(put_of(kKey, data, true), Payload(data)), client_, 300'000);
    for (const StepEffect& effect : kit->effects()) {
        if (effect.message->body_case() != Body::kChunkPut) continue;
        EXPECT_EQ(effect.timeout_us, 300'000u);
    }
}

TEST_F(ChunkPutTest, is_idempotent) {
    const std::string data = sample_bytes(70'000);
    store(kKey, data);
    const uint64_t requests = disk.requests;
    store(kKey, data);
    EXPECT_EQ(disk.requests, requests);  // The table is in memory.
    start();
    const uint64_t syncs = disk.syncs;
    store(kKey, data);  // And now it is compared with the file.
    EXPECT_EQ(disk.syncs, syncs);
}

TEST_F(ChunkPutTest, repeated_forward_reaches_the_other_replicas_again) {
    const std::string data = sample_bytes(100);
    store(kKey, data);
    const uint64_t id = forwarded_put(data);
    EXPECT_FALSE(kit->has(Body::kChunkPutReply));
    kit->answer(from_peer_3, message_of(peer_ok("node-3")));
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_OK);
}

TEST_F(ChunkPutTest, other_bytes_under_a_used_id_are_refused) {
    store(kKey, sample_bytes(500, 1));
    for (const bool restarted : {false, true}) {
        if (restarted) start();
        for (const std::string& other : {sample_bytes(500, 2), sample_bytes(501, 1)}) {
            const uint64_t id = send_put(put_of(kKey, other), other, client_);
            run_disk();
            EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_EEXIST);
        }
    }
    EXPECT_EQ(get(kKey, 0, 1000).payload.to_string(), sample_bytes(500, 1));
}

TEST_F(ChunkPutTest, concurrent_puts_of_one_id_are_written_once) {
    const std::string data = sample_bytes(100);
    const uint64_t first = send_put(put_of(kKey, data), data, {"node-2", pb::ACTOR_CHUNKS});
    const uint64_t second = send_put(put_of(kKey, data), data, {"node-3", pb::ACTOR_CHUNKS});
    const std::string other = sample_bytes(100, 9);
    const uint64_t conflict = send_put(put_of(kKey, other), other, client_);
    EXPECT_EQ(put_answer(conflict).status().code(), pb::STATUS_EEXIST);
    EXPECT_EQ(kit->count(Body::kDiskRequest), 1u);
    run_disk();
    EXPECT_EQ(put_answer(first).status().code(), pb::STATUS_OK);
    EXPECT_EQ(put_answer(second).status().code(), pb::STATUS_OK);
}

TEST_F(ChunkPutTest, second_put_fails_with_the_first) {
    const std::string data = sample_bytes(100);
    const uint64_t first = send_put(put_of(kKey, data), data, client_);
    const uint64_t second = send_put(put_of(kKey, data), data, client_);
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = EIO, .times = 2});
    run_disk();
    EXPECT_EQ(put_answer(first).status().code(), pb::STATUS_EIO);
    EXPECT_EQ(put_answer(second).status().code(), pb::STATUS_EIO);
    EXPECT_EQ(get_code(kKey), pb::STATUS_ENOENT);
    store(kKey, data);
}

TEST_F(ChunkPutTest, bad_requests_have_no_effect) {
    const std::string data = sample_bytes(70'000);
    const auto with = [&](auto change) {
        pb::ChunkPut put = put_of(kKey, data, true);
        change(put);
        return refused(put, data);
    };
    using Put = pb::ChunkPut;
    const auto invalid = pb::STATUS_INVALID_ARGUMENT;
    EXPECT_EQ(with([](Put& put) { put.clear_place(); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->mutable_id()->set_term(0); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->mutable_id()->set_number(0); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->clear_allocated_at_us(); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->clear_replicas(); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_replicas(0, "node-4"); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_replicas(1, "node-3"); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_replicas(1, "@evil:80"); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_replicas(1, "~1"); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_replicas(1, ""); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_replicas(1, std::string(64, 'n')); }), invalid);
    EXPECT_EQ(with([](Put& put) {
                  for (int i = 4; i < 9; i++) put.mutable_place()->add_replicas(str_cat("node-", i));
              }),
              invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_acknowledgements_needed(0); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_place()->set_acknowledgements_needed(4); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.clear_checksums(); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_checksums()->add_block_crc32c(1); }), invalid);
    EXPECT_EQ(with([](Put& put) { put.mutable_checksums()->set_block_crc32c(1, 1); }), pb::STATUS_CORRUPTED);
    EXPECT_EQ(refused(put_of(kKey, ""), ""), invalid);
    const std::string large(kChunkBytesMax + 1, 'x');
    EXPECT_EQ(refused(put_of(kKey, large), large), invalid);
    EXPECT_EQ(refused(put_of(kKey, data), sample_bytes(70'000, 2)), pb::STATUS_CORRUPTED);
}

TEST_F(ChunkPutTest, the_largest_chunk_is_stored_whole) {
    const std::string data = sample_bytes(kChunkBytesMax);
    store(kKey, data);
    EXPECT_EQ(get(kKey, 0, kChunkBytesMax).payload.to_string(), data);
}

TEST_F(ChunkPutTest, comes_too_late) {
    const std::string data = sample_bytes(10);
    const uint64_t id = kit->request(message_of(put_of(kKey, data), Payload(data)), client_, 0);
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_DEADLINE_EXCEEDED);
}

TEST_F(ChunkPutTest, bytes_in_flight_are_bounded) {
    const std::string data(kChunkBytesMax, 'x');
    const pb::ChunkPut put = put_of(kKey, data);
    const Payload shared{std::string(data)};
    uint64_t accepted = 0;
    uint64_t id = 0;
    for (uint64_t number = 1; number <= 40; number++) {
        pb::ChunkPut next = put;
        next.mutable_place()->mutable_id()->set_number(number);
        id = kit->request(message_of(next, shared), client_);
        if (kit->has(Body::kChunkPutReply)) break;
        accepted++;
    }
    EXPECT_EQ(accepted, ChunkService::kPutBytesMax / kChunkBytesMax);
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    EXPECT_EQ(kit->count(Body::kDiskRequest), 1u) << "what begins a volume is written apart";
    run_disk();
    EXPECT_EQ(kit->count(Body::kChunkPutReply), accepted);
}

// --- Groups

class ChunkGroupTest : public ChunkServiceTest {
 protected:
    // Fills the disk's slots, then lets `count` small puts pile up behind them.
    void pile_up(uint64_t count) {
        store({9, 9}, "x");  // The room behind it has been made.
        for (uint64_t number = 1; number <= VolumeStore::kWritesMax + count; number++) {
            const std::string data = sample_bytes(4096, number);
            ids.push_back(send_put(put_of({1, number}, data), data, client_));
        }
        for (uint32_t i = 0; i < VolumeStore::kWritesMax; i++) first.push_back(kit->take(Body::kDiskRequest));
        EXPECT_FALSE(kit->has(Body::kDiskRequest));
        answer_disk(first[0]);
    }
    pb::StatusCode code(uint64_t number) { return put_answer(ids[number - 1]).status().code(); }
    std::vector<uint64_t> ids;
    std::vector<Message> first;
};

TEST_F(ChunkGroupTest, small_puts_that_wait_share_one_write_and_one_sync) {
    pile_up(10);
    const Message group = kit->take(Body::kDiskRequest);
    EXPECT_FALSE(kit->has(Body::kDiskRequest));
    ASSERT_EQ(group->disk_request().operations_size(), 2);
    EXPECT_EQ(group->disk_request().operations(0).write().length(), 10 * record_bytes(4096));
    EXPECT_TRUE(group->disk_request().operations(1).has_sync());
    answer_disk(group);
    for (uint64_t number = VolumeStore::kWritesMax + 1; number <= VolumeStore::kWritesMax + 10; number++) {
        EXPECT_EQ(code(number), pb::STATUS_OK);
        EXPECT_EQ(get({1, number}, 0, 5000).payload.to_string(), sample_bytes(4096, number));
    }
}

TEST_F(ChunkGroupTest, a_group_is_bounded) {
    pile_up(VolumeStore::kGroupBytesMax / 4096);
    const Message group = kit->take(Body::kDiskRequest);
    EXPECT_LE(group.payload.size(), kVolumeHeaderBytes + VolumeStore::kGroupBytesMax);
    EXPECT_FALSE(kit->has(Body::kDiskRequest));
    answer_disk(group);
    EXPECT_TRUE(kit->has(Body::kDiskRequest));
}

TEST_F(ChunkGroupTest, when_a_group_fails_each_is_tried_alone) {
    pile_up(5);
    // The group fails, and then the first of them.
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = ENOSPC, .times = 2});
    run_disk();
    answer_disk(first[1]);
    std::map<pb::StatusCode, int> codes;
    for (uint64_t number = 1; number <= VolumeStore::kWritesMax + 5; number++) codes[code(number)]++;
    EXPECT_EQ(codes[pb::STATUS_ENOSPC], 1);
    EXPECT_EQ(codes[pb::STATUS_OK], static_cast<int>(VolumeStore::kWritesMax) + 4);
}

TEST_F(ChunkGroupTest, room_that_cannot_be_made_in_advance_is_not_needed) {
    const std::string data = sample_bytes(10);
    const uint64_t id = send_put(put_of(kKey, data), data, client_);
    disk.fail_next({.operation = pb::DiskOperation::kZero, .error = ENOSPC});
    run_disk();
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_OK);
}

// --- Errors

TEST_F(ChunkPutTest, a_full_disk_is_reported_and_recovered_from) {
    const std::string data = sample_bytes(4096);
    const uint64_t id = send_put(put_of(kKey, data), data, client_);
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = ENOSPC, .times = 2});
    run_disk();
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_ENOSPC);
    EXPECT_FALSE(kit->stopped());
    store(kKey, data);
}

TEST_F(ChunkPutTest, running_out_of_descriptors_refuses_puts_and_keeps_what_is_stored) {
    const std::string data = sample_bytes(100);
    store(kKey, data);
    start();
    disk.fail_next({.operation = pb::DiskOperation::kRead, .error = EMFILE});
    const uint64_t again = send_put(put_of(kKey, data), data, client_);
    run_disk();
    EXPECT_EQ(put_answer(again).status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = EMFILE, .times = 2});
    const uint64_t other = send_put(put_of({9, 9}, data), data, client_);
    run_disk();
    EXPECT_EQ(put_answer(other).status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    EXPECT_EQ(get(kKey, 0, 100).payload.to_string(), data);
    EXPECT_FALSE(kit->logged("unreadable"));
}

TEST_F(ChunkPutTest, a_failed_sync_stops_the_node) {
    const std::string data = sample_bytes(4096);
    send_put(put_of(kKey, data), data, client_);
    disk.fail_next({.operation = pb::DiskOperation::kSync, .error = EIO, .sync_failed = true});
    run_disk();
    ASSERT_TRUE(kit->stopped());
    EXPECT_NE(kit->stopped()->find("sync"), std::string::npos);
    kit->expect_nothing();  // Nobody is told anything, nothing is tried again.
}

TEST_F(ChunkPutTest, a_removed_directory_is_made_again) {
    const std::string data = sample_bytes(10, 2);
    const uint64_t id = send_put(put_of(kKey, data), data, client_);
    disk.fail_next({pb::DiskOperation::kWrite, ENOENT});
    ASSERT_TRUE(run_disk_once());
    EXPECT_TRUE(kit->effects().front().message->disk_request().operations(0).has_make_directory());
    run_disk();
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_OK);
}

TEST_F(ChunkPutTest, a_silent_disk_is_unavailable) {
    const auto record_place = [](const Message& asked) {
        std::pair<std::string, uint64_t> place;
        for (const auto& operation : asked->disk_request().operations()) {
            if (operation.has_write()) place = {operation.write().file(), operation.write().offset()};
        }
        return place;
    };
    const std::string data = sample_bytes(10);
    for (const bool begun : {false, true}) {
        const ChunkKey key{7, begun ? 2u : 1u};
        const uint64_t id = send_put(put_of(key, data), data, client_);
        const Message hung = kit->take(Body::kDiskRequest);
        kit->fail(hung, pb::STATUS_DEADLINE_EXCEEDED, "no answer");
        EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_UNAVAILABLE);
        // A new try writes somewhere else: the old request may still be carried out.
        send_put(put_of(key, data), data, client_);
        const Message again = kit->take(Body::kDiskRequest);
        const auto [hung_file, hung_offset] = record_place(hung);
        const auto [file, offset] = record_place(again);
        EXPECT_EQ(file == hung_file, begun) << "a volume that may not have begun is given up";
        EXPECT_TRUE(!begun || offset >= hung_offset + record_bytes(data.size()));
        answer_disk(again);
        answer_disk(hung);
        EXPECT_EQ(get(key, 0, 10).payload.to_string(), data);
    }
}

TEST_F(ChunkPutTest, a_draining_node_finishes_and_takes_no_more) {
    const std::string data = sample_bytes(10);
    const uint64_t put = send_put(put_of(kKey, data), data, client_);
    const uint64_t drain = kit->request(message_of(pb::Drain()), {pb::ACTOR_BOOTSTRAP});
    EXPECT_FALSE(kit->has(Body::kStatusReply));
    EXPECT_EQ(refused(put_of({5, 5}, data), data), pb::STATUS_UNAVAILABLE);
    run_disk();
    EXPECT_EQ(put_answer(put).status().code(), pb::STATUS_OK);
    EXPECT_EQ(status_answer(drain).code(), pb::STATUS_OK);
}

}  // namespace
}  // namespace sandstore
