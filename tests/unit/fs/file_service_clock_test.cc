// The FileService keeps the cluster's clock going, and proposes what only commands bring on.
#include "file_service_fixture.h"

namespace sandstore {
namespace {

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

TEST_F(FileServiceTest, a_wall_clock_that_is_far_ahead_moves_the_cluster_s_clock_no_faster) {
    constexpr uint64_t kAhead = 365ull * 24 * 3'600'000'000;
    lead(1);
    const uint64_t heard_us = kit_.wall_us() - kAhead;
    unfinished(heard_us, 0);
    kit_.advance(5'000'000);
    ask(mkdir("/d"));
    pb::Command command;
    ASSERT_TRUE(command.ParseFromString(kit_.take(pb::Envelope::kPropose).payload.to_string()));
    EXPECT_EQ(command.clock_us(), heard_us + 5'000'000);
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

}  // namespace
}  // namespace sandstore
