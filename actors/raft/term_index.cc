#include "actors/raft/term_index.h"

#include <algorithm>

#include "runtime/check.h"

namespace sandstore {

TermIndex::TermIndex(uint64_t before_index, uint64_t before_term)
    : before_index_(before_index), before_term_(before_term), last_index_(before_index) {}

std::optional<uint64_t> TermIndex::term_at(uint64_t index) const {
    if (index == before_index_) return before_term_;
    if (index < before_index_ || index > last_index_) return std::nullopt;
    auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                  [](uint64_t value, const Run& run) { return value < run.first_index; });
    return std::prev(after)->term;
}

void TermIndex::append(uint64_t term, uint64_t count) {
    if (count == 0) return;
    SANDSTORE_CHECK(term >= last_term(), "term=", term, " last_term=", last_term());
    if (runs_.empty() || runs_.back().term != term) runs_.push_back({last_index_ + 1, term});
    last_index_ += count;
}

void TermIndex::truncate_after(uint64_t last_kept) {
    SANDSTORE_CHECK(last_kept >= before_index_ && last_kept <= last_index_, "last_kept=", last_kept,
                    " first=", first_index(), " last=", last_index_);
    while (!runs_.empty() && runs_.back().first_index > last_kept) runs_.pop_back();
    last_index_ = last_kept;
}

void TermIndex::compact(uint64_t before_index) {
    const std::optional<uint64_t> term = term_at(before_index);
    SANDSTORE_CHECK(term, "before_index=", before_index, " first=", first_index(), " last=", last_index_);
    before_index_ = before_index;
    before_term_ = *term;
    while (!runs_.empty()) {
        const uint64_t end = runs_.size() > 1 ? runs_[1].first_index : last_index_ + 1;
        if (end > before_index + 1) {
            runs_.front().first_index = std::max(runs_.front().first_index, before_index + 1);
            return;
        }
        runs_.erase(runs_.begin());
    }
}

uint64_t TermIndex::last_at_or_below(uint64_t index, uint64_t term) const {
    index = std::min(index, last_index_);
    for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
        if (run->term <= term && run->first_index <= index) return index;
        index = std::min(index, run->first_index - 1);
    }
    return std::min(index, before_index_);
}

}  // namespace sandstore
