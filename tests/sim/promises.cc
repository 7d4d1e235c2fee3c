#include "tests/sim/promises.h"

#include <algorithm>

#include "actors/raft/raft_core.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

// Clocks of machines differ by a tenth at most.
constexpr uint64_t kHeardTenths = 13;    // Of the longest election timeout: who was not heard for so long is silent.
constexpr uint64_t kPromiseTenths = 12;  // Of the shortest one: after so long, nobody withholds a vote any more.

bool is_majority(const Configuration::Nodes& nodes, const std::function<bool(const std::string&)>& yes) {
    return nodes.empty() || 2 * static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), yes)) > nodes.size();
}

bool is_quorum_of(const Configuration& configuration, const std::function<bool(const std::string&)>& yes) {
    return is_majority(configuration.voters(), yes) && is_majority(configuration.old_voters(), yes);
}

bool is_bound_to(const Configuration& configuration, const std::string& voter, uint64_t storage) {
    const uint64_t bound = configuration.storage_of(voter);
    return bound == 0 || bound == storage;
}

bool stands(const RaftCore& core) {
    return core.role() == pb::RoleChanged::CANDIDATE || core.role() == pb::RoleChanged::PRE_CANDIDATE;
}

}  // namespace

void Promises::violated(const char* name, const std::string& what) {
    throw InvariantBroken(str_cat("invariant ", name, ": ", what));
}

// --- Messages

void Promises::on_deliver(const std::string& id, const Message& message, uint64_t now_us) {
    if (message->to_actor() != pb::ACTOR_RAFT) return;
    const RaftCore* core = core_of_(id);
    if (core == nullptr) return;
    Node& node = nodes_[id];
    node.step = Step();
    node.step.pending = true;
    node.step.from = message->from_node();
    node.step.commit_index = core->commit_index();
    node.step.reads = message->has_read_index();
    node.step.installs = message->has_snapshot_received();
    if (!message->from_node().empty()) hear(id, node, message, now_us);
}

void Promises::hear(const std::string& id, Node& node, const Message& message, uint64_t now_us) {
    const RaftCore& core = *core_of_(id);
    const std::string& from = message->from_node();
    node.heard_us[from] = now_us;
    if (message->has_heartbeat()) {
        const pb::Heartbeat& heartbeat = message->heartbeat();
        if (heartbeat.term() >= core.term()) {
            node.leader_heard_us = now_us;
            node.owed = std::max(node.owed, LogEnd{heartbeat.owed_term(), heartbeat.owed_index()});
        }
        node.step.commits_unseen = !core.terms().matches(heartbeat.leader_commit(), heartbeat.leader_commit_term());
    } else if (message->has_append_entries()) {
        if (message->append_entries().term() >= core.term()) node.leader_heard_us = now_us;
    } else if (message->has_request_vote()) {
        const pb::RequestVote& request = message->request_vote();
        const bool beyond =
            core.owed_index() == 0 || node.owed <= LogEnd{request.last_log_term(), request.last_log_index()};
        // Asked twice, it may be the answer to the first time that waited for the disk.
        const auto asked = node.asked_beyond_debt.emplace(std::pair(from, request.term()), beyond).first;
        asked->second = asked->second || beyond;
    } else if (message->has_vote_reply() && message->vote_reply().granted() && !message->vote_reply().pre_vote()) {
        node.votes[{message->vote_reply().term(), from}] = message->vote_reply().storage();
    }
    if (message->has_request_vote()) expect_of_request(node, core, message->request_vote().known_start());
    if (message->has_append_entries()) expect_of_request(node, core, message->append_entries().known_start());
    if (message->has_heartbeat()) expect_of_request(node, core, message->heartbeat().known_start());
    expect_of_reply(node, core, message);
}

void Promises::expect_of_request(Node& node, const RaftCore& core, uint64_t known_start) const {
    const std::vector<uint64_t>& own = core.options().starts;
    const auto known = starts_.find(known_start);
    if (known == starts_.end() || known->second != core.options().storage) return;
    if (std::find(own.begin(), own.end(), known_start) == own.end()) node.step.outdated_storage = known->second;
}

// What a leader must make of an answer.
void Promises::expect_of_reply(Node& node, const RaftCore& core, const Message& message) {
    if (std::exchange(node.storages_term, core.term()) != core.term()) node.storages.clear();
    const std::string& from = message->from_node();
    const pb::AppendReply& append = message->append_reply();
    if (message->has_append_reply() && append.term() == core.term()) node.storages[from] = append.storage();
    if (message->has_heartbeat_reply() && message->heartbeat_reply().term() == core.term()) {
        node.storages[from] = message->heartbeat_reply().storage();
    }
    if (message->has_install_snapshot_reply() && message->install_snapshot_reply().term() == core.term()) {
        node.storages[from] = message->install_snapshot_reply().storage();
    }
    const auto peer = core.peers().find(from);
    if (!message->has_append_reply() || append.term() != core.term() || peer == core.peers().end()) return;
    const Progress& progress = peer->second;
    node.step.match = progress.match();
    node.step.is_disbelieved = append.success() && !progress.is_believed(append.sequence());
    node.step.proves_loss = !append.success() && append.sequence() != 0 && append.prev_log_index() != 0 &&
                            append.prev_log_index() <= progress.match() && progress.is_after_match(append.sequence());
}

void Promises::on_send(const std::string& from, const std::string& to, const Message& message) {
    const RaftCore* core = core_of_(from);
    if (core == nullptr || message->to_actor() != pb::ACTOR_RAFT) return;
    if (message->has_request_vote() && stands(*core)) return check_candidate(from, *core);
    if (!message->has_vote_reply() || !message->vote_reply().granted()) return;
    const Node& node = nodes_[from];
    const auto asked = node.asked_beyond_debt.find({to, message->vote_reply().term()});
    if (asked == node.asked_beyond_debt.end() || asked->second) return;
    violated("debtors_vote_for_no_shorter_log", str_cat(from, " would vote for ", to, " and owes ", node.owed.index));
}

void Promises::check_candidate(const std::string& id, const RaftCore& core) const {
    if (core.owed_index() != 0) violated("debtors_do_not_stand", str_cat(id, " stands and owes ", core.owed_index()));
    if (core.configuration().is_voter(id) && !is_bound_to(core.configuration(), id, core.options().storage)) {
        violated("who_has_forgotten_does_not_stand", str_cat(id, " stands, and its vote is on another storage"));
    }
}

// --- After a step

void Promises::after_step(const std::string& id, uint64_t now_us) {
    Node& node = nodes_[id];
    if (!std::exchange(node.step.pending, false)) return;
    const RaftCore* core = core_of_(id);
    if (core == nullptr) return;
    if (!core->options().starts.empty()) starts_[core->options().starts.back()] = core->options().storage;
    const bool led = node.leads && node.term == core->term();
    if (core->is_leader()) {
        if (!led) check_elected(id, node, *core);
        if (led && core->commit_index() > node.step.commit_index) check_commit(id, node, *core);
        if (led && core->configuration_index() > node.configuration_index) check_change(id, node, *core, now_us);
        if (node.step.reads && core->has_lease(clock_of_(id))) check_lease(id, *core, now_us);
    }
    check_step(id, node, *core);
    node.leads = core->is_leader();
    node.term = core->term();
    if (node.configuration_index == core->configuration_index() && node.configuration == core->configuration()) return;
    node.configuration_index = core->configuration_index();
    node.configuration = core->configuration();
}

void Promises::check_elected(const std::string& id, const Node& node, const RaftCore& core) const {
    const Configuration& configuration = core.configuration();
    const bool elected = is_quorum_of(configuration, [&](const std::string& voter) {
        if (voter == id) return true;
        const auto vote = node.votes.find({core.term(), voter});
        return vote != node.votes.end() && is_bound_to(configuration, voter, vote->second);
    });
    if (elected) return;
    violated("votes_of_other_storages_do_not_count", str_cat(id, " leads term ", core.term(), " by such votes"));
}

// Only while nothing else changes in the same step: a commit may end a change of members. A snapshot says by itself
// what is committed.
void Promises::check_commit(const std::string& id, const Node& node, const RaftCore& core) const {
    const Configuration& configuration = core.configuration();
    if (node.step.installs || core.configuration_index() != node.configuration_index || !core.is_change_done()) return;
    const bool counted = is_quorum_of(configuration, [&](const std::string& voter) {
        if (voter == id) return is_bound_to(configuration, voter, core.options().storage);
        const auto peer = core.peers().find(voter);
        const auto heard = node.storages.find(voter);
        return peer != core.peers().end() && peer->second.counted_match() >= core.commit_index() &&
               heard != node.storages.end() && is_bound_to(configuration, voter, heard->second);
    });
    if (counted) return;
    violated("commits_count_promises_that_hold",
             str_cat(id, " commits ", core.commit_index(), " by voters that lost what they promised"));
}

// The second half of a joint change was decided with its first.
void Promises::check_change(const std::string& id, const Node& node, const RaftCore& core, uint64_t now_us) const {
    if (node.configuration.empty() || node.configuration.is_joint()) return;
    const uint64_t patience_us = core.options().election_timeout_max_us * kHeardTenths / 10;
    const auto heard = [&](const std::string& voter) {
        const auto when = node.heard_us.find(voter);
        return voter == id || (when != node.heard_us.end() && now_us - when->second <= patience_us);
    };
    if (is_quorum_of(core.configuration(), heard) && is_quorum_of(node.configuration, heard)) return;
    violated("changes_can_be_committed",
             str_cat(id, " appends a configuration at ", core.configuration_index(), " for which too few were heard"));
}

// A node that is down votes for nobody, and one that came back waits for what it may have promised.
void Promises::check_lease(const std::string& id, const RaftCore& core, uint64_t now_us) const {
    const bool withheld = is_quorum_of(core.configuration(), [&](const std::string& voter) {
        const RaftCore* other = voter == id ? nullptr : core_of_(voter);
        const auto known = nodes_.find(voter);
        if (other == nullptr || known == nodes_.end() || known->second.leader_heard_us == 0) return true;
        const uint64_t promised_us = other->options().election_timeout_min_us * kPromiseTenths / 10;
        return now_us - known->second.leader_heard_us <= promised_us;
    });
    if (withheld) return;
    violated("leases_rest_on_promises", str_cat(id, " has a lease in term ", core.term(), ", and too few withhold"));
}

void Promises::check_step(const std::string& id, const Node& node, const RaftCore& core) const {
    const Step& step = node.step;
    if (step.commits_unseen && core.commit_index() > step.commit_index) {
        violated("heartbeats_commit_what_is_there", str_cat(id, " commits ", core.commit_index(), " by a heartbeat"));
    }
    if (step.outdated_storage != 0 && core.options().storage == step.outdated_storage) {
        violated("older_copies_are_noticed", str_cat(id, " goes on as its storage, told of a start that it lacks"));
    }
    const auto peer = core.peers().find(step.from);
    if (!core.is_leader() || peer == core.peers().end()) return;
    const uint64_t match = peer->second.match();
    if (step.is_disbelieved && match > step.match) {
        violated("what_was_said_before_a_loss_is_not_believed",
                 str_cat(id, " believes ", step.from, " to hold ", match));
    }
    if (step.proves_loss && match != 0 && match >= step.match) {
        violated("losses_are_believed", str_cat(id, " still takes ", step.from, " to hold ", match));
    }
}

}  // namespace sandstore
