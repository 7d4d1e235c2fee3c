// Paths of the namespace as a command line handles them: text only, nothing is looked up.
#pragma once

#include <string>
#include <string_view>

namespace sandstore {

// "a//b/" -> "/a/b"; "" -> "/". For showing and comparing; "." and ".." stay as they are.
std::string tidy_path(std::string_view path);
std::string join_path(std::string_view directory, std::string_view name);
// The last part; empty for the root.
std::string base_name(std::string_view path);
// For a terminal: bytes that would move the cursor or worse become '?'.
std::string printable(std::string_view name);

}  // namespace sandstore
