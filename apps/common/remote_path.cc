#include "apps/common/remote_path.h"

#include "runtime/text.h"

namespace sandstore {

std::string tidy_path(std::string_view path) {
    std::string tidy;
    while (!path.empty()) {
        const size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (!part.empty()) str_append(&tidy, "/", part);
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

std::string printable(std::string_view name) {
    std::string text(name);
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return text;
}

}  // namespace sandstore
