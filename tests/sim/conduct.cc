#include "tests/sim/conduct.h"

#include <algorithm>

#include "actors/raft/raft_core.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

// Clocks of machines differ by a tenth at most.
constexpr uint64_t kPatience = 4;            // Times the longest election timeout, for what must end within one.
constexpr uint64_t kLeaderSparedTenths = 8;  // Of the shortest election timeout: heard so recently, it is alive.
constexpr uint64_t kFlowWindowUs = 100'000;
constexpr uint64_t kMessagesPerWindowMax = 4'000;
constexpr uint64_t kBytesPerWindowMax = 2
                                        << 20;  // What all clients of a run write within such a time, many times over.
constexpr uint64_t kUncommittedBytesBeyondMax = 64 * 1024;  // One command: that of the mover names many chunks.

bool is_majority(const Configuration::Nodes& nodes, const std::function<bool(const std::string&)>& yes) {
    return nodes.empty() || 2 * static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), yes)) > nodes.size();
}

bool is_quorum_of(const Configuration& configuration, const std::function<bool(const std::string&)>& yes) {
    return is_majority(configuration.voters(), yes) && is_majority(configuration.old_voters(), yes);
}

bool is_word_of_a_leader(const Message& message) {
    return message->has_append_entries() || message->has_heartbeat() || message->has_install_snapshot();
}

uint64_t term_of(const Message& message) {
    if (message->has_append_entries()) return message->append_entries().term();
    if (message->has_heartbeat()) return message->heartbeat().term();
    return message->install_snapshot().term();
}

}  // namespace

void Conduct::violated(const char* name, const std::string& what) {
    throw InvariantBroken(str_cat("invariant ", name, ": ", what));
}

// --- Messages

void Conduct::on_deliver(const std::string& id, const Message& message, uint64_t now_us) {
    clock_++;
    Node& node = nodes_[id];
    if (message->to_actor() == pb::ACTOR_FILES && message->has_read_index_reply()) check_read(id, node, message);
    if (message->to_actor() != pb::ACTOR_RAFT) return;
    node.stepped = true;
    const RaftCore* core = core_of_(id);
    if (core == nullptr) return;
    if (node.stepped_us == 0 || now_us - node.stepped_us > core->options().election_timeout_min_us) {
        node.awake_since_us = now_us;
    }
    node.stepped_us = now_us;
    if (message->has_read_index() && message->from_node().empty()) node.reads[message->request_id()] = clock_;
    if (!message->from_node().empty()) hear(node, id, message, now_us);
}

void Conduct::hear(Node& node, const std::string& id, const Message& message, uint64_t now_us) {
    const std::string& from = message->from_node();
    const RaftCore& core = *core_of_(id);
    node.heard_us[from] = now_us;
    if (message->has_heartbeat_reply() && message->heartbeat_reply().term() == core.term()) {
        Rounds& rounds = rounds_[core.term()];
        const auto sent = rounds.sent.find(message->heartbeat_reply().round());
        if (rounds.leader == id && sent != rounds.sent.end()) {
            uint64_t& confirmed = rounds.confirmed[from];
            confirmed = std::max(confirmed, sent->second);
        }
    }
    if (message->has_request_vote()) {
        const pb::RequestVote& request = message->request_vote();
        const uint64_t spared_us = core.options().election_timeout_min_us * kLeaderSparedTenths / 10;
        const bool alive = core.is_leader() || (node.leader_heard_us != 0 && now_us - node.leader_heard_us < spared_us);
        // Asked twice, it may be the answer to the first time that waited for the disk.
        const bool despite = alive && !request.transfer();
        const auto asked = node.asked_despite_leader.emplace(std::pair(from, request.term()), despite).first;
        asked->second = asked->second && despite;
    }
    if (message->has_vote_reply() && message->vote_reply().pre_vote() && message->vote_reply().granted()) {
        node.would_vote.insert(from);
    }
    if (message->has_vote_reply() && message->vote_reply().not_member_at() > core.configuration_index()) {
        node.told_removed = node.told_removed || !core.configuration().empty();
    }
    if (is_word_of_a_leader(message) && term_of(message) >= core.term()) {
        node.leader_heard_us = now_us;
        node.told_removed = false;
    }
}

void Conduct::on_send(const std::string& from, const std::string& to, const Message& message, uint64_t now_us) {
    const RaftCore* core = core_of_(from);
    if (core == nullptr || message->to_actor() != pb::ACTOR_RAFT) return;
    check_flow(from, to, message, now_us);
    Node& node = nodes_[from];
    if (message->has_heartbeat()) {
        Rounds& rounds = rounds_[message->heartbeat().term()];
        rounds.leader = from;
        rounds.sent.emplace(message->heartbeat().round(), clock_);
    } else if (message->has_request_vote()) {
        check_vote_request(from, message);
    } else if (message->has_vote_reply() && message->vote_reply().granted()) {
        const auto asked = node.asked_despite_leader.find({to, message->vote_reply().term()});
        if (asked != node.asked_despite_leader.end() && asked->second && !core->is_leader()) {
            violated("live_leaders_are_not_voted_out",
                     str_cat(from, " would vote for ", to, " though its leader was just heard"));
        }
    } else if (message->has_timeout_now() && core->transferring_to() == to) {
        const RaftCore* target = core_of_(to);
        if (target != nullptr && target->first_index() <= core->last_index() &&
            !target->terms().matches(core->last_index(), core->terms().last_term())) {
            violated("leadership_goes_to_whom_has_all", str_cat(from, " hands over to ", to, ", whose log ends at ",
                                                                target->last_index(), " of ", core->last_index()));
        }
    }
}

void Conduct::check_vote_request(const std::string& from, const Message& message) {
    const RaftCore& core = *core_of_(from);
    Node& node = nodes_[from];
    const pb::RequestVote& request = message->request_vote();
    if (!core.configuration().empty() && core.is_change_done() && !core.configuration().is_voter(from)) {
        violated("only_voters_stand", str_cat(from, " stands, which is no voter since ", core.configuration_index()));
    }
    if (node.told_removed) violated("only_members_stand", str_cat(from, " stands, and was told that it has left"));
    if (request.pre_vote()) {
        // One request for each peer: the answers so far are to an earlier pre-vote, if this is the first of them.
        if (core.role() != pb::RoleChanged::PRE_CANDIDATE) node.would_vote.clear();
        return;
    }
    if (request.transfer()) return;
    const bool wanted = is_quorum_of(core.configuration(), [&](const std::string& voter) {
        return voter == from || node.would_vote.contains(voter);
    });
    if (!wanted) violated("elections_after_a_pre_vote", str_cat(from, " stands in term ", request.term()));
}

// Somebody has asked a quorum, after the read began, whether it is still the leader.
void Conduct::check_read(const std::string& id, Node& node, const Message& message) {
    auto read = node.reads.extract(message->reply_to());
    if (read.empty() || message->read_index_reply().status().code() != pb::STATUS_OK) return;
    for (const auto& [term, rounds] : rounds_) {
        const RaftCore* leader = core_of_(rounds.leader);
        if (leader == nullptr || leader->options().lease_reads) return;
        const auto confirms = [&, &by = rounds](const std::string& voter) {
            const auto confirmed = by.confirmed.find(voter);
            return voter == by.leader || (confirmed != by.confirmed.end() && confirmed->second >= read.mapped());
        };
        for (const Configuration& configuration : rounds.configurations) {
            if (is_quorum_of(configuration, confirms)) return;
        }
    }
    violated("reads_are_confirmed_by_a_round_of_their_own",
             str_cat(id, " reads at ", message->read_index_reply().index()));
}

// A peer that refuses, or asks, again and again as fast as the network goes.
void Conduct::check_flow(const std::string& from, const std::string& to, const Message& message, uint64_t now_us) {
    const bool refusal = (message->has_append_reply() && !message->append_reply().success()) ||
                         (message->has_install_snapshot_reply() && message->install_snapshot_reply().failed());
    std::map<std::string, Flow>& flows = flows_[{from, to}];
    const auto count = [&](const std::string& kind, uint64_t most, uint64_t more = 1) {
        Flow& flow = flows[kind];
        const uint64_t window = now_us / kFlowWindowUs;
        if (flow.window != window) flow = {window, 0};
        flow.count += more;
        if (flow.count <= most) return;
        violated("messages_do_not_storm", str_cat(from, " sends ", to, " ", flow.count, " ", kind, " within ",
                                                  kFlowWindowUs / 1000, " ms: ", message->ShortDebugString()));
    };
    count("messages", kMessagesPerWindowMax);
    count("bytes", kBytesPerWindowMax, message.payload.size());
    if (refusal) count("refusals", refusals_max_);
}

// --- After a step

void Conduct::after_step(const std::string& id, uint64_t now_us) {
    Node& node = nodes_[id];
    if (!std::exchange(node.stepped, false)) return;
    const RaftCore* core = core_of_(id);
    if (core == nullptr) return;
    if (!core->is_leader()) {
        node.leads_since_us = 0;
    } else {
        if (node.leads_since_us == 0) node.leads_since_us = now_us;
        check_leader(id, node, *core, now_us);
    }
    check_handing_over(id, node, *core, now_us);
    node.last_index = core->last_index();
}

void Conduct::check_leader(const std::string& id, Node& node, const RaftCore& core, uint64_t now_us) {
    Rounds& rounds = rounds_[core.term()];
    rounds.leader = id;
    if (rounds.configurations.empty() || rounds.configurations.back() != core.configuration()) {
        rounds.configurations.push_back(core.configuration());
    }
    if (core.is_change_done() && !core.configuration().is_voter(id)) {
        violated("leaders_are_voters",
                 str_cat(id, " leads on, though it is no voter since ", core.configuration_index()));
    }
    const uint64_t since_us = std::max(node.awake_since_us, node.leads_since_us);
    const uint64_t patience_us = kPatience * core.options().election_timeout_max_us;
    const bool answered = is_quorum_of(core.configuration(), [&](const std::string& voter) {
        return voter == id || now_us - std::max(since_us, node.heard_us[voter]) < patience_us;
    });
    if (!answered) violated("leaders_have_a_quorum", str_cat(id, " leads on, and no quorum answers it"));
    for (const auto& [peer, progress] : core.peers()) {
        if (progress.in_flight() <= core.options().append_window) continue;
        violated("appends_within_the_window", str_cat(id, " has ", progress.in_flight(), " on the way to ", peer));
    }
    if (core.uncommitted_bytes() > core.options().uncommitted_bytes_max + kUncommittedBytesBeyondMax) {
        violated("uncommitted_within_the_limit", str_cat(id, " has ", core.uncommitted_bytes(), " bytes, at most ",
                                                         core.options().uncommitted_bytes_max, " are allowed"));
    }
}

void Conduct::check_handing_over(const std::string& id, Node& node, const RaftCore& core, uint64_t now_us) {
    const std::string to = core.is_leader() ? core.transferring_to() : std::string();
    if (to.empty() || to != node.handing_over_to) {
        node.handing_over_to = to;
        node.handing_over_since_us = now_us;
        return;
    }
    const uint64_t since_us = std::max(node.awake_since_us, node.handing_over_since_us);
    if (now_us - since_us > kPatience * core.options().election_timeout_max_us) {
        violated("handing_over_ends", str_cat(id, " has been handing over to ", to, " since ", since_us));
    }
    // What ends a change of members is the exception.
    if (core.last_index() > node.last_index && core.configuration_index() <= node.last_index) {
        violated("nothing_is_written_while_handing_over",
                 str_cat(id, " appends ", core.last_index(), " while handing over to ", to));
    }
}

}  // namespace sandstore
