// The StateMachine actor through its messages: entries in, results out, reads held until their index is applied.
#include "actors/state/state_machine.h"

#include "replica.h"

namespace sandstore {
namespace {

class StateMachineTest : public testing::Test {
 protected:
    StateMachineTest() {
        replica_.start();
        EXPECT_EQ(kit_.take(pb::Envelope::kStateMachineReady)->state_machine_ready().applied_index(), 0u);
        kit_.expect_nothing();
    }

    Replica replica_;
    StepKit& kit_ = replica_.kit_;
};

TEST_F(StateMachineTest, only_commands_have_results) {
    replica_.add(RecordType::kConfiguration, "voters");
    replica_.add(RecordType::kNoOp);
    replica_.add(open_session());
    replica_.add(make_directory(3, 1, "/d"));
    const pb::Applied applied = replica_.apply();
    EXPECT_EQ(applied.last_index(), 4u);
    ASSERT_EQ(applied.results_size(), 2);
    EXPECT_EQ(applied.results(0).index(), 3u);
    EXPECT_EQ(replica_.result(applied, 0).session_id(), 3u);
    EXPECT_EQ(applied.results(1).index(), 4u);
    EXPECT_EQ(replica_.result(applied, 1).attributes().type(), pb::FILE_TYPE_DIRECTORY);
    kit_.expect_nothing();
}

TEST_F(StateMachineTest, results_are_left_out_when_nobody_waits) {
    replica_.add(open_session());
    const pb::Applied applied = replica_.apply(false);
    EXPECT_EQ(applied.last_index(), 1u);
    EXPECT_EQ(applied.results_size(), 0);
}

TEST_F(StateMachineTest, a_command_that_cannot_be_read_stops_the_node) {
    replica_.add(open_session());
    replica_.add(RecordType::kCommand, "\xff\xff\xff");
    replica_.add(open_session());
    replica_.send_apply();
    EXPECT_EQ(
        kit_.stopped(),
        "entry 2 of the log holds a command that this version does not know (it cannot be read): update this node "
        "to the version of the others");
    EXPECT_FALSE(kit_.has(pb::Envelope::kApplied)) << "nothing after it is applied";
}

TEST_F(StateMachineTest, an_operation_of_a_later_version_stops_the_node) {
    pb::Command command;
    command.mutable_mutation()->set_session_id(1);
    command.mutable_mutation()->set_sequence(1);
    command.mutable_mutation()->GetReflection()->MutableUnknownFields(command.mutable_mutation())->AddVarint(200, 1);
    replica_.add(RecordType::kCommand, command.SerializeAsString());
    replica_.send_apply();
    EXPECT_TRUE(kit_.stopped());
    EXPECT_FALSE(kit_.has(pb::Envelope::kApplied));
}

TEST_F(StateMachineTest, a_read_waits_for_its_index) {
    replica_.add(open_session());
    replica_.apply();
    const uint64_t early = kit_.request(message_of(stat_query("/d", 1)), pb::ACTOR_FILES);
    EXPECT_EQ(kit_.take_answer(early)->query_result().status().code(), pb::STATUS_ENOENT);
    const uint64_t late = kit_.request(message_of(stat_query("/d", 3)), pb::ACTOR_FILES);
    const uint64_t hash = kit_.request(message_of(hash_request(2)), pb::ACTOR_STATUS);
    kit_.expect_nothing();
    replica_.add(make_directory(1, 1, "/d"));
    replica_.apply();
    EXPECT_EQ(kit_.take_answer(hash)->state_hash().applied_index(), 2u);
    kit_.expect_nothing();
    replica_.add(RecordType::kNoOp);
    replica_.apply();
    EXPECT_EQ(kit_.take_answer(late)->query_result().status().code(), pb::STATUS_OK);
    kit_.expect_nothing();
}

TEST_F(StateMachineTest, a_malformed_query_is_answered) {
    const uint64_t empty = kit_.request(message_of(pb::Query()), pb::ACTOR_FILES);
    EXPECT_EQ(kit_.take_answer(empty)->query_result().status().code(), pb::STATUS_INVALID_ARGUMENT);
    const uint64_t dots = kit_.request(message_of(stat_query("/..", 0)), pb::ACTOR_FILES);
    EXPECT_EQ(kit_.take_answer(dots)->query_result().status().code(), pb::STATUS_EINVAL);
}

TEST_F(StateMachineTest, held_reads_are_bounded_and_overdue_ones_make_room) {
    for (size_t i = 0; i < StateMachine::kHeldMax; ++i) {
        kit_.request(message_of(stat_query("/", 5)), pb::ACTOR_FILES, 1'000'000);
    }
    kit_.expect_nothing();
    const uint64_t refused = kit_.request(message_of(stat_query("/", 5)), pb::ACTOR_FILES);
    EXPECT_EQ(kit_.take_answer(refused)->query_result().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    const uint64_t hash_refused = kit_.request(message_of(hash_request(5)), pb::ACTOR_STATUS);
    EXPECT_EQ(kit_.take_answer(hash_refused)->request_failed().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    kit_.advance(1'000'000);
    const uint64_t held = kit_.request(message_of(stat_query("/", 1)), pb::ACTOR_FILES);
    EXPECT_EQ(kit_.count(pb::Envelope::kQueryResult), StateMachine::kHeldMax) << "each is answered once";
    kit_.drop_effects();
    replica_.add(RecordType::kNoOp);
    replica_.apply();
    EXPECT_EQ(kit_.take_answer(held)->query_result().status().code(), pb::STATUS_OK);
}

TEST_F(StateMachineTest, the_clock_is_told_now_and_then) {
    const auto told_us = [&](uint64_t time_us) {
        replica_.add(open_session(), time_us);
        replica_.apply();
        return replica_.unfinished_ ? (*replica_.unfinished_)->unfinished_work().clock_us() : 0;
    };
    const uint64_t later_us = kStartUs + StateMachine::kClockToldEveryUs;
    EXPECT_EQ(told_us(kStartUs), kStartUs);
    EXPECT_EQ(told_us(later_us - 1), 0u);
    EXPECT_EQ(told_us(later_us), later_us);
    EXPECT_EQ(told_us(later_us + 1), 0u);
}

// --- Turns -----------------------------------------------------------------------------------------------------------

class StateMachineTurnsTest : public StateMachineTest {
 protected:
    const ReplicatedState& state() { return static_cast<StateMachine&>(kit_.actor()).state(); }
    void go_on() { kit_.deliver(kit_.take(pb::Envelope::kFlush), pb::ACTOR_STATE_MACHINE); }

    // More than one turn does.
    static constexpr uint64_t kMany = 3 * StateMachine::kWorkPerTurn / ReplicatedState::kWorkOfCommand;
};

TEST_F(StateMachineTurnsTest, a_large_batch_is_applied_in_several_turns_and_reads_are_answered_in_between) {
    for (uint64_t i = 0; i < kMany; ++i) replica_.add(open_session());
    replica_.send_apply();
    const uint64_t index = state().applied_index();
    EXPECT_GT(index, 0u);
    EXPECT_LE(state().work(), StateMachine::kWorkPerTurn + ReplicatedState::kWorkOfCommand);
    EXPECT_FALSE(kit_.has(pb::Envelope::kApplied));
    const uint64_t read = kit_.request(message_of(stat_query("/", index)), pb::ACTOR_FILES);
    EXPECT_EQ(kit_.take_answer(read)->query_result().status().code(), pb::STATUS_OK);
    uint64_t turns = 1;
    for (; !kit_.has(pb::Envelope::kApplied); ++turns) {
        const uint64_t before = state().work();
        go_on();
        EXPECT_LE(state().work() - before, StateMachine::kWorkPerTurn + ReplicatedState::kWorkOfCommand);
    }
    EXPECT_GE(turns, 3u);
    const pb::Applied applied = kit_.take(pb::Envelope::kApplied)->applied();
    EXPECT_EQ(applied.last_index(), kMany);
    EXPECT_EQ(applied.results_size(), static_cast<int>(kMany));
    kit_.take(pb::Envelope::kUnfinishedWork);
    kit_.expect_nothing();
}

TEST_F(StateMachineTurnsTest, a_snapshot_is_taken_between_two_batches_and_in_their_order) {
    for (uint64_t i = 0; i < kMany; ++i) replica_.add(RecordType::kNoOp);
    replica_.send_apply();
    const uint64_t taken = kit_.request(message_of(pb::TakeSnapshot()), pb::ACTOR_RAFT);
    for (uint64_t i = 0; i < kMany; ++i) replica_.add(RecordType::kNoOp);
    replica_.send_apply();
    while (kit_.count(pb::Envelope::kApplied) < 2) go_on();
    EXPECT_EQ(kit_.take_answer(taken)->snapshot_taken().index(), kMany);
    EXPECT_EQ(kit_.take(pb::Envelope::kApplied)->applied().last_index(), kMany);
    EXPECT_EQ(kit_.take(pb::Envelope::kApplied)->applied().last_index(), 2 * kMany);
    kit_.expect_nothing();
}

TEST_F(StateMachineTurnsTest, reads_that_waited_are_answered_a_few_at_a_time) {
    constexpr size_t kReads = StateMachine::kWorkPerTurn;
    for (size_t i = 0; i < kReads; ++i) kit_.request(message_of(stat_query("/", 1)), pb::ACTOR_FILES);
    replica_.add(RecordType::kNoOp);
    replica_.apply();
    size_t answered = 0;
    for (int turn = 0; turn < 5; ++turn) {
        const size_t now = kit_.count(pb::Envelope::kQueryResult);
        EXPECT_LE(now - answered, StateMachine::kWorkPerTurn / ReplicatedState::kWorkOfCommand);
        answered = now;
        go_on();
    }
    while (kit_.has(pb::Envelope::kFlush)) go_on();
    EXPECT_EQ(kit_.count(pb::Envelope::kQueryResult), kReads);
}

TEST_F(StateMachineTest, gaps_repeats_and_damage_stop_the_node) {
    replica_.add(RecordType::kNoOp);
    replica_.apply();
    replica_.rewind_to(2);
    replica_.add(RecordType::kNoOp);
    EXPECT_THROW(replica_.send_apply(), InvariantBroken) << "a gap";
    replica_.rewind_to(0);
    replica_.add(RecordType::kNoOp);
    EXPECT_THROW(replica_.send_apply(), InvariantBroken) << "a repeat";
    replica_.rewind_to(1);
    replica_.add(RecordType::kNoOp);
    replica_.records_.back() ^= 1;
    EXPECT_THROW(replica_.send_apply(), InvariantBroken) << "damage";
    replica_.rewind_to(1);
    replica_.add(RecordType::kNoOp);
    replica_.add(RecordType::kNoOp);
    replica_.records_.resize(replica_.records_.size() / 2);
    EXPECT_THROW(replica_.send_apply(), InvariantBroken) << "fewer records than announced";
}

TEST_F(StateMachineTest, other_nodes_and_clients_are_not_heard) {
    const Address client("~7", pb::ACTOR_EXTERNAL);
    pb::Apply apply;
    apply.set_first_index(1);
    kit_.deliver(message_of(apply), client);
    const uint64_t query = kit_.request(message_of(stat_query("/", 0)), client);
    EXPECT_EQ(kit_.take_answer(query)->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
    kit_.expect_nothing();
}

TEST(StateMachine, before_its_start_it_answers_unavailable) {
    Replica replica;
    const uint64_t query = replica.kit_.request(message_of(stat_query("/", 0)), pb::ACTOR_FILES);
    EXPECT_EQ(replica.kit_.take_answer(query)->query_result().status().code(), pb::STATUS_UNAVAILABLE);
    const uint64_t hash = replica.kit_.request(message_of(hash_request(0)), pb::ACTOR_STATUS);
    EXPECT_EQ(replica.kit_.take_answer(hash)->request_failed().status().code(), pb::STATUS_UNAVAILABLE);
}

TEST(StateMachine, batches_of_any_size_give_equal_results_and_hashes) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        RandomCommands commands(seed, false);
        RandomStream batches(seed, 9);
        Replica one_by_one;
        Replica in_batches;
        one_by_one.start();
        in_batches.start();
        std::vector<std::string> expected;
        for (uint64_t index = 1; index <= 800; ++index) {
            const std::string command = commands.next(index);
            one_by_one.add(RecordType::kCommand, command);
            in_batches.add(RecordType::kCommand, command);
            const pb::Applied applied = one_by_one.apply();
            expected.push_back(applied.results(0).result());
            commands.learn(index, expected.back());
            if (batches.below(20) != 0 && index != 800) continue;
            const pb::Applied batch = in_batches.apply();
            ASSERT_EQ(static_cast<size_t>(batch.results_size()), expected.size());
            for (int i = 0; i < batch.results_size(); ++i) {
                ASSERT_EQ(batch.results(i).result(), expected[static_cast<size_t>(i)]) << "seed " << seed;
            }
            expected.clear();
            ASSERT_EQ(in_batches.hash(), one_by_one.hash()) << "seed " << seed << " index " << index;
        }
    }
}

}  // namespace
}  // namespace sandstore
