// All that the replicas of a cluster agree on, and the one way to change it: apply(), command by command in the order
// of the log. Namespace and client sessions, and a clock, the greatest that a leader has reckoned. A plain object: the
// same configuration and commands give the same results and the same hash everywhere.
//
// A copy costs nothing and stays as it is while the original goes on (cow_map.h): that is how a snapshot is taken.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "actors/fs/namespace.h"
#include "actors/fs/sessions.h"
#include "messages/fs.pb.h"

namespace sandstore {

class ReplicatedState {
 public:
    // All nodes of a cluster must be given the same values; the hash covers them, so that a difference shows.
    void configure(const pb::StartStateMachine& settings);

    // A command's outcome: a serialized MutationResult. Bytes that are no command that is known here change nothing
    // but applied_index, and are a problem(). The entry's term is what chunk ids are checked against; 0: they are not.
    std::string apply(uint64_t index, std::string_view command_bytes, uint64_t term = 0);
    // Why whoever has applied the last command must not go on: another version may have carried it out. Or empty.
    const std::string& problem() const { return problem_; }
    // An entry of the log that is not a command.
    void skip(uint64_t index);

    void answer(const pb::Query& query, pb::QueryResult* result) const;

    // What the entries so far have cost, in objects looked at or changed, for differences. Not part of the state.
    uint64_t work() const { return work_ + namespace_.extents_moved(); }
    static constexpr uint64_t kWorkOfCommand = 8;          // Of one that does little: most of it is reading it.
    static constexpr uint64_t kCommandBytesPerWork = 256;  // Beyond that.

    uint64_t applied_index() const { return applied_index_; }
    uint64_t clock_us() const { return clock_us_; }
    const Namespace& files() const { return namespace_; }
    const Sessions& sessions() const { return sessions_; }
    uint64_t hash() const;
    uint64_t walk_hash() const;  // The same, computed from scratch.

    // Takes it apart, at most so many nodes of its maps at a time; counts them down. True when nothing is left.
    bool discard(size_t* nodes) { return namespace_.discard(nodes) && sessions_.discard(nodes); }

 private:
    friend class StateWriter;  // Snapshots hold everything that is here.
    friend class StateRestorer;

    void advance(uint64_t index);
    std::string apply_in_session(const pb::Mutation& mutation, const Occasion& when);
    Outcome perform(const pb::Mutation& mutation, const Occasion& when, pb::MutationResult* result);
    uint64_t combine(uint64_t namespace_hash, uint64_t sessions_hash) const;

    uint64_t chunk_commit_window_us_ = 0;
    uint64_t session_timeout_us_ = 0;
    uint64_t sessions_max_ = 0;
    uint64_t applied_index_ = 0;
    uint64_t clock_us_ = 0;
    uint64_t work_ = 0;
    std::string problem_;  // Not part of the state: nothing comes after it.
    Namespace namespace_;
    Sessions sessions_;
};

}  // namespace sandstore
