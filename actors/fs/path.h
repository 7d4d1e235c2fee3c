// The path of an At (messages/fs.proto), taken apart.
#pragma once

#include <string_view>
#include <vector>

#include "actors/state/outcome.h"

namespace sandstore {

struct ParsedPath {
    std::vector<std::string_view> parts;  // Into the text that was parsed; without "." and empty parts.
    bool wants_directory = false;         // It ends in a slash or in ".": a file will not do.
    bool ends_in_dot = false;             // rmdir(2) and rename(2) refuse that.
};

// EINVAL: a ".." part or a NUL byte. ENAMETOOLONG: a part or the whole is too long. OK otherwise.
Outcome parse_path(std::string_view path, ParsedPath* parsed);

}  // namespace sandstore
