// Bulk bytes: reference-counted and immutable, so that slices and concatenations share memory, also across threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

// A sequence of slices of shared buffers. Copying one copies references only.
class Payload {
 public:
    struct Piece {
        std::shared_ptr<const void> owner;  // Keeps `bytes` alive.
        std::string_view bytes;             // Never empty.
    };

    Payload() = default;
    explicit Payload(std::string bytes);  // Takes the buffer over without copying.
    static Payload copy_of(std::string_view bytes) { return Payload(std::string(bytes)); }
    static Payload view_of(std::shared_ptr<const void> owner, std::string_view bytes);

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::span<const Piece> pieces() const& { return pieces_; }
    std::span<const Piece> pieces() const&& = delete;  // Of what would be gone when they are looked at.

    void append(const Payload& other);
    void append(Payload&& other);
    Payload slice(size_t offset, size_t length) const;  // Clipped to what is there.

    std::string to_string() const;       // A copy.
    Payload flat() const;                // One piece: itself when it is already, else a copy.
    std::string_view flat_view() const;  // Only for a payload of at most one piece (see flat()); checked.
    void copy_to(size_t offset, std::span<char> out) const;  // out.size() bytes must be there; checked.

    bool operator==(const Payload& other) const;  // Same bytes.

 private:
    std::vector<Piece> pieces_;
    size_t size_ = 0;
};

uint32_t crc32c(const Payload& bytes, uint32_t crc = 0);  // See crc32c.h.

}  // namespace sandstore
