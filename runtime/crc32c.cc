#include "runtime/crc32c.h"

#include <isa-l/crc.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include <cstring>

namespace sandstore {

namespace {

// ISA-L folds with wide registers, which pays from some hundred bytes on. Records and frames are mostly shorter: for
// them the processor's own instruction, eight bytes at a time, is several times as fast.
constexpr size_t kShortBytes = 256;

#if defined(__x86_64__)
const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;

__attribute__((target("sse4.2"))) uint32_t crc_of_short(std::string_view bytes, uint32_t state) {
    uint64_t crc = state;
    const char* at = bytes.data();
    size_t left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word = 0;
        std::memcpy(&word, at, sizeof(word));
        crc = _mm_crc32_u64(crc, word);
    }
    if (left >= 4) {
        uint32_t word = 0;
        std::memcpy(&word, at, sizeof(word));
        crc = _mm_crc32_u32(static_cast<uint32_t>(crc), word);
        at += 4;
        left -= 4;
    }
    for (; left > 0; at++, left--) {
        crc = _mm_crc32_u8(static_cast<uint32_t>(crc), static_cast<unsigned char>(*at));
    }
    return static_cast<uint32_t>(crc);
}
#else
constexpr bool kHasInstruction = false;

uint32_t crc_of_short(std::string_view, uint32_t state) {
    return state;
}
#endif

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t crc) {
    if (kHasInstruction && bytes.size() < kShortBytes) return ~crc_of_short(bytes, ~crc);
    // isa-l takes an int length and leaves the inversion before and after to the caller.
    constexpr size_t kPiece = size_t{1} << 30;
    crc = ~crc;
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, kPiece);
        auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));  // isa-l only reads it.
        crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
        bytes.remove_prefix(piece.size());
    }
    return ~crc;
}

}  // namespace sandstore
