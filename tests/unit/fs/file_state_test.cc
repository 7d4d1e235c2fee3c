// Commands as the log brings them: exactly once, and the same on every replica.
#include "actors/fs/file_state.h"

#include "fs_fixture.h"
#include "random_commands.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

class FileStateTest : public testing::Test {
 protected:
    FileStateTest() { state_.configure(test_settings()); }
    ~FileStateTest() override {
        state_.files().check_invariants();
        EXPECT_EQ(state_.hash(), state_.walk_hash());
    }

    pb::MutationResult apply(const pb::Mutation& mutation) {
        pb::Command command;
        command.set_time_us(now_us_);
        command.set_clock_us(clock_us_);
        *command.mutable_mutation() = mutation;
        return parsed(state_.apply(state_.applied_index() + 1, command.SerializeAsString()));
    }
    pb::MutationResult parsed(const std::string& bytes) {
        pb::MutationResult result;
        EXPECT_TRUE(result.ParseFromString(bytes));
        return result;
    }
    uint64_t open() {
        pb::Mutation mutation;
        mutation.mutable_open_session();
        return apply(mutation).session_id();
    }
    static pb::Mutation in_session(uint64_t session, uint64_t sequence) {
        pb::Mutation mutation;
        mutation.set_session_id(session);
        mutation.set_sequence(sequence);
        return mutation;
    }
    static pb::Mutation make(uint64_t session, uint64_t sequence, std::string_view path) {
        pb::Mutation mutation = in_session(session, sequence);
        *mutation.mutable_make_directory()->mutable_at() = at(path);
        return mutation;
    }

    FileState state_;
    uint64_t now_us_ = kStartUs;
    uint64_t clock_us_ = 0;  // 0: the leader knows none.
};

TEST_F(FileStateTest, a_session_is_named_after_its_entry) {
    EXPECT_EQ(open(), 1u);
    state_.skip(2);
    EXPECT_EQ(open(), 3u);
    EXPECT_EQ(state_.applied_index(), 3u);
}

TEST_F(FileStateTest, a_retry_is_answered_and_not_applied_again) {
    const uint64_t session = open();
    const pb::MutationResult first = apply(make(session, 1, "/d"));
    EXPECT_EQ(first.status().code(), pb::STATUS_OK);
    now_us_ += 5'000'000;
    EXPECT_EQ(apply(make(session, 1, "/d")).SerializeAsString(), first.SerializeAsString());
    EXPECT_EQ(apply(make(session, 2, "/d")).status().code(), pb::STATUS_EEXIST);
    // A failure is a result like any other.
    pb::Mutation gone = in_session(session, 3);
    *gone.mutable_remove_directory()->mutable_at() = at("/e");
    EXPECT_EQ(apply(gone).status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(apply(make(session, 4, "/e")).status().code(), pb::STATUS_OK);
    EXPECT_EQ(apply(gone).status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(state_.files().inode_count(), 3u);
}

TEST_F(FileStateTest, an_append_that_is_retried_appends_once) {
    const uint64_t session = open();
    pb::Mutation create = in_session(session, 1);
    *create.mutable_create_file()->mutable_at() = at("/f");
    apply(create);
    pb::Mutation append = in_session(session, 2);
    *append.mutable_commit_extents() = commit("/f", 0, {extent(0, 10, 1)});
    append.mutable_commit_extents()->set_append(true);
    EXPECT_EQ(apply(append).attributes().size(), 10u);
    EXPECT_EQ(apply(append).attributes().size(), 10u);
}

TEST_F(FileStateTest, without_a_session_nothing_is_applied) {
    EXPECT_EQ(apply(make(77, 1, "/d")).status().code(), pb::STATUS_SESSION_EXPIRED);
    EXPECT_EQ(apply(make(0, 1, "/d")).status().code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(state_.files().inode_count(), 1u);
}

TEST_F(FileStateTest, a_closed_session_is_gone) {
    const uint64_t session = open();
    pb::Mutation close = in_session(session, 1);
    close.mutable_close_session();
    EXPECT_EQ(apply(close).status().code(), pb::STATUS_OK);
    EXPECT_EQ(apply(close).status().code(), pb::STATUS_SESSION_EXPIRED);
    EXPECT_EQ(apply(make(session, 2, "/d")).status().code(), pb::STATUS_SESSION_EXPIRED);
}

TEST_F(FileStateTest, the_clock_is_the_greatest_time_seen) {
    const uint64_t session = open();
    now_us_ += kTestSessionTimeoutUs + 1;
    open();
    now_us_ = kStartUs;  // The next leader's clock is behind.
    EXPECT_EQ(apply(make(session, 1, "/d")).status().code(), pb::STATUS_SESSION_EXPIRED);
    EXPECT_EQ(state_.clock_us(), kStartUs + kTestSessionTimeoutUs + 1);
}

TEST_F(FileStateTest, a_wall_clock_far_ahead_lets_nothing_expire_early_and_nothing_live_for_ever) {
    const uint64_t session = open();
    now_us_ += 365ull * 24 * 3'600'000'000;
    clock_us_ = kStartUs + 1'000'000;
    EXPECT_EQ(apply(make(session, 1, "/d")).status().code(), pb::STATUS_OK);
    EXPECT_EQ(state_.clock_us(), clock_us_);
    clock_us_ += kTestSessionTimeoutUs + 1;
    EXPECT_EQ(apply(make(session, 2, "/e")).status().code(), pb::STATUS_SESSION_EXPIRED);
}

TEST_F(FileStateTest, the_session_that_makes_room_is_the_one_used_least_whatever_the_wall_clock_says) {
    std::vector<uint64_t> sessions;
    for (clock_us_ = kStartUs; sessions.size() < 4; ++clock_us_) sessions.push_back(open());
    now_us_ += 365ull * 24 * 3'600'000'000;
    for (const uint64_t used : {sessions[0], sessions[1], sessions[3]}) {
        ++clock_us_;
        EXPECT_EQ(apply(make(used, 1, str_cat("/", used))).status().code(), pb::STATUS_OK);
    }
    ++clock_us_;
    open();
    EXPECT_EQ(apply(make(sessions[2], 1, "/x")).status().code(), pb::STATUS_SESSION_EXPIRED);
    EXPECT_EQ(apply(make(sessions[0], 2, "/y")).status().code(), pb::STATUS_OK);
}

// Versions word their sentences differently, and their states must be the same all the same.
TEST_F(FileStateTest, sentences_are_no_part_of_the_state) {
    const uint64_t session = open();
    pb::Mutation rename = in_session(session, 1);
    *rename.mutable_rename()->mutable_from() = at("/");
    *rename.mutable_rename()->mutable_to() = at("");
    const pb::MutationResult first = apply(rename);
    ASSERT_NE(first.status().code(), pb::STATUS_OK);
    EXPECT_FALSE(first.status().message().empty());
    const pb::MutationResult again = apply(rename);
    EXPECT_EQ(again.status().code(), first.status().code());
    EXPECT_FALSE(again.status().message().empty());
    for (auto at = state_.sessions().results().begin(); at.valid(); at.next()) {
        EXPECT_TRUE(parsed(at.value()).status().message().empty());
    }
}

TEST_F(FileStateTest, a_command_that_cannot_be_read_changes_nothing_and_is_a_problem) {
    const uint64_t session = open();
    const uint64_t files = state_.files().hash();
    EXPECT_EQ(state_.problem(), "");
    EXPECT_EQ(parsed(state_.apply(2, "\xff\xff\xff")).status().code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_NE(state_.problem(), "");
    EXPECT_EQ(parsed(state_.apply(3, "")).status().code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(state_.files().hash(), files);
    EXPECT_EQ(apply(make(session, 1, "/d")).status().code(), pb::STATUS_OK);
}

TEST_F(FileStateTest, what_the_leader_should_have_refused_is_refused_here_too) {
    const uint64_t session = open();
    EXPECT_EQ(apply(make(session, 1, "/../x")).status().code(), pb::STATUS_EINVAL);
    EXPECT_EQ(apply(in_session(session, 2)).status().code(), pb::STATUS_INVALID_ARGUMENT);
    pb::Mutation ahead = make(session, 3, "/d");
    ahead.set_oldest_needed(4);
    EXPECT_EQ(apply(ahead).status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(FileStateTest, a_forgotten_sequence_is_refused) {
    const uint64_t session = open();
    pb::Mutation later = make(session, 5, "/e");
    later.set_oldest_needed(5);
    EXPECT_EQ(apply(later).status().code(), pb::STATUS_OK);
    EXPECT_EQ(apply(make(session, 4, "/d")).status().code(), pb::STATUS_INVALID_ARGUMENT);
    EXPECT_EQ(state_.files().inode_count(), 2u);
}

TEST_F(FileStateTest, a_gap_in_the_entries_breaks_an_invariant) {
    EXPECT_THROW(state_.skip(2), InvariantBroken);
    state_.skip(1);
    EXPECT_THROW(state_.skip(1), InvariantBroken);
}

TEST_F(FileStateTest, removing_a_large_file_is_one_short_step_and_the_rest_follows) {
    const uint64_t session = open();
    pb::Mutation create = in_session(session, 1);
    *create.mutable_create_file()->mutable_at() = at("/f");
    apply(create);
    uint64_t sequence = 2;
    for (uint64_t chunk = 1; chunk <= 3 * 2048; chunk += 1024) {
        pb::Mutation write = in_session(session, sequence++);
        pb::CommitExtents& extents = *write.mutable_commit_extents();
        extents = commit("/f", chunk * 10, {});
        for (uint64_t i = 0; i < 1024; ++i) *extents.add_extents() = extent(i * 10, 10, chunk + i);
        ASSERT_EQ(apply(write).status().code(), pb::STATUS_OK);
    }
    pb::Mutation remove = in_session(session, sequence);
    *remove.mutable_remove_file()->mutable_at() = at("/f");
    apply(remove);
    EXPECT_EQ(state_.files().chunk_count(), 4096u);
    state_.skip(state_.applied_index() + 1);
    state_.skip(state_.applied_index() + 1);
    EXPECT_EQ(state_.files().chunk_count(), 0u);
}

// --- Determinism -----------------------------------------------------------------------------------------------------

TEST(FileStates, random_commands_give_equal_results_and_hashes) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        RandomCommands commands(seed);
        FileState first;
        FileState second;
        first.configure(test_settings());
        second.configure(test_settings());
        for (uint64_t index = 1; index <= 1600; ++index) {
            const std::string command = commands.next(index);
            const std::string result = first.apply(index, command);
            commands.learn(index, result);
            ASSERT_EQ(second.apply(index, command), result) << "seed " << seed << " index " << index;
            ASSERT_EQ(first.hash(), second.hash()) << "seed " << seed << " index " << index;
            if (index % 100 != 0) continue;
            first.files().check_invariants();
            ASSERT_EQ(first.hash(), first.walk_hash()) << "seed " << seed << " index " << index;
        }
        EXPECT_GT(commands.succeeded(), 300u) << "the random commands do not do enough";
        EXPECT_GT(commands.failed(), 100u) << "the random commands do not fail enough";
    }
}

TEST(FileStates, a_different_setting_shows_in_the_hash) {
    FileState first;
    FileState second;
    pb::StartStateMachine settings = test_settings();
    first.configure(settings);
    settings.set_session_timeout_us(settings.session_timeout_us() + 1);
    second.configure(settings);
    EXPECT_NE(first.hash(), second.hash());
}

}  // namespace
}  // namespace sandstore
