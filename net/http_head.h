// The head of an HTTP/1.1 message, as far as two of our own processes and everyday tools need it: strict, bounded, and
// fed in any pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandstore {

constexpr size_t kHttpHeadBytesMax = 8 << 10;
constexpr size_t kHttpHeadersMax = 64;

struct HttpHead {
    std::string first;   // "POST", or "HTTP/1.1",
    std::string second;  // "/v1/envelopes", or "200",
    std::string third;   // "HTTP/1.1", or "OK" (a reason's first word is enough).
    bool chunked = false;
    std::optional<uint64_t> content_length;
    std::string if_none_match;
};

class HttpHeadParser {
 public:
    enum class Result { kMore, kDone, kBad, kTooLarge };

    // Takes what belongs to the head from the front of `bytes`; what is left of them belongs to the body.
    Result feed(std::string_view* bytes);
    const HttpHead& head() const { return head_; }
    bool begun() const { return bytes_ > 0; }

 private:
    bool end_line();
    bool read_first_line();
    bool read_header();

    HttpHead head_;
    std::string line_;
    size_t bytes_ = 0;
    size_t lines_ = 0;
    bool is_complete_ = false;
};

// Hexadecimal digits, at least one, at most eight; nothing else.
std::optional<uint64_t> parse_chunk_size(std::string_view text);

}  // namespace sandstore
