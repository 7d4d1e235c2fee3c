// Client sessions: what makes a retried mutation be answered instead of applied twice (Raft thesis, section 6.3). Part
// of the replicated state: everything here follows from the commands and their times, never from a local clock.
//
// A session remembers the result of each sequence number until its client says (oldest_needed) that it has it, and at
// most kSessionResultsMax of them. What is older is refused: it may have been applied, and must not be again.
// Copying all sessions costs nothing (cow_map.h).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

#include "actors/state/cow_map.h"

namespace sandstore {

// Results kept for one session whose client does not say which it has. Replicas must agree on it.
inline constexpr size_t kSessionResultsMax = 1024;

class Sessions {
 public:
    enum class Admission {
        kNew,        // Apply it, then remember() its result.
        kDuplicate,  // Already applied: here is the result.
        kForgotten,  // Too old to tell.
        kUnknown,    // No such session, or it has expired.
    };

    struct Session {
        uint64_t last_active_us = 0;
        uint64_t forgotten_below = 1;  // Sequence numbers below are refused.
        uint64_t results = 0;          // Kept.
    };
    struct ResultKey {
        uint64_t session = 0;
        uint64_t sequence = 0;
        auto operator<=>(const ResultKey&) const = default;
    };
    using Table = CowMap<uint64_t, Session>;
    using Results = CowMap<ResultKey, std::string>;

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
    size_t sessions_max() const { return sessions_max_; }
    size_t results_of(uint64_t session_id) const;
    const Table& table() const { return sessions_; }
    const Results& results() const { return results_; }
    uint64_t hash() const { return hash_; }
    uint64_t walk_hash() const;  // The same, computed from scratch.

    // From a snapshot: both new; checked. The session's results count from 0.
    void restore(uint64_t session_id, uint64_t last_active_us, uint64_t forgotten_below);
    void restore_result(uint64_t session_id, uint64_t sequence, std::string result);

    bool discard(size_t* nodes) {
        return sessions_.discard(nodes) && results_.discard(nodes) && by_activity_.discard(nodes);
    }

 private:
    struct Activity {
        uint64_t last_active_us = 0;
        uint64_t session = 0;
        auto operator<=>(const Activity&) const = default;
    };
    struct Nothing {};

    bool expired(const Session& session, uint64_t clock_us) const;
    void touch(uint64_t session_id, Session* session, uint64_t clock_us);
    void forget_below(uint64_t session_id, Session* session, uint64_t sequence);
    void forget_results(uint64_t session_id, Session* session, uint64_t last_sequence);
    void erase(uint64_t session_id);
    static uint64_t hash_of(uint64_t id, const Session& session);  // Without its results.
    static uint64_t hash_of_result(const ResultKey& key, const std::string& result);

    uint64_t timeout_us_ = 0;
    size_t sessions_max_ = 1;
    Table sessions_;
    Results results_;
    CowMap<Activity, Nothing> by_activity_;  // Follows from sessions_.
    uint64_t hash_ = 0;
};

}  // namespace sandstore
