// Where each durable entry lies: 12 bytes an entry, and the terms as runs. A plain value, no I/O.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace sandstore {

struct EntryPlace {
    uint32_t segment = 0;  // Number of the segment.
    uint32_t offset = 0;   // Of the encoded record in the segment's file.
    uint32_t bytes = 0;    // Length of the encoded record.
};

class LogIndex {
 public:
    struct Run {
        uint64_t first_index;
        uint64_t term;
    };

    // Empty, the next entry being `first_index`; the one before it has `term_before`, 0 when that is not known.
    explicit LogIndex(uint64_t first_index = 1, uint64_t term_before = 0)
        : first_index_(first_index), term_before_(term_before) {}

    uint64_t first_index() const { return first_index_; }
    uint64_t last_index() const { return first_index_ + places_.size() - 1; }
    uint64_t last_term() const { return runs_.empty() ? term_before_ : runs_.back().term; }
    bool empty() const { return places_.empty(); }
    bool contains(uint64_t index) const { return index >= first_index_ && index <= last_index(); }
    const EntryPlace& place(uint64_t index) const;  // Contained; checked.
    uint64_t term(uint64_t index) const;            // 0 when not known. Of first_index() - 1 too.
    // One for each term, in order; the first begins with first_index().
    const std::vector<Run>& term_runs() const { return runs_; }

    // The next entry. Terms never fall; checked.
    void append(uint64_t term, EntryPlace place);
    // Forgets `index` and everything after it. first_index() <= index; checked.
    void truncate_from(uint64_t index);
    // Forgets everything before `index`, which is at most last_index() + 1; checked.
    void drop_before(uint64_t index);

 private:
    uint64_t first_index_;
    uint64_t term_before_;
    std::deque<EntryPlace> places_;
    std::vector<Run> runs_;
};

}  // namespace sandstore
