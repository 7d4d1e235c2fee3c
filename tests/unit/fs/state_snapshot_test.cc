// The content of a snapshot: a state written down and built again is the same state, whatever happens to the original
// meanwhile; and content that was tampered with is refused.
#include "actors/fs/file_state_restorer.h"
#include "actors/fs/file_state_writer.h"
#include "actors/fs/limits.h"
#include "random_commands.h"

namespace sandstore {
namespace {

std::vector<std::string> pieces_of(const FileState& state) {
    FileStateWriter writer(state);
    std::vector<std::string> pieces;
    while (!writer.done()) pieces.push_back(writer.next_piece());
    return pieces;
}

// "" or what is wrong.
std::string restore(const std::vector<std::string>& pieces, uint64_t index, FileState* state,
                    const pb::StartStateMachine& settings = test_settings()) {
    FileStateRestorer restorer(settings);
    for (const std::string& piece : pieces) {
        if (!restorer.read(piece)) return std::string(restorer.problem());
    }
    if (!restorer.finish(index)) return std::string(restorer.problem());
    std::swap(*state, restorer.state());
    return "";
}

std::string restore(const std::vector<std::string>& pieces, uint64_t index) {
    FileState state;
    return restore(pieces, index, &state);
}

// A state after so many random commands, and the stream that goes on.
struct Scene {
    explicit Scene(uint64_t seed) : commands(seed) { state.configure(test_settings()); }

    void run(uint64_t count) {
        for (uint64_t i = 0; i < count; ++i) {
            const uint64_t index = state.applied_index() + 1;
            const std::string command = commands.next(index);
            commands.learn(index, state.apply(index, command));
        }
    }

    RandomCommands commands;
    FileState state;
};

TEST(StateSnapshot, a_restored_state_goes_on_as_the_original_does) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        Scene scene(seed);
        RandomStream random(seed, 8);
        scene.run(200 + random.below(1200));
        FileState restored;
        const std::vector<std::string> pieces = pieces_of(scene.state);
        ASSERT_EQ(restore(pieces, scene.state.applied_index(), &restored), "") << "seed " << seed;
        ASSERT_EQ(restored.hash(), scene.state.hash());
        ASSERT_EQ(restored.walk_hash(), restored.hash());
        restored.files().check_invariants();
        ASSERT_EQ(pieces_of(restored), pieces) << "equal states, equal bytes";
        for (int i = 0; i < 600; ++i) {
            const uint64_t index = scene.state.applied_index() + 1;
            const std::string command = scene.commands.next(index);
            const std::string result = scene.state.apply(index, command);
            scene.commands.learn(index, result);
            ASSERT_EQ(restored.apply(index, command), result) << "seed " << seed << " index " << index;
            ASSERT_EQ(restored.hash(), scene.state.hash()) << "seed " << seed << " index " << index;
        }
        ASSERT_EQ(restored.walk_hash(), restored.hash());
        restored.files().check_invariants();
        ASSERT_EQ(pieces_of(restored), pieces_of(scene.state));
    }
}

TEST(StateSnapshot, what_happens_after_the_freeze_is_not_in_the_pieces) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Scene scene(seed);
        scene.run(700);
        const uint64_t index = scene.state.applied_index();
        const uint64_t hash = scene.state.hash();
        const std::vector<std::string> expected = pieces_of(scene.state);
        FileStateWriter writer(scene.state);
        scene.run(500);
        std::vector<std::string> pieces;
        while (!writer.done()) pieces.push_back(writer.next_piece());
        ASSERT_EQ(pieces, expected) << "seed " << seed;
        FileState restored;
        ASSERT_EQ(restore(pieces, index, &restored), "");
        ASSERT_EQ(restored.hash(), hash);
        ASSERT_EQ(writer.state().walk_hash(), hash);
    }
}

TEST(StateSnapshot, an_empty_state_can_be_restored_too) {
    FileState empty;
    empty.configure(test_settings());
    FileState restored;
    EXPECT_EQ(restore(pieces_of(empty), 0, &restored), "");
    EXPECT_EQ(restored.hash(), empty.hash());
    EXPECT_EQ(restored.files().inode_count(), 1u);
}

TEST(StateSnapshot, extents_of_removed_files_that_are_not_released_yet_are_inside) {
    FileState state;
    state.configure(test_settings());
    const auto apply = [&](pb::Mutation mutation) {
        pb::Command command;
        command.set_time_us(kStartUs);
        mutation.set_session_id(mutation.has_open_session() ? 0 : 1);
        mutation.set_sequence(mutation.has_open_session() ? 0 : state.applied_index() + 1);
        *command.mutable_mutation() = std::move(mutation);
        pb::MutationResult result;
        result.ParseFromString(state.apply(state.applied_index() + 1, command.SerializeAsString()));
        EXPECT_EQ(result.status().code(), pb::STATUS_OK) << result.status().message();
    };
    pb::Mutation mutation;
    mutation.mutable_open_session();
    apply(mutation);
    *mutation.mutable_create_file()->mutable_at() = at("/f");
    apply(mutation);
    constexpr uint64_t kCount = 2 * kExtentsReclaimedPerCommand;
    for (uint64_t i = 0; i < kCount;) {
        *mutation.mutable_commit_extents() = commit("/f", 0, {});
        for (int of_one = 0; of_one < kExtentsPerCommandMax; ++of_one, ++i) {
            *mutation.mutable_commit_extents()->add_extents() = extent(i * 20, 10, i + 1);
        }
        apply(mutation);
    }
    *mutation.mutable_set_attributes()->mutable_at() = at("/f");
    mutation.mutable_set_attributes()->set_size(20 * 5);
    apply(mutation);
    ASSERT_TRUE(state.files().reclaiming());
    FileState restored;
    ASSERT_EQ(restore(pieces_of(state), state.applied_index(), &restored), "");
    EXPECT_EQ(restored.hash(), state.hash());
    EXPECT_TRUE(restored.files().reclaiming());
    for (FileState* each : {&state, &restored}) {
        for (int i = 0; i < 3; ++i) each->skip(each->applied_index() + 1);
        EXPECT_EQ(each->files().chunk_count(), 5u);
    }
    EXPECT_EQ(restored.hash(), state.hash());
}

// --- What is refused -------------------------------------------------------------------------------------------------

class DamagedSnapshotTest : public testing::Test {
 protected:
    DamagedSnapshotTest() : scene_(3) {
        scene_.run(900);
        pieces_ = pieces_of(scene_.state);
        index_ = scene_.state.applied_index();
        EXPECT_EQ(pieces_.size(), 1u);
        EXPECT_EQ(restore(pieces_, index_), "");
    }

    Scene scene_;
    std::vector<std::string> pieces_;
    uint64_t index_ = 0;
};

TEST_F(DamagedSnapshotTest, another_index_is_refused) {
    EXPECT_NE(restore(pieces_, index_ + 1), "");
    EXPECT_NE(restore(pieces_, index_ - 1), "");
}

TEST_F(DamagedSnapshotTest, other_settings_are_refused) {
    pb::StartStateMachine settings = test_settings();
    settings.set_session_timeout_us(1);
    FileState state;
    EXPECT_EQ(restore(pieces_, index_, &state, settings), "It was written with other settings of the state machine");
}

TEST_F(DamagedSnapshotTest, an_unknown_version_is_refused) {
    pieces_[0][1] = 99;
    EXPECT_EQ(restore(pieces_, index_), "It was written by a newer version of this program");
}

TEST_F(DamagedSnapshotTest, any_single_byte_that_differs_is_noticed) {
    const std::string whole = pieces_[0];
    for (size_t i = 0; i < whole.size(); ++i) {
        for (const int flipped : {0x01, 0x80, 0x24}) {
            pieces_[0][i] = static_cast<char>(whole[i] ^ flipped);
            ASSERT_NE(restore(pieces_, index_), "") << "byte " << i << " flipped by " << flipped;
        }
        pieces_[0][i] = whole[i];
    }
}

TEST_F(DamagedSnapshotTest, every_end_that_is_too_early_is_noticed) {
    const std::string whole = pieces_[0];
    for (size_t i = 0; i < whole.size(); ++i) {
        pieces_[0] = whole.substr(0, i);
        ASSERT_NE(restore(pieces_, index_), "") << "cut at " << i;
    }
    pieces_ = {whole, whole.substr(0, 20)};
    EXPECT_NE(restore(pieces_, index_), "") << "and what comes after the end";
}

TEST_F(DamagedSnapshotTest, random_damage_is_refused_and_never_more_than_that) {
    RandomStream random(5, 1);
    const std::string whole = pieces_[0];
    for (int round = 0; round < 3000; ++round) {
        pieces_[0] = whole;
        const size_t from = random.below(whole.size());
        switch (random.below(3)) {
            case 0:
                for (size_t i = from; i < std::min(whole.size(), from + 12); ++i) {
                    pieces_[0][i] = static_cast<char>(random.below(256));
                }
                break;
            case 1:
                pieces_[0].erase(from, 1 + random.below(40));
                break;
            default:
                pieces_[0].insert(from, whole.substr(random.below(whole.size()), 1 + random.below(40)));
        }
        if (pieces_[0] == whole) continue;
        ASSERT_NE(restore(pieces_, index_), "") << "round " << round;
    }
}

}  // namespace
}  // namespace sandstore
