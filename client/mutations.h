// Mutations through the log, each exactly once. They share one session, which is opened when the first one needs it,
// and carry a sequence each; a repeated attempt carries the same session and sequence, so that the state machine
// answers it instead of applying it again. When the session is unknown there, a mutation that cannot have been applied
// moves to a new session; one that may have been is reported as of unknown outcome.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "client/calls.h"
#include "messages/fs.pb.h"

namespace sandstore {

// The numbers of one session. Sequences rise by one; a sequence is needed until its result, or the end of its time.
class Session {
 public:
    static constexpr uint64_t kWindow = 1000;

    explicit Session(uint64_t id = 0) : id_(id) {}
    uint64_t id() const { return id_; }
    bool is_open() const { return id_ != 0; }
    uint64_t take_sequence();
    void finished(uint64_t sequence) { needed_.erase(sequence); }
    uint64_t oldest_needed() const { return needed_.empty() ? next_sequence_ : *needed_.begin(); }
    // The state machine keeps a bounded number of results for a session: a sequence too far ahead of the oldest needed
    // could push out a result that is still asked for.
    bool has_room() const { return next_sequence_ - oldest_needed() < kWindow; }

 private:
    uint64_t id_;
    uint64_t next_sequence_ = 1;
    std::set<uint64_t> needed_;
};

class Mutations {
 public:
    static constexpr uint32_t kTimerTag = 2;  // TimerFired with this tag goes to on_timer().

    void begin(pb::Mutation mutation, CallOwner owner, uint64_t until_us, Calls& calls, Context& context);
    // For ends whose owner is a mutation or the session. Appends what that ends for the operations.
    void on_call_ended(CallEnd end, Calls& calls, Context& context, std::vector<CallEnd>* ended);
    // A mutation waited for the session until its time was over.
    std::optional<CallEnd> on_timer(uint64_t mutation_id);
    // The mutation that ends the session, for the last call; none when there is nothing to end.
    std::optional<pb::Mutation> close_session();
    const Session& session() const { return session_; }

 private:
    static constexpr unsigned kSessionRenewalsMax = 3;  // Of one mutation.
    static constexpr uint64_t kOpenSessionUs = 10'000'000;

    struct Pending {
        pb::Mutation mutation;
        CallOwner owner;
        uint64_t until_us = 0;
        unsigned renewals = 0;
        bool sent = false;
        TimerId timer = 0;  // While it waits for a session.
    };

    void wait_for_session(uint64_t id, Calls& calls, Context& context);
    void send_waiting(Calls& calls, Context& context);
    void send(uint64_t id, Calls& calls, Context& context);
    void on_session_call_ended(CallEnd end, Calls& calls, Context& context, std::vector<CallEnd>* ended);
    void open_session(Calls& calls, Context& context);
    CallEnd finish(uint64_t id, CallEnd end);

    Session session_;
    bool opening_ = false;
    uint64_t next_id_ = 1;
    std::unordered_map<uint64_t, Pending> pending_;  // Looked up only, never walked.
    std::deque<uint64_t> waiting_;  // For the session to open or to have room, oldest first; may name ended ones.
};

}  // namespace sandstore
