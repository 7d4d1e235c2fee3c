#include "client/leader_finder.h"

#include <gtest/gtest.h>

namespace sandstore {
namespace {

constexpr uint64_t kNow = 5'000'000;

LeaderFinder three() {
    LeaderFinder finder;
    finder.set_servers({"a:1", "b:1", "c:1"}, 0);
    return finder;
}

TEST(LeaderFinder, addresses_that_are_none_are_left_out) {
    LeaderFinder finder;
    finder.set_servers({"a:1", "a:1", "", "b", "b:0", "b:70000", "b:x", ":5", "~3:1", "c d:1", "[::1]:8080"}, 7);
    EXPECT_EQ(finder.size(), 2u);
    EXPECT_EQ(finder.server(0), "a:1");
    EXPECT_EQ(finder.server(1), "[::1]:8080");
}

TEST(LeaderFinder, a_hint_is_followed_and_remembered) {
    LeaderFinder finder = three();
    EXPECT_EQ(finder.current(), "a:1");
    EXPECT_TRUE(finder.redirected("a:1", "c:1", kNow));
    EXPECT_EQ(finder.current(), "c:1");
    EXPECT_TRUE(finder.leader_known());
}

TEST(LeaderFinder, a_hint_may_name_a_server_that_was_not_known) {
    LeaderFinder finder = three();
    EXPECT_TRUE(finder.redirected("a:1", "d:1", kNow));
    EXPECT_EQ(finder.current(), "d:1");
    EXPECT_EQ(finder.size(), 4u);
}

TEST(LeaderFinder, nonsense_in_a_hint_moves_on_to_the_next_server) {
    for (const char* hint : {"", "a:1", "nonsense", "@b:1", "b:1,c:1"}) {
        LeaderFinder finder = three();
        EXPECT_FALSE(finder.redirected("a:1", hint, kNow)) << hint;
        EXPECT_EQ(finder.current(), "b:1") << hint;
        EXPECT_FALSE(finder.leader_known());
    }
}

TEST(LeaderFinder, hints_are_bounded) {
    LeaderFinder finder = three();
    for (int i = 0; i < 1000; ++i) finder.redirected(finder.current(), "h" + std::to_string(i) + ":1", kNow);
    EXPECT_LE(finder.size(), 64u);
}

TEST(LeaderFinder, a_hint_to_a_server_that_just_failed_is_not_followed_for_a_while) {
    LeaderFinder finder = three();
    finder.failed("a:1", kNow);
    EXPECT_EQ(finder.current(), "b:1");
    EXPECT_FALSE(finder.redirected("b:1", "a:1", kNow));
    EXPECT_EQ(finder.current(), "c:1");
    const uint64_t later = kNow + LeaderFinder::kDistrustUs;
    EXPECT_TRUE(finder.redirected("c:1", "a:1", later));
    EXPECT_EQ(finder.current(), "a:1");
}

TEST(LeaderFinder, the_next_server_is_one_that_did_not_just_fail) {
    LeaderFinder finder = three();
    finder.failed("b:1", kNow);
    EXPECT_EQ(finder.current(), "a:1");
    finder.failed("a:1", kNow);
    EXPECT_EQ(finder.current(), "c:1");
    finder.failed("c:1", kNow);
    EXPECT_EQ(finder.current(), "a:1");  // All failed: one after the other.
}

TEST(LeaderFinder, late_news_about_a_server_no_longer_asked_changes_nothing) {
    LeaderFinder finder = three();
    finder.redirected("a:1", "b:1", kNow);
    finder.failed("a:1", kNow);
    EXPECT_EQ(finder.current(), "b:1");
    EXPECT_TRUE(finder.redirected("a:1", "c:1", kNow));  // Ask the current one, at once.
    EXPECT_EQ(finder.current(), "b:1");
}

TEST(LeaderFinder, an_answer_ends_distrust) {
    LeaderFinder finder = three();
    finder.failed("b:1", kNow);
    EXPECT_TRUE(finder.distrusted("b:1", kNow + 1));
    finder.answered("b:1");
    EXPECT_FALSE(finder.distrusted("b:1", kNow + 1));
}

}  // namespace
}  // namespace sandstore
