// The replicated state of a file system: the namespace and the client sessions (actors/state/replicated_state.h). A
// command is a pb::Command, its outcome a serialized pb::MutationResult.
//
// A copy costs nothing and stays as it is while the original goes on (cow_map.h): that is how a snapshot is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "actors/fs/namespace.h"
#include "actors/state/replicated_state.h"
#include "actors/state/sessions.h"
#include "messages/fs.pb.h"

namespace sandstore {

class FileState final : public ReplicatedState {
 public:
    void configure(const pb::StartStateMachine& settings) override;
    std::string apply(uint64_t index, std::string_view command_bytes, uint64_t term = 0) override;
    void skip(uint64_t index) override;
    uint64_t answer(const pb::Query& query, pb::QueryResult* result) const override;

    uint64_t work_due_us() const override { return namespace_.work_due_us(); }
    uint64_t hash() const override;
    std::unique_ptr<StateWriter> freeze() const override;
    std::unique_ptr<StateRestorer> restorer(const pb::StartStateMachine& settings) const override;
    bool discard(size_t* nodes) override { return namespace_.discard(nodes) && sessions_.discard(nodes); }

    const Namespace& files() const { return namespace_; }
    const Sessions& sessions() const { return sessions_; }
    uint64_t walk_hash() const;  // The same as hash(), computed from scratch.

 private:
    friend class FileStateWriter;  // Snapshots hold everything that is here.
    friend class FileStateRestorer;

    void advance(uint64_t index);
    void end_entry(uint64_t moved_before);
    void set_clock(const pb::Command& command);
    std::string carry_out(const pb::Command& command, uint64_t index, uint64_t term);
    std::string apply_in_session(const pb::Mutation& mutation, const Occasion& when);
    Outcome perform(const pb::Mutation& mutation, const Occasion& when, pb::MutationResult* result);
    uint64_t combine(uint64_t namespace_hash, uint64_t sessions_hash) const;

    uint64_t chunk_commit_window_us_ = 0;
    uint64_t session_timeout_us_ = 0;
    uint64_t sessions_max_ = 0;
    Namespace namespace_;
    Sessions sessions_;
};

}  // namespace sandstore
