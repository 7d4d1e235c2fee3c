#include "apps/terminal/units.h"

#include <time.h>

#include <charconv>
#include <cmath>

#include "runtime/text.h"

namespace sandstore {

std::optional<uint64_t> parse_duration_us(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
    const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
    double scale = 0;
    if (unit == "us") scale = 1;
    if (unit == "ms") scale = 1e3;
    if (unit == "s" || unit.empty()) scale = 1e6;
    if (unit == "m") scale = 60e6;
    if (unit == "h") scale = 3600e6;
    const double microseconds = std::round(number * scale);
    if (scale == 0 || microseconds > 1e15) return std::nullopt;
    return static_cast<uint64_t>(microseconds);
}

ValueRule duration_between(uint64_t least_us, uint64_t most_us) {
    return {str_cat("duration such as 500ms, 5s or 2m, ", format_duration(least_us), " to ", format_duration(most_us)),
            [least_us, most_us](std::string_view text) {
                const std::optional<uint64_t> value = parse_duration_us(text);
                return value && *value >= least_us && *value <= most_us;
            }};
}

std::string format_bytes(uint64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return str_cat(bytes, " B");
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    return str_format("%.1f %s", value, kUnits[unit]);
}

std::string format_duration(uint64_t microseconds) {
    if (microseconds < 1'000) return str_format("%u us", static_cast<unsigned>(microseconds));
    const double us = static_cast<double>(microseconds);
    if (microseconds < 1'000'000) return str_format("%.*f ms", microseconds < 10'000 ? 2 : 1, us / 1e3);
    if (microseconds < 60'000'000) return str_format("%.1f s", us / 1e6);
    const uint64_t seconds = microseconds / 1'000'000;
    return str_format("%um%02us", static_cast<unsigned>(seconds / 60), static_cast<unsigned>(seconds % 60));
}

std::string format_mode(uint32_t mode, bool directory) {
    std::string text(directory ? "d" : "-");
    for (int shift = 6; shift >= 0; shift -= 3) {
        const uint32_t bits = mode >> shift;
        const bool special = (mode & (shift == 6 ? 04000u : shift == 3 ? 02000u : 01000u)) != 0;
        const char set = shift == 0 ? 't' : 's';
        text.push_back((bits & 4) != 0 ? 'r' : '-');
        text.push_back((bits & 2) != 0 ? 'w' : '-');
        const bool executable = (bits & 1) != 0;
        if (special) {
            text.push_back(executable ? set : static_cast<char>(set - 'a' + 'A'));
        } else {
            text.push_back(executable ? 'x' : '-');
        }
    }
    return text;
}

std::string format_time(uint64_t wall_us) {
    const time_t seconds = static_cast<time_t>(wall_us / 1'000'000);
    tm parts{};
    localtime_r(&seconds, &parts);
    char text[32];
    const size_t length = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
    return std::string(text, length);
}

}  // namespace sandstore
