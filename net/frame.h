// Wire frames: one message each.
//
//   offset  size
//        0     4  magic "SAND"
//        4     1  version, 1
//        5     1  flags, 0
//        6     2  reserved, 0
//        8     4  body length
//       12     4  payload length
//       16     4  CRC32C of bytes 0..15 and the body
//       20     4  CRC32C of the payload
//       24        body: a serialized Envelope, then the payload
//
// All numbers are little endian. The envelope's deadline is the time left while it is on the wire.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "messages/envelope.pb.h"
#include "net/memory_budget.h"
#include "runtime/message.h"

namespace sandstore {

constexpr size_t kFrameHeaderBytes = 24;
constexpr uint8_t kFrameVersion = 1;
constexpr size_t kFrameBodyBytesMax = size_t{4} << 20;
constexpr size_t kFramePayloadBytesMax = size_t{16} << 20;
// No honest deadline is further away than this; a larger one is cut down to it.
constexpr uint64_t kFrameDeadlineMaxUs = uint64_t{3600} * 1'000'000;

// --- Writing

struct EncodedFrame {
    std::string head;  // Header and body.
    Payload payload;   // Shared with the message: nothing is copied.
    size_t size() const { return head.size() + payload.size(); }
};

// False when body or payload is over its limit; the message is as it was then. Otherwise its payload moves into the
// frame.
[[nodiscard]] bool encode_frame(Message& message, uint64_t now_us, EncodedFrame* frame);

// --- Reading

enum class FrameError { kNone, kMagic, kHttp, kVersion, kOversized, kChecksum, kUnparsable };
std::string_view to_string(FrameError error);  // "magic", "version", ...: as in metrics.

struct FrameLimits {
    size_t body_bytes_max = kFrameBodyBytesMax;
    size_t payload_bytes_max = kFramePayloadBytesMax;
    // Memory follows the bytes that really arrive instead of the length that the header states.
    bool grow_with_data = true;
    // What frames cost counts there. With memory_waits a large frame is not read further until it was given its memory.
    MemoryBudget* memory = nullptr;
    bool memory_waits = false;
};

// Takes bytes in any pieces and gives whole messages:
//
//     readv(fd, decoder.space(...)) -> decoder.received(n) -> while (decoder.next(...) == kMessage) ...
//
// Payload bytes are read into the buffer that becomes the message's payload. After an error it gives nothing more.
class FrameDecoder {
 public:
    enum class Next { kMessage, kMore, kBad };

    explicit FrameDecoder(FrameLimits limits = {}) : limits_(limits) {}
    FrameDecoder(const FrameDecoder&) = delete;
    FrameDecoder& operator=(const FrameDecoder&) = delete;

    void set_limits(FrameLimits limits) { limits_ = limits; }  // For headers not yet looked at.

    // Where the next bytes belong, in order: one or two areas of together 1..bytes_max bytes. Ask next() before: it
    // must have said kMore.
    std::span<const iovec> space(size_t bytes_max);
    void received(size_t bytes);  // That many of the last space() are filled.
    Next next(uint64_t now_us, Message* message);

    // More than 0: next() says kMore until the frame at hand was given a charge for so many bytes, and space() must not
    // be asked for.
    size_t memory_wanted() const { return memory_wanted_; }
    void give_memory(MemoryCharge charge);

    FrameError error() const { return error_; }
    bool mid_frame() const { return state_ != State::kHeader || end_ > begin_; }

 private:
    enum class State { kHeader, kBody, kPayload };

    struct Free {
        void operator()(char* memory) const { std::free(memory); }
    };
    using Memory = std::unique_ptr<char, Free>;

    Next fail(FrameError error);
    Next read_header();
    void count_frame();
    Next read_body();
    void take_payload_from_staging();
    void finish(uint64_t now_us, Message* message);
    void make_staging_room();
    void adapt_empty_staging();
    void make_payload_room();
    size_t staged() const { return end_ - begin_; }
    size_t payload_missing() const { return payload_length_ - payload_size_; }

    FrameLimits limits_;
    FrameError error_ = FrameError::kNone;
    State state_ = State::kHeader;

    // Headers, bodies and whatever was read along with them.
    Memory staging_;
    size_t staging_capacity_ = 0;
    size_t begin_ = 0;
    size_t end_ = 0;
    bool staging_was_full_ = false;  // A read filled it: more is probably waiting.

    // The frame being read.
    size_t body_length_ = 0;
    size_t payload_length_ = 0;
    uint32_t head_crc_ = 0;
    uint32_t payload_crc_stated_ = 0;
    pb::Envelope envelope_;
    Memory payload_;
    size_t payload_capacity_ = 0;
    size_t payload_size_ = 0;
    uint32_t payload_crc_ = 0;  // Of what has arrived.
    size_t memory_wanted_ = 0;
    MemoryCharge charge_;  // For a large frame, or one that nobody waits for.

    std::array<iovec, 2> areas_{};
};

}  // namespace sandstore
