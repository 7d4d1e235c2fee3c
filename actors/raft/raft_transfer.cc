// RaftCore: leadership handed over: on request (thesis 3.10), to a node of higher priority, or because the own disk
// hangs or is full.
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {
// A leader that would rather not lead tries again after so many election timeouts.
constexpr uint64_t kHandOverEvery = 10;
// And not before it has led for so many.
constexpr uint64_t kSettledAfter = 2;
}  // namespace

void RaftCore::on_disk_space(RaftInput input, bool full, bool exhausted) {
    start_event(input);
    disk_full_ = full && !planted("full-disk-not-told");
    disk_exhausted_ = exhausted && disk_full_;
    if (!full && !writes_in_flight_.empty()) writes_in_flight_.front().since_us = input.now_us;
    finish_event();
}

std::string RaftCore::why_no_room() const {
    if (disk_exhausted_) return str_cat("the disk of ", options_.node_id, ", which leads, has no room for the log");
    std::string full;
    const auto has_room = [&](const std::string& voter) {
        const auto peer = peers_.find(voter);
        const bool is_full = is_self(voter) ? disk_full_ : peer != peers_.end() && peer->second.health.disk_full;
        if (is_full) str_append(&full, full.empty() ? "" : ", ", voter);
        return !is_full;
    };
    if (configuration().is_quorum(has_room)) return "";
    return str_cat("the disks of ", full,
                   " have no room for the log, so that no majority has: remove files, or give them ", "more space");
}

// No sync has ended for an election timeout, although there is something to sync.
bool RaftCore::is_disk_slow(uint64_t now_us) const {
    if (writes_in_flight_.empty() || disk_full_) return false;
    return now_us - writes_in_flight_.front().since_us > options_.election_timeout_max_us;
}

bool RaftCore::can_lead(const std::string& node, const Progress& progress) const {
    const bool heard = input_.now_us - progress.last_contact_us() < options_.election_timeout_max_us;
    return configuration().is_voter(node) && heard && !unreachable_.contains(node) &&
           progress.state() == Progress::State::kReplicate && progress.owed_index() == 0 &&
           !progress.health.disk_slow && progress.health.election_priority != 0;
}

// The voter that is furthest; of equals the one of the highest priority. Empty: none.
std::string RaftCore::best_successor() const {
    std::string best;
    std::pair<uint64_t, uint32_t> best_rank;
    for (const auto& [node, progress] : peers_) {
        if (!can_lead(node, progress) || (progress.health.disk_full && !disk_full_)) continue;
        const std::pair<uint64_t, uint32_t> rank{progress.match(), progress.health.election_priority};
        if (!best.empty() && rank <= best_rank) continue;
        best = node;
        best_rank = rank;
    }
    return best;
}

RaftCore::RequestOutcome RaftCore::transfer_leadership(RaftInput input, std::string_view target, std::string* problem) {
    start_event(input);
    if (!is_leader()) return RequestOutcome::kNotLeader;
    std::string chosen(target);
    if (chosen.empty()) chosen = best_successor();
    if (chosen.empty()) {
        *problem = "no other voter is there that could lead";
        return RequestOutcome::kNotNow;
    }
    if (is_self(chosen)) {
        *problem = str_cat(chosen, " leads already");
        return RequestOutcome::kImpossible;
    }
    const auto peer = peers_.find(chosen);
    if (peer == peers_.end() || !configuration().is_voter(chosen)) {
        *problem = str_cat(chosen, " is no voter of this cluster");
        return RequestOutcome::kImpossible;
    }
    if (!can_lead(chosen, peer->second)) {
        *problem = str_cat(chosen, " does not answer, is far behind, or shall not lead");
        return RequestOutcome::kNotNow;
    }
    if (!transfer_target_.empty() && transfer_target_ != chosen) {
        *problem = str_cat("leadership is being handed over to ", transfer_target_);
        return RequestOutcome::kNotNow;
    }
    begin_transfer(chosen);
    finish_event();
    return RequestOutcome::kAccepted;
}

// From now on nothing new is accepted, so that the target can come up to the log's end.
void RaftCore::begin_transfer(const std::string& target) {
    if (transfer_target_.empty()) transfer_deadline_us_ = input_.now_us + options_.election_timeout_max_us;
    transfer_target_ = target;
    transfer_tried_us_ = input_.now_us;
    effects_.role_changed = true;
    go_on_with_transfer();
}

void RaftCore::go_on_with_transfer() {
    if (transfer_target_.empty()) return;
    const auto peer = peers_.find(transfer_target_);
    if (peer == peers_.end()) return end_transfer();
    if (peer->second.match() == terms_.last_index() || planted("transfer-to-a-lagging-node")) {
        send_timeout_now(transfer_target_);
    }
}

void RaftCore::send_timeout_now(const std::string& target) {
    pb::TimeoutNow request;
    request.set_term(term_);
    timeout_now_sent_ = true;
    send(target, message_of(std::move(request)), Gate::kNone);
}

void RaftCore::end_transfer() {
    if (planted("transfer-never-ends")) return;
    transfer_target_.clear();
    effects_.role_changed = true;
}

void RaftCore::on_timeout_now(std::string_view from, const pb::TimeoutNow& request) {
    const bool is_our_leader = request.term() == term_ && leader_id_ == from && !is_leader();
    if (!is_our_leader || !configuration().is_voter(options_.node_id) || is_disk_slow(input_.now_us)) return;
    campaign_started_us_ = input_.now_us;
    start_election(true);
}

void RaftCore::resign(std::string why) {
    const std::string successor = best_successor();
    effects_.notice = str_cat("leadership is given up: ", why, successor.empty() ? "" : ", next: ", successor);
    if (!successor.empty()) send_timeout_now(successor);
    become_follower(term_, "");
}

// With each heartbeat: should somebody else lead?
void RaftCore::look_after_leadership() {
    if (!transfer_target_.empty()) {
        if (input_.now_us >= transfer_deadline_us_) end_transfer();
        return;
    }
    if (is_disk_slow(input_.now_us) && !best_successor().empty() && !planted("hung-disk-keeps-leading")) {
        resign("a sync of the log has not ended for an election timeout");
        return;
    }
    const uint64_t timeout_us = options_.election_timeout_max_us;
    if (input_.now_us - leader_since_us_ < kSettledAfter * timeout_us) return;
    if (input_.now_us - transfer_tried_us_ < kHandOverEvery * timeout_us) return;
    for (const auto& [node, progress] : peers_) {
        const bool has_room = disk_full_ && !progress.health.disk_full;
        const bool goes_before =
            progress.health.election_priority > options_.election_priority && !progress.health.disk_full && !disk_full_;
        const bool is_close = progress.match() + options_.append_window >= commit_index_;
        if ((!has_room && !goes_before) || !can_lead(node, progress) || !is_close) continue;
        begin_transfer(node);
        return;
    }
}

}  // namespace sandstore
