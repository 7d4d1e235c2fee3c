#include "runtime/payload.h"

#include <algorithm>
#include <cstring>

#include "runtime/check.h"
#include "runtime/crc32c.h"

namespace sandstore {

Payload::Payload(std::string bytes) : size_(bytes.size()) {
    if (size_ == 0) return;
    auto buffer = std::make_shared<const std::string>(std::move(bytes));
    const std::string_view view = *buffer;
    pieces_.push_back({std::move(buffer), view});
}

Payload Payload::view_of(std::shared_ptr<const void> owner, std::string_view bytes) {
    Payload payload;
    payload.size_ = bytes.size();
    if (!bytes.empty()) payload.pieces_.push_back({std::move(owner), bytes});
    return payload;
}

void Payload::append(const Payload& other) {
    if (&other == this) return append(Payload(other));
    pieces_.insert(pieces_.end(), other.pieces_.begin(), other.pieces_.end());
    size_ += other.size_;
}

void Payload::append(Payload&& other) {
    if (pieces_.empty()) {
        std::swap(pieces_, other.pieces_);
        std::swap(size_, other.size_);
        return;
    }
    std::move(other.pieces_.begin(), other.pieces_.end(), std::back_inserter(pieces_));
    size_ += other.size_;
    other.pieces_.clear();
    other.size_ = 0;
}

Payload Payload::slice(size_t offset, size_t length) const {
    Payload result;
    for (const Piece& piece : pieces_) {
        if (length == 0) break;
        if (offset >= piece.bytes.size()) {
            offset -= piece.bytes.size();
            continue;
        }
        const std::string_view part = piece.bytes.substr(offset, length);
        result.pieces_.push_back({piece.owner, part});
        result.size_ += part.size();
        length -= part.size();
        offset = 0;
    }
    return result;
}

std::string Payload::to_string() const {
    std::string bytes;
    bytes.reserve(size_);
    for (const Piece& piece : pieces_) bytes.append(piece.bytes);
    return bytes;
}

Payload Payload::flat() const {
    return pieces_.size() <= 1 ? *this : Payload(to_string());
}

std::string_view Payload::flat_view() const {
    SANDSTORE_CHECK(pieces_.size() <= 1, "pieces=", pieces_.size());
    return pieces_.empty() ? std::string_view() : pieces_.front().bytes;
}

void Payload::copy_to(size_t offset, std::span<char> out) const {
    SANDSTORE_CHECK(offset <= size_ && out.size() <= size_ - offset, "offset=", offset, " length=", out.size(),
                    " size=", size_);
    size_t done = 0;
    for (const Piece& piece : pieces_) {
        if (done == out.size()) break;
        if (offset >= piece.bytes.size()) {
            offset -= piece.bytes.size();
            continue;
        }
        const std::string_view part = piece.bytes.substr(offset, out.size() - done);
        std::memcpy(out.data() + done, part.data(), part.size());
        done += part.size();
        offset = 0;
    }
}

bool Payload::operator==(const Payload& other) const {
    if (size_ != other.size_) return false;
    size_t mine = 0, theirs = 0;  // Piece numbers.
    size_t my_offset = 0, their_offset = 0;
    while (mine < pieces_.size()) {
        const std::string_view a = pieces_[mine].bytes.substr(my_offset);
        const std::string_view b = other.pieces_[theirs].bytes.substr(their_offset);
        const size_t common = std::min(a.size(), b.size());
        if (a.substr(0, common) != b.substr(0, common)) return false;
        my_offset += common;
        their_offset += common;
        if (common == a.size()) mine++, my_offset = 0;
        if (common == b.size()) theirs++, their_offset = 0;
    }
    return true;
}

uint32_t crc32c(const Payload& bytes, uint32_t crc) {
    for (const Payload::Piece& piece : bytes.pieces()) crc = crc32c(piece.bytes, crc);
    return crc;
}

}  // namespace sandstore
