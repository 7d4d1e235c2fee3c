#include "net/frame.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/envelope_encoder.h"

namespace sandstore {
namespace {

constexpr char kMagic[4] = {'S', 'A', 'N', 'D'};
constexpr char kHttpMagic[4] = {'H', 'T', 'T', 'P'};
constexpr size_t kCoveredHeaderBytes = 16;  // What the first checksum covers of the header.
constexpr size_t kStagingBytesMin = 4 << 10;
constexpr size_t kStagingBytesUsual = 64 << 10;
constexpr size_t kPayloadFirstBytes = 64 << 10;  // Start of a payload buffer that grows with the data.
constexpr size_t kFreeFrameBytes =
    kStagingBytesUsual;  // A frame of which no more is half here than staging holds anyway.

static_assert(kFrameBodyBytesMax < UINT32_MAX && kFramePayloadBytesMax < UINT32_MAX);

void put_u32(char* to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = static_cast<char>(value >> (8 * i));
}

uint32_t get_u32(const char* from) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= uint32_t{static_cast<unsigned char>(from[i])} << (8 * i);
    return value;
}

// A deadline that is over still has to be one: 0 means none.
uint64_t time_left_us(uint64_t deadline_us, uint64_t now_us) {
    if (deadline_us == 0) return 0;
    return deadline_us > now_us ? deadline_us - now_us : 1;
}

char* grown(char* memory, size_t bytes) {
    void* result = std::realloc(memory, bytes);
    if (result == nullptr) throw std::bad_alloc();
    return static_cast<char*>(result);
}

}  // namespace

bool encode_frame(Message& message, uint64_t now_us, EncodedFrame* frame) {
    pb::Envelope& envelope = message.envelope();
    if (message.payload.size() > kFramePayloadBytesMax) return false;
    const uint64_t deadline_us = envelope.deadline_us();
    envelope.set_deadline_us(time_left_us(deadline_us, now_us));
    const size_t body_length = envelope.ByteSizeLong();
    if (body_length > kFrameBodyBytesMax) {
        envelope.set_deadline_us(deadline_us);
        return false;
    }
    frame->head.resize(kFrameHeaderBytes + body_length);
    char* header = frame->head.data();
    std::memcpy(header, kMagic, sizeof(kMagic));
    header[4] = static_cast<char>(kFrameVersion);
    header[5] = header[6] = header[7] = 0;
    put_u32(header + 8, static_cast<uint32_t>(body_length));
    put_u32(header + 12, static_cast<uint32_t>(message.payload.size()));
    encode_envelope(envelope, body_length, reinterpret_cast<uint8_t*>(header + kFrameHeaderBytes));
    const std::string_view head = frame->head;
    put_u32(header + 16, crc32c(head.substr(kFrameHeaderBytes), crc32c(head.substr(0, kCoveredHeaderBytes))));
    put_u32(header + 20, crc32c(message.payload));
    frame->payload = std::move(message.payload);
    return true;
}

std::string_view to_string(FrameError error) {
    switch (error) {
        case FrameError::kNone:
            return "none";
        case FrameError::kMagic:
            return "magic";
        case FrameError::kHttp:
            return "http";
        case FrameError::kVersion:
            return "version";
        case FrameError::kOversized:
            return "oversized";
        case FrameError::kChecksum:
            return "checksum";
        case FrameError::kUnparsable:
            return "unparsable";
    }
    return "none";
}

std::span<const iovec> FrameDecoder::space(size_t bytes_max) {
    SANDSTORE_CHECK(error_ == FrameError::kNone && bytes_max > 0, "error=", to_string(error_), " max=", bytes_max);
    SANDSTORE_CHECK(memory_wanted_ == 0, "wanted=", memory_wanted_);
    size_t areas = 0;
    if (state_ == State::kPayload) {
        SANDSTORE_CHECK(staged() == 0 && payload_missing() > 0, "staged=", staged(), " missing=", payload_missing());
        make_payload_room();
        const size_t room = std::min(payload_capacity_ - payload_size_, bytes_max);
        areas_[areas++] = {payload_.get() + payload_size_, room};
        // The frames behind may come along only when this payload gets all of its bytes first.
        if (room < payload_missing() || room == bytes_max) return {areas_.data(), areas};
        bytes_max -= room;
    }
    make_staging_room();
    areas_[areas++] = {staging_.get() + end_, std::min(staging_capacity_ - end_, bytes_max)};
    return {areas_.data(), areas};
}

void FrameDecoder::received(size_t bytes) {
    if (state_ == State::kPayload) {
        const size_t part = std::min(bytes, payload_missing());
        payload_crc_ = crc32c({payload_.get() + payload_size_, part}, payload_crc_);
        payload_size_ += part;
        bytes -= part;
    }
    SANDSTORE_CHECK(bytes <= staging_capacity_ - end_, "bytes=", bytes, " room=", staging_capacity_ - end_);
    end_ += bytes;
    if (end_ == staging_capacity_) staging_was_full_ = true;
}

FrameDecoder::Next FrameDecoder::next(uint64_t now_us, Message* message) {
    if (error_ != FrameError::kNone) return Next::kBad;
    if (state_ == State::kHeader) {
        const Next step = read_header();
        if (step != Next::kMessage) return step;
    }
    if (memory_wanted_ > 0) return Next::kMore;
    if (state_ == State::kBody) {
        const Next step = read_body();
        if (step != Next::kMessage) return step;
    }
    take_payload_from_staging();
    if (payload_missing() > 0) return Next::kMore;
    if (payload_crc_ != payload_crc_stated_) return fail(FrameError::kChecksum);
    finish(now_us, message);
    return Next::kMessage;
}

FrameDecoder::Next FrameDecoder::fail(FrameError error) {
    error_ = error;
    staging_.reset();
    payload_.reset();
    charge_.give_back();
    return Next::kBad;
}

// kMessage here means: this step is done.
FrameDecoder::Next FrameDecoder::read_header() {
    const char* header = staging_.get() + begin_;
    // Whoever speaks another protocol is told apart by the first bytes, without waiting for a whole header.
    const size_t seen = std::min(staged(), sizeof(kMagic));
    if (seen > 0 && std::memcmp(header, kMagic, seen) != 0) {
        const bool is_http = std::memcmp(header, kHttpMagic, seen) == 0;  // An answer in HTTP: the wrong port.
        if (is_http && seen < sizeof(kHttpMagic)) return Next::kMore;
        return fail(is_http ? FrameError::kHttp : FrameError::kMagic);
    }
    if (staged() < kFrameHeaderBytes) return Next::kMore;
    if (static_cast<uint8_t>(header[4]) != kFrameVersion) return fail(FrameError::kVersion);
    if (header[5] != 0 || header[6] != 0 || header[7] != 0) return fail(FrameError::kVersion);
    body_length_ = get_u32(header + 8);
    payload_length_ = get_u32(header + 12);
    if (body_length_ > limits_.body_bytes_max || payload_length_ > limits_.payload_bytes_max) {
        return fail(FrameError::kOversized);
    }
    head_crc_ = get_u32(header + 16);
    payload_crc_stated_ = get_u32(header + 20);
    state_ = State::kBody;
    count_frame();
    return Next::kMessage;
}

void FrameDecoder::count_frame() {
    const size_t bytes = kFrameHeaderBytes + body_length_ + payload_length_;
    if (limits_.memory == nullptr || bytes <= kFreeFrameBytes) return;
    if (limits_.memory_waits) {
        memory_wanted_ = bytes;
    } else {
        charge_ = limits_.memory->take(bytes, true);
    }
}

void FrameDecoder::give_memory(MemoryCharge charge) {
    SANDSTORE_CHECK(memory_wanted_ > 0 && charge, "wanted=", memory_wanted_);
    memory_wanted_ = 0;
    charge_ = std::move(charge);
}

FrameDecoder::Next FrameDecoder::read_body() {
    if (staged() < kFrameHeaderBytes + body_length_) return Next::kMore;
    const std::string_view head(staging_.get() + begin_, kFrameHeaderBytes + body_length_);
    const uint32_t crc = crc32c(head.substr(kFrameHeaderBytes), crc32c(head.substr(0, kCoveredHeaderBytes)));
    if (crc != head_crc_) return fail(FrameError::kChecksum);
    if (!envelope_.ParseFromArray(head.data() + kFrameHeaderBytes, static_cast<int>(body_length_))) {
        return fail(FrameError::kUnparsable);
    }
    begin_ += head.size();
    payload_size_ = 0;
    payload_capacity_ = 0;
    payload_crc_ = 0;
    state_ = State::kPayload;
    return Next::kMessage;
}

void FrameDecoder::take_payload_from_staging() {
    while (staged() > 0 && payload_missing() > 0) {
        make_payload_room();
        const size_t part = std::min(staged(), payload_capacity_ - payload_size_);
        std::memcpy(payload_.get() + payload_size_, staging_.get() + begin_, part);
        payload_crc_ = crc32c({payload_.get() + payload_size_, part}, payload_crc_);
        payload_size_ += part;
        begin_ += part;
    }
}

void FrameDecoder::finish(uint64_t now_us, Message* message) {
    if (const uint64_t left_us = envelope_.deadline_us(); left_us != 0) {
        envelope_.set_deadline_us(now_us + std::min(left_us, kFrameDeadlineMaxUs));
    }
    Payload payload;
    if (payload_length_ > 0) {
        if (limits_.memory != nullptr && !charge_) charge_ = limits_.memory->take(payload_length_, false);
        charge_.arrived();
        // The charge goes with the bytes, whoever comes to hold them.
        struct Held {
            Memory bytes;
            MemoryCharge charge;
        };
        const auto held = std::make_shared<Held>(std::move(payload_), std::move(charge_));
        payload = Payload::view_of(held, std::string_view(held->bytes.get(), payload_length_));
    }
    charge_.give_back();
    *message = Message(std::move(envelope_), std::move(payload));
    envelope_.Clear();
    state_ = State::kHeader;
}

void FrameDecoder::make_staging_room() {
    if (begin_ == end_) {
        begin_ = end_ = 0;
        adapt_empty_staging();
    }
    const size_t frame_bytes = kFrameHeaderBytes + (state_ == State::kBody ? body_length_ : 0);
    const bool fits = begin_ + frame_bytes <= staging_capacity_;
    if (end_ < staging_capacity_ && (fits || end_ < staging_capacity_ - staging_capacity_ / 4)) return;
    if (begin_ > 0) {
        std::memmove(staging_.get(), staging_.get() + begin_, staged());
        end_ -= begin_;
        begin_ = 0;
        if (end_ < staging_capacity_) return;
    }
    // Full with less than one frame, or the first use. Doubling keeps the memory in proportion to what arrived.
    size_t wanted = staging_capacity_ == 0 ? kStagingBytesMin : staging_capacity_ * 2;
    wanted = std::min(wanted, std::max(kStagingBytesUsual, frame_bytes));
    SANDSTORE_CHECK(wanted > staging_capacity_, "wanted=", wanted, " capacity=", staging_capacity_);
    staging_.reset(grown(staging_.release(), wanted));
    staging_capacity_ = wanted;
}

// A quiet connection keeps little memory, a busy one reads much at a time, and a huge body is not kept for ever.
void FrameDecoder::adapt_empty_staging() {
    const bool grow = staging_was_full_ && staging_capacity_ < kStagingBytesUsual;
    if (!grow && staging_capacity_ <= kStagingBytesUsual) return;
    staging_.reset();
    staging_capacity_ = kStagingBytesUsual;
    staging_.reset(grown(nullptr, staging_capacity_));
    staging_was_full_ = false;
}

void FrameDecoder::make_payload_room() {
    if (payload_size_ < payload_capacity_) return;
    size_t wanted = payload_length_;
    if (limits_.grow_with_data) {
        wanted = std::min(wanted, payload_capacity_ == 0 ? kPayloadFirstBytes : payload_capacity_ * 2);
    }
    payload_.reset(grown(payload_.release(), wanted));
    payload_capacity_ = wanted;
}

}  // namespace sandstore
