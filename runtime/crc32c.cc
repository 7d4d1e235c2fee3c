#include "runtime/crc32c.h"

#include <isa-l/crc.h>

namespace sandstore {

uint32_t crc32c(std::string_view bytes, uint32_t crc) {
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
