// ClientWrite through the client's actor.
#include "client/checksums.h"
#include "runtime/crc32c.h"
#include "tests/unit/client/client_kit.h"

namespace sandstore {
namespace {

Message write_message(std::string bytes, uint64_t offset = 0, bool append = false, bool truncate = false) {
    pb::ClientWrite write;
    *write.mutable_at() = at("/f");
    write.set_offset(offset);
    write.set_append(append);
    write.set_truncate(truncate);
    return message_of(write, Payload(std::move(bytes)));
}

// Answers an AllocateChunks with places numbered from `number` on, on servers b, c and d.
void give_places(StepKit& kit, uint64_t number, std::vector<std::string> addresses = {"b:1", "c:1", "d:1"}) {
    const Message asked = kit.take(pb::Envelope::kAllocateChunks);
    pb::AllocateChunksReply reply;
    for (uint32_t i = 0; i < asked->allocate_chunks().count(); ++i) *reply.add_places() = place(number + i, addresses);
    kit.answer(asked, message_of(reply));
}

Message stored(std::vector<std::string> nodes) {
    pb::ChunkPutReply reply;
    for (const std::string& node : nodes) reply.add_stored_on(node);
    return message_of(reply);
}

Message put_failed(pb::StatusCode code) {
    pb::ChunkPutReply reply;
    reply.mutable_status()->set_code(code);
    return message_of(reply);
}

void store_all(StepKit& kit) {
    while (auto put = kit.try_take(pb::Envelope::kChunkPut)) kit.answer(*put, stored({"node-b", "node-c"}));
}

// The chunks that the client abandons; it has no session yet unless one is named.
std::vector<uint64_t> given_back(StepKit& kit, bool has_session = false) {
    if (!has_session) open_session(kit, 4);
    const Message told = kit.take(pb::Envelope::kMutation);
    EXPECT_EQ(told->mutation().session_id(), 4u);
    std::vector<uint64_t> numbers;
    for (const auto& chunk : told->mutation().abandon_chunks().chunks()) numbers.push_back(chunk.id().number());
    kit.answer(told, mutation_result());
    return numbers;
}

TEST(ClientWrite, goes_to_aligned_chunks_with_checksums_and_becomes_visible_in_one_mutation) {
    auto kit = client_kit();
    const std::string bytes = pattern(4096 + 1000 + 96);
    const uint64_t request = kit->request(write_message(bytes, 3096), kProgram);
    EXPECT_EQ(kit->effects().front().message->allocate_chunks().count(), 3u);
    give_places(*kit, 7);
    ASSERT_EQ(kit->count(pb::Envelope::kChunkPut), 3u);
    std::vector<uint64_t> lengths;
    std::string sent;
    for (uint64_t i = 0; i < 3; ++i) {
        const Message put = kit->take(pb::Envelope::kChunkPut);
        EXPECT_EQ(put->to_node(), "@b:1");
        EXPECT_EQ(put->to_actor(), pb::ACTOR_CHUNKS);
        EXPECT_TRUE(put->chunk_put().forward());
        EXPECT_EQ(put->chunk_put().place().id().number(), 7 + i);
        ASSERT_EQ(put->chunk_put().checksums().block_crc32c_size(), 1);
        EXPECT_EQ(put->chunk_put().checksums().block_crc32c(0), crc32c(put.payload));
        lengths.push_back(put.payload.size());
        sent += put.payload.to_string();
        kit->answer(put, stored({"node-b", "node-d"}));
    }
    EXPECT_EQ(lengths, (std::vector<uint64_t>{1000, 4096, 96}));
    EXPECT_EQ(sent, bytes);
    open_session(*kit, 4);
    const Message commit = kit->take(pb::Envelope::kMutation);
    const pb::CommitExtents& extents = commit->mutation().commit_extents();
    EXPECT_EQ(extents.offset(), 3096u);
    EXPECT_EQ(extents.at().path(), "/f");
    ASSERT_EQ(extents.extents_size(), 3);
    EXPECT_EQ(extents.extents(1).offset(), 1000u);
    EXPECT_EQ(extents.extents(1).length(), 4096u);
    EXPECT_EQ(extents.extents(1).chunk_length(), 4096u);
    EXPECT_EQ(extents.extents(1).chunk().replicas_size(), 3);
    pb::MutationResult result;
    result.mutable_attributes()->set_size(8288);
    kit->answer(commit, message_of(result));
    const Message answer = kit->take_answer(request);
    EXPECT_EQ(answer->client_write_reply().status().code(), pb::STATUS_OK);
    EXPECT_EQ(answer->client_write_reply().attributes().size(), 8288u);
    EXPECT_EQ(answer->client_write_reply().offset(), 3096u);
    kit->expect_nothing();
}

TEST(ClientWrite, an_append_tells_where_the_bytes_went) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10), 0, true), kProgram);
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    const Message commit = kit->take(pb::Envelope::kMutation);
    EXPECT_TRUE(commit->mutation().commit_extents().append());
    pb::MutationResult result;
    result.set_offset(123);
    kit->answer(commit, message_of(result));
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().offset(), 123u);
}

TEST(ClientWrite, puts_in_parallel_are_bounded) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10 * 4096)), kProgram);
    give_places(*kit, 1);
    size_t done = 0;
    while (kit->has(pb::Envelope::kChunkPut)) {
        EXPECT_LE(kit->count(pb::Envelope::kChunkPut), kPutsInParallel);
        kit->answer(kit->take(pb::Envelope::kChunkPut), stored({"node-b", "node-c"}));
        ++done;
    }
    EXPECT_EQ(done, 10u);
    open_session(*kit, 4);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result());
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
}

TEST(ClientWrite, a_refused_put_gets_a_new_place) {
    for (const pb::StatusCode code :
         {pb::STATUS_ENOSPC, pb::STATUS_EEXIST, pb::STATUS_CORRUPTED, pb::STATUS_RESOURCE_EXHAUSTED}) {
        auto kit = client_kit();
        const uint64_t request = kit->request(write_message(pattern(5000)), kProgram);
        give_places(*kit, 1);
        const Message first = kit->take(pb::Envelope::kChunkPut);
        kit->answer(kit->take(pb::Envelope::kChunkPut), put_failed(code));
        const pb::AllocateChunks allocate = kit->effects().front().message->allocate_chunks();
        EXPECT_EQ(allocate.count(), 1u);
        EXPECT_EQ(allocate.chunk_bytes(), 5000u - 4096u);
        EXPECT_EQ(allocate.avoid_size(), 3) << "the nodes that have just refused";
        give_places(*kit, 50, {"c:1", "d:1", "e:1"});
        const Message again = kit->take(pb::Envelope::kChunkPut);
        EXPECT_EQ(again->to_node(), "@c:1");
        EXPECT_EQ(again->chunk_put().place().id().number(), 50u);
        EXPECT_EQ(again.payload.size(), 5000u - 4096u);
        kit->answer(again, stored({"node-c", "node-d"}));
        kit->answer(first, stored({"node-b", "node-d"}));
        open_session(*kit, 4);
        const Message commit = kit->take(pb::Envelope::kMutation);
        EXPECT_EQ(commit->mutation().commit_extents().extents(0).chunk().id().number(), 1u);
        EXPECT_EQ(commit->mutation().commit_extents().extents(1).chunk().id().number(), 50u);
        kit->answer(commit, mutation_result());
        EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
    }
}

TEST(ClientWrite, too_few_acknowledgements_are_a_failed_put) {
    auto kit = client_kit();
    kit->request(write_message(pattern(100)), kProgram);
    give_places(*kit, 1);
    kit->answer(kit->take(pb::Envelope::kChunkPut), stored({"node-b"}));
    EXPECT_TRUE(kit->has(pb::Envelope::kChunkPut));
    EXPECT_FALSE(kit->has(pb::Envelope::kMutation));
}

TEST(ClientWrite, a_put_of_unknown_outcome_goes_to_the_same_place_once_more_through_another_replica) {
    for (const pb::StatusCode code : {pb::STATUS_UNAVAILABLE, pb::STATUS_DEADLINE_EXCEEDED}) {
        auto kit = client_kit();
        kit->request(write_message(pattern(100)), kProgram, 10 * kSecond);
        give_places(*kit, 1);
        kit->fail(kit->take_to(pb::Envelope::kChunkPut, "@b:1"), code);
        const Message again = kit->take_to(pb::Envelope::kChunkPut, "@c:1");
        EXPECT_EQ(again->chunk_put().place().id().number(), 1u);
        EXPECT_EQ(again->chunk_put().place().replicas(0), "node-c");
        EXPECT_EQ(again->chunk_put().place().addresses(0), "c:1");
        EXPECT_EQ(again->chunk_put().place().replicas_size(), 3);
        kit->fail(again, code);
        ASSERT_TRUE(kit->has(pb::Envelope::kAllocateChunks) || kit->fire_next_timer());
        give_places(*kit, 2);
        const Message once_more = kit->take(pb::Envelope::kChunkPut);
        EXPECT_EQ(once_more->chunk_put().place().id().number(), 1u) << "on the same nodes it is the same chunk";
        EXPECT_EQ(once_more->to_node(), "@d:1") << "the others did not answer a moment ago";
        kit->fail(once_more, code);
        kit->fail(kit->take(pb::Envelope::kChunkPut), code);
        ASSERT_TRUE(kit->has(pb::Envelope::kAllocateChunks) || kit->fire_next_timer());
        give_places(*kit, 3, {"e:1", "c:1", "d:1"});
        EXPECT_EQ(kit->take(pb::Envelope::kChunkPut)->chunk_put().place().id().number(), 3u);
    }
}

// Answers every put with the code until the write has ended; how many puts there were.
size_t refuse_all(StepKit& kit, uint64_t request, pb::StatusCode code) {
    uint64_t number = 1;
    size_t puts = 0;
    while (answers(kit, request) == 0) {
        while (kit.has(pb::Envelope::kAllocateChunks)) give_places(kit, number++);
        while (auto put = kit.try_take(pb::Envelope::kChunkPut)) {
            ++puts;
            kit.answer(*put, put_failed(code));
        }
        if (answers(kit, request) == 0 && !kit.has(pb::Envelope::kAllocateChunks)) kit.fire_next_timer();
    }
    return puts;
}

TEST(ClientWrite, puts_that_always_fail_end_at_the_deadline_with_nothing_changed_and_are_not_many) {
    auto kit = client_kit();
    const uint64_t deadline_us = kit->now_us() + 30 * kSecond;
    const uint64_t request = kit->request(write_message(pattern(100)), kProgram, 30 * kSecond);
    const size_t puts = refuse_all(*kit, request, pb::STATUS_UNAVAILABLE);
    EXPECT_LT(kit->now_us(), deadline_us);
    EXPECT_GT(puts, 5u);
    EXPECT_LT(puts, 100u);
    const Message answer = kit->take_answer(request);
    EXPECT_EQ(answer->client_write_reply().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_NE(answer->client_write_reply().status().message().find("nothing was changed"), std::string::npos);
}

TEST(ClientWrite, full_disks_are_told_after_a_few_places) {
    auto kit = client_kit();
    const uint64_t began_us = kit->now_us();
    const uint64_t request = kit->request(write_message(pattern(100)), kProgram, 30 * kSecond);
    EXPECT_EQ(refuse_all(*kit, request, pb::STATUS_ENOSPC), 3u);
    EXPECT_LT(kit->now_us() - began_us, 5 * kSecond);
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_ENOSPC);
    EXPECT_EQ(given_back(*kit), (std::vector<uint64_t>{1})) << "all three places were on the same nodes";
    kit->expect_nothing();
}

TEST(ClientWrite, when_no_node_has_room_nothing_is_sent) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(5000)), kProgram, 30 * kSecond);
    const Message asked = kit->take(pb::Envelope::kAllocateChunks);
    EXPECT_EQ(asked->allocate_chunks().chunk_bytes(), 4096u);
    pb::AllocateChunksReply full;
    full.mutable_status()->set_code(pb::STATUS_ENOSPC);
    kit->answer(asked, message_of(full));
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_ENOSPC);
    kit->expect_nothing();
}

TEST(ClientWrite, a_missing_file_is_made_by_the_commit_and_not_before) {
    for (const std::string& bytes : {pattern(100), std::string()}) {
        auto kit = client_kit();
        pb::ClientWrite write;
        *write.mutable_at() = at("/f");
        write.set_create(true);
        write.set_mode(0600);
        kit->request(message_of(write, Payload::copy_of(bytes)), kProgram);
        if (!bytes.empty()) give_places(*kit, 1);
        store_all(*kit);
        open_session(*kit, 4);
        const Message sent = kit->take(pb::Envelope::kMutation);
        EXPECT_TRUE(sent->mutation().commit_extents().create());
        EXPECT_EQ(sent->mutation().commit_extents().mode(), 0600u);
        kit->expect_nothing();
    }
}

TEST(ClientWrite, a_leader_change_on_the_way_is_followed) {
    auto kit = client_kit({"a:1", "b:1"});
    const uint64_t request = kit->request(write_message(pattern(100)), kProgram, 10 * kSecond);
    Message asked = kit->take(pb::Envelope::kAllocateChunks);
    pb::AllocateChunksReply moved;
    moved.mutable_status()->set_code(pb::STATUS_NOT_LEADER);
    moved.mutable_status()->set_leader_address("x:1");
    kit->answer(asked, message_of(moved));
    EXPECT_EQ(kit->effects().front().message->to_node(), "@x:1");
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    const Message commit = kit->take_to(pb::Envelope::kMutation, "@x:1");
    kit->fail(commit, pb::STATUS_UNAVAILABLE);  // The leader dies with the commit in its hands.
    std::set<uint64_t> sequences{commit->mutation().sequence()};
    ASSERT_TRUE(kit->fire_next_timer());
    Message again = kit->take(pb::Envelope::kMutation);
    EXPECT_NE(again->to_node(), "@x:1");
    kit->answer(again, mutation_result(pb::STATUS_NOT_LEADER, "y:1"));
    again = kit->take_to(pb::Envelope::kMutation, "@y:1");
    EXPECT_EQ(again->mutation().sequence(), commit->mutation().sequence());
    EXPECT_EQ(again->mutation().session_id(), 4u);
    kit->answer(again, mutation_result());
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
    kit->expect_nothing();
}

TEST(ClientWrite, places_that_grew_too_old_are_replaced_and_the_bytes_stored_again) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(5000)), kProgram, 10 * kSecond);
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ESTALE));
    ASSERT_TRUE(kit->fire_next_timer());
    give_places(*kit, 90);
    EXPECT_EQ(kit->count(pb::Envelope::kChunkPut), 2u);
    store_all(*kit);
    const Message commit = kit->take(pb::Envelope::kMutation);
    EXPECT_EQ(commit->mutation().sequence(), 2u);
    EXPECT_EQ(commit->mutation().commit_extents().extents(0).chunk().id().number(), 90u);
    kit->answer(commit, mutation_result());
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
}

TEST(ClientWrite, a_target_that_stays_stale_is_reported) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10)), kProgram, 10 * kSecond);
    bool opened = false;
    for (int round = 0; round < 10 && answers(*kit, request) == 0; ++round) {
        ASSERT_TRUE(kit->has(pb::Envelope::kAllocateChunks) || kit->fire_next_timer());
        give_places(*kit, 1);
        store_all(*kit);
        if (!opened) open_session(*kit, 4);
        opened = true;
        kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ESTALE));
    }
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_ESTALE);
}

TEST(ClientWrite, an_unanswered_commit_is_an_unknown_outcome) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10)), kProgram, 500'000);
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    kit->advance(480'000);
    kit->fail(kit->take(pb::Envelope::kMutation), pb::STATUS_DEADLINE_EXCEEDED);
    ASSERT_TRUE(kit->fire_next_timer());
    const Message answer = kit->take_answer(request);
    EXPECT_EQ(answer->client_write_reply().status().code(), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_NE(answer->client_write_reply().status().message().find("outcome is unknown"), std::string::npos);
}

TEST(ClientWrite, errors_of_the_namespace_are_the_answer) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10)), kProgram);
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ENOENT));
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(given_back(*kit, true), (std::vector<uint64_t>{1}));
    kit->expect_nothing();
}

// --- How long chunks are, and how many

TEST(ClientWrite, chunks_are_as_long_as_the_leader_wants_them) {
    auto kit = client_kit({"a:1"}, 16384);
    const auto give = [&](uint64_t chunk_bytes_max) {
        const Message asked = kit->take(pb::Envelope::kAllocateChunks);
        pb::AllocateChunksReply reply;
        reply.set_chunk_bytes_max(chunk_bytes_max);
        for (uint32_t i = 0; i < asked->allocate_chunks().count(); ++i) *reply.add_places() = place(1 + i, {"b:1"});
        kit->answer(asked, message_of(reply));
        return std::pair(asked->allocate_chunks().count(), asked->allocate_chunks().chunk_bytes());
    };
    kit->request(write_message(pattern(16384)), kProgram);
    EXPECT_EQ(give(5000), std::pair(1u, uint64_t{16384}));
    EXPECT_EQ(give(5000), std::pair(4u, uint64_t{5000})) << "split anew, nothing was sent";
    std::vector<uint64_t> lengths;
    while (auto put = kit->try_take(pb::Envelope::kChunkPut)) lengths.push_back(put->payload.size());
    EXPECT_EQ(lengths, (std::vector<uint64_t>{5000, 5000, 5000, 1384}));
    kit->request(write_message(pattern(16384)), kProgram);
    EXPECT_EQ(give(100'000), std::pair(4u, uint64_t{5000})) << "the next write knows it";
    kit->request(write_message(pattern(20'000)), kProgram);
    EXPECT_EQ(give(0), std::pair(2u, uint64_t{16384})) << "and that it is over, up to what is configured here";
}

TEST(ClientWrite, many_chunks_are_placed_by_several_requests_and_committed_by_one) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(150 * 4096)), kProgram);
    std::vector<uint32_t> counts;
    for (uint64_t number = 1; auto asked = kit->try_take(pb::Envelope::kAllocateChunks); number += counts.back()) {
        counts.push_back((*asked)->allocate_chunks().count());
        pb::AllocateChunksReply reply;
        for (uint32_t i = 0; i < counts.back(); ++i) *reply.add_places() = place(number + i, {"b:1", "c:1", "d:1"});
        kit->answer(*asked, message_of(reply));
    }
    EXPECT_EQ(counts, (std::vector<uint32_t>{64, 64, 22}));
    store_all(*kit);
    open_session(*kit, 4);
    const Message commit = kit->take(pb::Envelope::kMutation);
    ASSERT_EQ(commit->mutation().commit_extents().extents_size(), 150);
    EXPECT_EQ(commit->mutation().commit_extents().extents(149).chunk().id().number(), 150u);
    EXPECT_EQ(commit->mutation().commit_extents().extents(149).offset(), 149u * 4096);
    kit->answer(commit, mutation_result());
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
}

TEST(ClientWrite, what_one_commit_cannot_name_is_put_into_longer_chunks) {
    auto kit = client_kit();
    kit->request(write_message(std::string(16 << 20, 'x'), 1), kProgram);
    EXPECT_EQ(kit->take(pb::Envelope::kAllocateChunks)->allocate_chunks().chunk_bytes(), 32768u);
}

// --- What is given back

TEST(ClientWrite, places_that_were_left_for_others_are_given_back_when_the_file_has_its_bytes) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(100)), kProgram);
    give_places(*kit, 1);
    kit->answer(kit->take(pb::Envelope::kChunkPut), put_failed(pb::STATUS_ENOSPC));
    give_places(*kit, 50, {"c:1", "d:1", "e:1"});
    kit->answer(kit->take(pb::Envelope::kChunkPut), stored({"node-c", "node-d"}));
    open_session(*kit, 4);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result());
    EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_OK);
    EXPECT_EQ(given_back(*kit, true), (std::vector<uint64_t>{1}));
    kit->expect_nothing();
}

TEST(ClientWrite, an_id_that_other_bytes_have_is_not_used_again) {
    auto kit = client_kit();
    kit->request(write_message(pattern(100)), kProgram);
    give_places(*kit, 1);
    kit->answer(kit->take(pb::Envelope::kChunkPut), put_failed(pb::STATUS_EEXIST));
    give_places(*kit, 2);
    const Message again = kit->take(pb::Envelope::kChunkPut);
    EXPECT_EQ(again->chunk_put().place().id().number(), 2u);
    kit->answer(again, stored({"node-b", "node-c"}));
    open_session(*kit, 4);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ENOENT));
    EXPECT_EQ(given_back(*kit, true), (std::vector<uint64_t>{2})) << "the first one may be somebody else's";
}

TEST(ClientWrite, what_may_be_in_the_file_is_not_given_back) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10)), kProgram, 500'000);
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    kit->fail(kit->take(pb::Envelope::kMutation), pb::STATUS_UNAVAILABLE);
    while (answers(*kit, request) == 0) {
        while (auto again = kit->try_take(pb::Envelope::kMutation)) kit->fail(*again, pb::STATUS_UNAVAILABLE);
        kit->fire_next_timer();
    }
    kit->take_answer(request);
    EXPECT_FALSE(kit->has(pb::Envelope::kMutation));
}

TEST(ClientWrite, a_client_that_closes_gives_back_first) {
    auto kit = client_kit();
    const uint64_t request = kit->request(write_message(pattern(10)), kProgram);
    give_places(*kit, 1);
    store_all(*kit);
    open_session(*kit, 4);
    kit->answer(kit->take(pb::Envelope::kMutation), mutation_result(pb::STATUS_ENOENT));
    kit->take_answer(request);
    const uint64_t drain = kit->request(message_of(pb::Drain()), kProgram);
    EXPECT_EQ(answers(*kit, drain), 0u);
    EXPECT_EQ(given_back(*kit, true), (std::vector<uint64_t>{1}));
    const Message close = kit->take(pb::Envelope::kMutation);
    EXPECT_TRUE(close->mutation().has_close_session());
    kit->answer(close, mutation_result());
    kit->take_answer(drain);
    kit->expect_nothing();
}

TEST(ClientWrite, no_bytes_with_truncate_is_one_mutation_and_without_only_looks) {
    auto kit = client_kit();
    const uint64_t truncating = kit->request(write_message("", 0, false, true), kProgram);
    open_session(*kit, 4);
    const Message commit = kit->take(pb::Envelope::kMutation);
    EXPECT_TRUE(commit->mutation().commit_extents().truncate());
    EXPECT_EQ(commit->mutation().commit_extents().extents_size(), 0);
    kit->answer(commit, mutation_result());
    EXPECT_EQ(kit->take_answer(truncating)->client_write_reply().status().code(), pb::STATUS_OK);

    const uint64_t looking = kit->request(write_message("", 5), kProgram);
    kit->answer(kit->take(pb::Envelope::kQuery), query_result(pb::STATUS_ENOENT));
    EXPECT_EQ(kit->take_answer(looking)->client_write_reply().status().code(), pb::STATUS_ENOENT);
    kit->expect_nothing();
}

TEST(ClientWrite, bad_requests_are_refused_without_asking_anyone) {
    auto kit = client_kit();
    const uint64_t long_one = kit->request(write_message(std::string(kTransferBytesMax + 1, 'x')), kProgram);
    EXPECT_EQ(kit->take_answer(long_one)->client_write_reply().status().code(), pb::STATUS_INVALID_ARGUMENT);
    const uint64_t negative = kit->request(write_message("x", static_cast<uint64_t>(-1)), kProgram);
    EXPECT_EQ(kit->take_answer(negative)->client_write_reply().status().code(), pb::STATUS_EINVAL);
    const uint64_t beyond = kit->request(write_message("xx", kFileOffsetMax - 1), kProgram);
    EXPECT_EQ(kit->take_answer(beyond)->client_write_reply().status().code(), pb::STATUS_EFBIG);
    kit->expect_nothing();
}

TEST(ClientWrite, unusable_places_are_an_error) {
    for (int kind = 0; kind < 4; ++kind) {
        auto kit = client_kit();
        const uint64_t request = kit->request(write_message(pattern(5000)), kProgram);
        pb::AllocateChunksReply reply;
        if (kind != 0) *reply.add_places() = place(1, {"b:1"});
        if (kind != 0) *reply.add_places() = place(2, {"b:1"});
        if (kind == 1) reply.mutable_places(1)->clear_addresses();
        if (kind == 2) reply.mutable_places(0)->set_addresses(0, "~5");
        if (kind == 3) reply.mutable_places(1)->clear_id();
        kit->answer(kit->take(pb::Envelope::kAllocateChunks), message_of(reply));
        EXPECT_EQ(kit->take_answer(request)->client_write_reply().status().code(), pb::STATUS_INTERNAL);
        kit->expect_nothing();
    }
}

TEST(BlockChecksums, do_not_depend_on_how_the_bytes_lie_in_memory) {
    const std::string bytes = pattern(3 * 65536 + 17);
    const pb::ChunkChecksums whole = chunk_checksums(Payload::copy_of(bytes));
    ASSERT_EQ(whole.block_crc32c_size(), 4);
    EXPECT_EQ(whole.block_crc32c(3), crc32c(std::string_view(bytes).substr(3 * 65536)));
    Payload pieces;
    for (size_t i = 0; i < bytes.size(); i += 50'001) pieces.append(Payload::copy_of(bytes.substr(i, 50'001)));
    EXPECT_EQ(chunk_checksums(pieces).SerializeAsString(), whole.SerializeAsString());
    EXPECT_EQ(chunk_checksums(Payload()).block_crc32c_size(), 0);
}

}  // namespace
}  // namespace sandstore
