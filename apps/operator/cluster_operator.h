// Changes who belongs to a cluster, and who leads it, through any of its nodes. Each operation works towards what is
// wanted: it looks at the cluster, asks for the next step if one is missing, and looks again, until the time is over.
// So a lost answer does no harm, and an operation that was broken off can be run again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/operator/node_calls.h"
#include "messages/envelope.pb.h"

namespace sandstore {

// Where a member stands in a configuration.
enum class Standing { kNone, kVoter, kLearner, kJoining, kLeaving };
Standing standing_of(const pb::RaftConfiguration& configuration, std::string_view node);
std::string_view standing_name(Standing standing);  // "voter", "learner", "joining", "leaving", "none".

class ClusterOperator {
 public:
    // Tells how far it is; a line each time.
    using Say = std::function<void(const std::string&)>;

    ClusterOperator(std::vector<std::string> servers, uint64_t timeout_us, Say say);

    // Empty: done. Else why not, and what to do next.
    [[nodiscard]] std::string add(const std::string& node, const std::string& address, bool as_learner);
    // Its chunks are moved to other nodes first. Where that cannot be, nothing changes, unless `force`: then what is
    // only there is lost, and that is said.
    [[nodiscard]] std::string remove(const std::string& node, bool force);
    [[nodiscard]] std::string promote(const std::string& node);
    [[nodiscard]] std::string demote(const std::string& node);
    [[nodiscard]] std::string rejoin(const std::string& node);
    // The new one learns and catches up, the old one's chunks are moved as by remove(), then one change takes the new
    // one in and the old one out.
    [[nodiscard]] std::string replace(const std::string& old_node, const std::string& new_node,
                                      const std::string& new_address, bool force);
    // To the highest level that any node knows; refused while a member does not know it.
    [[nodiscard]] std::string raise_features();
    [[nodiscard]] std::string transfer(const std::string& node);  // Empty: to the best one.
    [[nodiscard]] std::string snapshot(const std::string& node, pb::SnapshotSaved* saved);
    [[nodiscard]] std::string allow_deletions(const std::string& node);

    // The last look at the cluster.
    const pb::ClusterStatus& status() const { return status_; }
    [[nodiscard]] std::string look();              // Any node's view.
    [[nodiscard]] std::string look_with_leader();  // Waits for a leader that answers.

 private:
    using Change = pb::ChangeMembership::Change;
    struct Step {
        Change::Kind kind;
        std::string node;
        std::string address;
    };
    using IsDone = std::function<bool(const pb::RaftConfiguration&)>;

    const pb::RaftStatus& leader() const;  // After look_with_leader().
    std::string change(const std::vector<Step>& steps, const IsDone& is_done);
    std::string change(const pb::ChangeMembership& request, const IsDone& is_done);
    std::string add_learner(const std::string& node, const std::string& address);
    std::string await_caught_up(const std::string& node);
    const pb::CopiesReport& copies() const;  // As the leader counted them; after look_with_leader().
    std::string move_chunks_off(const std::string& node, bool force);
    std::string await_moved(const std::string& node, uint64_t configuration_index);
    std::string say_what_is_lost(const std::string& node);
    std::string take_back(const std::string& node);
    std::string give_up_leadership_of(const std::string& node);
    std::string out_of_time(std::string_view doing) const;
    bool time_is_over() const;
    uint64_t time_left_us() const;
    void note(std::string text);  // Says it, unless it was the last thing said.

    NodeCalls calls_;
    uint64_t deadline_us_;
    Say say_;
    pb::ClusterStatus status_;
    std::string said_;
    std::string last_problem_;
};

}  // namespace sandstore
