// The bytes that clients write, each of which says which write it is from and from which place in it: what a read
// returns can be taken apart again, however much of each write is left, and bytes that nobody wrote are noticed.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/payload.h"
#include "tests/sim/linearizability.h"

namespace sandstore {

// Writes, offsets and sizes are multiples of this: a cell names its token and its own number in it.
inline constexpr uint64_t kCellBytes = 16;

constexpr uint64_t whole_cells(uint64_t bytes) {
    return (bytes + kCellBytes - 1) / kCellBytes * kCellBytes;
}

// `bytes`: whole cells, at least one. `token` is not 0.
Payload token_bytes(uint32_t token, uint64_t bytes);
// False when the bytes are no sequence of cells that were written, or of zeros.
bool parse_tokens(const Payload& bytes, std::vector<Piece>* pieces);

}  // namespace sandstore
