// The terms of a log without its entries: runs of equal terms, so that a log of millions of entries needs a few
// numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sandstore {

// Covers first_index() - 1 (the entry before, with its term) to last_index(). Terms never fall.
class TermIndex {
 public:
    struct Run {
        uint64_t first_index;
        uint64_t term;
    };

    // An empty log whose next entry is before_index + 1.
    explicit TermIndex(uint64_t before_index = 0, uint64_t before_term = 0);

    uint64_t first_index() const { return before_index_ + 1; }
    uint64_t last_index() const { return last_index_; }
    uint64_t last_term() const { return runs_.empty() ? before_term_ : runs_.back().term; }
    std::optional<uint64_t> term_at(uint64_t index) const;  // Nothing outside of what is covered.
    bool matches(uint64_t index, uint64_t term) const { return term_at(index) == std::optional<uint64_t>(term); }

    void append(uint64_t term, uint64_t count = 1);
    void truncate_after(uint64_t last_kept);  // last_kept in [first_index() - 1, last_index()]
    void compact(uint64_t before_index);      // Forgets what comes before; before_index in the same range.

    // The largest index <= `index` whose term is <= `term`: where two logs may still agree (thesis 3.5's hint).
    uint64_t last_at_or_below(uint64_t index, uint64_t term) const;

 private:
    uint64_t before_index_;
    uint64_t before_term_;
    uint64_t last_index_;
    std::vector<Run> runs_;
};

}  // namespace sandstore
