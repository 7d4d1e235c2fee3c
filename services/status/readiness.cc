#include "services/status/readiness.h"

#include "runtime/text.h"

namespace sandstore {

namespace {

// Heartbeats come many times a second: longer than any election takes.
constexpr uint64_t kSilenceMaxUs = 3'000'000;

std::string seconds(uint64_t us) {
    return str_cat(us / 1'000'000, " s");
}

// Why the leader cannot count on this node; empty when it can, or leads itself.
std::string unacknowledged(const pb::RaftStatus& raft) {
    if (raft.removed()) return "this node is no member any more";
    if (raft.forgot()) return "it lost the storage on which its vote is";
    if (raft.owed_index() != 0) return "it lacks entries that it once acknowledged, and is sent them";
    if (raft.role() == pb::RoleChanged::LEADER || raft.leader_id().empty()) return "";
    if (raft.leader_silent_us() > kSilenceMaxUs) {
        return str_cat("nothing was heard of the leader for ", seconds(raft.leader_silent_us()));
    }
    if (!raft.has_standing()) return "";  // Of a leader that does not say.
    const pb::Standing& standing = raft.standing();
    if (standing.silent_us() > kSilenceMaxUs) {
        return str_cat("the leader has heard nothing of it for ", seconds(standing.silent_us()));
    }
    const uint64_t lacks =
        standing.commit_index() > standing.match_index() ? standing.commit_index() - standing.match_index() : 0;
    return lacks > kEntriesBehindMax ? str_cat("it is ", lacks, " entries behind") : "";
}

}  // namespace

std::vector<ReadyCheck> ready_checks(const pb::NodeStatus& node) {
    const pb::RaftStatus& raft = node.raft();
    const bool started = node.up() && node.has_raft();
    const std::string waits = node.detail().empty() ? "the node is still starting" : node.detail();
    const bool led = started && !raft.leader_id().empty();
    const std::string leaderless = node.detail().empty() ? "no leader is known" : node.detail();
    const std::string unheard = started ? unacknowledged(raft) : waits;
    const bool caught_up = started && raft.applied_index() + kEntriesBehindMax >= raft.commit_index();
    std::string disk;
    if (!started) disk = waits;
    if (raft.disk_full()) disk = "the disk is full: no writes";
    if (raft.disk_slow()) disk = "the disk does not answer";
    const std::string& chunks = node.chunks().problem();
    const bool brake = node.repair().deletions_stopped();
    const auto check = [](std::string name, const std::string& problem, const std::string& fine) {
        return ReadyCheck{std::move(name), problem.empty(), problem.empty() ? fine : problem};
    };
    return {
        {"status", true, "ok"},
        {"started", started, started ? "ok" : waits},
        {"leader", led, led ? raft.leader_id() : leaderless},
        check("acknowledged", unheard, raft.role() == pb::RoleChanged::LEADER ? "it leads" : "ok"),
        {"applied", caught_up, str_cat("applied ", raft.applied_index(), " of ", raft.commit_index(), " committed")},
        check("disk", disk, "ok"),
        check("chunks", chunks, "ok"),
        {"deletions", true, brake ? node.repair().problem() : "ok", brake},
    };
}

std::string not_ready(const pb::NodeStatus& node) {
    for (const ReadyCheck& check : ready_checks(node)) {
        if (!check.passed) return check.detail;
    }
    return "";
}

std::string not_ready_remark(const pb::NodeStatus& node) {
    const std::string why = not_ready(node);
    const bool said = why.empty() || why == node.detail() || !node.up() || !node.has_raft();
    return said ? "" : str_cat("not ready: ", why);
}

}  // namespace sandstore
