#include "tests/sim/linearizability.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

using Pieces = std::vector<Piece>;

// The files of some directories as they should be after some operations.
class FilesModel {
 public:
    FilesModel(size_t files, size_t directories) : per_directory_(files), files_(files * directories) {}

    // False when the operation's answer does not fit. An unknown outcome always fits.
    bool apply(const FileOperation& operation);
    bool same_as(const FilesModel& other) const { return key() == other.key(); }
    std::string key() const;

 private:
    using File = std::optional<Pieces>;

    static bool fits(const FileOperation& operation, FileOperation::Outcome expected) {
        return operation.outcome == FileOperation::Outcome::kUnknown || operation.outcome == expected;
    }
    bool apply_create(const FileOperation& operation, File& file);
    bool apply_bytes(const FileOperation& operation, File& file);
    bool apply_rename(const FileOperation& operation, File& file);
    bool look(const FileOperation& operation, const File& file) const;
    bool list(const FileOperation& operation) const;

    size_t per_directory_;
    std::vector<File> files_;
};

uint64_t size_of(const Pieces& file) {
    uint64_t size = 0;
    for (const Piece& piece : file) size += piece.bytes;
    return size;
}

// As a read would see it: what continues is one piece.
void add(Pieces* file, const Piece& piece) {
    if (piece.bytes == 0) return;
    if (!file->empty()) {
        Piece& last = file->back();
        if (last.token == piece.token && (piece.token == 0 || last.first + last.bytes == piece.first)) {
            last.bytes += piece.bytes;
            return;
        }
    }
    file->push_back(piece);
}

// The bytes [from, to) of the file; zeros where it is shorter.
void add_range(Pieces* out, const Pieces& file, uint64_t from, uint64_t to) {
    uint64_t at = 0;
    for (const Piece& piece : file) {
        const uint64_t begin = std::max(at, from);
        const uint64_t end = std::min(at + piece.bytes, to);
        if (begin < end) {
            add(out, {piece.token, piece.token == 0 ? 0 : piece.first + (begin - at), end - begin});
        }
        at += piece.bytes;
    }
    const uint64_t begin = std::max(at, from);
    if (begin < to) add(out, {0, 0, to - begin});
}

bool FilesModel::apply(const FileOperation& operation) {
    if (operation.kind == FileOperation::Kind::kList) return list(operation);
    File& file = files_.at(operation.directory * per_directory_ + operation.file);
    switch (operation.kind) {
        case FileOperation::Kind::kCreate:
            return apply_create(operation, file);
        case FileOperation::Kind::kWrite:
        case FileOperation::Kind::kAppend:
        case FileOperation::Kind::kWriteAt:
        case FileOperation::Kind::kTruncate:
            return apply_bytes(operation, file);
        case FileOperation::Kind::kRemove: {
            const bool there = file.has_value();
            file.reset();
            return fits(operation, there ? FileOperation::Outcome::kOk : FileOperation::Outcome::kMissing);
        }
        case FileOperation::Kind::kRename:
            return apply_rename(operation, file);
        default:
            return look(operation, file);
    }
}

bool FilesModel::apply_create(const FileOperation& operation, File& file) {
    if (file) return fits(operation, FileOperation::Outcome::kExists);
    file.emplace();
    return fits(operation, FileOperation::Outcome::kOk);
}

bool FilesModel::apply_bytes(const FileOperation& operation, File& file) {
    if (!file) return fits(operation, FileOperation::Outcome::kMissing);
    if (!fits(operation, FileOperation::Outcome::kOk)) return false;
    const uint64_t size = size_of(*file);
    const Piece token = {operation.token, 0, operation.bytes};
    Pieces next;
    switch (operation.kind) {
        case FileOperation::Kind::kAppend:
            if (operation.outcome == FileOperation::Outcome::kOk && operation.size != size) return false;
            add(&*file, token);
            return true;
        case FileOperation::Kind::kWriteAt:
            add_range(&next, *file, 0, operation.offset);
            add(&next, token);
            if (operation.offset + operation.bytes < size) {
                add_range(&next, *file, operation.offset + operation.bytes, size);
            }
            break;
        case FileOperation::Kind::kTruncate:
            add_range(&next, *file, 0, operation.offset);
            break;
        default:
            add(&next, token);
    }
    file = std::move(next);
    return true;
}

bool FilesModel::apply_rename(const FileOperation& operation, File& file) {
    if (!file) return fits(operation, FileOperation::Outcome::kMissing);
    File& to = files_.at(operation.to_directory * per_directory_ + operation.to);
    if (&to != &file) {
        to = std::move(file);
        file.reset();
    }
    return fits(operation, FileOperation::Outcome::kOk);
}

bool FilesModel::list(const FileOperation& operation) const {
    if (operation.outcome == FileOperation::Outcome::kUnknown) return true;
    std::vector<size_t> names;
    for (size_t i = 0; i < per_directory_; i++) {
        if (files_[operation.directory * per_directory_ + i]) names.push_back(i);
    }
    return operation.outcome == FileOperation::Outcome::kOk && operation.names == names;
}

bool FilesModel::look(const FileOperation& operation, const File& file) const {
    if (operation.outcome == FileOperation::Outcome::kUnknown) return true;
    if (!file) return operation.outcome == FileOperation::Outcome::kMissing;
    if (operation.outcome != FileOperation::Outcome::kOk) return false;
    if (operation.kind == FileOperation::Kind::kStat) return operation.size == size_of(*file);
    return std::equal(file->begin(), file->end(), operation.contents.begin(), operation.contents.end(),
                      [](const Piece& piece, const Piece& seen) {
                          const bool same_bytes = seen.bytes == Piece::kWhole || seen.bytes == piece.bytes;
                          return piece.token == seen.token && piece.first == seen.first && same_bytes;
                      });
}

// Unequal for unequal states.
std::string FilesModel::key() const {
    std::string key;
    const auto add = [&key](uint64_t number) {
        const auto half = static_cast<uint32_t>(number);
        key.append(reinterpret_cast<const char*>(&half), sizeof(half));
    };
    for (const File& file : files_) {
        add(file ? file->size() + 1 : 0);
        if (!file) continue;
        for (const Piece& piece : *file) {
            add(piece.token);
            add(piece.first);
            add(piece.bytes);
        }
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

    LinearizabilityResult run(const FilesModel& start) {
        LinearizabilityResult result;
        const bool found = extend(start, 0);
        result.states = states_;
        if (found) return result;
        result.verdict = states_ > states_max_ ? Verdict::kUndecided : Verdict::kNotLinearizable;
        result.explanation = explain();
        return result;
    }

 private:
    bool extend(const FilesModel& state, size_t required_done) {
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
            FilesModel next = state;
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
    static constexpr std::string_view kNames[] = {"create", "write",  "append", "write_at", "truncate",
                                                  "remove", "rename", "read",   "stat",     "list"};
    return kNames[static_cast<size_t>(kind)];
}

std::string outcome_text(const FileOperation& operation) {
    switch (operation.outcome) {
        case FileOperation::Outcome::kMissing:
            return "missing";
        case FileOperation::Outcome::kExists:
            return "exists";
        case FileOperation::Outcome::kRefused:
            return "refused";
        case FileOperation::Outcome::kUnknown:
            return "unknown";
        case FileOperation::Outcome::kOk:
            break;
    }
    std::string text = "ok";
    if (operation.kind == FileOperation::Kind::kStat) str_append(&text, " size=", operation.size);
    if (operation.kind == FileOperation::Kind::kAppend) str_append(&text, " offset=", operation.size);
    if (operation.kind == FileOperation::Kind::kRead) {
        for (const Piece& piece : operation.contents) {
            str_append(&text, " ", piece.token);
            if (piece.bytes != Piece::kWhole) str_append(&text, "[", piece.first, "+", piece.bytes, "]");
        }
    }
    if (operation.kind == FileOperation::Kind::kList) {
        for (const size_t name : operation.names) str_append(&text, " f", name);
    }
    return text;
}

}  // namespace

LinearizabilityResult check_linearizable(const std::vector<FileOperation>& history, size_t files, size_t directories,
                                         size_t states_max) {
    return Search(history, states_max).run(FilesModel(files, directories));
}

std::string to_text(const FileOperation& operation) {
    using Kind = FileOperation::Kind;
    std::string text =
        str_cat(operation.begun, "..",
                operation.ended == FileOperation::kNever ? std::string("?") : std::to_string(operation.ended), " ",
                name_of(operation.kind), " d", operation.directory);
    if (operation.kind != Kind::kList) str_append(&text, "/f", operation.file);
    if (operation.kind == Kind::kRename) str_append(&text, " to d", operation.to_directory, "/f", operation.to);
    if (operation.kind == Kind::kWriteAt || operation.kind == Kind::kTruncate) {
        str_append(&text, " at ", operation.offset);
    }
    if (operation.token != 0) str_append(&text, " token ", operation.token, " of ", operation.bytes, " bytes");
    return str_cat(text, ": ", outcome_text(operation));
}

}  // namespace sandstore
