#include "tests/scenarios/runner/arguments.h"

#include <algorithm>
#include <charconv>

#include "runtime/text.h"

namespace sandstore {

namespace {

uint64_t parse_number(std::string_view text, std::string_view what) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        throw ScriptError(str_cat(what, " is a number, not '", text, "'"));
    }
    return value;
}

}  // namespace

bool Arguments::accept(std::string_view word) {
    if (empty() || words_[at_].quoted || words_[at_].text != word) return false;
    at_++;
    return true;
}

void Arguments::demand(std::string_view word) {
    if (!accept(word)) throw ScriptError(str_cat("'", word, "' is expected, not '", peek(), "'"));
}

// $name, $name+2, $name-1
std::string Arguments::value_of(const std::string& variable) const {
    const size_t sign = variable.find_first_of("+-", 1);
    // Names of nodes hold a dash, names of variables do not.
    const std::string name = variable.substr(1, sign == std::string::npos ? sign : sign - 1);
    const auto found = variables_.find(name);
    if (found == variables_.end()) throw ScriptError(str_cat("nothing is remembered as ", name));
    if (sign == std::string::npos) return found->second;
    const uint64_t value = parse_number(found->second, name);
    const uint64_t by = parse_number(std::string_view(variable).substr(sign + 1), "what is added");
    return std::to_string(variable[sign] == '+' ? value + by : value - by);
}

std::string Arguments::text(std::string_view what) {
    if (empty()) throw ScriptError(str_cat(what, " is missing"));
    const Word& word = words_[at_++];
    return !word.quoted && word.text.starts_with("$") ? value_of(word.text) : word.text;
}

uint64_t Arguments::number(std::string_view what) {
    return parse_number(text(what), what);
}

int64_t Arguments::signed_duration_us() {
    const bool back = peek().starts_with("-");
    std::string word = text("a time");
    if (back) word.erase(0, 1);
    const size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
    const std::string unit = word.substr(digits);
    static const std::map<std::string, uint64_t> kUnits = {
        {"us", 1}, {"ms", 1'000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}};
    const auto found = kUnits.find(unit);
    if (found == kUnits.end()) throw ScriptError(str_cat("a time is 300us, 20ms, 2s, 5m or 1h, not '", word, "'"));
    const auto value = static_cast<int64_t>(parse_number(word.substr(0, digits), "a time") * found->second);
    return back ? -value : value;
}

uint64_t Arguments::duration_us() {
    const int64_t value = signed_duration_us();
    if (value < 0) throw ScriptError("this time cannot be negative");
    return static_cast<uint64_t>(value);
}

std::string Arguments::node() {
    const std::string id = text("a node");
    if (std::find(nodes_.begin(), nodes_.end(), id) == nodes_.end()) {
        throw ScriptError(str_cat("'", id, "' is no node of this cluster"));
    }
    return id;
}

std::vector<std::string> Arguments::nodes() {
    if (accept("all") || accept("*")) return nodes_;
    std::vector<std::string> ids{node()};
    while (peek().starts_with("node-") || peek().starts_with("$")) ids.push_back(node());
    return ids;
}

void Arguments::end() const {
    if (!empty()) throw ScriptError(str_cat("'", peek(), "' is too much"));
}

}  // namespace sandstore
