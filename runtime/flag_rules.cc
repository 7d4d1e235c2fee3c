// What values flags accept beyond their type.
#include <charconv>
#include <limits>

#include "runtime/flags.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string text;
    for (const std::string& part : parts) str_append(&text, text.empty() ? "" : separator, part);
    return text;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string size_text(uint64_t bytes) {
    if (bytes >= (1u << 30) && bytes % (1u << 30) == 0) return str_cat(bytes >> 30, "GiB");
    if (bytes >= (1u << 20) && bytes % (1u << 20) == 0) return str_cat(bytes >> 20, "MiB");
    if (bytes >= (1u << 10) && bytes % (1u << 10) == 0) return str_cat(bytes >> 10, "KiB");
    return str_cat(bytes, " bytes");
}

bool is_host_and_port(std::string_view text, bool host_needed) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view host = text.substr(0, colon);
    const std::optional<uint32_t> port = parse_number<uint32_t>(text.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535) return false;
    if (host.empty()) return !host_needed;
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (!bracketed && host.find(':') != std::string_view::npos) return false;
    for (const char c : host) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '/' || c == ',' || c == '=') return false;
    }
    return true;
}

}  // namespace

ValueRule one_of(std::vector<std::string> choices) {
    std::string expected = join(choices, "|");
    return {std::move(expected), [choices = std::move(choices)](std::string_view text) {
                for (const std::string& choice : choices) {
                    if (choice == text) return true;
                }
                return false;
            }};
}

ValueRule number_between(int64_t least, int64_t most, std::string_view unit) {
    std::string expected = most == std::numeric_limits<int64_t>::max() ? str_cat("number from ", least)
                                                                       : str_cat("number ", least, "..", most);
    if (!unit.empty()) str_append(&expected, " (", unit, ")");
    return {std::move(expected), [least, most](std::string_view text) {
                const std::optional<int64_t> value = parse_number<int64_t>(text);
                return value && *value >= least && *value <= most;
            }};
}

std::optional<uint64_t> parse_size(std::string_view text) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    const std::optional<uint64_t> number = parse_number<uint64_t>(text.substr(0, digits));
    if (!number) return std::nullopt;
    const std::string_view unit = text.substr(digits);
    unsigned shift = 0;
    if (unit == "KiB" || unit == "K" || unit == "k") {
        shift = 10;
    } else if (unit == "MiB" || unit == "M" || unit == "m") {
        shift = 20;
    } else if (unit == "GiB" || unit == "G" || unit == "g") {
        shift = 30;
    } else if (!unit.empty() && unit != "B") {
        return std::nullopt;
    }
    if (*number > (std::numeric_limits<uint64_t>::max() >> shift)) return std::nullopt;
    return *number << shift;
}

ValueRule size_between(uint64_t least_bytes, uint64_t most_bytes) {
    return {str_cat("size ", size_text(least_bytes), "..", size_text(most_bytes)),
            [least_bytes, most_bytes](std::string_view text) {
                const std::optional<uint64_t> size = parse_size(text);
                return size && *size >= least_bytes && *size <= most_bytes;
            }};
}

ValueRule listen_address() {
    return {"host:port or :port", [](std::string_view text) { return is_host_and_port(text, false); }};
}

ValueRule host_and_port() {
    return {"host:port", [](std::string_view text) { return is_host_and_port(text, true); }};
}

ValueRule host_and_port_list() {
    return {"host:port,... (with http:// in front or without; https is not spoken)", [](std::string_view text) {
                if (text.empty()) return true;
                for (size_t start = 0; start <= text.size();) {
                    const size_t comma = std::min(text.find(',', start), text.size());
                    std::string_view part = text.substr(start, comma - start);
                    if (part.starts_with("http://")) part.remove_prefix(7);
                    if (part.ends_with('/')) part.remove_suffix(1);
                    if (!is_host_and_port(part, true)) return false;
                    start = comma + 1;
                }
                return true;
            }};
}

ValueRule not_empty(std::string_view what) {
    return {std::string(what), [](std::string_view text) { return !text.empty(); }};
}

}  // namespace sandstore
