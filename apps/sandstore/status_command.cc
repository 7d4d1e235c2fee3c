// sandstore status: what the cluster is doing. sandstore health: whether one node serves.
#include <gflags/gflags.h>

#include <cstdio>
#include <optional>
#include <vector>

#include "apps/common/client_flags.h"
#include "apps/operator/http_call.h"
#include "apps/operator/node_calls.h"
#include "apps/sandstore/commands.h"
#include "apps/terminal/table.h"
#include "apps/terminal/units.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "services/status/maintenance.h"
#include "services/status/readiness.h"
#include "services/status/status_json.h"

DEFINE_bool(state_hash, false, "also compute a hash of each node's replicated state");
DEFINE_string(http, ":9400", "where the node serves HTTP");
DEFINE_bool(maintenance, false, "ask instead whether the node may be stopped now");

namespace sandstore {

namespace {

constexpr uint64_t kHealthTimeoutMs = 2'000;

const FlagRule kHttpRule("http", listen_address());

const CommandSpec& status_spec() {
    static const CommandSpec kSpec = {
        .name = "status",
        .summary = "Shows what the cluster is doing: leader, term, and each node.",
        .usage = "sandstore status [flags]",
        .groups = {cluster_flags(), {"Output", {"json", "state_hash"}}},
        .notes = "Exit status: 0 when a node answered, 1 otherwise.",
    };
    return kSpec;
}

const CommandSpec& health_spec() {
    static const CommandSpec kSpec = {
        .name = "health",
        .summary = "Asks one node whether it is ready: its leader hears of it, and its disk takes writes.",
        .usage = "sandstore health [flags]",
        .groups = {{"Node", {"http", "maintenance"}}},
        .notes =
            "Exit status: 0 when it does (with --maintenance: when it may be stopped), 1 otherwise. In a node's "
            "container it needs no flags.",
    };
    return kSpec;
}

// What is out of the ordinary on a node, in a few words.
std::string remarks(const pb::NodeStatus& node) {
    std::string text = node.detail();
    const auto say = [&](bool so, std::string_view what) {
        if (so) str_append(&text, text.empty() ? "" : "; ", what);
    };
    const pb::RaftStatus& raft = node.raft();
    const std::string not_ready = not_ready_remark(node);
    say(!not_ready.empty(), not_ready);
    say(!node.repair().problem().empty(), node.repair().problem());
    say(node.figures().chunks_missing() > 0, str_cat("lacks ", node.figures().chunks_missing(), " of its chunks"));
    say(node.figures().etcd() == pb::NodeFigures::LOST, "etcd does not answer");
    say(!raft.transferring_to().empty(), str_cat("hands leadership over to ", raft.transferring_to()));
    return text;
}

void print_members(const pb::ClusterStatus& status) {
    const pb::NodeStatus* informed = best_informed(status);
    if (informed == nullptr) {
        std::puts("");
        return;
    }
    const auto list = [](const google::protobuf::RepeatedPtrField<std::string>& names) {
        std::string text;
        for (const std::string& name : names) str_append(&text, text.empty() ? "" : ", ", name);
        return text;
    };
    const pb::RaftConfiguration& members = informed->raft().configuration();
    std::string line =
        str_cat("voters ", list(members.voters().empty() ? informed->raft().voters() : members.voters()));
    if (!members.learners().empty()) str_append(&line, "   learners ", list(members.learners()));
    if (!members.old_voters().empty()) str_append(&line, "   changing, from ", list(members.old_voters()));
    std::printf("%s\n\n", line.c_str());
}

std::string free_of(const pb::ChunkStats& chunks) {
    std::string text = format_bytes(chunks.disk_free_bytes());
    if (chunks.disk_total_bytes() == 0) return text;
    const double used =
        1 - static_cast<double>(chunks.disk_free_bytes()) / static_cast<double>(chunks.disk_total_bytes());
    return str_cat(text, str_format(" (%.0f%% used)", used * 100));
}

std::string hash_of(const pb::NodeStatus& node) {
    if (node.state_hash_index() == 0) return "-";
    return str_format("%016llx@%llu", static_cast<unsigned long long>(node.state_hash()),
                      static_cast<unsigned long long>(node.state_hash_index()));
}

std::vector<std::string> row_of(const pb::NodeStatus& node, const pb::ClusterStatus& status) {
    const std::optional<uint64_t> lag = lag_of(status, node);
    const bool known = node.up() && node.has_raft();
    const bool chunks = node.up() && node.has_chunks();
    const auto if_known = [](bool is_known, const auto& text) { return is_known ? str_cat(text) : "-"; };
    std::vector<std::string> row = {node.id(), node.address(), node.up() ? std::string(role_name(node)) : "down"};
    row.push_back(if_known(known, node.raft().term()));
    row.push_back(if_known(known, node.raft().commit_index()));
    row.push_back(if_known(known, node.raft().applied_index()));
    row.push_back(if_known(lag.has_value(), lag.value_or(0)));
    row.push_back(if_known(known, node.raft().snapshot_index()));
    row.push_back(if_known(chunks, node.chunks().chunk_count()));
    row.push_back(if_known(chunks, format_bytes(node.chunks().chunk_bytes())));
    row.push_back(if_known(chunks, free_of(node.chunks())));
    row.push_back(if_known(node.up(), format_duration(node.uptime_us())));
    row.push_back(if_known(!node.version().empty(), node.version()));
    if (FLAGS_state_hash) row.push_back(hash_of(node));
    row.push_back(remarks(node));
    return row;
}

void print_status(const pb::ClusterStatus& status) {
    std::printf("cluster %s   leader %s   term %llu\n", status.cluster_id().c_str(),
                status.leader_id().empty() ? "none" : status.leader_id().c_str(),
                static_cast<unsigned long long>(status.term()));
    print_members(status);
    std::vector<std::vector<std::string>> rows = {{"NODE", "ADDRESS", "ROLE", "TERM", "COMMITTED", "APPLIED", "LAG",
                                                   "SNAPSHOT", "CHUNKS", "STORED", "FREE", "UPTIME", "VERSION", ""}};
    if (FLAGS_state_hash) rows[0].insert(rows[0].end() - 1, "STATE");
    for (const pb::NodeStatus& node : status.nodes()) rows.push_back(row_of(node, status));
    print_table(rows, {"TERM", "COMMITTED", "APPLIED", "LAG", "SNAPSHOT", "CHUNKS", "STORED", "FREE", "UPTIME"});
    if (const std::string hint = feature_hint(status); !hint.empty()) std::printf("\n%s\n", hint.c_str());
    if (const Verdict verdict = cluster_serves(status); !verdict.yes) std::printf("\n%s\n", verdict.why.c_str());
    if (const Verdict verdict = copies_are_intact(status); !verdict.yes) std::printf("\n%s\n", verdict.why.c_str());
}

}  // namespace

int status_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, status_spec());
    if (parsed.exit_code) return finish(parsed);
    std::string error;
    const std::optional<pb::ClusterStatus> status =
        NodeCalls(servers_from_flags())
            .cluster_status(FLAGS_state_hash, client_options_from_flags().timeout_us, &error);
    if (!status) {
        std::fprintf(stderr, "sandstore status: no node answers (%s); --servers says where they are\n", error.c_str());
        return 1;
    }
    if (FLAGS_json) {
        std::fputs(status_json_text(*status).c_str(), stdout);
    } else {
        print_status(*status);
    }
    return 0;
}

int health_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, health_spec());
    if (parsed.exit_code) return finish(parsed);
    // A listen address without a host, or for all of them, is asked on this machine.
    std::string address = FLAGS_http;
    if (address.starts_with(':')) address = "127.0.0.1" + address;
    if (address.starts_with("0.0.0.0:")) address.replace(0, 7, "127.0.0.1");
    if (address.starts_with("[::]:")) address.replace(0, 4, "[::1]");
    const char* question = FLAGS_maintenance ? "/health?maintenance" : "/readyz?verbose";
    const HttpAnswer answer = http_call(str_cat("http://", address, question), "", kHealthTimeoutMs);
    if (answer.code == 0) {
        std::fprintf(stderr, "sandstore health: %s does not answer: %s\n", address.c_str(), answer.error.c_str());
        return 1;
    }
    std::fputs(answer.body.c_str(), answer.code == 200 ? stdout : stderr);
    return answer.code == 200 ? 0 : 1;
}

}  // namespace sandstore
