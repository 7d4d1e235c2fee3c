#include "runtime/descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "runtime/disk_files.h"

namespace sandstore {
namespace {

TEST(Descriptors, the_shares_fit_into_the_limit_whatever_it_is) {
    for (const uint64_t limit : {0ull, 64ull, 96ull, 256ull, 1024ull, 65'536ull, 1ull << 30, ~0ull}) {
        const DescriptorPlan plan = plan_descriptors(limit);
        EXPECT_GE(plan.cached_files, 4u) << limit;
        EXPECT_GE(plan.http_connections, 1u) << limit;
        EXPECT_GE(plan.connections, 1u) << limit;
        const uint64_t above = plan.limit - static_cast<uint64_t>(plan.accepted_below);
        EXPECT_GE(above, 2 * plan.cached_files + 16) << limit << ": what two disks keep open, and have open at work";
        EXPECT_LT(plan.connections + plan.http_connections, static_cast<uint64_t>(plan.accepted_below)) << limit;
    }
}

TEST(Descriptors, the_soft_limit_is_raised_to_the_hard_one) {
    EXPECT_EQ(raise_descriptor_limit(), descriptor_limit());
    EXPECT_EQ(raise_descriptor_limit(), descriptor_limit()) << "twice changes nothing";
}

// A disk, and somebody who takes every descriptor that there is.
class DescriptorsTaken : public testing::Test {
 protected:
    void SetUp() override {
        getrlimit(RLIMIT_NOFILE, &before_);
#ifdef __SANITIZE_ADDRESS__
        // It looks at objects through a pipe, and takes one that it cannot look at for a bad one.
        GTEST_SKIP() << "the sanitizer needs descriptors itself";
#endif
        std::string name = (std::filesystem::temp_directory_path() / "sandstore-descriptors-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
        root_ = name;
        std::ofstream(root_ / "file") << "content";
        rlimit few = before_;
        few.rlim_cur = 200;
        setrlimit(RLIMIT_NOFILE, &few);
        files_ = std::make_unique<DiskFiles>(root_.string());
        for (int taken = open("/dev/null", O_RDONLY); taken >= 0; taken = open("/dev/null", O_RDONLY)) {
            taken_.emplace_back(taken);
        }
    }
    ~DescriptorsTaken() override {
        taken_.clear();
        setrlimit(RLIMIT_NOFILE, &before_);
        if (!root_.empty()) std::filesystem::remove_all(root_);
    }
    pb::DiskReply read(std::string* bytes) {
        pb::DiskRequest request;
        request.add_operations()->mutable_read()->set_file("file");
        request.mutable_operations(0)->mutable_read()->set_length(100);
        Payload out;
        pb::DiskReply reply = files_->execute(request, {}, &out);
        *bytes = out.to_string();
        return reply;
    }

    std::filesystem::path root_;
    rlimit before_{};
    std::unique_ptr<DiskFiles> files_;
    std::vector<FileDescriptor> taken_;
};

TEST_F(DescriptorsTaken, a_disk_waits_for_those_that_come_back_soon) {
    std::string bytes;
    pb::DiskReply reply;
    std::thread worker([&] { reply = read(&bytes); });
    taken_.clear();
    worker.join();
    EXPECT_EQ(reply.error(), 0);
    EXPECT_EQ(bytes, "content");
}

TEST_F(DescriptorsTaken, and_fails_the_request_when_they_do_not) {
    std::string bytes;
    EXPECT_EQ(read(&bytes).error(), EMFILE);
    taken_.clear();
    EXPECT_EQ(read(&bytes).error(), 0);
}

}  // namespace
}  // namespace sandstore
