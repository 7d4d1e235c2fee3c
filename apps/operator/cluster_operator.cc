#include "apps/operator/cluster_operator.h"

#include <algorithm>

#include "actors/raft/feature_level.h"
#include "apps/terminal/units.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "services/status/status_json.h"

namespace sandstore {

namespace {

constexpr uint64_t kStatusTimeoutUs = 5'000'000;
constexpr uint64_t kRequestTimeoutUs = 20'000'000;
constexpr uint64_t kSnapshotTimeoutUs = 3600ull * 1'000'000;
constexpr uint64_t kPauseUs = 200'000;
constexpr uint64_t kCaughtUpEntries = 1'000;  // As the leader sees it.

bool contains(const google::protobuf::RepeatedPtrField<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether another attempt may help.
bool is_passing(pb::StatusCode code) {
    return code == pb::STATUS_EBUSY || code == pb::STATUS_NOT_LEADER || code == pb::STATUS_UNAVAILABLE ||
           code == pb::STATUS_DEADLINE_EXCEEDED || code == pb::STATUS_RESOURCE_EXHAUSTED;
}

}  // namespace

Standing standing_of(const pb::RaftConfiguration& configuration, std::string_view node) {
    const bool votes = contains(configuration.voters(), node);
    const bool voted = contains(configuration.old_voters(), node);
    if (!configuration.old_voters().empty() && votes != voted) return votes ? Standing::kJoining : Standing::kLeaving;
    if (votes) return Standing::kVoter;
    return contains(configuration.learners(), node) ? Standing::kLearner : Standing::kNone;
}

std::string_view standing_name(Standing standing) {
    switch (standing) {
        case Standing::kNone:
            return "none";
        case Standing::kVoter:
            return "voter";
        case Standing::kLearner:
            return "learner";
        case Standing::kJoining:
            return "joining";
        case Standing::kLeaving:
            return "leaving";
    }
    return "none";
}

ClusterOperator::ClusterOperator(std::vector<std::string> servers, uint64_t timeout_us, Say say)
    : calls_(std::move(servers)), deadline_us_(calls_.now_us() + timeout_us), say_(std::move(say)) {}

bool ClusterOperator::time_is_over() const {
    return calls_.now_us() >= deadline_us_;
}

uint64_t ClusterOperator::time_left_us() const {
    const uint64_t now_us = calls_.now_us();
    return deadline_us_ > now_us ? deadline_us_ - now_us : 1;
}

void ClusterOperator::note(std::string text) {
    if (text == said_) return;
    said_ = std::move(text);
    say_(said_);
}

std::string ClusterOperator::out_of_time(std::string_view doing) const {
    return str_cat("not done in time: ", doing, last_problem_.empty() ? "" : " (last: ", last_problem_,
                   last_problem_.empty() ? "" : ")",
                   "; `sandstore cluster members` shows where it stands, and the same "
                   "command again goes on from there (--timeout gives it longer)");
}

// --- Looking --------------------------------------------------------------------------------------------------------

std::string ClusterOperator::look() {
    std::string error;
    std::optional<pb::ClusterStatus> status =
        calls_.cluster_status(false, std::min(kStatusTimeoutUs, time_left_us()), &error);
    if (!status) return str_cat("no node answers (", error, "); --servers says where they are");
    status_ = std::move(*status);
    calls_.learn(status_);
    return "";
}

const pb::RaftStatus& ClusterOperator::leader() const {
    const pb::NodeStatus* line = best_informed(status_);
    SANDSTORE_CHECK(line != nullptr && line->id() == status_.leader_id(), "leader=", status_.leader_id());
    return line->raft();
}

std::string ClusterOperator::look_with_leader() {
    while (true) {
        std::string problem = look();
        if (problem.empty()) {
            const pb::NodeStatus* line = best_informed(status_);
            if (line != nullptr && !status_.leader_id().empty() && line->id() == status_.leader_id()) return "";
            problem = "no leader: is a majority of the voters up? `sandstore status` shows the nodes";
        }
        last_problem_ = problem;
        if (time_is_over()) return problem;
        calls_.pause(kPauseUs);
    }
}

// --- One change -----------------------------------------------------------------------------------------------------

std::string ClusterOperator::change(const std::vector<Step>& steps, const IsDone& is_done) {
    pb::ChangeMembership request;
    for (const Step& step : steps) {
        Change* change = request.add_changes();
        change->set_kind(step.kind);
        change->set_node_id(step.node);
        change->set_address(step.address);
    }
    return change(request, is_done);
}

std::string ClusterOperator::change(const pb::ChangeMembership& request, const IsDone& is_done) {
    while (true) {
        if (std::string problem = look_with_leader(); !problem.empty()) return problem;
        const pb::RaftConfiguration& now = leader().configuration();
        const bool settled = now.old_voters().empty() && leader().commit_index() >= leader().configuration_index();
        if (settled && is_done(now)) return "";
        if (time_is_over()) return out_of_time("the change is not in force");
        if (settled) {
            const Message reply =
                calls_.ask(message_of(pb::ChangeMembership(request)), std::min(kRequestTimeoutUs, time_left_us()));
            const pb::Status& status = reply->has_membership_changed() ? reply->membership_changed().status()
                                                                       : reply->request_failed().status();
            if (status.code() == pb::STATUS_OK) continue;  // Looks once more.
            last_problem_ = status.message();
            if (!is_passing(status.code())) return status.message();
            note(str_cat("waiting: ", status.message()));
        }
        calls_.pause(kPauseUs);
    }
}

std::string ClusterOperator::add_learner(const std::string& node, const std::string& address) {
    if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    if (standing_of(leader().configuration(), node) != Standing::kNone) {
        note(str_cat(node, " is a member already: ", standing_name(standing_of(leader().configuration(), node))));
        return take_back(node);
    }
    std::string problem = change({{Change::ADD_LEARNER, node, address}}, [&](const pb::RaftConfiguration& now) {
        return standing_of(now, node) != Standing::kNone;
    });
    if (problem.empty()) note(str_cat(node, " is a learner now"));
    return problem;
}

// How far a learner is, as the leader sees it.
std::string ClusterOperator::await_caught_up(const std::string& node) {
    while (true) {
        if (std::string problem = look_with_leader(); !problem.empty()) return problem;
        const pb::RaftStatus& raft = leader();
        const auto peer = std::find_if(raft.peers().begin(), raft.peers().end(),
                                       [&](const pb::RaftPeerStatus& line) { return line.node_id() == node; });
        if (standing_of(raft.configuration(), node) == Standing::kVoter) return "";
        if (peer == raft.peers().end())
            return str_cat(node, " is no member: `sandstore cluster add ", node, "` adds it");
        const uint32_t level = feature_level_of(raft.configuration().feature_level());
        if (peer->feature_level() != 0 && peer->feature_level() < level) {
            return str_cat(node, " runs a version that knows feature level ", peer->feature_level(),
                           ", and the log is of level ", level, ": update it, then run this again");
        }
        const bool close = peer->match_index() != 0 && peer->match_index() + kCaughtUpEntries >= raft.last_index();
        if (peer->reachable() && close) {
            note(str_cat(node, " has caught up: it holds entry ", peer->match_index(), " of ", raft.last_index()));
            return "";
        }
        if (!peer->reachable()) {
            note(
                str_cat(node, " cannot be reached yet: is it running (a new node with --join), at the right address?"));
        } else if (peer->state() == pb::RaftPeerStatus::SNAPSHOT) {
            const uint64_t percent =
                peer->snapshot_bytes() == 0 ? 0 : 100 * peer->snapshot_sent_bytes() / peer->snapshot_bytes();
            note(str_cat(node, " gets a snapshot: ", format_bytes(peer->snapshot_sent_bytes()), " of ",
                         format_bytes(peer->snapshot_bytes()), " (", percent, " %)"));
        } else {
            note(str_cat(node, " catches up: entry ", peer->match_index(), " of ", raft.last_index()));
        }
        last_problem_ = said_;
        if (time_is_over()) {
            return str_cat(out_of_time(str_cat(node, " has not caught up")), ". It stays a learner and goes on; ",
                           "`sandstore cluster promote ", node, "` gives it its vote then");
        }
        calls_.pause(kPauseUs);
    }
}

// Somebody who is about to lose the vote should not lead: then there is no pause for an election.
std::string ClusterOperator::give_up_leadership_of(const std::string& node) {
    if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    if (status_.leader_id() != node || leader().configuration().voters_size() < 2) return "";
    note(str_cat(node, " leads: it hands leadership over first"));
    return transfer("");
}

// --- The operations -------------------------------------------------------------------------------------------------

std::string ClusterOperator::add(const std::string& node, const std::string& address, bool as_learner) {
    if (std::string problem = add_learner(node, address); !problem.empty()) return problem;
    return as_learner ? "" : promote(node);
}

std::string ClusterOperator::promote(const std::string& node) {
    if (std::string problem = await_caught_up(node); !problem.empty()) return problem;
    std::string problem = change({{Change::PROMOTE, node, ""}}, [&](const pb::RaftConfiguration& now) {
        return standing_of(now, node) == Standing::kVoter;
    });
    if (problem.empty()) note(str_cat(node, " is a voter now"));
    return problem;
}

std::string ClusterOperator::remove(const std::string& node, bool force) {
    if (std::string problem = move_chunks_off(node, force); !problem.empty()) return problem;
    if (std::string problem = give_up_leadership_of(node); !problem.empty()) return problem;
    std::string problem = change({{Change::REMOVE, node, ""}}, [&](const pb::RaftConfiguration& now) {
        return standing_of(now, node) == Standing::kNone;
    });
    if (!problem.empty()) return problem;
    note(str_cat(node, " is no member any more"));
    return "";
}

std::string ClusterOperator::demote(const std::string& node) {
    if (std::string problem = give_up_leadership_of(node); !problem.empty()) return problem;
    std::string problem = change({{Change::DEMOTE, node, ""}}, [&](const pb::RaftConfiguration& now) {
        return standing_of(now, node) == Standing::kLearner;
    });
    if (problem.empty()) note(str_cat(node, " is a learner now"));
    return problem;
}

std::string ClusterOperator::rejoin(const std::string& node) {
    const auto has_forgotten = [&] {
        const auto& peers = leader().peers();
        return std::any_of(peers.begin(), peers.end(),
                           [&](const auto& peer) { return peer.node_id() == node && peer.forgot(); });
    };
    if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    if (standing_of(leader().configuration(), node) == Standing::kVoter && !has_forgotten()) {
        return str_cat(node, " has not lost its storage, or was not heard since: there is nothing to take back");
    }
    std::string problem = change({{Change::REJOIN, node, ""}}, [&](const pb::RaftConfiguration& now) {
        return standing_of(now, node) == Standing::kLearner || !has_forgotten();
    });
    return problem.empty() ? promote(node) : problem;
}

std::string ClusterOperator::replace(const std::string& old_node, const std::string& new_node,
                                     const std::string& new_address, bool force) {
    if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    if (standing_of(leader().configuration(), old_node) == Standing::kNone &&
        standing_of(leader().configuration(), new_node) == Standing::kNone) {
        return str_cat(old_node, " is no member: `sandstore cluster members` lists them");
    }
    if (std::string problem = add_learner(new_node, new_address); !problem.empty()) return problem;
    if (std::string problem = await_caught_up(new_node); !problem.empty()) return problem;
    if (std::string problem = move_chunks_off(old_node, force); !problem.empty()) return problem;
    if (std::string problem = give_up_leadership_of(old_node); !problem.empty()) return problem;
    // A step that an earlier run has done already is left out.
    std::vector<Step> steps;
    if (standing_of(leader().configuration(), new_node) == Standing::kLearner) {
        steps.push_back({Change::PROMOTE, new_node, ""});
    }
    if (standing_of(leader().configuration(), old_node) != Standing::kNone) {
        steps.push_back({Change::REMOVE, old_node, ""});
    }
    std::string problem = change(steps, [&](const pb::RaftConfiguration& now) {
        return standing_of(now, new_node) == Standing::kVoter && standing_of(now, old_node) == Standing::kNone;
    });
    if (problem.empty()) note(str_cat(new_node, " is a voter in the place of ", old_node));
    return problem;
}

std::string ClusterOperator::raise_features() {
    if (std::string problem = look_with_leader(); !problem.empty()) return problem;
    uint32_t level = 1;
    for (const pb::NodeStatus& node : status_.nodes()) level = std::max(level, node.raft().feature_level());
    pb::ChangeMembership request;
    request.set_raise_feature_level(level);
    std::string problem = change(
        request, [&](const pb::RaftConfiguration& now) { return feature_level_of(now.feature_level()) >= level; });
    if (problem.empty()) note(str_cat("the log is of feature level ", level));
    return problem;
}

std::string ClusterOperator::transfer(const std::string& node) {
    std::string first_leader;
    while (true) {
        if (std::string problem = look_with_leader(); !problem.empty()) return problem;
        if (first_leader.empty()) first_leader = status_.leader_id();
        const bool done = node.empty() ? status_.leader_id() != first_leader : status_.leader_id() == node;
        if (done) {
            note(str_cat(status_.leader_id(), " leads"));
            return "";
        }
        if (time_is_over()) return out_of_time("leadership was not handed over");
        pb::TransferLeadership request;
        request.set_node_id(node);
        const Message reply = calls_.ask(message_of(std::move(request)), std::min(kRequestTimeoutUs, time_left_us()));
        const pb::Status& status =
            reply->has_status_reply() ? reply->status_reply().status() : reply->request_failed().status();
        if (status.code() == pb::STATUS_OK) continue;  // Looks once more.
        last_problem_ = status.message();
        if (!is_passing(status.code())) return status.message();
        note(str_cat("waiting: ", status.message()));
        calls_.pause(kPauseUs);
    }
}

std::string ClusterOperator::snapshot(const std::string& node, pb::SnapshotSaved* saved) {
    if (std::string problem = look(); !problem.empty()) return problem;
    pb::RequestSnapshot request;
    request.set_node_id(node);
    const Message reply = calls_.ask(message_of(std::move(request)), std::min(kSnapshotTimeoutUs, time_left_us()));
    if (reply->has_snapshot_saved()) *saved = reply->snapshot_saved();
    const pb::Status& status =
        reply->has_snapshot_saved() ? reply->snapshot_saved().status() : reply->request_failed().status();
    if (status.code() == pb::STATUS_OK) return "";
    return status.message().empty() ? str_cat("it failed with code ", status.code()) : status.message();
}

std::string ClusterOperator::allow_deletions(const std::string& node) {
    if (std::string problem = look(); !problem.empty()) return problem;
    pb::AllowDeletions request;
    request.set_node_id(node);
    const Message reply = calls_.ask(message_of(std::move(request)), time_left_us());
    const pb::Status& status =
        reply->has_status_reply() ? reply->status_reply().status() : reply->request_failed().status();
    return status.code() == pb::STATUS_OK ? "" : status.message();
}

}  // namespace sandstore
