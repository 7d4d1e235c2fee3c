// All that the replicas of a cluster agree on, as the StateMachine sees it. Whatever kind of state it is, there is one
// way to change it: apply(), command by command in the order of the log. A plain object without I/O, clock or
// randomness: the same configuration and commands give the same results and the same hash everywhere.
//
// A kind of state is a class derived from this one, made of tables whose copies cost nothing (cow_map.h), with a writer
// and a restorer of its own (state_writer.h, state_restorer.h). It keeps the protected members up to date.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "actors/chunk/chunk_key.h"
#include "messages/fs.pb.h"

namespace sandstore {

class StateRestorer;
class StateWriter;

class ReplicatedState {
 public:
    static constexpr uint64_t kWorkOfCommand = 8;          // Of one that does little: most of it is reading it.
    static constexpr uint64_t kCommandBytesPerWork = 256;  // Beyond that.

    virtual ~ReplicatedState() = default;

    // Once, before all else. All nodes of a cluster must be given the same values; the hash covers them, so that a
    // difference shows.
    virtual void configure(const pb::StartStateMachine& settings) = 0;

    // A command's outcome, serialized. The index is the one after applied_index(); checked. Bytes that are no command
    // that is known here change nothing but applied_index(), and are a problem(). The entry's term is what chunk ids
    // are checked against; 0: they are not.
    virtual std::string apply(uint64_t index, std::string_view command_bytes, uint64_t term) = 0;
    // An entry of the log that is not a command. Its index as above.
    virtual void skip(uint64_t index) = 0;

    // Answers with a status, too, what is no question about this kind of state. Gives how much work it was.
    virtual uint64_t answer(const pb::Query& query, pb::QueryResult* result) const = 0;

    // When there is something to do that only further entries bring on, by the cluster's clock: 0: nothing is left;
    // 1: now.
    virtual uint64_t work_due_us() const = 0;
    // Of all of it. Costs the same whatever its size.
    virtual uint64_t hash() const = 0;

    // What writes this state down as it is now, while it goes on. Costs nothing; never null.
    virtual std::unique_ptr<StateWriter> freeze() const = 0;
    // What builds another state of this kind from a snapshot. Never null.
    virtual std::unique_ptr<StateRestorer> restorer(const pb::StartStateMachine& settings) const = 0;

    // Takes it apart, at most so many nodes of its maps at a time; counts them down. True when nothing is left.
    virtual bool discard(size_t* nodes) = 0;

    uint64_t applied_index() const { return applied_index_; }  // Of the last entry; 0: none so far.
    uint64_t clock_us() const { return clock_us_; }            // The cluster's: the greatest that a leader reckoned.
    // What the entries so far have cost, in objects looked at or changed, for differences. Not part of the state.
    uint64_t work() const { return work_; }
    // Why whoever has applied the last command must not go on: another version may have carried it out. Or empty.
    const std::string& problem() const { return problem_; }
    // Chunks that no command can use again since the last command. Not part of the state.
    const std::vector<ChunkKey>& collected() const { return collected_; }

 protected:
    ReplicatedState() = default;
    ReplicatedState(const ReplicatedState&) = default;
    ReplicatedState(ReplicatedState&&) = default;
    ReplicatedState& operator=(const ReplicatedState&) = default;
    ReplicatedState& operator=(ReplicatedState&&) = default;

    uint64_t applied_index_ = 0;
    uint64_t clock_us_ = 0;
    uint64_t work_ = 0;
    std::string problem_;  // Not part of the state: nothing comes after it.
    std::vector<ChunkKey> collected_;
};

}  // namespace sandstore
