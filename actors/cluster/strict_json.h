// JSON from outside: bounded, strict, and never an exception. A thin layer over jsoncpp.
#pragma once

#include <json/value.h>

#include <optional>
#include <string>
#include <string_view>

namespace sandstore {

constexpr size_t kJsonBytesMax = 1 << 20;
constexpr int kJsonDepthMax = 16;

// An object or an array, nothing after it, no duplicate keys, no comments. Otherwise nothing, and `error` says why.
std::optional<Json::Value> parse_json(std::string_view text, std::string* error);

// One line, keys in order, UTF-8 as it is.
std::string json_line(const Json::Value& value);

// The member if it is a string; empty when it is missing; nothing when it is something else.
std::optional<std::string> json_string(const Json::Value& object, const char* name);

}  // namespace sandstore
