// RaftCore: who belongs to the cluster (thesis 4). A configuration is in force from the moment it is in the log.
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {
// A learner this close behind catches up within a round or two.
constexpr uint64_t kCaughtUpEntries = 1'000;
// How long a peer that was removed is tried to be told, in election timeouts.
constexpr uint64_t kLeavingPatience = 10;
}  // namespace

bool RaftCore::is_removed() const {
    if (told_removed_at_ != 0) return true;
    return !configuration().empty() && is_configuration_committed() && !configuration().is_member(options_.node_id);
}

std::string RaftCore::why_no_change_now() const {
    // Without this gate two leaders' changes could be decided by majorities that do not meet (thesis 4.1, 2015
    // correction).
    if (!has_committed_in_term() && !planted("change-before-no-op")) {
        return "the leader is new and has committed nothing yet: try again in a moment";
    }
    if (!is_change_done() && !planted("two-changes-at-once"))
        return "another change is on its way: try again when it is done";
    if (!transfer_target_.empty()) return "leadership is being handed over: try again in a moment";
    if (disk_exhausted_) return "the leader's disk is full";
    return "";
}

std::string RaftCore::why_not_caught_up(const pb::ChangeMembership& request) const {
    for (const auto& change : request.changes()) {
        if (change.kind() != pb::ChangeMembership::Change::PROMOTE) continue;
        const auto peer = peers_.find(change.node_id());
        if (peer == peers_.end()) continue;  // Not a learner: plan_change says so.
        const bool close = peer->second.match() + kCaughtUpEntries >= terms_.last_index();
        const bool heard = input_.now_us - peer->second.last_contact_us() < options_.election_timeout_max_us;
        if (peer->second.match() != 0 && close && heard) continue;
        return str_cat(change.node_id(), " has not caught up: it holds entry ", peer->second.match(), " of ",
                       terms_.last_index(), heard ? "" : ", and does not answer");
    }
    return "";
}

bool RaftCore::is_heard(const std::string& node) const {
    if (is_self(node)) return true;
    const auto peer = peers_.find(node);
    return peer != peers_.end() && peer->second.was_heard() &&
           input_.now_us - peer->second.last_contact_us() < options_.election_timeout_max_us;
}

// A change that no quorum can commit would be in force at once and for ever: it cannot even be taken back, since that
// would be another change.
std::string RaftCore::why_not_committable(const Configuration& planned) const {
    if (planted("change-without-quorum")) return "";
    const auto heard = [this](const std::string& node) { return is_heard(node) && counts(node); };
    if (configuration().is_quorum(heard) && planned.is_quorum(heard)) return "";
    std::string silent;
    for (const auto& [node, progress] : peers_) {
        const bool votes = configuration().is_voter(node) || planned.is_voter(node);
        if (votes && !heard(node)) str_append(&silent, silent.empty() ? "" : ", ", node);
    }
    return str_cat("too few voters would be left to decide anything while these do not answer: ", silent,
                   ". Start them again, or remove those first that are down");
}

RaftCore::RequestOutcome RaftCore::change_membership(RaftInput input, const pb::ChangeMembership& request,
                                                     std::string* problem) {
    start_event(input);
    if (!is_leader()) return RequestOutcome::kNotLeader;
    const RequestOutcome outcome = begin_change(request, problem);
    if (outcome == RequestOutcome::kAccepted) finish_event();
    return outcome;
}

RaftCore::RequestOutcome RaftCore::begin_change(const pb::ChangeMembership& request, std::string* problem) {
    *problem = why_no_change_now();
    if (!problem->empty()) return RequestOutcome::kNotNow;
    if (request.raise_feature_level() != 0) return raise_features(request, problem);
    pb::RaftConfiguration planned;
    if (!plan_change(configuration(), request, &planned, problem)) return RequestOutcome::kImpossible;
    *problem = why_not_promotable(request);
    if (!problem->empty()) return RequestOutcome::kImpossible;
    *problem = why_not_caught_up(request);
    if (problem->empty()) *problem = why_not_committable(Configuration(planned));
    if (!problem->empty()) return RequestOutcome::kNotNow;
    bind_new_voters(&planned);
    append_configuration(planned);
    send_appends_to_all();
    advance_commit();
    return RequestOutcome::kAccepted;
}

void RaftCore::append_configuration(const pb::RaftConfiguration& configuration) {
    std::vector<Proposal> entry;
    entry.push_back({RecordType::kConfiguration, Payload(configuration.SerializeAsString())});
    append_own(std::move(entry));
    configurations_.append(terms_.last_index(), Configuration(configuration));
    if (is_leader()) follow_configuration();
}

// The leader looks after exactly the members of the configuration in force, and for a while after those who just left.
void RaftCore::follow_configuration() {
    for (const std::string& node : configuration().members()) {
        if (is_self(node)) continue;
        peers_.emplace(node, Progress(terms_.last_index(), input_.now_us)).first->second.stay();
    }
    for (auto& [peer, progress] : peers_) {
        if (!configuration().is_member(peer) && progress.leaving_at() == 0) {
            progress.leave(configuration_index(), input_.now_us);
        }
    }
}

// A peer that left is dropped when a heartbeat has told it that the configuration without it is committed, or when it
// does not answer for long. (One that missed it is told by whomever it asks for a vote.)
void RaftCore::drop_leavers() {
    const uint64_t patience_us = kLeavingPatience * options_.election_timeout_max_us;
    std::erase_if(peers_, [&](const auto& entry) {
        const Progress& progress = entry.second;
        if (progress.leaving_at() == 0 || !is_configuration_committed()) return false;
        const bool told = known_commit(progress) >= progress.leaving_at();
        return told || input_.now_us - progress.leaving_since_us() > patience_us;
    });
}

// What follows when a configuration is committed: the second half of a joint change, or our own leaving.
void RaftCore::finish_change() {
    if (!is_leader() || !is_configuration_committed()) return;
    if (configuration().is_joint()) {
        append_configuration(configuration().without_old_voters());
        send_appends_to_all();
        advance_commit();
        return;
    }
    if (noted_configuration_ == std::pair(configuration_index(), true)) return;
    // Whoever leaves must hear of the commit, or it would have to find out by asking for votes.
    send_heartbeats();
    if (!configuration().is_voter(options_.node_id) && !planted("removed-leader-stays"))
        resign("this node is no voter any more");
}

}  // namespace sandstore
