// Durations, sizes and rates as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/flags.h"

namespace sandstore {

// "250us", "500ms", "5s", "2m", "1h", "1.5s"; a number alone counts seconds.
std::optional<uint64_t> parse_duration_us(std::string_view text);
ValueRule duration_between(uint64_t least_us, uint64_t most_us);

std::string format_bytes(uint64_t bytes);                // "17 B", "1.5 KiB", "8.0 MiB"
std::string format_duration(uint64_t microseconds);      // "870 us", "1.52 ms", "3.4 s", "2m05s"
std::string format_mode(uint32_t mode, bool directory);  // "drwxr-xr-x"
std::string format_time(uint64_t wall_us);               // "2026-01-31 12:34:56", local time.

}  // namespace sandstore
