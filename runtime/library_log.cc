#include "runtime/library_log.h"

#include <event2/event.h>

#include "runtime/event_runtime.h"

namespace sandstore {

namespace {

constexpr uint64_t kSilenceUs = 60'000'000;
constexpr size_t kWordsRemembered = 100;

LibraryLog* present = nullptr;

void pass_on(int severity, const char* text) {
    const SystemClock clock;
    if (present != nullptr) present->say(severity, text, clock.monotonic_us(), clock.wall_us());
}

}  // namespace

LibraryLog::LibraryLog(Logger& logger) : logger_(logger) {
    present = this;
    event_set_log_callback(&pass_on);
}

LibraryLog::~LibraryLog() {
    if (present == this) present = nullptr;
}

void LibraryLog::say(int severity, const char* text, uint64_t monotonic_us, uint64_t wall_us) {
    if (said_us_.size() >= kWordsRemembered) said_us_.clear();
    const auto [said, is_new] = said_us_.emplace(text, monotonic_us);
    if (!is_new && monotonic_us - said->second < kSilenceUs) return;
    said->second = monotonic_us;
    const LogLevel level = severity >= EVENT_LOG_ERR    ? LogLevel::kError
                           : severity >= EVENT_LOG_WARN ? LogLevel::kWarning
                           : severity >= EVENT_LOG_MSG  ? LogLevel::kInfo
                                                        : LogLevel::kDebug;
    logger_.write(level, wall_us, "libevent", text, {});
}

}  // namespace sandstore
