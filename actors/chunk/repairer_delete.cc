// Repairer: what may be deleted, and when an operator is asked first.
#include <algorithm>

#include "actors/chunk/chunk_checks.h"
#include "actors/chunk/repairer.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

// --- Collected: as this node's state machine says

void Repairer::on_chunks_collected(const pb::ChunksCollected& collected, Context& context) {
    if (orphan_grace_us_ == 0 || draining_) return;
    for (const pb::ChunkId& id : collected.ids()) {
        if (collected_.size() < kCollectedMax) collected_.push_back(key_of(id));
    }
    delete_collected(context);
}

void Repairer::delete_collected(Context& context) {
    if (deleting_collected_ || collected_.empty()) return;
    deleting_collected_ = true;
    uint64_t chunks = 0;
    const RequestId id = ask_to_delete(&collected_, &chunks, context);
    asked_[id] = Asked{0, Step::kCollect, chunks, {}};
}

// What stays behind is a candidate of the next round.
void Repairer::on_collected_deleted(const pb::Status& status, Context& context) {
    deleting_collected_ = false;
    if (!is_ok(status)) {
        context.warn("chunks of removed files are still here; the next round tries again",
                     {{"reason", status.message()}});
    }
    delete_collected(context);
}

RequestId Repairer::ask_to_delete(std::deque<ChunkKey>* keys, uint64_t* chunks, Context& context) const {
    pb::ChunkDelete request;
    while (!keys->empty() && static_cast<size_t>(request.ids_size()) < kDeleteBatchMax) {
        *request.add_ids() = id_of(keys->front());
        keys->pop_front();
    }
    *chunks = static_cast<uint64_t>(request.ids_size());
    return context.ask(pb::ACTOR_CHUNKS, message_of(std::move(request)), kLocalTimeoutUs);
}

// --- Candidates: as the leader says

void Repairer::judge_candidates(Context& context) {
    Round& round = *round_;
    if (round.candidates.empty()) return end_judging(context);
    pb::ChunkAudit audit;
    audit.set_node_id(node_id_);
    round.judging.clear();
    while (!round.candidates.empty() && audit.candidates_size() < kCandidatesPerAudit) {
        const Candidate candidate = round.candidates.front();
        round.candidates.pop_front();
        round.judging.push_back(candidate);
        pb::ChunkStatus* asked = audit.add_candidates();
        *asked->mutable_id() = id_of(candidate.key);
        asked->set_allocated_at_us(candidate.allocated_at_us);
    }
    const std::string node = leader_id_ == node_id_ ? "" : leader_id_;
    const RequestId id = context.ask(Address(node, pb::ACTOR_FILES), message_of(std::move(audit)), kAuditTimeoutUs);
    asked_[id] = Asked{round_number_, Step::kJudge, 0, {}};
}

void Repairer::take_verdicts(const pb::ChunkAuditReply& reply, Context& context) {
    Round& round = *round_;
    if (static_cast<size_t>(reply.verdicts_size()) != round.judging.size()) {
        return end_round("the leader judged another number of chunks than it was asked about", context);
    }
    const uint64_t clock_us = planted("orphan-age-by-own-clock") ? context.wall_us() : reply.clock_us();
    for (size_t i = 0; i < round.judging.size(); i++) {
        const Candidate& candidate = round.judging[i];
        const pb::ChunkVerdict verdict = reply.verdicts(static_cast<int>(i));
        if (verdict == pb::CHUNK_COLLECTED) round.doomed.push_back(candidate.key);
        // Clocks differ: a chunk from the future is young.
        const uint64_t allocated_at_us = candidate.allocated_at_us;
        const bool aged = clock_us > allocated_at_us && clock_us - allocated_at_us > orphan_grace_us_;
        if (verdict == pb::CHUNK_ELSEWHERE && aged) round.doomed.push_back(candidate.key);
        if (verdict != pb::CHUNK_UNKNOWN || !aged) continue;
        round.aged.push_back(candidate.key);
        if (allocated_at_us + kHistorySlackUs < reply.began_us()) round.foreign++;
    }
    judge_candidates(context);
}

// The brake: what nobody has ever heard of is deleted in small numbers only.
void Repairer::end_judging(Context& context) {
    Round& round = *round_;
    round.judged = true;
    const size_t aged = round.aged.size();
    const bool many = aged > kBrakeChunks && aged * 100 > round.local * kBrakePercent;
    const bool stop = (many || round.foreign > 0) && !allowed_ && !planted("deletes-without-brake");
    std::string why;
    if (stop) {
        why =
            str_cat("the namespace knows nothing of ", aged, " of the ", round.local, " chunks on ", node_id_,
                    round.foreign > 0 ? str_cat(", and ", round.foreign, " of them are older than the namespace") : "",
                    ": none of them is deleted. Is this the right cluster, and the right data directory? If they "
                    "shall go: sandstore cluster allow-deletions ",
                    node_id_);
    } else {
        round.doomed.insert(round.doomed.end(), round.aged.begin(), round.aged.end());
        if (aged > 0) allowed_ = false;
    }
    if (!why.empty() && brake_.empty()) context.error("Deletions stopped", {{"why", why}});
    brake_ = std::move(why);
    go_on(context);
}

void Repairer::delete_doomed(Context& context) {
    uint64_t chunks = 0;
    const RequestId id = ask_to_delete(&round_->doomed, &chunks, context);
    asked_[id] = Asked{round_number_, Step::kDelete, chunks, {}};
}

void Repairer::on_allow_deletions(const Message& message, Context& context) {
    pb::StatusReply reply;
    if (brake_.empty()) {
        *reply.mutable_status() =
            status_of(pb::STATUS_INVALID_ARGUMENT, str_cat("node ", node_id_, " has not stopped any deletions"));
    } else {
        context.warn("an operator allows the deletions that were stopped", {{"why", brake_}});
        allowed_ = true;
        plan_round(kEarlyRoundUs, context);
    }
    context.reply(reply_to(message), message_of(std::move(reply)));
}

// --- What people see of it

void Repairer::tell_state(Context& context) {
    pb::RepairState state;
    state.set_deletions_stopped(!brake_.empty());
    state.set_problem(brake_);
    if (brake_.empty() && !no_room_.empty()) {
        state.set_problem(str_cat("chunks that belong on ", node_id_, " do not fit there: ", no_room_));
    }
    MetricsRegistry& metrics = context.metrics();
    metrics.gauge("sandstore_repair_deletions_stopped", "1 while deletions wait for an operator.")
        .set(brake_.empty() ? 0 : 1);
    metrics
        .gauge("sandstore_repair_no_room_chunks",
               "Chunks that belong here and do not fit on the disk, as of the last "
               "round.")
        .set(static_cast<double>(round_->does_not_fit));
    if (state.problem() == told_.problem() && state.deletions_stopped() == told_.deletions_stopped()) return;
    if (brake_.empty() && !state.problem().empty()) context.warn("Missing chunks are not fetched", {{"why", no_room_}});
    told_ = state;
    context.send(pb::ACTOR_STATUS, message_of(std::move(state)));
}

}  // namespace sandstore
