#include "runtime/thread_disk.h"

#include <event2/event.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "runtime/fault_points.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

namespace fs = std::filesystem;
using Operation = pb::DiskOperation;

// Stands in for the dispatcher: remembers the answers in the order in which they come.
class AnswerHost final : public PortHost {
 public:
    uint64_t now_us() const override { return 1; }
    uint64_t wall_us() const override { return 1; }
    void deliver(Message) override { ADD_FAILURE() << "a disk only answers"; }
    void reply(const ReplyTo& to, LocalAddress from, Message message) override {
        EXPECT_EQ(from.actor, pb::PORT_LOG_DISK);
        order.push_back(to.request_id);
        answers[to.request_id] = std::move(message);
    }
    void node_unreachable(std::string_view, std::string_view) override {}
    void hurry() override { hurried++; }
    Logger& logger() override { return logger_; }
    MetricsRegistry& metrics() override { return metrics_; }

    int hurried = 0;
    std::vector<uint64_t> order;
    std::map<uint64_t, Message> answers;

 private:
    Logger logger_;
    MetricsRegistry metrics_;
};

struct Outcome {
    pb::DiskReply reply;
    std::string bytes;
};

class ThreadDiskTest : public testing::Test {
 protected:
    ThreadDiskTest() {
        std::string name = (fs::temp_directory_path() / "sandstore-disk-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
        root_ = name;
        data_ = root_ / "data";
        fs::create_directory(data_);
        base_ = event_base_new();
        open(1);
    }
    ~ThreadDiskTest() override {
        disk_.reset();
        event_base_free(base_);
        fs::remove_all(root_);
    }

    void open(int threads, const FaultPoints* faults = nullptr, uint64_t spin_us = 0) {
        disk_.reset();
        disk_ = std::make_unique<ThreadDisk>(base_, host_, LocalAddress{pb::PORT_LOG_DISK}, data_.string(), threads,
                                             faults, spin_us);
    }

    uint64_t send(pb::DiskRequest request, Payload payload = {}) {
        Message message = message_of(std::move(request), std::move(payload));
        message->set_request_id(next_id_);
        message->set_from_actor(pb::ACTOR_LOG);
        disk_->handle(std::move(message));
        return next_id_++;
    }
    void run_until(size_t answers) {
        while (host_.order.size() < answers) event_base_loop(base_, EVLOOP_ONCE);
    }
    Outcome execute(pb::DiskRequest request, Payload payload = {}) {
        const uint64_t id = send(std::move(request), std::move(payload));
        while (!host_.answers.contains(id)) event_base_loop(base_, EVLOOP_ONCE);
        Message& answer = host_.answers[id];
        return {answer->disk_reply(), answer.payload.to_string()};
    }

    // One operation.
    static pb::DiskRequest request(const std::function<void(Operation*)>& fill) {
        pb::DiskRequest request;
        fill(request.add_operations());
        return request;
    }
    static pb::DiskRequest write_request(std::string file, uint64_t offset, uint64_t length) {
        return request([&](Operation* operation) {
            operation->mutable_write()->set_file(std::move(file));
            operation->mutable_write()->set_offset(offset);
            operation->mutable_write()->set_length(length);
        });
    }
    static pb::DiskRequest read_request(std::string file, uint64_t offset, uint64_t length) {
        return request([&](Operation* operation) {
            operation->mutable_read()->set_file(std::move(file));
            operation->mutable_read()->set_offset(offset);
            operation->mutable_read()->set_length(length);
        });
    }
    int write(std::string file, uint64_t offset, std::string bytes) {
        const uint64_t length = bytes.size();
        return execute(write_request(std::move(file), offset, length), Payload(std::move(bytes))).reply.error();
    }
    std::string content(const std::string& file) const {
        std::ifstream in(data_ / file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    fs::path root_;
    fs::path data_;
    event_base* base_ = nullptr;
    AnswerHost host_;
    std::unique_ptr<ThreadDisk> disk_;
    uint64_t next_id_ = 1;
};

TEST_F(ThreadDiskTest, writes_and_reads_in_pieces) {
    Payload payload;
    std::string expected;
    for (int i = 0; i < 500; i++) {  // More pieces than one call takes.
        payload.append(Payload::copy_of(str_cat("piece ", i, ";")));
        str_append(&expected, "piece ", i, ";");
    }
    pb::DiskRequest both;
    *both.add_operations() = write_request("a", 0, 100).operations(0);
    *both.add_operations() = write_request("b", 10, expected.size() - 100).operations(0);
    both.add_operations()->mutable_sync()->set_file("b");
    EXPECT_EQ(execute(both, payload).reply.error(), 0);
    EXPECT_EQ(content("a"), expected.substr(0, 100));
    EXPECT_EQ(content("b"), std::string(10, '\0') + expected.substr(100));

    pb::DiskRequest reads;
    *reads.add_operations() = read_request("a", 90, 100).operations(0);
    *reads.add_operations() = read_request("a", 500, 100).operations(0);
    *reads.add_operations() = read_request("b", 10, 5).operations(0);
    const Outcome outcome = execute(reads);
    ASSERT_EQ(outcome.reply.error(), 0);
    ASSERT_EQ(outcome.reply.read_lengths_size(), 3);
    EXPECT_EQ(outcome.reply.read_lengths(0), 10u);
    EXPECT_EQ(outcome.reply.read_lengths(1), 0u);
    EXPECT_EQ(outcome.reply.read_lengths(2), 5u);
    EXPECT_EQ(outcome.bytes, expected.substr(90, 15));
}

TEST_F(ThreadDiskTest, a_request_stops_at_the_first_failure) {
    pb::DiskRequest mixed;
    *mixed.add_operations() = write_request("first", 0, 3).operations(0);
    *mixed.add_operations() = read_request("missing", 0, 10).operations(0);
    *mixed.add_operations() = write_request("last", 0, 3).operations(0);
    const Outcome outcome = execute(mixed, Payload::copy_of("onetwo"));
    EXPECT_EQ(outcome.reply.error(), ENOENT);
    EXPECT_EQ(outcome.reply.failed_operation(), 1u);
    EXPECT_FALSE(outcome.reply.sync_failed());
    EXPECT_EQ(content("first"), "one");
    EXPECT_FALSE(fs::exists(data_ / "last"));
}

TEST_F(ThreadDiskTest, a_write_without_its_bytes_is_refused) {
    EXPECT_EQ(execute(write_request("a", 0, 10), Payload::copy_of("short")).reply.error(), EINVAL);
    EXPECT_EQ(content("a"), "");
}

TEST_F(ThreadDiskTest, sync_of_a_missing_file_is_an_error) {
    const auto sync = request([](Operation* operation) { operation->mutable_sync()->set_file("missing"); });
    EXPECT_EQ(execute(sync).reply.error(), ENOENT);
}

TEST_F(ThreadDiskTest, create_zeroed_fills_and_empties) {
    const auto create = request([](Operation* operation) {
        operation->mutable_create_zeroed()->set_file("zeros");
        operation->mutable_create_zeroed()->set_size((3u << 20) + 5);
    });
    ASSERT_EQ(write("zeros", 0, "old content"), 0);
    EXPECT_EQ(execute(create).reply.error(), 0);
    EXPECT_EQ(content("zeros"), std::string((3u << 20) + 5, '\0'));
    struct stat status {};
    ASSERT_EQ(stat((data_ / "zeros").c_str(), &status), 0);
    EXPECT_GE(status.st_blocks * 512, 3 << 20) << "really written, not a hole";
}

TEST_F(ThreadDiskTest, replace_leaves_no_traces) {
    const auto replace = [](uint64_t length) {
        return request([&](Operation* operation) {
            operation->mutable_replace()->set_file("identity.json");
            operation->mutable_replace()->set_length(length);
        });
    };
    EXPECT_EQ(execute(replace(9), Payload::copy_of("long text")).reply.error(), 0);
    EXPECT_EQ(execute(read_request("identity.json", 0, 100)).bytes, "long text");
    EXPECT_EQ(execute(replace(3), Payload::copy_of("new")).reply.error(), 0);
    EXPECT_EQ(execute(read_request("identity.json", 0, 100)).bytes, "new") << "not the file that was open before";
    EXPECT_EQ(std::distance(fs::directory_iterator(data_), fs::directory_iterator()), 1);
    EXPECT_EQ(execute(replace(30), Payload::copy_of("too few")).reply.error(), EINVAL);
    EXPECT_EQ(content("identity.json"), "new");
}

TEST_F(ThreadDiskTest, names_change_under_open_files) {
    const auto rename = request([](Operation* operation) {
        operation->mutable_rename()->set_from("dir/one");
        operation->mutable_rename()->set_to("two");
    });
    const auto remove = request([](Operation* operation) { operation->mutable_remove()->set_file("two"); });
    ASSERT_EQ(execute(request([](Operation* operation) {
                  operation->mutable_make_directory()->set_directory("dir");
              })).reply.error(),
              0);
    ASSERT_EQ(write("dir/one", 0, "1"), 0);
    ASSERT_EQ(write("two", 0, "22"), 0);
    EXPECT_EQ(execute(rename).reply.error(), 0);
    EXPECT_EQ(execute(read_request("two", 0, 10)).bytes, "1");
    EXPECT_EQ(execute(read_request("dir/one", 0, 10)).reply.error(), ENOENT);
    EXPECT_EQ(execute(rename).reply.error(), ENOENT);
    EXPECT_EQ(execute(remove).reply.error(), 0);
    EXPECT_EQ(execute(remove).reply.error(), 0) << "removing what is missing succeeds";
    ASSERT_EQ(write("two", 0, "new"), 0);
    EXPECT_EQ(content("two"), "new");
}

TEST_F(ThreadDiskTest, lists_regular_files_by_name) {
    const auto list = [](std::string directory) {
        return request([&](Operation* operation) { operation->mutable_list()->set_directory(std::move(directory)); });
    };
    const auto make =
        request([](Operation* operation) { operation->mutable_make_directory()->set_directory("a/b/c"); });
    EXPECT_EQ(execute(make).reply.error(), 0);
    EXPECT_EQ(execute(make).reply.error(), 0) << "existing is fine";
    ASSERT_EQ(write("a/b/zebra", 0, "12345"), 0);
    ASSERT_EQ(write("a/b/apple", 0, "1"), 0);
    std::ofstream(data_ / "a/b/.tmp-77") << "left by a crash";
    fs::create_symlink("zebra", data_ / "a/b/link");
    const Outcome outcome = execute(list("a/b"));
    ASSERT_EQ(outcome.reply.files_size(), 2);
    EXPECT_EQ(outcome.reply.files(0).name(), "apple");
    EXPECT_EQ(outcome.reply.files(1).name(), "zebra");
    EXPECT_EQ(outcome.reply.files(1).size(), 5u);
    EXPECT_EQ(execute(list("nowhere/at/all")).reply.error(), 0);
    EXPECT_EQ(execute(list("nowhere/at/all")).reply.files_size(), 0);
}

TEST_F(ThreadDiskTest, tells_space) {
    const Outcome outcome = execute(request([](Operation* operation) { operation->mutable_space(); }));
    EXPECT_EQ(outcome.reply.error(), 0);
    EXPECT_GT(outcome.reply.total_bytes(), 0u);
    EXPECT_LE(outcome.reply.free_bytes(), outcome.reply.total_bytes());
}

TEST_F(ThreadDiskTest, a_disk_that_is_told_to_be_full_keeps_what_it_has) {
    FaultPoints faults;
    open(1, &faults);
    const auto create = [](uint64_t size) {
        return request([size](Operation* operation) {
            operation->mutable_create_zeroed()->set_file("new");
            operation->mutable_create_zeroed()->set_size(size);
        });
    };
    const auto replace = request([](Operation* operation) {
        operation->mutable_replace()->set_file("a");
        operation->mutable_replace()->set_length(4);
    });
    const auto space = request([](Operation* operation) { operation->mutable_space(); });
    EXPECT_EQ(write("a", 0, "12345678"), 0);
    faults.disk_full = true;
    EXPECT_EQ(write("a", 4, "ABCD"), 0);  // Where there is room already.
    EXPECT_EQ(write("a", 5, "xxxx"), ENOSPC);
    EXPECT_EQ(execute(create(100)).reply.error(), static_cast<uint32_t>(ENOSPC));
    EXPECT_EQ(execute(replace, Payload(std::string("zzzz"))).reply.error(), static_cast<uint32_t>(ENOSPC));
    EXPECT_EQ(execute(space).reply.free_bytes(), 0u);
    EXPECT_EQ(content("a"), "1234ABCD");
    EXPECT_FALSE(fs::exists(data_ / "new"));
    faults.disk_full = false;
    EXPECT_EQ(write("a", 5, "xxxx"), 0);
    EXPECT_EQ(execute(create(100)).reply.error(), 0u);
    EXPECT_GT(execute(space).reply.free_bytes(), 0u);
}

TEST_F(ThreadDiskTest, a_delayed_disk_says_how_long_it_took) {
    FaultPoints faults;
    open(1, &faults);
    faults.disk_delay_us = 5'000;
    EXPECT_GE(execute(write_request("a", 0, 1), Payload(std::string("x"))).reply.elapsed_us(), 5'000u);
}

TEST_F(ThreadDiskTest, to_wake_a_sleeping_disk_is_urgent) {
    for (int i = 1; i <= 3; i++) {
        ASSERT_EQ(write("a", 0, "x"), 0);
        EXPECT_LE(host_.hurried, i) << "once for each";
    }
    // A worker that has not gone to sleep again needs no waking.
    while (host_.hurried == 0) ASSERT_EQ(write("a", 0, "x"), 0);
}

// One that looks for requests by itself misses none, whether it looks or sleeps when they come, nor its own end.
TEST_F(ThreadDiskTest, a_disk_that_spins_answers_all_requests) {
    for (const uint64_t spin_us : {1, 100, 10'000}) {
        open(1, nullptr, spin_us);
        for (int i = 0; i < 200; i++) ASSERT_EQ(write("a", 0, "x"), 0);
        for (int i = 0; i < 200; i++) send(write_request("a", 0, 1), Payload(std::string("y")));
    }
    open(1);
    EXPECT_EQ(content("a"), "y");
}

TEST_F(ThreadDiskTest, paths_never_leave_the_directory) {
    std::ofstream(root_ / "secret") << "outside";
    fs::create_symlink(root_ / "secret", data_ / "link");
    fs::create_directory_symlink(root_, data_ / "up");
    fs::create_directory(data_ / "dir");
    const std::string absolute = (root_ / "secret").string();
    for (const std::string& path :
         {std::string("../secret"), absolute, std::string("dir/../../secret"), std::string("./link"), std::string(""),
          std::string("link"), std::string("up/secret"), std::string("dir//x"), std::string("dir/"),
          std::string("a\0b", 3), std::string(300, 'n'), std::string("dir")}) {
        EXPECT_NE(execute(read_request(path, 0, 100)).reply.error(), 0) << path;
        EXPECT_EQ(execute(read_request(path, 0, 100)).bytes, "") << path;
        EXPECT_NE(write(path, 0, "overwritten"), 0) << path;
        for (const bool from : {true, false}) {
            const auto rename = request([&](Operation* operation) {
                operation->mutable_rename()->set_from(from ? path : "other");
                operation->mutable_rename()->set_to(from ? "taken" : path);
            });
            if (path != "link" && path != "dir") {  // A link itself may be moved: it is inside.
                EXPECT_NE(execute(rename).reply.error(), 0) << path;
            }
        }
    }
    const auto make = request([](Operation* operation) { operation->mutable_make_directory()->set_directory("up/x"); });
    EXPECT_NE(execute(make).reply.error(), 0);
    const auto remove = request([](Operation* operation) { operation->mutable_remove()->set_file("up/secret"); });
    EXPECT_NE(execute(remove).reply.error(), 0);
    std::ifstream secret(root_ / "secret");
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(secret), {}), "outside");
    EXPECT_FALSE(fs::exists(root_ / "x"));
}

TEST_F(ThreadDiskTest, a_removed_symbolic_link_leaves_its_target) {
    std::ofstream(root_ / "secret") << "outside";
    fs::create_symlink(root_ / "secret", data_ / "link");
    const auto remove = request([](Operation* operation) { operation->mutable_remove()->set_file("link"); });
    EXPECT_EQ(execute(remove).reply.error(), 0);
    EXPECT_TRUE(fs::exists(root_ / "secret"));
}

TEST_F(ThreadDiskTest, one_thread_keeps_the_order) {
    // Each request overwrites the same bytes, and is answered in its turn.
    for (uint64_t i = 1; i <= 300; i++) {
        const std::string bytes = str_format("%08llu", static_cast<unsigned long long>(i));
        pb::DiskRequest both = write_request("log", 0, 8);
        *both.add_operations() = read_request("log", 0, 8).operations(0);
        send(both, Payload(bytes));
    }
    run_until(300);
    for (uint64_t i = 1; i <= 300; i++) {
        EXPECT_EQ(host_.order[i - 1], i);
        EXPECT_EQ(host_.answers[i].payload.to_string(), str_format("%08llu", static_cast<unsigned long long>(i)));
    }
}

TEST_F(ThreadDiskTest, a_pool_serves_many_files_at_once) {
    open(4);
    const auto contents = [](uint64_t file) {
        return std::string(1000 + file * 37, static_cast<char>('a' + file % 26));
    };
    for (uint64_t file = 0; file < 200; file++) {  // More than the files kept open.
        pb::DiskRequest both = write_request(str_cat("chunk-", file), 0, contents(file).size());
        both.add_operations()->mutable_sync()->set_file(str_cat("chunk-", file));
        send(both, Payload(contents(file)));
    }
    run_until(200);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t file = 0; file < 200; file++) send(read_request(str_cat("chunk-", file), 0, 100'000));
    }
    run_until(800);
    for (uint64_t id = 201; id <= 800; id++) {
        EXPECT_EQ(host_.answers[id]->disk_reply().error(), 0);
        EXPECT_TRUE(host_.answers[id].payload.to_string() == contents((id - 201) % 200)) << id;
    }
}

TEST_F(ThreadDiskTest, a_pool_never_mixes_up_files_that_change_their_names) {
    open(4);
    // Writers replace the file over and over while readers read it: each read sees one whole version.
    for (uint64_t version = 0; version < 200; version++) {
        const std::string bytes(2000, static_cast<char>('a' + version % 26));
        send(request([&](Operation* operation) {
                 operation->mutable_replace()->set_file("shared");
                 operation->mutable_replace()->set_length(bytes.size());
             }),
             Payload(bytes));
        send(read_request("shared", 0, 5000));
    }
    run_until(400);
    for (uint64_t id = 2; id <= 400; id += 2) {
        if (host_.answers[id]->disk_reply().error() == ENOENT) continue;  // Before the first version.
        const std::string bytes = host_.answers[id].payload.to_string();
        ASSERT_EQ(bytes.size(), 2000u);
        EXPECT_EQ(bytes, std::string(2000, bytes[0]));
    }
    EXPECT_EQ(execute(read_request("shared", 0, 5000)).bytes, content("shared"));
}

TEST_F(ThreadDiskTest, too_many_requests_are_refused_and_the_others_served) {
    const size_t sent = 3 * ThreadDisk::kQueuedRequestsMax;
    for (size_t i = 0; i < sent; i++) send(write_request("log", 0, 4), Payload::copy_of("data"));
    EXPECT_TRUE(host_.order.empty()) << "answers come from the loop, never from handle()";
    run_until(sent);
    size_t refused = 0;
    for (auto& [id, answer] : host_.answers) {
        if (answer->body_case() != pb::Envelope::kRequestFailed) continue;
        EXPECT_EQ(answer->request_failed().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
        refused++;
    }
    EXPECT_LT(refused, sent);
    EXPECT_GE(sent - refused, ThreadDisk::kQueuedRequestsMax);
}

TEST_F(ThreadDiskTest, what_was_queued_is_finished_before_it_ends) {
    for (uint64_t i = 0; i < 100; i++) send(write_request(str_cat("file-", i), 0, 4), Payload::copy_of("data"));
    disk_.reset();
    for (uint64_t i = 0; i < 100; i++) EXPECT_EQ(content(str_cat("file-", i)), "data");
}

TEST_F(ThreadDiskTest, other_messages_are_refused) {
    Message message = message_of(pb::StartLog());
    message->set_request_id(5);
    disk_->handle(std::move(message));
    run_until(1);
    EXPECT_EQ(host_.answers[5]->request_failed().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST_F(ThreadDiskTest, a_missing_directory_is_told) {
    EXPECT_THROW(ThreadDisk(base_, host_, LocalAddress{pb::PORT_LOG_DISK}, (root_ / "missing").string(), 1),
                 std::runtime_error);
}

TEST_F(ThreadDiskTest, a_locked_directory_is_refused) {
    const std::string directory = (root_ / "a" / "b").string();
    EXPECT_EQ(lock_directory(directory), std::nullopt);
    const std::optional<std::string> refused = lock_directory(directory);
    ASSERT_TRUE(refused);
    EXPECT_EQ(*refused, "data directory " + directory + " is in use by another sandstore process");
    std::ofstream(root_ / "file") << "x";
    EXPECT_TRUE(lock_directory((root_ / "file").string()));
}

}  // namespace
}  // namespace sandstore
