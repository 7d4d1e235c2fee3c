// The formats of a backup: what is written is read, and of what was damaged no byte is believed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "apps/backup/backup_directory.h"
#include "apps/backup/manifest.h"
#include "apps/backup/tar_stream.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

class BackupFormatsTest : public testing::Test {
 protected:
    void SetUp() override {
        std::string path = (std::filesystem::temp_directory_path() / "sandstore-backup-XXXXXX").string();
        ASSERT_NE(mkdtemp(path.data()), nullptr);
        folder_ = path;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static std::string contents(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static void replace(const std::string& path, const std::string& bytes) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    }

    static pb::BackupEntry directory(uint64_t inode, uint64_t parent, std::string name) {
        pb::BackupEntry entry;
        entry.set_inode(inode);
        entry.set_parent(parent);
        entry.set_name(std::move(name));
        entry.set_directory(true);
        entry.set_mode(0755);
        return entry;
    }
    // Two chunks, a directory with one file: 100 bytes of the first chunk, a hole, 50 of the second.
    static std::vector<pb::BackupRecord> records() {
        std::vector<pb::BackupRecord> all(6);
        pb::BackupHeader& header = *all[0].mutable_header();
        header.set_format(kBackupFormat);
        header.set_backup_id("one");
        header.set_cluster_id("cluster");
        header.set_directories(2);
        header.set_files(1);
        header.set_file_bytes(150);
        header.set_chunks(2);
        header.set_chunk_bytes(300);
        for (uint64_t i = 1; i <= 2; ++i) {
            pb::BackupChunk& chunk = *all[i].mutable_chunk();
            chunk.mutable_id()->set_term(1);
            chunk.mutable_id()->set_number(i);
            chunk.set_length(100 * i);
        }
        *all[3].mutable_entry() = directory(1, 0, "");
        *all[4].mutable_entry() = directory(2, 1, "d");
        pb::BackupEntry& file = *all[5].mutable_entry();
        file = directory(3, 2, "f");
        file.set_directory(false);
        file.set_size(1000);
        for (uint64_t i = 0; i < 2; ++i) {
            pb::BackupExtent& extent = *file.add_extents();
            extent.set_offset(500 * i);
            extent.set_length(100 - 50 * i);
            extent.set_chunk(i);
        }
        return all;
    }
    std::string manifest() const { return str_cat(folder_, "/one.manifest"); }
    void write(const std::vector<pb::BackupRecord>& all) {
        ManifestWriter writer(manifest());
        for (const pb::BackupRecord& record : all) writer.add(record);
        std::string error;
        ASSERT_TRUE(writer.finish(&error)) << error;
    }
    // "" or what is wrong.
    std::string read() {
        std::string error;
        const auto reader = ManifestReader::open(manifest(), &error);
        if (reader == nullptr) return error;
        std::vector<pb::BackupChunk> chunks;
        if (!reader->read_chunks(&chunks)) return reader->problem();
        pb::BackupEntry entry;
        entries_ = 0;
        while (reader->next(&entry)) ++entries_;
        return reader->problem();
    }
    std::string read_changed(const std::function<void(std::vector<pb::BackupRecord>*)>& change) {
        std::vector<pb::BackupRecord> all = records();
        change(&all);
        write(all);
        return read();
    }

    std::string folder_;
    int entries_ = 0;
};

TEST_F(BackupFormatsTest, a_manifest_is_read_as_it_was_written) {
    write(records());
    EXPECT_EQ(read(), "");
    EXPECT_EQ(entries_, 3);
}

TEST_F(BackupFormatsTest, an_unfinished_manifest_leaves_nothing_under_its_name) {
    {
        ManifestWriter writer(manifest());
        for (const pb::BackupRecord& record : records()) writer.add(record);
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(BackupFormatsTest, every_flipped_bit_and_every_early_end_of_a_manifest_is_noticed) {
    write(records());
    const std::string good = contents(manifest());
    for (size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
        replace(manifest(), bad);
        EXPECT_NE(read(), "") << "a bit of byte " << at;
        replace(manifest(), good.substr(0, at));
        EXPECT_NE(read(), "") << "only " << at << " bytes";
    }
    replace(manifest(), good + "x");
    EXPECT_NE(read(), "") << "a byte more";
}

TEST_F(BackupFormatsTest, what_contradicts_itself_is_refused_though_its_checksums_are_right) {
    using Records = std::vector<pb::BackupRecord>*;
    const auto refused = [this](std::string_view why, const std::function<void(Records)>& change) {
        const std::string said = read_changed(change);
        EXPECT_NE(said.find(why), std::string::npos) << "said: " << said;
    };
    refused("of format 2", [](Records all) { (*all)[0].mutable_header()->set_format(2); });
    refused("there is no header", [](Records all) { all->erase(all->begin()); });
    refused("other chunks than", [](Records all) { all->erase(all->begin() + 1); });
    refused("the counts in the header", [](Records all) { all->pop_back(); });
    refused("not the root", [](Records all) { all->erase(all->begin() + 3); });
    refused("before its directory", [](Records all) { all->erase(all->begin() + 4); });
    refused("not allowed", [](Records all) { (*all)[5].mutable_entry()->set_name("../f"); });
    refused("not allowed", [](Records all) { (*all)[4].mutable_entry()->set_name(".."); });
    refused("names no chunk", [](Records all) { (*all)[5].mutable_entry()->mutable_extents(1)->set_chunk(2); });
    refused("outside of its chunk",
            [](Records all) { (*all)[5].mutable_entry()->mutable_extents(0)->set_length(101); });
    refused("outside of its file", [](Records all) { (*all)[5].mutable_entry()->set_size(549); });
    refused("overlaps", [](Records all) { (*all)[5].mutable_entry()->mutable_extents(1)->set_offset(99); });
    refused("out of bounds", [](Records all) { (*all)[4].mutable_entry()->set_mode(010000); });
    refused("out of order", [](Records all) { (*all)[4] = (*all)[1]; });
}

TEST_F(BackupFormatsTest, a_chunk_is_told_apart_from_damage_and_from_another_one) {
    std::string error;
    const auto directory = BackupDirectory::open(folder_ + "/backups", BackupDirectory::Use::kWrite, "cluster", &error);
    ASSERT_NE(directory, nullptr) << error;
    pb::BackupChunk chunk = records()[1].chunk();
    chunk.set_length(5);
    EXPECT_EQ(directory->check_chunk(&chunk, true), BackupDirectory::kMissing);
    ASSERT_EQ(directory->write_chunk(&chunk, Payload(std::string("hello"))), 0);
    pb::BackupChunk found = chunk;
    found.clear_crc32c();
    EXPECT_EQ(directory->check_chunk(&found, false), "");
    EXPECT_EQ(found.crc32c(), crc32c(std::string_view("hello")));
    std::string bytes;
    EXPECT_TRUE(directory->read_chunk(chunk, &bytes, &error)) << error;
    EXPECT_EQ(bytes, "hello");

    const std::string path = directory->chunk_path(chunk);
    const std::string good = contents(path);
    for (size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 4);
        replace(path, bad);
        EXPECT_NE(directory->check_chunk(&found, true), "") << "byte " << at;
        EXPECT_FALSE(directory->read_chunk(chunk, &bytes, &error)) << "byte " << at;
        replace(path, good.substr(0, at));
        EXPECT_NE(directory->check_chunk(&found, false), "") << "only " << at << " bytes";
    }
    replace(path, good + "x");
    EXPECT_NE(directory->check_chunk(&found, false), "");
    EXPECT_EQ(BackupDirectory::open(folder_ + "/backups", BackupDirectory::Use::kWrite, "cluster", &error), nullptr);
    EXPECT_NE(error.find("another backup command"), std::string::npos) << error;
    EXPECT_EQ(BackupDirectory::open(folder_ + "/backups", BackupDirectory::Use::kRead, "other", &error), nullptr);
    EXPECT_NE(error.find("holds backups of cluster cluster"), std::string::npos) << error;
    replace(folder_ + "/backups/sandstore-backup.json", "{\"format\":9,\"cluster_id\":\"cluster\"}");
    EXPECT_EQ(BackupDirectory::open(folder_ + "/backups", BackupDirectory::Use::kRead, "", &error), nullptr);
    EXPECT_NE(error.find("of format 9"), std::string::npos) << error;
}

// --- Tar -------------------------------------------------------------------------------------------------------------

std::string stream_of_tree(std::vector<pb::BackupEntry>* entries) {
    std::string stream;
    TarWriter tar([&stream](std::string_view bytes) {
        stream += bytes;
        return 0;
    });
    pb::BackupHeader header;
    header.set_format(kBackupFormat);
    header.set_backup_id("stream-1");
    header.set_cluster_id("cluster");
    tar.begin(header);
    const auto add = [&](const std::string& path, bool directory, uint64_t size, std::vector<DataRange> ranges) {
        pb::BackupEntry entry;
        entry.set_directory(directory);
        entry.set_mode(0741);
        entry.set_uid(4'000'000'000);
        entry.set_gid(7);
        entry.set_size(size);
        entry.set_modify_time_us(1'700'000'000'000'001);
        entry.set_access_time_us(1'700'000'000'999'999);
        for (const DataRange& range : ranges) {
            pb::BackupExtent* extent = entry.add_extents();
            extent->set_offset(range.offset);
            extent->set_length(range.length);
        }
        entries->push_back(entry);
        if (directory) return tar.directory(path, entry);
        tar.file(path, entry);
        for (const DataRange& range : ranges) tar.data(std::string(range.length, 'd'));
        tar.end_file();
    };
    add("", true, 0, {});
    add(std::string(300, 'n'), true, 0, {});
    add(str_cat(std::string(300, 'n'), "/whole"), false, 700, {{0, 700}});
    add("holes", false, 20ull << 40, {{0, 10}, {1ull << 40, 600}});
    add("only a hole\n", false, 4096, {});
    add("empty", false, 0, {});
    tar.finish();
    return stream;
}

// What is wrong, or "".
std::string read_stream(std::string_view stream, std::vector<TarMember>* members, bool check_bytes = false) {
    TarReader tar([&stream](char* buffer, size_t size) -> int64_t {
        const size_t length = std::min(size, stream.size());
        std::memcpy(buffer, stream.data(), length);
        stream.remove_prefix(length);
        return static_cast<int64_t>(length);
    });
    pb::BackupHeader header;
    if (!tar.begin(&header)) return tar.problem();
    TarMember member;
    while (tar.next(&member)) {
        for (const DataRange& range : member.ranges) {
            std::string bytes;
            if (members->size() % 2 == 0) continue;  // Whoever does not want the bytes need not read them.
            if (!tar.read(&bytes, range.length)) return tar.problem();
            if (check_bytes) {
                EXPECT_EQ(bytes, std::string(range.length, 'd'));
            }
        }
        members->push_back(member);
    }
    return tar.problem();
}

TEST(BackupStream, what_is_written_is_read_with_holes_long_names_and_large_numbers) {
    std::vector<pb::BackupEntry> entries;
    const std::string stream = stream_of_tree(&entries);
    EXPECT_EQ(stream.size() % kTarBlockBytes, 0u);
    std::vector<TarMember> members;
    ASSERT_EQ(read_stream(stream, &members, true), "");
    ASSERT_EQ(members.size(), entries.size());
    for (size_t i = 0; i < members.size(); ++i) {
        EXPECT_EQ(members[i].ranges, data_ranges(entries[i])) << members[i].path;
        entries[i].clear_extents();
        EXPECT_EQ(members[i].entry.SerializeAsString(), entries[i].SerializeAsString()) << members[i].path;
    }
    EXPECT_EQ(members[2].path, str_cat(std::string(300, 'n'), "/whole"));
    EXPECT_EQ(members[4].path, "only a hole\n");
}

TEST(BackupStream, every_flipped_byte_and_every_early_end_is_noticed) {
    std::vector<pb::BackupEntry> entries;
    const std::string stream = stream_of_tree(&entries);
    // After the header with the checksum comes the root once more, for tar alone.
    const size_t end = stream.find("crc32c=") + std::strlen("crc32c=01234567");
    for (size_t at = 0; at < end; at += at < 2048 || at > end - 2048 ? 1 : 7) {
        std::string bad = stream;
        bad[at] = static_cast<char>(bad[at] ^ 2);
        std::vector<TarMember> members;
        EXPECT_NE(read_stream(bad, &members), "") << "byte " << at;
        members.clear();
        EXPECT_NE(read_stream(stream.substr(0, at), &members), "") << "only " << at << " bytes";
    }
}

}  // namespace
}  // namespace sandstore
