// The status page: the files of services/status/page/, which the build puts into the binary (embed.cmake there).
#pragma once

#include <string_view>

namespace sandstore {

struct PageFile {
    std::string_view path;  // "/", "/page.css", "/page.js"
    std::string_view content_type;
    std::string_view etag;  // With its quotes.
    std::string_view content;
};

const PageFile* find_page_file(std::string_view path);  // Null: there is none.

}  // namespace sandstore
