// The same frames over HTTP/1.1: whoever dials sends
//
//     POST /v1/envelopes HTTP/1.1
//     Transfer-Encoding: chunked
//
// and the other side answers 200, chunked too, at once. Both bodies then carry frames (frame.h), each in a chunk of its
// own, for as long as the connection lives. A request whose body has an end (curl --data-binary, with Content-Length or
// chunked) is answered, and the connection ends in good order behind the last answer.
//
// Reading accepts frames cut into chunks in any way. Whatever is not as it should be ends the connection, with a status
// as far as it can still be told; the node and its other connections do not notice.
#pragma once

#include "net/http_head.h"
#include "net/wire.h"

namespace sandstore {

constexpr std::string_view kEnvelopesPath = "/v1/envelopes";

class HttpWire final : public Wire {
 public:
    HttpWire(WireSide side, const FrameLimits& limits, const std::string& remote);

    std::span<const iovec> space(size_t bytes_max) override;
    void received(size_t bytes) override;
    FrameDecoder::Next next(uint64_t now_us, Message* message) override;
    bool mid_frame() const override;
    std::string_view error() const override;

    std::string take_output() override;
    void wrap(const Message& message, WireBytes* bytes) override;
    std::string farewell() override;
    bool finished() const override { return state_ == State::kEnded && unanswered_ == 0; }

 private:
    enum class State { kHead, kSize, kData, kDataEnd, kTrailer, kEnded };

    FrameDecoder::Next fail(std::string_view error, std::string_view status = "");
    FrameDecoder::Next read_head();
    FrameDecoder::Next check_request();
    FrameDecoder::Next check_response();
    FrameDecoder::Next read_data(uint64_t now_us, Message* message);
    FrameDecoder::Next read_line();
    std::string_view staged() const { return {staging_.data() + begin_, end_ - begin_}; }

    const WireSide side_;
    State state_ = State::kHead;
    HttpHeadParser head_;
    std::string output_;
    std::string_view error_;
    bool greeted_ = false;      // What we sent is a body from here on.
    std::string line_;          // Of a chunk's size, or of a trailer.
    size_t trailer_bytes_ = 0;  // So far.
    uint64_t remaining_ = 0;    // Of the chunk, or of a body with a stated length.
    uint64_t unanswered_ = 0;   // Requests without their reply, on the accepting side.

    std::string staging_;
    size_t begin_ = 0;
    size_t end_ = 0;
    std::array<iovec, 1> area_{};
};

std::unique_ptr<Wire> make_http_wire(WireSide side, const FrameLimits& limits, const std::string& remote);

}  // namespace sandstore
