#include "tests/sim/linearizability.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

struct Token {
    uint32_t id;
    uint64_t bytes;
};

// The files of a directory as they should be after some operations.
class DirectoryModel {
 public:
    explicit DirectoryModel(size_t files) : files_(files) {}

    // False when the operation's answer does not fit. An unknown outcome always fits.
    bool apply(const FileOperation& operation);
    bool same_as(const DirectoryModel& other) const { return key() == other.key(); }
    std::string key() const;

 private:
    using File = std::optional<std::vector<Token>>;

    static uint64_t size_of(const File& file);
    static bool fits(const FileOperation& operation, FileOperation::Outcome expected) {
        return operation.outcome == FileOperation::Outcome::kUnknown || operation.outcome == expected;
    }
    bool apply_create(const FileOperation& operation, File& file);
    bool apply_bytes(const FileOperation& operation, File& file);
    bool apply_rename(const FileOperation& operation, File& file);
    bool look(const FileOperation& operation, const File& file) const;

    std::vector<File> files_;
};

uint64_t DirectoryModel::size_of(const File& file) {
    uint64_t size = 0;
    for (const Token& token : *file) size += token.bytes;
    return size;
}

bool DirectoryModel::apply(const FileOperation& operation) {
    File& file = files_.at(operation.file);
    switch (operation.kind) {
        case FileOperation::Kind::kCreate:
            return apply_create(operation, file);
        case FileOperation::Kind::kWrite:
        case FileOperation::Kind::kAppend:
            return apply_bytes(operation, file);
        case FileOperation::Kind::kRemove: {
            const bool there = file.has_value();
            file.reset();
            return fits(operation, there ? FileOperation::Outcome::kOk : FileOperation::Outcome::kMissing);
        }
        case FileOperation::Kind::kRename:
            return apply_rename(operation, file);
        case FileOperation::Kind::kRead:
        case FileOperation::Kind::kStat:
        case FileOperation::Kind::kList:
            return look(operation, file);
    }
    return false;
}

bool DirectoryModel::apply_create(const FileOperation& operation, File& file) {
    if (file) return fits(operation, FileOperation::Outcome::kExists);
    file.emplace();
    return fits(operation, FileOperation::Outcome::kOk);
}

bool DirectoryModel::apply_bytes(const FileOperation& operation, File& file) {
    if (!file) return fits(operation, FileOperation::Outcome::kMissing);
    if (!fits(operation, FileOperation::Outcome::kOk)) return false;
    if (operation.kind == FileOperation::Kind::kWrite) {
        file->clear();
    } else if (operation.outcome == FileOperation::Outcome::kOk && operation.size != size_of(file)) {
        return false;
    }
    file->push_back({operation.token, operation.bytes});
    return true;
}

bool DirectoryModel::apply_rename(const FileOperation& operation, File& file) {
    if (!file) return fits(operation, FileOperation::Outcome::kMissing);
    if (operation.to != operation.file) {
        files_.at(operation.to) = std::move(file);
        file.reset();
    }
    return fits(operation, FileOperation::Outcome::kOk);
}

bool DirectoryModel::look(const FileOperation& operation, const File& file) const {
    if (operation.outcome == FileOperation::Outcome::kUnknown) return true;
    if (operation.kind == FileOperation::Kind::kList) {
        std::vector<size_t> names;
        for (size_t i = 0; i < files_.size(); i++) {
            if (files_[i]) names.push_back(i);
        }
        return operation.outcome == FileOperation::Outcome::kOk && operation.names == names;
    }
    if (!file) return operation.outcome == FileOperation::Outcome::kMissing;
    if (operation.outcome != FileOperation::Outcome::kOk) return false;
    if (operation.kind == FileOperation::Kind::kStat) return operation.size == size_of(file);
    return std::equal(file->begin(), file->end(), operation.contents.begin(), operation.contents.end(),
                      [](const Token& token, uint32_t id) { return token.id == id; });
}

// Unequal for unequal states. Lengths follow from the tokens.
std::string DirectoryModel::key() const {
    std::string key;
    const auto add = [&key](uint32_t number) { key.append(reinterpret_cast<const char*>(&number), sizeof(number)); };
    for (const File& file : files_) {
        add(file ? static_cast<uint32_t>(file->size()) + 1 : 0);
        if (!file) continue;
        for (const Token& token : *file) add(token.id);
    }
    return key;
}

// Depth first; a branch ends where an operation that has ended would have to come before one that is not done.
class Search {
 public:
    Search(const std::vector<FileOperation>& history, size_t states_max)
        : history_(history), states_max_(states_max), done_(history.size(), '\0') {
        for (size_t i = 0; i < history.size(); i++) order_.push_back(i);
        // What ended first is tried first, and what never ended last: most histories then need hardly any search.
        std::stable_sort(order_.begin(), order_.end(),
                         [&](size_t a, size_t b) { return history[a].ended < history[b].ended; });
        for (const FileOperation& operation : history) required_ += operation.ended != FileOperation::kNever ? 1 : 0;
    }

    LinearizabilityResult run(const DirectoryModel& start) {
        LinearizabilityResult result;
        const bool found = extend(start, 0);
        result.states = states_;
        if (found) return result;
        result.verdict = states_ > states_max_ ? Verdict::kUndecided : Verdict::kNotLinearizable;
        result.explanation = explain();
        return result;
    }

 private:
    bool extend(const DirectoryModel& state, size_t required_done) {
        if (required_done == required_) return true;
        if (++states_ > states_max_) return false;
        if (path_.size() > best_.size() || best_.empty()) best_ = path_;
        uint64_t first_end = FileOperation::kNever;
        for (const size_t i : order_) {
            if (done_[i] != '\0') continue;
            first_end = history_[i].ended;
            break;
        }
        for (const size_t i : order_) {
            const FileOperation& operation = history_[i];
            if (done_[i] != '\0' || operation.begun > first_end) continue;
            DirectoryModel next = state;
            if (!next.apply(operation)) continue;
            const bool known = operation.ended != FileOperation::kNever;
            // What changes nothing and answered nothing need not have happened yet.
            if (!known && next.same_as(state)) continue;
            done_[i] = '\1';
            if (seen_.insert(done_ + next.key()).second) {
                path_.push_back(i);
                if (extend(next, required_done + (known ? 1 : 0))) return true;
                path_.pop_back();
            }
            done_[i] = '\0';
        }
        return false;
    }

    std::string explain() const {
        std::string text = "in this order so far:\n";
        std::vector<bool> ordered(history_.size());
        for (const size_t i : best_) {
            str_append(&text, "  ", to_text(history_[i]), "\n");
            ordered[i] = true;
        }
        text += "and none of these fits next:\n";
        for (const size_t i : order_) {
            if (!ordered[i]) str_append(&text, "  ", to_text(history_[i]), "\n");
        }
        return text;
    }

    const std::vector<FileOperation>& history_;
    const size_t states_max_;
    std::vector<size_t> order_;
    size_t required_ = 0;
    std::string done_;  // One byte for each operation: also the first half of the memo's key.
    std::vector<size_t> path_, best_;
    std::unordered_set<std::string> seen_;
    size_t states_ = 0;
};

std::string_view name_of(FileOperation::Kind kind) {
    static constexpr std::string_view kNames[] = {"create", "write", "append", "remove",
                                                  "rename", "read",  "stat",   "list"};
    return kNames[static_cast<size_t>(kind)];
}

std::string outcome_text(const FileOperation& operation) {
    switch (operation.outcome) {
        case FileOperation::Outcome::kMissing:
            return "missing";
        case FileOperation::Outcome::kExists:
            return "exists";
        case FileOperation::Outcome::kUnknown:
            return "unknown";
        case FileOperation::Outcome::kOk:
            break;
    }
    std::string text = "ok";
    if (operation.kind == FileOperation::Kind::kStat) str_append(&text, " size=", operation.size);
    if (operation.kind == FileOperation::Kind::kAppend) str_append(&text, " offset=", operation.size);
    if (operation.kind == FileOperation::Kind::kRead) {
        for (const uint32_t token : operation.contents) str_append(&text, " ", token);
    }
    if (operation.kind == FileOperation::Kind::kList) {
        for (const size_t name : operation.names) str_append(&text, " f", name);
    }
    return text;
}

}  // namespace

LinearizabilityResult check_linearizable(const std::vector<FileOperation>& history, size_t files, size_t states_max) {
    return Search(history, states_max).run(DirectoryModel(files));
}

std::string to_text(const FileOperation& operation) {
    std::string text =
        str_cat(operation.begun, "..",
                operation.ended == FileOperation::kNever ? std::string("?") : std::to_string(operation.ended), " ",
                name_of(operation.kind));
    if (operation.kind != FileOperation::Kind::kList) str_append(&text, " f", operation.file);
    if (operation.kind == FileOperation::Kind::kRename) str_append(&text, " to f", operation.to);
    const bool has_token =
        operation.kind == FileOperation::Kind::kWrite || operation.kind == FileOperation::Kind::kAppend;
    if (has_token) str_append(&text, " token ", operation.token, " of ", operation.bytes, " bytes");
    return str_cat(text, ": ", outcome_text(operation));
}

}  // namespace sandstore
