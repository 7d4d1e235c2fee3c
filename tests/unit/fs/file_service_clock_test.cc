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

// Of a process that has just begun, on a machine whose wall clock shows anything.
class ClockAtStart : public testing::Test {
 protected:
    ClockAtStart() : kit_(std::make_unique<FileService>(), {pb::ACTOR_FILES}) {
        pb::StartFiles start;
        start.set_node_id("node-1");
        start.set_requests_max(4);
        kit_.deliver(message_of(start), pb::ACTOR_BOOTSTRAP);
        lead(7);
    }
    void lead(uint64_t term) {
        pb::RoleChanged role;
        role.set_role(pb::RoleChanged::LEADER);
        role.set_term(term);
        kit_.deliver(message_of(role), pb::ACTOR_RAFT);
    }
    uint64_t make_directory(const char* path) {
        pb::Mutation mutation;
        mutation.set_session_id(5);
        mutation.set_sequence(1);
        *mutation.mutable_make_directory()->mutable_at() = at(path);
        return kit_.request(message_of(std::move(mutation)), kClient);
    }
    // What the state machine says when it has applied all that was committed.
    void tell_clock(uint64_t clock_us) {
        const Message asked = kit_.take(pb::Envelope::kReadIndex);
        EXPECT_TRUE(asked->read_index().leader_only());
        pb::ReadIndexReply index;
        index.set_index(40);
        kit_.answer(asked, message_of(index));
        const Message query = kit_.take(pb::Envelope::kQuery);
        EXPECT_EQ(query->query().minimum_index(), 40u);
        pb::QueryResult result;
        result.set_clock_us(clock_us);
        kit_.answer(query, message_of(result));
    }
    uint64_t clock_proposed() {
        pb::Command command;
        EXPECT_TRUE(command.ParseFromString(kit_.take(pb::Envelope::kPropose).payload.to_string()));
        return command.clock_us();
    }

    StepKit kit_;
};

TEST_F(ClockAtStart, the_state_is_asked_for_the_cluster_s_clock_before_anything_is_proposed) {
    constexpr uint64_t kAhead = 365ull * 24 * 3'600'000'000;
    const uint64_t clock_us = kit_.wall_us() - kAhead;
    make_directory("/a");
    make_directory("/b");
    EXPECT_FALSE(kit_.has(pb::Envelope::kPropose))
        << "a command without a clock is taken to have the wall clock's time";
    tell_clock(clock_us);
    EXPECT_EQ(clock_proposed(), clock_us);
    EXPECT_EQ(clock_proposed(), clock_us);
    kit_.expect_nothing();
    make_directory("/c");
    EXPECT_EQ(clock_proposed(), clock_us);
}

TEST_F(ClockAtStart, a_cluster_without_a_clock_is_asked_once_a_term) {
    make_directory("/a");
    tell_clock(0);
    EXPECT_EQ(clock_proposed(), 0u) << "the wall clock's time is the beginning";
    make_directory("/b");
    EXPECT_EQ(clock_proposed(), 0u);
    lead(9);  // Others led meanwhile.
    make_directory("/c");
    EXPECT_FALSE(kit_.has(pb::Envelope::kPropose));
    tell_clock(77);
    EXPECT_EQ(clock_proposed(), 77u);
}

TEST_F(ClockAtStart, what_waits_is_refused_when_this_is_no_leader_after_all) {
    const uint64_t first = make_directory("/a");
    const uint64_t second = make_directory("/b");
    pb::ReadIndexReply lost;
    lost.mutable_status()->set_code(pb::STATUS_NOT_LEADER);
    kit_.answer(kit_.take(pb::Envelope::kReadIndex), message_of(lost));
    for (const uint64_t asked : {first, second}) {
        EXPECT_EQ(kit_.take_answer(asked)->mutation_result().status().code(), pb::STATUS_NOT_LEADER);
    }
    make_directory("/c");
    EXPECT_TRUE(kit_.has(pb::Envelope::kReadIndex));
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
