#include "actors/fs/file_service.h"

#include <algorithm>
#include <utility>

#include "actors/fs/file_operations.h"
#include "actors/fs/known.h"
#include "actors/fs/limits.h"
#include "actors/fs/validate.h"
#include "actors/raft/feature_level.h"
#include "actors/state/outcome.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"

namespace sandstore {

namespace {

pb::Status status_of(const Outcome& outcome) {
    pb::Status status;
    fill_status(outcome, &status);
    return status;
}

// What only this node's own actors may say.
bool is_internal(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kMutation:
        case pb::Envelope::kQuery:
        case pb::Envelope::kAllocateChunks:
        case pb::Envelope::kChunkAudit:
        case pb::Envelope::kChunkStats:
            return false;
        default:
            return true;
    }
}

// Sessions are needed for removing, holds and leases for reading: all are bounded.
bool may_go_on_full_disk(const pb::Mutation& mutation) {
    switch (mutation.operation_case()) {
        case pb::Mutation::kOpenSession:
        case pb::Mutation::kCloseSession:
        case pb::Mutation::kRemoveFile:
        case pb::Mutation::kRemoveDirectory:
        case pb::Mutation::kHoldChunks:
        case pb::Mutation::kReleaseHold:
        case pb::Mutation::kEndLease:
        case pb::Mutation::kAbandonChunks:
            return mutation.filler().empty();
        case pb::Mutation::kLeaseFile:
            return mutation.filler().empty() && !mutation.lease_file().upload();
        case pb::Mutation::kSetAttributes:
            return mutation.filler().empty() && mutation.set_attributes().has_size();
        case pb::Mutation::kCommitExtents:
            return mutation.filler().empty() && mutation.commit_extents().extents().empty();
        default:
            return false;
    }
}

// By what any node stores: another leader may have wanted shorter or longer ones a moment ago.
Outcome check_chunk_lengths(const pb::Mutation& mutation) {
    for (const pb::Extent& extent : mutation.commit_extents().extents()) {
        if (extent.chunk_length() > kChunkBytesStored) {
            return {pb::STATUS_EINVAL, "A chunk is larger than chunks may be"};
        }
    }
    if (mutation.replace_extents().extent().chunk_length() > kChunkBytesStored) {
        return {pb::STATUS_EINVAL, "A chunk is larger than chunks may be"};
    }
    return {};
}

}  // namespace

void FileService::receive(Message message, Context& context) {
    if (!message->from_node().empty() && is_internal(message->body_case())) return context.unexpected(message);
    switch (message->body_case()) {
        case pb::Envelope::kStartFiles:
            return on_start_files(message->start_files(), context);
        case pb::Envelope::kClusterView:
            return placement_.set_members(message->cluster_view());
        case pb::Envelope::kConfigurationChanged:
            return on_configuration_changed(message->configuration_changed().configuration());
        case pb::Envelope::kRoleChanged:
            return on_role_changed(message->role_changed(), context);
        case pb::Envelope::kUnfinishedWork:
            return on_unfinished_work(message->unfinished_work(), context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(context);
        case pb::Envelope::kPeerUp:
            members_changed();
            return placement_.set_up(message->peer_up().node_id(), true);
        case pb::Envelope::kPeerDown:
            members_changed();
            return placement_.set_up(message->peer_down().node_id(),
                                     message->peer_down().node_id() == settings_.node_id());
        case pb::Envelope::kChunkStats:
            // A node speaks for itself only.
            if (!message->from_node().empty() && message->from_node() != message->chunk_stats().node_id()) {
                return context.unexpected(message);
            }
            return placement_.set_stats(message->chunk_stats());
        case pb::Envelope::kMutation:
            return on_mutation(std::move(message), context);
        case pb::Envelope::kQuery:
            return on_query(std::move(message), context);
        case pb::Envelope::kAllocateChunks:
            return on_allocate_chunks(std::move(message), context);
        case pb::Envelope::kChunkAudit:
            return on_chunk_audit(message, context);
        case pb::Envelope::kProposeReply:
            return on_propose_reply(std::move(message), context);
        case pb::Envelope::kReadIndexReply:
            return on_read_index_reply(message, context);
        case pb::Envelope::kQueryResult:
            return on_query_result(std::move(message), context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(message, context);
        default:
            return context.unexpected(message);
    }
}

// --- What this node knows --------------------------------------------------------------------------------------------

void FileService::on_start_files(const pb::StartFiles& start, Context& context) {
    SANDSTORE_CHECK(!started_, "the file service was started twice");
    started_ = true;
    settings_ = start;
    placement_.set_up(settings_.node_id(), true);
    metrics_.emplace(context.metrics(), "files", file_operations());
    in_flight_ = &context.metrics().gauge("sandstore_requests_in_flight",
                                          "Requests that wait for Raft or the namespace.", {{"api", "files"}});
}

void FileService::on_role_changed(const pb::RoleChanged& role, Context& context) {
    role_known_ = true;
    role_ = role;
    plan_housekeeping(context);
    // A term has one leader, and that leader counts: no two chunks get the same id. The count goes on when the same
    // term is announced again.
    if (role.role() != pb::RoleChanged::LEADER || role.term() <= allocation_term_) return;
    allocation_term_ = role.term();
    next_number_ = 1;
    members_changed();
}

// --- The cluster's clock, and what it brings on ----------------------------------------------------------------------

// As the state machine told it, and the time since. Once there is one it goes by the time that passes on the leader,
// and no wall clock moves it: one that is far ahead lets nothing expire early, one that is behind holds nothing back.
uint64_t FileService::cluster_clock_us(const Context& context) const {
    return cluster_clock_us_ == 0 ? 0 : cluster_clock_us_ + (context.now_us() - clock_heard_at_us_);
}

void FileService::note_clock(uint64_t clock_us, const Context& context) {
    if (clock_us <= cluster_clock_us(context)) return;
    cluster_clock_us_ = clock_us;
    clock_heard_at_us_ = context.now_us();
}

// A process that has just begun to lead may not have applied a single command: then the state is asked, after all that
// was committed, whether the cluster has a clock.
bool FileService::is_clock_unknown() const {
    return cluster_clock_us_ == 0 && clockless_term_ != role_.term() && !planted("wall-clock-becomes-the-cluster-s");
}

void FileService::wait_for_clock(Message request, Context& context) {
    waiting_.push_back(std::move(request));
    if (waiting_.size() > 1) return;
    clock_asked_term_ = role_.term();
    Pending pending;
    pending.origin.kind = Kind::kClock;
    pending.query.mutable_chunks_of_node()->set_node_id(settings_.node_id());
    pending.query.mutable_chunks_of_node()->set_limit(1);
    pb::ReadIndex read;
    read.set_leader_only(true);
    ask(pb::ACTOR_RAFT, message_of(read), std::move(pending), context);
}

void FileService::on_clock(const pb::QueryResult& result, Context& context) {
    note_clock(result.clock_us(), context);
    clockless_term_ = clock_asked_term_;
    for (Message& request : std::exchange(waiting_, {})) receive(std::move(request), context);
}

void FileService::refuse_waiting(const pb::Status& status, Context& context) {
    for (const Message& request : std::exchange(waiting_, {})) refuse(origin_of(request, context), status, context);
}

FileService::Origin FileService::origin_of(const Message& request, const Context& context) {
    if (request->has_mutation()) {
        return {Kind::kMutation, operation_of(request->mutation()), reply_to(request), context.now_us()};
    }
    return {Kind::kAllocation, kAllocateOperation, reply_to(request), context.now_us()};
}

void FileService::on_unfinished_work(const pb::UnfinishedWork& work, Context& context) {
    note_clock(work.clock_us(), context);
    work_due_us_ = work.due_us();
    plan_housekeeping(context);
}

void FileService::plan_housekeeping(Context& context) {
    context.cancel_timer(housekeeping_);
    housekeeping_ = 0;
    if (!is_leader() || work_due_us_ == 0 || housekeeping_proposed_) return;
    const uint64_t clock_us = cluster_clock_us(context);
    const uint64_t left_us = work_due_us_ - std::min(work_due_us_, clock_us);
    housekeeping_ = context.arm_timer(std::max(left_us, kHousekeepingEveryUs), 0);
}

void FileService::on_timer_fired(Context& context) {
    housekeeping_ = 0;
    if (!is_leader() || housekeeping_proposed_ || !started_) return;
    housekeeping_proposed_ = true;
    pb::Command housekeeping;
    housekeeping.set_housekeeping(true);
    pb::Propose propose;
    propose.set_on_full_disk(true);
    Pending pending;
    pending.origin.kind = Kind::kHousekeeping;
    ask(pb::ACTOR_RAFT, message_of(propose, Payload(command(std::move(housekeeping), context))), std::move(pending),
        context);
}

std::string FileService::command(pb::Command command, const Context& context) const {
    command.set_time_us(context.wall_us());
    command.set_clock_us(cluster_clock_us(context));
    return command.SerializeAsString();
}

// --- Requests --------------------------------------------------------------------------------------------------------

bool FileService::admit(const Origin& origin, bool leader_only, Context& context) {
    const ReplyTo& asker = origin.asker;
    if (!started_) {
        refuse(origin, pb::STATUS_UNAVAILABLE, "The node is still starting", context);
    } else if (leader_only && role_known_ && role_.role() != pb::RoleChanged::LEADER) {
        refuse(origin, not_leader(role_.leader_id()), context);
    } else if (asker.deadline_us != 0 && asker.deadline_us <= context.now_us()) {
        refuse(origin, pb::STATUS_DEADLINE_EXCEEDED, "The deadline had passed before the request was looked at",
               context);
    } else if (pending_.size() + waiting_.size() >= settings_.requests_max()) {
        refuse(origin, pb::STATUS_RESOURCE_EXHAUSTED, "The node has too many requests in flight: try again later",
               context);
    } else {
        return true;
    }
    return false;
}

void FileService::on_configuration_changed(const pb::RaftConfiguration& configuration) {
    members_changed();
    feature_level_ = feature_level_of(configuration.feature_level());
    placement_.set_configuration(configuration);
}

// What the log may not hold yet (actors/raft/feature_level.h).
Outcome FileService::check_level(const pb::Mutation& mutation) const {
    if (!mutation.has_abandon_chunks() || feature_level_ >= 2) return {};
    return {pb::STATUS_INVALID_ARGUMENT,
            "The log has a feature level without this operation: sandstore cluster raise-features"};
}

void FileService::on_mutation(Message message, Context& context) {
    pb::Mutation& mutation = *message->mutable_mutation();
    const Origin origin = origin_of(message, context);
    if (!started_) return refuse(origin, pb::STATUS_UNAVAILABLE, "The node is still starting", context);
    Outcome outcome = check_mutation(mutation);
    if (outcome.ok()) outcome = check_known(mutation);
    if (outcome.ok()) outcome = check_chunk_lengths(mutation);
    if (mutation.has_move_chunks()) outcome = {pb::STATUS_INVALID_ARGUMENT, "The cluster itself moves chunks"};
    if (!outcome.ok()) return refuse(origin, status_of(outcome), context);
    if (!admit(origin, true, context)) return;
    outcome = check_level(mutation);
    if (outcome.ok()) outcome = check_allocated(mutation);
    if (!outcome.ok()) return refuse(origin, status_of(outcome), context);
    if (is_clock_unknown()) return wait_for_clock(std::move(message), context);
    // Addresses change; the log keeps node ids only.
    if (mutation.has_commit_extents()) {
        for (pb::Extent& extent : *mutation.mutable_commit_extents()->mutable_extents()) {
            extent.mutable_chunk()->clear_addresses();
        }
    }
    if (mutation.has_replace_extents()) {
        mutation.mutable_replace_extents()->mutable_extent()->mutable_chunk()->clear_addresses();
    }
    pb::Propose propose;
    propose.set_on_full_disk(may_go_on_full_disk(mutation));
    const bool earlier_chunks = names_earlier_chunks(mutation);
    pb::Command made;
    *made.mutable_mutation() = std::move(mutation);
    std::string bytes = command(std::move(made), context);
    if (bytes.size() > kCommandBytesMax) {
        return refuse(origin, pb::STATUS_INVALID_ARGUMENT, "The mutation is too large: split it", context);
    }
    Pending pending;
    pending.origin = origin;
    pending.origin.earlier_chunks = earlier_chunks;
    ask(pb::ACTOR_RAFT, message_of(propose, Payload(std::move(bytes))), std::move(pending), context);
}

// Of this leader's own term it knows which ids were given out.
Outcome FileService::check_allocated(const pb::Mutation& mutation) const {
    constexpr std::string_view kNever = "No such chunk was ever allocated";
    if (!is_leader() || allocation_term_ != role_.term()) return {};
    const auto given_out = [this](const pb::ChunkId& id) {
        return id.term() != allocation_term_ || id.number() < next_number_;
    };
    for (const pb::Extent& extent : mutation.commit_extents().extents()) {
        if (!given_out(extent.chunk().id())) return {pb::STATUS_EINVAL, kNever};
    }
    for (const pb::AbandonChunks::Chunk& chunk : mutation.abandon_chunks().chunks()) {
        if (!given_out(chunk.id())) return {pb::STATUS_EINVAL, kNever};
    }
    if (mutation.has_replace_extents() && !given_out(mutation.replace_extents().extent().chunk().id())) {
        return {pb::STATUS_EINVAL, kNever};
    }
    return {};
}

bool FileService::names_earlier_chunks(const pb::Mutation& mutation) const {
    const auto is_earlier = [this](const pb::Extent& extent) {
        return extent.has_chunk() && key_of(extent.chunk().id()) < earlier_;
    };
    return std::ranges::any_of(mutation.commit_extents().extents(), is_earlier) ||
           (mutation.has_replace_extents() && is_earlier(mutation.replace_extents().extent()));
}

void FileService::on_query(Message message, Context& context) {
    const Origin origin{Kind::kQuery, operation_of(message->query()), reply_to(message), context.now_us()};
    if (Outcome outcome = check_query(message->query()); !outcome.ok()) {
        return refuse(origin, status_of(outcome), context);
    }
    if (!admit(origin, false, context)) return;
    Pending pending;
    pending.origin = origin;
    pending.query = std::move(*message->mutable_query());
    pb::ReadIndex read;
    read.set_leader_only(!pending.query.any_node());
    ask(pb::ACTOR_RAFT, message_of(read), std::move(pending), context);
}

void FileService::on_chunk_audit(const Message& message, Context& context) {
    const Origin origin{Kind::kAudit, kAuditOperation, reply_to(message), context.now_us()};
    const pb::ChunkAudit& audit = message->chunk_audit();
    if (Outcome outcome = check_audit(audit); !outcome.ok()) {
        return refuse(origin, status_of(outcome), context);
    }
    if (!admit(origin, true, context)) return;
    Pending pending;
    pending.origin = origin;
    pb::ChunksOfNode& chunks = *pending.query.mutable_chunks_of_node();
    chunks.set_node_id(audit.node_id());
    *chunks.mutable_after() = audit.after();
    chunks.set_limit(std::min(audit.limit(), kAuditChunksMax));
    *chunks.mutable_candidates() = audit.candidates();
    pb::ReadIndex read;
    read.set_leader_only(true);
    ask(pb::ACTOR_RAFT, message_of(read), std::move(pending), context);
}

void FileService::on_allocate_chunks(Message message, Context& context) {
    const Origin origin = origin_of(message, context);
    const pb::AllocateChunks& request = message->allocate_chunks();
    const uint32_t count = request.count();
    if (count < 1 || count > kAllocationsPerRequestMax) {
        return refuse(origin, pb::STATUS_INVALID_ARGUMENT, "count is 1 to 64", context);
    }
    if (request.avoid_size() > kReplicasMax) {
        return refuse(origin, pb::STATUS_INVALID_ARGUMENT, "At most 16 nodes can be avoided", context);
    }
    if (!admit(origin, true, context)) return;
    if (!role_known_) return refuse(origin, not_leader(""), context);
    if (is_clock_unknown()) return wait_for_clock(std::move(message), context);
    Placement::Wish wish{settings_.copies(), settings_.chunk_bytes_max(), {}};
    if (request.chunk_bytes() > 0) wish.chunk_bytes = std::min(wish.chunk_bytes, request.chunk_bytes());
    wish.avoid.assign(request.avoid().begin(), request.avoid().end());
    pb::AllocateChunksReply reply;
    for (uint32_t i = 0; i < count; ++i) {
        pb::ChunkPlace* place = reply.add_places();
        std::string why;
        const auto random = [&context] { return context.random(); };
        const Placement::Choice choice = placement_.choose(wish, random, place, &why);
        if (choice != Placement::Choice::kMade) {
            const bool full = choice == Placement::Choice::kNoRoom;
            return refuse(origin, full ? pb::STATUS_ENOSPC : pb::STATUS_UNAVAILABLE, why, context);
        }
        place->mutable_id()->set_term(allocation_term_);
        place->mutable_id()->set_number(next_number_++);
        const uint64_t clock_us = cluster_clock_us(context);
        place->set_allocated_at_us(clock_us == 0 ? context.wall_us() : clock_us);
    }
    reply.set_chunk_bytes_max(settings_.chunk_bytes_max());
    answer(origin, pb::STATUS_OK, message_of(std::move(reply)), context);
}

// --- Answers from Raft and the state machine -------------------------------------------------------------------------

void FileService::ask(pb::ActorKind whom, Message message, Pending pending, Context& context) {
    const uint64_t timeout_us = time_left_us(pending.origin.asker, context);
    const RequestId id = context.ask({whom, context.self().instance}, std::move(message), timeout_us);
    pending_.emplace(id, std::move(pending));
    in_flight_->set(static_cast<double>(pending_.size()));
}

bool FileService::take_pending(const Message& answer, Pending* pending) {
    auto found = pending_.extract(answer->reply_to());
    if (found.empty()) return false;  // Of a request that ended already.
    *pending = std::move(found.mapped());
    in_flight_->set(static_cast<double>(pending_.size()));
    return true;
}

void FileService::on_propose_reply(Message message, Context& context) {
    Pending pending;
    if (!take_pending(message, &pending)) return;
    const pb::ProposeReply& outcome = message->propose_reply();
    if (outcome.status().code() != pb::STATUS_OK) {
        return refuse(pending.origin, status_for_client(outcome.status()), context);
    }
    Message reply;
    if (!reply->mutable_mutation_result()->ParseFromString(outcome.result())) {
        return refuse(pending.origin, pb::STATUS_INTERNAL, "The result cannot be read", context);
    }
    note_clock(reply->mutation_result().clock_us(), context);
    if (pending.origin.kind == Kind::kHousekeeping) {
        housekeeping_proposed_ = false;
        return plan_housekeeping(context);
    }
    const pb::StatusCode code = reply->mutation_result().status().code();
    const bool is_news = pending.origin.earlier_chunks && !planted("earlier-chunks-not-counted");
    if (is_news && code == pb::STATUS_OK) context.send(pb::ACTOR_MOVER, message_of(pb::EarlierChunks()));
    answer(pending.origin, code, std::move(reply), context);
}

void FileService::on_read_index_reply(const Message& message, Context& context) {
    Pending pending;
    if (!take_pending(message, &pending)) return;
    const pb::ReadIndexReply& outcome = message->read_index_reply();
    if (outcome.status().code() != pb::STATUS_OK) {
        return refuse(pending.origin, status_for_client(outcome.status()), context);
    }
    pending.query.set_minimum_index(outcome.index());
    if (pending.origin.asker.deadline_us != 0 && pending.origin.asker.deadline_us <= context.now_us()) {
        return refuse(pending.origin, pb::STATUS_DEADLINE_EXCEEDED, "The read took too long", context);
    }
    Message question = message_of(pending.query);
    ask(pb::ACTOR_STATE_MACHINE, std::move(question), std::move(pending), context);
}

void FileService::on_query_result(Message message, Context& context) {
    Pending pending;
    if (!take_pending(message, &pending)) return;
    if (pending.origin.kind == Kind::kClock) return on_clock(message->query_result(), context);
    if (pending.origin.kind == Kind::kAudit) return answer_audit(message->mutable_query_result(), pending, context);
    answer_query(message->mutable_query_result(), std::move(message.payload), pending, context);
}

void FileService::on_request_failed(const Message& message, Context& context) {
    Pending pending;
    if (!take_pending(message, &pending)) return;
    refuse(pending.origin, status_for_client(message->request_failed().status()), context);
}

void FileService::answer_query(pb::QueryResult* result, Payload payload, const Pending& pending, Context& context) {
    for (pb::Extent& extent : *result->mutable_extents()) fill_addresses(extent.mutable_chunk());
    for (pb::ChunkPlace& place : *result->mutable_chunks()) fill_addresses(&place);
    if (pending.query.has_stat_file_system()) {
        result->set_disk_total_bytes(placement_.disk_total_bytes());
        result->set_disk_free_bytes(placement_.disk_free_bytes());
        result->set_copies(placement_.copies_of(settings_.copies()));
    }
    const pb::StatusCode code = result->status().code();
    answer(pending.origin, code, message_of(std::move(*result), std::move(payload)), context);
}

void FileService::answer_audit(pb::QueryResult* result, const Pending& pending, Context& context) {
    note_clock(result->clock_us(), context);
    // An idle cluster's clock stands still: chunks that were never committed would not grow old.
    const uint64_t clock_us = cluster_clock_us(context);
    if (clock_us > result->clock_us() + kClockLagMaxUs && housekeeping_ == 0) on_timer_fired(context);
    pb::ChunkAuditReply reply;
    *reply.mutable_status() = std::move(*result->mutable_status());
    reply.set_clock_us(result->clock_us());
    reply.set_began_us(result->began_us());
    *reply.mutable_verdicts() = std::move(*result->mutable_verdicts());
    for (pb::ChunkPlace& place : *result->mutable_chunks()) {
        fill_addresses(&place);
        *reply.add_chunks() = std::move(place);
    }
    // An empty answer is one too: nothing beyond `after`.
    *reply.mutable_last() = result->has_last_chunk() ? result->last_chunk() : pending.query.chunks_of_node().after();
    reply.set_done(reply.status().code() == pb::STATUS_OK && !result->more());
    const pb::StatusCode code = reply.status().code();
    answer(pending.origin, code, message_of(std::move(reply)), context);
}

void FileService::fill_addresses(pb::ChunkPlace* place) const {
    place->clear_addresses();
    for (const std::string& node : place->replicas()) place->add_addresses(std::string(placement_.address_of(node)));
}

// --- Refusals --------------------------------------------------------------------------------------------------------

void FileService::answer(const Origin& origin, pb::StatusCode code, Message reply, Context& context) {
    if (metrics_) metrics_->observe(origin.operation, code, context.now_us() - origin.since_us);
    context.reply(origin.asker, std::move(reply));
}

void FileService::refuse(const Origin& origin, pb::Status status, Context& context) {
    const pb::StatusCode code = status.code();
    Message reply;
    switch (origin.kind) {
        case Kind::kMutation:
            *reply->mutable_mutation_result()->mutable_status() = std::move(status);
            break;
        case Kind::kQuery:
            *reply->mutable_query_result()->mutable_status() = std::move(status);
            break;
        case Kind::kAllocation:
            *reply->mutable_allocate_chunks_reply()->mutable_status() = std::move(status);
            break;
        case Kind::kAudit:
            *reply->mutable_chunk_audit_reply()->mutable_status() = std::move(status);
            break;
        case Kind::kHousekeeping:  // The next timer, or the next leader, tries again.
            housekeeping_proposed_ = false;
            return plan_housekeeping(context);
        case Kind::kClock:
            return refuse_waiting(status, context);
    }
    answer(origin, code, std::move(reply), context);
}

void FileService::refuse(const Origin& origin, pb::StatusCode code, std::string_view why, Context& context) {
    refuse(origin, make_status(code, why), context);
}

pb::Status FileService::not_leader(std::string_view leader_id) const {
    pb::Status status;
    status.set_code(pb::STATUS_NOT_LEADER);
    // A leader that has just lost its place may still be named by itself: no hint is better than that one.
    if (leader_id.empty() || leader_id == settings_.node_id()) {
        status.set_message("This node is not the leader, and knows of none");
        return status;
    }
    status.set_message(str_cat("This node is not the leader; ", leader_id, " is"));
    status.set_leader_id(std::string(leader_id));
    status.set_leader_address(std::string(placement_.address_of(leader_id)));
    return status;
}

pb::Status FileService::status_for_client(const pb::Status& status) const {
    if (status.code() == pb::STATUS_OK) {
        pb::Status broken;
        broken.set_code(pb::STATUS_INTERNAL);
        broken.set_message("A failure without a reason");
        return broken;
    }
    if (status.code() != pb::STATUS_NOT_LEADER) return status;
    return not_leader(status.leader_id().empty() ? role_.leader_id() : status.leader_id());
}

uint64_t FileService::time_left_us(const ReplyTo& asker, const Context& context) const {
    if (asker.deadline_us == 0) return kDefaultTimeoutUs;
    return std::min(asker.deadline_us - context.now_us(), kTimeoutMaxUs);
}

}  // namespace sandstore
