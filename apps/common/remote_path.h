// Paths of the namespace as a command line handles them: text only, nothing is looked up.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sandstore {

// "a//b/", "./a/b/." -> "/a/b"; "", "." -> "/". For showing and comparing; ".." stays as it is.
std::string tidy_path(std::string_view path);
std::string join_path(std::string_view directory, std::string_view name);
// The last part; empty for the root.
std::string base_name(std::string_view path);
// "." and "a/..": what `rm -r` and `mv` refuse, since it is seldom meant.
bool ends_with_dots(std::string_view path);

// The places that a command with several sources has written so far: the second of one name must not replace the first.
class Made {
 public:
    // Empty: go on. Else why not; with `harmless` set when it is the same source once more.
    std::string add(std::string_view source, std::string_view place, bool* harmless);

 private:
    std::map<std::string, std::string> sources_;  // By place.
};

}  // namespace sandstore
