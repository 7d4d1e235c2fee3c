#include <cerrno>
#include <map>
#include <set>

#include "runtime/crc32c.h"
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class ChunkFetchTest : public ChunkServiceTest {
 protected:
    uint64_t fetch(const pb::ChunkPlace& place, const Address& from) {
        pb::ChunkFetch request;
        *request.mutable_place() = place;
        return kit->request(message_of(request), from);
    }

    // Plays the other node: gives the piece that was asked for.
    void serve_piece(const Message& asked, const std::string& data) {
        const pb::ChunkGet& get = asked->chunk_get();
        const std::string piece = data.substr(get.offset(), get.length());
        pb::ChunkGetReply reply;
        reply.set_chunk_length(data.size());
        reply.set_payload_crc32c(crc32c(piece));
        reply.set_table_crc32c(table_checksum(block_checksums(Payload(data))));
        kit->answer(asked, message_of(reply, Payload(piece)));
    }

    // Plays the others: each has damage in the blocks given, and gives everything else. How many bytes they gave.
    uint64_t serve_around(const std::string& data, const std::map<std::string, std::set<uint64_t>>& damage) {
        uint64_t bytes = 0;
        for (run_disk(); std::optional<Message> asked = kit->try_take(Body::kChunkGet); run_disk()) {
            const pb::ChunkGet& get = asked->envelope().chunk_get();
            const std::set<uint64_t>& blocks = damage.at(asked->envelope().to_node());
            const auto first = blocks.lower_bound(get.offset() / kChunkBlockBytes);
            if (first != blocks.end() && *first * kChunkBlockBytes < get.offset() + get.length()) {
                refuse_piece(*asked, pb::STATUS_CORRUPTED);
            } else {
                bytes += std::min(get.length(), data.size() - get.offset());
                serve_piece(*asked, data);
            }
        }
        return bytes;
    }

    void damage_blocks(const std::set<uint64_t>& blocks) {
        for (const uint64_t block : blocks) {
            disk.flip_bit(record_of(kKey).file, record_of(kKey).data() + block * kChunkBlockBytes + 5);
        }
        EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    }

    void refuse_piece(const Message& asked, pb::StatusCode code) {
        pb::ChunkGetReply reply;
        reply.mutable_status()->set_code(code);
        kit->answer(asked, message_of(reply));
    }
};

TEST_F(ChunkFetchTest, copies_a_chunk_piece_by_piece_and_stores_it_durably) {
    const std::string data = sample_bytes(2'500'000);
    const uint64_t id = fetch(place_of(kKey), repairer_);
    size_t pieces = 0;
    while (std::optional<Message> asked = kit->try_take(Body::kChunkGet)) {
        EXPECT_EQ(asked->envelope().to_node(), "node-2");
        EXPECT_LE(asked->envelope().chunk_get().length(), 1024u * 1024u);
        serve_piece(*asked, data);
        pieces++;
    }
    EXPECT_EQ(pieces, 3u);
    EXPECT_FALSE(kit->has(Body::kStatusReply));
    run_disk();
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    EXPECT_TRUE(disk.durable(record_of(kKey).file));
    EXPECT_EQ(get(kKey, 0, 3'000'000).payload.to_string(), data);
    EXPECT_EQ(list().chunks(0).allocated_at_us(), place_of(kKey).allocated_at_us());
}

TEST_F(ChunkFetchTest, falls_over_to_another_replica) {
    const std::string data = sample_bytes(1'500'000);
    const uint64_t id = fetch(place_of(kKey), repairer_);
    serve_piece(kit->take_to(Body::kChunkGet, "node-2"), data);
    refuse_piece(kit->take_to(Body::kChunkGet, "node-2"), pb::STATUS_CORRUPTED);
    const Message second = kit->take_to(Body::kChunkGet, "node-3");
    EXPECT_EQ(second->chunk_get().offset(), 1024u * 1024u);
    serve_piece(second, data);
    run_disk();
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    EXPECT_EQ(get(kKey, 0, 3'000'000).payload.to_string(), data);
}

TEST_F(ChunkFetchTest, bytes_changed_on_the_way_are_not_stored) {
    const uint64_t id = fetch(place_of(kKey), repairer_);
    const Message asked = kit->take_to(Body::kChunkGet, "node-2");
    pb::ChunkGetReply reply;
    reply.set_chunk_length(5);
    reply.set_payload_crc32c(crc32c("hello"));
    kit->answer(asked, message_of(reply, Payload("hellp")));
    kit->fail(kit->take_to(Body::kChunkGet, "node-3"), pb::STATUS_UNAVAILABLE, "no connection");
    const pb::Status status = status_answer(id);
    EXPECT_EQ(status.code(), pb::STATUS_UNAVAILABLE);
    for (const char* part : {"node-2", "checksum", "node-3", "no connection"}) {
        EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
    }
    kit->expect_nothing();
}

TEST_F(ChunkFetchTest, odd_answers_are_not_believed) {
    struct Odd {
        uint64_t chunk_length;
        std::string bytes;
    };
    for (const Odd& odd : {Odd{0, ""}, Odd{5, ""}, Odd{5, "1234"}, Odd{5, "123456"}, Odd{kChunkBytesLimit + 1, "x"}}) {
        const uint64_t id = fetch(place_of(kKey, {"node-1", "node-2"}), repairer_);
        pb::ChunkGetReply reply;
        reply.set_chunk_length(odd.chunk_length);
        reply.set_payload_crc32c(crc32c(odd.bytes));
        kit->answer(kit->take(Body::kChunkGet), message_of(reply, Payload(odd.bytes)));
        EXPECT_EQ(status_answer(id).code(), pb::STATUS_UNAVAILABLE) << odd.chunk_length;
        kit->expect_nothing();
    }
}

TEST_F(ChunkFetchTest, a_damaged_chunk_is_replaced) {
    store(kKey, "good");
    disk.flip_bit(record_of(kKey).file, record_of(kKey).data() + 3);
    EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    const uint64_t id = fetch(place_of(kKey), repairer_);
    run_disk();
    serve_piece(kit->take(Body::kChunkGet), "good");
    run_disk();
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    EXPECT_EQ(get(kKey, 0, 10).payload.to_string(), "good");
    EXPECT_FALSE(list().chunks(0).damaged());
}

TEST_F(ChunkFetchTest, only_damaged_pieces_come_from_others) {
    const std::string data = sample_bytes(kChunkBytesMax);
    store(kKey, data);
    damage_blocks({100});
    const uint64_t id = fetch(place_of(kKey), repairer_);
    EXPECT_EQ(serve_around(data, {{"node-2", {}}, {"node-3", {}}}), 1024u * 1024u);
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    EXPECT_EQ(get(kKey, 0, kChunkBytesMax).payload.to_string(), data);
    EXPECT_FALSE(list().chunks(0).damaged());
}

TEST_F(ChunkFetchTest, three_copies_with_different_damaged_blocks_make_a_whole_one) {
    const std::string data = sample_bytes(3'000'000);
    store(kKey, data);
    damage_blocks({0, 17, 45});
    const uint64_t id = fetch(place_of(kKey), repairer_);
    serve_around(data, {{"node-2", {1, 18, 44}}, {"node-3", {2, 19, 43}}});
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    EXPECT_EQ(get(kKey, 0, kChunkBytesMax).payload.to_string(), data);
}

TEST_F(ChunkFetchTest, a_block_that_is_damaged_everywhere_is_not_made_up) {
    const std::string data = sample_bytes(300'000);
    store(kKey, data);
    damage_blocks({2});
    const uint64_t id = fetch(place_of(kKey), repairer_);
    serve_around(data, {{"node-2", {2}}, {"node-3", {2}}});
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(get(kKey, 0, 10).payload.to_string(), data.substr(0, 10));
    EXPECT_TRUE(list().chunks(0).damaged());
}

TEST_F(ChunkFetchTest, pieces_of_other_bytes_are_not_put_together) {
    const std::string data = sample_bytes(1'500'000);
    const std::string other = sample_bytes(1'500'000, 2);
    const uint64_t id = fetch(place_of(kKey), repairer_);
    serve_piece(kit->take_to(Body::kChunkGet, "node-2"), data);
    refuse_piece(kit->take_to(Body::kChunkGet, "node-2"), pb::STATUS_CORRUPTED);
    serve_piece(kit->take_to(Body::kChunkGet, "node-3"), other);
    refuse_piece(kit->take_to(Body::kChunkGet, "node-2"), pb::STATUS_CORRUPTED);  // Its first block.
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_UNAVAILABLE);
    kit->expect_nothing();
}

TEST_F(ChunkFetchTest, what_was_set_aside_and_is_intact_comes_back) {
    const std::string data = sample_bytes(2'500'000);
    store(kKey, data);
    disk.fail_next({.operation = pb::DiskOperation::kRead, .error = EIO, .times = 2});
    EXPECT_EQ(get_code(kKey), pb::STATUS_CORRUPTED);
    start();
    ASSERT_TRUE(list().chunks(0).damaged());
    const uint64_t id = fetch(place_of(kKey), repairer_);
    run_disk();
    EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
    EXPECT_EQ(get(kKey, 0, kChunkBytesMax).payload.to_string(), data);
    EXPECT_FALSE(list().chunks(0).damaged());
    EXPECT_FALSE(list().chunks(0).damaged());
    kit->expect_nothing();
}

TEST_F(ChunkFetchTest, what_is_here_already_is_not_fetched) {
    store(kKey, "good");
    EXPECT_EQ(status_answer(fetch(place_of(kKey), repairer_)).code(), pb::STATUS_OK);
    kit->expect_nothing();
}

TEST_F(ChunkFetchTest, two_requests_for_one_chunk_share_the_work) {
    const uint64_t first = fetch(place_of(kKey), repairer_);
    const uint64_t second = fetch(place_of(kKey), repairer_);
    EXPECT_EQ(kit->count(Body::kChunkGet), 1u);
    serve_piece(kit->take(Body::kChunkGet), "good");
    run_disk();
    EXPECT_EQ(status_answer(first).code(), pb::STATUS_OK);
    EXPECT_EQ(status_answer(second).code(), pb::STATUS_OK);
}

TEST_F(ChunkFetchTest, refuses_what_it_must_not_do) {
    EXPECT_EQ(status_answer(fetch(place_of(kKey), client_)).code(), pb::STATUS_EACCES);
    EXPECT_EQ(status_answer(fetch(place_of(kKey, {"node-2", "node-3"}), repairer_)).code(),
              pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(status_answer(fetch(place_of(kKey, {"node-1"}), repairer_)).code(), pb::STATUS_UNAVAILABLE);
    for (uint64_t number = 1; number <= ChunkService::kFetchesMax; number++) fetch(place_of({1, number}), repairer_);
    kit->drop_effects();
    EXPECT_EQ(status_answer(fetch(place_of(kKey), repairer_)).code(), pb::STATUS_RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace sandstore
