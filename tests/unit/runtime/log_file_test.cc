// Log files that rotate, are renamed under the node's hands, and meet disks that cannot take them.
#include "runtime/log_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "runtime/logging.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kSecondUs = 1'000'000;

class LogFileTest : public ::testing::Test {
 protected:
    LogFileTest() {
        std::string pattern = fs::temp_directory_path() / "sandstore-log-test-XXXXXX";
        EXPECT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
    }
    ~LogFileTest() override { fs::remove_all(folder); }

    LogFile::Options options(uint64_t bytes_max = 0, uint32_t files_max = 5) const {
        return {.path = path(), .bytes_max = bytes_max, .files_max = files_max};
    }
    std::string path(uint32_t number = 0) const {
        const std::string name = (folder / "logs" / "node-1.log").string();
        return number == 0 ? name : str_cat(name, ".", number);
    }
    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        std::ostringstream text;
        text << file.rdbuf();
        return text.str();
    }
    size_t files() const {
        size_t count = 0;
        for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder / "logs")) ++count;
        return count;
    }
    // All that is there, oldest first.
    std::string all_text() const {
        std::string text;
        for (uint32_t number = 100; number > 0; --number) text += text_of(path(number));
        return text + text_of(path());
    }

    fs::path folder;
};

TEST_F(LogFileTest, makes_its_directory_and_goes_on_with_what_is_there) {
    { LogFile(options()).write("one", 0); }
    LogFile again(options());
    again.write("two", 0);
    EXPECT_EQ(text_of(path()), "one\ntwo\n");
    EXPECT_FALSE(again.take_news());
}

TEST_F(LogFileTest, rotation_loses_no_line_and_splits_none) {
    std::string expected;
    {
        LogFile file(options(100, 100));
        for (int i = 0; i < 200; ++i) {
            const std::string line = str_cat("line ", i, " ", std::string(static_cast<size_t>(i % 37), 'x'));
            file.write(line, 0);
            str_append(&expected, line, "\n");
        }
        EXPECT_FALSE(file.take_news());
    }
    EXPECT_EQ(all_text(), expected);
    EXPECT_GT(files(), 10u);
    for (const auto& entry : fs::directory_iterator(folder / "logs")) {
        EXPECT_LE(entry.file_size(), 100u) << entry.path();
        EXPECT_EQ(text_of(entry.path()).back(), '\n') << entry.path();
    }
}

TEST_F(LogFileTest, only_the_newest_files_are_kept_also_when_there_were_more_before) {
    {
        LogFile many(options(10, 6));
        for (int i = 0; i < 9; ++i) many.write(str_cat("line-0000", i), 0);
    }
    EXPECT_EQ(files(), 6u);
    LogFile few(options(10, 3));
    few.write("line-00009", 0);
    EXPECT_EQ(files(), 3u);
    EXPECT_EQ(all_text(), "line-00007\nline-00008\nline-00009\n");
}

TEST_F(LogFileTest, a_line_longer_than_a_file_has_one_of_its_own) {
    LogFile file(options(10, 5));
    file.write("short", 0);
    file.write(std::string(30, 'l'), 0);
    file.write("next", 0);
    EXPECT_EQ(text_of(path(1)), std::string(30, 'l') + "\n");
    EXPECT_EQ(text_of(path()), "next\n");
}

TEST_F(LogFileTest, what_another_program_renamed_is_left_to_it_after_a_reopen) {
    LogFile file(options());
    file.write("one", 0);
    fs::rename(path(), path(7));
    file.write("two", 0);
    file.reopen(0);
    file.write("three", 0);
    EXPECT_EQ(text_of(path(7)), "one\ntwo\n");
    EXPECT_EQ(text_of(path()), "three\n");
}

TEST_F(LogFileTest, a_directory_that_cannot_be_used_is_told_once_and_its_lines_come_later) {
    std::ofstream(folder / "logs") << "a file stands in its place";
    LogFile file(options());
    file.write("one", 10 * kSecondUs);
    const std::optional<LogFile::News> news = file.take_news();
    ASSERT_TRUE(news && news->is_problem);
    EXPECT_EQ(news->text, "Log file cannot be opened");
    EXPECT_NE(news->detail.find("Not a directory"), std::string::npos) << news->detail;
    file.write("two", 12 * kSecondUs);
    EXPECT_FALSE(file.take_news()) << "once";

    fs::remove(folder / "logs");
    file.write("three", 12 * kSecondUs + 1);  // Too soon for another attempt.
    EXPECT_FALSE(fs::exists(path()));
    file.write("four", 13 * kSecondUs);
    EXPECT_EQ(text_of(path()), "one\ntwo\nthree\nfour\n");
    const std::optional<LogFile::News> over = file.take_news();
    ASSERT_TRUE(over && !over->is_problem);
    EXPECT_EQ(over->lines_lost, 0u);
}

TEST_F(LogFileTest, a_clock_that_was_set_back_does_not_put_off_the_next_attempt) {
    std::ofstream(folder / "logs") << "a file stands in its place";
    LogFile file(options());
    file.write("one", 1'000 * kSecondUs);
    fs::remove(folder / "logs");
    file.write("two", 5 * kSecondUs);
    EXPECT_EQ(text_of(path()), "one\ntwo\n");
}

TEST_F(LogFileTest, a_full_disk_costs_only_what_finds_no_room_in_memory_and_says_how_much) {
    fs::create_directories(folder / "logs");
    fs::create_symlink("/dev/full", path());
    LogFile file(options());
    const std::string line(1'023, 'x');
    for (int i = 0; i < 1'030; ++i) file.write(line, 0);
    const std::optional<LogFile::News> news = file.take_news();
    ASSERT_TRUE(news && news->is_problem);
    EXPECT_EQ(news->text, "Log file cannot be written");
    EXPECT_NE(news->detail.find("No space left on device"), std::string::npos) << news->detail;
    fs::remove(path());
    file.reopen(0);
    EXPECT_EQ(fs::file_size(path()), LogFile::kWaitingBytesMax);
    const std::optional<LogFile::News> over = file.take_news();
    ASSERT_TRUE(over && !over->is_problem);
    EXPECT_EQ(over->lines_lost, 6u);
}

// A limit on the size of files stands for a disk that fills up in the middle of a line.
class FileSizeLimit {
 public:
    explicit FileSizeLimit(rlim_t bytes) {
        getrlimit(RLIMIT_FSIZE, &before_);
        handler_ = signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() {
        setrlimit(RLIMIT_FSIZE, &before_);
        signal(SIGXFSZ, handler_);
    }

 private:
    rlimit before_{};
    void (*handler_)(int);
};

TEST_F(LogFileTest, half_a_line_is_completed_when_there_is_room_again) {
    LogFile file(options(12, 5));
    {
        const FileSizeLimit limit(8);
        file.write("12345", 0);
        file.write("abcde", 0);
        EXPECT_EQ(text_of(path()), "12345\nab");
        file.write("next", 2 * kSecondUs);
    }
    file.write("last", 4 * kSecondUs);
    EXPECT_EQ(all_text(), "12345\nabcde\nnext\nlast\n");
    ASSERT_TRUE(file.take_news());
}

TEST_F(LogFileTest, half_a_line_of_an_earlier_process_does_not_swallow_the_next_one) {
    fs::create_directories(folder / "logs");
    std::ofstream(path()) << "whole\nhal";
    LogFile file(options());
    file.write("next", 0);
    EXPECT_EQ(text_of(path()), "whole\nhal\nnext\n");
}

TEST_F(LogFileTest, a_file_that_cannot_be_rotated_grows_on) {
    fs::create_directories(path(1) + "/in/the/way");
    LogFile file(options(10, 2));
    file.write("line-00001", 0);
    file.write("line-00002", 0);
    const std::optional<LogFile::News> news = file.take_news();
    ASSERT_TRUE(news && news->is_problem);
    EXPECT_EQ(news->text, "Log file cannot be rotated, and grows on");
    file.write("line-00003", 0);
    EXPECT_FALSE(file.take_news());
    EXPECT_EQ(text_of(path()), "line-00001\nline-00002\nline-00003\n");
    EXPECT_EQ(files(), 2u) << "no beginning of another file is left";
    fs::remove_all(path(1));
    file.write("line-00004", 2 * kSecondUs);
    EXPECT_EQ(text_of(path()), "line-00004\n");
    EXPECT_EQ(text_of(path(1)), "line-00001\nline-00002\nline-00003\n");
    EXPECT_EQ(file.take_news()->text, "Log file rotated again");
}

TEST_F(LogFileTest, a_logger_writes_on_and_tells_its_readers_what_happened) {
    std::ofstream(folder / "logs") << "a file stands in its place";
    LogOptions log_options;
    log_options.directory = (folder / "logs").string();
    log_options.node_id = "node-1";
    log_options.to_stdout = false;
    log_options.json = true;
    Logger logger(log_options);
    logger.write(LogLevel::kInfo, 1 * kSecondUs, "main", "Starting", {{"version", "0.1"}});
    fs::remove(folder / "logs");
    logger.reopen_file(2 * kSecondUs);
    logger.write(LogLevel::kInfo, 3 * kSecondUs, "main", "Stopped", {});
    const std::string text = text_of(path());
    const size_t starting = text.find("\"Starting\"");
    const size_t problem = text.find("\"Log file cannot be opened\",\"why\":");
    const size_t over = text.find("\"Log file written again\"");
    const size_t stopped = text.find("\"Stopped\"");
    EXPECT_LT(starting, problem);
    EXPECT_LT(problem, over);
    EXPECT_LT(over, stopped);
    EXPECT_NE(stopped, std::string::npos) << text;
}

}  // namespace
}  // namespace sandstore
