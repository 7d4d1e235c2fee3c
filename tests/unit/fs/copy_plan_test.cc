// Which copies of a chunk are made, and which places it gets and loses.
#include "actors/fs/copy_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sandstore {
namespace {

using Names = std::vector<std::string>;

// Members "a" to "e", all up, three copies of each chunk; "e" is the next home.
class CopyPlanTest : public testing::Test {
 protected:
    CopyPlanTest() {
        nodes.homes = nodes.answering = {"a", "b", "c", "d", "e"};
        nodes.copies = 3;
    }
    Names next(Names places, std::set<std::string> holders) {
        return next_places({std::move(places), std::move(holders)}, nodes, [this](const Names& taken) {
            if (!another || std::ranges::count(taken, *another) > 0) return std::optional<std::string>();
            return another;
        });
    }
    bool too_few(Names places, std::set<std::string> holders) {
        return has_too_few_copies({std::move(places), std::move(holders)}, nodes);
    }
    void leave(const std::string& node) { nodes.homes.erase(node); }
    void take_down(const std::string& node, bool for_long) {
        nodes.answering.erase(node);
        if (for_long) nodes.gone.insert(node);
    }

    CopyHomes nodes;
    std::optional<std::string> another = "e";
};

TEST_F(CopyPlanTest, a_chunk_that_has_its_copies_stays_where_it_is) {
    EXPECT_EQ(next({"a", "b", "c"}, {"a", "b", "c"}), (Names{"a", "b", "c"}));
    EXPECT_TRUE(copies_to_make({{"a", "b", "c"}, {"a", "b", "c"}}, nodes).empty());
    EXPECT_FALSE(too_few({"a", "b", "c"}, {"a", "b", "c"}));
}

TEST_F(CopyPlanTest, whoever_lacks_its_copy_makes_it) {
    EXPECT_EQ(copies_to_make({{"a", "b", "c"}, {"b"}}, nodes), (Names{"a", "c"}));
    EXPECT_TRUE(too_few({"a", "b", "c"}, {"b"}));
    take_down("a", false);
    EXPECT_EQ(copies_to_make({{"a", "b", "c"}, {"b"}}, nodes), Names{"c"});
    EXPECT_TRUE(copies_to_make({{"a", "b", "c"}, {}}, nodes).empty()) << "there is nothing to copy from";
    EXPECT_EQ(copies_to_make({{"a", "b", "c"}, {"d"}}, nodes), (Names{"b", "c"})) << "a stranger's copy will do";
}

TEST_F(CopyPlanTest, a_leaver_goes_after_the_copy_in_its_place_has_been_seen) {
    leave("a");
    EXPECT_EQ(next({"a", "b", "c"}, {"a", "b", "c"}), (Names{"a", "b", "c", "e"})) << "first the new home";
    EXPECT_EQ(next({"a", "b", "c", "e"}, {"a", "b", "c"}), (Names{"a", "b", "c", "e"})) << "it has no copy yet";
    EXPECT_EQ(next({"a", "b", "c", "e"}, {"a", "b", "c", "e"}), (Names{"b", "c", "e"}));
    EXPECT_EQ(next({"a", "b", "c", "e"}, {"b", "c", "e"}), (Names{"b", "c", "e"})) << "also when the leaver is down";
}

TEST_F(CopyPlanTest, a_node_that_has_the_chunk_already_is_the_best_new_home) {
    leave("a");
    EXPECT_EQ(next({"a", "b", "c"}, {"a", "b", "c", "d"}), (Names{"a", "b", "c", "d"}));
}

TEST_F(CopyPlanTest, the_only_intact_copy_is_not_given_up) {
    leave("a");
    EXPECT_EQ(next({"a", "b", "c", "e"}, {"a"}), (Names{"a", "b", "c", "e"}));
    another.reset();
    EXPECT_EQ(next({"a", "b", "c"}, {"a"}), (Names{"a", "b", "c"}));
    take_down("b", false);
    take_down("c", false);
    EXPECT_EQ(next({"a", "b", "c"}, {"a"}), (Names{"a", "b", "c"}));
}

TEST_F(CopyPlanTest, of_three_members_one_may_leave_when_the_others_have_their_copies) {
    nodes.homes = nodes.answering = {"a", "b", "c"};
    leave("a");
    nodes.copies = 2;
    another.reset();
    EXPECT_EQ(next({"a", "b", "c"}, {"a", "b", "c"}), (Names{"b", "c"}));
    EXPECT_EQ(next({"a", "b", "c"}, {"a", "b"}), (Names{"a", "b", "c"}));
}

TEST_F(CopyPlanTest, a_short_absence_changes_nothing) {
    take_down("a", false);
    EXPECT_EQ(next({"a", "b", "c"}, {"b", "c"}), (Names{"a", "b", "c"}));
    EXPECT_FALSE(too_few({"a", "b", "c"}, {"b", "c"}));
}

TEST_F(CopyPlanTest, who_is_away_for_long_is_replaced_and_loses_its_place_last) {
    take_down("a", true);
    EXPECT_TRUE(too_few({"a", "b", "c"}, {"b", "c"}));
    EXPECT_EQ(next({"a", "b", "c"}, {"b", "c"}), (Names{"a", "b", "c", "e"}));
    EXPECT_EQ(next({"a", "b", "c", "e"}, {"b", "c", "e"}), (Names{"b", "c", "e"}));
    another.reset();
    EXPECT_EQ(next({"a", "b", "c"}, {"b", "c"}), (Names{"a", "b", "c"})) << "its copies are fine when it is back";
}

TEST_F(CopyPlanTest, a_leaver_may_go_while_another_is_away_when_a_majority_has_intact_copies) {
    nodes.homes = nodes.answering = {"a", "b", "c", "d"};
    another.reset();
    leave("a");
    take_down("b", false);
    EXPECT_EQ(next({"a", "b", "c", "d"}, {"a", "c", "d"}), (Names{"b", "c", "d"}));
    EXPECT_EQ(next({"a", "b", "c", "d"}, {"a", "c"}), (Names{"a", "b", "c", "d"})) << "d can still get one";
}

TEST_F(CopyPlanTest, fewer_copies_than_members_allow_are_brought_up) {
    EXPECT_EQ(next({"a", "b"}, {"a", "b"}), (Names{"a", "b", "e"}));
    EXPECT_TRUE(too_few({"a", "b"}, {"a", "b"}));
}

}  // namespace
}  // namespace sandstore
