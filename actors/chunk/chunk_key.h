// The id of a chunk as a value that orders and prints.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "messages/chunk.pb.h"

namespace sandstore {

// What every node stores, and the longest --chunk-size there is. A node's own setting says how clients shall split
// files while it leads; it refuses no chunk that was placed under another leader.
inline constexpr uint64_t kChunkBytesStored = 8ull << 20;

struct ChunkKey {
    uint64_t term = 0;
    uint64_t number = 0;
    auto operator<=>(const ChunkKey&) const = default;
};

inline ChunkKey key_of(const pb::ChunkId& id) {
    return {id.term(), id.number()};
}

inline pb::ChunkId id_of(ChunkKey key) {
    pb::ChunkId id;
    id.set_term(key.term);
    id.set_number(key.number);
    return id;
}

// Both parts are counted from 1: a zero is a field that somebody forgot.
inline bool is_valid(ChunkKey key) {
    return key.term != 0 && key.number != 0;
}

std::string to_string(ChunkKey key);  // "2-1f": both in hexadecimal, as in the file's name.

}  // namespace sandstore
