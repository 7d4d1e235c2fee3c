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
        case Body::kChunksCollected:
            return on_chunks_collected(message->chunks_collected(), context);
        case Body::kAllowDeletions:
            return on_allow_deletions(message, context);
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
    if (orphan_grace_us_ > 0 && orphan_grace_us_ <= start.chunk_commit_window_us() + kClockStepMaxUs) {
        return context.fail_stop(str_cat("repairer: a grace of ", orphan_grace_us_ / 1'000'000,
                                         " s could delete chunks that may still be committed: it must be longer than ",
                                         (start.chunk_commit_window_us() + kClockStepMaxUs) / 1'000'000, " s"));
    }
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
    if (complete || !round.no_room.empty()) no_room_ = round.no_room;
    tell_state(context);
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
    if (asked->step == Step::kJudge) return take_verdicts(reply, context);
    if (!reply.done() && key_of(reply.last()) <= round_->after) {
        context.warn("a malformed answer of the leader is not acted upon",
                     {{"reason", "the page ends where it begins"}});
        return end_round("the page ends where it begins", context);
    }
    if (const std::string problem = take_page(reply); !problem.empty()) {
        context.warn("a part of the leader's answer is not acted upon", {{"reason", problem}});
        round_->failure = problem;
    }
    ask_list(context);
}

// What is odd about the page, if anything. Nothing is concluded from what is odd.
std::string Repairer::take_page(const pb::ChunkAuditReply& reply) {
    Round& round = *round_;
    std::string problem;
    round.page.clear();
    round.done = reply.done();
    round.last = key_of(reply.last());
    round.listed = round.after;
    round.all_listed = false;
    for (const pb::ChunkPlace& place : reply.chunks()) {
        const ChunkKey key = key_of(place.id());
        if (key <= round.after || (!round.done && key > round.last)) {
            problem = str_cat("chunk ", to_string(key), " is not in the page's range");
        } else if (std::ranges::count(place.replicas(), node_id_) == 0) {
            problem = str_cat("chunk ", to_string(key), " does not belong to this node");
            round.page.emplace(key, Wanted{place, true});  // Neither missing nor a candidate.
        } else if (!round.page.emplace(key, Wanted{place, false}).second) {
            problem = str_cat("chunk ", to_string(key), " is listed twice");
        }
    }
    round.checked += round.page.size();
    return problem;
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
            round.failure = str_cat("chunk ", to_string(key), " was listed out of order");
            continue;
        }
        round.listed = key;
        round.local++;
        note_local_chunk(chunk);
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

void Repairer::note_local_chunk(const pb::ChunkStatus& chunk) {
    const ChunkKey key = key_of(chunk.id());
    if (const auto wanted = round_->page.find(key); wanted != round_->page.end()) {
        wanted->second.here = wanted->second.here || !chunk.damaged();
        return;
    }
    const bool room = round_->candidates.size() < kCandidatesMax;
    if (orphan_grace_us_ > 0 && room) round_->candidates.push_back({key, chunk.allocated_at_us()});
}

// --- Repairing

void Repairer::go_on(Context& context) {
    Round& round = *round_;
    if (!round.all_listed) return ask_list(context);
    fetch_missing(context);
    if (round.fetches_in_flight > 0) return;
    if (!round.done) return next_page(context);
    if (!round.judged) return judge_candidates(context);
    if (!round.doomed.empty()) return delete_doomed(context);
    end_round("", context);
}

// A chunk that moves may have more places for a while than its file can name. This node's own is one of those named.
static pb::ChunkPlace place_to_fetch(pb::ChunkPlace place, std::string_view node_id) {
    auto& replicas = *place.mutable_replicas();
    const auto places_max = static_cast<int>(kChunkReplicasMax);
    if (replicas.size() <= places_max) return place;
    std::iter_swap(replicas.begin(), std::ranges::find(replicas, node_id));
    replicas.DeleteSubrange(places_max, replicas.size() - places_max);
    return place;
}

void Repairer::fetch_missing(Context& context) {
    Round& round = *round_;
    if (!round.missing.empty() && !std::exchange(round.began, true)) {
        context.info("Repair begun", {{"missing", round.missing.size()}});
    }
    if (!round.no_room.empty()) {  // The others do not fit either.
        round.does_not_fit += round.missing.size();
        round.missing.clear();
    }
    while (!round.missing.empty() && round.fetches_in_flight < kFetchesInFlightMax) {
        pb::ChunkFetch fetch;
        *fetch.mutable_place() = place_to_fetch(std::move(round.missing.front()), node_id_);
        round.missing.pop_front();
        const ChunkKey key = key_of(fetch.place().id());
        const RequestId id = context.ask(pb::ACTOR_CHUNKS, message_of(std::move(fetch)), kFetchTimeoutUs);
        asked_[id] = Asked{round_number_, Step::kFetch, 0, key};
        round.fetches_in_flight++;
    }
}

void Repairer::on_status(const Message& message, const pb::Status& status, Context& context) {
    if (const auto found = asked_.find(message->reply_to());
        found != asked_.end() && found->second.step == Step::kCollect) {
        asked_.erase(found);
        return on_collected_deleted(status, context);
    }
    const std::optional<Asked> asked = take_asked(message);
    if (!asked) return;
    Round& round = *round_;
    const std::string failure = str_cat(code_name(status.code()), " ", status.message());
    switch (asked->step) {
        case Step::kAudit:
            return end_round(str_cat("audit: ", failure), context);
        case Step::kList:
            return end_round(str_cat("list: ", failure), context);
        case Step::kJudge:
            return end_round(str_cat("audit of what may go: ", failure), context);
        case Step::kCollect:  // Of no round.
            return;
        case Step::kDelete:
            if (is_ok(status)) {
                round.deleted += asked->chunks;
            } else {
                round.failed += asked->chunks;
                round.failure = str_cat("delete: ", failure);
            }
            break;
        case Step::kFetch:
            round.fetches_in_flight--;
            if (is_ok(status)) {
                round.fetched++;
                show_missing(false, context);
            } else if (status.code() == pb::STATUS_ENOSPC) {
                round.no_room = status.message();
                round.does_not_fit++;
            } else {
                round.failed++;
                round.failure = str_cat("fetch of ", to_string(asked->key), ": ", failure);
            }
            break;
    }
    go_on(context);
}

void Repairer::next_page(Context& context) {
    round_->after = round_->last;
    ask_audit(context);
}

}  // namespace sandstore
