// How each node has to behave by itself, seen from outside: not whether the cluster's state is right (invariants.h
// says that), but whether somebody did what could make it wrong at another time. A fault that only a rare meeting of
// circumstances turns into a loss shows here at once.
//
// Checked: elections only after a quorum said in a pre-vote that it would vote; no vote against a leader that was just
// heard; nobody stands whom the committed configuration leaves out; a leader that is no voter any more, or that no
// quorum answers, stops leading; leadership goes to a node that has the whole log, ends in time, and nothing is written
// meanwhile; a read is answered after a round of heartbeats that began after the read did; a follower acknowledges only
// what its leader has; windows and limits hold; refusals and messages do not storm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "actors/raft/configuration.h"
#include "runtime/message.h"

namespace sandstore {

class RaftCore;

class Conduct {
 public:
    using CoreOf = std::function<const RaftCore*(const std::string& id)>;
    explicit Conduct(CoreOf core_of) : core_of_(std::move(core_of)) {}

    void node_started(const std::string& id) { nodes_[id] = Node(); }
    // Of a window of appends that overtake each other, the peer rightly refuses all but the next one, again and again
    // until it has caught up.
    void expect_reordering() { refusals_max_ = 3'500; }  // A window of 16 each half millisecond, some of them twice.
    // Of one that is lost, too, it refuses the rest of the window: some windows within the bound's time, when many are.
    void expect_losses() { refusals_max_ = std::max<uint64_t>(refusals_max_, 1'000); }
    void on_deliver(const std::string& id, const Message& message, uint64_t now_us);
    void on_send(const std::string& from, const std::string& to, const Message& message, uint64_t now_us);
    // The message delivered last was handled. Throws InvariantBroken.
    void after_step(const std::string& id, uint64_t now_us);

 private:
    struct Node {
        bool stepped = false;
        uint64_t awake_since_us = 0;  // No gap between its steps was longer than an election takes, since then.
        uint64_t stepped_us = 0;
        uint64_t leads_since_us = 0;  // 0: it does not.
        std::map<std::string, uint64_t> heard_us;
        uint64_t leader_heard_us = 0;
        std::set<std::string> would_vote;  // In answer to its newest pre-vote.
        // Of the newest request of each: was it refused for a leader's sake?
        std::map<std::pair<std::string, uint64_t>, bool> asked_despite_leader;
        bool told_removed = false;  // By somebody who knows a newer configuration; no leader has said otherwise since.
        std::map<uint64_t, uint64_t> reads;  // By request: the clock when it began.
        std::string handing_over_to;
        uint64_t handing_over_since_us = 0;
        uint64_t last_index = 0;
    };
    // The rounds of heartbeats of one term.
    struct Rounds {
        std::string leader;
        std::map<uint64_t, uint64_t> sent;          // By round: the clock.
        std::map<std::string, uint64_t> confirmed;  // By voter: the clock of the newest round it has answered.
        std::vector<Configuration> configurations;  // That the leader has followed.
    };
    struct Flow {  // Of one kind of message, between two nodes.
        uint64_t window = 0;
        uint64_t count = 0;
    };

    [[noreturn]] static void violated(const char* name, const std::string& what);
    void hear(Node& node, const std::string& id, const Message& message, uint64_t now_us);
    void check_read(const std::string& id, Node& node, const Message& message);
    void check_vote_request(const std::string& from, const Message& message);
    void check_flow(const std::string& from, const std::string& to, const Message& message, uint64_t now_us);
    void check_leader(const std::string& id, Node& node, const RaftCore& core, uint64_t now_us);
    void check_handing_over(const std::string& id, Node& node, const RaftCore& core, uint64_t now_us);

    CoreOf core_of_;
    std::map<std::string, Node> nodes_;
    std::map<uint64_t, Rounds> rounds_;  // By term.
    std::map<std::pair<std::string, std::string>, std::map<std::string, Flow>> flows_;
    uint64_t clock_ = 0;           // Counts messages.
    uint64_t refusals_max_ = 150;  // Between two nodes, within one window of time.
};

}  // namespace sandstore
