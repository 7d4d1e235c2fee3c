// sandstore cluster members, add, remove, replace, promote, demote, rejoin, raise-features, transfer, snapshot.
#include <gflags/gflags.h>
#include <json/json.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "actors/cluster/member_record.h"
#include "apps/common/client_flags.h"
#include "apps/operator/cluster_operator.h"
#include "apps/sandstore/cluster_tools.h"
#include "apps/terminal/table.h"
#include "apps/terminal/units.h"
#include "runtime/flags.h"
#include "runtime/text.h"
#include "services/status/readiness.h"
#include "services/status/status_json.h"

DEFINE_bool(learner, false, "leave the node a learner: it gets everything and has no vote");
DEFINE_bool(force_removal, false, "even when chunks cannot be moved elsewhere: what is only on the node is lost then");
DEFINE_string(change_timeout, "10m", "how long the whole change may take");

namespace sandstore {

namespace {

const FlagRule kChangeTimeoutRule("change_timeout", duration_between(100'000, 86'400'000'000));

constexpr std::string_view kNotes =
    "Each may be run again: it goes on from what is there. Exit status: 0 done, 1 not done, 2 bad command line.";

CommandSpec spec_of(std::string_view name, std::string_view summary, std::string_view usage, size_t least, size_t most,
                    std::string_view positionals, std::vector<std::string_view> options = {}) {
    CommandSpec spec;
    spec.name = name;
    spec.summary = summary;
    spec.usage = usage;
    options.push_back("json");
    spec.groups = {{"Cluster", {"servers", "timeout=change_timeout"}}, {"Options", std::move(options)}};
    spec.positionals_min = least;
    spec.positionals_max = most;
    spec.positionals_name = positionals;
    spec.notes = kNotes;
    return spec;
}

// --- Showing --------------------------------------------------------------------------------------------------------

struct MemberLine {
    const pb::NodeStatus* node;
    Standing standing;
    const pb::RaftPeerStatus* peer;  // As the leader sees it; null for the leader itself, or without one.
};

std::vector<MemberLine> member_lines(const pb::ClusterStatus& status) {
    const pb::NodeStatus* informed = best_informed(status);
    std::vector<MemberLine> lines;
    for (const pb::NodeStatus& node : status.nodes()) {
        MemberLine line{&node, Standing::kNone, nullptr};
        if (informed != nullptr) {
            line.standing = standing_of(informed->raft().configuration(), node.id());
            for (const pb::RaftPeerStatus& peer : informed->raft().peers()) {
                if (peer.node_id() == node.id()) line.peer = &peer;
            }
        }
        lines.push_back(line);
    }
    return lines;
}

std::string progress_text(const pb::RaftPeerStatus& peer) {
    if (peer.state() != pb::RaftPeerStatus::SNAPSHOT) {
        return str_cat(peer_state_name(peer.state()), peer.owed_index() == 0 ? "" : ", lost entries");
    }
    const uint64_t percent = peer.snapshot_bytes() == 0 ? 0 : 100 * peer.snapshot_sent_bytes() / peer.snapshot_bytes();
    return str_cat("snapshot ", percent, " %");
}

void print_members(const pb::ClusterStatus& status) {
    const pb::NodeStatus* informed = best_informed(status);
    const uint64_t last = informed == nullptr ? 0 : informed->raft().last_index();
    std::printf("cluster %s   leader %s   term %llu%s\n\n", status.cluster_id().c_str(),
                status.leader_id().empty() ? "none" : status.leader_id().c_str(),
                static_cast<unsigned long long>(status.term()),
                informed != nullptr && !informed->raft().configuration().old_voters().empty()
                    ? "   a change is on its way"
                    : "");
    std::vector<std::vector<std::string>> rows = {
        {"NODE", "ADDRESS", "MEMBER", "ROLE", "UP", "BEHIND", "STATE", "PRIORITY", ""}};
    for (const MemberLine& line : member_lines(status)) {
        const pb::NodeStatus& node = *line.node;
        const bool known = node.up() && node.has_raft();
        const bool seen = line.peer != nullptr;
        rows.push_back({node.id(), node.address(), std::string(standing_name(line.standing)),
                        std::string(known ? role_name(node) : "-"), node.up() ? "yes" : "no",
                        seen ? str_cat(last - std::min(last, line.peer->match_index())) : "-",
                        seen ? progress_text(*line.peer) : "-", known ? str_cat(node.raft().election_priority()) : "-",
                        node.detail().empty() ? not_ready_remark(node) : node.detail()});
    }
    print_table(rows);
    if (const std::string hint = feature_hint(status); !hint.empty()) std::printf("\n%s\n", hint.c_str());
}

void print_members_json(const pb::ClusterStatus& status) {
    Json::Value json = status_json(status);
    json["members"] = Json::Value(Json::arrayValue);
    for (const MemberLine& line : member_lines(status)) {
        Json::Value member(Json::objectValue);
        member["id"] = line.node->id();
        member["address"] = line.node->address();
        member["member"] = std::string(standing_name(line.standing));
        member["role"] = std::string(role_name(*line.node));
        member["up"] = line.node->up();
        if (line.peer != nullptr) {
            member["match_index"] = static_cast<Json::UInt64>(line.peer->match_index());
            member["state"] = std::string(peer_state_name(line.peer->state()));
            member["reachable"] = line.peer->reachable();
        }
        member["detail"] = line.node->detail();
        member["ready"] = not_ready(*line.node).empty();
        member["not_ready"] = not_ready(*line.node);
        json["members"].append(std::move(member));
    }
    json.removeMember("nodes");
    Json::StreamWriterBuilder builder;
    builder["indentation"] = "  ";
    std::printf("%s\n", Json::writeString(builder, json).c_str());
}

void show(const pb::ClusterStatus& status) {
    if (FLAGS_json) return print_members_json(status);
    print_members(status);
}

// --- Doing ----------------------------------------------------------------------------------------------------------

using Operation = std::function<std::string(ClusterOperator&, const std::vector<std::string>& words)>;

// Node names come first, an address last. Empty when all are well formed.
std::string words_problem(const std::vector<std::string>& words, size_t names) {
    for (size_t i = 0; i < words.size(); ++i) {
        if (i >= names) {
            if (std::string problem = address_problem(words[i]); !problem.empty()) return problem;
        } else if (!is_node_name(words[i])) {
            return str_cat("\"", words[i], "\" is not a node id: use letters, digits, '-', '_' and '.'");
        }
    }
    return "";
}

int run(int argc, char** argv, const CommandSpec& spec, size_t names, const Operation& operation) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    if (const std::string problem = words_problem(parsed.positionals, names); !problem.empty()) {
        return usage_error(spec, problem);
    }
    const std::string prefix = str_cat("sandstore ", spec.name);
    ClusterOperator cluster(servers_from_flags(), parse_duration_us(FLAGS_change_timeout).value(),
                            [&](const std::string& text) {
                                std::fprintf(stderr, "%s: %s\n", prefix.c_str(), text.c_str());
                                std::fflush(stderr);
                            });
    const std::string problem = operation(cluster, parsed.positionals);
    if (problem.empty()) return 0;
    std::fprintf(stderr, "%s: %s\n", prefix.c_str(), problem.c_str());
    return 1;
}

// A change, and then what is there.
int run_change(int argc, char** argv, const CommandSpec& spec, size_t names, const Operation& operation) {
    return run(argc, argv, spec, names, [&](ClusterOperator& cluster, const std::vector<std::string>& words) {
        std::string problem = operation(cluster, words);
        if (problem.empty()) problem = cluster.look();
        if (problem.empty()) show(cluster.status());
        return problem;
    });
}

std::string word(const std::vector<std::string>& words, size_t place) {
    return place < words.size() ? words[place] : "";
}

}  // namespace

int cluster_members(int argc, char** argv) {
    static const CommandSpec kSpec =
        spec_of("cluster members", "Shows who votes, who learns, and how far each of them is.",
                "sandstore cluster members [flags]", 0, 0, "");
    return run(argc, argv, kSpec, 0, [](ClusterOperator& cluster, const std::vector<std::string>&) {
        std::string problem = cluster.look();
        if (problem.empty()) show(cluster.status());
        return problem;
    });
}

int cluster_add(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of(
        "cluster add",
        "Takes a node into the cluster: as a learner, and with a vote as soon as it has caught up. The node itself is "
        "started with --join. Its address is needed when discovery does not tell it.",
        "sandstore cluster add NODE [HOST:PORT] [flags]", 1, 2, "NODE and perhaps HOST:PORT", {"learner"});
    return run_change(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return cluster.add(words[0], word(words, 1), FLAGS_learner);
    });
}

int cluster_remove(int argc, char** argv) {
    static const CommandSpec kSpec =
        spec_of("cluster remove",
                "Takes a node out of the cluster: its chunks are moved to other nodes first, and one that leads hands "
                "leadership over. What is not finished in time goes on; `sandstore cluster add NODE` takes it back.",
                "sandstore cluster remove NODE [flags]", 1, 1, "NODE", {"force=force_removal"});
    return run_change(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return cluster.remove(words[0], FLAGS_force_removal);
    });
}

int cluster_replace(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of(
        "cluster replace",
        "Puts a new node in the place of an old one: the new one learns and catches up, the old one's chunks are "
        "moved, then one change gives the new one the vote and takes the old one out.",
        "sandstore cluster replace OLD NEW [HOST:PORT] [flags]", 2, 3, "OLD, NEW and perhaps HOST:PORT",
        {"force=force_removal"});
    return run_change(argc, argv, kSpec, 2, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return words[0] == words[1] ? str_cat(words[0], " cannot replace itself: give the new node another id")
                                    : cluster.replace(words[0], words[1], word(words, 2), FLAGS_force_removal);
    });
}

int cluster_promote(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of("cluster promote", "Gives a learner its vote, once it has caught up.",
                                             "sandstore cluster promote NODE [flags]", 1, 1, "NODE");
    return run_change(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return cluster.promote(words[0]);
    });
}

int cluster_demote(int argc, char** argv) {
    static const CommandSpec kSpec =
        spec_of("cluster demote", "Makes a voter a learner: it gets everything and has no vote.",
                "sandstore cluster demote NODE [flags]", 1, 1, "NODE");
    return run_change(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return cluster.demote(words[0]);
    });
}

int cluster_rejoin(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of(
        "cluster rejoin",
        "Takes a voter back whose disk came back empty: it becomes a learner, catches up, and votes again. With "
        "--rejoin=auto, as nodes are by default, that happens by itself.",
        "sandstore cluster rejoin NODE [flags]", 1, 1, "NODE");
    return run_change(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return cluster.rejoin(words[0]);
    });
}

int cluster_raise_features(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of(
        "cluster raise-features",
        "Lets the log hold what the programs of now understand, and older ones do not: the last step of an upgrade, "
        "when "
        "all nodes run the new version. Older ones cannot take part any more from then on. Refused while a member does "
        "not know it yet.",
        "sandstore cluster raise-features [flags]", 0, 0, "");
    return run_change(argc, argv, kSpec, 0, [](ClusterOperator& cluster, const std::vector<std::string>&) {
        return cluster.raise_features();
    });
}

int cluster_transfer(int argc, char** argv) {
    static const CommandSpec kSpec =
        spec_of("cluster transfer", "Hands leadership over to a node, or to the one that is best suited.",
                "sandstore cluster transfer [NODE] [flags]", 0, 1, "NODE");
    return run_change(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        return cluster.transfer(word(words, 0));
    });
}

int cluster_snapshot(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of(
        "cluster snapshot", "Has a node take a snapshot of its state now; without a name the node that is asked.",
        "sandstore cluster snapshot [NODE] [flags]", 0, 1, "NODE");
    return run(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        pb::SnapshotSaved saved;
        std::string problem = cluster.snapshot(word(words, 0), &saved);
        if (!problem.empty()) return problem;
        const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
        if (FLAGS_json) {
            std::printf("{\"index\": %llu, \"term\": %llu, \"bytes\": %llu}\n", number(saved.meta().index()),
                        number(saved.meta().term()), number(saved.meta().file_bytes()));
        } else if (saved.meta().index() == 0) {
            std::puts("nothing to take a snapshot of yet");
        } else {
            std::printf("snapshot of everything up to entry %llu (term %llu), %s\n", number(saved.meta().index()),
                        number(saved.meta().term()), format_bytes(saved.meta().file_bytes()).c_str());
        }
        return problem;
    });
}

int cluster_allow_deletions(int argc, char** argv) {
    static const CommandSpec kSpec = spec_of(
        "cluster allow-deletions",
        "Lets a node delete, once, the chunks that the namespace knows nothing of. It stops when they are many or "
        "older than the namespace: `sandstore status` says so. Make sure first that it is the right cluster.",
        "sandstore cluster allow-deletions NODE [flags]", 1, 1, "NODE");
    return run(argc, argv, kSpec, 1, [](ClusterOperator& cluster, const std::vector<std::string>& words) {
        const std::string problem = cluster.allow_deletions(words[0]);
        if (problem.empty()) std::printf("%s deletes them in its next round\n", words[0].c_str());
        return problem;
    });
}

}  // namespace sandstore
