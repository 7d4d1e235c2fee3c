// The content of a snapshot: how the replicated state is written down (docs/formats.md). Records, one after the other,
// each a kind and its fields; every number is a varint, every text a length and its bytes. Equal states give equal
// bytes, cut into equal pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sandstore {

// Version 4 has holds, chunks that are kept though nothing uses them and chunks that were collected; a state without
// them is written as version 1, byte for byte.
inline constexpr uint64_t kStateFormatVersion = 1;
inline constexpr uint64_t kStateFormatVersionWithHolds = 4;
// A piece ends after the record with which it reaches one of these: what bounds the turn that writes or reads it.
inline constexpr size_t kStatePieceBytes = 256 * 1024;
inline constexpr size_t kStatePieceRecords = 2048;
inline constexpr size_t kStatePieceBytesMax = 4 * 1024 * 1024;  // No piece is longer.

// In the order in which they come. Lists are sorted by their ids.
enum class StateRecord : uint8_t {
    kHeader = 1,
    kReplicaList = 2,
    kChunk = 3,
    kInode = 4,   // Of a file: its extents follow.
    kExtent = 5,  // Of the inode or the detached content before it.
    kEntry = 6,
    kDetached = 7,  // Its extents follow.
    kSession = 8,   // Its results follow.
    kResult = 9,
    kTrailer = 10,      // Last, though there are higher numbers.
    kHold = 11,         // These come between results and trailer.
    kUnusedChunk = 12,  // Kept though nothing uses it.
    kCollectedChunk = 20,
};

// Where a kind stands among the others.
constexpr int order_of(StateRecord kind) {
    switch (kind) {
        case StateRecord::kTrailer:
            return 13;
        case StateRecord::kCollectedChunk:
            return 12;
        case StateRecord::kHold:
            return 10;
        case StateRecord::kUnusedChunk:
            return 11;
        default:
            return static_cast<int>(kind);
    }
}

class StateEncoder {
 public:
    void kind(StateRecord record) { bytes_.push_back(static_cast<char>(record)); }
    void number(uint64_t value) {
        for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
        bytes_.push_back(static_cast<char>(value));
    }
    void text(std::string_view value) {
        number(value.size());
        bytes_.append(value);
    }
    size_t size() const { return bytes_.size(); }
    void reserve(size_t bytes) { bytes_.reserve(bytes); }
    std::string take() { return std::move(bytes_); }

 private:
    std::string bytes_;
};

// Reads what may be anything: what is not there reads as 0, and damaged() says so from then on.
class StateDecoder {
 public:
    explicit StateDecoder(std::string_view bytes) : rest_(bytes) {}

    bool at_end() const { return rest_.empty(); }
    bool damaged() const { return damaged_; }
    uint8_t byte() {
        if (rest_.empty()) return fail();
        const uint8_t value = static_cast<uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    uint64_t number() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const uint64_t part = byte();
            if (shift == 63 && part > 1) return fail();
            if (part == 0 && shift > 0) return fail();  // Equal states give equal bytes: a number has one form.
            value |= (part & 0x7f) << shift;
            if (part < 0x80) return value;
        }
        return fail();
    }
    // At most so long.
    std::string_view text(size_t bytes_max) {
        const uint64_t size = number();
        if (size > bytes_max || size > rest_.size()) {
            fail();
            return {};
        }
        const std::string_view value = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return value;
    }

 private:
    uint8_t fail() {
        damaged_ = true;
        rest_ = {};
        return 0;
    }

    std::string_view rest_;
    bool damaged_ = false;
};

}  // namespace sandstore
