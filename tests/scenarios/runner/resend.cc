#include "tests/scenarios/runner/resend.h"

#include "actors/log/snapshot_format.h"
#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

Message entries(const RaftCore& core, uint64_t first, uint64_t last) {
    if (first < 1 || last < first || !core.cache().contains(first) || !core.cache().contains(last)) {
        throw ScriptError(str_cat("the leader holds no entries ", first, " to ", last, " in memory"));
    }
    const std::optional<uint64_t> term_before = core.terms().term_at(first - 1);
    if (!term_before) throw ScriptError(str_cat("the leader does not know the term of entry ", first - 1));
    EntryCache::Range range = core.cache().range(first, last, UINT64_MAX);
    pb::AppendEntries append;
    append.set_term(core.term());
    append.set_prev_log_index(first - 1);
    append.set_prev_log_term(*term_before);
    append.set_record_count(range.count);
    append.set_leader_commit(core.commit_index());
    return message_of(std::move(append), std::move(range.records));
}

Message snapshot(const RaftNode& leader, const SimDisk& disk) {
    if (leader.snapshots().empty()) throw ScriptError("the leader has no snapshot");
    pb::InstallSnapshot install;
    install.set_term(leader.core()->term());
    *install.mutable_meta() = leader.snapshots().front();
    const std::string file = str_cat("snapshots/", snapshot_file(install.meta().index(), install.meta().term()));
    std::string bytes = disk.contents(file);
    if (bytes.empty()) bytes = disk.contents(snapshot_file(install.meta().index(), install.meta().term()));
    if (bytes.size() != install.meta().file_bytes()) throw ScriptError(str_cat(file, " is not on the leader's disk"));
    return message_of(std::move(install), Payload(std::move(bytes)));
}

}  // namespace

void resend(SimCluster& cluster, Arguments& arguments) {
    const std::string leader = arguments.node();
    arguments.demand("->");
    const std::string receiver = arguments.node();
    RaftNode* node = cluster.raft(leader);
    if (node == nullptr || node->core() == nullptr || !node->core()->is_leader()) {
        throw ScriptError(str_cat(leader, " does not lead"));
    }
    Message message;
    if (arguments.accept("snapshot")) {
        message = snapshot(*node, cluster.disk(leader));
    } else {
        arguments.demand("entries");
        const uint64_t first = arguments.number("the first entry");
        message = entries(*node->core(), first, arguments.number("the last entry"));
    }
    cluster.runtime().node(leader)->send(Address(receiver, pb::ACTOR_RAFT), std::move(message));
}

}  // namespace sandstore
