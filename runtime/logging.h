// Log lines: `time level node actor message key=value ...`, or one JSON object a line. The only user of spdlog. Stdout
// is waited for, the file of a node is not allowed to fail (runtime/log_file.h).
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace sandstore {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kCritical };

struct LogField {
    std::string_view name;
    std::string value;

    LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
    LogField(std::string_view field, const std::string& text) : name(field), value(text) {}
    LogField(std::string_view field, const char* text) : name(field), value(text) {}
    LogField(std::string_view field, std::integral auto number) : name(field), value(std::to_string(number)) {}
};

struct LogOptions {
    LogLevel level = LogLevel::kInfo;
    bool json = false;
    std::string directory;               // Also write <node_id>.log there; empty: stdout only.
    uint64_t file_bytes_max = 64 << 20;  // See runtime/log_file.h.
    uint32_t files_max = 5;
    std::string node_id;
    bool to_stdout = true;
};

// One for each process or simulated node; made in main and passed down.
class Logger {
 public:
    Logger();  // Drops everything: for tests.
    explicit Logger(const LogOptions& options);
    ~Logger();
    Logger(const Logger&) = delete;
    Logger& operator=(const Logger&) = delete;

    bool enabled(LogLevel level) const;
    void set_node_id(std::string node_id);
    // `wall_us` is printed as the line's time, so that simulated logs carry virtual time.
    void write(LogLevel level, uint64_t wall_us, std::string_view actor, std::string_view text,
               std::initializer_list<LogField> fields);
    void flush();
    // Opens the log file anew, for a program that has renamed it.
    void reopen_file(uint64_t wall_us);

 private:
    struct Sinks;
    std::string format(LogLevel level, uint64_t wall_us, std::string_view actor, std::string_view text,
                       std::initializer_list<LogField> fields) const;
    void tell_news_of_file(uint64_t wall_us);
    std::unique_ptr<Sinks> sinks_;
    LogLevel level_ = LogLevel::kCritical;
    bool json_ = false;
    std::string node_id_;
};

// "debug", "info", "warn" or "warning", "error". False for anything else.
bool parse_log_level(std::string_view text, LogLevel* level);

}  // namespace sandstore
