// RaftCore: voters that lost what they promised. A vote and an acknowledgement are promises that live on one storage:
// the configuration says on which one for each voter. What comes from another storage of the same name (a replaced
// disk, an emptied directory) does not count, for elections, commits, reads and contact alike, until the node has been
// a learner and was given its vote anew, through the log: the entry that does so binds the vote to the new storage,
// after it has caught up with all that the old one may have acknowledged. An older copy of a directory is another
// storage too, found out by the start that it lacks (storage_starts.h).
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "actors/raft/storage_starts.h"
#include "messages/envelope.pb.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

bool RaftCore::is_on_its_storage(std::string_view voter, uint64_t storage) const {
    const uint64_t bound = configuration().storage_of(voter);
    return bound == 0 || bound == storage;
}

// Of a peer that was not heard yet nothing is counted that it has not said.
bool RaftCore::counts(std::string_view voter) const {
    if (planted("storage-not-checked")) return true;
    if (is_self(voter)) return is_on_its_storage(voter, options_.storage);
    const auto heard = heard_storages_.find(voter);
    return heard == heard_storages_.end() || is_on_its_storage(voter, heard->second);
}

bool RaftCore::has_forgotten() const {
    return configuration().is_voter(options_.node_id) && !is_on_its_storage(options_.node_id, options_.storage) &&
           !planted("storage-not-checked");
}

// Whatever a peer may count says on which storage it was promised.
void RaftCore::stamp_storage(Message* reply) const {
    if (options_.storage == 0) return;
    pb::Envelope& envelope = reply->envelope();
    switch (envelope.body_case()) {
        case pb::Envelope::kVoteReply:
            return envelope.mutable_vote_reply()->set_storage(options_.storage);
        case pb::Envelope::kAppendReply:
            return envelope.mutable_append_reply()->set_storage(options_.storage);
        case pb::Envelope::kHeartbeatReply:
            return envelope.mutable_heartbeat_reply()->set_storage(options_.storage);
        case pb::Envelope::kInstallSnapshotReply:
            return envelope.mutable_install_snapshot_reply()->set_storage(options_.storage);
        default:
            return;
    }
}

void RaftCore::hear_storage_of(std::string_view from, const Message& reply) {
    const pb::AppendReply& append = reply->append_reply();
    const pb::HeartbeatReply& heartbeat = reply->heartbeat_reply();
    if (reply->has_append_reply()) hear_storage(from, append.term(), append.storage());
    if (reply->has_heartbeat_reply()) hear_storage(from, heartbeat.term(), heartbeat.storage());
}

// What was known of the peer's log was known of another one. (A late reply of the storage before only makes the leader
// find out once more: that it was promised stays true.)
void RaftCore::hear_storage(std::string_view from, uint64_t term, uint64_t storage) {
    const auto peer = peers_.find(from);
    if (!is_leader() || term != term_ || peer == peers_.end()) return;
    const auto [heard, is_new] = heard_storages_.emplace(from, storage);
    if (!is_new && heard->second == storage) return;
    heard->second = storage;
    if (!is_new && peer->second.leaving_at() == 0) peer->second = Progress(terms_.last_index(), input_.now_us);
    if (!has_forgotten(from)) return;
    effects_.notice =
        str_cat(from, " comes with another storage than the one its vote is on: it counts as absent until ",
                "it is taken back (`sandstore cluster rejoin ", from, "`)");
}

// A vote lives on the storage that has caught up for it.
void RaftCore::bind_new_voters(pb::RaftConfiguration* planned) const {
    std::map<std::string, pb::RaftStorage> storages;
    for (const pb::RaftStorage& storage : planned->storages()) storages[storage.id()] = storage;
    for (const std::string& voter : planned->voters()) {
        const auto heard = heard_storages_.find(voter);
        if (configuration().is_voter(voter) || heard == heard_storages_.end() || heard->second == 0) continue;
        pb::RaftStorage& bound = storages[voter];
        bound.set_id(voter);
        bound.set_storage(heard->second);
        bound.clear_start();
    }
    planned->clear_storages();
    for (auto& [voter, storage] : storages) *planned->add_storages() = std::move(storage);
}

// --- Older copies of a directory ------------------------------------------------------------------------------------

void RaftCore::hear_known_start_of(std::string_view from, const Message& request) {
    if (request->has_request_vote()) hear_known_start(from, request->request_vote().known_start());
    if (request->has_append_entries()) hear_known_start(from, request->append_entries().known_start());
    if (request->has_heartbeat()) hear_known_start(from, request->heartbeat().known_start());
}

// Before a request is answered. Whoever has a start of ours in its log that this directory does not know of, knows more
// of our promises than we do: nothing that is said from now on may count as said by the storage that made them.
void RaftCore::hear_known_start(std::string_view from, uint64_t known_start) {
    if (!is_older_copy(options_.storage, options_.starts, known_start) || planted("older-copy-believed")) return;
    const uint64_t before = options_.storage;
    // The draw is also that of an election timeout, which does not matter.
    options_.storage = input_.random == 0 || input_.random == before ? before + 1 : input_.random;
    options_.starts.clear();
    effects_.new_storage = options_.storage;
    if (role_ != pb::RoleChanged::FOLLOWER) become_follower(term_, "");
    effects_.notice =
        str_cat("the data directory is an older copy: ", from, " knows of a later start of this node. What ",
                options_.node_id, " promised since is not in it, so it counts as absent until it is taken ",
                "back (`sandstore cluster rejoin ", options_.node_id, "`)");
}

void RaftCore::hear_start(std::string_view from, uint64_t start) {
    if (start != 0) heard_starts_.insert_or_assign(std::string(from), start);
}

// With a heartbeat, all that were heard of at once. Not while nothing can be committed: a configuration that waits is
// in the way of changes that would help.
void RaftCore::bind_starts() {
    if (gets_its_features()) return;  // First: a log is new only until it has a second configuration.
    pb::RaftConfiguration planned = configuration().message();
    bool is_news = false;
    for (pb::RaftStorage& bound : *planned.mutable_storages()) {
        const auto heard = heard_starts_.find(bound.id());
        const uint64_t start = is_self(bound.id()) ? own_start() : heard != heard_starts_.end() ? heard->second : 0;
        if (start == 0 || start == bound.start() || !counts(bound.id())) continue;
        bound.set_start(start);
        is_news = true;
    }
    if (!is_news || !why_no_change_now().empty() || !why_not_committable(configuration()).empty()) return;
    heard_starts_.clear();
    append_configuration(planned);
    send_appends_to_all();
    advance_commit();
}

// With each heartbeat, one step for one node: a voter that forgot becomes a learner, and a voter again when it has
// caught up. Not while it would leave too few voters that answer to commit anything.
void RaftCore::take_back_forgetful() {
    if (!why_no_change_now().empty()) return;
    for (const auto& [node, progress] : peers_) {
        pb::ChangeMembership request;
        pb::ChangeMembership::Change* change = request.add_changes();
        change->set_node_id(node);
        if (configuration().is_rejoining(node)) {
            change->set_kind(pb::ChangeMembership::Change::PROMOTE);
        } else if (has_forgotten(node) && is_heard(node) && !progress.health.waits_for_operator) {
            change->set_kind(pb::ChangeMembership::Change::REJOIN);
        } else {
            continue;
        }
        std::string problem;
        const bool promotes = change->kind() == pb::ChangeMembership::Change::PROMOTE;
        const std::string name = node;  // The change may end this leadership, and the peers with it.
        if (begin_change(request, &problem) != RequestOutcome::kAccepted) continue;
        effects_.notice = promotes
                              ? str_cat(name, " has caught up and is given its vote again")
                              : str_cat(name, " lost its storage: it learns, and votes again when it has caught up");
        return;
    }
}

}  // namespace sandstore
