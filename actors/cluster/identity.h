// The file identity.json in the data directory: whose data this is. Written before anything else there.
//   {"format":2,"node_id":"node-1","storage_id":"..."}: of no cluster yet.
//   {"format":2,"cluster_id":"...","node_id":"node-1","storage_id":"...","bootstrap_voters":["node-1","node-2"],
//    "storages":{"node-1":"...","node-2":"..."},"founding":"...","begun":true}: one of those who began a cluster.
//   {"format":2,"cluster_id":"...","node_id":"node-4","storage_id":"...","joined":true}: it came to one that ran.
// Storage ids are 16 hexadecimal digits. What `sandstore cluster recover` has changed has "recover_founding", until it
// is in the log, and "recovered", the foundings before.
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

// What connections to other nodes go by: the founding that the node is to go on under, where it was told one.
std::string founding_in_force(const pb::Identity& identity);
// A majority was lost for good once: the other first voters say nothing about this directory any more.
bool was_recovered(const pb::Identity& identity);
// A founding for a node that goes on alone: none that was, and none that another node makes of the same cluster.
std::string recovered_founding(const pb::Identity& identity, uint64_t random);
bool is_founding(std::string_view text);

}  // namespace sandstore
