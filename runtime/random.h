// Randomness as a pure function: draw number `index` of stream `stream` under `seed`. Streams never disturb each other,
// so an event more or less in one actor does not shift the draws of another.
#pragma once

#include <cstdint>

namespace sandstore {

// SplitMix64's output function (Steele, Lea, Flood 2014): a bijection that spreads close inputs far apart.
constexpr uint64_t mix64(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

class RandomStream {
 public:
    RandomStream(uint64_t seed, uint64_t stream) : base_(mix64(seed ^ mix64(stream))) {}
    uint64_t next() { return mix64(base_ + index_++ * 0x9e3779b97f4a7c15u); }
    // Uniform enough in [0, bound); bound > 0.
    uint64_t below(uint64_t bound) {
        return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
    }
    uint64_t draws() const { return index_; }
    void skip_to(uint64_t index) { index_ = index; }

 private:
    uint64_t base_;
    uint64_t index_ = 0;
};

}  // namespace sandstore
