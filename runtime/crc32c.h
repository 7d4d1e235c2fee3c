// CRC32C (Castagnoli, RFC 3720 appendix B.4), computed by the processor's instruction or, where much is to be
// done, by isa-l.
#pragma once

#include <cstdint>
#include <string_view>

namespace sandstore {

// Continues from `crc`, the result for the bytes before: crc32c(b, crc32c(a)) == crc32c(ab).
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

}  // namespace sandstore
