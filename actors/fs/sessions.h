// Client sessions: what makes a retried mutation be answered instead of applied twice (Raft thesis, section 6.3). Part
// of the replicated state: everything here follows from the commands and their times, never from a local clock.
//
// A session remembers the result of each sequence number until its client says (oldest_needed) that it has it, and at
// most kSessionResultsMax of them. What is older is refused: it may have been applied, and must not be again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace sandstore {

class Sessions {
 public:
    enum class Admission {
        kNew,        // Apply it, then remember() its result.
        kDuplicate,  // Already applied: here is the result.
        kForgotten,  // Too old to tell.
        kUnknown,    // No such session, or it has expired.
    };

    void configure(uint64_t timeout_us, size_t sessions_max);

    // Drops some of the sessions that have expired. Those that are left count as unknown all the same.
    void expire(uint64_t clock_us, size_t sessions_dropped_max);
    // When there are too many sessions, the least recently active one goes.
    void open(uint64_t session_id, uint64_t clock_us);
    bool close(uint64_t session_id, uint64_t clock_us);  // False: unknown.

    Admission admit(uint64_t session_id, uint64_t sequence, uint64_t oldest_needed, uint64_t clock_us,
                    std::string* result);
    // Of a session that has just admitted the sequence number; checked.
    void remember(uint64_t session_id, uint64_t sequence, const std::string& result);

    size_t size() const { return sessions_.size(); }
    size_t results_of(uint64_t session_id) const;
    uint64_t hash() const { return hash_; }
    uint64_t walk_hash() const;  // The same, computed from scratch.

 private:
    struct Session {
        uint64_t last_active_us = 0;
        uint64_t forgotten_below = 1;  // Sequence numbers below are refused.
        std::map<uint64_t, std::string> results;
    };
    using Table = std::map<uint64_t, Session>;

    bool expired(const Session& session, uint64_t clock_us) const;
    void touch(Table::iterator session, uint64_t clock_us);
    void forget_below(Table::iterator session, uint64_t sequence);
    void forget_oldest(Table::iterator session);
    void erase(Table::iterator session);
    static uint64_t hash_of(uint64_t id, const Session& session);  // Without its results.
    static uint64_t hash_of_result(uint64_t id, uint64_t sequence, const std::string& result);

    uint64_t timeout_us_ = 0;
    size_t sessions_max_ = 1;
    Table sessions_;
    std::set<std::pair<uint64_t, uint64_t>> by_activity_;  // (last_active_us, id)
    uint64_t hash_ = 0;
};

}  // namespace sandstore
