#include "client/zeros.h"

#include <algorithm>
#include <array>
#include <memory>

namespace sandstore {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr std::array<char, kBufferBytes> kZeros{};

}  // namespace

void append_zeros(Payload* payload, uint64_t count) {
    // Nobody owns the buffer: it is part of the program.
    const std::shared_ptr<const void> owner(std::shared_ptr<const void>(), kZeros.data());
    while (count > 0) {
        const uint64_t part = std::min<uint64_t>(count, kBufferBytes);
        payload->append(Payload::view_of(owner, std::string_view(kZeros.data(), part)));
        count -= part;
    }
}

}  // namespace sandstore
