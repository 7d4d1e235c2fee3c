#include "actors/chunk/repairer.h"

#include <algorithm>
#include <utility>

#include "actors/chunk/chunk_checks.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

void Repairer::receive(Message message, Context& context) {
    using Body = pb::Envelope;
    switch (message->body_case()) {
        case Body::kStartRepairer:
            return on_start_repairer(message->start_repairer(), context);
        case Body::kRoleChanged:
            return on_role_changed(message->role_changed(), context);
        case Body::kPeerUp:
            return on_peer_up(message->peer_up(), context);
        case Body::kChunkAuditReply:
            return on_chunk_audit_reply(message, context);
        case Body::kChunkListReply:
            return on_chunk_list_reply(message, context);
        case Body::kStatusReply:
            return on_status(message, message->status_reply().status(), context);
        case Body::kRequestFailed:
            return on_status(message, message->request_failed().status(), context);
        case Body::kTimerFired:
            return on_timer_fired(context);
        case Body::kDrain:
            return on_drain(message, context);
        case Body::kPeerDown:
        case Body::kClusterView:
        case Body::kConfigurationChanged:
            return;
        default:
            return context.unexpected(message);
    }
}

// --- When a round begins

void Repairer::on_start_repairer(const pb::StartRepairer& start, Context& context) {
    if (!node_id_.empty()) return context.warn("the repairer was started twice");
    if (!is_node_id(start.node_id())) {
        return context.fail_stop(str_cat("repairer: \"", start.node_id(), "\" is not a node id"));
    }
    node_id_ = start.node_id();
    interval_us_ = start.interval_ms() * 1000;
    orphan_grace_us_ = start.orphan_grace_us();
    if (interval_us_ == 0) return context.info("repair is switched off");
    plan_round(leader_id_.empty() ? interval_us_ : kEarlyRoundUs, context);
}

void Repairer::on_role_changed(const pb::RoleChanged& role, Context& context) {
    if (role.leader_id() == leader_id_) return;
    leader_id_ = role.leader_id();
    if (round_ && round_->leader_id != leader_id_) end_round("the leader changed", context);
    if (!leader_id_.empty()) plan_round(kEarlyRoundUs, context);
}

void Repairer::on_peer_up(const pb::PeerUp& peer, Context& context) {
    if (!leader_id_.empty() && peer.node_id() == leader_id_ && !round_) plan_round(kEarlyRoundUs, context);
}

// Jittered, so that the nodes do not all ask the leader at once. An earlier plan stands.
void Repairer::plan_round(uint64_t delay_us, Context& context) {
    if (interval_us_ == 0 || draining_) return;
    delay_us += context.random() % (delay_us / 4 + 1);
    const uint64_t due_us = context.now_us() + delay_us;
    if (timer_ != 0 && timer_due_us_ <= due_us) return;
    context.cancel_timer(timer_);
    timer_ = context.arm_timer(delay_us, kRoundTimer);
    timer_due_us_ = due_us;
}

void Repairer::on_timer_fired(Context& context) {
    timer_ = 0;
    if (round_ || draining_) return;  // The round at hand plans the next one when it ends.
    if (leader_id_.empty() || !is_node_id(leader_id_)) return plan_round(interval_us_, context);
    round_.emplace();
    round_->leader_id = leader_id_;
    round_number_++;
    ask_audit(context);
}

void Repairer::on_drain(const Message& message, Context& context) {
    draining_ = true;
    context.cancel_timer(timer_);
    timer_ = 0;
    round_.reset();
    context.reply(reply_to(message), message_of(pb::StatusReply()));
}

void Repairer::end_round(std::string failure, Context& context) {
    const Round& round = *round_;
    const bool complete = failure.empty();
    if (failure.empty()) failure = round.failure;
    if (round.began) {
        context.info("Repair finished", {{"checked", round.checked},
                                         {"fetched", round.fetched},
                                         {"deleted", round.deleted},
                                         {"failed", round.failed},
                                         {"problem", failure.empty() ? "none" : failure}});
    } else if (round.deleted + round.failed > 0) {
        context.info(
            "unused chunks removed",
            {{"deleted", round.deleted}, {"failed", round.failed}, {"problem", failure.empty() ? "none" : failure}});
    } else if (!failure.empty()) {
        context.debug("chunk audit ended early", {{"reason", failure}});
    }
    MetricsRegistry& metrics = context.metrics();
    metrics.counter("sandstore_repair_rounds_total", "Comparisons of chunks with the namespace.").add();
    metrics.counter("sandstore_repair_fetched_total", "Chunks that were missing and fetched.").add(round.fetched);
    metrics.counter("sandstore_repair_deleted_total", "Chunks that no file used and were deleted.").add(round.deleted);
    show_missing(complete, context);
    missing_before_ = missing_now(complete);
    round_.reset();
    plan_round(failure.empty() ? interval_us_ : std::min(interval_us_, kRetryUs), context);
}

// A round that has not seen everything cannot know that what was missing before is there.
uint64_t Repairer::missing_now(bool complete) const {
    const auto left = [&](uint64_t lacking) { return lacking - std::min(lacking, round_->fetched); };
    return complete ? left(round_->lacking) : std::max(left(round_->lacking), left(missing_before_));
}

void Repairer::show_missing(bool complete, Context& context) {
    context.metrics()
        .gauge("sandstore_repair_missing_chunks", "Chunks that this node should hold and does not.")
        .set(static_cast<double>(missing_now(complete)));
}

// The answers of earlier rounds come too late to mean anything.
std::optional<Repairer::Asked> Repairer::take_asked(const Message& message) {
    const auto found = asked_.find(message->reply_to());
    if (found == asked_.end()) return std::nullopt;
    const Asked asked = found->second;
    asked_.erase(found);
    if (!round_ || asked.round != round_number_) return std::nullopt;
    return asked;
}

// --- A page of the namespace

void Repairer::ask_audit(Context& context) {
    pb::ChunkAudit audit;
    audit.set_node_id(node_id_);
    if (round_->after != ChunkKey{}) *audit.mutable_after() = id_of(round_->after);
    audit.set_limit(kPageChunks);
    const std::string node = leader_id_ == node_id_ ? "" : leader_id_;
    const RequestId id = context.ask(Address(node, pb::ACTOR_FILES), message_of(std::move(audit)), kAuditTimeoutUs);
    asked_[id] = Asked{round_number_, Step::kAudit, 0, {}};
}

void Repairer::on_chunk_audit_reply(const Message& message, Context& context) {
    const std::optional<Asked> asked = take_asked(message);
    if (!asked) return;
    const pb::ChunkAuditReply& reply = message->chunk_audit_reply();
    if (!is_ok(reply.status())) {
        return end_round(str_cat("audit: ", code_name(reply.status().code()), " ", reply.status().message()), context);
    }
    std::string problem;
    if (!take_page(reply, &problem)) {
        context.warn("a malformed answer of the leader is not acted upon", {{"reason", problem}});
        return end_round(problem, context);
    }
    ask_list(context);
}

// False when anything about the page is odd: nothing may be concluded from it then.
bool Repairer::take_page(const pb::ChunkAuditReply& reply, std::string* problem) {
    Round& round = *round_;
    round.page.clear();
    round.done = reply.done();
    round.last = key_of(reply.last());
    round.listed = round.after;
    round.all_listed = false;
    *problem = "";
    if (!round.done && round.last <= round.after) *problem = "the page ends where it begins";
    for (const pb::ChunkPlace& place : reply.chunks()) {
        const ChunkKey key = key_of(place.id());
        if (key <= round.after || (!round.done && key > round.last)) {
            *problem = str_cat("chunk ", to_string(key), " is not in the page's range");
        } else if (std::ranges::count(place.replicas(), node_id_) == 0) {
            *problem = str_cat("chunk ", to_string(key), " does not belong to this node");
        } else if (!round.page.emplace(key, Wanted{place, false}).second) {
            *problem = str_cat("chunk ", to_string(key), " is listed twice");
        }
    }
    round.checked += round.page.size();
    return problem->empty();
}

void Repairer::ask_list(Context& context) {
    pb::ChunkList list;
    if (round_->listed != ChunkKey{}) *list.mutable_after() = id_of(round_->listed);
    if (!round_->done) *list.mutable_until() = id_of(round_->last);
    list.set_limit(kPageChunks);
    const RequestId id = context.ask(pb::ACTOR_CHUNKS, message_of(std::move(list)), kLocalTimeoutUs);
    asked_[id] = Asked{round_number_, Step::kList, 0, {}};
}

void Repairer::on_chunk_list_reply(const Message& message, Context& context) {
    const std::optional<Asked> asked = take_asked(message);
    if (!asked) return;
    Round& round = *round_;
    const pb::ChunkListReply& reply = message->chunk_list_reply();
    for (const pb::ChunkStatus& chunk : reply.chunks()) {
        const ChunkKey key = key_of(chunk.id());
        if (key <= round.listed || (!round.done && key > round.last)) {
            return end_round(str_cat("chunk ", to_string(key), " was listed out of order"), context);
        }
        round.listed = key;
        note_local_chunk(chunk, context);
    }
    round.all_listed = !reply.more();
    if (reply.more() && reply.chunks().empty()) return end_round("an empty list claims to have more", context);
    if (round.all_listed) {
        for (auto& [key, wanted] : round.page) {
            if (!wanted.here) round.missing.push_back(std::move(wanted.place));
        }
        round.lacking += round.missing.size();
        round.page.clear();
        show_missing(false, context);
    }
    go_on(context);
}

void Repairer::note_local_chunk(const pb::ChunkStatus& chunk, Context& context) {
    const ChunkKey key = key_of(chunk.id());
    if (const auto wanted = round_->page.find(key); wanted != round_->page.end()) {
        wanted->second.here = !chunk.damaged();
        return;
    }
    // Clocks differ: a chunk from the future is young.
    const uint64_t now_us = context.wall_us();
    const bool old = now_us > chunk.allocated_at_us() && now_us - chunk.allocated_at_us() > orphan_grace_us_;
    if (orphan_grace_us_ > 0 && old) round_->orphans.push_back(key);
}

// --- Repairing

void Repairer::go_on(Context& context) {
    Round& round = *round_;
    if (!round.orphans.empty()) {
        pb::ChunkDelete request;
        while (!round.orphans.empty() && static_cast<size_t>(request.ids_size()) < kDeleteBatchMax) {
            *request.add_ids() = id_of(round.orphans.front());
            round.orphans.pop_front();
        }
        const auto chunks = static_cast<uint64_t>(request.ids_size());
        const RequestId id = context.ask(pb::ACTOR_CHUNKS, message_of(std::move(request)), kLocalTimeoutUs);
        asked_[id] = Asked{round_number_, Step::kDelete, chunks, {}};
        return;
    }
    if (!round.all_listed) return ask_list(context);
    fetch_missing(context);
    if (round.fetches_in_flight == 0) next_page(context);
}

void Repairer::fetch_missing(Context& context) {
    Round& round = *round_;
    if (!round.missing.empty() && !std::exchange(round.began, true)) {
        context.info("Repair begun", {{"missing", round.missing.size()}});
    }
    while (!round.missing.empty() && round.fetches_in_flight < kFetchesInFlightMax) {
        pb::ChunkFetch fetch;
        *fetch.mutable_place() = std::move(round.missing.front());
        round.missing.pop_front();
        const ChunkKey key = key_of(fetch.place().id());
        const RequestId id = context.ask(pb::ACTOR_CHUNKS, message_of(std::move(fetch)), kFetchTimeoutUs);
        asked_[id] = Asked{round_number_, Step::kFetch, 0, key};
        round.fetches_in_flight++;
    }
}

void Repairer::on_status(const Message& message, const pb::Status& status, Context& context) {
    const std::optional<Asked> asked = take_asked(message);
    if (!asked) return;
    Round& round = *round_;
    const std::string failure = str_cat(code_name(status.code()), " ", status.message());
    switch (asked->step) {
        case Step::kAudit:
            return end_round(str_cat("audit: ", failure), context);
        case Step::kList:
            return end_round(str_cat("list: ", failure), context);
        case Step::kDelete:
            if (!is_ok(status)) {
                round.failed += asked->chunks;
                return end_round(str_cat("delete: ", failure), context);
            }
            round.deleted += asked->chunks;
            break;
        case Step::kFetch:
            round.fetches_in_flight--;
            if (is_ok(status)) {
                round.fetched++;
                show_missing(false, context);
            } else {
                round.failed++;
                round.failure = str_cat("fetch of ", to_string(asked->key), ": ", failure);
            }
            break;
    }
    go_on(context);
}

void Repairer::next_page(Context& context) {
    if (round_->done) return end_round("", context);
    round_->after = round_->last;
    ask_audit(context);
}

}  // namespace sandstore
