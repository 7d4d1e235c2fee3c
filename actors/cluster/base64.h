// Base64 as etcd's JSON gateway uses it: the standard alphabet, padded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sandstore {

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);  // Nothing for anything but exact base64.

}  // namespace sandstore
