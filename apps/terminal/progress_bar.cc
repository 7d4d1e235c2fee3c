#include "apps/terminal/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "apps/terminal/units.h"
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

std::string progress_line(const std::string& name, uint64_t done, uint64_t total, uint64_t elapsed_us, unsigned columns,
                          ProgressUnit unit) {
    const double rate =
        elapsed_us == 0 ? 0 : static_cast<double>(done) * 1e6 / static_cast<double>(elapsed_us);  // A second.
    std::string right = unit == ProgressUnit::kBytes
                            ? str_cat(format_bytes(done), "  ", format_bytes(static_cast<uint64_t>(rate)), "/s")
                            : str_cat(done, "/", total, " chunks  ", str_format("%.1f/s", rate));
    if (total > 0) {
        const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
        right = str_cat(str_format("%3d%%  ", static_cast<int>(share * 100)), right);
        if (rate > 0 && done < total) {
            const double left_us = static_cast<double>(total - done) / rate * 1e6;
            str_append(&right, "  ", format_duration(static_cast<uint64_t>(left_us) / 1'000'000 * 1'000'000), " left");
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

ProgressBar::ProgressBar(std::string name, uint64_t total, ProgressUnit unit)
    : name_(std::move(name)), total_(total), unit_(unit) {
    const bool is_worth_it = unit != ProgressUnit::kBytes || total == 0 || total >= kWorthShowingBytes;
    enabled_ = isatty(STDERR_FILENO) == 1 && is_worth_it;
    started_us_ = SystemClock().monotonic_us();
}

ProgressBar::~ProgressBar() {
    if (!drawn_) return;
    draw(SystemClock().monotonic_us());
    std::fputc('\n', stderr);
}

void ProgressBar::update(uint64_t done) {
    done_ = done;
    if (!enabled_ || (total_ == 0 && done < kWorthShowingBytes)) return;
    const uint64_t now_us = SystemClock().monotonic_us();
    if (drawn_ && now_us - drawn_at_us_ < kDrawIntervalUs) return;
    draw(now_us);
}

void ProgressBar::draw(uint64_t now_us) {
    drawn_ = true;
    drawn_at_us_ = now_us;
    const std::string line = progress_line(name_, done_, total_, now_us - started_us_, terminal_columns(), unit_);
    std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
    std::fflush(stderr);
}

}  // namespace sandstore
