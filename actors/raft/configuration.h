// Who votes, who only learns, and what a quorum of them is: of the voters, and while a joint change is on its way of
// the old voters as well (thesis 4.3).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/raft/feature_level.h"
#include "messages/raft.pb.h"

namespace sandstore {

// A value. Empty: nothing is known yet (a node that waits to be added).
class Configuration {
 public:
    using Nodes = std::vector<std::string>;  // Sorted.

    Configuration() = default;
    explicit Configuration(const pb::RaftConfiguration& message);
    // Nothing when the bytes are no configuration that could be in force.
    static bool parse(std::string_view bytes, Configuration* configuration);

    const Nodes& voters() const { return voters_; }
    const Nodes& learners() const { return learners_; }
    const Nodes& old_voters() const { return old_voters_; }
    const pb::RaftConfiguration& message() const { return message_; }

    bool empty() const { return voters_.empty(); }
    bool is_joint() const { return !old_voters_.empty(); }
    bool is_voter(std::string_view node) const;  // In the new or the old set.
    bool is_member(std::string_view node) const;
    bool is_learner(std::string_view node) const { return is_member(node) && !is_voter(node); }
    Nodes members() const;  // All of them, each once.
    // On which storage the node's vote is. 0: on none that was told.
    uint64_t storage_of(std::string_view node) const;
    // Its newest start that the log knows. 0: none.
    uint64_t start_of(std::string_view node) const;
    bool is_rejoining(std::string_view node) const;
    uint32_t feature_level() const { return feature_level_of(message_.feature_level()); }

    // Whether those for whom `yes` holds decide.
    bool is_quorum(const std::function<bool(const std::string&)>& yes) const;
    // The largest value that a quorum has reached. 0 when empty.
    uint64_t reached_by_quorum(const std::function<uint64_t(const std::string&)>& value_of) const;

    // What follows a joint configuration: the new voters alone.
    pb::RaftConfiguration without_old_voters() const;

    bool operator==(const Configuration& other) const;

 private:
    pb::RaftConfiguration message_;
    Nodes voters_;
    Nodes learners_;
    Nodes old_voters_;
    Nodes leaving_;
};

// Carries out the changes on the configuration of a cluster at rest. False: *problem says why not. The result is joint
// when more than one vote changes, since two majorities that need not meet could decide otherwise.
bool plan_change(const Configuration& now, const pb::ChangeMembership& request, pb::RaftConfiguration* planned,
                 std::string* problem);

}  // namespace sandstore
