#include "apps/smoke/leader_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sandstore {
namespace {

class LogFollowerTest : public ::testing::Test {
 protected:
    void SetUp() override {
        directory_ = std::filesystem::path(testing::TempDir()) /
                     ("logs-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
        std::filesystem::remove_all(directory_);
        std::filesystem::create_directories(directory_);
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void append(const std::string& file, const std::string& text) {
        std::ofstream(directory_ / file, std::ios::app) << text;
    }
    std::vector<std::string> look(LogFollower& follower) { return follower.look("Became Leader"); }

    std::filesystem::path directory_;
    using Names = std::vector<std::string>;
};

TEST_F(LogFollowerTest, without_a_directory_there_is_nothing) {
    LogFollower follower((directory_ / "missing").string());
    EXPECT_EQ(look(follower), Names{});
    EXPECT_FALSE(follower.found_logs());
}

TEST_F(LogFollowerTest, lines_are_seen_once_when_they_come) {
    append("node-1.log", "boot\n");
    LogFollower follower(directory_.string());
    EXPECT_EQ(look(follower), Names{});
    EXPECT_TRUE(follower.found_logs());
    append("node-1.log", "raft Became Leader term=2\nmore\n");
    EXPECT_EQ(look(follower), Names{"node-1"});
    EXPECT_EQ(look(follower), Names{});
    append("node-2.log", "raft Became Leader term=3\n");
    EXPECT_EQ(look(follower), Names{"node-2"});
}

TEST_F(LogFollowerTest, a_line_that_comes_in_pieces_counts_when_it_is_whole) {
    LogFollower follower(directory_.string());
    append("node-1.log", "raft Became ");
    EXPECT_EQ(look(follower), Names{});
    append("node-1.log", "Leader term");
    EXPECT_EQ(look(follower), Names{});
    append("node-1.log", "=2\n");
    EXPECT_EQ(look(follower), Names{"node-1"});
}

TEST_F(LogFollowerTest, a_log_that_begins_anew_is_read_from_its_start) {
    append("node-1.log", "a line that is longer than what comes\nraft Became Leader term=2\n");
    LogFollower follower(directory_.string());
    EXPECT_EQ(look(follower), Names{"node-1"});
    std::ofstream(directory_ / "node-1.log", std::ios::trunc) << "raft Became Leader term=9\n";
    EXPECT_EQ(look(follower), Names{"node-1"});
}

TEST_F(LogFollowerTest, other_files_are_not_logs) {
    append("notes.txt", "Became Leader\n");
    LogFollower follower(directory_.string());
    EXPECT_EQ(look(follower), Names{});
}

}  // namespace
}  // namespace sandstore
