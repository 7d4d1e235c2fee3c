#include "actors/raft/storage_starts.h"

#include <algorithm>

namespace sandstore {

namespace {

// From the top: 16 bits of the storage, the number, random ones.
constexpr int kNumberBits = 20;
constexpr int kRandomBits = 28;
constexpr uint64_t kNumberMask = (uint64_t{1} << kNumberBits) - 1;
constexpr uint64_t kRandomMask = (uint64_t{1} << kRandomBits) - 1;

uint64_t mark_of(uint64_t storage) {
    return storage << (kNumberBits + kRandomBits);
}

bool is_of(uint64_t storage, uint64_t start) {
    return mark_of(storage) == (start & ~(kNumberMask << kRandomBits | kRandomMask));
}

uint64_t number_of(uint64_t start) {
    return start >> kRandomBits & kNumberMask;
}

}  // namespace

uint64_t next_start(uint64_t storage, const std::vector<uint64_t>& starts, uint64_t random) {
    const uint64_t before = starts.empty() ? 0 : number_of(starts.back());
    const uint64_t number = std::min(before + 1, kNumberMask);
    return mark_of(storage) | number << kRandomBits | (random & kRandomMask);
}

bool is_older_copy(uint64_t storage, const std::vector<uint64_t>& starts, uint64_t known_start) {
    if (starts.empty() || !is_of(storage, known_start)) return false;
    if (std::find(starts.begin(), starts.end(), known_start) != starts.end()) return false;
    return number_of(known_start) >= number_of(starts.front());
}

}  // namespace sandstore
