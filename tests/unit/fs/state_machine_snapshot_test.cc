// The state machine's part in snapshots, through its messages: freeze, give away piece by piece, take over.
#include "replica.h"

namespace sandstore {
namespace {

const Address kStore(pb::ACTOR_SNAPSHOTS);

// Enough entries for several pieces.
void fill(Replica& replica, uint64_t files) {
    replica.add(open_session());
    const uint64_t session = replica.last_index_;
    for (uint64_t i = 0; i < files; ++i) {
        replica.add(make_directory(session, i + 1, str_cat("/", std::string(150, 'x'), i)));
        if (i % 100 == 0) replica.apply();
    }
    replica.apply();
}

uint64_t take(Replica& replica) {
    const uint64_t id = replica.kit_.request(message_of(pb::TakeSnapshot()), pb::ACTOR_RAFT);
    const Message taken = replica.kit_.take_answer(id);
    EXPECT_EQ(taken->snapshot_taken().status().code(), pb::STATUS_OK);
    return taken->snapshot_taken().index();
}

Message read(Replica& replica, uint64_t index, uint64_t piece) {
    pb::ReadState request;
    request.set_index(index);
    request.set_piece(piece);
    const uint64_t id = replica.kit_.request(message_of(request), kStore);
    Message answer = replica.kit_.take_answer(id);
    EXPECT_EQ(answer->state_piece().piece(), piece);
    return answer;
}

std::vector<std::string> read_all(Replica& replica, uint64_t index) {
    std::vector<std::string> pieces;
    for (bool last = false; !last && pieces.size() < 1000;) {
        const Message piece = read(replica, index, pieces.size());
        EXPECT_EQ(piece->state_piece().status().code(), pb::STATUS_OK) << piece->state_piece().status().message();
        last = piece->state_piece().last();
        pieces.push_back(piece.payload.to_string());
    }
    return pieces;
}

uint64_t ask_restore(Replica& replica, uint64_t index) {
    pb::RestoreSnapshot restore;
    restore.mutable_meta()->set_index(index);
    restore.mutable_meta()->set_term(3);
    return replica.kit_.request(message_of(restore), pb::ACTOR_RAFT);
}

Message section(const std::vector<std::string>& pieces, size_t i) {
    pb::SnapshotSection section;
    section.set_next_offset(100 * (i + 1));
    section.set_last(i + 1 == pieces.size());
    return message_of(section, Payload(pieces[i]));
}

// Answers all that the state machine asks of the snapshot store.
void serve(Replica& replica, const std::vector<std::string>& pieces) {
    for (size_t i = 0; i < pieces.size(); ++i) {
        const Message asked = replica.kit_.take(pb::Envelope::kReadSection);
        EXPECT_EQ(asked->read_section().offset(), 100 * i);
        EXPECT_EQ(asked->read_section().term(), 3u);
        replica.kit_.answer(asked, section(pieces, i));
    }
}

pb::SnapshotRestored restored(Replica& replica, uint64_t request) {
    return replica.kit_.take_answer(request)->snapshot_restored();
}

// What the state machine sends itself to free memory, until it is done.
uint64_t free_all(Replica& replica) {
    uint64_t turns = 0;
    for (; replica.kit_.has(pb::Envelope::kFlush); ++turns) {
        replica.kit_.take(pb::Envelope::kFlush);
        replica.kit_.deliver(message_of(pb::Flush()), pb::ACTOR_STATE_MACHINE);
    }
    return turns;
}

class StateMachineSnapshotTest : public testing::Test {
 protected:
    StateMachineSnapshotTest() {
        replica_.start();
        kit_.drop_effects();
    }

    Replica replica_;
    StepKit& kit_ = replica_.kit_;
};

TEST_F(StateMachineSnapshotTest, the_label_is_the_last_entry_inside_and_later_entries_stay_outside) {
    fill(replica_, 3000);
    const uint64_t hash = replica_.hash();
    const uint64_t index = take(replica_);
    EXPECT_EQ(index, replica_.last_index_);
    std::vector<std::string> pieces;
    for (bool last = false; !last;) {
        const Message piece = read(replica_, index, pieces.size());
        last = piece->state_piece().last();
        pieces.push_back(piece.payload.to_string());
        replica_.add(make_directory(1, 10'000 + pieces.size(), str_cat("/", pieces.size())));
        replica_.apply();
    }
    EXPECT_GE(pieces.size(), 3u);
    Replica other;
    other.start();
    other.kit_.drop_effects();
    const uint64_t request = ask_restore(other, index);
    serve(other, pieces);
    EXPECT_EQ(restored(other, request).index(), index);
    EXPECT_EQ(other.hash(), hash);
    EXPECT_NE(replica_.hash(), hash);
}

TEST_F(StateMachineSnapshotTest, a_piece_may_be_asked_for_again_but_not_out_of_order) {
    fill(replica_, 3000);
    const uint64_t index = take(replica_);
    const Message first = read(replica_, index, 0);
    EXPECT_EQ(read(replica_, index, 0).payload, first.payload);
    EXPECT_EQ(read(replica_, index, 2)->state_piece().status().code(), pb::STATUS_CORRUPTED);
    const Message second = read(replica_, index, 1);
    EXPECT_EQ(second->state_piece().status().code(), pb::STATUS_OK);
    EXPECT_EQ(read(replica_, index, 0)->state_piece().status().code(), pb::STATUS_CORRUPTED);
    uint64_t piece = 1;
    while (!read(replica_, index, piece)->state_piece().last()) ++piece;
    EXPECT_TRUE(read(replica_, index, piece)->state_piece().last()) << "also the last one";
    EXPECT_EQ(read(replica_, index, piece + 1)->state_piece().status().code(), pb::STATUS_CORRUPTED);
}

TEST_F(StateMachineSnapshotTest, only_the_newest_snapshot_is_held_until_it_is_dropped) {
    fill(replica_, 10);
    const uint64_t older = take(replica_);
    replica_.add(RecordType::kNoOp);
    replica_.apply();
    const uint64_t newer = take(replica_);
    EXPECT_EQ(read(replica_, older, 0)->state_piece().status().code(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(read(replica_, newer, 0)->state_piece().status().code(), pb::STATUS_OK);
    kit_.deliver(message_of(pb::DropSnapshot()), pb::ACTOR_RAFT);
    EXPECT_EQ(read(replica_, newer, 0)->state_piece().status().code(), pb::STATUS_CORRUPTED);
    kit_.deliver(message_of(pb::DropSnapshot()), pb::ACTOR_RAFT);
}

TEST_F(StateMachineSnapshotTest, a_dropped_state_is_freed_in_portions) {
    fill(replica_, 30'000);
    take(replica_);
    kit_.deliver(message_of(pb::DropSnapshot()), pb::ACTOR_RAFT);
    EXPECT_LE(free_all(replica_), 2u) << "a copy that shares all nodes costs nothing to drop";
    const uint64_t index = take(replica_);
    const std::vector<std::string> full = read_all(replica_, index);
    free_all(replica_);
    const uint64_t request = ask_restore(replica_, index);
    serve(replica_, full);
    restored(replica_, request);
    EXPECT_GE(free_all(replica_), 3u);
    kit_.expect_nothing();
}

TEST_F(StateMachineSnapshotTest, results_of_sessions_survive_so_a_retry_is_answered) {
    replica_.add(open_session());
    replica_.add(make_directory(1, 1, "/d"));
    const std::string result = replica_.apply().results(1).result();
    const uint64_t index = take(replica_);
    const std::vector<std::string> pieces = read_all(replica_, index);
    Replica other;
    other.start();
    const uint64_t request = ask_restore(other, index);
    serve(other, pieces);
    restored(other, request);
    other.rewind_to(index);
    other.add(make_directory(1, 1, "/d"));
    EXPECT_EQ(other.apply().results(0).result(), result);
}

TEST_F(StateMachineSnapshotTest, reads_wait_for_the_restored_index) {
    fill(replica_, 10);
    const uint64_t index = take(replica_);
    const std::vector<std::string> pieces = read_all(replica_, index);
    Replica other;
    other.start();
    const uint64_t read = other.kit_.request(message_of(stat_query("/", index)), pb::ACTOR_FILES);
    const uint64_t request = ask_restore(other, index);
    serve(other, pieces);
    EXPECT_EQ(restored(other, request).status().code(), pb::STATUS_OK);
    EXPECT_EQ(other.kit_.take_answer(read)->query_result().attributes().size(), 10u);
}

TEST_F(StateMachineSnapshotTest, a_bad_snapshot_is_refused_and_the_old_state_stays) {
    fill(replica_, 100);
    const uint64_t index = take(replica_);
    const uint64_t hash = replica_.hash();
    std::vector<std::string> pieces = read_all(replica_, index);
    pieces.back()[pieces.back().size() / 2] ^= 4;
    const uint64_t request = ask_restore(replica_, index);
    serve(replica_, pieces);
    const pb::SnapshotRestored refused = restored(replica_, request);
    EXPECT_EQ(refused.status().code(), pb::STATUS_CORRUPTED);
    EXPECT_NE(refused.status().message(), "");
    EXPECT_EQ(replica_.hash(), hash);
    replica_.add(make_directory(1, 1000, "/more"));
    EXPECT_EQ(replica_.result(replica_.apply(), 0).status().code(), pb::STATUS_OK);
}

TEST_F(StateMachineSnapshotTest, a_store_that_fails_or_is_silent_ends_the_restore) {
    uint64_t request = ask_restore(replica_, 7);
    Message asked = kit_.take(pb::Envelope::kReadSection);
    pb::SnapshotSection gone;
    gone.mutable_status()->set_code(pb::STATUS_ENOENT);
    kit_.answer(asked, message_of(gone));
    EXPECT_EQ(restored(replica_, request).status().code(), pb::STATUS_ENOENT);
    request = ask_restore(replica_, 7);
    asked = kit_.take(pb::Envelope::kReadSection);
    kit_.fail(asked, pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_EQ(restored(replica_, request).status().code(), pb::STATUS_DEADLINE_EXCEEDED);
    replica_.add(RecordType::kNoOp);
    EXPECT_EQ(replica_.apply().last_index(), 1u);
}

TEST_F(StateMachineSnapshotTest, a_newer_restore_replaces_one_under_way) {
    fill(replica_, 20);
    const uint64_t index = take(replica_);
    const std::vector<std::string> pieces = read_all(replica_, index);
    Replica other;
    other.start();
    const uint64_t first = ask_restore(other, index - 5);
    const Message late = other.kit_.take(pb::Envelope::kReadSection);
    const uint64_t second = ask_restore(other, index);
    EXPECT_EQ(restored(other, first).status().code(), pb::STATUS_UNAVAILABLE);
    other.kit_.answer(late, section({"damaged", "x"}, 0));
    serve(other, pieces);
    EXPECT_EQ(restored(other, second).status().code(), pb::STATUS_OK);
    EXPECT_EQ(other.hash(), replica_.hash());
}

TEST_F(StateMachineSnapshotTest, an_older_snapshot_than_the_state_is_refused) {
    fill(replica_, 20);
    const uint64_t request = ask_restore(replica_, replica_.last_index_ - 1);
    EXPECT_EQ(restored(replica_, request).status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(StateMachineSnapshotTest, entries_during_a_restore_stop_the_node) {
    ask_restore(replica_, 7);
    replica_.add(RecordType::kNoOp);
    EXPECT_THROW(replica_.send_apply(), InvariantBroken);
}

TEST(StateMachineSnapshot, before_its_start_nothing_is_taken_or_restored) {
    Replica replica;
    const uint64_t taken = replica.kit_.request(message_of(pb::TakeSnapshot()), pb::ACTOR_RAFT);
    EXPECT_EQ(replica.kit_.take_answer(taken)->snapshot_taken().status().code(), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(restored(replica, ask_restore(replica, 1)).status().code(), pb::STATUS_UNAVAILABLE);
}

TEST(StateMachineSnapshot, it_speaks_to_the_actors_of_its_own_group) {
    StepKit kit(make_file_state_machine(), {pb::ACTOR_STATE_MACHINE, 2});
    kit.deliver(message_of(test_settings()), pb::ACTOR_BOOTSTRAP);
    EXPECT_EQ(receiver_of(kit.take(pb::Envelope::kStateMachineReady)), Address(pb::ACTOR_RAFT, 2));
    kit.request(message_of(pb::RestoreSnapshot()), Address(pb::ACTOR_RAFT, 2));
    EXPECT_EQ(receiver_of(kit.take(pb::Envelope::kReadSection)), Address(pb::ACTOR_SNAPSHOTS, 2));
}

}  // namespace
}  // namespace sandstore
