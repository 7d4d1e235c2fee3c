#include "runtime/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

LogFile::LogFile(Options options) : options_(std::move(options)) {
    SANDSTORE_CHECK(options_.files_max >= 2, "a rotated file needs a place: ", options_.files_max);
}

LogFile::~LogFile() {
    if (!waiting_.empty() && (file_ >= 0 || open())) write_all();
    close();
}

void LogFile::close() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
}

std::optional<LogFile::News> LogFile::take_news() {
    return std::exchange(news_, std::nullopt);
}

// A clock that was set back does not put off the next attempt.
bool LogFile::is_time(uint64_t* last_try_us, uint64_t now_us) const {
    if (now_us >= *last_try_us && now_us - *last_try_us < kRetryUs) return false;
    *last_try_us = now_us;
    return true;
}

void LogFile::write(std::string_view line, uint64_t now_us) {
    if (failing_ && waiting_.size() + line.size() + 1 > kWaitingBytesMax) {
        ++lines_lost_;
    } else {
        str_append(&waiting_, line, "\n");
    }
    if (!failing_ || is_time(&last_try_us_, now_us)) write_waiting(now_us);
}

void LogFile::reopen(uint64_t now_us) {
    close();
    write_waiting(now_us);
}

void LogFile::write_waiting(uint64_t now_us) {
    if (file_ < 0 && !open()) {
        last_try_us_ = now_us;
        return;
    }
    if (options_.bytes_max > 0 && size_ > 0 && !in_mid_line_ && size_ + waiting_.size() > options_.bytes_max)
        rotate(now_us);
    if (!write_all()) {
        last_try_us_ = now_us;
        return;
    }
    if (!std::exchange(failing_, false)) return;
    news_ = News{false, "Log file written again", options_.path, std::exchange(lines_lost_, 0)};
}

void LogFile::fail(std::string_view what, const std::string& path, int error) {
    if (std::exchange(failing_, true)) return;
    news_ = News{true, std::string(what), str_cat(path, ": ", std::generic_category().message(error)), 0};
}

bool LogFile::open() {
    const std::filesystem::path directory = std::filesystem::path(options_.path).parent_path();
    std::error_code ignored;  // Opening says what is wrong.
    if (!directory.empty()) std::filesystem::create_directories(directory, ignored);
    file_ = ::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct stat facts {};
    if (file_ < 0 || fstat(file_, &facts) != 0) {
        fail("Log file cannot be opened", options_.path, errno);
        close();
        return false;
    }
    size_ = S_ISREG(facts.st_mode) ? static_cast<uint64_t>(facts.st_size) : 0;
    // A process that was killed while its disk was full may have left half a line.
    char last = '\n';
    if (size_ > 0 && !in_mid_line_ && pread(file_, &last, 1, static_cast<off_t>(size_ - 1)) == 1 && last != '\n') {
        waiting_.insert(waiting_.begin(), '\n');
    }
    return true;
}

// What was written is no longer waiting, so that nothing is there twice when the rest follows later.
bool LogFile::write_all() {
    size_t written = 0;
    int error = 0;
    while (written < waiting_.size() && error == 0) {
        const ssize_t count = ::write(file_, waiting_.data() + written, waiting_.size() - written);
        if (count > 0) written += static_cast<size_t>(count);
        if (count < 0 && errno != EINTR) error = errno;
        if (count == 0) error = EIO;
    }
    if (written > 0) in_mid_line_ = waiting_[written - 1] != '\n';
    waiting_.erase(0, written);
    size_ += written;
    if (error != 0) fail("Log file cannot be written", options_.path, error);
    return error == 0;
}

// --- Rotation -------------------------------------------------------------------------------------------------------

std::string LogFile::numbered(uint32_t number) const {
    return number == 0 ? options_.path : str_cat(options_.path, ".", number);
}

// The new file is there before any name moves, and the old one is closed last: whatever fails in between, lines have a
// place to go.
void LogFile::rotate(uint64_t now_us) {
    if (rotation_failing_ && !is_time(&last_rotation_try_us_, now_us)) return;
    const std::string fresh_path = options_.path + ".new";
    const int fresh = ::open(fresh_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    bool moved = fresh >= 0 && shift_names();
    if (moved && std::rename(fresh_path.c_str(), options_.path.c_str()) != 0) {
        moved = false;
        std::rename(numbered(1).c_str(), options_.path.c_str());
    }
    if (!moved) {
        const std::string why = std::generic_category().message(errno);
        last_rotation_try_us_ = now_us;
        if (fresh >= 0) {
            ::unlink(fresh_path.c_str());
            ::close(fresh);
        }
        if (std::exchange(rotation_failing_, true)) return;
        news_ = News{true, "Log file cannot be rotated, and grows on", str_cat(options_.path, ": ", why), 0};
        return;
    }
    ::close(std::exchange(file_, fresh));
    size_ = 0;
    if (std::exchange(rotation_failing_, false)) news_ = News{false, "Log file rotated again", options_.path, 0};
}

// Each name is moved at once and atomically; a process that dies in between leaves a gap in the numbers, no more.
bool LogFile::shift_names() {
    for (uint32_t extra = options_.files_max - 1; ::unlink(numbered(extra).c_str()) == 0; ++extra) {
    }
    for (uint32_t number = options_.files_max - 1; number > 0; --number) {
        if (std::rename(numbered(number - 1).c_str(), numbered(number).c_str()) != 0 && errno != ENOENT) return false;
    }
    return true;
}

}  // namespace sandstore
