#include "tests/sim/invariants.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "actors/fs/file_state_machine.h"
#include "actors/log/record.h"
#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kEntriesPerWalk = 16;  // Through the whole state.

// The record's own checksum covers all of it: equal ones stand for equal bytes.
uint32_t checksum_of(const Payload& record) {
    char header[8];
    record.copy_to(0, header);
    uint32_t checksum = 0;
    std::memcpy(&checksum, header + 4, sizeof(checksum));
    return checksum;
}

bool is_configuration(const Payload& record) {
    char type[1];
    record.copy_to(kRecordHeaderBytes - 1, type);
    return static_cast<RecordType>(type[0]) == RecordType::kConfiguration;
}

bool is_majority(const Configuration::Nodes& nodes, const std::function<bool(const std::string&)>& yes) {
    return nodes.empty() || 2 * static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), yes)) > nodes.size();
}

// Counted here anew: what is checked must not check itself.
bool is_quorum_of(const Configuration& configuration, const std::function<bool(const std::string&)>& yes) {
    return is_majority(configuration.voters(), yes) && is_majority(configuration.old_voters(), yes);
}

bool is_raft_message(pb::Envelope::BodyCase body) {
    switch (body) {
        case pb::Envelope::kRequestVote:
        case pb::Envelope::kVoteReply:
        case pb::Envelope::kAppendEntries:
        case pb::Envelope::kAppendReply:
        case pb::Envelope::kHeartbeat:
        case pb::Envelope::kHeartbeatReply:
        case pb::Envelope::kInstallSnapshot:
        case pb::Envelope::kInstallSnapshotReply:
        case pb::Envelope::kTimeoutNow:
            return true;
        default:
            return false;
    }
}

}  // namespace

void Invariants::violated(const char* name, const std::string& what) const {
    throw InvariantBroken(str_cat("invariant ", name, ": ", what));
}

std::string Invariants::signature_of(const std::string& failure) {
    static constexpr std::string_view kOurs = "invariant ";
    static constexpr std::string_view kChecks = "broken invariant at ";
    if (const size_t at = failure.find(kChecks); at != std::string::npos) {
        const size_t begin = at + kChecks.size();
        return failure.substr(begin, failure.find(' ', begin) - begin - 1);
    }
    if (const size_t at = failure.find(kOurs); at != std::string::npos) {
        return failure.substr(at, failure.find(':', at) - at);
    }
    return failure.substr(0, failure.find_first_of(":\n"));
}

void Invariants::node_started(const std::string& id) {
    Node& node = nodes_[id];
    node.booted = node.was_leader = node.raft_stepped = node.state_stepped = false;
    node.term = node.last_index = node.last_term = node.commit_index = 0;
    node.applied_index = node.state_applied_index = node.configuration_index = 0;
    node.terms = TermIndex();
    node.configuration = Configuration();
    node.durable.begin_process();
    node.reads.clear();
    node.acknowledged.clear();
}

void Invariants::node_wiped(const std::string& id) {
    Node& node = nodes_[id];
    node.former_disks.push_back(node.durable);
    node.former_votes.merge(node.votes);
    node.durable = DurableLog();
    node.votes.clear();
    node.promised_term = 0;
}

DurableLog Invariants::copy_made(const std::string& id) {
    nodes_[id].durable.begin_process();
    return nodes_[id].durable;
}

void Invariants::copy_put_back(const std::string& id, DurableLog copy) {
    node_wiped(id);
    nodes_[id].durable = std::move(copy);
}

void Invariants::tail_lost(const std::string& id, uint64_t index) {
    Node& node = nodes_[id];
    node.former_disks.push_back(node.durable);
    node.durable.lose_from(index);
}

bool Invariants::may_lose_tail(const std::string& id, const std::vector<std::string>& nodes) const {
    const DurableLog& own = nodes_.at(id).durable;
    const uint64_t last = own.terms().last_index();
    if (!own.is_settled() || last < own.terms().first_index()) return false;
    const auto holders = std::count_if(nodes.begin(), nodes.end(), [&](const std::string& other) {
        return other != id && nodes_.at(other).durable.holds(last, own.terms().last_term());
    });
    return 2 * static_cast<size_t>(holders) > nodes.size();
}

bool Invariants::was_durable(const Node& node, uint64_t index, uint64_t term) {
    return node.durable.holds(index, term) ||
           std::any_of(node.former_disks.begin(), node.former_disks.end(),
                       [&](const DurableLog& disk) { return disk.holds(index, term); });
}

// --- Messages

void Invariants::on_deliver(const std::string& id, const Message& message) {
    Node& node = nodes_[id];
    const int actor = message->to_actor();
    if (message->has_log_recovered()) check_recovered(id, node, message);
    if (actor == pb::ACTOR_RAFT || actor == pb::ACTOR_LOG) {
        node.durable.on_deliver(message);
        check_durable(id, node);
    }
    if (actor == pb::ACTOR_RAFT) {
        node.raft_stepped = true;
        if (message->has_read_index() && message->from_node().empty())
            node.reads[message->request_id()] = acknowledged_write_;
    } else if (actor == pb::ACTOR_STATE_MACHINE) {
        node.state_stepped = true;
        if (message->has_apply()) check_apply(id, message);
    } else if (actor == pb::ACTOR_SNAPSHOTS) {
        if (message->has_save_snapshot()) {
            check_snapshot_meta(id, message->save_snapshot().meta());
            node.saving_index = message->save_snapshot().meta().index();
        }
        if (message->has_state_piece()) check_snapshot_piece(id, node, message);
        if (message->has_snapshot_receive()) check_snapshot_meta(id, message->snapshot_receive().meta());
    } else if (actor == pb::ACTOR_FILES && message->has_propose_reply()) {
        if (message->propose_reply().status().code() == pb::STATUS_OK) {
            acknowledged_write_ = std::max(acknowledged_write_, message->propose_reply().index());
        }
    } else if (actor == pb::ACTOR_FILES && message->has_read_index_reply()) {
        auto read = node.reads.extract(message->reply_to());
        const pb::ReadIndexReply& reply = message->read_index_reply();
        if (read.empty() || reply.status().code() != pb::STATUS_OK || reply.index() >= read.mapped()) return;
        violated("read_index_covers_acknowledged_writes",
                 str_cat(id, " reads at ", reply.index(), ", but ", read.mapped(), " was acknowledged before"));
    }
}

void Invariants::on_send(const std::string& from, const Message& message) {
    if (!is_raft_message(message->body_case())) return;
    Node& node = nodes_[from];
    uint64_t term = 0;
    if (message->has_request_vote()) {
        if (message->request_vote().pre_vote()) return;
        term = message->request_vote().term();
        promise_vote(from, term, from);
    } else if (message->has_vote_reply()) {
        if (message->vote_reply().pre_vote()) return;
        term = message->vote_reply().term();
        if (message->vote_reply().granted()) promise_vote(from, term, message->to_node());
    } else if (message->has_append_reply()) {
        const pb::AppendReply& reply = message->append_reply();
        term = reply.term();
        if (reply.success()) node.acknowledged.push_back({term, reply.match_index()});
    } else if (message->has_append_entries()) {
        term = message->append_entries().term();
    } else if (message->has_heartbeat()) {
        term = message->heartbeat().term();
    } else if (message->has_heartbeat_reply()) {
        term = message->heartbeat_reply().term();
    } else if (message->has_install_snapshot()) {
        term = message->install_snapshot().term();
    } else if (message->has_install_snapshot_reply()) {
        const pb::InstallSnapshotReply& reply = message->install_snapshot_reply();
        term = reply.term();
        if (reply.installed() && !node.durable.holds(reply.index(), reply.snapshot_term())) {
            violated("installed_is_durable", str_cat(from, " has installed the snapshot of ", reply.index(),
                                                     ", its log on disk ends at ", node.durable.terms().last_index()));
        }
    } else {
        term = message->timeout_now().term();
    }
    check_promise(from, node, term);
    node.promised_term = std::max(node.promised_term, term);
}

// What was committed stays on every disk that it was on, and no entry is there without its term.
void Invariants::check_durable(const std::string& id, Node& node) {
    if (node.durable.is_ahead_of_its_term()) {
        violated("terms_are_durable_with_their_entries",
                 str_cat(id, " has entries of term ", node.durable.terms().last_term(), " on disk, and knows term ",
                         node.durable.term()));
    }
    const auto [index, term] = node.durable.take_dropped();
    if (index == 0 || index > committed_.size() || committed_[index - 1].term != term) return;
    violated("committed_stays_on_disk", str_cat(id, " takes away the committed entry ", index, " of term ", term));
}

// Whatever is said in a term commits to that term.
void Invariants::check_promise(const std::string& id, const Node& node, uint64_t term) const {
    if (node.durable.term() >= term) return;
    violated("term_is_durable_before_it_is_said",
             str_cat(id, " speaks in term ", term, ", durable is term ", node.durable.term()));
}

void Invariants::promise_vote(const std::string& id, uint64_t term, const std::string& candidate) {
    Node& node = nodes_[id];
    if (node.durable.term() == term && node.durable.voted_for() != candidate) {
        violated("vote_is_durable_before_it_is_said", str_cat(id, " votes for ", candidate, " in term ", term,
                                                              ", durable is a vote for ", node.durable.voted_for()));
    }
    const auto known = node.votes.emplace(term, candidate).first;
    if (known->second == candidate) return;
    violated("one_vote_a_term", str_cat(id, " votes for ", candidate, " in term ", term, ", after ", known->second));
}

void Invariants::check_apply(const std::string& id, const Message& message) {
    RecordReader reader(message.payload);
    Record record;
    while (reader.next(&record)) {
        if (record.index == 0 || record.index > committed_.size()) {
            violated("applied_is_committed", str_cat(id, " applies ", record.index));
        }
        Committed& known = committed_[record.index - 1];
        const uint32_t checksum = checksum_of(record.bytes);
        if (known.term != record.term || (known.applied && known.checksum != checksum)) {
            violated("state_machine_safety", str_cat(id, " applies another entry at ", record.index, ": term ",
                                                     record.term, ", committed was term ", known.term));
        }
        known.applied = true;
        known.checksum = checksum;
        if (record.type == RecordType::kConfiguration) configurations_[record.index] = record.data.to_string();
    }
}

// --- After a step

void Invariants::after_step(const std::string& id, const RaftNode* raft, const StateMachine* state_machine) {
    Node& node = nodes_[id];
    if (std::exchange(node.state_stepped, false) && state_machine != nullptr) check_state(id, node, *state_machine);
    if (!std::exchange(node.raft_stepped, false) || raft == nullptr || raft->core() == nullptr) return;
    const RaftCore& core = *raft->core();
    if (!std::exchange(node.booted, true)) check_boot(id, node, core);
    check_log(id, node, core);
    check_acknowledged(id, node, core);
    check_commit(id, node, core);
    check_role(id, node, core);
    check_configuration(id, node, core);
    check_snapshots(id, *raft);
    if (raft->applied_index() < node.applied_index || raft->applied_index() > core.commit_index()) {
        violated("applied_between_before_and_commit", str_cat(id, " applied ", raft->applied_index(), " after ",
                                                              node.applied_index, ", commit ", core.commit_index()));
    }
    node.applied_index = raft->applied_index();
}

// What the last process of this machine told others must be on its disk.
void Invariants::check_boot(const std::string& id, Node& node, const RaftCore& core) {
    if (node.damaged) return;
    if (core.term() < node.promised_term) {
        violated("term_survives_restart",
                 str_cat(id, " restarts in term ", core.term(), " after ", node.promised_term));
    }
    const auto vote = node.votes.find(core.term());
    if (vote != node.votes.end() && core.voted_for() != vote->second) {
        violated("vote_survives_restart", str_cat(id, " forgot its vote for ", vote->second, " in term ", core.term()));
    }
}

// What was reported durable survives: of the log whatever may be committed, and the hard state.
void Invariants::check_recovered(const std::string& id, const Node& node, const Message& message) {
    DurableLog now;
    now.on_deliver(message);
    if (node.must_refuse) {
        violated("damage_is_noticed", str_cat(id, " recovers a log that ends at ", now.terms().last_index(),
                                              ", and its last block was damaged behind a seal"));
    }
    if (node.damaged) {
        // Not the very end of the log was damaged: what follows shows that something is missing.
        if (!node.must_notice || now.terms().last_index() >= node.durable.shortest_end()) return;
        violated("damage_is_noticed", str_cat(id, " recovers a log that ends at ", now.terms().last_index(),
                                              " after damage, it was ", node.durable.terms().last_index()));
    }
    if (now.term() < node.durable.term() || (now.term() == node.durable.term() && !node.durable.voted_for().empty() &&
                                             now.voted_for() != node.durable.voted_for())) {
        violated("hard_state_survives_restart",
                 str_cat(id, " recovers term ", now.term(), " vote ", now.voted_for(), ", durable was ",
                         node.durable.term(), " ", node.durable.voted_for()));
    }
    if (!node.durable.may_be(now)) {
        violated("recovered_is_what_was_written",
                 str_cat(id, " recovers a log that ends at ", now.terms().last_index(), " of term ",
                         now.terms().last_term(), "; durable was ", node.durable.terms().last_index(), " of term ",
                         node.durable.terms().last_term(), ", and nothing that was under way ends there"));
    }
    const uint64_t promised = std::min<uint64_t>(node.durable.terms().last_index(), committed_.size());
    if (promised == 0 || !node.durable.holds(promised, committed_[promised - 1].term)) return;
    if (now.holds(promised, committed_[promised - 1].term)) return;
    violated("durable_survives_restart",
             str_cat(id, " had ", promised, " on disk and recovers a log that ends at ", now.terms().last_index()));
}

// In the same term a log only grows, so what is acknowledged now is what is on disk now.
void Invariants::check_acknowledged(const std::string& id, Node& node, const RaftCore& core) {
    for (const auto& [term, match] : node.acknowledged) {
        check_acknowledged_to(id, term, match, core);
        if (term != core.term() || match < core.first_index()) continue;
        if (node.durable.holds(match, core.terms().term_at(match).value_or(0))) continue;
        violated("acknowledged_is_durable",
                 str_cat(id, " acknowledges ", match, ", durable is ", node.durable.terms().last_index()));
    }
    node.acknowledged.clear();
}

// A leader only appends: what it has now it had when it asked. Beyond what it has, nothing was asked of anybody.
void Invariants::check_acknowledged_to(const std::string& id, uint64_t term, uint64_t match, const RaftCore& core) {
    const auto leader = leaders_.find(term);
    if (leader == leaders_.end() || term != core.term()) return;
    const Node& asker = nodes_[leader->second];
    if (!asker.was_leader || asker.term != term) return;
    const TermIndex& theirs = asker.terms;
    const std::optional<uint64_t> mine = core.terms().term_at(match);
    if (match > theirs.last_index() || (mine && match >= theirs.first_index() && !theirs.matches(match, *mine))) {
        violated("acknowledged_is_the_leaders", str_cat(id, " acknowledges ", match, " of term ", mine.value_or(0),
                                                        ", which its leader ", leader->second, " does not have"));
    }
}

void Invariants::check_log(const std::string& id, Node& node, const RaftCore& core) {
    const bool same_end = core.last_index() == node.last_index && core.terms().last_term() == node.last_term;
    const bool same_leadership = node.was_leader && core.is_leader() && core.term() == node.term;
    const bool has_end = node.last_index + 1 >= core.first_index();
    if (same_leadership && has_end && !core.terms().matches(node.last_index, node.last_term)) {
        violated("leader_append_only", str_cat(id, " had ", node.last_index, " of term ", node.last_term));
    }
    const uint64_t common = std::min<uint64_t>(node.last_index, committed_.size());
    if (core.last_index() < common && node.terms.matches(common, committed_[common - 1].term)) {
        violated("committed_stays_in_the_log",
                 str_cat(id, " had ", common, ", now its log ends at ", core.last_index()));
    }
    if (!same_end) {
        // An append may replace a tail by another of the same length: go back to where the logs meet.
        uint64_t from = std::min(node.last_index, core.last_index());
        while (from >= core.first_index() && from > node.commit_index &&
               node.terms.term_at(from) != core.terms().term_at(from)) {
            from--;
        }
        from = std::max(from + 1, core.first_index());
        for (uint64_t index = from; index <= core.last_index(); index++) check_entry(id, core, index);
        node.terms = core.terms();
    }
    const uint64_t persisted = core.persisted_index();
    if (persisted >= core.first_index() &&
        !node.durable.holds(persisted, core.terms().term_at(persisted).value_or(0))) {
        violated("persisted_is_durable", str_cat(id, " takes ", persisted, " for durable, which is not the case"));
    }
    node.last_index = core.last_index();
    node.last_term = core.terms().last_term();
}

void Invariants::check_entry(const std::string& id, const RaftCore& core, uint64_t index) {
    if (!core.cache().contains(index)) return;
    const uint64_t term = core.terms().term_at(index).value();
    Entry entry;
    const Payload record = core.cache().range(index, index, UINT64_MAX).records;
    entry.checksum = checksum_of(record);
    entry.is_configuration = is_configuration(record);
    entry.previous_term = core.terms().term_at(index - 1).value_or(0);
    if (entry.is_configuration && index > core.configuration_index()) {
        violated("configuration_of_the_log",
                 str_cat(id, " has one at ", index, " and follows ", core.configuration_index()));
    }
    const auto [known, is_new] = entries_.emplace(std::make_pair(index, term), entry);
    if (is_new) return;
    if (known->second.checksum != entry.checksum || known->second.previous_term != entry.previous_term) {
        violated("log_matching", str_cat(id, " has another entry at ", index, " of term ", term));
    }
}

void Invariants::check_role(const std::string& id, Node& node, const RaftCore& core) {
    if (core.term() < node.term) violated("term_monotonic", str_cat(id, " goes from ", node.term, " to ", core.term()));
    if (core.is_leader() && (!node.was_leader || core.term() != node.term)) {
        const auto known = leaders_.emplace(core.term(), id).first;
        if (known->second != id) {
            violated("election_safety", str_cat("term ", core.term(), " has ", known->second, " and ", id));
        }
        check_elected(id, core);
        check_new_leader(id, core);
    }
    node.was_leader = core.is_leader();
    node.term = core.term();
}

// The leader has not changed members yet: its configuration is the one it was elected by.
void Invariants::check_elected(const std::string& id, const RaftCore& core) {
    const DurableLog& own = nodes_[id].durable;
    const bool elected = is_quorum_of(core.configuration(), [&](const std::string& voter) {
        const auto voted = [&](const std::map<uint64_t, std::string>& votes) {
            const auto vote = votes.find(core.term());
            return vote != votes.end() && vote->second == id;
        };
        if (voter == id) return own.term() == core.term() && own.voted_for() == id;
        return voted(nodes_[voter].votes) || voted(nodes_[voter].former_votes);
    });
    if (!elected) violated("elected_by_a_quorum", str_cat(id, " leads term ", core.term(), " without enough votes"));
}

// It has what leaders of earlier terms committed; by log matching the last of these stands for all before it. A leader
// that learns of its election late may lack what later terms have committed by then.
void Invariants::check_new_leader(const std::string& id, const RaftCore& core) {
    uint64_t last = committed_.size();
    while (last > 0 && committed_[last - 1].committed_in >= core.term()) last--;
    if (last < core.first_index() || core.terms().matches(last, committed_[last - 1].term)) return;
    violated("leader_completeness", str_cat(id, " leads term ", core.term(), " without the committed entry ", last,
                                            " of term ", committed_[last - 1].term));
}

void Invariants::check_commit(const std::string& id, Node& node, const RaftCore& core) {
    const uint64_t commit = core.commit_index();
    if (commit < node.commit_index) {
        violated("commit_monotonic", str_cat(id, " goes from ", node.commit_index, " to ", commit));
    }
    if (commit > core.last_index()) violated("commit_within_log", str_cat(id, " commit=", commit));
    // Entries of earlier terms are committed only by one of its own after them (paper, figure 8).
    const bool leads = node.was_leader && core.is_leader() && node.term == core.term();
    if (leads && commit > node.commit_index && core.terms().term_at(commit) != core.term()) {
        violated("leader_commits_its_own_term", str_cat(id, " leads term ", core.term(), " and commits ", commit));
    }
    const uint64_t known = committed_.size();
    for (uint64_t index = std::max(node.commit_index + 1, core.first_index()); index <= commit; index++) {
        const uint64_t term = core.terms().term_at(index).value();
        if (index > committed_.size() + 1) violated("committed_without_gap", str_cat(id, " commits ", index));
        if (index > committed_.size()) committed_.push_back({.term = term, .committed_in = core.term()});
        if (committed_[index - 1].term != term) {
            violated("committed_never_changes",
                     str_cat(id, " commits term ", term, " at ", index, ", it was term ", committed_[index - 1].term));
        }
    }
    for (uint64_t index = known + 1; index <= commit; index++) {
        const bool is_configuration = core.configurations().at(index).index == index;
        if (index == commit || is_configuration) check_quorum(id, node, core, index);
    }
    node.commit_index = commit;
}

// By a configuration that was in force during the step. A joint one needs both its quorums for itself; what comes
// before and after it may be decided by another.
void Invariants::check_quorum(const std::string& id, const Node& node, const RaftCore& core, uint64_t index) {
    const uint64_t term = committed_[index - 1].term;
    const auto is_durable_on = [&](const std::string& voter) { return was_durable(nodes_[voter], index, term); };
    const ConfigurationHistory::Entry& own = core.configurations().at(index);
    if (is_quorum_of(own.configuration, is_durable_on)) return;
    const bool is_joint_itself = own.index == index && own.configuration.is_joint();
    if (!is_joint_itself && !node.configuration.empty() && is_quorum_of(node.configuration, is_durable_on)) return;
    if (!is_joint_itself && is_quorum_of(core.configuration(), is_durable_on)) return;
    std::string holders;
    for (const auto& [voter, facts] : nodes_) {
        if (facts.durable.holds(index, term)) str_append(&holders, " ", voter);
    }
    violated("committed_is_durable_on_a_quorum", str_cat(id, " commits ", index, ", which only these hold:", holders));
}

// In force is the newest configuration of the log. A leader appends one when the one before is committed, and something
// of its own term.
void Invariants::check_configuration(const std::string& id, Node& node, const RaftCore& core) {
    const uint64_t index = core.configuration_index();
    const uint64_t before = std::exchange(node.configuration_index, index);
    if (index == before && core.configuration() == node.configuration) return;
    node.configuration = core.configuration();
    if (index > core.last_index()) {
        violated("configuration_of_the_log", str_cat(id, " follows ", index, ", its log ends at ", core.last_index()));
    }
    if (core.cache().contains(index)) {
        RecordReader reader(core.cache().range(index, index, UINT64_MAX).records);
        Record record;
        const bool same = reader.next(&record) && record.type == RecordType::kConfiguration &&
                          record.data.to_string() == core.configuration().message().SerializeAsString();
        if (!same) violated("configuration_of_the_log", str_cat(id, " follows another one than the log's at ", index));
    }
    if (!core.is_leader() || index < before || core.terms().term_at(index) != core.term() || core.term() == 1) return;
    if (before > core.commit_index() || core.terms().term_at(core.commit_index()) != core.term()) {
        violated("one_change_at_a_time", str_cat(id, " appends a configuration at ", index, ", the one before is at ",
                                                 before, ", committed up to ", core.commit_index()));
    }
}

void Invariants::check_snapshots(const std::string& id, const RaftNode& raft) {
    const RaftCore& core = *raft.core();
    const uint64_t purged = core.first_index() - 1;
    const uint64_t snapshot = raft.snapshot_index();
    // Damage to the file of the one there was is noticed by reading it, and answered with a fresh one.
    const bool set_aside = snapshot == 0 && nodes_[id].snapshot_damaged;
    if (purged > snapshot && !set_aside)
        violated("purged_is_in_a_snapshot", str_cat(id, " purged ", purged, ", has ", snapshot));
    // A leader's snapshot may come in before its entries are applied from the log.
    const uint64_t commit = core.commit_index();
    if (snapshot > commit) violated("snapshot_is_committed", str_cat(id, " has ", snapshot, ", committed is ", commit));
    if (purged > raft.applied_index() && !raft.is_restoring()) {
        violated("purged_is_applied", str_cat(id, " purged ", purged, ", applied is ", raft.applied_index()));
    }
    if (purged == 0) return;
    if (purged > committed_.size() || core.terms().term_at(purged) != committed_[purged - 1].term) {
        violated("purged_is_committed", str_cat(id, " begins its log after ", purged));
    }
}

void Invariants::check_snapshot_meta(const std::string& id, const pb::SnapshotMeta& meta) {
    const uint64_t index = meta.index();
    if (index == 0 || index > committed_.size() || committed_[index - 1].term != meta.term()) {
        violated("snapshot_of_committed_entries", str_cat(id, " has one of ", index, " in term ", meta.term()));
    }
    auto in_force = configurations_.upper_bound(index);
    if (in_force == configurations_.begin()) return;
    --in_force;
    if (in_force->first == meta.configuration_index() && in_force->second == meta.configuration().SerializeAsString()) {
        return;
    }
    violated("snapshot_holds_its_configuration", str_cat(id, ": that of ", meta.configuration_index(), " instead of ",
                                                         in_force->first, " in the one of ", index));
}

// The same state is the same bytes, whichever node writes them down, and whatever it applies meanwhile.
void Invariants::check_snapshot_piece(const std::string& id, Node& node, const Message& message) {
    const pb::StatePiece& piece = message->state_piece();
    if (piece.status().code() != pb::STATUS_OK) return;
    if (piece.piece() == 0) node.saving_pieces = node.saving_checksum = 0;
    if (piece.piece() != node.saving_pieces) return;  // Once more, or of a snapshot that was given up.
    node.saving_pieces++;
    node.saving_checksum = crc32c(message.payload.to_string(), node.saving_checksum);
    if (!piece.last()) return;
    const auto known = snapshots_.emplace(node.saving_index, std::make_pair(node.saving_checksum, id)).first;
    if (known->second.first == node.saving_checksum) return;
    violated("equal_snapshots",
             str_cat(id, " and ", known->second.second, " write down different states of ", node.saving_index));
}

// Walks the whole state now and then: references, sizes and hashes are those of what is there.
void Invariants::check_state(const std::string& id, Node& node, const StateMachine& state_machine) {
    const FileState& state = file_state_of(state_machine);
    const uint64_t applied = state.applied_index();
    if (applied == node.state_applied_index) return;
    if (applied < node.state_applied_index) {
        violated("state_monotonic", str_cat(id, " goes from ", node.state_applied_index, " to ", applied));
    }
    node.state_applied_index = applied;
    const uint64_t hash = state.hash();
    const auto [known, is_new] = state_hash_.emplace(applied, std::make_pair(hash, id));
    if (!is_new && known->second.first != hash) {
        violated("equal_states", str_cat(id, " and ", known->second.second, " differ at index ", applied));
    }
    if (applied % kEntriesPerWalk == 0) state.files().check_invariants();
}

}  // namespace sandstore
