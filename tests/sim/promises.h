// What nodes may believe of each other: who counts for a vote, a commit, a lease or a change of members, seen from
// outside. A fault that only several more failures turn into a loss shows here at once.
//
// Checked: nobody stands, and nobody is elected or commits by voters, whose votes are on another storage; who owes
// entries does not stand, and votes for no log without them; a leader believes a loss, and nothing that was said before
// it; a node that hears of a start that its directory lacks has another storage from then on; heartbeats commit only
// what is there; configurations are appended only when those who would decide were heard; a lease rests on a quorum
// that withholds its votes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "actors/raft/configuration.h"
#include "runtime/message.h"

namespace sandstore {

class RaftCore;

class Promises {
 public:
    using CoreOf = std::function<const RaftCore*(const std::string& id)>;
    using ClockOf = std::function<uint64_t(const std::string& id)>;  // Of a machine whose node runs.
    Promises(CoreOf core_of, ClockOf clock_of) : core_of_(std::move(core_of)), clock_of_(std::move(clock_of)) {}

    void node_started(const std::string& id) { nodes_[id] = Node(); }
    // Messages to RaftNode, and what a node hands to the network. Throw InvariantBroken.
    void on_deliver(const std::string& id, const Message& message, uint64_t now_us);
    void on_send(const std::string& from, const std::string& to, const Message& message);
    void after_step(const std::string& id, uint64_t now_us);

 private:
    struct LogEnd {
        uint64_t term = 0;
        uint64_t index = 0;
        auto operator<=>(const LogEnd&) const = default;
    };
    // What the message that is being handled must lead to, or must not.
    struct Step {
        bool pending = false;
        std::string from;
        uint64_t commit_index = 0;
        uint64_t match = 0;  // Of the sender, at the leader.
        bool is_disbelieved = false;
        bool proves_loss = false;
        bool commits_unseen = false;
        bool reads = false;
        bool installs = false;
        uint64_t outdated_storage = 0;  // Not 0: the directory is an older copy, and was just told so.
    };
    struct Node {
        Step step;
        bool leads = false;
        uint64_t term = 0;
        Configuration configuration;
        uint64_t configuration_index = 0;
        std::map<std::string, uint64_t> heard_us;
        std::map<std::string, uint64_t> storages;  // By peer: of its last answer in this term.
        uint64_t storages_term = 0;
        std::map<std::pair<uint64_t, std::string>, uint64_t> votes;          // By (term, voter): the storage.
        std::map<std::pair<std::string, uint64_t>, bool> asked_beyond_debt;  // By (candidate, term).
        LogEnd owed;
        uint64_t leader_heard_us = 0;
    };

    [[noreturn]] static void violated(const char* name, const std::string& what);
    void hear(const std::string& id, Node& node, const Message& message, uint64_t now_us);
    void expect_of_request(Node& node, const RaftCore& core, uint64_t known_start) const;
    void expect_of_reply(Node& node, const RaftCore& core, const Message& message);
    void check_candidate(const std::string& id, const RaftCore& core) const;
    void check_elected(const std::string& id, const Node& node, const RaftCore& core) const;
    void check_commit(const std::string& id, const Node& node, const RaftCore& core) const;
    void check_change(const std::string& id, const Node& node, const RaftCore& core, uint64_t now_us) const;
    void check_lease(const std::string& id, const RaftCore& core, uint64_t now_us) const;
    void check_step(const std::string& id, const Node& node, const RaftCore& core) const;

    CoreOf core_of_;
    ClockOf clock_of_;
    std::map<std::string, Node> nodes_;
    std::map<uint64_t, uint64_t> starts_;  // That there were: of which storage.
};

}  // namespace sandstore
