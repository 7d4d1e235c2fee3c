// RaftCore: heartbeats, and the linearizable reads they confirm (thesis 6.4), by a round of their own or by a lease.
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {
// A lease ends this early, in tenths of the time for which followers promise to elect nobody else: clocks may differ in
// rate by a fifth of it. A lease begins when the round that confirms it is sent, so delays only shorten it.
constexpr uint64_t kLeaseTenths = 8;
// Heartbeat rounds whose time of sending is remembered; an answer to an older one renews no lease.
constexpr size_t kRoundsRemembered = 256;
}  // namespace

void RaftCore::send_heartbeat(const std::string& peer, Progress& progress) {
    progress.time_round(round_, input_.now_us);
    pb::Heartbeat heartbeat;
    heartbeat.set_term(term_);
    heartbeat.set_leader_commit(known_commit(progress));
    heartbeat.set_leader_commit_term(terms_.term_at(heartbeat.leader_commit()).value_or(0));
    heartbeat.set_round(round_);
    heartbeat.set_known_start(configuration().start_of(peer));
    heartbeat.set_owed_index(progress.owed_index());
    heartbeat.set_owed_term(progress.owed_index() == 0 ? 0 : progress.owed_term());
    pb::Standing& standing = *heartbeat.mutable_standing();
    standing.set_match_index(progress.match());
    standing.set_commit_index(commit_index_);
    standing.set_silent_us(input_.now_us - progress.last_contact_us());
    send(peer, message_of(std::move(heartbeat)), Gate::kNone);
}

// The last committed entry that the peer is known to hold, if its term is still known here.
uint64_t RaftCore::known_commit(const Progress& progress) const {
    const uint64_t index = std::min(commit_index_, progress.match());
    return terms_.term_at(index).has_value() ? index : 0;
}

void RaftCore::send_heartbeats() {
    round_++;
    heartbeat_due_us_ = input_.now_us + options_.heartbeat_interval_us;
    rounds_sent_us_.push_back(input_.now_us);
    if (rounds_sent_us_.size() > kRoundsRemembered) rounds_sent_us_.pop_front();
    for (auto& [peer, progress] : peers_) {
        if (!unreachable_.contains(peer)) send_heartbeat(peer, progress);
    }
    drop_leavers();
    confirm_reads();
}

void RaftCore::on_heartbeat(std::string_view from, const pb::Heartbeat& heartbeat) {
    const bool of_the_past = heartbeat.term() < term_;
    if (!of_the_past) {
        hear_leader(heartbeat.term(), from);
        // The leader knew that we held everything up to here. A disk may have lost it since, and an older entry be in
        // its place.
        const bool has_it = terms_.matches(heartbeat.leader_commit(), heartbeat.leader_commit_term());
        if (has_it || planted("heartbeat-commits-unseen")) {
            set_commit(std::min(heartbeat.leader_commit(), terms_.last_index()));
        }
        note_owed(heartbeat);
        standing_ = heartbeat.standing();
    }
    pb::HeartbeatReply reply;
    reply.set_term(term_);
    // A late one of an earlier term confirms no round of this one, and nothing was promised.
    const bool confirms = !of_the_past || planted("rounds-of-other-terms-confirmed");
    if (confirms) reply.set_round(heartbeat.round());
    reply.set_election_priority(options_.election_priority);
    reply.set_disk_full(disk_full_);
    reply.set_disk_slow(is_disk_slow(input_.now_us));
    // Without lease reads a node that restarts does not wait for what it may have promised.
    if (options_.lease_reads && confirms) reply.set_promise_us(options_.election_timeout_min_us);
    reply.set_waits_for_operator(options_.ask_to_rejoin);
    if (heartbeat.known_start() != own_start()) reply.set_start(own_start());
    reply.set_feature_level(options_.feature_level);
    send(from, message_of(std::move(reply)), Gate::kTerm);
}

// A leader that had it from us says how far our log once reached. That is over when our log is there again, not when
// another leader, who cannot know, says nothing.
void RaftCore::note_owed(const pb::Heartbeat& heartbeat) {
    const LogEnd owed{heartbeat.owed_term(), heartbeat.owed_index()};
    if (owed.index == 0 || is_up_to(owed, owed_)) return;
    owed_ = owed;
    if (owed_index() == 0) return;
    effects_.notice = str_cat("entries that this node had acknowledged are gone from its log: it ends with entry ",
                              terms_.last_index(), " instead of ", owed.index,
                              "; until the leader has sent them again this node does not lead, and votes for no log "
                              "without them. Check the disk");
}

void RaftCore::on_heartbeat_reply(std::string_view from, const pb::HeartbeatReply& reply) {
    auto found = answering(from, reply.term());
    if (found == peers_.end()) return;
    Progress& progress = found->second;
    hear_start(from, reply.start());
    const bool is_ours = reply.round() <= round_ || planted("rounds-of-other-terms-confirmed");
    if (is_ours) progress.confirm_round(std::min(reply.round(), round_));
    if (const std::optional<uint64_t> took_us = progress.round_trip_us(reply.round(), input_.now_us)) {
        effects_.round_trips.push_back({found->first, *took_us});
    }
    progress.health = {reply.election_priority(), reply.disk_full(), reply.disk_slow(), reply.waits_for_operator(),
                       feature_level_of(reply.feature_level())};
    note_promise(progress, reply);
    confirm_reads();  // A new round may drop a peer that has left.
    found = peers_.find(from);
    if (found != peers_.end()) resend_to(found->first, found->second);
}

// The promise counts from when the follower heard the heartbeat; that was not before it was sent.
void RaftCore::note_promise(Progress& progress, const pb::HeartbeatReply& reply) {
    const uint64_t age = round_ - std::min(reply.round(), round_);
    if (age >= rounds_sent_us_.size() || reply.round() > round_) return;
    const uint64_t promise_us = planted("own-timeout-taken-for-promise") ? options_.election_timeout_min_us
                                                                         : static_cast<uint64_t>(reply.promise_us());
    const uint64_t sent_us = rounds_sent_us_[rounds_sent_us_.size() - 1 - age];
    progress.promise_until(sent_us + promise_us * kLeaseTenths / 10);
}

void RaftCore::resend_to(const std::string& peer, Progress& progress) {
    // What was sent a while ago and never answered is lost: begin again from what is known.
    const bool begins_again = planted("heartbeat-restarts-snapshot") && progress.state() == Progress::State::kSnapshot;
    if (begins_again || progress.is_stalled(input_.now_us, options_.election_timeout_min_us)) {
        probe_again(progress);
    }
    send_appends(peer, progress);
}

// Of a peer that has agreed to nothing yet, our own log's end is the best guess: its refusal says where to go from
// there.
void RaftCore::probe_again(Progress& progress) {
    progress.probe_from(progress.match() == 0 ? terms_.last_index() + 1 : progress.match() + 1);
}

bool RaftCore::has_committed_in_term() const {
    return terms_.matches(commit_index_, term_) || planted("read-before-own-commit");
}

// While it lasts, no quorum elects another leader: each of its members heard from us and withholds its vote, for as
// long as it said itself. Not when one of them was asked to stand at once, for then it, and those it asks, do not.
bool RaftCore::has_lease(uint64_t now_us) const {
    if (!is_leader() || !options_.lease_reads) return false;
    if (timeout_now_sent_ && !planted("lease-kept-through-transfer")) return false;
    return configuration().is_quorum([&](const std::string& voter) {
        if (!counts(voter)) return false;
        if (is_self(voter)) return true;
        const Progress& progress = peers_.at(voter);
        return progress.owed_index() == 0 && now_us < progress.promised_until_us();
    });
}

bool RaftCore::read_index(RaftInput input, uint64_t token) {
    start_event(input);
    if (!is_leader()) return false;
    if (!has_committed_in_term()) {
        // Until then the commit index may lag behind what an earlier leader acknowledged.
        reads_before_commit_.push_back(token);
        return true;
    }
    if (has_lease(input.now_us) || planted("read-without-round")) {
        effects_.reads_ready.push_back({token, commit_index_});
        return true;
    }
    const bool round_in_flight = confirmed_round_ < round_;
    reads_.add(token, commit_index_, planted("read-joins-earlier-round") ? round_ : round_ + 1);
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
    // Who lost entries may have lost a vote for another leader with them.
    const uint64_t confirmed = configuration().reached_by_quorum([this](const std::string& voter) {
        if (!counts(voter)) return uint64_t{0};
        if (is_self(voter)) return round_;
        const Progress& progress = peers_.at(voter);
        return progress.owed_index() == 0 ? progress.round() : 0;
    });
    confirmed_round_ = std::max(confirmed_round_, confirmed);
    for (const ReadQueue::Read& read : reads_.take_confirmed(confirmed_round_)) {
        effects_.reads_ready.push_back({read.token, read.index});
    }
    // One round in flight, one forming: reads that came in meanwhile share the next.
    if (confirmed_round_ == round_ && reads_.wants_round_after(round_)) send_heartbeats();
}

}  // namespace sandstore
