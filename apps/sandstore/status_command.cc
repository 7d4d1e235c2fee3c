// sandstore status: what the cluster is doing. sandstore health: whether one node serves.
#include <gflags/gflags.h>

#include <cstdio>
#include <optional>
#include <vector>

#include "apps/common/client_flags.h"
#include "apps/common/http_call.h"
#include "apps/common/units.h"
#include "apps/sandstore/commands.h"
#include "net/status_json.h"
#include "net/transport.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

DEFINE_bool(state_hash, false, "also compute a hash of each node's replicated state");
DEFINE_string(http, ":9400", "where the node serves HTTP");

namespace sandstore {

namespace {

constexpr uint64_t kAttemptTimeoutUs = 4'000'000;  // A node asks the others for up to 2.5 seconds.
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
        .summary = "Asks one node whether it serves: it has started, and knows a leader.",
        .usage = "sandstore health [flags]",
        .groups = {{"Node", {"http"}}},
        .notes = "Exit status: 0 when it does, 1 otherwise. In a node's container it needs no flags.",
    };
    return kSpec;
}

// Asks the servers one after the other until one answers, or the time is over.
class StatusQuestion {
 public:
    StatusQuestion() : runtime_({.node_id = ""}, logger_, metrics_) {
        runtime_.own_port({pb::PORT_TRANSPORT}, std::make_unique<Transport>(runtime_.base(), runtime_.dispatcher()));
    }

    std::optional<pb::ClusterStatus> ask(const std::vector<std::string>& servers, bool state_hash, std::string* error) {
        const SystemClock clock;
        const uint64_t deadline_us = clock.monotonic_us() + client_options_from_flags().timeout_us;
        for (size_t i = 0; i < servers.size(); ++i) {
            const uint64_t now_us = clock.monotonic_us();
            if (now_us >= deadline_us) break;
            const std::string why = ask_one(servers[i], state_hash, std::min(kAttemptTimeoutUs, deadline_us - now_us));
            if (why.empty()) return answer_;
            str_append(error, error->empty() ? "" : "; ", servers[i], ": ", why);
        }
        return std::nullopt;
    }

 private:
    std::string ask_one(const std::string& server, bool state_hash, uint64_t timeout_us) {
        pb::ClusterStatusRequest request;
        request.set_state_hash(state_hash);
        bool done = false;
        std::string why;
        runtime_.dispatcher().ask(Address("@" + server, pb::ACTOR_STATUS), message_of(request), timeout_us,
                                  [&](Message reply) {
                                      done = true;
                                      why = read(reply);
                                  });
        // The request ends by itself at its deadline.
        if (!runtime_.run_until([&] { return done; }, 2 * timeout_us)) why = "no answer";
        return why;
    }

    std::string read(Message& reply) {
        if (!reply->has_cluster_status()) return reply->request_failed().status().message();
        if (reply->cluster_status().status().code() != pb::STATUS_OK) return reply->cluster_status().status().message();
        answer_ = std::move(*reply->mutable_cluster_status());
        return "";
    }

    Logger logger_;
    MetricsRegistry metrics_;
    EventRuntime runtime_;
    pb::ClusterStatus answer_;
};

void print_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<size_t> widths(rows.front().size());
    for (const auto& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            str_append(&line, i == 0 ? "" : "  ", row[i]);
            line.append(widths[i] - row[i].size(), ' ');
        }
        while (line.ends_with(' ')) line.pop_back();
        std::puts(line.c_str());
    }
}

void print_status(const pb::ClusterStatus& status) {
    std::printf("cluster %s   leader %s   term %llu\n\n", status.cluster_id().c_str(),
                status.leader_id().empty() ? "none" : status.leader_id().c_str(),
                static_cast<unsigned long long>(status.term()));
    std::vector<std::vector<std::string>> rows = {{"NODE", "ADDRESS", "ROLE", "UP", "TERM", "COMMITTED", "APPLIED",
                                                   "CHUNKS", "STORED", "FREE", "UPTIME", "VERSION", ""}};
    if (FLAGS_state_hash) rows[0].insert(rows[0].end() - 1, "STATE");
    for (const pb::NodeStatus& node : status.nodes()) {
        const bool known = node.up() && node.has_raft();
        const bool chunks = node.up() && node.has_chunks();
        std::vector<std::string> row = {node.id(),
                                        node.address(),
                                        node.up() ? std::string(role_name(node)) : "-",
                                        node.up() ? "yes" : "no",
                                        known ? str_cat(node.raft().term()) : "-",
                                        known ? str_cat(node.raft().commit_index()) : "-",
                                        known ? str_cat(node.raft().applied_index()) : "-",
                                        chunks ? str_cat(node.chunks().chunk_count()) : "-",
                                        chunks ? format_bytes(node.chunks().chunk_bytes()) : "-",
                                        chunks ? format_bytes(node.chunks().disk_free_bytes()) : "-",
                                        node.up() ? format_duration(node.uptime_us()) : "-",
                                        node.version().empty() ? "-" : node.version()};
        if (FLAGS_state_hash) {
            row.push_back(node.state_hash_index() == 0
                              ? "-"
                              : str_format("%016llx@%llu", static_cast<unsigned long long>(node.state_hash()),
                                           static_cast<unsigned long long>(node.state_hash_index())));
        }
        row.push_back(node.detail());
        rows.push_back(std::move(row));
    }
    print_table(rows);
}

}  // namespace

int status_command(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, status_spec());
    if (parsed.exit_code) return finish(parsed);
    const std::vector<std::string> servers = servers_from_flags();
    std::string error;
    const std::optional<pb::ClusterStatus> status = StatusQuestion().ask(servers, FLAGS_state_hash, &error);
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
    const HttpAnswer answer = http_call(str_cat("http://", address, "/readyz?verbose"), "", kHealthTimeoutMs);
    if (answer.code == 0) {
        std::fprintf(stderr, "sandstore health: %s does not answer: %s\n", address.c_str(), answer.error.c_str());
        return 1;
    }
    std::fputs(answer.body.c_str(), answer.code == 200 ? stdout : stderr);
    return answer.code == 200 ? 0 : 1;
}

}  // namespace sandstore
