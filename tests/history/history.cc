#include "tests/history/history.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "runtime/text.h"

namespace sandstore {

namespace {

// In the order of FileOperation::Kind; loads do not use all of them.
constexpr std::array<std::string_view, 10> kKinds = {"create", "write",  "append", "write_at", "truncate",
                                                     "remove", "rename", "read",   "stat",     "list"};

bool to_number(std::string_view text, uint64_t* number) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), *number);
    return problem == std::errc() && end == text.data() + text.size();
}

template <typename Number>
bool to_numbers(std::string_view text, std::vector<Number>* numbers) {
    if (text == "-") return true;
    while (true) {
        const size_t comma = text.find(',');
        uint64_t number = 0;
        if (!to_number(text.substr(0, comma), &number)) return false;
        numbers->push_back(static_cast<Number>(number));
        if (comma == std::string_view::npos) return true;
        text.remove_prefix(comma + 1);
    }
}

class Reader {
 public:
    // False when the line makes no sense.
    bool take(const std::string& line) {
        words_.clear();
        std::istringstream text(line);
        for (std::string word; text >> word;) words_.push_back(word);
        if (words_.empty()) return true;
        if (words_.size() < 3 || !to_number(words_[1], &time_us_)) return false;
        if (words_[0] == "final") return take_final();
        uint64_t id = 0;
        if (!to_number(words_[2], &id)) return false;
        if (words_[0] == "invoke") return words_.size() >= 6 && take_invoke(id);
        const auto found = open_.find(id);
        if (found == open_.end()) return false;
        const Open open = found->second;
        open_.erase(found);
        history_.outcomes[words_[0]]++;
        if (words_[0] == "absurd") history_.absurd.push_back(line);
        return open.journal ? take_fate(open) : take_outcome(open);
    }

    RecordedHistory result() {
        for (auto& [directory, entries] : directories_) {
            std::vector<FileOperation>& operations = history_.directories[directory];
            for (Entry& entry : entries) {
                // A look without an answer says nothing, and what was refused was not done.
                const bool open = entry.operation.ended == FileOperation::kNever;
                if (entry.refused || (open && is_look(entry.operation))) continue;
                operations.push_back(std::move(entry.operation));
            }
        }
        history_.outcomes["open"] += open_.size();
        return std::move(history_);
    }

 private:
    struct Entry {
        FileOperation operation;
        bool refused = false;
    };
    struct Open {
        Journal* journal = nullptr;
        uint64_t number = 0;  // In the journal.
        std::string directory;
        size_t place = 0;  // In the directory's history.
    };

    static bool is_look(const FileOperation& operation) {
        return operation.kind == FileOperation::Kind::kRead || operation.kind == FileOperation::Kind::kStat ||
               operation.kind == FileOperation::Kind::kList;
    }

    bool take_invoke(uint64_t id) {
        if (open_.contains(id)) return false;
        const std::string& directory = words_[4];
        const std::string& verb = words_[5];
        history_.operations++;
        Open open;
        if (verb == "note" || verb == "make") {
            if (words_.size() != 7 || !to_number(words_[6], &open.number)) return false;
            open.journal = &history_.journals[verb + " " + directory];
            if (!open.journal->fates.emplace(open.number, Journal::Fate::kOpen).second) return false;
        } else {
            FileOperation operation;
            if (!parse_operation(id, verb, &operation)) return false;
            open.directory = directory;
            open.place = directories_[directory].size();
            directories_[directory].push_back({std::move(operation)});
        }
        open_[id] = std::move(open);
        return true;
    }

    bool parse_operation(uint64_t id, const std::string& verb, FileOperation* operation) const {
        using Kind = FileOperation::Kind;
        const auto found = std::find(kKinds.begin(), kKinds.end(), verb);
        if (found == kKinds.end()) return false;
        operation->kind = static_cast<Kind>(found - kKinds.begin());
        if (operation->kind == Kind::kWriteAt || operation->kind == Kind::kTruncate) return false;
        operation->begun = time_us_;
        const bool has_bytes = operation->kind == Kind::kWrite || operation->kind == Kind::kAppend;
        const size_t arguments = operation->kind == Kind::kList                  ? 0
                                 : has_bytes || operation->kind == Kind::kRename ? 2
                                                                                 : 1;
        if (words_.size() != 6 + arguments) return false;
        uint64_t file = 0;
        uint64_t second = 0;
        if (arguments > 0 && !to_number(words_[6], &file)) return false;
        if (arguments > 1 && !to_number(words_[7], &second)) return false;
        operation->file = file;
        if (operation->kind == Kind::kRename) operation->to = second;
        if (has_bytes) {
            operation->bytes = second;
            operation->token = static_cast<uint32_t>(id);
        }
        return true;
    }

    bool take_outcome(const Open& open) {
        using Outcome = FileOperation::Outcome;
        Entry& entry = directories_[open.directory][open.place];
        FileOperation& operation = entry.operation;
        const std::string& outcome = words_[0];
        if (outcome == "unknown") return true;
        if (outcome == "fail" || outcome == "absurd") {
            entry.refused = true;
            return true;
        }
        if (outcome == "ok") {
            operation.outcome = Outcome::kOk;
        } else if (outcome == "missing") {
            operation.outcome = Outcome::kMissing;
        } else if (outcome == "exists") {
            operation.outcome = Outcome::kExists;
        } else {
            return false;
        }
        operation.ended = time_us_;
        return outcome != "ok" || take_answer(&operation);
    }

    bool take_answer(FileOperation* operation) const {
        using Kind = FileOperation::Kind;
        const bool number = operation->kind == Kind::kStat || operation->kind == Kind::kAppend;
        const bool list = operation->kind == Kind::kRead || operation->kind == Kind::kList;
        if (words_.size() != (number || list ? 4u : 3u)) return false;
        if (number) return to_number(words_[3], &operation->size);
        if (operation->kind == Kind::kRead) {
            std::vector<uint32_t> tokens;
            if (!to_numbers(words_[3], &tokens)) return false;
            for (const uint32_t token : tokens) operation->contents.push_back({token});
            return true;
        }
        if (!list) return true;
        if (!to_numbers(words_[3], &operation->names)) return false;
        std::sort(operation->names.begin(), operation->names.end());
        return true;
    }

    bool take_fate(const Open& open) {
        Journal::Fate& fate = open.journal->fates[open.number];
        const std::string& outcome = words_[0];
        if (outcome == "unknown" || outcome == "absurd") return true;
        if (outcome != "ok" && outcome != "fail" && outcome != "exists") return false;
        fate = outcome == "ok"     ? Journal::Fate::kAcknowledged
               : outcome == "fail" ? Journal::Fate::kFailed
                                   : Journal::Fate::kExists;
        return true;
    }

    bool take_final() {
        if (words_.size() != 5) return false;
        Journal& journal = history_.journals[words_[2] + " " + words_[3]];
        journal.at_the_end.emplace();
        return to_numbers(words_[4], &*journal.at_the_end);
    }

    RecordedHistory history_;
    std::map<std::string, std::vector<Entry>> directories_;
    std::map<uint64_t, Open> open_;
    std::vector<std::string> words_;
    uint64_t time_us_ = 0;
};

}  // namespace

std::optional<RecordedHistory> read_history(std::istream& text, std::string* error) {
    Reader reader;
    uint64_t number = 0;
    for (std::string line; std::getline(text, line);) {
        number++;
        if (text.eof()) break;  // Cut off by whatever ended the writer.
        if (reader.take(line)) continue;
        *error = str_cat("line ", number, " is not of a history: ", line);
        return std::nullopt;
    }
    return reader.result();
}

std::string_view word_of(FileOperation::Kind kind) {
    return kKinds.at(static_cast<size_t>(kind));
}

std::string join_numbers(const std::vector<uint64_t>& numbers) {
    std::string text;
    for (const uint64_t number : numbers) str_append(&text, text.empty() ? "" : ",", number);
    return text.empty() ? "-" : text;
}

}  // namespace sandstore
