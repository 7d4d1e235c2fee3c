// RaftCore: heartbeats, and the linearizable reads they confirm (thesis 6.4).
#include <algorithm>

#include "actors/raft/quorum.h"
#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"

namespace sandstore {

void RaftCore::send_heartbeats() {
    round_++;
    heartbeat_due_us_ = input_.now_us + options_.heartbeat_interval_us;
    for (auto& [peer, progress] : peers_) {
        if (unreachable_.contains(peer)) continue;
        pb::Heartbeat heartbeat;
        heartbeat.set_term(term_);
        heartbeat.set_leader_commit(std::min(commit_index_, progress.match()));
        heartbeat.set_round(round_);
        send(peer, message_of(std::move(heartbeat)), Gate::kNone);
    }
    confirm_reads();
}

void RaftCore::on_heartbeat(std::string_view from, const pb::Heartbeat& heartbeat) {
    if (heartbeat.term() >= term_) {
        SANDSTORE_CHECK(!is_leader() || heartbeat.term() > term_, "two leaders in term ", term_, ": ", from);
        become_follower(heartbeat.term(), from);
        leader_contact_us_ = input_.now_us;
        reset_election_deadline();
        // The leader knows that we hold everything up to here.
        set_commit(std::min(heartbeat.leader_commit(), terms_.last_index()));
    }
    pb::HeartbeatReply reply;
    reply.set_term(term_);
    reply.set_round(heartbeat.round());
    send(from, message_of(std::move(reply)), Gate::kTerm);
}

void RaftCore::on_heartbeat_reply(std::string_view from, const pb::HeartbeatReply& reply) {
    if (reply.term() > term_) {
        become_follower(reply.term(), "");
        return;
    }
    auto found = peers_.find(from);
    if (!is_leader() || reply.term() < term_ || found == peers_.end()) return;
    Progress& progress = found->second;
    progress.contact(input_.now_us);
    progress.confirm_round(std::min(reply.round(), round_));
    confirm_reads();
    // What was sent a while ago and never answered is lost: begin again from what is known.
    if (progress.is_stalled(input_.now_us, options_.election_timeout_min_us)) {
        progress.probe_from(progress.match() + 1);
    }
    send_appends(found->first, progress);
}

bool RaftCore::has_committed_in_term() const {
    return terms_.matches(commit_index_, term_);
}

bool RaftCore::read_index(RaftInput input, uint64_t token) {
    start_event(input);
    if (!is_leader()) return false;
    if (!has_committed_in_term()) {
        // Until then the commit index may lag behind what an earlier leader acknowledged.
        reads_before_commit_.push_back(token);
        return true;
    }
    const bool round_in_flight = confirmed_round_ < round_;
    reads_.add(token, commit_index_, round_ + 1);
    if (!round_in_flight || peers_.empty()) send_heartbeats();
    finish_event();
    return true;
}

void RaftCore::admit_waiting_reads() {
    if (reads_before_commit_.empty()) return;
    for (uint64_t token : reads_before_commit_) reads_.add(token, commit_index_, round_ + 1);
    reads_before_commit_.clear();
    send_heartbeats();
}

void RaftCore::confirm_reads() {
    std::vector<uint64_t> rounds;
    for (const std::string& voter : voters_) {
        rounds.push_back(voter == options_.node_id ? round_ : peers_.at(voter).round());
    }
    confirmed_round_ = std::max(confirmed_round_, reached_by_majority(std::move(rounds)));
    for (const ReadQueue::Read& read : reads_.take_confirmed(confirmed_round_)) {
        effects_.reads_ready.push_back({read.token, read.index});
    }
    // One round in flight, one forming: reads that came in meanwhile share the next.
    if (confirmed_round_ == round_ && reads_.wants_round_after(round_)) send_heartbeats();
}

}  // namespace sandstore
