// The file identity.json in the data directory: whose data this is. Written before anything else there.
//   {"format":2,"node_id":"node-1","storage_id":"..."}: of no cluster yet.
//   {"format":2,"cluster_id":"...","node_id":"node-1","storage_id":"...","bootstrap_voters":["node-1","node-2"],
//    "storages":{"node-1":"...","node-2":"..."},"founding":"...","begun":true}: one of those who began a cluster.
//   {"format":2,"cluster_id":"...","node_id":"node-4","storage_id":"...","joined":true}: it came to one that ran.
// Storage ids are 16 hexadecimal digits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/cluster.pb.h"

namespace sandstore {

inline constexpr std::string_view kIdentityFile = "identity.json";
constexpr int kIdentityFormat = 2;
constexpr size_t kIdentityBytesMax = 64 << 10;

std::string identity_text(const pb::Identity& identity);
// Nothing: `error` says why.
std::optional<pb::Identity> parse_identity(std::string_view text, std::string* error);

// Whose chunks are in the directory chunks: {"format":1,"cluster_id":"...","node_id":"node-1"}. A cluster that is begun
// anew out of a backup or a lost majority keeps its id, so its chunks stay its own.
inline constexpr std::string_view kChunkMarkFile = "chunks/identity.json";
constexpr int kChunkMarkFormat = 1;

struct ChunkMark {
    std::string cluster_id;
    std::string node_id;
};
std::string chunk_mark_text(const ChunkMark& mark);
std::optional<ChunkMark> parse_chunk_mark(std::string_view text, std::string* error);

// A name for "this cluster, begun by these storages": two clusters of the same name and nodes differ in it.
std::string founding_of(const pb::Identity& identity);

}  // namespace sandstore
