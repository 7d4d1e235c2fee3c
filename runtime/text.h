// str_cat("term=", 3, " node=", id): the pieces as one string. Lighter to compile than a formatting library.
#pragma once

#include <charconv>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace sandstore {

// One argument of str_cat as text; lives only during the call.
class TextPiece {
 public:
    TextPiece(std::string_view text) : text_(text) {}
    TextPiece(const std::string& text) : text_(text) {}
    TextPiece(const char* text) : text_(text) {}
    TextPiece(char letter) : text_(digits_, 1) { digits_[0] = letter; }
    template <typename Value>
    requires(std::integral<Value> || std::floating_point<Value> || std::is_enum_v<Value>) TextPiece(Value value) {
        if constexpr (std::same_as<Value, bool>) {
            text_ = value ? "true" : "false";
        } else if constexpr (std::is_enum_v<Value>) {
            format(static_cast<long long>(value));
        } else {
            format(value);
        }
    }
    TextPiece(const TextPiece&) = delete;
    TextPiece& operator=(const TextPiece&) = delete;
    std::string_view text() const { return text_; }

 private:
    void format(auto value) {
        const auto result = std::to_chars(digits_, digits_ + sizeof(digits_), value);
        text_ = std::string_view(digits_, static_cast<size_t>(result.ptr - digits_));
    }

    char digits_[32];
    std::string_view text_;
};

void append_pieces(std::string* out, std::initializer_list<std::string_view> pieces);

template <typename... Pieces>
void str_append(std::string* out, const Pieces&... pieces) {
    append_pieces(out, {TextPiece(pieces).text()...});
}

template <typename... Pieces>
std::string str_cat(const Pieces&... pieces) {
    std::string out;
    append_pieces(&out, {TextPiece(pieces).text()...});
    return out;
}

// printf into a string, for fixed layouts.
[[gnu::format(printf, 1, 2)]] std::string str_format(const char* format, ...);

}  // namespace sandstore
