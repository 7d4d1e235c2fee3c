#include "actors/fs/file_state.h"

#include <algorithm>

#include "actors/fs/file_state_restorer.h"
#include "actors/fs/file_state_writer.h"
#include "actors/fs/known.h"
#include "actors/fs/limits.h"
#include "actors/fs/validate.h"
#include "actors/state/state_hasher.h"
#include "runtime/check.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

std::string result_of(const Outcome& outcome) {
    pb::MutationResult result;
    fill_status(outcome, result.mutable_status());
    return result.SerializeAsString();
}

// A remembered result of a failure has no sentence.
std::string with_usual_text(std::string bytes) {
    pb::MutationResult result;
    const bool read = result.ParseFromString(bytes);
    SANDSTORE_CHECK(read, "a result that was remembered cannot be read");
    if (result.status().code() == pb::STATUS_OK) return bytes;
    fill_status(result.status().code(), result.mutable_status());
    return result.SerializeAsString();
}

[[maybe_unused]] uint64_t commands_of_this_process = 0;  // For a planted fault: not the same on all replicas.

}  // namespace

void FileState::configure(const pb::StartStateMachine& settings) {
    chunk_commit_window_us_ = settings.chunk_commit_window_us();
    session_timeout_us_ = settings.session_timeout_us();
    sessions_max_ = settings.sessions_max();
    sessions_.configure(session_timeout_us_, sessions_max_);
}

void FileState::advance(uint64_t index) {
    SANDSTORE_CHECK(index == applied_index_ + 1, "index=", index, " applied=", applied_index_);
    applied_index_ = index;
    work_ += kWorkOfCommand;
    namespace_.set_index(index);
}

// Every entry brings on what earlier ones have left to be done.
void FileState::end_entry(uint64_t moved_before) {
    namespace_.reclaim(kExtentsReclaimedPerCommand);
    work_ += namespace_.extents_moved() - moved_before;
}

void FileState::skip(uint64_t index) {
    const uint64_t moved_before = namespace_.extents_moved();
    advance(index);
    end_entry(moved_before);
}

std::string FileState::apply(uint64_t index, std::string_view command_bytes, uint64_t term) {
    const uint64_t moved_before = namespace_.extents_moved();
    advance(index);
    work_ += command_bytes.size() / kCommandBytesPerWork;
    pb::Command command;
    const bool read = command.ParseFromArray(command_bytes.data(), static_cast<int>(command_bytes.size()));
    if (Outcome outcome = read ? check_known(command) : Outcome{pb::STATUS_INVALID_ARGUMENT, "it cannot be read"};
        !outcome.ok() && !planted("unknown-command-skipped")) {
        problem_ = str_cat("entry ", index, " of the log holds a command that this version does not know (",
                           outcome.why, "): update this node to the version of the others");
        return result_of(outcome);
    }
    set_clock(command);
    std::string result = carry_out(command, index, term);
    end_entry(moved_before);
    namespace_.take_collected(&collected_);
    return result;
}

// What is over at this time ends.
void FileState::set_clock(const pb::Command& command) {
    // Before there is a clock, the first leader's wall clock is it.
    clock_us_ = std::max(clock_us_, command.clock_us() == 0 ? command.time_us() : command.clock_us());
    if (planted("session-expiry-by-local-order")) clock_us_ += commands_of_this_process++ % 2;
    sessions_.expire(clock_us_, kSessionsExpiredPerCommand);
    namespace_.set_clock(clock_us_, chunk_commit_window_us_);
    namespace_.begin_collecting();
    namespace_.expire_holds(clock_us_);
    namespace_.expire_leases(clock_us_);
}

std::string FileState::carry_out(const pb::Command& command, uint64_t index, uint64_t term) {
    const pb::Mutation& mutation = command.mutation();
    pb::MutationResult result;
    if (command.housekeeping()) {
        result.set_clock_us(clock_us_);
        return result.SerializeAsString();
    }
    if (Outcome outcome = check_mutation(mutation); !outcome.ok()) return result_of(outcome);
    if (mutation.has_open_session()) {
        sessions_.open(index, clock_us_);
        result.set_session_id(index);
        return result.SerializeAsString();
    }
    if (mutation.has_move_chunks()) {
        namespace_.move_chunks(mutation.move_chunks(), &result);
        return result.SerializeAsString();
    }
    if (mutation.has_close_session()) {
        const bool closed = sessions_.close(mutation.session_id(), clock_us_);
        namespace_.end_leases_of(mutation.session_id());
        return result_of(closed ? Outcome() : Outcome(pb::STATUS_SESSION_EXPIRED));
    }
    const Occasion when{command.time_us(),       clock_us_, mutation.uid(), mutation.gid(),
                        chunk_commit_window_us_, index,     term,           mutation.session_id()};
    return apply_in_session(mutation, when);
}

std::string FileState::apply_in_session(const pb::Mutation& mutation, const Occasion& when) {
    std::string bytes;
    switch (sessions_.admit(mutation.session_id(), mutation.sequence(), mutation.oldest_needed(), clock_us_, &bytes)) {
        case Sessions::Admission::kDuplicate:
            if (planted("dedup-dropped")) {
                pb::MutationResult again;
                fill_status(perform(mutation, when, &again), again.mutable_status());
                return again.SerializeAsString();
            }
            return with_usual_text(std::move(bytes));
        case Sessions::Admission::kUnknown:
            return result_of(pb::STATUS_SESSION_EXPIRED);
        case Sessions::Admission::kForgotten:
            return result_of(
                {pb::STATUS_INVALID_ARGUMENT,
                 "The result of this sequence number is no longer kept; whether it was applied is unknown"});
        case Sessions::Admission::kNew:
            break;
    }
    pb::MutationResult result;
    const Outcome outcome = perform(mutation, when, &result);
    if (!outcome.ok()) result.Clear();
    fill_status(outcome, result.mutable_status());
    result.set_clock_us(clock_us_);
    bytes = result.SerializeAsString();
    // Sentences differ between versions, and the hash must not: what is remembered says why by its code alone.
    if (!outcome.ok()) result.mutable_status()->clear_message();
    sessions_.remember(mutation.session_id(), mutation.sequence(), outcome.ok() ? bytes : result.SerializeAsString());
    return bytes;
}

Outcome FileState::perform(const pb::Mutation& mutation, const Occasion& when, pb::MutationResult* result) {
    switch (mutation.operation_case()) {
        case pb::Mutation::kMakeDirectory:
            return namespace_.make_directory(mutation.make_directory(), when, result);
        case pb::Mutation::kCreateFile:
            return namespace_.create_file(mutation.create_file(), when, result);
        case pb::Mutation::kRemoveFile:
            return namespace_.remove_file(mutation.remove_file(), when);
        case pb::Mutation::kRemoveDirectory:
            return namespace_.remove_directory(mutation.remove_directory(), when);
        case pb::Mutation::kRename:
            return namespace_.rename(mutation.rename(), when, result);
        case pb::Mutation::kSetAttributes:
            return namespace_.set_attributes(mutation.set_attributes(), when, result);
        case pb::Mutation::kCommitExtents:
            return namespace_.commit_extents(mutation.commit_extents(), when, result);
        case pb::Mutation::kReplaceExtents:
            return namespace_.replace_extents(mutation.replace_extents(), when);
        case pb::Mutation::kAbandonChunks:
            return namespace_.abandon_chunks(mutation.abandon_chunks(), when);
        case pb::Mutation::kHoldChunks:
            return namespace_.hold_chunks(mutation.hold_chunks(), when, result);
        case pb::Mutation::kReleaseHold:
            return namespace_.release_hold(mutation.release_hold());
        case pb::Mutation::kLeaseFile:
            return namespace_.lease_file(mutation.lease_file(), when, result);
        case pb::Mutation::kEndLease:
            return namespace_.end_lease(mutation.end_lease());
        case pb::Mutation::kPublishFile:
            return namespace_.publish_file(mutation.publish_file(), when, result);
        case pb::Mutation::kOpenSession:
        case pb::Mutation::kCloseSession:
        case pb::Mutation::kMoveChunks:
        case pb::Mutation::OPERATION_NOT_SET:
            break;
    }
    SANDSTORE_CHECK(false, "operation ", mutation.operation_case(), " was not checked");
    return pb::STATUS_INTERNAL;
}

uint64_t FileState::answer(const pb::Query& query, pb::QueryResult* result) const {
    Outcome outcome = check_query(query);
    if (outcome.ok()) {
        switch (query.operation_case()) {
            case pb::Query::kStat:
                outcome = namespace_.stat(query.stat(), result);
                break;
            case pb::Query::kListDirectory:
                outcome = namespace_.list_directory(query.list_directory(), result);
                break;
            case pb::Query::kReadExtents:
                outcome = namespace_.read_extents(query.read_extents(), result);
                break;
            case pb::Query::kStatFileSystem:
                namespace_.stat_file_system(result);
                break;
            case pb::Query::kChunksOfNode:
                namespace_.chunks_of_node(query.chunks_of_node(), result);
                break;
            case pb::Query::kExportState:  // The state machine's own affair.
            case pb::Query::OPERATION_NOT_SET:
                outcome = {pb::STATUS_INVALID_ARGUMENT, "Not a question about the state"};
                break;
        }
    }
    fill_status(outcome, result->mutable_status());
    return kWorkOfCommand +
           static_cast<uint64_t>(result->entries_size() + result->extents_size() + result->chunks_size());
}

std::unique_ptr<StateWriter> FileState::freeze() const {
    return std::make_unique<FileStateWriter>(*this);
}

std::unique_ptr<StateRestorer> FileState::restorer(const pb::StartStateMachine& settings) const {
    return std::make_unique<FileStateRestorer>(settings);
}

uint64_t FileState::combine(uint64_t namespace_hash, uint64_t sessions_hash) const {
    return StateHasher(StateHasher::Kind::kState)
        .add(chunk_commit_window_us_)
        .add(session_timeout_us_)
        .add(sessions_max_)
        .add(applied_index_)
        .add(clock_us_)
        .add(namespace_hash)
        .add(sessions_hash)
        .value();
}

uint64_t FileState::hash() const {
    return combine(namespace_.hash(), sessions_.hash());
}

uint64_t FileState::walk_hash() const {
    return combine(namespace_.walk_hash(), sessions_.walk_hash());
}

}  // namespace sandstore
