// Histories with a planted violation must be found out, and good ones must not.
#include "tests/history/history.h"

#include <gtest/gtest.h>

#include <sstream>

#include "runtime/text.h"
#include "tests/history/history_check.h"

namespace sandstore {
namespace {

constexpr size_t kFiles = 3;

RecordedHistory read(const std::string& text) {
    std::istringstream in(text);
    std::string error;
    const auto history = read_history(in, &error);
    EXPECT_TRUE(history) << error;
    return history.value_or(RecordedHistory());
}

HistoryVerdict verdict(const std::string& text) {
    return judge(read(text), kFiles);
}

// A file is made, written, appended to by two clients at once, renamed, and looked at in every way.
const std::string kGood =
    "invoke 1 1 1 /d create 0\n"
    "ok 2 1\n"
    "invoke 3 2 1 /d write 0 100\n"
    "ok 5 2\n"
    "invoke 6 3 1 /d append 0 50\n"
    "invoke 7 4 2 /d append 0 60\n"
    "ok 8 4 100\n"
    "ok 9 3 160\n"
    "invoke 10 5 1 /d read 0\n"
    "ok 11 5 2,4,3\n"
    "invoke 12 6 1 /d rename 0 1\n"
    "ok 13 6\n"
    "invoke 14 7 1 /d list\n"
    "ok 15 7 1\n"
    "invoke 16 8 1 /d stat 1\n"
    "ok 17 8 210\n"
    "invoke 18 9 1 /d create 1\n"
    "exists 19 9\n"
    "invoke 20 10 1 /d read 2\n"
    "missing 21 10\n"
    "invoke 22 11 1 /d remove 1\n"
    "ok 23 11\n"
    "invoke 24 12 1 /d list\n"
    "ok 25 12 -\n";

const std::string kJournals =
    "invoke 1 1 1 /j note 1\n"
    "ok 2 1\n"
    "invoke 3 2 1 /j make 1\n"
    "ok 4 2\n"
    "invoke 5 3 1 /j note 2\n"
    "unknown 6 3 timed out\n"
    "invoke 7 4 1 /j make 2\n"
    "fail 8 4 cluster too busy\n"
    "invoke 9 5 1 /j note 3\n";

TEST(History, a_good_one_is_found_good) {
    const HistoryVerdict good = verdict(kGood);
    EXPECT_TRUE(good.good()) << good.problems.at(0);
    EXPECT_EQ(good.directories, 1u);
    EXPECT_EQ(read(kGood).operations, 12u);
}

TEST(History, an_open_outcome_may_be_either) {
    const std::string unknown =
        "invoke 1 1 1 /d create 0\nok 2 1\ninvoke 3 2 1 /d write 0 100\nunknown 9 2 timed out\n"
        "invoke 4 3 2 /d read 0\n";
    EXPECT_TRUE(verdict(unknown + "ok 10 3 -\n").good());
    EXPECT_TRUE(verdict(unknown + "ok 10 3 2\n").good());
    EXPECT_TRUE(verdict(unknown).good());
    EXPECT_FALSE(verdict(unknown + "ok 10 3 2,2\n").good());
}

TEST(History, a_stale_read_is_found) {
    const HistoryVerdict stale = verdict(
        "invoke 1 1 1 /d create 0\nok 2 1\ninvoke 3 2 1 /d write 0 100\nok 4 2\n"
        "invoke 5 3 1 /d write 0 100\nok 6 3\ninvoke 7 4 2 /d read 0\nok 8 4 2\n");
    EXPECT_EQ(stale.not_linearizable, 1u);
    ASSERT_EQ(stale.problems.size(), 1u);
    EXPECT_TRUE(stale.problems[0].starts_with("/d: no order fits")) << stale.problems[0];
}

TEST(History, a_lost_write_is_found) {
    EXPECT_EQ(verdict("invoke 1 1 1 /d create 0\nok 2 1\ninvoke 3 2 1 /d append 0 100\nok 4 2 0\n"
                      "invoke 5 3 1 /d read 0\nok 6 3 -\n")
                  .not_linearizable,
              1u);
}

TEST(History, a_write_that_was_done_twice_is_found) {
    EXPECT_EQ(verdict("invoke 1 1 1 /d create 0\nok 2 1\ninvoke 3 2 1 /d append 0 100\nok 4 2 0\n"
                      "invoke 5 3 1 /d read 0\nok 6 3 2,2\n")
                  .not_linearizable,
              1u);
}

TEST(History, what_was_refused_must_not_show) {
    const std::string refused =
        "invoke 1 1 1 /d create 0\nok 2 1\ninvoke 3 2 1 /d append 0 100\nfail 4 2 No space\n"
        "invoke 5 3 1 /d read 0\n";
    EXPECT_TRUE(verdict(refused + "ok 6 3 -\n").good());
    EXPECT_FALSE(verdict(refused + "ok 6 3 2\n").good());
}

TEST(History, directories_are_judged_apart) {
    std::string text;
    for (int i = 0; i < 3; i++) {
        const int id = 10 * i;
        str_append(&text, "invoke ", id + 1, " ", id + 1, " 1 /d", i, " create 0\nok ", id + 2, " ", id + 1,
                   "\ninvoke ", id + 3, " ", id + 2, " 1 /d", i, " stat 0\nok ", id + 4, " ", id + 2, " ",
                   i == 1 ? 7 : 0, "\n");
    }
    const HistoryVerdict one_is_wrong = verdict(text);
    EXPECT_EQ(one_is_wrong.directories, 3u);
    EXPECT_EQ(one_is_wrong.not_linearizable, 1u);
    EXPECT_TRUE(one_is_wrong.problems.at(0).starts_with("/d1:"));
}

TEST(History, what_cannot_be_decided_is_not_good) {
    const HistoryVerdict undecided = judge(read(kGood), kFiles, 3);
    EXPECT_EQ(undecided.undecided, 1u);
    EXPECT_FALSE(undecided.good());
}

TEST(History, a_journal_holds_what_was_acknowledged_and_perhaps_what_is_open) {
    for (const char* notes : {"1", "1,2", "1,3", "1,3,2"}) {
        const HistoryVerdict good = verdict(str_cat(kJournals, "final 20 note /j ", notes, "\nfinal 20 make /j 1\n"));
        EXPECT_TRUE(good.good()) << good.problems.at(0);
        EXPECT_EQ(good.acknowledged, 2u);
    }
}

TEST(History, lost_doubled_and_alien_entries_of_a_journal_are_counted) {
    const HistoryVerdict bad = verdict(kJournals + "final 20 note /j 2,2,9\nfinal 20 make /j 1,2\n");
    EXPECT_EQ(bad.lost, 1u);     // Note 1.
    EXPECT_EQ(bad.doubled, 1u);  // Note 2.
    EXPECT_EQ(bad.alien, 2u);    // Note 9 was never asked for, and 2 was refused to be made.
    EXPECT_FALSE(bad.good());
}

TEST(History, a_file_that_was_there_before_its_only_maker_was_made_twice) {
    const HistoryVerdict twice = verdict("invoke 1 1 1 /j make 1\nexists 2 1\nfinal 3 make /j 1\n");
    EXPECT_EQ(twice.doubled, 1u);
}

TEST(History, a_journal_that_was_not_read_at_the_end_is_a_problem) {
    EXPECT_FALSE(verdict(kJournals + "final 20 note /j 1\n").good());
}

TEST(History, an_absurd_answer_is_a_problem) {
    const HistoryVerdict absurd = verdict("invoke 1 1 1 /d create 0\nabsurd 2 1 Invalid argument\n");
    EXPECT_EQ(absurd.absurd, 1u);
    EXPECT_FALSE(absurd.good());
}

TEST(History, a_last_line_that_was_cut_off_is_no_error_and_any_other_is) {
    EXPECT_EQ(read("invoke 1 1 1 /d create 0\nok 2 1\ninvoke 3 2 1 /d wri").operations, 1u);
    for (const char* bad : {"invoke 1 1 1 /d wri 0\n", "invoke x 1 1 /d list\n", "ok 1 7\n",
                            "invoke 1 1 1 /d write 0\n", "invoke 1 1 1 /d list\nok 2 1 f1\n", "hello\n"}) {
        std::istringstream in(bad);
        std::string error;
        EXPECT_FALSE(read_history(in, &error)) << bad;
        EXPECT_TRUE(error.starts_with("line ")) << error;
    }
}

}  // namespace
}  // namespace sandstore
