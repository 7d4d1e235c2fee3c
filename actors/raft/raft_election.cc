// RaftCore: terms, votes, roles.
#include <algorithm>

#include "actors/raft/quorum.h"
#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"

namespace sandstore {

void RaftCore::set_term(uint64_t term, std::string_view voted_for) {
    SANDSTORE_CHECK(term >= term_, "term=", term, " present=", term_);
    SANDSTORE_CHECK(term > term_ || voted_for_.empty() || voted_for_ == voted_for, "second vote in term ", term, ": ",
                    voted_for_, " then ", voted_for);
    if (term == term_ && voted_for_ == voted_for) return;
    term_ = term;
    voted_for_ = voted_for;
    hard_state_changed_ = true;
}

void RaftCore::reset_election_deadline() {
    const uint64_t spread = options_.election_timeout_max_us - options_.election_timeout_min_us;
    election_deadline_us_ = input_.now_us + options_.election_timeout_min_us + input_.random % (spread + 1);
}

void RaftCore::become_follower(uint64_t term, std::string_view leader) {
    if (is_leader()) lose_leadership();
    if (term > term_) {
        set_term(term, "");
        leader_id_.clear();
        effects_.role_changed = true;
    }
    if (role_ != pb::RoleChanged::FOLLOWER || leader_id_ != leader) effects_.role_changed = true;
    role_ = pb::RoleChanged::FOLLOWER;
    leader_id_ = leader;
    votes_.clear();
}

void RaftCore::lose_leadership() {
    for (const ReadQueue::Read& read : reads_.take_all()) effects_.reads_failed.push_back(read.token);
    for (uint64_t token : reads_before_commit_) effects_.reads_failed.push_back(token);
    reads_before_commit_.clear();
    peers_.clear();
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
    reset_election_deadline();
}

// A leader was heard from so recently that an election now would only disturb (thesis 4.2.3 and 9.6).
bool RaftCore::has_live_leader() const {
    if (is_leader()) return true;
    return !leader_id_.empty() && leader_contact_us_ != 0 &&
           input_.now_us - leader_contact_us_ < options_.election_timeout_min_us;
}

bool RaftCore::is_log_up_to_date(uint64_t last_index, uint64_t last_term) const {
    if (last_term != terms_.last_term()) return last_term > terms_.last_term();
    return last_index >= terms_.last_index();
}

void RaftCore::start_pre_vote() {
    if (role_ == pb::RoleChanged::FOLLOWER) campaign_started_us_ = input_.now_us;
    role_ = pb::RoleChanged::PRE_CANDIDATE;
    leader_id_.clear();
    effects_.role_changed = true;
    votes_.clear();
    reset_election_deadline();
    ask_for_votes(true);
    count_vote(options_.node_id, true);
}

void RaftCore::start_election() {
    role_ = pb::RoleChanged::CANDIDATE;
    effects_.role_changed = true;
    votes_.clear();
    set_term(term_ + 1, options_.node_id);
    reset_election_deadline();
    ask_for_votes(false);
    count_vote(options_.node_id, false);
}

void RaftCore::ask_for_votes(bool pre_vote) {
    for (const std::string& voter : voters_) {
        if (voter == options_.node_id) continue;
        pb::RequestVote request;
        request.set_term(pre_vote ? term_ + 1 : term_);
        request.set_last_log_index(terms_.last_index());
        request.set_last_log_term(terms_.last_term());
        request.set_pre_vote(pre_vote);
        // Our vote for ourselves must be durable before anybody can answer to it.
        send(voter, message_of(std::move(request)), pre_vote ? Gate::kNone : Gate::kTerm);
    }
}

void RaftCore::count_vote(std::string_view from, bool pre_vote) {
    votes_.emplace(from);
    if (votes_.size() < majority_of(voters_.size())) return;
    if (pre_vote) {
        start_election();
    } else {
        become_leader();
    }
}

void RaftCore::become_leader() {
    role_ = pb::RoleChanged::LEADER;
    leader_id_ = options_.node_id;
    effects_.role_changed = true;
    peers_.clear();
    for (const std::string& voter : voters_) {
        if (voter != options_.node_id) peers_.emplace(voter, Progress(terms_.last_index(), input_.now_us));
    }
    // Rounds go on counting, so that an answer to an earlier leadership's heartbeat confirms nothing.
    confirmed_round_ = round_;
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
    std::vector<Proposal> no_op;
    no_op.push_back({RecordType::kNoOp, Payload()});
    append_own(std::move(no_op));
    send_heartbeats();
    send_appends_to_all();
}

// A leader that no majority answers is none (thesis 6.2): clients should look elsewhere.
void RaftCore::check_quorum() {
    size_t in_contact = is_voter(options_.node_id) ? 1 : 0;
    for (const auto& [peer, progress] : peers_) {
        if (input_.now_us - progress.last_contact_us() < options_.election_timeout_max_us) in_contact++;
    }
    if (in_contact < majority_of(voters_.size())) become_follower(term_, "");
}

void RaftCore::on_request_vote(std::string_view from, const pb::RequestVote& request) {
    pb::VoteReply reply;
    reply.set_pre_vote(request.pre_vote());
    if (request.pre_vote()) {
        // Nothing of ours changes: not our term, not our vote, not our patience.
        const bool granted = request.term() > term_ && !has_live_leader() &&
                             is_log_up_to_date(request.last_log_index(), request.last_log_term());
        reply.set_granted(granted);
        reply.set_term(granted ? request.term() : term_);
        send(from, message_of(std::move(reply)), Gate::kTerm);
        return;
    }
    if (request.term() > term_ && has_live_leader()) {
        reply.set_term(term_);
        send(from, message_of(std::move(reply)), Gate::kTerm);
        return;
    }
    if (request.term() > term_) become_follower(request.term(), "");
    const bool free_to_vote = voted_for_.empty() || voted_for_ == from;
    const bool granted = request.term() == term_ && free_to_vote && role_ != pb::RoleChanged::LEADER &&
                         is_voter(from) && is_log_up_to_date(request.last_log_index(), request.last_log_term());
    if (granted) {
        set_term(term_, from);
        reset_election_deadline();
    }
    reply.set_granted(granted);
    reply.set_term(term_);
    send(from, message_of(std::move(reply)), Gate::kTerm);
}

void RaftCore::on_vote_reply(std::string_view from, const pb::VoteReply& reply) {
    if (!is_voter(from)) return;
    if (!reply.granted()) {
        if (reply.term() > term_) become_follower(reply.term(), "");
        return;
    }
    if (reply.pre_vote()) {
        if (role_ == pb::RoleChanged::PRE_CANDIDATE && reply.term() == term_ + 1) count_vote(from, true);
        return;
    }
    if (role_ == pb::RoleChanged::CANDIDATE && reply.term() == term_) count_vote(from, false);
}

}  // namespace sandstore
