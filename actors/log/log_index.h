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

    // Empty, the next entry being `first_index`.
    explicit LogIndex(uint64_t first_index = 1) : first_index_(first_index) {}

    uint64_t first_index() const { return first_index_; }
    uint64_t last_index() const { return first_index_ + places_.size() - 1; }
    uint64_t last_term() const { return runs_.empty() ? 0 : runs_.back().term; }
    bool contains(uint64_t index) const { return index >= first_index_ && index <= last_index(); }
    const EntryPlace& place(uint64_t index) const;  // Contained; checked.
    uint64_t term(uint64_t index) const;            // 0 when not contained.
    const std::vector<Run>& term_runs() const { return runs_; }

    // The next entry. Terms never fall; checked.
    void append(uint64_t term, EntryPlace place);
    // Forgets `index` and everything after it. first_index() <= index; checked.
    void truncate_from(uint64_t index);

 private:
    uint64_t first_index_;
    std::deque<EntryPlace> places_;
    std::vector<Run> runs_;
};

}  // namespace sandstore
