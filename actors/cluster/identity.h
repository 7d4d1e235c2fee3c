// The file identity.json in the data directory: whose data this is. Written once, before anything else there.
//   {"format":1,"cluster_id":"...","node_id":"node-1","bootstrap_voters":["node-1","node-2","node-3"]}
//   {"format":1,"cluster_id":"...","node_id":"node-4","joined":true}: it came to a cluster that ran already.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/cluster.pb.h"

namespace sandstore {

inline constexpr std::string_view kIdentityFile = "identity.json";
constexpr int kIdentityFormat = 1;
constexpr size_t kIdentityBytesMax = 64 << 10;

std::string identity_text(const pb::Identity& identity);
// Nothing: `error` says why.
std::optional<pb::Identity> parse_identity(std::string_view text, std::string* error);

}  // namespace sandstore
