#include "actors/raft/raft_core.h"

#include <algorithm>

#include "actors/raft/quorum.h"
#include "messages/log.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

TermIndex terms_of(const pb::LogRecovered& recovered) {
    SANDSTORE_CHECK(recovered.first_index() >= 1 && recovered.last_index() + 1 >= recovered.first_index(),
                    "first=", recovered.first_index(), " last=", recovered.last_index());
    TermIndex terms(recovered.first_index() - 1);
    for (int i = 0; i < recovered.term_runs_size(); i++) {
        const pb::TermRun& run = recovered.term_runs(i);
        const uint64_t end =
            i + 1 < recovered.term_runs_size() ? recovered.term_runs(i + 1).first_index() : recovered.last_index() + 1;
        SANDSTORE_CHECK(run.first_index() == terms.last_index() + 1 && end > run.first_index(), "run at ",
                        run.first_index(), " after ", terms.last_index());
        terms.append(run.term(), end - run.first_index());
    }
    SANDSTORE_CHECK(terms.last_index() == recovered.last_index(), "runs end at ", terms.last_index());
    return terms;
}

}  // namespace

RaftCore::RaftCore(RaftOptions options, const pb::LogRecovered& recovered, RaftInput input)
    : options_(std::move(options)),
      term_(recovered.hard_state().term()),
      voted_for_(recovered.hard_state().voted_for()),
      terms_(terms_of(recovered)),
      cache_(options_.cache_bytes, recovered.last_index() + 1),
      persisted_index_(recovered.last_index()) {
    start_event(input);
    if (terms_.last_index() == 0) {
        // A new cluster: every member begins with the same entry at index 1, so that all agree on who votes.
        pb::RaftConfiguration configuration;
        for (const std::string& voter : options_.bootstrap_voters) configuration.add_voters(voter);
        voters_ = options_.bootstrap_voters;
        set_term(1, "");
        std::vector<Proposal> first;
        first.push_back({RecordType::kConfiguration, Payload(configuration.SerializeAsString())});
        append_own(std::move(first));
        uncommitted_.clear();
        uncommitted_bytes_ = 0;
    } else {
        SANDSTORE_CHECK(recovered.configurations_size() > 0, "the log holds no configuration");
        pb::RaftConfiguration configuration;
        const auto& newest = recovered.configurations(recovered.configurations_size() - 1);
        SANDSTORE_CHECK(configuration.ParseFromString(newest.configuration()), "configuration at ", newest.index());
        voters_.assign(configuration.voters().begin(), configuration.voters().end());
        SANDSTORE_CHECK(term_ >= terms_.last_term(), "term=", term_, " last entry's term=", terms_.last_term());
    }
    std::sort(voters_.begin(), voters_.end());
    SANDSTORE_CHECK(!voters_.empty(), "no voters");
    reset_election_deadline();
    finish_event();
}

// --- Events
// ----------------------------------------------------------------------------------------------------------------

void RaftCore::start_event(RaftInput input) {
    input_ = input;
}

// Turns what the event changed into at most one log write, and gives gated messages the write they wait for.
void RaftCore::finish_event() {
    if (hard_state_changed_ || write_count_ > 0) {
        pb::LogWrite write;
        write.set_write_id(++last_write_);
        if (hard_state_changed_) {
            write.mutable_hard_state()->set_term(term_);
            write.mutable_hard_state()->set_voted_for(voted_for_);
            term_write_ = last_write_;
        }
        if (write_count_ > 0) {
            write.set_first_index(write_first_index_);
            write.set_record_count(write_count_);
        }
        writes_in_flight_.push_back({last_write_, terms_.last_index(), terms_.last_term()});
        effects_.write = message_of(std::move(write), std::move(write_records_));
        hard_state_changed_ = false;
        write_count_ = 0;
        write_records_ = Payload();
    }
    for (const auto& [place, gate] : gates_) {
        const uint64_t wanted = gate == Gate::kAll ? last_write_ : term_write_;
        if (wanted > persisted_write_) effects_.messages[place].after_write = wanted;
    }
    gates_.clear();
    check_invariants();
}

RaftEffects RaftCore::take_effects() {
    RaftEffects effects = std::move(effects_);
    effects_ = RaftEffects();
    return effects;
}

void RaftCore::send(std::string_view to, Message message, Gate gate) {
    if (gate != Gate::kNone) gates_.push_back({effects_.messages.size(), gate});
    effects_.messages.push_back({std::string(to), std::move(message), 0});
}

void RaftCore::on_tick(RaftInput input) {
    start_event(input);
    if (is_leader()) {
        if (input.now_us >= heartbeat_due_us_) {
            check_quorum();
            if (is_leader()) send_heartbeats();
        }
    } else if (input.now_us >= election_deadline_us_ && is_voter(options_.node_id)) {
        start_pre_vote();
    } else if (input.now_us >= election_deadline_us_) {
        reset_election_deadline();
    }
    finish_event();
}

void RaftCore::on_message(RaftInput input, std::string_view from, const Message& message) {
    start_event(input);
    // Whoever is heard can be reached, whatever the transport said last.
    if (auto gone = unreachable_.find(from); gone != unreachable_.end()) unreachable_.erase(gone);
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
        if (terms_.matches(write.last_index, write.last_term)) {
            persisted_index_ = std::max(persisted_index_, write.last_index);
        }
        writes_in_flight_.pop_front();
    }
    if (is_leader()) advance_commit();
    finish_event();
}

void RaftCore::on_peer_up(RaftInput input, std::string_view peer) {
    start_event(input);
    if (auto gone = unreachable_.find(peer); gone != unreachable_.end()) unreachable_.erase(gone);
    auto found = peers_.find(peer);
    if (is_leader() && found != peers_.end()) {
        found->second.probe_from(found->second.match() + 1);
        send_appends(found->first, found->second);
    }
    finish_event();
}

void RaftCore::on_peer_down(RaftInput input, std::string_view peer) {
    start_event(input);
    unreachable_.emplace(peer);
    auto found = peers_.find(peer);
    if (is_leader() && found != peers_.end()) found->second.probe_from(found->second.match() + 1);
    finish_event();
}

bool RaftCore::is_voter(std::string_view node) const {
    return std::binary_search(voters_.begin(), voters_.end(), node, std::less<>());
}

uint64_t RaftCore::next_deadline_us() const {
    return is_leader() ? heartbeat_due_us_ : election_deadline_us_;
}

void RaftCore::evict_cache(uint64_t last_evictable) {
    cache_.evict(std::min(last_evictable, persisted_index_));
}

// --- Commit
// ----------------------------------------------------------------------------------------------------------------

void RaftCore::advance_commit() {
    std::vector<uint64_t> matches;
    for (const std::string& voter : voters_) {
        if (voter == options_.node_id) {
            matches.push_back(persisted_index_);  // Our own disk is one replica, not more.
        } else {
            matches.push_back(peers_.at(voter).match());
        }
    }
    const uint64_t index = reached_by_majority(std::move(matches));
    // Entries of earlier terms are committed only by one of this term after them (paper, figure 8).
    if (index > commit_index_ && terms_.matches(index, term_)) {
        set_commit(index);
        admit_waiting_reads();
    }
}

void RaftCore::set_commit(uint64_t index) {
    SANDSTORE_CHECK(index <= terms_.last_index(), "commit=", index, " last=", terms_.last_index());
    if (index <= commit_index_) return;
    commit_index_ = index;
    effects_.commit_advanced = true;
    while (!uncommitted_.empty() && uncommitted_.front().first <= index) {
        uncommitted_bytes_ -= uncommitted_.front().second;
        uncommitted_.pop_front();
    }
}

void RaftCore::check_invariants() const {
    SANDSTORE_CHECK(commit_index_ <= terms_.last_index(), "commit=", commit_index_, " last=", terms_.last_index());
    SANDSTORE_CHECK(persisted_index_ <= terms_.last_index(), "persisted=", persisted_index_,
                    " last=", terms_.last_index());
    SANDSTORE_CHECK(terms_.last_term() <= term_, "last_term=", terms_.last_term(), " term=", term_);
    SANDSTORE_CHECK(cache_.next_index() == terms_.last_index() + 1, "cache ends at ", cache_.next_index());
    SANDSTORE_CHECK(cache_.first_index() <= persisted_index_ + 1, "an entry that is not durable left the cache");
    SANDSTORE_CHECK(persisted_write_ <= last_write_, "persisted_write=", persisted_write_);
    SANDSTORE_CHECK(!is_leader() || leader_id_ == options_.node_id, "leader_id=", leader_id_);
    SANDSTORE_CHECK(is_leader() || reads_.empty(), "reads wait without leadership");
}

}  // namespace sandstore
