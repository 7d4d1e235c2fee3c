// Directories and files as POSIX has them: what works, and the error for everything that does not.
#include "fs_fixture.h"

namespace sandstore {
namespace {

using Names = std::vector<std::string>;

TEST_F(NamespaceTest, starts_with_an_empty_root) {
    const pb::Attributes root = stat("/");
    EXPECT_EQ(root.inode(), 1u);
    EXPECT_EQ(root.type(), pb::FILE_TYPE_DIRECTORY);
    EXPECT_EQ(root.mode(), 0755u);
    EXPECT_EQ(root.links(), 2u);
    EXPECT_EQ(names("/"), Names());
}

TEST_F(NamespaceTest, a_new_file_has_the_attributes_it_was_made_with) {
    ASSERT_EQ(create("/f", false, 0640), pb::STATUS_OK);
    const pb::Attributes file = stat("/f");
    EXPECT_EQ(file.type(), pb::FILE_TYPE_REGULAR);
    EXPECT_EQ(file.mode(), 0640u);
    EXPECT_EQ(file.uid(), 1000u);
    EXPECT_EQ(file.gid(), 100u);
    EXPECT_EQ(file.links(), 1u);
    EXPECT_EQ(file.size(), 0u);
    EXPECT_EQ(file.birth_time_us(), now_us());
    EXPECT_EQ(file.modify_time_us(), now_us());
    EXPECT_EQ(result_.attributes().inode(), file.inode());
}

TEST_F(NamespaceTest, a_place_can_be_named_from_any_directory) {
    ASSERT_EQ(mkdir("/a/b", true), pb::STATUS_OK);
    ASSERT_EQ(create("/a/b/f"), pb::STATUS_OK);
    EXPECT_EQ(stat_code("b/f", stat("/a").inode()), pb::STATUS_OK);
    EXPECT_EQ(stat_code("", stat("/a/b/f").inode()), pb::STATUS_OK);
    EXPECT_EQ(stat_code("", 99), pb::STATUS_ESTALE);
}

TEST_F(NamespaceTest, an_inode_number_is_never_used_again) {
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    const uint64_t first = stat("/f").inode();
    ASSERT_EQ(remove("/f"), pb::STATUS_OK);
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    EXPECT_GT(stat("/f").inode(), first);
    EXPECT_EQ(stat_code("", first), pb::STATUS_ESTALE);
}

// --- Making ----------------------------------------------------------------------------------------------------------

TEST_F(NamespaceTest, making_a_directory_fails_as_in_posix) {
    ASSERT_EQ(mkdir("/d"), pb::STATUS_OK);
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    EXPECT_EQ(mkdir("/d"), pb::STATUS_EEXIST);
    EXPECT_EQ(mkdir("/f"), pb::STATUS_EEXIST);
    EXPECT_EQ(mkdir("/"), pb::STATUS_EEXIST);
    EXPECT_EQ(mkdir("/missing/d"), pb::STATUS_ENOENT);
    EXPECT_EQ(mkdir("/f/d"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(mkdir("/d/"), pb::STATUS_EEXIST);
    EXPECT_EQ(mkdir("/e/"), pb::STATUS_OK);
    EXPECT_EQ(mkdir("/a/../b"), pb::STATUS_EINVAL);
    EXPECT_EQ(mkdir("/" + std::string(256, 'x')), pb::STATUS_ENAMETOOLONG);
    EXPECT_EQ(names("/"), (Names{"d", "e", "f"}));
}

TEST_F(NamespaceTest, making_a_directory_with_parents_makes_what_is_missing) {
    EXPECT_EQ(mkdir("/a/b/c", true), pb::STATUS_OK);
    EXPECT_EQ(mkdir("/a/b/c", true), pb::STATUS_OK);
    EXPECT_EQ(result_.attributes().inode(), stat("/a/b/c").inode());
    EXPECT_EQ(mkdir("/a/b/d/e/", true), pb::STATUS_OK);
    EXPECT_EQ(mkdir("/", true), pb::STATUS_OK);
    ASSERT_EQ(create("/a/f"), pb::STATUS_OK);
    EXPECT_EQ(mkdir("/a/f", true), pb::STATUS_EEXIST);
    EXPECT_EQ(mkdir("/a/f/x/y", true), pb::STATUS_ENOTDIR);
    EXPECT_EQ(files_.inode_count(), 7u);  // /, a, a/b, a/b/c, a/b/d, a/b/d/e, a/f
}

TEST_F(NamespaceTest, creating_a_file_fails_as_in_posix) {
    ASSERT_EQ(mkdir("/d"), pb::STATUS_OK);
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    EXPECT_EQ(create("/d"), pb::STATUS_EISDIR);
    EXPECT_EQ(create("/d", true), pb::STATUS_EEXIST);
    EXPECT_EQ(create("/f", true), pb::STATUS_EEXIST);
    EXPECT_EQ(create("/missing/f"), pb::STATUS_ENOENT);
    EXPECT_EQ(create("/f/g"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(create("/new/"), pb::STATUS_EISDIR);
    EXPECT_EQ(create("/f/"), pb::STATUS_EISDIR);
    EXPECT_EQ(create("/"), pb::STATUS_EISDIR);
    EXPECT_FALSE(exists("/new"));
}

TEST_F(NamespaceTest, creating_an_existing_file_leaves_it_as_it_is) {
    ASSERT_EQ(create("/f", false, 0600), pb::STATUS_OK);
    const std::string before = stat("/f").SerializeAsString();
    EXPECT_EQ(create("/f", false, 0777), pb::STATUS_OK);
    EXPECT_EQ(stat("/f").SerializeAsString(), before);
    EXPECT_EQ(result_.attributes().SerializeAsString(), before);
}

// --- Removing --------------------------------------------------------------------------------------------------------

TEST_F(NamespaceTest, removing_a_file_fails_as_in_posix) {
    ASSERT_EQ(mkdir("/d"), pb::STATUS_OK);
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    EXPECT_EQ(remove("/missing"), pb::STATUS_ENOENT);
    EXPECT_EQ(remove("/missing/f"), pb::STATUS_ENOENT);
    EXPECT_EQ(remove("/d"), pb::STATUS_EISDIR);
    EXPECT_EQ(remove("/d/"), pb::STATUS_EISDIR);
    EXPECT_EQ(remove("/"), pb::STATUS_EISDIR);
    EXPECT_EQ(remove("/f/"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(remove("/f/x"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(remove("/f"), pb::STATUS_OK);
    EXPECT_EQ(remove("/f"), pb::STATUS_ENOENT);
}

TEST_F(NamespaceTest, a_file_cannot_be_removed_by_its_inode_alone) {
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    pb::RemoveFile request;
    *request.mutable_at() = at("", stat("/f").inode());
    EXPECT_EQ(files_.remove_file(request, next_moment()).code, pb::STATUS_EINVAL);
    EXPECT_TRUE(exists("/f"));
}

TEST_F(NamespaceTest, removing_a_directory_fails_as_in_posix) {
    ASSERT_EQ(mkdir("/d/e", true), pb::STATUS_OK);
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    EXPECT_EQ(rmdir("/"), pb::STATUS_EBUSY);
    EXPECT_EQ(rmdir("/missing"), pb::STATUS_ENOENT);
    EXPECT_EQ(rmdir("/f"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(rmdir("/d"), pb::STATUS_ENOTEMPTY);
    EXPECT_EQ(rmdir("/d/e/."), pb::STATUS_EINVAL);
    EXPECT_EQ(rmdir("/d/e/"), pb::STATUS_OK);
    EXPECT_EQ(rmdir("/d"), pb::STATUS_OK);
    EXPECT_EQ(names("/"), (Names{"f"}));
}

// --- Renaming --------------------------------------------------------------------------------------------------------

TEST_F(NamespaceTest, a_rename_moves_the_same_inode) {
    ASSERT_EQ(mkdir("/a"), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/b"), pb::STATUS_OK);
    ASSERT_EQ(create("/a/f"), pb::STATUS_OK);
    const uint64_t inode = stat("/a/f").inode();
    EXPECT_EQ(rename("/a/f", "/b/g"), pb::STATUS_OK);
    EXPECT_EQ(stat("/b/g").inode(), inode);
    EXPECT_EQ(stat_code("/a/f"), pb::STATUS_ENOENT);
    EXPECT_EQ(rename("/b/g", "/b/h"), pb::STATUS_OK);
    EXPECT_EQ(names("/b"), (Names{"h"}));
}

TEST_F(NamespaceTest, a_rename_replaces_file_by_file_and_empty_directory_by_directory) {
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    ASSERT_EQ(create("/g"), pb::STATUS_OK);
    const uint64_t f = stat("/f").inode();
    EXPECT_EQ(rename("/f", "/g"), pb::STATUS_OK);
    EXPECT_EQ(stat("/g").inode(), f);
    ASSERT_EQ(mkdir("/d/inside", true), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/e"), pb::STATUS_OK);
    EXPECT_EQ(rename("/d", "/e"), pb::STATUS_OK);
    EXPECT_EQ(names("/e"), (Names{"inside"}));
    EXPECT_EQ(names("/"), (Names{"e", "g"}));
    EXPECT_EQ(files_.inode_count(), 4u);
}

TEST_F(NamespaceTest, a_rename_fails_as_in_posix) {
    ASSERT_EQ(mkdir("/d/inner", true), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/empty"), pb::STATUS_OK);
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    ASSERT_EQ(create("/g"), pb::STATUS_OK);
    const uint64_t hash = files_.hash();
    EXPECT_EQ(rename("/missing", "/x"), pb::STATUS_ENOENT);
    EXPECT_EQ(rename("/f", "/missing/x"), pb::STATUS_ENOENT);
    EXPECT_EQ(rename("/f", "/g/x"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(rename("/d", "/d/x"), pb::STATUS_EINVAL);
    EXPECT_EQ(rename("/d", "/d/inner/x"), pb::STATUS_EINVAL);
    EXPECT_EQ(rename("/d", "/d/inner"), pb::STATUS_EINVAL);
    EXPECT_EQ(rename("/empty", "/d"), pb::STATUS_ENOTEMPTY);
    EXPECT_EQ(rename("/d/inner", "/d"), pb::STATUS_ENOTEMPTY);
    EXPECT_EQ(rename("/f", "/empty"), pb::STATUS_EISDIR);
    EXPECT_EQ(rename("/empty", "/f"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(rename("/", "/x"), pb::STATUS_EBUSY);
    EXPECT_EQ(rename("/d", "/"), pb::STATUS_EBUSY);
    EXPECT_EQ(rename("/f", "/g", true), pb::STATUS_EEXIST);
    EXPECT_EQ(rename("/f", "/f", true), pb::STATUS_EEXIST);
    EXPECT_EQ(rename("/f/", "/x"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(rename("/f", "/x/"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(rename("/empty/.", "/x"), pb::STATUS_EINVAL);
    EXPECT_EQ(files_.hash(), hash) << "a rename that failed changed something";
    EXPECT_EQ(rename("/d/", "/x/"), pb::STATUS_OK);
    EXPECT_EQ(rename("/f", "/h", true), pb::STATUS_OK);
}

TEST_F(NamespaceTest, a_rename_onto_itself_changes_nothing) {
    ASSERT_EQ(mkdir("/d"), pb::STATUS_OK);
    ASSERT_EQ(create("/d/f"), pb::STATUS_OK);
    const uint64_t hash = files_.hash();
    EXPECT_EQ(rename("/d/f", "/d//f"), pb::STATUS_OK);
    EXPECT_EQ(rename("/d", "/d"), pb::STATUS_OK);
    EXPECT_EQ(files_.hash(), hash);
}

TEST_F(NamespaceTest, a_moved_directory_knows_its_new_place) {
    ASSERT_EQ(mkdir("/a/b", true), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/c"), pb::STATUS_OK);
    ASSERT_EQ(rename("/a/b", "/c/b"), pb::STATUS_OK);
    EXPECT_EQ(rename("/c", "/c/b/c"), pb::STATUS_EINVAL);
    EXPECT_EQ(rename("/a", "/c/b/a"), pb::STATUS_OK);
    EXPECT_EQ(names("/c/b"), (Names{"a"}));
}

// --- Attributes ------------------------------------------------------------------------------------------------------

TEST_F(NamespaceTest, links_of_a_directory_count_its_subdirectories) {
    ASSERT_EQ(mkdir("/a"), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/b"), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/a/c"), pb::STATUS_OK);
    ASSERT_EQ(create("/a/f"), pb::STATUS_OK);
    EXPECT_EQ(stat("/").links(), 4u);
    EXPECT_EQ(stat("/a").links(), 3u);
    ASSERT_EQ(rename("/a/c", "/b/c"), pb::STATUS_OK);
    EXPECT_EQ(stat("/a").links(), 2u);
    EXPECT_EQ(stat("/b").links(), 3u);
    ASSERT_EQ(mkdir("/a/c"), pb::STATUS_OK);
    ASSERT_EQ(rename("/a/c", "/b/c"), pb::STATUS_OK);  // Replaces the other one.
    EXPECT_EQ(stat("/b").links(), 3u);
    ASSERT_EQ(rmdir("/b/c"), pb::STATUS_OK);
    EXPECT_EQ(stat("/b").links(), 2u);
}

TEST_F(NamespaceTest, a_change_in_a_directory_moves_its_times) {
    ASSERT_EQ(mkdir("/a"), pb::STATUS_OK);
    ASSERT_EQ(mkdir("/b"), pb::STATUS_OK);
    const auto expect_changed = [&](const char* path) {
        EXPECT_EQ(stat(path).modify_time_us(), now_us()) << path;
        EXPECT_EQ(stat(path).change_time_us(), now_us()) << path;
    };
    ASSERT_EQ(create("/a/f"), pb::STATUS_OK);
    expect_changed("/a");
    const uint64_t born_us = now_us();
    ASSERT_EQ(rename("/a/f", "/b/f"), pb::STATUS_OK);
    expect_changed("/a");
    expect_changed("/b");
    EXPECT_EQ(stat("/b/f").change_time_us(), now_us());
    EXPECT_EQ(stat("/b/f").modify_time_us(), born_us);
    ASSERT_EQ(remove("/b/f"), pb::STATUS_OK);
    expect_changed("/b");
    EXPECT_LT(stat("/a").modify_time_us(), now_us());
}

TEST_F(NamespaceTest, times_of_changes_never_run_backwards) {
    EXPECT_EQ(mkdir("/d"), pb::STATUS_OK);
    EXPECT_EQ(create("/d/f"), pb::STATUS_OK);
    EXPECT_EQ(apply(commit("/d/f", 0, {extent(0, 100, 1)})), pb::STATUS_OK);
    const pb::Attributes file = stat("/d/f");
    const pb::Attributes directory = stat("/d");
    set_clock_back(3'600'000'000);
    EXPECT_EQ(apply(commit("/d/f", 0, {extent(0, 200, 2)})), pb::STATUS_OK);
    EXPECT_EQ(truncate("/d/f", 10), pb::STATUS_OK);
    EXPECT_EQ(create("/d/g"), pb::STATUS_OK);
    EXPECT_GE(stat("/d/f").modify_time_us(), file.modify_time_us());
    EXPECT_GE(stat("/d/f").change_time_us(), file.change_time_us());
    EXPECT_GE(stat("/d").modify_time_us(), directory.modify_time_us());
}

TEST_F(NamespaceTest, attributes_are_set_one_by_one) {
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    const pb::Attributes before = stat("/f");
    pb::SetAttributes request;
    *request.mutable_at() = at("/f");
    request.set_mode(04711);
    request.set_gid(7);
    request.set_access_time_us(5);
    EXPECT_EQ(files_.set_attributes(request, next_moment(), fresh_result()).code, pb::STATUS_OK);
    const pb::Attributes after = stat("/f");
    EXPECT_EQ(after.mode(), 04711u);
    EXPECT_EQ(after.uid(), before.uid());
    EXPECT_EQ(after.gid(), 7u);
    EXPECT_EQ(after.access_time_us(), 5u);
    EXPECT_EQ(after.modify_time_us(), before.modify_time_us());
    EXPECT_EQ(after.change_time_us(), now_us());
    EXPECT_EQ(truncate("/", 0), pb::STATUS_EISDIR);
    EXPECT_EQ(truncate("/f/", 0), pb::STATUS_ENOTDIR);
    EXPECT_EQ(truncate("/g", 0), pb::STATUS_ENOENT);
}

// --- Listing ---------------------------------------------------------------------------------------------------------

TEST_F(NamespaceTest, a_listing_is_in_byte_order_and_paged) {
    for (const char* name : {"/b", "/a", "/\xc3\xa9", "/B", "/ab"}) ASSERT_EQ(create(name), pb::STATUS_OK);
    EXPECT_EQ(names("/"), (Names{"B", "a", "ab", "b", "\xc3\xa9"}));
    const pb::QueryResult first = list("/", "", 2);
    EXPECT_EQ(first.entries_size(), 2);
    EXPECT_TRUE(first.more());
    EXPECT_EQ(first.entries(0).attributes().inode(), stat("/B").inode());
    const pb::QueryResult second = list("/", "a", 2);
    EXPECT_EQ(second.entries(0).name(), "ab");
    EXPECT_TRUE(second.more());
    const pb::QueryResult third = list("/", "b", 2);
    EXPECT_EQ(third.entries_size(), 1);
    EXPECT_FALSE(third.more());
    EXPECT_EQ(list("/", "aa", 1).entries(0).name(), "ab") << "`after` need not exist";
}

TEST_F(NamespaceTest, a_listing_without_a_limit_has_a_thousand_entries) {
    for (int i = 0; i < 1001; ++i) ASSERT_EQ(create("/f" + std::to_string(i)), pb::STATUS_OK);
    const pb::QueryResult page = list("/");
    EXPECT_EQ(page.entries_size(), 1000);
    EXPECT_TRUE(page.more());
    EXPECT_EQ(page.attributes().size(), 1001u);
}

TEST_F(NamespaceTest, only_directories_are_listed_and_only_files_read) {
    ASSERT_EQ(create("/f"), pb::STATUS_OK);
    pb::QueryResult result;
    pb::ListDirectory list;
    *list.mutable_at() = at("/f");
    EXPECT_EQ(files_.list_directory(list, &result).code, pb::STATUS_ENOTDIR);
    pb::ReadExtents read;
    *read.mutable_at() = at("/");
    EXPECT_EQ(files_.read_extents(read, &result).code, pb::STATUS_EISDIR);
    EXPECT_EQ(stat_code("/f/"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(stat_code("/f/g"), pb::STATUS_ENOTDIR);
    EXPECT_EQ(stat_code("/missing"), pb::STATUS_ENOENT);
    EXPECT_EQ(stat_code("/missing/"), pb::STATUS_ENOENT);
}

}  // namespace
}  // namespace sandstore
