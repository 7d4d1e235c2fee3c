#include "apps/common/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apps/common/units.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kWorthShowingBytes = 16ull << 20;
constexpr uint64_t kDrawIntervalUs = 100'000;

unsigned terminal_columns() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 40) return 80;
    return std::min<unsigned>(size.ws_col, 200);
}

}  // namespace

std::string progress_line(const std::string& name, uint64_t done_bytes, uint64_t total_bytes, uint64_t elapsed_us,
                          unsigned columns) {
    const uint64_t rate =
        elapsed_us == 0
            ? 0
            : static_cast<uint64_t>(static_cast<double>(done_bytes) * 1e6 / static_cast<double>(elapsed_us));
    std::string right = str_cat(format_bytes(done_bytes), "  ", format_bytes(rate), "/s");
    if (total_bytes > 0) {
        const double share = std::min(1.0, static_cast<double>(done_bytes) / static_cast<double>(total_bytes));
        right = str_cat(str_format("%3d%%  ", static_cast<int>(share * 100)), right);
        if (rate > 0 && done_bytes < total_bytes) {
            str_append(&right, "  ", format_duration((total_bytes - done_bytes) / rate * 1'000'000), " left");
        }
        const size_t taken = std::min<size_t>(name.size(), 30) + right.size() + 6;
        const size_t width = columns > taken + 10 ? std::min<size_t>(columns - taken, 40) : 0;
        if (width > 0) {
            const size_t filled = static_cast<size_t>(share * static_cast<double>(width));
            right = str_cat("[", std::string(filled, '='), std::string(width - filled, ' '), "] ", right);
        }
    }
    std::string line = str_cat(name.size() > 30 ? str_cat("...", name.substr(name.size() - 27)) : name, "  ", right);
    if (line.size() >= columns) line.resize(columns - 1);
    return line;
}

ProgressBar::ProgressBar(std::string name, uint64_t total_bytes) : name_(std::move(name)), total_bytes_(total_bytes) {
    enabled_ = isatty(STDERR_FILENO) == 1 && (total_bytes == 0 || total_bytes >= kWorthShowingBytes);
    started_us_ = SystemClock().monotonic_us();
}

ProgressBar::~ProgressBar() {
    if (!drawn_) return;
    draw(SystemClock().monotonic_us());
    std::fputc('\n', stderr);
}

void ProgressBar::update(uint64_t done_bytes) {
    done_bytes_ = done_bytes;
    if (!enabled_ || (total_bytes_ == 0 && done_bytes < kWorthShowingBytes)) return;
    const uint64_t now_us = SystemClock().monotonic_us();
    if (drawn_ && now_us - drawn_at_us_ < kDrawIntervalUs) return;
    draw(now_us);
}

void ProgressBar::draw(uint64_t now_us) {
    drawn_ = true;
    drawn_at_us_ = now_us;
    const std::string line = progress_line(name_, done_bytes_, total_bytes_, now_us - started_us_, terminal_columns());
    std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
    std::fflush(stderr);
}

}  // namespace sandstore
