// The words of one statement, taken from left to right. Whatever is missing, left over or not of the right kind is a
// ScriptError (the caller adds file and line). Numbers may be variables: 7, $last, $last+2, $term-1.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/scenarios/runner/script.h"

namespace sandstore {

using Variables = std::map<std::string, std::string, std::less<>>;

class Arguments {
 public:
    Arguments(const Statement& statement, const Variables& variables, const std::vector<std::string>& nodes)
        : words_(statement.words), variables_(variables), nodes_(nodes) {}

    bool empty() const { return at_ == words_.size(); }
    std::string_view peek() const { return empty() ? std::string_view() : std::string_view(words_[at_].text); }
    bool next_is_quoted() const { return !empty() && words_[at_].quoted; }
    bool accept(std::string_view word);  // Takes the next word if it is this one.
    void demand(std::string_view word);
    std::string text(std::string_view what);  // Any word; a variable's value where it begins with $.
    uint64_t number(std::string_view what);
    int64_t signed_duration_us();
    uint64_t duration_us();  // 300us, 20ms, 2s, 5m, 1h
    std::string node();
    std::vector<std::string> nodes();  // At least one; "all" and "*" are all of them.
    void end() const;                  // Nothing is left.

 private:
    std::string value_of(const std::string& variable) const;

    const std::vector<Word>& words_;
    const Variables& variables_;
    const std::vector<std::string>& nodes_;
    size_t at_ = 0;
};

}  // namespace sandstore
