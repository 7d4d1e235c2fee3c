#include "runtime/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <ctime>
#include <optional>
#include <vector>

#include "runtime/log_file.h"
#include "runtime/text.h"

namespace sandstore {

struct Logger::Sinks {
    std::shared_ptr<spdlog::logger> out;
    std::optional<LogFile> file;
};

Logger::Logger() = default;
Logger::~Logger() = default;

Logger::Logger(const LogOptions& options) : level_(options.level), json_(options.json), node_id_(options.node_id) {
    std::vector<spdlog::sink_ptr> sinks;
    if (options.to_stdout) sinks.push_back(std::make_shared<spdlog::sinks::stdout_sink_st>());
    sinks_ = std::make_unique<Sinks>();
    sinks_->out = std::make_shared<spdlog::logger>("sandstore", sinks.begin(), sinks.end());
    sinks_->out->set_pattern("%v");
    sinks_->out->set_level(spdlog::level::trace);
    sinks_->out->flush_on(spdlog::level::trace);  // Whoever watches sees each line at once.
    if (options.directory.empty()) return;
    sinks_->file.emplace(LogFile::Options{.path = str_cat(options.directory, "/", options.node_id, ".log"),
                                          .bytes_max = options.file_bytes_max,
                                          .files_max = options.files_max});
}

bool Logger::enabled(LogLevel level) const {
    return sinks_ != nullptr && level >= level_;
}

void Logger::set_node_id(std::string node_id) {
    node_id_ = std::move(node_id);
}

static std::string_view level_name(LogLevel level) {
    constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warning", "error", "critical"};
    return kNames[static_cast<size_t>(level)];
}

static std::string format_time(uint64_t wall_us) {
    const std::time_t seconds = static_cast<std::time_t>(wall_us / 1'000'000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    return str_format("%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                      parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<unsigned>(wall_us % 1'000'000));
}

// A value with spaces, quotes or control characters is quoted, so that a line is always one line and can be taken
// apart.
static void append_quoted(std::string* out, std::string_view text) {
    out->push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out->push_back('\\');
            out->push_back(c);
        } else if (byte < 0x20 || byte == 0x7f) {
            str_append(out, str_format("\\u%04x", byte));
        } else {
            out->push_back(c);
        }
    }
    out->push_back('"');
}

static bool is_plain(std::string_view text) {
    if (text.empty()) return false;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == 0x7f) return false;
    }
    return true;
}

std::string Logger::format(LogLevel level, uint64_t wall_us, std::string_view actor, std::string_view text,
                           std::initializer_list<LogField> fields) const {
    std::string line;
    if (json_) {
        str_append(&line, "{\"time\":\"", format_time(wall_us), "\",\"level\":\"", level_name(level), "\",\"node\":");
        append_quoted(&line, node_id_);
        str_append(&line, ",\"actor\":\"", actor, "\",\"message\":");
        append_quoted(&line, text);
        for (const LogField& field : fields) {
            str_append(&line, ",\"", field.name, "\":");
            append_quoted(&line, field.value);
        }
        line += '}';
    } else {
        str_append(&line, format_time(wall_us), " ", level_name(level), " ", node_id_, " ", actor, " ", text);
        for (const LogField& field : fields) {
            str_append(&line, " ", field.name, "=");
            if (is_plain(field.value)) {
                line += field.value;
            } else {
                append_quoted(&line, field.value);
            }
        }
    }
    return line;
}

void Logger::write(LogLevel level, uint64_t wall_us, std::string_view actor, std::string_view text,
                   std::initializer_list<LogField> fields) {
    if (!enabled(level)) return;
    const std::string line = format(level, wall_us, actor, text, fields);
    sinks_->out->log(spdlog::level::info, spdlog::string_view_t(line));
    if (!sinks_->file) return;
    sinks_->file->write(line, wall_us);
    tell_news_of_file(wall_us);
}

// A problem is told on stdout, and in the file as soon as that works again.
void Logger::tell_news_of_file(uint64_t wall_us) {
    const std::optional<LogFile::News> news = sinks_->file->take_news();
    if (!news) return;
    const std::string line = news->is_problem
                                 ? format(LogLevel::kWarning, wall_us, "log", news->text, {{"why", news->detail}})
                                 : format(LogLevel::kWarning, wall_us, "log", news->text,
                                          {{"file", news->detail}, {"lines_lost", news->lines_lost}});
    sinks_->out->log(spdlog::level::info, spdlog::string_view_t(line));
    sinks_->file->write(line, wall_us);
}

void Logger::flush() {
    if (sinks_ != nullptr) sinks_->out->flush();
}

void Logger::reopen_file(uint64_t wall_us) {
    if (sinks_ == nullptr || !sinks_->file) return;
    sinks_->file->reopen(wall_us);
    tell_news_of_file(wall_us);
}

bool parse_log_level(std::string_view text, LogLevel* level) {
    if (text == "debug") {
        *level = LogLevel::kDebug;
    } else if (text == "info") {
        *level = LogLevel::kInfo;
    } else if (text == "warn" || text == "warning") {
        *level = LogLevel::kWarning;
    } else if (text == "error") {
        *level = LogLevel::kError;
    } else {
        return false;
    }
    return true;
}

}  // namespace sandstore
