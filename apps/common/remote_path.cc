#include "apps/common/remote_path.h"

#include "runtime/text.h"

namespace sandstore {

std::string tidy_path(std::string_view path) {
    std::string tidy;
    while (!path.empty()) {
        const size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (!part.empty() && part != ".") str_append(&tidy, "/", part);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return tidy.empty() ? "/" : tidy;
}

std::string join_path(std::string_view directory, std::string_view name) {
    return tidy_path(str_cat(directory, "/", name));
}

std::string base_name(std::string_view path) {
    const std::string tidy = tidy_path(path);
    return tidy.substr(tidy.rfind('/') + 1);
}

bool ends_with_dots(std::string_view path) {
    while (path.ends_with('/')) path.remove_suffix(1);
    const std::string_view last = path.substr(path.find_last_of('/') + 1);
    return last == "." || last == "..";
}

std::string Made::add(std::string_view source, std::string_view place, bool* harmless) {
    const auto [made, is_new] = sources_.emplace(place, source);
    *harmless = !is_new && made->second == source;
    if (is_new) return "";
    return *harmless ? "named more than once" : str_cat("will not overwrite what was just made of ", made->second);
}

}  // namespace sandstore
