// The content of a snapshot: how a replicated state is written down (docs/formats.md). Records, one after the other,
// each a kind and its fields; every number is a varint, every text a length and its bytes. Equal states give equal
// bytes, cut into equal pieces. Which kinds of records there are is up to the kind of state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace sandstore {

// A piece ends after the record with which it reaches one of these: what bounds the turn that writes or reads it.
inline constexpr size_t kStatePieceBytes = 256 * 1024;
inline constexpr size_t kStatePieceRecords = 2048;
inline constexpr size_t kStatePieceBytesMax = 4 * 1024 * 1024;  // No piece is longer.

class StateEncoder {
 public:
    template <typename Kind>  // An enumeration of one byte.
    void kind(Kind record) {
        static_assert(sizeof(Kind) == 1);
        bytes_.push_back(static_cast<char>(record));
    }
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
