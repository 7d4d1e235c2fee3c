// The FileService on what clocks and full disks bring about: the cluster's clock, commands of its own, chunks that are
// refused.
#include "tests/unit/fs/file_service_fixture.h"

namespace sandstore {
namespace {

TEST_F(FileServiceTest, an_audit_carries_the_cluster_s_clock_and_what_is_known_of_candidates) {
    lead(1);
    pb::ChunkAudit request = audit();
    request.add_candidates()->mutable_id()->set_number(7);
    const uint64_t id = ask(request);
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    const Message query = kit_.take(pb::Envelope::kQuery);
    ASSERT_EQ(query->query().chunks_of_node().candidates_size(), 1);
    EXPECT_EQ(query->query().chunks_of_node().candidates(0).id().number(), 7u);
    pb::QueryResult result;
    result.set_clock_us(kit_.wall_us() - 5);
    result.set_began_us(17);
    result.add_verdicts(pb::CHUNK_COLLECTED);
    kit_.answer(query, message_of(result));
    const Message answer = kit_.take_answer(id);
    EXPECT_EQ(answer->chunk_audit_reply().clock_us(), result.clock_us());
    EXPECT_EQ(answer->chunk_audit_reply().began_us(), 17u);
    EXPECT_EQ(answer->chunk_audit_reply().verdicts(0), pb::CHUNK_COLLECTED);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, an_audit_moves_the_clock_of_a_cluster_in_which_nobody_writes) {
    lead(1);
    ask(audit());
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), read_index(9));
    pb::QueryResult result;
    result.set_clock_us(kit_.wall_us() - FileService::kClockLagMaxUs - 1);
    kit_.answer(kit_.take(pb::Envelope::kQuery), message_of(result));
    EXPECT_TRUE(housekeeping_in(kit_.take(pb::Envelope::kPropose)));
}

// --- What only commands bring on ------------------------------------------------------------------------------------

TEST_F(FileServiceTest, the_leader_proposes_a_command_when_there_is_something_to_do) {
    constexpr uint64_t kLater = 10'000'000;
    unfinished(kit_.wall_us(), kLater);
    kit_.advance(2 * kLater);
    kit_.expect_nothing();  // Does not lead.
    lead(1);
    unfinished(kit_.wall_us(), kLater);
    kit_.advance(kLater - 1);
    kit_.expect_nothing();
    kit_.advance(1);
    const Message propose = kit_.take(pb::Envelope::kPropose);
    EXPECT_TRUE(housekeeping_in(propose));
    EXPECT_TRUE(propose->propose().on_full_disk());
    // Once at a time; and when nothing is left, no more.
    kit_.advance(kLater / 100);
    kit_.expect_nothing();
    unfinished(kit_.wall_us(), 0);
    kit_.answer(propose, proposal_answer(pb::STATUS_OK));
    kit_.advance(10 * kLater);
    kit_.expect_nothing();
}

TEST_F(FileServiceTest, what_could_not_be_proposed_is_proposed_again) {
    lead(1);
    unfinished(kit_.wall_us(), 1);
    kit_.advance(FileService::kHousekeepingEveryUs);
    kit_.answer(kit_.take(pb::Envelope::kPropose), proposal_answer(pb::STATUS_RESOURCE_EXHAUSTED));
    kit_.advance(FileService::kHousekeepingEveryUs);
    EXPECT_TRUE(housekeeping_in(kit_.take(pb::Envelope::kPropose)));
}

TEST_F(FileServiceTest, the_cluster_s_clock_goes_on_though_the_leader_s_wall_clock_is_far_behind) {
    constexpr uint64_t kAhead = 3'600'000'000;
    lead(1);
    unfinished(kit_.wall_us() + kAhead, 0);
    const uint64_t heard_us = kit_.wall_us();
    kit_.advance(5'000'000);
    ask(mkdir("/d"));
    pb::Command command;
    ASSERT_TRUE(command.ParseFromString(kit_.take(pb::Envelope::kPropose).payload.to_string()));
    EXPECT_EQ(command.time_us(), kit_.wall_us()) << "what files record";
    EXPECT_EQ(command.clock_us(), heard_us + kAhead + 5'000'000);
    EXPECT_EQ(allocated(1).places(0).allocated_at_us(), command.clock_us());
}

TEST_F(FileServiceTest, what_frees_space_is_marked_for_full_disks_and_nothing_else) {
    lead(1);
    pb::Mutation remove = mkdir("/d");
    *remove.mutable_remove_file()->mutable_at() = at("/f");
    ask(remove);
    EXPECT_TRUE(kit_.take(pb::Envelope::kPropose)->propose().on_full_disk());
    remove.set_filler("much");
    ask(remove);
    EXPECT_FALSE(kit_.take(pb::Envelope::kPropose)->propose().on_full_disk());
    ask(mkdir("/d"));
    EXPECT_FALSE(kit_.take(pb::Envelope::kPropose)->propose().on_full_disk());
}

// --- Places ---------------------------------------------------------------------------------------------------------

TEST_F(FileServiceTest, without_a_majority_of_disks_with_room_new_chunks_are_refused_at_once) {
    lead(1);
    const auto full = [&](const std::string& node, uint64_t free_bytes) {
        pb::ChunkStats stats;
        stats.set_node_id(node);
        stats.set_disk_total_bytes(1000);
        stats.set_disk_free_bytes(free_bytes);
        stats.set_disk_reserve_bytes(100);
        kit_.deliver(message_of(stats), node == "node-1" ? Address(pb::ACTOR_CHUNKS) : Address(node, pb::ACTOR_CHUNKS));
    };
    full("node-1", 100);
    EXPECT_EQ(allocated(1).places_size(), 1);
    full("node-3", 50);
    const pb::Status status = refusal(allocate(1));
    EXPECT_EQ(status.code(), pb::STATUS_ENOSPC);
    EXPECT_NE(status.message().find("node-1, node-3"), std::string::npos) << status.message();
    full("node-3", 500);
    EXPECT_EQ(allocated(1).places_size(), 1);
}

TEST_F(FileServiceTest, a_chunk_that_was_never_given_out_is_not_committed) {
    lead(1);
    allocated(3);
    pb::Mutation mutation = mkdir("/d");
    *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 1, 4)});
    EXPECT_EQ(refusal(mutation).code(), pb::STATUS_EINVAL);
    *mutation.mutable_commit_extents() = commit("/f", 0, {extent(0, 1, 3)});
    ask(mutation);
    EXPECT_TRUE(kit_.has(pb::Envelope::kPropose));
}

}  // namespace
}  // namespace sandstore
