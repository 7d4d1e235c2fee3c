// One line on a terminal that shows how far a transfer is; nothing at all when stderr is no terminal or there is little
// to move.
#pragma once

#include <cstdint>
#include <string>

namespace sandstore {

class ProgressBar {
 public:
    // total 0: unknown.
    ProgressBar(std::string name, uint64_t total_bytes);
    ~ProgressBar();  // Ends the line, if there is one.
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void update(uint64_t done_bytes);

 private:
    void draw(uint64_t now_us);

    const std::string name_;
    const uint64_t total_bytes_;
    bool enabled_ = false;
    bool drawn_ = false;
    uint64_t done_bytes_ = 0;
    uint64_t started_us_ = 0;
    uint64_t drawn_at_us_ = 0;
};

// The line itself; `columns` is the terminal's width.
std::string progress_line(const std::string& name, uint64_t done_bytes, uint64_t total_bytes, uint64_t elapsed_us,
                          unsigned columns);

}  // namespace sandstore
