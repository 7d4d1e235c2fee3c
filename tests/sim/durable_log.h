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
    void begin_process() { writes_.clear(); }  // What was not durable is gone.
    // LogRecovered, LogWrite and LogPersisted; others are ignored.
    void on_deliver(const Message& message);

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

    TermIndex terms_;
    uint64_t term_ = 0;
    std::string voted_for_;
    std::deque<Write> writes_;
};

}  // namespace sandstore
