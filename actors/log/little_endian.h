// Fixed-width integers in little-endian order, for the byte layouts of the log.
#pragma once

#include <bit>
#include <concepts>
#include <cstring>
#include <string>

namespace sandstore {

static_assert(std::endian::native == std::endian::little, "a big-endian machine needs byte swaps here");

template <std::unsigned_integral Integer>
void put_integer(char* out, Integer value) {
    std::memcpy(out, &value, sizeof(value));
}

template <std::unsigned_integral Integer>
void append_integer(std::string* out, Integer value) {
    out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <std::unsigned_integral Integer>
Integer get_integer(const char* bytes) {
    Integer value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
}

}  // namespace sandstore
