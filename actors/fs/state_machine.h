// StateMachine: the POSIX namespace and the client sessions, as the log makes them.
//
// In:  StartStateMachine (once, before all else), Apply (from RaftNode: committed entries, in order and without gaps),
//      Query and StateHashRequest (requests; held until minimum_index is applied).
// Out: StateMachineReady to RaftNode at the start; Applied for each Apply; QueryResult, StateHash.
//
// Persists nothing: the log is the truth. Never looks at a clock for what it keeps: times come with the commands.
// A gap in the entries, or an entry that cannot be decoded, breaks an invariant and stops the node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "actors/fs/replicated_state.h"
#include "runtime/actor.h"

namespace sandstore {

class StateMachine final : public Actor {
 public:
    // Queries and hash requests that wait for their index; beyond: RESOURCE_EXHAUSTED.
    static constexpr size_t kHeldMax = 10'000;

    void receive(Message message, Context& context) override;

    const ReplicatedState& state() const { return state_; }

 private:
    struct Held {
        Message request;
        ReplyTo asker;
    };

    void on_start_state_machine(const pb::StartStateMachine& start, Context& context);
    void on_apply(Message message, Context& context);
    void on_query(Message message, Context& context);
    void on_state_hash_request(Message message, Context& context);

    bool ready_for(uint64_t minimum_index) const { return started_ && minimum_index <= state_.applied_index(); }
    void hold(uint64_t minimum_index, Message request, Context& context);
    void answer(const Message& request, const ReplyTo& asker, Context& context);
    void refuse(const Message& request, const ReplyTo& asker, pb::StatusCode code, std::string_view why,
                Context& context);
    void answer_held(Context& context);
    void drop_overdue(Context& context);

    bool started_ = false;
    ReplicatedState state_;
    std::multimap<uint64_t, Held> held_;  // By minimum_index.
};

}  // namespace sandstore
