#include "tests/scenarios/runner/script.h"

#include <cctype>
#include <fstream>
#include <sstream>

#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr std::string_view kProtectedBy = "protected by:";

class Reader {
 public:
    explicit Reader(const std::string& path) { script_.path = path; }

    void line(const std::string& text) {
        number_++;
        const size_t comment = end_of_code(text);
        Statement statement{number_, text.substr(0, comment), words_of(text.substr(0, comment))};
        while (!statement.text.empty() && is_space(statement.text.back())) statement.text.pop_back();
        if (!statement.words.empty()) take(std::move(statement));
        if (comment < text.size()) note_faults(text.substr(comment + 1));
    }

    Script take() {
        if (script_.sections.empty()) fail("there is nothing in it");
        for (const Section& section : script_.sections) {
            if (section.statements.empty()) fail(str_cat("section ", section.name, " is empty"));
        }
        return std::move(script_);
    }

 private:
    [[noreturn]] void fail(const std::string& why) const {
        throw ScriptError(str_cat(script_.path, ":", number_, ": ", why));
    }

    void take(Statement statement) {
        if (statement.words[0].text == "section") return begin_section(statement);
        if (script_.sections.empty()) script_.sections.emplace_back();
        script_.sections.back().statements.push_back(std::move(statement));
    }

    void begin_section(const Statement& statement) {
        if (statement.words.size() != 2) fail("a section has a name of one word");
        if (!script_.sections.empty() && script_.sections.front().name.empty()) {
            fail("statements stand before the first section");
        }
        script_.sections.emplace_back();
        script_.sections.back().name = statement.words[1].text;
    }

    size_t end_of_code(const std::string& text) const {
        bool quoted = false;
        for (size_t i = 0; i < text.size(); i++) {
            if (text[i] == '"') quoted = !quoted;
            if (text[i] == '#' && !quoted) return i;
        }
        if (quoted) fail("a quotation mark is missing");
        return text.size();
    }

    std::vector<Word> words_of(const std::string& text) const {
        std::vector<Word> words;
        for (size_t at = 0; at < text.size();) {
            if (is_space(text[at])) {
                at++;
            } else if (text[at] == '"') {
                const size_t end = text.find('"', at + 1);
                words.push_back({text.substr(at + 1, end - at - 1), true});
                at = end + 1;
            } else {
                const size_t begin = at;
                while (at < text.size() && !is_space(text[at]) && text[at] != '"') at++;
                words.push_back({text.substr(begin, at - begin), false});
            }
        }
        return words;
    }

    void note_faults(const std::string& comment) {
        const size_t at = comment.find(kProtectedBy);
        if (at == std::string::npos) return;
        std::vector<std::string>& faults = script_.sections.empty() ? script_.faults : script_.sections.back().faults;
        for (const Word& word : words_of(comment.substr(at + kProtectedBy.size()))) faults.push_back(word.text);
    }

    static bool is_space(char letter) { return std::isspace(static_cast<unsigned char>(letter)) != 0 || letter == ','; }

    Script script_;
    int number_ = 0;
};

}  // namespace

Script read_script(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw ScriptError(str_cat(path, ": cannot be read"));
    Reader reader(path);
    for (std::string line; std::getline(file, line);) reader.line(line);
    return reader.take();
}

}  // namespace sandstore
