// Holds: chunks that files cease to use stay known, and so stay stored, until no older hold is left.
#include "actors/fs/file_state_format.h"
#include "actors/fs/file_state_restorer.h"
#include "actors/fs/file_state_writer.h"
#include "actors/fs/limits.h"
#include "replica.h"

namespace sandstore {
namespace {

class HoldsTest : public testing::Test {
 protected:
    void SetUp() override {
        state_.configure(test_settings());
        session_ = apply(open_session()).session_id();
    }

    pb::MutationResult apply(pb::Mutation mutation) {
        mutation.set_session_id(session_);
        if (session_ != 0) mutation.set_sequence(++sequence_);
        mutation.set_oldest_needed(sequence_);
        pb::Command command;
        command.set_time_us(now_us_);
        *command.mutable_mutation() = std::move(mutation);
        pb::MutationResult result;
        EXPECT_TRUE(result.ParseFromString(state_.apply(state_.applied_index() + 1, command.SerializeAsString())));
        state_.files().check_invariants();
        EXPECT_EQ(state_.hash(), state_.walk_hash());
        return result;
    }

    uint64_t hold(uint64_t lifetime_us = kHoldLifetimeMaxUs, uint64_t id = 0) {
        pb::Mutation mutation;
        mutation.mutable_hold_chunks()->set_hold_id(id);
        mutation.mutable_hold_chunks()->set_lifetime_us(lifetime_us);
        const pb::MutationResult result = apply(mutation);
        code_ = result.status().code();
        return result.hold_id();
    }
    pb::StatusCode release(uint64_t id) {
        pb::Mutation mutation;
        mutation.mutable_release_hold()->set_hold_id(id);
        return apply(mutation).status().code();
    }
    void put(std::string_view path, uint64_t chunk) {
        pb::Mutation mutation;
        *mutation.mutable_create_file()->mutable_at() = at(path);
        EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK);
        *mutation.mutable_commit_extents() = commit(path, 0, {extent(0, 100, chunk, 0, 100)});
        mutation.mutable_commit_extents()->set_truncate(true);
        EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK);
    }
    void remove(std::string_view path) {
        pb::Mutation mutation;
        *mutation.mutable_remove_file()->mutable_at() = at(path);
        EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK);
    }
    pb::StatusCode abandon(std::initializer_list<uint64_t> chunks, int and_so_many_others = 0) {
        pb::Mutation mutation;
        const auto add = [&](uint64_t number) {
            pb::AbandonChunks::Chunk& chunk = *mutation.mutable_abandon_chunks()->add_chunks();
            chunk.mutable_id()->set_term(1);
            chunk.mutable_id()->set_number(number);
            chunk.set_allocated_at_us(kStartUs);
        };
        for (const uint64_t number : chunks) add(number);
        for (int i = 0; i < and_so_many_others; ++i) add(1000 + static_cast<uint64_t>(i));
        return apply(mutation).status().code();
    }
    // Anything that lets the state do what is due.
    void something() {
        pb::Mutation mutation;
        mutation.mutable_make_directory()->set_parents(true);
        *mutation.mutable_make_directory()->mutable_at() = at("/any");
        (void)apply(mutation);
    }
    // So much later that what was released before is not kept for those who are just reading it.
    void later() {
        now_us_ += kReleasedKeptUs;
        something();
    }
    size_t chunks() { return state_.files().chunks().size(); }
    std::vector<std::string> audit_of(const std::string& node) {
        pb::Query query;
        query.mutable_chunks_of_node()->set_node_id(node);
        pb::QueryResult result;
        state_.answer(query, &result);
        std::vector<std::string> found;
        for (const pb::ChunkPlace& place : result.chunks()) found.push_back(std::to_string(place.id().number()));
        return found;
    }

    FileState state_;
    uint64_t session_ = 0;
    uint64_t sequence_ = 0;
    uint64_t now_us_ = kStartUs;
    pb::StatusCode code_ = pb::STATUS_OK;
};

TEST_F(HoldsTest, without_a_hold_a_removed_file_s_chunk_goes_when_those_who_are_reading_it_are_done) {
    put("/a", 1);
    remove("/a");
    EXPECT_EQ(state_.files().chunk_count(), 0u) << "no file uses it";
    now_us_ += kReleasedKeptUs - 1;
    something();
    EXPECT_EQ(chunks(), 1u);
    now_us_ += 1;
    something();
    EXPECT_EQ(chunks(), 0u);
}

// --- Collected chunks

TEST_F(HoldsTest, what_is_left_to_do_and_when_is_told) {
    EXPECT_EQ(state_.files().work_due_us(), 0u);
    put("/a", 1);
    EXPECT_EQ(state_.files().work_due_us(), 0u);
    remove("/a");
    EXPECT_EQ(state_.files().work_due_us(), now_us_ + kReleasedKeptUs);
    later();
    EXPECT_EQ(state_.files().work_due_us(), 0u);
    put("/b", 2);
    hold(2 * kReleasedKeptUs);
    remove("/b");
    EXPECT_EQ(state_.files().work_due_us(), now_us_ + 2 * kReleasedKeptUs) << "when the hold ends";
}

TEST_F(HoldsTest, a_node_that_asks_about_its_chunks_is_told_which_were_collected) {
    put("/a", 1);
    put("/b", 2);
    remove("/a");
    later();
    pb::Query query;
    query.mutable_chunks_of_node()->set_node_id("node-1");
    for (const uint64_t number : {1, 2, 3}) {
        pb::ChunkStatus* candidate = query.mutable_chunks_of_node()->add_candidates();
        *candidate->mutable_id() = extent(0, 100, number, 0, 100).chunk().id();
        candidate->set_allocated_at_us(extent(0, 100, number, 0, 100).chunk().allocated_at_us());
    }
    pb::QueryResult result;
    state_.answer(query, &result);
    ASSERT_EQ(result.verdicts_size(), 3);
    EXPECT_EQ(result.verdicts(0), pb::CHUNK_COLLECTED);
    EXPECT_EQ(result.verdicts(1), pb::CHUNK_WANTED);
    EXPECT_EQ(result.verdicts(2), pb::CHUNK_UNKNOWN);
    EXPECT_EQ(result.clock_us(), now_us_);
    EXPECT_EQ(result.began_us(), kStartUs);
    query.mutable_chunks_of_node()->set_node_id("node-9");
    result.Clear();
    state_.answer(query, &result);
    EXPECT_EQ(result.verdicts(1), pb::CHUNK_ELSEWHERE);
}

TEST_F(HoldsTest, a_collected_chunk_cannot_be_committed_again) {
    put("/a", 1);
    remove("/a");
    later();
    pb::Mutation mutation;
    *mutation.mutable_create_file()->mutable_at() = at("/b");
    (void)apply(mutation);
    *mutation.mutable_commit_extents() = commit("/b", 0, {extent(0, 100, 1, 0, 100)});
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_ESTALE);
    EXPECT_EQ(chunks(), 0u);
    // In a snapshot, too.
    FileStateWriter writer(state_);
    FileStateRestorer restorer(test_settings());
    while (!writer.done()) ASSERT_TRUE(restorer.read(writer.next_piece())) << restorer.problem();
    ASSERT_TRUE(restorer.finish(state_.applied_index())) << restorer.problem();
    EXPECT_EQ(restorer.state().hash(), state_.hash());
    state_ = restorer.state();
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_ESTALE);
}

TEST_F(HoldsTest, a_chunk_is_remembered_as_collected_no_longer_than_it_could_be_committed) {
    put("/a", 1);
    remove("/a");
    later();
    EXPECT_EQ(state_.files().chunks().collected().size(), 1u);
    now_us_ += test_settings().chunk_commit_window_us();
    something();
    EXPECT_EQ(state_.files().chunks().collected().size(), 0u);
}

// --- Abandoned

TEST_F(HoldsTest, an_abandoned_chunk_is_collected_at_once_and_cannot_be_committed) {
    put("/in-use", 1);
    put("/removed", 2);
    remove("/removed");
    EXPECT_EQ(abandon({1, 2, 3, 3}), pb::STATUS_OK);
    EXPECT_EQ(state_.collected(), (std::vector<ChunkKey>{{1, 3}})) << "not what a file uses, or did just now";
    EXPECT_EQ(chunks(), 2u);
    something();
    EXPECT_TRUE(state_.collected().empty()) << "told once";
    EXPECT_EQ(abandon({3}), pb::STATUS_OK);
    EXPECT_TRUE(state_.collected().empty());
    pb::Mutation mutation;
    *mutation.mutable_create_file()->mutable_at() = at("/late");
    (void)apply(mutation);
    *mutation.mutable_commit_extents() = commit("/late", 0, {extent(0, 100, 3, 0, 100)});
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_ESTALE);
    *mutation.mutable_commit_extents() = commit("/late", 0, {extent(0, 100, 1, 0, 100)});
    EXPECT_EQ(apply(mutation).status().code(), pb::STATUS_OK) << "what was in use still is";
}

TEST_F(HoldsTest, an_abandoned_chunk_that_is_too_old_to_be_committed_is_not_remembered) {
    now_us_ += test_settings().chunk_commit_window_us() + 1;
    session_ = 0;  // The one before has expired.
    session_ = apply(open_session()).session_id();
    EXPECT_EQ(abandon({1}), pb::STATUS_OK);
    EXPECT_EQ(state_.files().chunks().collected().size(), 0u);
    EXPECT_EQ(abandon({}, 300), pb::STATUS_INVALID_ARGUMENT) << "too many at once";
    EXPECT_EQ(abandon({0}), pb::STATUS_INVALID_ARGUMENT) << "no chunk has this id";
}

// --- Holds

TEST_F(HoldsTest, chunks_of_removed_cut_and_overwritten_files_stay_while_held_and_nodes_are_told_to_keep_them) {
    put("/removed", 1);
    put("/cut", 2);
    put("/overwritten", 3);
    put("/untouched", 4);
    const uint64_t id = hold();
    EXPECT_GT(id, 0u);
    remove("/removed");
    pb::Mutation mutation;
    *mutation.mutable_set_attributes()->mutable_at() = at("/cut");
    mutation.mutable_set_attributes()->set_size(0);
    (void)apply(mutation);
    mutation.Clear();
    *mutation.mutable_commit_extents() = commit("/overwritten", 0, {extent(0, 100, 5, 0, 100)});
    (void)apply(mutation);
    EXPECT_EQ(chunks(), 5u);
    later();
    EXPECT_EQ(audit_of("node-1"), (std::vector<std::string>{"1", "2", "3", "4", "5"}));
    EXPECT_EQ(release(id), pb::STATUS_OK);
    EXPECT_EQ(audit_of("node-1"), (std::vector<std::string>{"4", "5"}));
    EXPECT_EQ(release(id), pb::STATUS_ENOENT);
}

TEST_F(HoldsTest, a_younger_hold_does_not_keep_what_went_before_it) {
    put("/a", 1);
    put("/b", 2);
    const uint64_t first = hold();
    remove("/a");
    const uint64_t second = hold();
    remove("/b");
    later();
    EXPECT_EQ(chunks(), 2u);
    EXPECT_EQ(release(first), pb::STATUS_OK);
    EXPECT_EQ(audit_of("node-1"), std::vector<std::string>{"2"});
    EXPECT_EQ(release(second), pb::STATUS_OK);
    EXPECT_EQ(chunks(), 0u);
}

TEST_F(HoldsTest, a_held_chunk_that_comes_into_use_again_is_an_ordinary_one) {
    put("/a", 1);
    const uint64_t id = hold();
    remove("/a");
    put("/b", 1);
    EXPECT_EQ(release(id), pb::STATUS_OK);
    EXPECT_EQ(chunks(), 1u);
    remove("/b");
    later();
    EXPECT_EQ(chunks(), 0u);
}

TEST_F(HoldsTest, a_hold_ends_by_the_cluster_s_clock_unless_it_is_prolonged) {
    put("/a", 1);
    constexpr uint64_t kLifetime = 2 * kReleasedKeptUs;
    const uint64_t id = hold(kLifetime);
    remove("/a");
    now_us_ += kLifetime - 1;
    EXPECT_EQ(hold(kLifetime, id), id);
    now_us_ += kLifetime - 1;
    something();
    EXPECT_EQ(chunks(), 1u);
    now_us_ += 1;
    something();
    EXPECT_EQ(chunks(), 0u);
    EXPECT_EQ(hold(kLifetime, id), 0u);
    EXPECT_EQ(code_, pb::STATUS_ENOENT);
}

TEST_F(HoldsTest, a_clock_that_is_set_back_ends_no_hold_and_starts_none_anew) {
    put("/a", 1);
    const uint64_t id = hold(1000);
    remove("/a");
    now_us_ -= 1'000'000;
    something();
    EXPECT_EQ(state_.files().hold_count(), 1u);
    EXPECT_EQ(hold(1000, id), id);
}

TEST_F(HoldsTest, there_is_a_bound_on_holds_and_on_how_long_they_last) {
    for (size_t i = 0; i < kHoldsMax; ++i) hold();
    EXPECT_EQ(code_, pb::STATUS_OK);
    hold();
    EXPECT_EQ(code_, pb::STATUS_EBUSY);
    hold(kHoldLifetimeMaxUs + 1);
    EXPECT_EQ(code_, pb::STATUS_INVALID_ARGUMENT);
    hold(0);
    EXPECT_EQ(code_, pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(HoldsTest, a_state_without_holds_has_the_hash_and_the_bytes_that_it_had_before_there_were_any) {
    put("/a", 1);
    FileState before = state_;
    FileStateWriter plain(state_);
    EXPECT_EQ(plain.next_piece()[1], static_cast<char>(kStateFormatVersion));
    const uint64_t id = hold();
    FileStateWriter held(state_);
    EXPECT_EQ(held.next_piece()[1], static_cast<char>(kStateFormatVersionWithHolds));
    EXPECT_EQ(release(id), pb::STATUS_OK);
    FileStateWriter again(state_);
    EXPECT_EQ(again.next_piece()[1], static_cast<char>(kStateFormatVersion));
    EXPECT_EQ(state_.files().hash(), before.files().hash());
}

TEST_F(HoldsTest, a_snapshot_keeps_holds_and_what_is_held) {
    put("/a", 1);
    put("/b", 2);
    const uint64_t id = hold();
    remove("/a");
    FileStateWriter writer(state_);
    FileStateRestorer restorer(test_settings());
    while (!writer.done()) ASSERT_TRUE(restorer.read(writer.next_piece())) << restorer.problem();
    ASSERT_TRUE(restorer.finish(state_.applied_index())) << restorer.problem();
    EXPECT_EQ(restorer.state().hash(), state_.hash());
    std::swap(state_, restorer.state());
    later();
    EXPECT_EQ(chunks(), 2u) << "held";
    EXPECT_EQ(release(id), pb::STATUS_OK);
    something();
    EXPECT_EQ(chunks(), 1u);
}

// --- Exports, through messages ---------------------------------------------------------------------------------------

class ExportsTest : public testing::Test {
 protected:
    void SetUp() override {
        replica_.start();
        replica_.kit_.take(pb::Envelope::kStateMachineReady);
        replica_.add(open_session());
        for (uint64_t i = 1; i <= 5'000; ++i) {
            replica_.add(make_directory(1, i, str_cat("/a directory with a rather long name ", i)));
        }
        replica_.apply(false);
    }

    Message ask(uint64_t id, uint64_t piece) {
        pb::Query query;
        query.mutable_export_state()->set_export_id(id);
        query.mutable_export_state()->set_piece(piece);
        return replica_.kit_.take_answer(replica_.kit_.request(message_of(query), pb::ACTOR_FILES));
    }
    pb::StatusCode code_of(const Message& reply) { return reply->query_result().status().code(); }

    Replica replica_;
};

TEST_F(ExportsTest, an_export_is_the_namespace_of_one_moment_whatever_is_applied_meanwhile) {
    const uint64_t hash = replica_.hash();
    Message first = ask(0, 0);
    ASSERT_EQ(code_of(first), pb::STATUS_OK);
    const uint64_t id = first->query_result().export_id();
    EXPECT_EQ(first->query_result().export_index(), 5'001u);
    FileStateRestorer restorer(test_settings());
    ASSERT_TRUE(restorer.read(first.payload.to_string()));
    bool more = first->query_result().more();
    EXPECT_TRUE(more) << "several pieces";
    for (uint64_t piece = 1; more; ++piece) {
        replica_.add(make_directory(1, 5'000 + piece, str_cat("/later ", piece)));
        replica_.apply(false);
        const Message next = ask(id, piece);
        ASSERT_EQ(code_of(next), pb::STATUS_OK);
        EXPECT_EQ(ask(id, piece).payload, next.payload) << "once more, when the answer was lost";
        ASSERT_TRUE(restorer.read(next.payload.to_string())) << restorer.problem();
        more = next->query_result().more();
    }
    ASSERT_TRUE(restorer.finish(5'001)) << restorer.problem();
    EXPECT_EQ(restorer.state().hash(), hash);
}

TEST_F(ExportsTest, an_unknown_export_or_a_piece_out_of_order_is_stale) {
    EXPECT_EQ(code_of(ask(77, 1)), pb::STATUS_ESTALE);
    const uint64_t id = ask(0, 0)->query_result().export_id();
    EXPECT_EQ(code_of(ask(id, 2)), pb::STATUS_ESTALE);
}

TEST_F(ExportsTest, an_export_that_nobody_reads_any_more_is_dropped_and_there_are_not_many) {
    std::vector<uint64_t> ids;
    for (size_t i = 0; i < StateMachine::kExportsMax; ++i) ids.push_back(ask(0, 0)->query_result().export_id());
    EXPECT_EQ(code_of(ask(0, 0)), pb::STATUS_RESOURCE_EXHAUSTED);
    replica_.kit_.advance(StateMachine::kExportIdleUs / 2);
    EXPECT_EQ(code_of(ask(ids[0], 1)), pb::STATUS_OK);
    replica_.kit_.advance(StateMachine::kExportIdleUs / 2);
    EXPECT_EQ(code_of(ask(ids[1], 1)), pb::STATUS_ESTALE);
    EXPECT_EQ(code_of(ask(ids[0], 2)), pb::STATUS_OK);
    EXPECT_EQ(code_of(ask(0, 0)), pb::STATUS_OK);
}

TEST_F(ExportsTest, one_backup_after_the_other_is_not_many_at_once) {
    uint64_t last = 0, pieces = 0;
    for (size_t i = 0; i < 3 * StateMachine::kExportsMax; ++i) {
        Message reply = ask(0, 0);
        ASSERT_EQ(code_of(reply), pb::STATUS_OK);
        last = reply->query_result().export_id();
        for (pieces = 1; reply->query_result().more(); ++pieces) {
            reply = ask(last, pieces);
            ASSERT_EQ(code_of(reply), pb::STATUS_OK);
        }
    }
    EXPECT_EQ(code_of(ask(last, pieces - 1)), pb::STATUS_OK) << "the last answer may have been lost";
}

}  // namespace
}  // namespace sandstore
