#include "tests/sim/tokens.h"

#include <array>
#include <cstring>

#include "runtime/check.h"
#include "runtime/random.h"

namespace sandstore {

namespace {

struct Cell {
    uint32_t token;
    uint32_t number;
    uint64_t mixed;  // Of both: every byte of the cell depends on them.
};
static_assert(sizeof(Cell) == kCellBytes);

Cell make_cell(uint32_t token, uint32_t number) {
    return {token, number, mix64(uint64_t{token} << 32 | number)};
}

}  // namespace

Payload token_bytes(uint32_t token, uint64_t bytes) {
    SANDSTORE_CHECK(token != 0 && bytes > 0 && bytes % kCellBytes == 0, "token=", token, " bytes=", bytes);
    std::string text(bytes, '\0');
    for (uint64_t at = 0; at < bytes; at += kCellBytes) {
        const Cell cell = make_cell(token, static_cast<uint32_t>(at / kCellBytes));
        std::memcpy(text.data() + at, &cell, kCellBytes);
    }
    return Payload(std::move(text));
}

bool parse_tokens(const Payload& bytes, std::vector<Piece>* pieces) {
    const std::string text = bytes.to_string();
    if (text.size() % kCellBytes != 0) return false;
    static constexpr std::array<char, kCellBytes> kZeros = {};
    for (size_t at = 0; at < text.size(); at += kCellBytes) {
        Cell cell{};
        std::memcpy(&cell, text.data() + at, kCellBytes);
        const bool hole = std::memcmp(text.data() + at, kZeros.data(), kCellBytes) == 0;
        if (!hole && (cell.token == 0 || cell.mixed != make_cell(cell.token, cell.number).mixed)) return false;
        const uint64_t first = cell.number * kCellBytes;
        Piece* last = pieces->empty() ? nullptr : &pieces->back();
        const bool goes_on =
            last != nullptr && last->token == cell.token && (hole || last->first + last->bytes == first);
        if (goes_on) {
            last->bytes += kCellBytes;
        } else {
            pieces->push_back({cell.token, first, kCellBytes});
        }
    }
    return true;
}

}  // namespace sandstore
