#include "runtime/text.h"

#include <cstdarg>
#include <cstdio>

namespace sandstore {

void append_pieces(std::string* out, std::initializer_list<std::string_view> pieces) {
    size_t total = out->size();
    for (std::string_view piece : pieces) total += piece.size();
    out->reserve(total);
    for (std::string_view piece : pieces) out->append(piece);
}

std::string str_format(const char* format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, arguments);
    va_end(arguments);
    std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
    if (length > 0) std::vsnprintf(text.data(), text.size() + 1, format, again);
    va_end(again);
    return text;
}

}  // namespace sandstore
