#include "tests/history/app/history_writer.h"

#include <cstring>
#include <stdexcept>

#include "runtime/check.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

namespace sandstore {

HistoryWriter::HistoryWriter(const std::string& path, uint64_t first_operation)
    : file_(std::fopen(path.c_str(), "ae")), next_(first_operation) {
    if (!file_) throw std::runtime_error(str_cat("cannot write ", path, ": ", std::strerror(errno)));
}

void HistoryWriter::write(const std::string& line) {
    // One call for each line, so that lines of two programs never mix.
    const bool written = std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size();
    SANDSTORE_CHECK(written && std::fflush(file_.get()) == 0, "the history cannot be written: ", std::strerror(errno));
}

// The time is taken under the lock: lines stand in the order of their times. That is before the operation begins and
// after it has ended, which only makes operations overlap more.
void HistoryWriter::begin(uint64_t number, uint64_t client, std::string_view what) {
    const std::lock_guard lock(mutex_);
    write(str_cat("invoke ", SystemClock().monotonic_us(), " ", number, " ", client, " ", what, "\n"));
}

void HistoryWriter::end(uint64_t number, std::string_view outcome, std::string_view answer) {
    const std::lock_guard lock(mutex_);
    write(str_cat(outcome, " ", SystemClock().monotonic_us(), " ", number, answer.empty() ? "" : " ", answer, "\n"));
}

void HistoryWriter::final(std::string_view what) {
    const std::lock_guard lock(mutex_);
    write(str_cat("final ", SystemClock().monotonic_us(), " ", what, "\n"));
}

}  // namespace sandstore
