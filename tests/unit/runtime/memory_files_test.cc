#include "runtime/memory_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <filesystem>

#include "runtime/disk_files.h"
#include "runtime/random.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

pb::DiskOperation write_of(const std::string& file, uint64_t offset, uint64_t length) {
    pb::DiskOperation operation;
    operation.mutable_write()->set_file(file);
    operation.mutable_write()->set_offset(offset);
    operation.mutable_write()->set_length(length);
    return operation;
}

pb::DiskReply execute(MemoryFiles& files, const pb::DiskOperation& operation, const Payload& in = {}) {
    pb::DiskRequest request;
    *request.add_operations() = operation;
    Payload out;
    return files.execute(request, in, &out);
}

pb::DiskOperation remove_of(const std::string& file) {
    pb::DiskOperation operation;
    operation.mutable_remove()->set_file(file);
    return operation;
}

TEST(MemoryFiles, refuse_what_does_not_fit_and_keep_what_was_there) {
    MemoryFiles files(10'000);
    EXPECT_EQ(execute(files, write_of("d/a", 0, 6'000), Payload(std::string(6'000, 'a'))).error(), 0);
    EXPECT_EQ(execute(files, write_of("d/b", 0, 6'000), Payload(std::string(6'000, 'b'))).error(), ENOSPC);
    EXPECT_EQ(execute(files, write_of("d/a", 3'000, 9'000), Payload(std::string(9'000, 'c'))).error(), ENOSPC);
    EXPECT_EQ(files.used_bytes(), 6'000 + MemoryFiles::kFileOverheadBytes + MemoryFiles::kExtentOverheadBytes);
    EXPECT_EQ(execute(files, remove_of("d/a")).error(), 0);
    EXPECT_EQ(files.used_bytes(), 0u);
    EXPECT_EQ(execute(files, write_of("d/b", 0, 6'000), Payload(std::string(6'000, 'b'))).error(), 0);
}

TEST(MemoryFiles, many_empty_files_do_not_come_for_free) {
    MemoryFiles files(10'000);
    int made = 0;
    while (execute(files, write_of(str_cat("d/", made), 0, 0)).error() == 0) made++;
    EXPECT_EQ(made, static_cast<int>(10'000 / MemoryFiles::kFileOverheadBytes));
}

TEST(MemoryFiles, what_was_read_stays_when_the_file_is_replaced) {
    MemoryFiles files(1 << 20);
    execute(files, write_of("d/a", 0, 5), Payload::copy_of("first"));
    pb::DiskRequest request;
    request.add_operations()->mutable_read()->set_file("d/a");
    request.mutable_operations(0)->mutable_read()->set_length(100);
    Payload read;
    EXPECT_EQ(files.execute(request, {}, &read).read_lengths(0), 5u);
    execute(files, write_of("d/a", 0, 6), Payload::copy_of("second"));
    EXPECT_EQ(read.to_string(), "first");
}

// One random request; names are few, so that they meet.
pb::DiskRequest random_request(RandomStream& random, std::string* bytes) {
    const auto name = [&] { return str_cat("d", random.below(2), "/f", random.below(4)); };
    pb::DiskRequest request;
    for (uint64_t count = 1 + random.below(4); count > 0; count--) {
        pb::DiskOperation& operation = *request.add_operations();
        const uint64_t length = random.below(random.below(5) == 0 ? 20'000 : 50);
        switch (random.below(10)) {
            case 0:
            case 1:
                operation = write_of(name(), random.below(100), length);
                bytes->append(length, static_cast<char>('a' + random.below(26)));
                break;
            case 2:
                operation.mutable_read()->set_file(name());
                operation.mutable_read()->set_offset(random.below(60));
                operation.mutable_read()->set_length(random.below(30'000));
                break;
            case 3:
                operation.mutable_rename()->set_from(name());
                operation.mutable_rename()->set_to(name());
                break;
            case 4:
                operation = remove_of(name());
                break;
            case 5:
                operation.mutable_replace()->set_file(name());
                operation.mutable_replace()->set_length(length);
                bytes->append(length, static_cast<char>('A' + random.below(26)));
                break;
            case 6:
                operation.mutable_list()->set_directory(str_cat("d", random.below(3)));
                break;
            case 8:
                operation.mutable_zero()->set_file(name());
                operation.mutable_zero()->set_offset(random.below(60));
                operation.mutable_zero()->set_length(1 + random.below(200));
                break;
            case 7:
                operation.mutable_punch()->set_file(name());
                operation.mutable_punch()->set_offset(random.below(60));
                operation.mutable_punch()->set_length(1 + random.below(200));
                break;
            default:
                operation.mutable_create_zeroed()->set_file(name());
                operation.mutable_create_zeroed()->set_size(length);
        }
    }
    return request;
}

TEST(MemoryFiles, answer_as_files_on_a_disk_do) {
    std::string pattern = std::filesystem::temp_directory_path() / "memory-files-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    {
        DiskFiles disk(pattern);
        MemoryFiles memory(uint64_t{1} << 30);
        pb::DiskRequest directories;
        for (const char* name : {"d0", "d1"}) {
            directories.add_operations()->mutable_make_directory()->set_directory(name);
        }
        Payload nothing;
        ASSERT_EQ(disk.execute(directories, {}, &nothing).error(), 0);
        RandomStream random(1, 1);
        for (int round = 0; round < 400; round++) {
            std::string bytes;
            const pb::DiskRequest request = random_request(random, &bytes);
            Payload from_disk, from_memory;
            pb::DiskReply expected = disk.execute(request, Payload(bytes), &from_disk);
            const pb::DiskReply reply = memory.execute(request, Payload(bytes), &from_memory);
            expected.clear_elapsed_us();
            ASSERT_EQ(reply.ShortDebugString(), expected.ShortDebugString()) << request.ShortDebugString();
            ASSERT_EQ(from_memory, from_disk) << request.ShortDebugString();
        }
    }
    std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace sandstore
