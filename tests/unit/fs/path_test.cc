// What an At's path may look like (messages/fs.proto).
#include "actors/fs/path.h"

#include <gtest/gtest.h>

namespace sandstore {
namespace {

ParsedPath parsed(std::string_view path) {
    ParsedPath result;
    EXPECT_EQ(parse_path(path, &result).code, pb::STATUS_OK) << path;
    return result;
}

pb::StatusCode code_of(std::string_view path) {
    ParsedPath result;
    return parse_path(path, &result).code;
}

using Parts = std::vector<std::string_view>;

TEST(Path, empty_is_the_inode_itself) {
    EXPECT_EQ(parsed("").parts, Parts());
    EXPECT_FALSE(parsed("").wants_directory);
}

TEST(Path, leading_and_repeated_slashes_do_not_matter) {
    EXPECT_EQ(parsed("a/b").parts, (Parts{"a", "b"}));
    EXPECT_EQ(parsed("///a////b").parts, (Parts{"a", "b"}));
    EXPECT_FALSE(parsed("///a////b").wants_directory);
    EXPECT_EQ(parsed("///").parts, Parts());
}

TEST(Path, a_trailing_slash_or_dot_wants_a_directory) {
    EXPECT_TRUE(parsed("a/").wants_directory);
    EXPECT_TRUE(parsed("a/.").wants_directory);
    EXPECT_TRUE(parsed("a/./").ends_in_dot);
    EXPECT_FALSE(parsed("a/").ends_in_dot);
    EXPECT_EQ(parsed("./a/./b/.").parts, (Parts{"a", "b"}));
    EXPECT_FALSE(parsed("./a").wants_directory);
}

TEST(Path, names_that_only_look_like_dots_are_names) {
    EXPECT_EQ(parsed("...").parts, (Parts{"..."}));
    EXPECT_EQ(parsed(".a/..b").parts, (Parts{".a", "..b"}));
}

TEST(Path, dot_dot_is_refused_wherever_it_stands) {
    for (const char* path : {"..", "../a", "a/..", "a/../b", "/..//"})
        EXPECT_EQ(code_of(path), pb::STATUS_EINVAL) << path;
}

TEST(Path, nul_is_refused) {
    EXPECT_EQ(code_of(std::string_view("a\0b", 3)), pb::STATUS_EINVAL);
    EXPECT_EQ(code_of(std::string_view("\0", 1)), pb::STATUS_EINVAL);
}

TEST(Path, a_name_has_at_most_255_bytes) {
    EXPECT_EQ(code_of("a/" + std::string(255, 'x')), pb::STATUS_OK);
    EXPECT_EQ(code_of("a/" + std::string(256, 'x') + "/b"), pb::STATUS_ENAMETOOLONG);
}

TEST(Path, a_path_has_at_most_4096_bytes) {
    std::string path;
    while (path.size() < 4096) path += "/x";
    EXPECT_EQ(code_of(path), pb::STATUS_OK);
    EXPECT_EQ(code_of(path + "y"), pb::STATUS_ENAMETOOLONG);
    EXPECT_EQ(code_of(std::string(4097, '/')), pb::STATUS_ENAMETOOLONG);
}

TEST(Path, any_other_byte_is_fine) {
    std::string name;
    for (int byte = 1; byte < 256; ++byte) {
        if (byte != '/') name += static_cast<char>(byte);
    }
    EXPECT_EQ(parsed(name).parts, (Parts{name}));
}

}  // namespace
}  // namespace sandstore
