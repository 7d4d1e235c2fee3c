// ClientRead through the client's actor.
#include "tests/unit/client/client_kit.h"

namespace sandstore {
namespace {

Message read_message(uint64_t offset, uint64_t length) {
    pb::ClientRead read;
    *read.mutable_at() = at("/f");
    read.set_offset(offset);
    read.set_length(length);
    return message_of(read);
}

pb::Extent extent(uint64_t offset, uint64_t length, uint64_t chunk, uint64_t chunk_offset = 0,
                  std::vector<std::string> addresses = {"b:1", "c:1", "d:1"}) {
    pb::Extent extent;
    extent.set_offset(offset);
    extent.set_length(length);
    extent.set_chunk_offset(chunk_offset);
    extent.set_chunk_length(chunk_offset + length);
    *extent.mutable_chunk() = place(chunk, addresses);
    return extent;
}

Message extents_of(uint64_t size, std::vector<pb::Extent> extents, bool more = false) {
    pb::QueryResult result;
    result.mutable_attributes()->set_size(size);
    result.mutable_attributes()->set_inode(42);
    for (const pb::Extent& one : extents) *result.add_extents() = one;
    result.set_more(more);
    return message_of(result);
}

Message bytes_reply(std::string bytes) {
    pb::ChunkGetReply reply;
    reply.set_payload_crc32c(crc32c(Payload::copy_of(bytes)));
    return message_of(reply, Payload(std::move(bytes)));
}

Message get_failed(pb::StatusCode code) {
    pb::ChunkGetReply reply;
    reply.mutable_status()->set_code(code);
    return message_of(reply);
}

// Serves a get from the chunk's whole content.
void serve(StepKit& kit, const Message& get, const std::string& content) {
    kit.answer(get, bytes_reply(content.substr(get->chunk_get().offset(), get->chunk_get().length())));
}

void serve_all(StepKit& kit, const std::map<uint64_t, std::string>& chunks) {
    while (auto get = kit.try_take(pb::Envelope::kChunkGet)) {
        serve(kit, *get, chunks.at((*get)->chunk_get().id().number()));
    }
}

TEST(ClientRead, joins_extents_and_fills_holes_with_zeros) {
    auto kit = client_kit();
    const std::map<uint64_t, std::string> chunks{{1, pattern(100, 1)}, {2, pattern(300, 2)}};
    const uint64_t request = kit->request(read_message(50, 1000), kProgram);
    const Message query = kit->take(pb::Envelope::kQuery);
    EXPECT_EQ(query->query().read_extents().offset(), 50u);
    EXPECT_EQ(query->query().read_extents().length(), 1000u);
    // 0..100 of chunk 1, a hole, 200..400 of chunk 2 from 100, a hole to the end at 900.
    kit->answer(query, extents_of(900, {extent(0, 100, 1), extent(200, 200, 2, 100)}));
    serve_all(*kit, chunks);
    const Message answer = kit->take_answer(request);
    EXPECT_EQ(answer->client_read_reply().status().code(), pb::STATUS_OK);
    EXPECT_EQ(answer->client_read_reply().attributes().size(), 900u);
    std::string expected = chunks.at(1).substr(50) + std::string(100, '\0') + chunks.at(2).substr(100, 200);
    expected += std::string(500, '\0');
    EXPECT_EQ(answer.payload.to_string(), expected);
    kit->expect_nothing();
}

TEST(ClientRead, a_file_that_is_one_hole_needs_no_chunk) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(1ull << 31, 200'000), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(3ull << 30, {}));
    EXPECT_EQ(kit->take_answer(request).payload.to_string(), std::string(200'000, '\0'));
    kit->expect_nothing();
}

TEST(ClientRead, with_read_any_node_the_servers_are_asked_in_turn_and_mutations_still_go_to_the_leader) {
    StepKit kit(std::make_unique<ClientActor>(), LocalAddress{pb::ACTOR_CLIENT});
    pb::StartClient start = start_client({"a:1", "b:1", "c:1"});
    start.set_read_any_node(true);
    kit.deliver(message_of(start), kProgram);
    std::map<std::string, int> asked;
    for (int i = 0; i < 9; ++i) {
        const uint64_t request = kit.request(stat_query("/f"), kProgram, 5 * kSecond);
        const Message sent = kit.take(pb::Envelope::kQuery);
        EXPECT_TRUE(sent->query().any_node());
        ++asked[sent->to_node()];
        kit.answer(sent, query_result());
        EXPECT_EQ(kit.take_answer(request)->query_result().status().code(), pb::STATUS_OK);
    }
    EXPECT_EQ(asked, (std::map<std::string, int>{{"@a:1", 3}, {"@b:1", 3}, {"@c:1", 3}}));
    std::set<std::string> leaders;
    for (int i = 0; i < 3; ++i) {
        kit.request(make_directory("/d"), kProgram, 5 * kSecond);
        if (i == 0) {
            const Message open = kit.take(pb::Envelope::kMutation);
            leaders.insert(open->to_node());
            kit.answer(open, session_opened(1));
        }
        leaders.insert(kit.take(pb::Envelope::kMutation)->to_node());
    }
    EXPECT_EQ(leaders.size(), 1u);
}

TEST(ClientRead, with_read_any_node_a_server_that_fails_is_passed_over) {
    StepKit kit(std::make_unique<ClientActor>(), LocalAddress{pb::ACTOR_CLIENT});
    pb::StartClient start = start_client({"a:1", "b:1"});
    start.set_read_any_node(true);
    kit.deliver(message_of(start), kProgram);
    const uint64_t request = kit.request(stat_query("/f"), kProgram, 5 * kSecond);
    const Message dead = kit.take(pb::Envelope::kQuery);
    kit.fail(dead, pb::STATUS_UNAVAILABLE);
    ASSERT_TRUE(kit.fire_next_timer());
    const Message next = kit.take(pb::Envelope::kQuery);
    EXPECT_NE(next->to_node(), dead->to_node());
    kit.answer(next, query_result());
    EXPECT_EQ(kit.take_answer(request)->query_result().status().code(), pb::STATUS_OK);
    for (int i = 0; i < 4; ++i) {
        kit.request(stat_query("/f"), kProgram, 5 * kSecond);
        EXPECT_EQ(kit.take(pb::Envelope::kQuery)->to_node(), next->to_node()) << "for as long as it is distrusted";
    }
}

TEST(ClientRead, past_the_end_there_is_nothing) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(500, 10), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(500, {}));
    const Message answer = kit->take_answer(request);
    EXPECT_EQ(answer->client_read_reply().status().code(), pb::STATUS_OK);
    EXPECT_TRUE(answer.payload.empty());
}

TEST(ClientRead, falls_over_to_another_replica) {
    for (const pb::StatusCode code : {pb::STATUS_ENOENT, pb::STATUS_CORRUPTED, pb::STATUS_EIO}) {
        auto kit = client_kit();
        const uint64_t request = kit->request(read_message(0, 100), kProgram);
        kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1)}));
        const Message first = kit->take(pb::Envelope::kChunkGet);
        kit->answer(first, get_failed(code));
        const Message second = kit->take(pb::Envelope::kChunkGet);
        EXPECT_NE(second->to_node(), first->to_node());
        serve(*kit, second, pattern(100));
        EXPECT_EQ(kit->take_answer(request).payload.to_string(), pattern(100));
    }
}

TEST(ClientRead, falls_over_when_a_replica_is_away_or_silent) {
    for (const pb::StatusCode code : {pb::STATUS_UNAVAILABLE, pb::STATUS_DEADLINE_EXCEEDED}) {
        auto kit = client_kit();
        const uint64_t request = kit->request(read_message(0, 100), kProgram, 20 * kSecond);
        kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1)}));
        const Message first = kit->take(pb::Envelope::kChunkGet);
        EXPECT_LE(first->deadline_us(), kit->now_us() + 2 * kSecond);
        kit->fail(first, code);
        serve(*kit, kit->take(pb::Envelope::kChunkGet), pattern(100));
        EXPECT_EQ(kit->take_answer(request).payload.to_string(), pattern(100));
        // The next read turns to the others first.
        for (int i = 0; i < 5; ++i) {
            kit->request(read_message(0, 100), kProgram);
            kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1)}));
            EXPECT_NE(kit->take(pb::Envelope::kChunkGet)->to_node(), first->to_node());
        }
    }
}

TEST(ClientRead, bytes_that_do_not_match_checksum_or_length_are_not_believed) {
    for (int kind = 0; kind < 3; ++kind) {
        auto kit = client_kit();
        const uint64_t request = kit->request(read_message(0, 100), kProgram);
        kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1)}));
        Message bad = bytes_reply(kind == 0 ? pattern(99) : kind == 1 ? pattern(101) : pattern(100));
        if (kind == 2) bad->mutable_chunk_get_reply()->set_payload_crc32c(1);
        kit->answer(kit->take(pb::Envelope::kChunkGet), std::move(bad));
        EXPECT_EQ(answers(*kit, request), 0u);
        serve(*kit, kit->take(pb::Envelope::kChunkGet), pattern(100));
        EXPECT_EQ(kit->take_answer(request).payload.to_string(), pattern(100));
    }
}

TEST(ClientRead, extents_are_read_again_once_when_no_replica_has_the_chunk) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(0, 100), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1)}));
    for (int i = 0; i < 3; ++i) kit->answer(kit->take(pb::Envelope::kChunkGet), get_failed(pb::STATUS_ENOENT));
    EXPECT_FALSE(kit->has(pb::Envelope::kChunkGet));
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 2)}));  // It was overwritten.
    serve_all(*kit, {{2, pattern(100, 2)}});
    EXPECT_EQ(kit->take_answer(request).payload.to_string(), pattern(100, 2));
}

TEST(ClientRead, a_chunk_that_nobody_has_intact_is_an_input_output_error) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(0, 100), kProgram);
    for (int round = 0; round < 2; ++round) {
        kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1)}));
        kit->answer(kit->take(pb::Envelope::kChunkGet), get_failed(pb::STATUS_ENOENT));
        kit->answer(kit->take(pb::Envelope::kChunkGet), get_failed(pb::STATUS_CORRUPTED));
        kit->answer(kit->take(pb::Envelope::kChunkGet), get_failed(pb::STATUS_ENOENT));
    }
    EXPECT_EQ(kit->take_answer(request)->client_read_reply().status().code(), pb::STATUS_EIO);
    kit->expect_nothing();
}

// Three replicas of one chunk, each with damaged blocks of its own.
TEST(ClientRead, a_chunk_damaged_everywhere_in_different_blocks_is_read_whole) {
    constexpr uint64_t kBlock = 65'536;
    const std::map<std::string, uint64_t> damaged_block{{"@b:1", 0}, {"@c:1", 1}, {"@d:1", 7}};
    const std::string content = pattern(8 * kBlock + 17);
    for (const auto& [offset, length] : {std::pair<uint64_t, uint64_t>{0, content.size()}, {100, 7 * kBlock + 1}}) {
        auto kit = client_kit();
        const uint64_t request = kit->request(read_message(0, length), kProgram);
        kit->answer(kit->take(pb::Envelope::kQuery), extents_of(length, {extent(0, length, 1, offset)}));
        while (auto get = kit->try_take(pb::Envelope::kChunkGet)) {
            const pb::ChunkGet& asked = (*get)->chunk_get();
            const uint64_t damage = damaged_block.at((*get)->to_node()) * kBlock;
            if (asked.offset() < damage + kBlock && damage < asked.offset() + asked.length()) {
                kit->answer(*get, get_failed(pb::STATUS_CORRUPTED));
            } else {
                serve(*kit, *get, content);
            }
        }
        EXPECT_TRUE(kit->take_answer(request).payload.to_string() == content.substr(offset, length)) << offset;
    }
}

TEST(ClientRead, a_place_without_addresses_is_an_input_output_error) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(0, 100), kProgram);
    for (int round = 0; round < 2; ++round) {
        kit->answer(kit->take(pb::Envelope::kQuery), extents_of(100, {extent(0, 100, 1, 0, {})}));
    }
    EXPECT_EQ(kit->take_answer(request)->client_read_reply().status().code(), pb::STATUS_EIO);
}

TEST(ClientRead, unreachable_replicas_are_waited_for_until_the_deadline) {
    auto kit = client_kit();
    const uint64_t deadline_us = kit->now_us() + 3 * kSecond;
    const uint64_t request = kit->request(read_message(0, 100), kProgram, 3 * kSecond);
    size_t gets = 0;
    while (answers(*kit, request) == 0) {
        while (auto query = kit->try_take(pb::Envelope::kQuery)) {
            kit->answer(*query, extents_of(100, {extent(0, 100, 1)}));
        }
        while (auto get = kit->try_take(pb::Envelope::kChunkGet)) {
            ++gets;
            kit->fail(*get, pb::STATUS_UNAVAILABLE);
        }
        ASSERT_TRUE(answers(*kit, request) == 1 || kit->fire_next_timer());
    }
    EXPECT_LT(kit->now_us(), deadline_us);
    EXPECT_GT(gets, 6u);
    EXPECT_EQ(kit->take_answer(request)->client_read_reply().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
}

TEST(ClientRead, gets_in_parallel_are_bounded) {
    auto kit = client_kit();
    std::vector<pb::Extent> extents;
    std::string expected;
    std::map<uint64_t, std::string> chunks;
    for (uint64_t i = 0; i < 30; ++i) {
        extents.push_back(extent(i * 100, 100, i + 1));
        chunks[i + 1] = pattern(100, static_cast<unsigned>(i));
        expected += chunks[i + 1];
    }
    const uint64_t request = kit->request(read_message(0, 3000), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(3000, extents));
    while (kit->has(pb::Envelope::kChunkGet)) {
        EXPECT_LE(kit->count(pb::Envelope::kChunkGet), kGetsInParallel);
        const Message get = kit->take(pb::Envelope::kChunkGet);
        serve(*kit, get, chunks.at(get->chunk_get().id().number()));
    }
    EXPECT_EQ(kit->take_answer(request).payload.to_string(), expected);
}

TEST(ClientRead, neighbouring_extents_of_one_chunk_are_one_get) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(0, 300), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery),
                extents_of(300, {extent(0, 100, 1, 0), extent(100, 100, 1, 100), extent(200, 100, 1, 250)}));
    EXPECT_EQ(kit->count(pb::Envelope::kChunkGet), 2u);
    const std::string content = pattern(350);
    serve_all(*kit, {{1, content}});
    EXPECT_EQ(kit->take_answer(request).payload.to_string(), content.substr(0, 200) + content.substr(250, 100));
}

TEST(ClientRead, extents_that_come_in_pages_are_followed_by_inode) {
    auto kit = client_kit();
    const uint64_t request = kit->request(read_message(0, 300), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(300, {extent(0, 100, 1)}, true));
    const Message second = kit->take(pb::Envelope::kQuery);
    EXPECT_EQ(second->query().read_extents().at().inode(), 42u);
    EXPECT_EQ(second->query().read_extents().at().path(), "");
    EXPECT_EQ(second->query().read_extents().offset(), 100u);
    EXPECT_EQ(second->query().read_extents().length(), 200u);
    kit->answer(second, extents_of(300, {extent(200, 100, 2)}));
    serve_all(*kit, {{1, pattern(100, 1)}, {2, pattern(100, 2)}});
    EXPECT_EQ(kit->take_answer(request).payload.to_string(),
              pattern(100, 1) + std::string(100, '\0') + pattern(100, 2));
}

TEST(ClientRead, unusable_extents_are_an_error) {
    auto kit = client_kit();
    const uint64_t overlapping = kit->request(read_message(0, 300), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(300, {extent(0, 200, 1), extent(100, 100, 2)}));
    EXPECT_EQ(kit->take_answer(overlapping)->client_read_reply().status().code(), pb::STATUS_INTERNAL);
    const uint64_t absurd = kit->request(read_message(0, 300), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), extents_of(300, {extent(static_cast<uint64_t>(-50), 100, 1)}));
    EXPECT_EQ(kit->take_answer(absurd)->client_read_reply().status().code(), pb::STATUS_INTERNAL);
    kit->expect_nothing();
}

TEST(ClientRead, bad_requests_are_refused_and_no_length_only_looks) {
    auto kit = client_kit();
    const uint64_t long_one = kit->request(read_message(0, kTransferBytesMax + 1), kProgram);
    EXPECT_EQ(kit->take_answer(long_one)->client_read_reply().status().code(), pb::STATUS_INVALID_ARGUMENT);
    const uint64_t negative = kit->request(read_message(static_cast<uint64_t>(-5), 1), kProgram);
    EXPECT_EQ(kit->take_answer(negative)->client_read_reply().status().code(), pb::STATUS_EINVAL);
    const uint64_t nothing = kit->request(read_message(0, 0), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), query_result(pb::STATUS_ENOENT));
    EXPECT_EQ(kit->take_answer(nothing)->client_read_reply().status().code(), pb::STATUS_ENOENT);
    kit->expect_nothing();
}

}  // namespace
}  // namespace sandstore
