// RaftCore: terms, votes, roles.
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"

namespace sandstore {

void RaftCore::set_term(uint64_t term, std::string_view voted_for) {
    SANDSTORE_CHECK(term >= term_, "term=", term, " present=", term_);
    SANDSTORE_CHECK(term > term_ || voted_for_.empty() || voted_for_ == voted_for || planted("second-vote"),
                    "second vote in term ", term, ": ", voted_for_, " then ", voted_for);
    if (term == term_ && voted_for_ == voted_for) return;
    term_ = term;
    voted_for_ = voted_for;
    hard_state_changed_ = true;
}

// A node of low priority waits longer, so that others stand before it.
void RaftCore::reset_election_deadline() {
    const uint64_t spread = options_.election_timeout_max_us - options_.election_timeout_min_us;
    const uint64_t short_of = kElectionPriorityDefault - std::min(options_.election_priority, kElectionPriorityDefault);
    const uint64_t patience_us = options_.election_timeout_max_us * short_of / kElectionPriorityDefault;
    election_deadline_us_ =
        input_.now_us + options_.election_timeout_min_us + input_.random % (spread + 1) + patience_us;
}

void RaftCore::become_follower(uint64_t term, std::string_view leader) {
    if (is_leader()) lose_leadership();
    if (term > term_) {
        set_term(term, "");
        leader_id_.clear();
        effects_.role_changed = true;
    }
    if (role_ != pb::RoleChanged::FOLLOWER || leader_id_ != leader) {
        effects_.role_changed = true;
        standing_.Clear();
    }
    role_ = pb::RoleChanged::FOLLOWER;
    leader_id_ = leader;
    votes_.clear();
}

void RaftCore::lose_leadership() {
    for (const ReadQueue::Read& read : reads_.take_all()) effects_.reads_failed.push_back(read.token);
    for (uint64_t token : reads_before_commit_) effects_.reads_failed.push_back(token);
    reads_before_commit_.clear();
    peers_.clear();
    rounds_sent_us_.clear();
    heard_storages_.clear();
    heard_starts_.clear();
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
    transfer_target_.clear();
    reset_election_deadline();
}

// The leader of this term spoke.
void RaftCore::hear_leader(uint64_t term, std::string_view leader) {
    SANDSTORE_CHECK(!is_leader() || term > term_, "two leaders in term ", term_, ": ", leader);
    become_follower(term, leader);
    leader_contact_us_ = input_.now_us;
    if (std::exchange(told_removed_at_, 0) != 0) effects_.role_changed = true;
    reset_election_deadline();
}

// A leader was heard from so recently that an election now would only disturb (thesis 4.2.3 and 9.6), and could break
// its lease. Whether we still know its name does not matter.
bool RaftCore::has_live_leader() const {
    if (is_leader()) return true;
    if (planted("votes-despite-live-leader")) return false;
    return leader_contact_us_ != 0 && input_.now_us - leader_contact_us_ < options_.election_timeout_min_us;
}

// Also a node that its newest configuration leaves out stands, while that one may not be committed: it may be the only
// one that can commit it (thesis 4.2.2).
bool RaftCore::may_stand() const {
    if (options_.election_priority == 0 || configuration().empty() || is_disk_slow(input_.now_us)) return false;
    if (is_removed() && !planted("removed-node-stands")) return false;
    if (owed_index() != 0 && !planted("debtor-stands")) return false;
    if (has_forgotten()) return false;
    return configuration().is_voter(options_.node_id) || !is_configuration_committed();
}

// What this node once acknowledged counts like what it holds: a commit may rest on it.
bool RaftCore::is_log_up_to_date(uint64_t last_index, uint64_t last_term) const {
    if (planted("vote-for-shorter-log")) return true;
    const LogEnd candidate{last_term, last_index};
    if (!is_up_to(owed_, candidate) && !planted("debtor-votes")) return false;
    return is_up_to({terms_.last_term(), terms_.last_index()}, candidate);
}

void RaftCore::start_pre_vote() {
    if (role_ == pb::RoleChanged::FOLLOWER) campaign_started_us_ = input_.now_us;
    role_ = pb::RoleChanged::PRE_CANDIDATE;
    leader_id_.clear();
    effects_.role_changed = true;
    votes_.clear();
    reset_election_deadline();
    if (planted("elections-without-pre-vote")) return start_election(false);
    ask_for_votes(true, false);
    count_vote(options_.node_id, true);
}

void RaftCore::start_election(bool transfer) {
    role_ = pb::RoleChanged::CANDIDATE;
    leader_id_.clear();
    effects_.role_changed = true;
    votes_.clear();
    set_term(term_ + 1, options_.node_id);
    reset_election_deadline();
    ask_for_votes(false, transfer);
    // Our own vote counts when it is durable (on_persisted): a lone voter would otherwise lead, lose the term in a
    // crash, and lead in it a second time.
    if (planted("own-vote-before-sync")) count_vote(options_.node_id, false);
}

void RaftCore::ask_for_votes(bool pre_vote, bool transfer) {
    for (const std::string& node : configuration().members()) {
        if (is_self(node) || !configuration().is_voter(node)) continue;
        pb::RequestVote request;
        request.set_term(pre_vote ? term_ + 1 : term_);
        request.set_last_log_index(terms_.last_index());
        request.set_last_log_term(terms_.last_term());
        request.set_pre_vote(pre_vote);
        request.set_transfer(transfer);
        request.set_known_start(configuration().start_of(node));
        // Our vote for ourselves must be durable before anybody can answer to it.
        send(node, message_of(std::move(request)), pre_vote ? Gate::kNone : Gate::kTerm);
    }
}

void RaftCore::count_vote(std::string_view from, bool pre_vote) {
    votes_.emplace(from);
    if (!configuration().is_quorum([this](const std::string& node) { return votes_.contains(node); })) return;
    if (pre_vote) {
        start_election(false);
    } else {
        become_leader();
    }
}

void RaftCore::become_leader() {
    role_ = pb::RoleChanged::LEADER;
    leader_id_ = options_.node_id;
    leader_since_us_ = input_.now_us;
    transfer_tried_us_ = input_.now_us;
    timeout_now_sent_ = false;
    effects_.role_changed = true;
    peers_.clear();
    follow_configuration();
    // Rounds go on counting, so that an answer to an earlier leadership's heartbeat confirms nothing.
    confirmed_round_ = round_;
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
    if (!planted("no-op-skipped")) {
        std::vector<Proposal> no_op;
        no_op.push_back({RecordType::kNoOp, Payload()});
        append_own(std::move(no_op));
    }
    send_heartbeats();
    send_appends_to_all();
}

// A leader that no quorum answers is none (thesis 6.2): clients should look elsewhere.
void RaftCore::check_quorum() {
    const bool in_contact = configuration().is_quorum([this](const std::string& node) {
        if (!counts(node)) return false;
        return is_self(node) || input_.now_us - peers_.at(node).last_contact_us() < options_.election_timeout_max_us;
    });
    if (!in_contact && !planted("quorum-not-checked")) become_follower(term_, "");
}

// The index of a committed configuration that is without the node; 0 when there is none to tell of.
uint64_t RaftCore::not_member_at(std::string_view node) const {
    if (configuration().empty()) return 0;
    const ConfigurationHistory::Entry& committed = configurations_.at(commit_index_);
    return committed.configuration.empty() || committed.configuration.is_member(node) ? 0 : committed.index;
}

// Whoever asks may get our vote, a member or not: our own configuration may be older than what made it one.
void RaftCore::on_request_vote(std::string_view from, const pb::RequestVote& request) {
    pb::VoteReply reply;
    reply.set_pre_vote(request.pre_vote());
    reply.set_not_member_at(not_member_at(from));
    const bool disturbs = has_live_leader() && !request.transfer();
    if (request.pre_vote()) {
        // Nothing of ours changes: not our term, not our vote, not our patience.
        const bool granted =
            request.term() > term_ && !disturbs && is_log_up_to_date(request.last_log_index(), request.last_log_term());
        reply.set_granted(granted);
        reply.set_term(granted ? request.term() : term_);
        send(from, message_of(std::move(reply)), Gate::kTerm);
        return;
    }
    // Also in a term that we have come to otherwise: what a leader was promised holds for its time, not for its term.
    const bool breaks_a_promise = request.term() == term_ && disturbs && voted_for_ != from;
    if ((request.term() > term_ && disturbs) || (breaks_a_promise && !planted("promise-ends-with-the-term"))) {
        reply.set_term(term_);
        send(from, message_of(std::move(reply)), Gate::kTerm);
        return;
    }
    if (request.term() > term_) become_follower(request.term(), "");
    // Who follows the leader of this term knows that a majority has voted.
    const bool has_no_vote = voted_for_.empty() && leader_id_.empty();
    const bool free_to_vote = has_no_vote || voted_for_ == from || planted("second-vote");
    const bool is_unasked = planted("only-voters-vote") && !configuration().is_voter(options_.node_id);
    const bool granted = request.term() == term_ && free_to_vote && role_ != pb::RoleChanged::LEADER && !is_unasked &&
                         is_log_up_to_date(request.last_log_index(), request.last_log_term());
    if (granted) {
        set_term(term_, from);
        reset_election_deadline();
    }
    reply.set_granted(granted);
    reply.set_term(term_);
    send(from, message_of(std::move(reply)), Gate::kTerm);
}

void RaftCore::on_vote_reply(std::string_view from, const pb::VoteReply& reply) {
    // Somebody knows a newer configuration, committed and without us.
    if (reply.not_member_at() > configuration_index() && !configuration().empty()) {
        told_removed_at_ = std::max(told_removed_at_, reply.not_member_at());
        if (role_ != pb::RoleChanged::FOLLOWER && !is_leader()) become_follower(term_, "");
        effects_.role_changed = true;
        return;
    }
    if (!reply.granted()) {
        if (reply.term() > term_) become_follower(reply.term(), "");
        return;
    }
    if (!configuration().is_voter(from) && !planted("learner-vote-counted")) return;
    if (!is_on_its_storage(from, reply.storage()) && !planted("votes-of-other-storage-counted")) return;
    if (reply.pre_vote()) {
        if (role_ == pb::RoleChanged::PRE_CANDIDATE && reply.term() == term_ + 1) count_vote(from, true);
        return;
    }
    if (role_ == pb::RoleChanged::CANDIDATE && reply.term() == term_) count_vote(from, false);
}

}  // namespace sandstore
