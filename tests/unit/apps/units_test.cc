#include "apps/terminal/units.h"

#include <gtest/gtest.h>

#include "apps/common/remote_path.h"
#include "apps/terminal/progress_bar.h"
#include "runtime/flags.h"
#include "runtime/one_line.h"

namespace sandstore {
namespace {

TEST(Units, durations_are_read_with_their_unit) {
    EXPECT_EQ(parse_duration_us("5s"), 5'000'000u);
    EXPECT_EQ(parse_duration_us("5"), 5'000'000u);
    EXPECT_EQ(parse_duration_us("1.5s"), 1'500'000u);
    EXPECT_EQ(parse_duration_us("250ms"), 250'000u);
    EXPECT_EQ(parse_duration_us("10us"), 10u);
    EXPECT_EQ(parse_duration_us("2m"), 120'000'000u);
    EXPECT_EQ(parse_duration_us("1h"), 3'600'000'000u);
    for (const char* bad : {"", "s", "-1s", "5 s", "5sec", "1e3", "inf", "nan", "99999999999h", "5s5"}) {
        EXPECT_FALSE(parse_duration_us(bad).has_value()) << bad;
    }
}

TEST(Units, a_duration_rule_has_bounds) {
    const ValueRule rule = duration_between(1'000'000, 60'000'000);
    EXPECT_TRUE(rule.accepts("1s"));
    EXPECT_TRUE(rule.accepts("1m"));
    EXPECT_FALSE(rule.accepts("999ms"));
    EXPECT_FALSE(rule.accepts("61s"));
    EXPECT_FALSE(rule.accepts("soon"));
}

TEST(Units, sizes_and_times_read_well) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1023), "1023 B");
    EXPECT_EQ(format_bytes(1024), "1.0 KiB");
    EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.0 MiB");
    EXPECT_EQ(format_bytes(5 * 1024 * 1024 + 1), "5.0 MiB");
    EXPECT_EQ(format_bytes(UINT64_MAX), "16.0 EiB");
    EXPECT_EQ(format_duration(870), "870 us");
    EXPECT_EQ(format_duration(1'520), "1.52 ms");
    EXPECT_EQ(format_duration(15'200), "15.2 ms");
    EXPECT_EQ(format_duration(3'400'000), "3.4 s");
    EXPECT_EQ(format_duration(125'000'000), "2m05s");
}

TEST(Units, modes_look_as_in_ls) {
    EXPECT_EQ(format_mode(0755, true), "drwxr-xr-x");
    EXPECT_EQ(format_mode(0640, false), "-rw-r-----");
    EXPECT_EQ(format_mode(04755, false), "-rwsr-xr-x");
    EXPECT_EQ(format_mode(01777, true), "drwxrwxrwt");
    EXPECT_EQ(format_mode(02640, false), "-rw-r-S---");
}

TEST(RemotePath, slashes_are_tidied) {
    EXPECT_EQ(tidy_path(""), "/");
    EXPECT_EQ(tidy_path("//"), "/");
    EXPECT_EQ(tidy_path("a//b/"), "/a/b");
    EXPECT_EQ(tidy_path("/a/../b"), "/a/../b");
    EXPECT_EQ(join_path("/", "x"), "/x");
    EXPECT_EQ(join_path("/a/", "x"), "/a/x");
    EXPECT_EQ(base_name("/a/b/"), "b");
    EXPECT_EQ(base_name("/"), "");
}

TEST(RemotePath, single_dots_name_what_is_without_them) {
    for (const std::string_view root : {".", "./", "/.", "/./", "//.//", ""}) EXPECT_EQ(tidy_path(root), "/") << root;
    EXPECT_EQ(tidy_path("./a/./b/."), "/a/b");
    EXPECT_EQ(tidy_path("/.a/b."), "/.a/b.");
    EXPECT_EQ(base_name("."), "");
    for (const std::string_view dots : {".", "..", "a/.", "a/..", "a/../", "/./"})
        EXPECT_TRUE(ends_with_dots(dots)) << dots;
    for (const std::string_view plain : {"", "/", "a", "./a", "a/.b", "..."})
        EXPECT_FALSE(ends_with_dots(plain)) << plain;
}

TEST(RemotePath, two_sources_of_one_place_are_told_apart_from_one_that_is_named_twice) {
    Made made;
    bool harmless = false;
    EXPECT_EQ(made.add("/a/x", "/d/x", &harmless), "");
    EXPECT_EQ(made.add("/b/x", "/d/x", &harmless), "will not overwrite what was just made of /a/x");
    EXPECT_FALSE(harmless);
    EXPECT_EQ(made.add("/a/x", "/d/x", &harmless), "named more than once");
    EXPECT_TRUE(harmless);
}

TEST(OneLine, control_characters_are_shown_as_in_c) {
    EXPECT_EQ(one_line("a\x1b[2Jb\n\r\t"), "a\\x1b[2Jb\\n\\r\\t");
    EXPECT_EQ(one_line("\xc2\x9b"
                       "31m"),
              "\\x9b31m")
        << "C1, as UTF-8 has it";
    EXPECT_EQ(one_line("äöü"), "äöü");
}

TEST(ProgressBar, the_line_fits_the_terminal_and_tells_share_and_rate) {
    const std::string line = progress_line("film.mkv", 512 << 20, 1 << 30, 4'000'000, 80);
    EXPECT_LT(line.size(), 80u);
    EXPECT_NE(line.find(" 50%"), std::string::npos) << line;
    EXPECT_NE(line.find("128.0 MiB/s"), std::string::npos) << line;
    EXPECT_NE(line.find("4.0 s left"), std::string::npos) << line;
    EXPECT_LT(progress_line(std::string(500, 'x'), 1, 100, 0, 60).size(), 60u);
    EXPECT_EQ(progress_line("-", 1 << 20, 0, 1'000'000, 80), "-  1.0 MiB  1.0 MiB/s");
}

TEST(ProgressBar, chunks_that_are_moved_are_counted) {
    const std::string line = progress_line("chunks off node-3", 25, 100, 50'000'000, 100, ProgressUnit::kChunks);
    EXPECT_TRUE(line.ends_with("]  25%  25/100 chunks  0.5/s  2m30s left")) << line;
}

}  // namespace
}  // namespace sandstore
