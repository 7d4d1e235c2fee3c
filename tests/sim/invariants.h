// What must hold in a Raft cluster after every step, whatever goes wrong (docs of the design: the list of invariants).
// Watches each message that an actor is about to handle and each one that a node hands to the network, and compares
// the nodes with each other; only what the last step can have changed is looked at.
//
// Checked: one leader a term, elected by a quorum; leaders only append; entries with the same index and term are the
// same, and so are all before them; a leader has all that was committed before; what is committed never changes, is on
// the durable logs of a quorum and is applied with the same bytes everywhere; equal states at equal applied indexes,
// each whole in itself; terms, commit and applied indexes never fall; one vote a term, across crashes; what a node
// promised (term, vote, entries) is there after a restart; a read index covers every write acknowledged before the read
// began. Not checked here: what clients see (linearizability.h), convergence and the contents of files (sim_run.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/raft/configuration.h"
#include "actors/raft/term_index.h"
#include "runtime/message.h"
#include "tests/sim/durable_log.h"

namespace sandstore {

namespace pb {
class SnapshotMeta;
}

class RaftCore;
class RaftNode;
class StateMachine;

class Invariants {
 public:
    // A new process; what the machine promised before still binds it.
    void node_started(const std::string& id);
    // The node cannot be held to its promises any more: its disk was damaged on purpose.
    void node_damaged(const std::string& id) { nodes_[id].damaged = true; }
    // The same, and not at the very end of its log: it must notice.
    void node_damaged_for_all_to_see(const std::string& id) { nodes_[id].damaged = nodes_[id].must_notice = true; }
    // The same at the very end of its log, where a seal says that it is no torn write: no such log may be taken.
    void tail_damaged(const std::string& id) { nodes_[id].damaged = nodes_[id].must_refuse = true; }
    // One of its snapshots is not what it was.
    void snapshot_damaged(const std::string& id) { nodes_[id].snapshot_damaged = true; }
    bool is_damaged(const std::string& id) const { return nodes_.at(id).damaged; }

    // The machine has a new disk: only the old one can be held to what was promised.
    void node_wiped(const std::string& id);
    // The node is stopped, and a copy of its directory is made; later that is put back in the place of the directory.
    DurableLog copy_made(const std::string& id);
    void copy_put_back(const std::string& id, DurableLog copy);
    // The disk lost what it had acknowledged, from that entry on.
    void tail_lost(const std::string& id, uint64_t index);
    // May it? Nothing is on its way to the disk, and all the log holds is on the disks of a majority of `nodes` without
    // this one.
    bool may_lose_tail(const std::string& id, const std::vector<std::string>& nodes) const;

    void on_deliver(const std::string& id, const Message& message);
    void on_send(const std::string& from, const Message& message);
    // The message that was delivered last has been handled. Throws InvariantBroken.
    void after_step(const std::string& id, const RaftNode* raft, const StateMachine* state_machine);

    uint64_t committed_index() const { return committed_.size(); }
    uint64_t elections() const { return leaders_.size(); }
    // "invariant <name>" or the place of the SANDSTORE_CHECK: what a failure is recognised by.
    static std::string signature_of(const std::string& failure);

 private:
    struct Entry {
        uint32_t checksum = 0;
        uint64_t previous_term = 0;
        bool is_configuration = false;
    };
    struct Committed {
        uint64_t term = 0;
        uint64_t committed_in = 0;  // The term of the leader that committed it.
        uint32_t checksum = 0;      // Of the record as it was applied somewhere first.
        bool applied = false;
    };
    struct Node {
        bool booted = false;
        bool damaged = false;
        bool snapshot_damaged = false;
        bool must_notice = false;
        bool must_refuse = false;
        // As last seen in this life.
        bool was_leader = false;
        uint64_t term = 0;
        uint64_t last_index = 0;
        uint64_t last_term = 0;
        uint64_t commit_index = 0;
        uint64_t applied_index = 0;
        uint64_t state_applied_index = 0;
        uint64_t configuration_index = 0;
        Configuration configuration;
        bool raft_stepped = false;
        bool state_stepped = false;
        TermIndex terms;
        uint64_t saving_index = 0;  // Of the snapshot that is being written, and of its pieces so far.
        uint64_t saving_pieces = 0;
        uint32_t saving_checksum = 0;
        // Kept while the node is down.
        DurableLog durable;
        // What was said to others.
        uint64_t promised_term = 0;
        std::map<uint64_t, std::string> votes;                    // By term.
        std::vector<std::pair<uint64_t, uint64_t>> acknowledged;  // In this step: (term, match index).
        // Of disks that the machine had before: what they promised may still be on its way when they are gone.
        std::vector<DurableLog> former_disks;
        std::map<uint64_t, std::string> former_votes;
        std::map<uint64_t, uint64_t> reads;  // By request: the newest acknowledged write when it began.
    };

    [[noreturn]] void violated(const char* name, const std::string& what) const;
    void check_boot(const std::string& id, Node& node, const RaftCore& core);
    void check_role(const std::string& id, Node& node, const RaftCore& core);
    void check_log(const std::string& id, Node& node, const RaftCore& core);
    void check_entry(const std::string& id, const RaftCore& core, uint64_t index);
    void check_new_leader(const std::string& id, const RaftCore& core);
    void check_durable(const std::string& id, Node& node);
    void check_acknowledged_to(const std::string& id, uint64_t term, uint64_t match, const RaftCore& core);
    void check_acknowledged(const std::string& id, Node& node, const RaftCore& core);
    void check_commit(const std::string& id, Node& node, const RaftCore& core);
    void check_quorum(const std::string& id, const Node& node, const RaftCore& core, uint64_t index);
    void check_configuration(const std::string& id, Node& node, const RaftCore& core);
    void check_snapshots(const std::string& id, const RaftNode& raft);
    void check_snapshot_meta(const std::string& id, const pb::SnapshotMeta& meta);
    void check_snapshot_piece(const std::string& id, Node& node, const Message& message);
    void check_recovered(const std::string& id, const Node& node, const Message& message);
    void check_elected(const std::string& id, const RaftCore& core);
    static bool was_durable(const Node& node, uint64_t index, uint64_t term);
    void check_promise(const std::string& id, const Node& node, uint64_t term) const;
    void check_state(const std::string& id, Node& node, const StateMachine& state_machine);
    void check_apply(const std::string& id, const Message& message);
    void promise_vote(const std::string& id, uint64_t term, const std::string& candidate);

    std::map<std::string, Node> nodes_;
    std::map<uint64_t, std::string> leaders_;                          // By term.
    std::map<std::pair<uint64_t, uint64_t>, Entry> entries_;           // By (index, term).
    std::vector<Committed> committed_;                                 // From index 1.
    std::map<uint64_t, std::pair<uint64_t, std::string>> state_hash_;  // By applied index: the hash, and where first.
    std::map<uint64_t, std::pair<uint32_t, std::string>>
        snapshots_;                                   // By index: of the state's bytes, and whose first.
    std::map<uint64_t, std::string> configurations_;  // Applied ones, by index, serialized.
    uint64_t acknowledged_write_ = 0;                 // The highest index whose proposer knows.
};

}  // namespace sandstore
