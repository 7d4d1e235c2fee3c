// etcd's v3 JSON gateway: the one request the poller makes, and its answer. Keys and values travel as base64, 64-bit
// numbers as strings, and what is zero or empty is left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

struct EtcdRecord {
    std::string key;
    std::string value;
};

// The JSON body of POST /v3/kv/range for all keys that start with `prefix`.
std::string etcd_range_body(std::string_view prefix);
// The end of the range of keys that start with `prefix`: its last byte plus one.
std::string etcd_prefix_end(std::string_view prefix);

// In the order of keys. Nothing: `error` says why (not JSON, an error of etcd's, damaged base64, ...).
std::optional<std::vector<EtcdRecord>> parse_etcd_range(std::string_view body, std::string* error);

// Why etcd gave another HTTP status than 200, in its own words where it has some, and what that means for us.
std::string etcd_refusal(int http_status, std::string_view body);

}  // namespace sandstore
