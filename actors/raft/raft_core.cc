#include "actors/raft/raft_core.h"

#include <algorithm>

#include "messages/log.pb.h"
#include "messages/snapshot.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

// --- Start

RaftCore::RaftCore(RaftOptions options, const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot,
                   RaftInput input)
    : options_(std::move(options)),
      term_(recovered.hard_state().term()),
      voted_for_(recovered.hard_state().voted_for()) {
    const std::string problem = problem_with(recovered, snapshot);
    SANDSTORE_CHECK(problem.empty(), problem);
    start_event(input);
    load_log(recovered, snapshot);
    // The snapshot may have become durable before the term in which it came: nothing was said in that term then.
    if (terms_.last_term() > term_) set_term(terms_.last_term(), "");
    if (terms_.last_index() == 0 && !options_.join) bootstrap();
    if (!options_.recover_founding.empty()) go_on_alone();
    if (planted("voters-from-discovery") && !options_.bootstrap_voters.empty()) {
        pb::RaftConfiguration discovered;
        for (const std::string& voter : options_.bootstrap_voters) discovered.add_voters(voter);
        configurations_ = ConfigurationHistory();
        configurations_.append(terms_.last_index(), Configuration(discovered));
    }
    // Before the restart this node may have promised a leader not to elect another one for a while.
    if (options_.lease_reads && recovered.last_index() > 0) leader_contact_us_ = input.now_us;
    reset_election_deadline();
    finish_event();
}

std::string RaftCore::problem_with(const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot) {
    const uint64_t covered = snapshot == nullptr ? 0 : snapshot->index();
    if (recovered.first_index() > covered + 1) {
        return str_cat(
            "The log begins with entry ", recovered.first_index(), ", and ",
            snapshot == nullptr ? "there is no usable snapshot"
                                : str_cat("the newest usable snapshot ends with entry ", covered),
            ": what lies between is lost on this node. Remove the node from the cluster, empty its data directory, "
            "and add it again");
    }
    const int runs = recovered.term_runs_size();
    if (runs > 0 && recovered.term_runs(runs - 1).term() > recovered.hard_state().term()) {
        return "The log holds entries of a later term than the one it says it is in";
    }
    if (snapshot != nullptr && snapshot->configuration().voters().empty()) return "The snapshot names no voters";
    if (snapshot == nullptr && recovered.last_index() > 0 && recovered.configurations().empty()) {
        return "The log holds no configuration";
    }
    return "";
}

// The entries that can be told apart: from the first one whose predecessor's term is known.
void RaftCore::load_log(const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot) {
    const uint64_t before = recovered.first_index() - 1;
    const bool meets = snapshot != nullptr && snapshot->index() == before;
    terms_ = TermIndex(before, meets ? snapshot->term() : 0);
    for (int i = 0; i < recovered.term_runs_size(); i++) {
        const pb::TermRun& run = recovered.term_runs(i);
        const uint64_t end =
            i + 1 < recovered.term_runs_size() ? recovered.term_runs(i + 1).first_index() : recovered.last_index() + 1;
        SANDSTORE_CHECK(run.first_index() == terms_.last_index() + 1 && end > run.first_index(), "run at ",
                        run.first_index(), " after ", terms_.last_index());
        terms_.append(run.term(), end - run.first_index());
    }
    SANDSTORE_CHECK(terms_.last_index() == recovered.last_index(), "runs end at ", terms_.last_index());
    cache_ = EntryCache(options_.cache_bytes, terms_.last_index() + 1);
    persisted_index_ = terms_.last_index();
    if (snapshot != nullptr) {
        configurations_ =
            ConfigurationHistory(snapshot->configuration_index(), Configuration(snapshot->configuration()));
        if (!terms_.matches(snapshot->index(), snapshot->term())) {
            restart_log(snapshot->index(), snapshot->term());
        } else if (before > 0 && !meets) {
            terms_.compact(recovered.first_index());
        }
        commit_index_ = snapshot->index();
    }
    for (const pb::ConfigurationAt& at : recovered.configurations()) {
        Configuration configuration;
        SANDSTORE_CHECK(Configuration::parse(at.configuration(), &configuration), "configuration at ", at.index());
        const bool in_log = at.index() <= terms_.last_index() && at.index() > commit_index_;
        if (in_log || snapshot == nullptr) configurations_.append(at.index(), std::move(configuration));
    }
}

// The snapshot is ahead of the log, or contradicts it: what the log holds is of no more use.
void RaftCore::restart_log(uint64_t index, uint64_t term) {
    terms_ = TermIndex(index, term);
    cache_ = EntryCache(options_.cache_bytes, index + 1);
    persisted_index_ = index;  // The snapshot is durable.
    log_restarted_ = true;
}

// A new cluster: every member begins with the same entry at index 1, so that all agree on who votes.
void RaftCore::bootstrap() {
    pb::RaftConfiguration configuration;
    std::vector<std::string> voters = options_.bootstrap_voters;
    std::sort(voters.begin(), voters.end());
    SANDSTORE_CHECK(!voters.empty(), "no voters");
    for (const std::string& voter : voters) configuration.add_voters(voter);
    for (const auto& [voter, storage] : options_.bootstrap_storages) {
        pb::RaftStorage* known = configuration.add_storages();
        known->set_id(voter);
        known->set_storage(storage);
    }
    configuration.set_founding(options_.founding);
    set_term(1, "");
    append_configuration(configuration);
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
}

// --- Events

void RaftCore::start_event(RaftInput input) {
    input_ = input;
}

// Turns what the event changed into at most one log write, and gives gated messages the write they wait for.
void RaftCore::finish_event() {
    if (hard_state_changed_ || write_count_ > 0 || log_restarted_) {
        pb::LogWrite write;
        write.set_write_id(++last_write_);
        const bool left_for_later = planted("term-written-after-entries") && write_count_ > 0;
        if (hard_state_changed_ && !left_for_later && !planted("vote-not-written")) {
            write.mutable_hard_state()->set_term(term_);
            write.mutable_hard_state()->set_voted_for(voted_for_);
        }
        if (hard_state_changed_) term_write_ = last_write_;
        if (log_restarted_) {
            restart_write_ = last_write_;
            write.mutable_restart()->set_index(terms_.first_index() - 1);
            write.mutable_restart()->set_term(terms_.term_at(terms_.first_index() - 1).value());
        }
        if (write_count_ > 0) {
            write.set_first_index(write_first_index_);
            write.set_record_count(write_count_);
        }
        writes_in_flight_.push_back({last_write_, terms_.last_index(), terms_.last_term(), input_.now_us});
        effects_.write = message_of(std::move(write), std::move(write_records_));
        hard_state_changed_ = false;
        log_restarted_ = false;
        write_count_ = 0;
        write_records_ = Payload();
    }
    for (const auto& [place, gate] : gates_) {
        const uint64_t wanted = gate == Gate::kAll ? last_write_ : term_write_;
        if (wanted > persisted_write_ && !planted("reply-before-sync")) effects_.messages[place].after_write = wanted;
    }
    gates_.clear();
    note_configuration();
    check_invariants();
}

void RaftCore::note_configuration() {
    const std::pair<uint64_t, bool> now{configuration_index(), is_configuration_committed()};
    if (now == noted_configuration_) return;
    noted_configuration_ = now;
    if (has_forgotten()) {
        effects_.notice =
            str_cat(options_.node_id, " votes on another storage than this one, by the log: it counts as ",
                    "absent until it is taken back");
    }
    effects_.configuration_changed = true;
}

RaftEffects RaftCore::take_effects() {
    RaftEffects effects = std::move(effects_);
    effects_ = RaftEffects();
    return effects;
}

void RaftCore::send(std::string_view to, Message message, Gate gate) {
    stamp_storage(&message);
    if (gate != Gate::kNone) gates_.push_back({effects_.messages.size(), gate});
    effects_.messages.push_back({std::string(to), std::move(message), 0});
}

void RaftCore::on_tick(RaftInput input) {
    start_event(input);
    if (is_leader()) {
        if (input.now_us >= heartbeat_due_us_) {
            check_quorum();
            if (is_leader()) look_after_leadership();
            if (is_leader()) take_back_forgetful();
            if (is_leader()) raise_features_of_new_log();
            if (is_leader()) bind_starts();
            if (is_leader()) send_heartbeats();
        }
    } else if (input.now_us >= election_deadline_us_) {
        if (may_stand()) {
            start_pre_vote();
        } else {
            become_follower(term_, "");  // Whoever led is not heard any more: no hint is better than a wrong one.
            reset_election_deadline();
        }
    }
    finish_event();
}

void RaftCore::on_message(RaftInput input, std::string_view from, const Message& message) {
    start_event(input);
    // Whoever is heard can be reached, whatever the transport said last.
    if (auto gone = unreachable_.find(from); gone != unreachable_.end()) unreachable_.erase(gone);
    hear_storage_of(from, message);
    hear_known_start_of(from, message);
    switch (message->body_case()) {
        case pb::Envelope::kRequestVote:
            on_request_vote(from, message->request_vote());
            break;
        case pb::Envelope::kVoteReply:
            on_vote_reply(from, message->vote_reply());
            break;
        case pb::Envelope::kAppendEntries:
            on_append_entries(from, message->append_entries(), message.payload);
            break;
        case pb::Envelope::kAppendReply:
            on_append_reply(from, message->append_reply());
            break;
        case pb::Envelope::kHeartbeat:
            on_heartbeat(from, message->heartbeat());
            break;
        case pb::Envelope::kHeartbeatReply:
            on_heartbeat_reply(from, message->heartbeat_reply());
            break;
        case pb::Envelope::kTimeoutNow:
            on_timeout_now(from, message->timeout_now());
            break;
        default:
            SANDSTORE_CHECK(false, "not a Raft message: ", body_name(message.envelope()));
    }
    finish_event();
}

void RaftCore::on_persisted(RaftInput input, uint64_t write_id) {
    start_event(input);
    SANDSTORE_CHECK(write_id <= last_write_, "write_id=", write_id, " last=", last_write_);
    persisted_write_ = std::max(persisted_write_, write_id);
    while (!writes_in_flight_.empty() && writes_in_flight_.front().write_id <= write_id) {
        const WriteInFlight& write = writes_in_flight_.front();
        // A write whose entries were replaced meanwhile says nothing about the entries that are there now.
        const bool still_there = terms_.matches(write.last_index, write.last_term) ||
                                 (planted("stale-write-believed") && write.last_index <= terms_.last_index());
        if (still_there) persisted_index_ = std::max(persisted_index_, write.last_index);
        writes_in_flight_.pop_front();
    }
    // What is durable can be read from the log, also by a state machine that is far behind.
    cache_.evict(persisted_index_);
    release_proposals();
    // The next one has the disk from now on: what counts is how long a single sync takes.
    if (!writes_in_flight_.empty() && !planted("slow-disk-taken-for-hung")) {
        writes_in_flight_.front().since_us = input.now_us;
    }
    if (role_ == pb::RoleChanged::CANDIDATE && persisted_write_ >= term_write_) count_vote(options_.node_id, false);
    if (is_leader()) advance_commit();
    finish_event();
}

void RaftCore::on_peer_up(RaftInput input, std::string_view peer) {
    start_event(input);
    if (auto gone = unreachable_.find(peer); gone != unreachable_.end()) unreachable_.erase(gone);
    auto found = peers_.find(peer);
    if (is_leader() && found != peers_.end()) {
        probe_again(found->second);
        send_appends(found->first, found->second);
    }
    finish_event();
}

void RaftCore::on_peer_down(RaftInput input, std::string_view peer) {
    start_event(input);
    unreachable_.emplace(peer);
    auto found = peers_.find(peer);
    if (is_leader() && found != peers_.end()) probe_again(found->second);
    finish_event();
}

uint64_t RaftCore::next_deadline_us() const {
    return is_leader() ? heartbeat_due_us_ : election_deadline_us_;
}

// --- Commit

void RaftCore::advance_commit() {
    const uint64_t index = configuration().reached_by_quorum([this](const std::string& voter) {
        if (!counts(voter)) return uint64_t{0};
        if (is_self(voter) && planted("own-entries-counted-before-sync")) return terms_.last_index();
        return is_self(voter)                    ? persisted_index_  // Our own disk is one replica, not more.
               : planted("lost-entries-counted") ? peers_.at(voter).match()
                                                 : peers_.at(voter).counted_match();
    });
    // Entries of earlier terms are committed only by one of this term after them (paper, figure 8).
    const bool of_this_term = terms_.matches(index, term_) || planted("old-term-committed-by-counting");
    if (index > commit_index_ && of_this_term) {
        set_commit(index);
        admit_waiting_reads();
        finish_change();
    }
}

void RaftCore::set_commit(uint64_t index) {
    SANDSTORE_CHECK(index <= terms_.last_index(), "commit=", index, " last=", terms_.last_index());
    if (index <= commit_index_) return;
    commit_index_ = index;
    effects_.commit_advanced = true;
    release_proposals();
    if (is_removed() && !is_leader()) effects_.role_changed = true;
}

// What others have committed stays in memory until our own disk has it, too.
void RaftCore::release_proposals() {
    const uint64_t index = std::min(commit_index_, persisted_index_);
    while (!uncommitted_.empty() && uncommitted_.front().first <= index) {
        uncommitted_bytes_ -= uncommitted_.front().second;
        uncommitted_.pop_front();
    }
}

void RaftCore::check_invariants() const {
    SANDSTORE_CHECK(commit_index_ <= terms_.last_index(), "commit=", commit_index_, " last=", terms_.last_index());
    SANDSTORE_CHECK(terms_.first_index() <= commit_index_ + 1, "compacted up to ", terms_.first_index(),
                    " commit=", commit_index_);
    SANDSTORE_CHECK(persisted_index_ <= terms_.last_index(), "persisted=", persisted_index_,
                    " last=", terms_.last_index());
    SANDSTORE_CHECK(terms_.last_term() <= term_, "last_term=", terms_.last_term(), " term=", term_);
    SANDSTORE_CHECK(cache_.next_index() == terms_.last_index() + 1, "cache ends at ", cache_.next_index());
    SANDSTORE_CHECK(cache_.first_index() <= persisted_index_ + 1, "an entry that is not durable left the cache");
    SANDSTORE_CHECK(persisted_write_ <= last_write_, "persisted_write=", persisted_write_);
    SANDSTORE_CHECK(configuration_index() <= terms_.last_index(), "configuration at ", configuration_index());
    SANDSTORE_CHECK(!is_leader() || is_self(leader_id_), "leader_id=", leader_id_);
    SANDSTORE_CHECK(is_leader() || reads_.empty(), "reads wait without leadership");
    SANDSTORE_CHECK(is_leader() || transfer_target_.empty(), "a transfer without leadership");
    SANDSTORE_CHECK(is_leader() || peers_.empty(), "progress without leadership");
}

}  // namespace sandstore
