#include "net/http_wire.h"

#include <algorithm>
#include <cstring>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

using Next = FrameDecoder::Next;

constexpr size_t kStagingBytes = 16 << 10;
constexpr size_t kLineBytesMax = 256;  // Chunk extensions are allowed, and ignored.
constexpr size_t kTrailerBytesMax = 1 << 10;
constexpr std::string_view kMediaType = "application/vnd.sandstore.frames";

}  // namespace

std::unique_ptr<Wire> make_http_wire(WireSide side, const FrameLimits& limits, const std::string& remote) {
    return std::make_unique<HttpWire>(side, limits, remote);
}

HttpWire::HttpWire(WireSide side, const FrameLimits& limits, const std::string& remote) : Wire(limits), side_(side) {
    if (side == WireSide::kAccepted) return;
    output_ = str_cat("POST ", kEnvelopesPath, " HTTP/1.1\r\nHost: ", remote, "\r\nContent-Type: ", kMediaType,
                      "\r\nTransfer-Encoding: chunked\r\n\r\n");
    greeted_ = true;
}

// --- Reading

// Inside of a chunk the bytes go straight to where the frame wants them.
std::span<const iovec> HttpWire::space(size_t bytes_max) {
    SANDSTORE_CHECK(error_.empty() && bytes_max > 0, "error=", error_, " max=", bytes_max);
    if (state_ == State::kData && remaining_ > 0 && staged().empty()) {
        return decoder_.space(static_cast<size_t>(std::min<uint64_t>(bytes_max, remaining_)));
    }
    if (staged().empty()) begin_ = end_ = 0;
    if (staging_.empty()) staging_.resize(kStagingBytes);
    SANDSTORE_CHECK(end_ < staging_.size(), "staged=", staged().size());
    area_[0] = {staging_.data() + end_, std::min(staging_.size() - end_, bytes_max)};
    return area_;
}

void HttpWire::received(size_t bytes) {
    if (state_ == State::kData && remaining_ > 0 && staged().empty()) {
        remaining_ -= bytes;
        return decoder_.received(bytes);
    }
    end_ += bytes;
}

// kMessage from one of the steps without a message of its own means: go on.
Next HttpWire::next(uint64_t now_us, Message* message) {
    if (!error_.empty()) return Next::kBad;
    while (true) {
        if (state_ == State::kData) {
            const Next step = read_data(now_us, message);
            if (step == Next::kMessage && side_ == WireSide::kAccepted) {
                if ((*message)->request_id() != 0 || (*message)->has_hello()) unanswered_++;
            }
            if (step != Next::kMore || state_ == State::kData) return step;
            continue;
        }
        if (state_ == State::kEnded) {
            return staged().empty() ? Next::kMore : fail("http_after_end");
        }
        const Next step = state_ == State::kHead ? read_head() : read_line();
        if (step != Next::kMessage) return step;
    }
}

// kMore with another state: the chunk is read.
Next HttpWire::read_data(uint64_t now_us, Message* message) {
    while (true) {
        const Next step = decoder_.next(now_us, message);
        if (step == Next::kBad) error_ = to_string(decoder_.error());
        if (step != Next::kMore || decoder_.memory_wanted() > 0) return step;
        if (remaining_ == 0) {
            state_ = head_.head().chunked ? State::kDataEnd : State::kEnded;
            if (state_ == State::kEnded && decoder_.mid_frame()) return fail("http_cut_off");
            return Next::kMore;
        }
        if (staged().empty()) return Next::kMore;
        const auto bytes = static_cast<size_t>(std::min<uint64_t>(staged().size(), remaining_));
        size_t copied = 0;
        for (const iovec& area : decoder_.space(bytes)) {
            const size_t part = std::min(area.iov_len, bytes - copied);
            std::memcpy(area.iov_base, staging_.data() + begin_ + copied, part);
            copied += part;
        }
        decoder_.received(copied);
        begin_ += copied;
        remaining_ -= copied;
    }
}

// A chunk's size, what stands behind its data, and trailers: lines all of them.
Next HttpWire::read_line() {
    const std::string_view bytes = staged();
    const size_t end = bytes.find('\n');
    const size_t length = end == std::string_view::npos ? bytes.size() : end + 1;
    line_ += bytes.substr(0, length);
    begin_ += length;
    if (line_.size() > kLineBytesMax) return fail("http_chunk");
    if (end == std::string_view::npos) return Next::kMore;
    if (!line_.ends_with("\r\n")) return fail("http_chunk");
    line_.resize(line_.size() - 2);
    const std::string line = std::exchange(line_, "");
    if (state_ == State::kDataEnd) {
        if (!line.empty()) return fail("http_chunk");
        state_ = State::kSize;
    } else if (state_ == State::kTrailer) {
        trailer_bytes_ += line.size();
        if (trailer_bytes_ > kTrailerBytesMax) return fail("http_chunk");
        if (line.empty()) state_ = State::kEnded;
    } else {
        const std::optional<uint64_t> size = parse_chunk_size(std::string_view(line).substr(0, line.find(';')));
        if (!size) return fail("http_chunk");
        remaining_ = *size;
        state_ = *size == 0 ? State::kTrailer : State::kData;
        if (*size == 0 && decoder_.mid_frame()) return fail("http_cut_off");
    }
    return Next::kMessage;
}

Next HttpWire::read_head() {
    std::string_view bytes = staged();
    const HttpHeadParser::Result result = head_.feed(&bytes);
    begin_ = end_ - bytes.size();
    switch (result) {
        case HttpHeadParser::Result::kMore:
            return Next::kMore;
        case HttpHeadParser::Result::kTooLarge:
            return fail("http_head", "431 Request Header Fields Too Large");
        case HttpHeadParser::Result::kBad:
            return fail("http_head", "400 Bad Request");
        case HttpHeadParser::Result::kDone:
            break;
    }
    return side_ == WireSide::kAccepted ? check_request() : check_response();
}

Next HttpWire::check_request() {
    const HttpHead& head = head_.head();
    if (head.third != "HTTP/1.1") return fail("http_version", "505 HTTP Version Not Supported");
    if (head.second != kEnvelopesPath) return fail("http_path", "404 Not Found");
    if (head.first != "POST") return fail("http_method", "405 Method Not Allowed");
    if (!head.chunked && !head.content_length) return fail("http_length", "411 Length Required");
    output_ += str_cat("HTTP/1.1 200 OK\r\nContent-Type: ", kMediaType,
                       "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    greeted_ = true;
    remaining_ = head.content_length.value_or(0);
    state_ = head.chunked ? State::kSize : State::kData;
    return Next::kMessage;
}

Next HttpWire::check_response() {
    const HttpHead& head = head_.head();
    if (head.first != "HTTP/1.1") return fail("http_version");
    if (head.second != "200" || !head.chunked) return fail("http_status");
    state_ = State::kSize;
    return Next::kMessage;
}

Next HttpWire::fail(std::string_view error, std::string_view status) {
    error_ = error;
    if (side_ == WireSide::kAccepted && !greeted_ && !status.empty()) {
        output_ = str_cat("HTTP/1.1 ", status, status.starts_with("405") ? "\r\nAllow: POST" : "",
                          "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    return Next::kBad;
}

bool HttpWire::mid_frame() const {
    if (state_ == State::kHead) return head_.begun();
    return decoder_.mid_frame() || !line_.empty() || !staged().empty();
}

std::string_view HttpWire::error() const {
    return error_;
}

// --- Writing

std::string HttpWire::take_output() {
    return std::exchange(output_, "");
}

void HttpWire::wrap(const Message& message, WireBytes* bytes) {
    if (message->reply_to() != 0 || message->has_hello_reply()) unanswered_ -= std::min<uint64_t>(unanswered_, 1);
    bytes->frame.head.insert(0, str_format("%zx\r\n", bytes->frame.size()));
    bytes->tail = "\r\n";
}

std::string HttpWire::farewell() {
    return greeted_ ? "0\r\n\r\n" : "";
}

}  // namespace sandstore
