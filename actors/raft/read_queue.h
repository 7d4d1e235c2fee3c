// Linearizable reads that wait for the leader to be confirmed (thesis 6.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace sandstore {

// A read may be answered at its index once a heartbeat round that began after it arrived was answered by a majority.
class ReadQueue {
 public:
    struct Read {
        uint64_t token;  // The caller's name for it.
        uint64_t index;
        uint64_t round;
    };

    void add(uint64_t token, uint64_t index, uint64_t round) { reads_.push_back({token, index, round}); }
    bool empty() const { return reads_.empty(); }
    size_t size() const { return reads_.size(); }
    // Reads wait for rounds in the order they came in.
    bool wants_round_after(uint64_t round) const { return !reads_.empty() && reads_.back().round > round; }
    std::vector<Read> take_confirmed(uint64_t round) {
        std::vector<Read> confirmed;
        while (!reads_.empty() && reads_.front().round <= round) {
            confirmed.push_back(reads_.front());
            reads_.pop_front();
        }
        return confirmed;
    }
    std::vector<Read> take_all() { return take_confirmed(UINT64_MAX); }

 private:
    std::deque<Read> reads_;
};

}  // namespace sandstore
