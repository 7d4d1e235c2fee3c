// One line on a terminal that shows how far a transfer is; nothing at all when stderr is no terminal or there is little
// to move.
#pragma once

#include <cstdint>
#include <string>

namespace sandstore {

enum class ProgressUnit { kBytes, kChunks };

class ProgressBar {
 public:
    // total 0: unknown.
    ProgressBar(std::string name, uint64_t total, ProgressUnit unit = ProgressUnit::kBytes);
    ~ProgressBar();  // Ends the line, if there is one.
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void update(uint64_t done);

 private:
    void draw(uint64_t now_us);

    const std::string name_;
    const uint64_t total_;
    const ProgressUnit unit_;
    bool enabled_ = false;
    bool drawn_ = false;
    uint64_t done_ = 0;
    uint64_t started_us_ = 0;
    uint64_t drawn_at_us_ = 0;
};

// The line itself; `columns` is the terminal's width.
std::string progress_line(const std::string& name, uint64_t done, uint64_t total, uint64_t elapsed_us, unsigned columns,
                          ProgressUnit unit = ProgressUnit::kBytes);

}  // namespace sandstore
