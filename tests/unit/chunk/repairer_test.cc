#include "actors/chunk/repairer.h"

#include <gtest/gtest.h>

#include "actors/chunk/chunk_file.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;
constexpr uint64_t kInterval = 60'000'000;
constexpr uint64_t kGrace = 3'600'000'000;

class RepairerTest : public testing::Test {
 protected:
    void SetUp() override {
        pb::StartRepairer start;
        start.set_node_id("node-1");
        start.set_interval_ms(kInterval / 1000);
        start.set_orphan_grace_us(kGrace);
        kit.deliver(message_of(start));
    }

    void lead(const std::string& leader) {
        pb::RoleChanged role;
        role.set_leader_id(leader);
        kit.deliver(message_of(role), {pb::ACTOR_RAFT});
    }

    // Begins a round under node-2 and gives its first question.
    Message first_audit() {
        lead("node-2");
        kit.advance(2 * Repairer::kEarlyRoundUs);
        return kit.take(Body::kChunkAudit);
    }

    static pb::ChunkAuditReply page(std::vector<ChunkKey> keys, ChunkKey last = {}) {
        pb::ChunkAuditReply reply;
        for (const ChunkKey key : keys) {
            pb::ChunkPlace* place = reply.add_chunks();
            *place->mutable_id() = id_of(key);
            place->add_replicas("node-1");
            place->add_replicas("node-2");
        }
        reply.set_done(last == ChunkKey{});
        if (!reply.done()) *reply.mutable_last() = id_of(last);
        return reply;
    }

    struct Local {
        ChunkKey key;
        bool old = true;
        bool damaged = false;
    };
    pb::ChunkListReply local(std::vector<Local> chunks, bool more = false) {
        pb::ChunkListReply reply;
        for (const Local& chunk : chunks) {
            pb::ChunkStatus* status = reply.add_chunks();
            *status->mutable_id() = id_of(chunk.key);
            status->set_length(1);
            status->set_damaged(chunk.damaged);
            status->set_allocated_at_us(kit.wall_us() - (chunk.old ? 2 * kGrace : kGrace / 2));
        }
        reply.set_more(more);
        return reply;
    }

    // The leader is asked about what the pages did not name, and says this of all; gives what it was asked about.
    std::vector<uint64_t> judged(pb::ChunkVerdict verdict = pb::CHUNK_UNKNOWN, uint64_t clock_ahead_us = 0) {
        std::vector<uint64_t> numbers;
        const Message asked = kit.take(Body::kChunkAudit);
        EXPECT_FALSE(asked->chunk_audit().candidates().empty());
        pb::ChunkAuditReply reply;
        reply.set_clock_us(kit.wall_us() + clock_ahead_us);
        reply.set_began_us(began_us);
        for (const pb::ChunkStatus& candidate : asked->chunk_audit().candidates()) {
            numbers.push_back(candidate.id().number());
            reply.add_verdicts(verdict);
        }
        kit.answer(asked, message_of(reply));
        return numbers;
    }
    // A round in which the leader knows of nothing, up to its question about what is here.
    void round_with_nothing_but(std::vector<Local> chunks) {
        kit.answer(first_audit(), message_of(page({})));
        kit.answer(kit.take(Body::kChunkList), message_of(local(std::move(chunks))));
    }
    static std::vector<Local> many(uint64_t count) {
        std::vector<Local> chunks;
        for (uint64_t number = 1; number <= count; number++) chunks.push_back({{1, number}});
        return chunks;
    }

    std::vector<uint64_t> deleted() {
        std::vector<uint64_t> numbers;
        const std::optional<Message> asked = kit.try_take(Body::kChunkDelete);
        if (!asked) return numbers;
        for (const pb::ChunkId& id : (*asked)->chunk_delete().ids()) numbers.push_back(id.number());
        kit.answer(*asked, message_of(pb::StatusReply()));
        return numbers;
    }

    uint64_t fetched() {
        const Message asked = kit.take(Body::kChunkFetch);
        kit.answer(asked, message_of(pb::StatusReply()));
        return asked->chunk_fetch().place().id().number();
    }

    // Whatever happened: nothing is asked for now, and another round follows in time.
    void expect_round_over() {
        kit.expect_nothing();
        kit.advance(2 * kInterval);
        EXPECT_TRUE(kit.has(Body::kChunkAudit));
    }

    StepKit kit{std::make_unique<Repairer>(), {pb::ACTOR_REPAIRER, 0}};
    uint64_t began_us = 0;
};

using Numbers = std::vector<uint64_t>;

TEST_F(RepairerTest, asks_the_leader_wherever_it_is) {
    const Message audit = first_audit();
    EXPECT_EQ(audit->to_node(), "node-2");
    EXPECT_EQ(audit->to_actor(), pb::ACTOR_FILES);
    EXPECT_EQ(audit->chunk_audit().node_id(), "node-1");
    EXPECT_FALSE(audit->chunk_audit().has_after());
    EXPECT_GT(audit->chunk_audit().limit(), 0u);
    lead("node-1");
    kit.advance(2 * Repairer::kEarlyRoundUs);
    EXPECT_EQ(kit.take(Body::kChunkAudit)->to_node(), "");
}

TEST_F(RepairerTest, fetches_what_is_missing_or_damaged_and_deletes_old_orphans) {
    kit.answer(first_audit(), message_of(page({{1, 1}, {1, 2}, {1, 5}, {1, 6}})));
    const Message list = kit.take(Body::kChunkList);
    EXPECT_EQ(list->to_node(), "");
    EXPECT_FALSE(list->chunk_list().has_after());
    EXPECT_FALSE(list->chunk_list().has_until());
    kit.answer(list, message_of(local({{{1, 1}}, {{1, 2}, true, true}, {{1, 3}}, {{1, 4}, false}, {{1, 6}}})));
    EXPECT_EQ(fetched(), 2u);
    EXPECT_EQ(fetched(), 5u);
    EXPECT_EQ(judged(), (Numbers{3, 4}));
    EXPECT_EQ(deleted(), Numbers{3});
    EXPECT_TRUE(kit.logged("Repair begun missing=2"));
    EXPECT_TRUE(kit.logged("Repair finished checked=4 fetched=2 deleted=1 failed=0 problem=none"));
    expect_round_over();
}

TEST_F(RepairerTest, says_nothing_when_there_was_nothing_to_do) {
    kit.answer(first_audit(), message_of(page({{1, 1}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 1}}})));
    EXPECT_FALSE(kit.logged("Repair"));
    expect_round_over();
}

TEST_F(RepairerTest, walks_page_by_page_and_compares_equal_ranges) {
    kit.answer(first_audit(), message_of(page({{1, 1}, {1, 4}}, {1, 4})));
    const Message first = kit.take(Body::kChunkList);
    EXPECT_EQ(key_of(first->chunk_list().until()), (ChunkKey{1, 4}));
    kit.answer(first, message_of(local({{{1, 1}}, {{1, 2}}})));
    EXPECT_EQ(fetched(), 4u);
    const Message second = kit.take(Body::kChunkAudit);
    EXPECT_EQ(key_of(second->chunk_audit().after()), (ChunkKey{1, 4}));
    // An empty page that covers a range: all in it are orphans.
    kit.answer(second, message_of(page({}, {1, 9})));
    const Message middle = kit.take(Body::kChunkList);
    EXPECT_EQ(key_of(middle->chunk_list().after()), (ChunkKey{1, 4}));
    EXPECT_EQ(key_of(middle->chunk_list().until()), (ChunkKey{1, 9}));
    kit.answer(middle, message_of(local({{{1, 5}}, {{1, 9}}})));
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({{2, 1}})));
    const Message last = kit.take(Body::kChunkList);
    EXPECT_EQ(key_of(last->chunk_list().after()), (ChunkKey{1, 9}));
    EXPECT_FALSE(last->chunk_list().has_until());
    kit.answer(last, message_of(local({{{2, 1}}, {{7, 7}}})));
    EXPECT_EQ(judged(), (Numbers{2, 5, 9, 7}));
    EXPECT_EQ(deleted(), (Numbers{2, 5, 9, 7}));
    expect_round_over();
}

TEST_F(RepairerTest, own_lists_come_in_pages_too) {
    kit.answer(first_audit(), message_of(page({{1, 2}, {1, 5}, {1, 6}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 1}}, {{1, 2}}}, true)));
    EXPECT_FALSE(kit.has(Body::kChunkFetch));  // 5 and 6 may be on the next page.
    const Message next = kit.take(Body::kChunkList);
    EXPECT_EQ(key_of(next->chunk_list().after()), (ChunkKey{1, 2}));
    kit.answer(next, message_of(local({{{1, 5}}})));
    EXPECT_EQ(fetched(), 6u);
    EXPECT_EQ(judged(), Numbers{1});
    EXPECT_EQ(deleted(), Numbers{1});
    expect_round_over();
}

TEST_F(RepairerTest, fetches_only_a_few_at_a_time) {
    std::vector<ChunkKey> keys;
    for (uint64_t number = 1; number <= 20; number++) keys.push_back({1, number});
    kit.answer(first_audit(), message_of(page(keys)));
    kit.answer(kit.take(Body::kChunkList), message_of(local({})));
    for (uint64_t number = 1; number <= 20; number++) {
        EXPECT_LE(kit.count(Body::kChunkFetch), Repairer::kFetchesInFlightMax);
        EXPECT_EQ(fetched(), number);
    }
    expect_round_over();
}

TEST_F(RepairerTest, a_failed_fetch_is_tried_again_soon) {
    kit.answer(first_audit(), message_of(page({{1, 1}, {1, 2}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({})));
    pb::StatusReply failed;
    failed.mutable_status()->set_code(pb::STATUS_UNAVAILABLE);
    failed.mutable_status()->set_message("nobody has it");
    kit.answer(kit.take(Body::kChunkFetch), message_of(failed));
    EXPECT_EQ(fetched(), 2u);
    EXPECT_TRUE(kit.logged("fetched=1 deleted=0 failed=1"));
    EXPECT_TRUE(kit.logged("nobody has it"));
    kit.advance(2 * Repairer::kRetryUs);
    EXPECT_TRUE(kit.has(Body::kChunkAudit));
}

TEST_F(RepairerTest, what_is_missing_can_be_seen_to_become_less) {
    const auto missing = [&] { return kit.metrics().gauge("sandstore_repair_missing_chunks", "").value(); };
    kit.answer(first_audit(), message_of(page({{1, 1}, {1, 2}, {1, 3}}, {1, 3})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 1}}})));
    EXPECT_EQ(missing(), 2);
    EXPECT_EQ(fetched(), 2u);
    EXPECT_EQ(missing(), 1);
    pb::StatusReply failed;
    failed.mutable_status()->set_code(pb::STATUS_UNAVAILABLE);
    kit.answer(kit.take(Body::kChunkFetch), message_of(failed));
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({{1, 9}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 9}}})));
    EXPECT_EQ(missing(), 1) << "one could not be fetched";
    // The next round ends early, and so cannot know that it is there now.
    kit.advance(2 * Repairer::kRetryUs);
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({{1, 1}}, {1, 1})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 1}}})));
    kit.fail(kit.take(Body::kChunkAudit), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(missing(), 1);
    kit.advance(2 * Repairer::kRetryUs);
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({{1, 1}, {1, 2}, {1, 3}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 1}}, {{1, 2}}, {{1, 3}}})));
    EXPECT_EQ(missing(), 0);
}

TEST_F(RepairerTest, many_collected_chunks_are_deleted_in_batches_whatever_their_age) {
    std::vector<Local> orphans = many(Repairer::kDeleteBatchMax + 1);
    for (Local& orphan : orphans) orphan.old = false;
    round_with_nothing_but(orphans);
    EXPECT_EQ(judged(pb::CHUNK_COLLECTED).size(), Repairer::kDeleteBatchMax + 1);
    EXPECT_EQ(deleted().size(), Repairer::kDeleteBatchMax);
    EXPECT_EQ(deleted().size(), 1u);
    expect_round_over();
}

TEST_F(RepairerTest, what_the_state_machine_says_is_collected_is_deleted_without_a_round) {
    pb::ChunksCollected collected;
    for (uint64_t number = 1; number <= Repairer::kDeleteBatchMax + 1; number++)
        *collected.add_ids() = id_of({1, number});
    kit.deliver(message_of(collected), {pb::ACTOR_STATE_MACHINE});
    EXPECT_EQ(kit.count(Body::kChunkDelete), 1u) << "one request at a time";
    EXPECT_EQ(deleted().size(), Repairer::kDeleteBatchMax);
    EXPECT_EQ(deleted().size(), 1u);
    kit.expect_nothing();
}

TEST_F(RepairerTest, a_failed_deletion_of_collected_chunks_is_left_for_the_next_round) {
    pb::ChunksCollected collected;
    *collected.add_ids() = id_of({1, 1});
    kit.deliver(message_of(collected), {pb::ACTOR_STATE_MACHINE});
    pb::StatusReply failed;
    failed.mutable_status()->set_code(pb::STATUS_EIO);
    kit.answer(kit.take(Body::kChunkDelete), message_of(failed));
    kit.expect_nothing();
    round_with_nothing_but({{{1, 1}, false}});
    judged(pb::CHUNK_COLLECTED);
    EXPECT_EQ(deleted(), Numbers{1});
}

TEST_F(RepairerTest, a_full_disk_is_not_asked_again_and_again_to_take_what_it_cannot_hold) {
    std::vector<ChunkKey> keys;
    for (uint64_t number = 1; number <= 20; number++) keys.push_back({1, number});
    kit.answer(first_audit(), message_of(page(keys)));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 99}}})));
    pb::StatusReply full;
    full.mutable_status()->set_code(pb::STATUS_ENOSPC);
    full.mutable_status()->set_message("the disk of node node-1 is full");
    size_t asked = 0;
    while (kit.has(Body::kChunkFetch)) {
        kit.answer(kit.take(Body::kChunkFetch), message_of(full));
        asked++;
    }
    EXPECT_LE(asked, Repairer::kFetchesInFlightMax);
    judged();
    EXPECT_EQ(deleted(), Numbers{99}) << "what frees space goes on";
    const Message state = kit.take(Body::kRepairState);
    EXPECT_NE(state->repair_state().problem().find("the disk of node node-1 is full"), std::string::npos);
    EXPECT_EQ(kit.metrics().gauge("sandstore_repair_no_room_chunks", "").value(), 20);
    kit.advance(kInterval / 2);
    kit.expect_nothing();
    // With room again, the same round as ever; and it is told that all is well.
    kit.advance(kInterval);
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({{1, 1}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({})));
    EXPECT_EQ(fetched(), 1u);
    EXPECT_EQ(kit.take(Body::kRepairState)->repair_state().problem(), "");
}

// --- The brake

TEST_F(RepairerTest, a_namespace_that_knows_nothing_of_what_is_here_makes_nobody_delete_it) {
    round_with_nothing_but(many(Repairer::kBrakeChunks + 1));
    judged();
    EXPECT_FALSE(kit.has(Body::kChunkDelete));
    const Message state = kit.take(Body::kRepairState);
    EXPECT_TRUE(state->repair_state().deletions_stopped());
    EXPECT_NE(state->repair_state().problem().find("sandstore cluster allow-deletions node-1"), std::string::npos);
    EXPECT_EQ(kit.metrics().gauge("sandstore_repair_deletions_stopped", "").value(), 1);
    EXPECT_TRUE(kit.logged("Deletions stopped"));
}

TEST_F(RepairerTest, an_operator_allows_once_what_the_brake_stopped) {
    round_with_nothing_but(many(Repairer::kBrakeChunks + 1));
    judged();
    pb::AllowDeletions allow;
    allow.set_node_id("node-1");
    const uint64_t allowed = kit.request(message_of(allow), {"node-2", pb::ACTOR_STATUS});
    EXPECT_EQ(kit.take_answer(allowed)->status_reply().status().code(), pb::STATUS_OK);
    kit.advance(2 * Repairer::kEarlyRoundUs);
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({})));
    kit.answer(kit.take(Body::kChunkList), message_of(local(many(Repairer::kBrakeChunks + 1))));
    judged();
    EXPECT_EQ(deleted().size(), Repairer::kBrakeChunks + 1);
    // The next time it asks again.
    kit.advance(2 * kInterval);
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({})));
    kit.answer(kit.take(Body::kChunkList), message_of(local(many(Repairer::kBrakeChunks + 1))));
    judged();
    EXPECT_FALSE(kit.has(Body::kChunkDelete));
}

TEST_F(RepairerTest, nothing_is_allowed_that_was_not_stopped) {
    const uint64_t allowed = kit.request(message_of(pb::AllowDeletions()), {pb::ACTOR_STATUS});
    EXPECT_EQ(kit.take_answer(allowed)->status_reply().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(RepairerTest, a_small_share_is_deleted_without_asking) {
    std::vector<ChunkKey> known;
    for (uint64_t number = 1000; number < 1000 + 5 * Repairer::kBrakeChunks; number++) known.push_back({1, number});
    std::vector<Local> here = many(Repairer::kBrakeChunks + 1);
    for (const ChunkKey key : known) here.push_back({key});
    kit.answer(first_audit(), message_of(page(known)));
    kit.answer(kit.take(Body::kChunkList), message_of(local(here)));
    judged();
    EXPECT_EQ(deleted().size(), Repairer::kBrakeChunks + 1);
}

TEST_F(RepairerTest, one_chunk_from_before_the_namespace_is_enough_to_stop) {
    began_us = kit.wall_us();
    round_with_nothing_but({{{1, 1}}});
    judged();
    EXPECT_FALSE(kit.has(Body::kChunkDelete));
    EXPECT_NE(kit.take(Body::kRepairState)->repair_state().problem().find("older than the namespace"),
              std::string::npos);
}

TEST_F(RepairerTest, what_was_collected_or_is_elsewhere_is_deleted_whatever_the_share) {
    round_with_nothing_but(many(Repairer::kBrakeChunks + 1));
    judged(pb::CHUNK_ELSEWHERE);
    EXPECT_EQ(deleted().size(), Repairer::kBrakeChunks + 1);
}

TEST_F(RepairerTest, what_the_leader_wants_here_after_all_stays) {
    round_with_nothing_but({{{1, 1}}});
    judged(pb::CHUNK_WANTED);
    expect_round_over();
}

// --- What must never lead to a deletion

TEST_F(RepairerTest, without_a_leader_nothing_happens) {
    kit.advance(10 * kInterval);
    kit.expect_nothing();
    lead("");
    kit.advance(10 * kInterval);
    kit.expect_nothing();
}

TEST_F(RepairerTest, errors_of_the_leader_delete_nothing) {
    for (const pb::StatusCode code : {pb::STATUS_NOT_LEADER, pb::STATUS_UNAVAILABLE, pb::STATUS_INTERNAL}) {
        Message audit = kit.has(Body::kChunkAudit) ? kit.take(Body::kChunkAudit) : first_audit();
        pb::ChunkAuditReply reply = page({});
        reply.mutable_status()->set_code(code);
        kit.answer(audit, message_of(reply));
        expect_round_over();
    }
    kit.fail(kit.take(Body::kChunkAudit), pb::STATUS_DEADLINE_EXCEEDED);
    expect_round_over();
}

TEST_F(RepairerTest, an_error_on_a_later_page_ends_the_round) {
    kit.answer(first_audit(), message_of(page({}, {1, 4})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({})));
    kit.fail(kit.take(Body::kChunkAudit), pb::STATUS_UNAVAILABLE);
    expect_round_over();
    EXPECT_FALSE(kit.take(Body::kChunkAudit)->chunk_audit().has_after());
}

TEST_F(RepairerTest, odd_pages_delete_nothing) {
    std::vector<pb::ChunkAuditReply> odd;
    odd.push_back(page({}));
    odd.back().set_done(false);  // Not done, and no range.
    for (const pb::ChunkAuditReply& reply : odd) {
        Message audit = kit.has(Body::kChunkAudit) ? kit.take(Body::kChunkAudit) : first_audit();
        kit.answer(audit, message_of(reply));
        EXPECT_TRUE(kit.logged("malformed"));
        expect_round_over();
    }
}

TEST_F(RepairerTest, one_odd_chunk_in_a_page_stops_nothing_but_itself) {
    std::vector<pb::ChunkAuditReply> odd;
    odd.push_back(page({{1, 1}, {1, 5}}, {1, 4}));
    odd.back().set_done(true);
    odd.push_back(page({{1, 1}, {1, 5}, {1, 5}}));
    odd.push_back(page({{1, 1}, {0, 0}}));
    odd.push_back(page({{1, 1}, {1, 5}}));
    odd.back().mutable_chunks(1)->set_replicas(0, "node-3");
    for (const pb::ChunkAuditReply& reply : odd) {
        Message audit = kit.has(Body::kChunkAudit) ? kit.take(Body::kChunkAudit) : first_audit();
        kit.answer(audit, message_of(reply));
        kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 5}, false}})));
        EXPECT_EQ(fetched(), 1u);
        if (kit.has(Body::kChunkAudit)) judged();
        kit.advance(2 * kInterval);
        ASSERT_TRUE(kit.has(Body::kChunkAudit));
    }
}

TEST_F(RepairerTest, asks_for_a_chunk_with_no_more_replicas_than_its_file_can_name) {
    pb::ChunkAuditReply reply = page({{1, 1}});
    auto& replicas = *reply.mutable_chunks(0)->mutable_replicas();
    replicas.Clear();
    for (const char* node : {"a", "b", "c", "d", "e", "f", "g", "h", "node-1"}) *replicas.Add() = node;
    kit.answer(first_audit(), message_of(reply));
    kit.answer(kit.take(Body::kChunkList), message_of(local({})));
    const pb::ChunkPlace place = kit.take(Body::kChunkFetch)->chunk_fetch().place();
    EXPECT_EQ(static_cast<size_t>(place.replicas_size()), kChunkReplicasMax);
    EXPECT_EQ(std::ranges::count(place.replicas(), "node-1"), 1);
}

TEST_F(RepairerTest, verdicts_of_another_number_delete_nothing) {
    round_with_nothing_but({{{1, 1}}, {{1, 2}}});
    pb::ChunkAuditReply reply;
    reply.set_clock_us(kit.wall_us());
    reply.add_verdicts(pb::CHUNK_COLLECTED);
    kit.answer(kit.take(Body::kChunkAudit), message_of(reply));
    expect_round_over();
}

TEST_F(RepairerTest, a_failed_list_deletes_nothing) {
    kit.answer(first_audit(), message_of(page({{1, 1}})));
    kit.fail(kit.take(Body::kChunkList), pb::STATUS_RESOURCE_EXHAUSTED);
    expect_round_over();
}

TEST_F(RepairerTest, lists_out_of_range_delete_nothing) {
    kit.answer(first_audit(), message_of(page({}, {1, 4})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 5}}})));
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({{1, 5}})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({{{1, 5}}})));
    expect_round_over();
}

TEST_F(RepairerTest, a_new_leader_in_the_middle_ends_the_round) {
    kit.answer(first_audit(), message_of(page({})));
    const Message list = kit.take(Body::kChunkList);
    lead("node-3");
    kit.answer(list, message_of(local({{{1, 1}}})));
    kit.expect_nothing();
    kit.advance(2 * Repairer::kEarlyRoundUs);
    EXPECT_EQ(kit.take(Body::kChunkAudit)->to_node(), "node-3");
}

TEST_F(RepairerTest, an_answer_of_the_old_leader_means_nothing_in_the_next_round) {
    const Message old_audit = first_audit();
    lead("node-3");
    kit.advance(2 * Repairer::kEarlyRoundUs);
    const Message new_audit = kit.take(Body::kChunkAudit);
    kit.answer(old_audit, message_of(page({})));
    kit.expect_nothing();
    kit.answer(new_audit, message_of(page({{1, 1}})));
    EXPECT_TRUE(kit.has(Body::kChunkList));
}

TEST_F(RepairerTest, the_loss_of_the_leader_ends_the_round) {
    const Message audit = first_audit();
    lead("");
    kit.answer(audit, message_of(page({})));
    kit.advance(10 * kInterval);
    kit.expect_nothing();
}

TEST_F(RepairerTest, the_grace_is_kept_to_the_microsecond_by_the_cluster_s_clock) {
    kit.answer(first_audit(), message_of(page({})));
    constexpr uint64_t kAhead = 5'000'000;  // The cluster's clock before this node's.
    pb::ChunkListReply reply = local({{{1, 1}}, {{1, 2}}, {{1, 3}}});
    reply.mutable_chunks(0)->set_allocated_at_us(kit.wall_us() + kAhead - kGrace);
    reply.mutable_chunks(1)->set_allocated_at_us(kit.wall_us() + kAhead - kGrace - 1);
    reply.mutable_chunks(2)->set_allocated_at_us(kit.wall_us() + kGrace);  // From the future.
    kit.answer(kit.take(Body::kChunkList), message_of(reply));
    judged(pb::CHUNK_UNKNOWN, kAhead);
    EXPECT_EQ(deleted(), Numbers{2});
}

TEST_F(RepairerTest, a_failed_deletion_is_noted_and_the_round_goes_on) {
    round_with_nothing_but(many(Repairer::kDeleteBatchMax + 1));
    judged(pb::CHUNK_COLLECTED);
    pb::StatusReply failed;
    failed.mutable_status()->set_code(pb::STATUS_EIO);
    kit.answer(kit.take(Body::kChunkDelete), message_of(failed));
    EXPECT_EQ(deleted().size(), 1u);
    EXPECT_TRUE(kit.logged(str_cat("deleted=1 failed=", Repairer::kDeleteBatchMax)));
    expect_round_over();
}

TEST(Repairer, a_grace_that_could_delete_what_may_still_be_committed_is_refused) {
    for (const uint64_t beyond : {uint64_t{0}, uint64_t{1}}) {
        StepKit kit(std::make_unique<Repairer>(), {pb::ACTOR_REPAIRER, 0});
        pb::StartRepairer start;
        start.set_node_id("node-1");
        start.set_interval_ms(1000);
        start.set_chunk_commit_window_us(600'000'000);
        start.set_orphan_grace_us(600'000'000 + Repairer::kClockStepMaxUs + beyond);
        kit.deliver(message_of(start));
        EXPECT_EQ(kit.stopped().has_value(), beyond == 0);
    }
}

TEST(Repairer, without_a_grace_nothing_is_deleted) {
    StepKit kit(std::make_unique<Repairer>(), {pb::ACTOR_REPAIRER, 0});
    pb::StartRepairer start;
    start.set_node_id("node-1");
    start.set_interval_ms(1000);
    kit.deliver(message_of(start));
    pb::RoleChanged role;
    role.set_leader_id("node-1");
    kit.deliver(message_of(role));
    kit.advance(2'000'000);
    pb::ChunkAuditReply reply;
    reply.set_done(true);
    kit.answer(kit.take(Body::kChunkAudit), message_of(reply));
    pb::ChunkListReply list;
    *list.add_chunks()->mutable_id() = id_of({1, 1});
    kit.answer(kit.take(Body::kChunkList), message_of(list));
    kit.expect_nothing();
}

// --- When

TEST_F(RepairerTest, rounds_repeat_with_jitter) {
    Message audit = first_audit();
    std::vector<uint64_t> gaps;
    for (int i = 0; i < 5; i++) {
        kit.answer(audit, message_of(page({})));
        kit.answer(kit.take(Body::kChunkList), message_of(local({})));
        const uint64_t ended_us = kit.now_us();
        ASSERT_TRUE(kit.fire_next_timer());
        audit = kit.take(Body::kChunkAudit);
        gaps.push_back(kit.now_us() - ended_us);
        EXPECT_GE(gaps.back(), kInterval);
        EXPECT_LE(gaps.back(), kInterval + kInterval / 4);
    }
    EXPECT_NE(gaps[0], gaps[1]);
}

TEST_F(RepairerTest, the_way_back_to_the_leader_starts_a_round_early) {
    kit.fail(first_audit(), pb::STATUS_UNAVAILABLE);
    kit.advance(2 * kInterval);
    kit.answer(kit.take(Body::kChunkAudit), message_of(page({})));
    kit.answer(kit.take(Body::kChunkList), message_of(local({})));
    pb::PeerUp up;
    up.set_node_id("node-3");
    kit.deliver(message_of(up));
    kit.advance(2 * Repairer::kEarlyRoundUs);
    kit.expect_nothing();
    up.set_node_id("node-2");
    kit.deliver(message_of(up));
    kit.advance(2 * Repairer::kEarlyRoundUs);
    EXPECT_TRUE(kit.has(Body::kChunkAudit));
}

TEST_F(RepairerTest, one_round_at_a_time) {
    first_audit();
    pb::PeerUp up;
    up.set_node_id("node-2");
    kit.deliver(message_of(up));
    kit.advance(10 * kInterval);
    kit.expect_nothing();
}

TEST_F(RepairerTest, drains_at_once) {
    const Message audit = first_audit();
    const uint64_t id = kit.request(message_of(pb::Drain()), {pb::ACTOR_BOOTSTRAP});
    EXPECT_EQ(kit.take_answer(id)->status_reply().status().code(), pb::STATUS_OK);
    kit.answer(audit, message_of(page({})));
    kit.advance(10 * kInterval);
    kit.expect_nothing();
    EXPECT_EQ(kit.timers(), 0u);
}

}  // namespace
}  // namespace sandstore
