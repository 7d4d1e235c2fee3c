# cmake -DOUTPUT=FILE.cc -DFOLDER=services/status/page -P embed.cmake: the files of the status page as constants in a
# source file.
set(constants "")
set(entries "")
foreach(entry "/ page.html text/html" "/page.css page.css text/css" "/page.js page.js text/javascript")
    string(REPLACE " " ";" entry "${entry}")
    list(GET entry 0 path)
    list(GET entry 1 name)
    list(GET entry 2 type)
    file(READ ${FOLDER}/${name} hex HEX)
    file(SHA256 ${FOLDER}/${name} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    string(MAKE_C_IDENTIFIER k_${name} symbol)
    string(REGEX REPLACE "(................................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
    string(APPEND constants "constexpr char ${symbol}[] = {\n${bytes}\n};\n\n")
    string(APPEND entries "    {\"${path}\", \"${type}; charset=utf-8\", \"\\\"${hash}\\\"\",\n"
                          "     {${symbol}, sizeof(${symbol})}},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made by services/status/page/embed.cmake from the files beside it.
#include \"services/status/page_files.h\"

namespace sandstore {
namespace {

${constants}constexpr PageFile kFiles[] = {
${entries}};

}  // namespace

const PageFile* find_page_file(std::string_view path) {
    for (const PageFile& file : kFiles) {
        if (file.path == path) return &file;
    }
    return nullptr;
}

}  // namespace sandstore
")
