#include "actors/log/log_index.h"

#include <algorithm>

#include "runtime/check.h"

namespace sandstore {

const EntryPlace& LogIndex::place(uint64_t index) const {
    SANDSTORE_CHECK(contains(index), "index=", index, " first=", first_index_, " last=", last_index());
    return places_[index - first_index_];
}

uint64_t LogIndex::term(uint64_t index) const {
    if (index + 1 == first_index_) return term_before_;
    if (!contains(index)) return 0;
    auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                  [](uint64_t wanted, const Run& run) { return wanted < run.first_index; });
    return std::prev(after)->term;
}

void LogIndex::append(uint64_t term, EntryPlace place) {
    SANDSTORE_CHECK(term >= last_term(), "term=", term, " last_term=", last_term(), " index=", last_index() + 1);
    if (runs_.empty() || runs_.back().term != term) runs_.push_back({last_index() + 1, term});
    places_.push_back(place);
}

void LogIndex::truncate_from(uint64_t index) {
    SANDSTORE_CHECK(index >= first_index_, "index=", index, " first=", first_index_);
    if (index > last_index()) return;
    places_.resize(index - first_index_);
    while (!runs_.empty() && runs_.back().first_index >= index) runs_.pop_back();
}

void LogIndex::drop_before(uint64_t index) {
    if (index <= first_index_) return;
    SANDSTORE_CHECK(index <= last_index() + 1, "index=", index, " last=", last_index());
    term_before_ = term(index - 1);
    places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(index - first_index_));
    first_index_ = index;
    auto kept = std::find_if(runs_.begin(), runs_.end(), [&](const Run& run) { return run.first_index > index; });
    if (kept != runs_.begin()) kept--;  // The run that `index` lies in.
    runs_.erase(runs_.begin(), kept);
    if (places_.empty()) runs_.clear();
    if (!runs_.empty()) runs_.front().first_index = index;
}

}  // namespace sandstore
