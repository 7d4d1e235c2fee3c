// The records under /sandstore/config/ in etcd, and the same members as --peers gives them.
//
//   /sandstore/config/nodes/<id>  {"id":"node-1","address":"node-1:8080","role":"metadata-raft-member",
//                                  "metadata":{"zone":"a"}}
//   /sandstore/config/cluster     {"id":"...","members":["node-1","node-2","node-3"]}: who votes in a fresh cluster.
//
// Fields that are not known here are left alone, so that later versions can add some.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/common.pb.h"

namespace sandstore {

inline constexpr std::string_view kConfigPrefix = "/sandstore/config/";
inline constexpr std::string_view kNodesPrefix = "/sandstore/config/nodes/";
inline constexpr std::string_view kClusterKey = "/sandstore/config/cluster";
inline constexpr std::string_view kMemberRole = "metadata-raft-member";
constexpr size_t kMembersMax = 256;
constexpr size_t kZoneBytesMax = 64;
constexpr size_t kClusterNameBytesMax = 128;

struct ClusterRecord {
    std::string id;
    std::vector<std::string> members;  // Sorted, no duplicates, not empty.
};

// Letters, digits, '-', '_' and '.', starting with a letter or digit.
bool is_node_name(std::string_view id);
bool is_cluster_name(std::string_view id);
// Empty when the text is "host:port" with a host and a port of 1..65535; else what is wrong with it.
std::string address_problem(std::string_view address);

// The record of a key below kNodesPrefix. Nothing: `error` says why.
std::optional<pb::Member> parse_member_record(std::string_view id_in_key, std::string_view text, std::string* error);
std::string member_record_text(const pb::Member& member);

std::optional<ClusterRecord> parse_cluster_record(std::string_view text, std::string* error);
std::string cluster_record_text(const ClusterRecord& record);

// "node-1=host:port,node-2=host:port", sorted by id. Nothing: `error` says why. Zones: "node-1=a,node-2=b".
std::optional<std::vector<pb::Member>> parse_peers(std::string_view text, std::string* error);
bool set_zones(std::string_view text, std::vector<pb::Member>* members, std::string* error);

// "node-1, node-2".
std::string id_list(const std::vector<std::string>& ids);
std::vector<std::string> member_ids(const std::vector<pb::Member>& members);

// A name for a cluster that nobody named: the same for all nodes that start from the same list. `source`: "static",
// "etcd".
std::string derived_cluster_id(std::string_view source, const std::vector<std::string>& sorted_ids);
bool is_derived_cluster_id(std::string_view id);

}  // namespace sandstore
