// What a node's log store has reported durable, followed from the messages between RaftNode and LogStore: the terms of
// the entries, and the hard state. Independent of what RaftCore believes.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "actors/raft/term_index.h"
#include "runtime/message.h"

namespace sandstore {

class DurableLog {
 public:
    // What was not durable is gone, or is not: what the disk holds is as after some of the writes under way.
    void begin_process();
    // LogRecovered, LogWrite and LogPersisted; others are ignored.
    void on_deliver(const Message& message);

    // Is `other` what this log may be after begin_process()?
    bool may_be(const DurableLog& other) const;
    uint64_t shortest_end() const;                                             // Of all that it may be.
    bool is_settled() const { return writes_.empty() && under_way_.empty(); }  // It is just one thing.
    void lose_from(uint64_t index);  // The disk lost what it had, from there on.
    // The first entry, as (index, term), that a write since the last call has taken away; index 0: none.
    std::pair<uint64_t, uint64_t> take_dropped() { return std::exchange(dropped_, {}); }
    // Entries of a term that the hard state does not know: a crash then would forget the term, but not the entries.
    bool is_ahead_of_its_term() const { return ahead_of_term_; }

    const TermIndex& terms() const { return terms_; }
    uint64_t term() const { return term_; }
    const std::string& voted_for() const { return voted_for_; }
    // Everything before the first index is in snapshots.
    bool holds(uint64_t index, uint64_t term) const {
        return index < terms_.first_index() || terms_.matches(index, term);
    }

 private:
    struct Write {
        uint64_t write_id = 0;
        bool has_hard_state = false;
        uint64_t term = 0;
        std::string voted_for;
        bool restarts = false;
        uint64_t restart_index = 0;
        uint64_t restart_term = 0;
        uint64_t first_index = 0;
        std::vector<uint64_t> terms;
    };
    void recover(const Message& message);
    void write(const Message& message);
    void carry_out(const Write& write);
    void note_dropped(uint64_t from);
    bool is_like(const DurableLog& other) const;

    TermIndex terms_;
    uint64_t term_ = 0;
    std::string voted_for_;
    std::deque<Write> writes_;
    std::deque<Write> under_way_;  // When the process ended.
    std::pair<uint64_t, uint64_t> dropped_;
    bool ahead_of_term_ = false;
};

}  // namespace sandstore
