#include "services/status/maintenance.h"

#include <algorithm>

#include "runtime/planted.h"
#include "runtime/text.h"
#include "services/status/readiness.h"

namespace sandstore {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

const pb::NodeStatus* find(const pb::ClusterStatus& status, std::string_view id) {
    for (const pb::NodeStatus& node : status.nodes()) {
        if (node.id() == id) return &node;
    }
    return nullptr;
}

const pb::RaftPeerStatus* find_peer(const pb::NodeStatus& leader, std::string_view id) {
    for (const pb::RaftPeerStatus& peer : leader.raft().peers()) {
        if (peer.node_id() == id) return &peer;
    }
    return nullptr;
}

uint64_t behind(uint64_t ahead, uint64_t index) {
    return ahead > index ? ahead - index : 0;
}

// Why this voter would not acknowledge a write soon; empty when it would.
std::string hindrance(const pb::ClusterStatus& status, const pb::NodeStatus& leader, const std::string& id) {
    const pb::NodeStatus* node = find(status, id);
    if (node == nullptr || !node->up()) return str_cat(id, " is down");
    if (!node->has_raft()) return str_cat(id, " does not answer");
    if (node->raft().disk_full()) return str_cat("the disk of ", id, " is full");
    if (node->raft().disk_slow()) return str_cat("the disk of ", id, " does not answer");
    const pb::RaftPeerStatus* peer = find_peer(leader, id);
    if (node->raft().forgot() || (peer != nullptr && peer->forgot())) {
        return str_cat(id, " lost the storage on which its vote is");
    }
    if (peer != nullptr && peer->state() == pb::RaftPeerStatus::SNAPSHOT) return str_cat(id, " is sent a snapshot");
    const uint64_t has = peer == nullptr ? node->raft().last_index() : peer->match_index();
    const uint64_t lacks = behind(leader.raft().commit_index(), has);
    if (lacks > kEntriesBehindMax) return str_cat(id, " is ", lacks, " entries behind");
    const std::string why = not_ready(*node);
    return why.empty() ? "" : str_cat(id, " is not ready: ", why);
}

// A majority of the voters without `leaving` could commit; otherwise the reason.
std::string no_quorum(const pb::ClusterStatus& status, const pb::NodeStatus& leader, const Names& voters,
                      std::string_view leaving) {
    const int needed = voters.size() / 2 + 1;
    int able = 0;
    std::string hindrances;
    for (const std::string& id : voters) {
        if (id == leaving) continue;
        const std::string why = hindrance(status, leader, id);
        able += why.empty();
        if (!why.empty()) str_append(&hindrances, hindrances.empty() ? "" : ", ", why);
    }
    if (able >= needed || planted("quorum-not-needed")) return "";
    std::string text = leaving.empty() ? "only " : str_cat("without ", leaving, ", only ");
    str_append(&text, able, " of ", voters.size(), voters.size() == 1 ? " voter" : " voters",
               leaving.empty() ? (able == 1 ? " is" : " are") : " would be", " up and caught up, and ", needed,
               needed == 1 ? " is needed" : " are needed");
    if (!hindrances.empty()) str_append(&text, ": ", hindrances);
    return text;
}

const pb::CopiesReport::Node* find_count(const pb::CopiesReport& report, std::string_view id) {
    for (const pb::CopiesReport::Node& node : report.nodes()) {
        if (node.node_id() == id) return &node;
    }
    return nullptr;
}

bool is_member(const pb::RaftConfiguration& members, std::string_view id) {
    const auto among = [&](const Names& names) { return std::ranges::count(names, id) > 0; };
    return among(members.voters()) || among(members.learners()) || among(members.old_voters());
}

// Why no chunk can be known to outlive this node; empty when all can. The leader has counted who holds what. Whatever
// was written since then is on a majority of its copies, and all the nodes that were counted are still there.
std::string last_copies(const pb::ClusterStatus& status, const pb::NodeStatus& leader, const pb::NodeStatus& node) {
    // What a member says of its own chunks may be a moment old; the leader counts those that have a place there.
    const bool holds_none = node.chunks().chunk_count() == 0;
    if (node.copies() == 0 || (holds_none && !is_member(leader.raft().configuration(), node.id()))) return "";
    const pb::CopiesReport& report = leader.copies_report();
    const pb::CopiesReport::Node* own = find_count(report, node.id());
    if (report.rounds() == 0 || !report.current() || own == nullptr || !own->counted()) {
        return "the copies of chunks are being counted: ask again in a moment";
    }
    if (node.copies() == 1 && (own->places() > 0 || !holds_none)) {
        return str_cat("each chunk is on one node only, and ", node.id(), " holds ",
                       std::max(own->places(), node.chunks().chunk_count()));
    }
    if (own->last() > 0) {
        return str_cat(node.id(), " holds the only intact copy within reach of ", own->last(),
                       own->last() == 1 ? " chunk" : " chunks");
    }
    for (const pb::CopiesReport::Node& other : report.nodes()) {
        if (!other.counted() || other.node_id() == node.id()) continue;
        const pb::NodeStatus* line = find(status, other.node_id());
        // One that was removed has no line any more.
        if (line != nullptr && !line->up()) {
            return str_cat(other.node_id(),
                           " went down since the copies of chunks were counted: ask again in a moment");
        }
    }
    return "";
}

// A new chunk is on a majority of its copies when it is acknowledged: so many nodes must be there that store some.
std::string no_room_for_copies(const pb::ClusterStatus& status, const pb::NodeStatus& leader,
                               std::string_view leaving) {
    const pb::RaftConfiguration& members = leader.raft().configuration();
    std::vector<std::string> nodes(members.voters().begin(), members.voters().end());
    nodes.insert(nodes.end(), members.learners().begin(), members.learners().end());
    const size_t copies = std::min<size_t>(leader.copies(), nodes.size());
    const size_t needed = copies / 2 + 1;
    const auto able = [&](const std::string& id) {
        const pb::NodeStatus* node = id == leaving ? nullptr : find(status, id);
        return node != nullptr && node->up() && node->chunks().problem().empty();
    };
    const auto count = static_cast<size_t>(std::ranges::count_if(nodes, able));
    if (copies == 0 || count >= needed || planted("quorum-not-needed")) return "";
    return str_cat(leaving.empty() ? "only " : str_cat("without ", leaving, ", only "), count, " of ", nodes.size(),
                   " nodes could store new file data, and ", needed, needed == 1 ? " is needed" : " are needed");
}

const pb::NodeStatus* leader_of(const pb::ClusterStatus& status) {
    const pb::NodeStatus* leader = status.leader_id().empty() ? nullptr : find(status, status.leader_id());
    return leader != nullptr && leader->up() && leader->has_raft() ? leader : nullptr;
}

std::string quorum_problem(const pb::ClusterStatus& status, const pb::NodeStatus& leader, std::string_view leaving) {
    const pb::RaftConfiguration& members = leader.raft().configuration();
    const Names& voters = members.voters().empty() ? leader.raft().voters() : members.voters();
    std::string problem = no_quorum(status, leader, voters, leaving);
    if (problem.empty() && !members.old_voters().empty()) {
        problem = no_quorum(status, leader, members.old_voters(), leaving);
        if (!problem.empty()) problem += " (members are being changed: old and new ones must agree)";
    }
    return problem.empty() ? no_room_for_copies(status, leader, leaving) : problem;
}

}  // namespace

Verdict may_be_stopped(const pb::ClusterStatus& status, std::string_view node_id) {
    const pb::NodeStatus* node = find(status, node_id);
    if (node == nullptr) return {false, str_cat(node_id, " is not a node of this cluster")};
    if (!node->up()) return {true, str_cat(node_id, " does not serve: nothing depends on it")};
    const pb::NodeStatus* leader = leader_of(status);
    if (leader == nullptr) return {false, "the cluster has no leader: another node less cannot help"};
    if (std::string problem = quorum_problem(status, *leader, node_id); !problem.empty()) return {false, problem};
    if (std::string problem = last_copies(status, *leader, *node); !problem.empty()) return {false, problem};
    if (leader == node) {
        return {true,
                str_cat(node_id, " may be stopped; it leads: SIGTERM hands leadership over, or do so before with ",
                        "`sandstore cluster transfer`")};
    }
    return {true, str_cat(node_id, " may be stopped")};
}

Verdict cluster_serves(const pb::ClusterStatus& status) {
    const pb::NodeStatus* leader = leader_of(status);
    if (leader == nullptr) return {false, "the cluster has no leader"};
    if (std::string problem = quorum_problem(status, *leader, ""); !problem.empty()) return {false, problem};
    return {true, str_cat("the cluster serves; ", status.leader_id(), " leads in term ", status.term())};
}

Verdict copies_are_intact(const pb::ClusterStatus& status) {
    const pb::NodeStatus* leader = leader_of(status);
    if (leader == nullptr || leader->copies_report().rounds() == 0) {
        return {false, "the copies of chunks are being counted: ask again in a moment"};
    }
    const pb::CopiesReport& report = leader->copies_report();
    if (report.fewer() == 0) return {true, str_cat("each of ", report.chunks(), " chunks has its copies")};
    std::string text = str_cat(report.fewer(), " of ", report.chunks(), " chunks have fewer than ", report.copies(),
                               report.copies() == 1 ? " copy" : " copies");
    if (report.none() > 0) {
        str_append(&text, ", and ", report.none(),
                   " of them none within reach: what is in them cannot be read until a node that has one is back");
    }
    if (!report.problem().empty()) str_append(&text, " (", report.problem(), ")");
    return {false, text};
}

std::vector<std::string> warnings(const pb::ClusterStatus& status) {
    std::vector<std::string> found;
    for (const pb::NodeStatus& node : status.nodes()) {
        if (node.repair().deletions_stopped()) found.push_back(node.repair().problem());
    }
    return found;
}

std::optional<uint64_t> lag_of(const pb::ClusterStatus& status, const pb::NodeStatus& node) {
    const pb::NodeStatus* leader = leader_of(status);
    if (leader == nullptr || !node.up() || !node.has_raft()) return std::nullopt;
    if (node.id() == leader->id()) return behind(node.raft().commit_index(), node.raft().applied_index());
    const pb::RaftPeerStatus* peer = find_peer(*leader, node.id());
    return behind(leader->raft().last_index(), peer == nullptr ? node.raft().last_index() : peer->match_index());
}

}  // namespace sandstore
