#include "runtime/one_line.h"

#include "runtime/text.h"

namespace sandstore {

std::string one_line(std::string_view text) {
    std::string line;
    line.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        const bool is_c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0;
        if (byte >= 0x20 && byte != 0x7f && !is_c1) {
            line.push_back(text[i]);
        } else if (byte == '\n' || byte == '\r' || byte == '\t') {
            str_append(&line, '\\', byte == '\n' ? 'n' : byte == '\r' ? 'r' : 't');
        } else {
            line += str_format("\\x%02x", is_c1 ? next : byte);
            if (is_c1) ++i;
        }
    }
    return line;
}

}  // namespace sandstore
