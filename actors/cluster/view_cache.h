// The file cluster-view.json: the last member list that etcd gave, for a start while etcd is away.
//   {"format":1,"cluster_id":"...","bootstrap_members":[...],"members":[{"id","address","role","zone"},...]}
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "messages/cluster.pb.h"

namespace sandstore {

inline constexpr std::string_view kViewCacheFile = "cluster-view.json";
constexpr int kViewCacheFormat = 1;

std::string view_cache_text(const pb::ClusterView& view);
// Nothing: `error` says why. from_cache is set.
std::optional<pb::ClusterView> parse_view_cache(std::string_view text, std::string* error);

// The same members and cluster record, wherever the views come from.
bool same_view(const pb::ClusterView& a, const pb::ClusterView& b);

}  // namespace sandstore
