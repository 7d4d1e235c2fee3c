#include "tests/sim/linearizability.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <unordered_set>

#include "runtime/random.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

using Pieces = std::vector<Piece>;

// Stands for a state, or for a set of operations: of unequal ones it is unequal, but for one time in 2^128.
struct Fingerprint {
    uint64_t high = 0;
    uint64_t low = 0;

    bool operator==(const Fingerprint&) const = default;
    // Of a set: what is put in twice is out again.
    void toggle(const Fingerprint& element) {
        high ^= element.high;
        low ^= element.low;
    }
    void add(uint64_t number) {
        high = mix64(high ^ number);
        low = mix64(low + 0x9e3779b97f4a7c15 + number);
    }
};

struct FingerprintHash {
    size_t operator()(const Fingerprint& print) const { return print.high; }
};

// The files of some directories as they should be after some operations.
class FilesModel {
 public:
    FilesModel(size_t files, size_t directories) : per_directory_(files), files_(files * directories) {}

    // What an operation has replaced, to take it back.
    struct Before;
    // False when the operation's answer does not fit. An unknown outcome always fits. Take it back in both cases.
    bool apply(const FileOperation& operation, Before* before);
    void take_back(Before* before);
    const Fingerprint& print() const { return print_; }

 private:
    struct Contents {
        Pieces pieces;
        Fingerprint print;
    };
    using File = std::shared_ptr<const Contents>;  // Null: there is none.

    static bool fits(const FileOperation& operation, FileOperation::Outcome expected) {
        return operation.outcome == FileOperation::Outcome::kUnknown || operation.outcome == expected;
    }
    bool apply_bytes(const FileOperation& operation, size_t place, Before* before);
    bool apply_rename(const FileOperation& operation, size_t place, Before* before);
    bool look(const FileOperation& operation, const File& file) const;
    bool list(const FileOperation& operation) const;
    void put(size_t place, File file, Before* before);
    void put(size_t place, Pieces pieces, Before* before);
    Fingerprint print_of(size_t place) const;

    size_t per_directory_;
    std::vector<File> files_;
    Fingerprint print_;  // Of all files that are there.
};

struct FilesModel::Before {
    std::vector<std::pair<size_t, File>> files;
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

Fingerprint FilesModel::print_of(size_t place) const {
    Fingerprint print;
    if (files_[place] == nullptr) return print;
    print = files_[place]->print;
    print.add(place + 1);
    return print;
}

void FilesModel::put(size_t place, File file, Before* before) {
    print_.toggle(print_of(place));
    before->files.emplace_back(place, std::exchange(files_[place], std::move(file)));
    print_.toggle(print_of(place));
}

void FilesModel::put(size_t place, Pieces pieces, Before* before) {
    auto contents = std::make_shared<Contents>();
    for (const Piece& piece : pieces) {
        contents->print.add(piece.token);
        contents->print.add(piece.first);
        contents->print.add(piece.bytes);
    }
    contents->pieces = std::move(pieces);
    put(place, std::move(contents), before);
}

void FilesModel::take_back(Before* before) {
    for (; !before->files.empty(); before->files.pop_back()) {
        auto& [place, file] = before->files.back();
        print_.toggle(print_of(place));
        files_[place] = std::move(file);
        print_.toggle(print_of(place));
    }
}

bool FilesModel::apply(const FileOperation& operation, Before* before) {
    if (operation.kind == FileOperation::Kind::kList) return list(operation);
    const size_t place = operation.directory * per_directory_ + operation.file;
    const bool there = files_.at(place) != nullptr;
    switch (operation.kind) {
        case FileOperation::Kind::kCreate:
            if (there) return fits(operation, FileOperation::Outcome::kExists);
            put(place, Pieces(), before);
            return fits(operation, FileOperation::Outcome::kOk);
        case FileOperation::Kind::kWrite:
        case FileOperation::Kind::kAppend:
        case FileOperation::Kind::kWriteAt:
        case FileOperation::Kind::kTruncate:
            if (!there) return fits(operation, FileOperation::Outcome::kMissing);
            return apply_bytes(operation, place, before);
        case FileOperation::Kind::kRemove:
            if (!there) return fits(operation, FileOperation::Outcome::kMissing);
            put(place, nullptr, before);
            return fits(operation, FileOperation::Outcome::kOk);
        case FileOperation::Kind::kRename:
            if (!there) return fits(operation, FileOperation::Outcome::kMissing);
            return apply_rename(operation, place, before);
        default:
            return look(operation, files_[place]);
    }
}

bool FilesModel::apply_bytes(const FileOperation& operation, size_t place, Before* before) {
    if (!fits(operation, FileOperation::Outcome::kOk)) return false;
    const Pieces& now = files_[place]->pieces;
    const uint64_t size = size_of(now);
    const Piece token = {operation.token, 0, operation.bytes};
    Pieces next;
    switch (operation.kind) {
        case FileOperation::Kind::kAppend:
            if (operation.outcome == FileOperation::Outcome::kOk && operation.size != size) return false;
            next = now;
            add(&next, token);
            break;
        case FileOperation::Kind::kWriteAt:
            add_range(&next, now, 0, operation.offset);
            add(&next, token);
            if (operation.offset + operation.bytes < size) {
                add_range(&next, now, operation.offset + operation.bytes, size);
            }
            break;
        case FileOperation::Kind::kTruncate:
            add_range(&next, now, 0, operation.offset);
            break;
        default:
            add(&next, token);
    }
    put(place, std::move(next), before);
    return true;
}

bool FilesModel::apply_rename(const FileOperation& operation, size_t place, Before* before) {
    const size_t to = operation.to_directory * per_directory_ + operation.to;
    if (to != place) {
        put(to, files_[place], before);
        put(place, nullptr, before);
    }
    return fits(operation, FileOperation::Outcome::kOk);
}

bool FilesModel::list(const FileOperation& operation) const {
    if (operation.outcome == FileOperation::Outcome::kUnknown) return true;
    std::vector<size_t> names;
    for (size_t i = 0; i < per_directory_; i++) {
        if (files_[operation.directory * per_directory_ + i] != nullptr) names.push_back(i);
    }
    return operation.outcome == FileOperation::Outcome::kOk && operation.names == names;
}

bool FilesModel::look(const FileOperation& operation, const File& file) const {
    if (operation.outcome == FileOperation::Outcome::kUnknown) return true;
    if (file == nullptr) return operation.outcome == FileOperation::Outcome::kMissing;
    if (operation.outcome != FileOperation::Outcome::kOk) return false;
    const Pieces& pieces = file->pieces;
    if (operation.kind == FileOperation::Kind::kStat) return operation.size == size_of(pieces);
    return std::equal(pieces.begin(), pieces.end(), operation.contents.begin(), operation.contents.end(),
                      [](const Piece& piece, const Piece& seen) {
                          const bool same_bytes = seen.bytes == Piece::kWhole || seen.bytes == piece.bytes;
                          return piece.token == seen.token && piece.first == seen.first && same_bytes;
                      });
}

// Whatever is there, an operation with this answer changes nothing.
bool only_looks(const FileOperation& operation) {
    return operation.kind == FileOperation::Kind::kRead || operation.kind == FileOperation::Kind::kStat ||
           operation.kind == FileOperation::Kind::kList || operation.outcome == FileOperation::Outcome::kMissing ||
           operation.outcome == FileOperation::Outcome::kExists;
}

// A list of operations in some order, from which they are taken and put back, the last one taken first.
class Remaining {
 public:
    explicit Remaining(std::vector<size_t> order) : next_(order.size() + 1), previous_(order.size() + 1) {
        size_t before = order.size();
        for (const size_t i : order) {
            link(before, i);
            before = i;
        }
        link(before, order.size());
    }
    size_t end() const { return next_.size() - 1; }
    size_t first() const { return next_[end()]; }
    size_t after(size_t i) const { return next_[i]; }
    void take(size_t i) { link(previous_[i], next_[i]); }
    void put_back(size_t i) { next_[previous_[i]] = previous_[next_[i]] = i; }

 private:
    void link(size_t one, size_t other) {
        next_[one] = other;
        previous_[other] = one;
    }
    std::vector<size_t> next_, previous_;
};

// Depth first; a branch ends where an operation that has ended would have to come before one that is not done.
class Search {
 public:
    Search(const std::vector<FileOperation>& history, size_t states_max, FilesModel start)
        : history_(history),
          states_max_(states_max),
          state_(std::move(start)),
          by_begin_(in_order([](const FileOperation& operation) { return operation.begun; })),
          by_end_(in_order([](const FileOperation& operation) { return operation.ended; })) {
        for (const FileOperation& operation : history) required_ += operation.ended != FileOperation::kNever ? 1 : 0;
    }

    LinearizabilityResult run() {
        LinearizabilityResult result;
        const bool found = extend();
        result.states = states_;
        if (found) return result;
        result.verdict = states_ > states_max_ ? OrderVerdict::kUndecided : OrderVerdict::kNotLinearizable;
        result.explanation = explain();
        return result;
    }

 private:
    template <typename Key>
    std::vector<size_t> in_order(const Key& key) const {
        std::vector<size_t> order(history_.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return key(history_[a]) < key(history_[b]); });
        return order;
    }

    // What may come next, what ended first before what ended later, and what never ended last: most histories then
    // need hardly any search.
    std::vector<size_t> candidates() const {
        std::vector<size_t> found;
        if (by_end_.first() == by_end_.end()) return found;
        const uint64_t first_end = history_[by_end_.first()].ended;
        for (size_t i = by_begin_.first(); i != by_begin_.end() && history_[i].begun <= first_end;) {
            found.push_back(i);
            i = by_begin_.after(i);
        }
        std::stable_sort(found.begin(), found.end(),
                         [this](size_t a, size_t b) { return history_[a].ended < history_[b].ended; });
        return found;
    }

    static Fingerprint print_of(size_t operation) {
        Fingerprint print;
        print.add(operation + 1);
        return print;
    }

    void take(size_t i) {
        by_begin_.take(i);
        by_end_.take(i);
        done_.toggle(print_of(i));
        required_ -= history_[i].ended != FileOperation::kNever ? 1 : 0;
        path_.push_back(i);
    }

    void put_back_last() {
        const size_t i = path_.back();
        path_.pop_back();
        required_ += history_[i].ended != FileOperation::kNever ? 1 : 0;
        done_.toggle(print_of(i));
        by_end_.put_back(i);
        by_begin_.put_back(i);
    }

    // What only looks, and may look now, need not wait: whatever order follows, it fits as well with this in front.
    void look_around() {
        for (bool more = true; more;) {
            more = false;
            for (const size_t i : candidates()) {
                const FileOperation& operation = history_[i];
                FilesModel::Before before;
                const bool looks = operation.ended != FileOperation::kNever && only_looks(operation);
                const bool fits = looks && state_.apply(operation, &before);
                state_.take_back(&before);
                if (!fits) continue;
                take(i);
                more = true;
            }
        }
    }

    bool extend() {
        const size_t length = path_.size();
        look_around();
        if (required_ == 0) return true;
        if (++states_ <= states_max_ && is_new() && try_each()) return true;
        if (path_.size() > best_.size()) best_ = path_;
        while (path_.size() > length) put_back_last();
        return false;
    }

    bool is_new() {
        Fingerprint both = done_;
        both.add(state_.print().high);
        both.add(state_.print().low);
        return seen_.insert(both).second;
    }

    bool try_each() {
        for (const size_t i : candidates()) {
            const FileOperation& operation = history_[i];
            const Fingerprint now = state_.print();
            FilesModel::Before before;
            bool wanted = state_.apply(operation, &before);
            // What changes nothing and answered nothing need not have happened yet.
            wanted = wanted && (operation.ended != FileOperation::kNever || state_.print() != now);
            if (wanted) {
                take(i);
                if (extend()) return true;
                put_back_last();
            }
            state_.take_back(&before);
            if (states_ > states_max_) return false;
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
        for (size_t i = by_end_.first(); i != by_end_.end(); i = by_end_.after(i)) {
            if (!ordered[i]) str_append(&text, "  ", to_text(history_[i]), "\n");
        }
        return text;
    }

    const std::vector<FileOperation>& history_;
    const size_t states_max_;
    FilesModel state_;
    Remaining by_begin_, by_end_;
    size_t required_ = 0;  // Of those that have ended, so many are not done.
    Fingerprint done_;
    std::vector<size_t> path_, best_;
    std::unordered_set<Fingerprint, FingerprintHash> seen_;
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
    return Search(history, states_max, FilesModel(files, directories)).run();
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
