#include "actors/fs/path.h"

#include <algorithm>

#include "actors/fs/limits.h"

namespace sandstore {

Outcome parse_path(std::string_view path, ParsedPath* parsed) {
    parsed->parts.clear();
    parsed->wants_directory = !path.empty() && path.back() == '/';
    parsed->ends_in_dot = false;
    if (path.size() > kPathBytesMax) return pb::STATUS_ENAMETOOLONG;
    if (path.find('\0') != std::string_view::npos) return {pb::STATUS_EINVAL, "A path must not contain a NUL byte"};
    size_t begin = 0;
    while (begin < path.size()) {
        if (path[begin] == '/') {
            ++begin;
            continue;
        }
        const size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        begin = end;
        parsed->ends_in_dot = part == ".";
        if (part == ".") continue;
        if (part == "..") return {pb::STATUS_EINVAL, "A path must not contain '..'"};
        if (part.size() > kNameBytesMax) return pb::STATUS_ENAMETOOLONG;
        parsed->parts.push_back(part);
    }
    parsed->wants_directory = parsed->wants_directory || parsed->ends_in_dot;
    return {};
}

}  // namespace sandstore
