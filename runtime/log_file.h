// A log file that is not allowed to harm its writer: it rotates by size, loses no line when it does, and a full disk or
// a directory that cannot be written to costs nothing but what does not fit into memory meanwhile.
//
//   node-1.log      is written to
//   node-1.log.1    was before that, and so on; the oldest goes when there are more than `files_max` in all
//
// Whatever goes wrong is told once (take_news), and tried again with later lines, once a second. Until it works, lines
// wait in memory, up to kWaitingBytesMax; how many found no room there is told too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandstore {

class LogFile {
 public:
    struct Options {
        std::string path;
        uint64_t bytes_max = 64 << 20;  // A file is not continued beyond this. 0: never rotates.
        uint32_t files_max = 5;         // The one that is written to included; at least 2.
    };
    struct News {
        bool is_problem = false;
        std::string text;
        std::string detail;       // What the system says, and where.
        uint64_t lines_lost = 0;  // Only at the end of a problem.
    };
    static constexpr size_t kWaitingBytesMax = 1 << 20;
    static constexpr uint64_t kRetryUs = 1'000'000;

    explicit LogFile(Options options);
    ~LogFile();
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    // `line` without its newline. `now_us` only spaces the attempts after a failure.
    void write(std::string_view line, uint64_t now_us);
    // Closes the file and opens what now has its name: for a program that renamed or removed it.
    void reopen(uint64_t now_us);
    // What has not been told yet: a problem began, or it is over.
    std::optional<News> take_news();

 private:
    void write_waiting(uint64_t now_us);
    bool open();
    bool write_all();
    void rotate(uint64_t now_us);
    bool shift_names();
    void fail(std::string_view what, const std::string& path, int error);
    bool is_time(uint64_t* last_try_us, uint64_t now_us) const;
    std::string numbered(uint32_t number) const;
    void close();

    const Options options_;
    int file_ = -1;
    uint64_t size_ = 0;
    std::string waiting_;       // Goes on where the file ends.
    bool in_mid_line_ = false;  // The file ends in the middle of a line, whose rest is the first to wait.
    uint64_t lines_lost_ = 0;
    bool failing_ = false;
    bool rotation_failing_ = false;
    uint64_t last_try_us_ = 0;
    uint64_t last_rotation_try_us_ = 0;
    std::optional<News> news_;
};

}  // namespace sandstore
