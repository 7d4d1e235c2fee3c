// The configurations that the log holds, by index: the newest one is in force, and comes back when a later one is
// replaced with the entries around it. What lies before the log's beginning comes from the snapshot.
#pragma once

#include <cstdint>
#include <deque>

#include "actors/raft/configuration.h"
#include "runtime/check.h"

namespace sandstore {

class ConfigurationHistory {
 public:
    struct Entry {
        uint64_t index = 0;  // 0: there is none yet.
        Configuration configuration;
    };

    ConfigurationHistory() : entries_(1) {}
    ConfigurationHistory(uint64_t index, Configuration configuration) {
        entries_.push_back({index, std::move(configuration)});
    }

    const Configuration& latest() const { return entries_.back().configuration; }
    uint64_t latest_index() const { return entries_.back().index; }
    // In force at `index`, which must not lie before what was compacted.
    const Entry& at(uint64_t index) const {
        for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
            if (entry->index <= index) return *entry;
        }
        SANDSTORE_CHECK(false, "no configuration at ", index, ", the first is at ", entries_.front().index);
        return entries_.front();
    }

    void append(uint64_t index, Configuration configuration) {
        SANDSTORE_CHECK(index > latest_index(), "index=", index, " latest=", latest_index());
        entries_.push_back({index, std::move(configuration)});
    }
    void truncate_after(uint64_t last_kept) {
        while (entries_.size() > 1 && entries_.back().index > last_kept) entries_.pop_back();
        SANDSTORE_CHECK(entries_.back().index <= last_kept || entries_.back().index == 0, "the configuration at ",
                        entries_.back().index, " is replaced and none is left before it");
    }
    // Nobody will ask for what was in force before `index`.
    void compact(uint64_t index) {
        while (entries_.size() > 1 && entries_[1].index <= index) entries_.pop_front();
    }

 private:
    std::deque<Entry> entries_;  // Never empty; rising indexes.
};

}  // namespace sandstore
