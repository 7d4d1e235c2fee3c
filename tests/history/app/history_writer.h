// Writes the history file (tests/history/history.h) while the clients work, each line at once: whatever kills the
// program, what it was told stands there.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace sandstore {

class HistoryWriter {
 public:
    // Adds to the file. Throws std::runtime_error when it cannot be opened.
    HistoryWriter(const std::string& path, uint64_t first_operation);

    // The number of the operation, which is also the token of its bytes.
    uint64_t take_number() { return next_++; }
    void begin(uint64_t number, uint64_t client, std::string_view what);
    void end(uint64_t number, std::string_view outcome, std::string_view answer);
    void final(std::string_view what);

 private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    void write(const std::string& line);

    std::mutex mutex_;
    std::unique_ptr<std::FILE, Close> file_;
    std::atomic<uint64_t> next_;
};

}  // namespace sandstore
