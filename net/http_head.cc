#include "net/http_head.h"

#include <algorithm>
#include <charconv>

namespace sandstore {

namespace {

constexpr size_t kFirstWordMax = 16;
constexpr size_t kSizeDigitsMax = 8;
constexpr size_t kLengthDigitsMax = 15;

bool is_token(std::string_view text) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               kMarks.find(c) != std::string_view::npos;
    });
}

// "POST", "HTTP/1.1", or the beginning of such.
bool can_be_first_word(std::string_view text) {
    return text.size() <= kFirstWordMax && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.';
           });
}

// Visible characters, and blanks inside of values.
bool is_text(std::string_view text, bool with_blanks) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte > 0x20 && byte != 0x7f) || (with_blanks && (c == ' ' || c == '\t'));
    });
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return result;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::optional<uint64_t> parse_digits(std::string_view text, int base, size_t digits_max) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.empty() || text.size() > digits_max || error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

}  // namespace

std::optional<uint64_t> parse_chunk_size(std::string_view text) {
    return parse_digits(text, 16, kSizeDigitsMax);
}

HttpHeadParser::Result HttpHeadParser::feed(std::string_view* bytes) {
    while (!is_complete_) {
        const size_t end = bytes->find('\n');
        const std::string_view part = bytes->substr(0, end == std::string_view::npos ? bytes->size() : end + 1);
        bytes->remove_prefix(part.size());
        bytes_ += part.size();
        line_ += part;
        if (bytes_ > kHttpHeadBytesMax || lines_ > kHttpHeadersMax) return Result::kTooLarge;
        // Whoever speaks another protocol is told at the first bytes, without waiting for a line.
        if (lines_ == 0 && !can_be_first_word(std::string_view(line_).substr(0, line_.find(' ')))) return Result::kBad;
        if (end == std::string_view::npos) return Result::kMore;
        if (!end_line()) return Result::kBad;
    }
    return Result::kDone;
}

bool HttpHeadParser::end_line() {
    if (!line_.ends_with("\r\n")) return false;
    line_.resize(line_.size() - 2);
    bool good = true;
    if (lines_ == 0) {
        good = read_first_line();
    } else if (line_.empty()) {
        is_complete_ = true;
        good = !(head_.chunked && head_.content_length);  // Two lengths: one of them was smuggled in.
    } else {
        good = read_header();
    }
    lines_++;
    line_.clear();
    return good;
}

bool HttpHeadParser::read_first_line() {
    const std::string_view line = line_;
    const size_t one = line.find(' ');
    if (one == std::string_view::npos) return false;
    const size_t two = std::min(line.find(' ', one + 1), line.size());
    head_.first = line.substr(0, one);
    head_.second = line.substr(one + 1, two - one - 1);
    head_.third = two < line.size() ? line.substr(two + 1) : "";
    return is_text(head_.first, false) && !head_.first.empty() && is_text(head_.second, false) &&
           !head_.second.empty() && is_text(head_.third, true);
}

bool HttpHeadParser::read_header() {
    const std::string_view line = line_;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;  // Also: folded lines.
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!is_text(value, true)) return false;
    if (name == "transfer-encoding") {
        if (head_.chunked || lower(value) != "chunked") return false;
        head_.chunked = true;
    } else if (name == "content-length") {
        if (head_.content_length) return false;
        head_.content_length = parse_digits(value, 10, kLengthDigitsMax);
        return head_.content_length.has_value();
    } else if (name == "if-none-match") {
        head_.if_none_match = value;
    }
    return true;
}

}  // namespace sandstore
