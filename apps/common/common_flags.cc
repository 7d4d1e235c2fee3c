#include "apps/common/common_flags.h"

#include <gflags/gflags.h>

#include <algorithm>

#include "runtime/flags.h"

DEFINE_string(log_level, "info", "the least level that is logged");
DEFINE_string(log_format, "text", "log lines as text, or as one JSON object a line");

namespace sandstore {

namespace {

const FlagRule kLogLevelRule("log_level", one_of({"debug", "info", "warn", "warning", "error"}));
const FlagRule kLogFormatRule("log_format", one_of({"text", "json"}));

}  // namespace

std::vector<std::string> split_list(const std::string& text) {
    std::vector<std::string> parts;
    for (size_t start = 0; start < text.size();) {
        const size_t comma = std::min(text.find(',', start), text.size());
        std::string part = text.substr(start, comma - start);
        if (part.starts_with("http://")) part.erase(0, 7);
        if (part.ends_with('/')) part.pop_back();
        if (!part.empty()) parts.push_back(std::move(part));
        start = comma + 1;
    }
    return parts;
}

}  // namespace sandstore
