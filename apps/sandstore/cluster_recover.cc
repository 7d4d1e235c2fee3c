// sandstore cluster recover: the last resort when a majority of the voters is lost for good. Works on the data
// directory of a node that is stopped.
#include <gflags/gflags.h>

#include <algorithm>
#include <cstdio>

#include "actors/cluster/identity.h"
#include "actors/log/segment_format.h"
#include "actors/log/snapshot_format.h"
#include "apps/node/offline_directory.h"
#include "apps/sandstore/cluster_tools.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"
#include "runtime/text.h"

DECLARE_string(data_dir);
DEFINE_bool(force_recovery, false, "do it; without this the command only says what it would do");
DEFINE_string(founding, "", "for the other nodes that are left: what the recovered node's command printed");

namespace sandstore {

namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

const CommandSpec& spec() {
    static const CommandSpec kSpec = {
        .name = "cluster recover",
        .summary =
            "When a majority of the voters is lost for good: has one node that is left go on alone, with what its log "
            "holds. Acknowledged writes may be lost by that. The node must be stopped.",
        .usage = "sandstore cluster recover --data-dir=DIR [--force [--founding=FOUNDING]]",
        .groups = {{"Options", {"data_dir", "force=force_recovery", "founding"}}},
        .notes =
            "Without --force nothing is changed: run it so on each node that is left, and choose. With --founding "
            "a node that\nis left joins the one that was chosen, as a new node that keeps its file data. Exit "
            "status: 0 done, 1 not done,\n2 bad command line.",
    };
    return kSpec;
}

bool contains(const Names& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::string listed(const Names& names, std::string_view self) {
    std::string text;
    for (const std::string& name : names) {
        str_append(&text, text.empty() ? "" : ", ", name, name == self ? " (this one)" : "");
    }
    return text;
}

void print_what_is_there(const pb::Identity& identity, const OfflineLog& log) {
    const pb::RaftConfiguration& members = log.configuration;
    std::string text =
        str_cat("node      ", identity.node_id(), " of cluster ", identity.cluster_id(), "\n", "founding  ",
                members.founding().empty() ? "not known" : members.founding(), "\n", "log       last entry ",
                log.last_index, " of term ", log.last_term, ", in term ", log.term, "\n");
    if (log.snapshot_index != 0) str_append(&text, "          snapshot up to entry ", log.snapshot_index, "\n");
    str_append(&text, "voters    ", listed(members.voters(), identity.node_id()), "\n");
    if (!members.old_voters().empty()) {
        str_append(&text, "          a change is on its way, from ", listed(members.old_voters(), identity.node_id()),
                   "\n");
    }
    if (!members.learners().empty()) {
        str_append(&text, "learners  ", listed(members.learners(), identity.node_id()), "\n");
    }
    std::fputs(text.c_str(), stdout);
}

constexpr std::string_view kWhatItCosts =
    "What that may cost:\n"
    "- Writes that were acknowledged, and that only the lost nodes held, are gone, without a trace.\n"
    "- Writes that were never acknowledged, and that this log holds, count from then on.\n"
    "- File data of which only the lost nodes had copies cannot be read.\n"
    "- Programs that were connected must be started again: what they know of the cluster may be of what is lost.\n"
    "Is there a node more that could come back, so that a majority is up? Then start that one instead. Nodes of\n"
    "before that come back afterwards are refused.\n";

void print_plan(const pb::Identity& identity, std::string_view directory) {
    const std::string text = str_cat(
        "\nWith --force, ", identity.node_id(), " votes alone from its next start on, and goes on with what ",
        "its log holds.\n", kWhatItCosts,
        "\nNothing was changed. Run this on each node that is left, and choose the one whose last entry has the ",
        "highest\nterm, and of these the highest number: it holds the most. Then, there:\n",
        "  sandstore cluster recover --force --data-dir=", directory, "\n");
    std::fputs(text.c_str(), stdout);
}

void print_next_steps(const pb::Identity& identity) {
    const std::string text = str_cat("\n", identity.node_id(), " goes on alone from its next start on. Now:\n",
                                     "1. Start it. It leads by itself; `sandstore status` shows it.\n",
                                     "2. On each other node that is left, stopped, so that its file data is kept:\n",
                                     "     sandstore cluster recover --force --founding=", identity.recover_founding(),
                                     " --data-dir=DIR\n", "   and start it. New nodes are started with --join.\n",
                                     "3. sandstore cluster add NODE HOST:PORT, for each of them.\n",
                                     "Nodes of before that were not given that command are refused; empty their "
                                     "directories before they come back.\n");
    std::fputs(text.c_str(), stdout);
}

// Why the directory is none from which a cluster could go on. Empty: it is.
std::string why_not(const pb::Identity& identity, const OfflineLog& log) {
    const pb::RaftConfiguration& members = log.configuration;
    const std::string& self = identity.node_id();
    if (log.last_index == 0 || members.voters().empty()) {
        return str_cat("the log of ", self, " holds nothing: choose another node");
    }
    if (!contains(members.voters(), self) && !contains(members.learners(), self) &&
        !contains(members.old_voters(), self)) {
        return str_cat(self, " is no member any more, by its own log: choose another node");
    }
    if (members.voters_size() == 1 && members.voters(0) == self && members.old_voters().empty()) {
        return str_cat("no majority is lost: ", self, " is the only voter. Start it");
    }
    return "";
}

// --- The two commands -----------------------------------------------------------------------------------------------

std::string recover(OfflineDirectory& directory) {
    pb::Identity identity = directory.identity();
    if (!identity.recover_founding().empty()) {  // By a run before this one; the node has not been started since.
        print_next_steps(identity);
        return "";
    }
    OfflineLog log;
    if (std::string problem = directory.read_log(&log); !problem.empty()) return problem;
    if (std::string problem = why_not(identity, log); !problem.empty()) return problem;
    print_what_is_there(identity, log);
    if (!FLAGS_force_recovery) {
        print_plan(identity, FLAGS_data_dir);
        return "";
    }
    identity.set_recover_founding(recovered_founding(identity, random_seed_of_system()));
    if (std::string problem = directory.write_identity(identity); !problem.empty()) return problem;
    std::fputs(str_cat("\n", kWhatItCosts).c_str(), stdout);
    print_next_steps(identity);
    return "";
}

// The log and snapshots go first: a crash in between leaves a node that lost its log, which promises nothing.
std::string follow(OfflineDirectory& directory) {
    const pb::Identity& before = directory.identity();
    if (before.recover_founding() == FLAGS_founding || (before.founding() == FLAGS_founding && !before.joined())) {
        return str_cat(before.node_id(), " is the node that was recovered itself: start it");
    }
    if (before.founding() == FLAGS_founding && before.recover_founding().empty()) {
        std::printf("%s belongs to that founding already: start it, and run `sandstore cluster add %s HOST:PORT`\n",
                    before.node_id().c_str(), before.node_id().c_str());
        return "";
    }
    std::string aside;
    for (const std::string_view part : {kLogDirectory, kSnapshotDirectory}) {
        std::string name;
        if (std::string problem = directory.set_aside(part, &name); !problem.empty()) return problem;
        if (!name.empty()) str_append(&aside, aside.empty() ? "" : ", ", name);
    }
    pb::Identity identity;
    identity.set_format(before.format());
    identity.set_cluster_id(before.cluster_id());
    identity.set_node_id(before.node_id());
    while (identity.storage() == 0) identity.set_storage(random_seed_of_system());
    identity.set_joined(true);
    identity.set_founding(FLAGS_founding);
    *identity.mutable_recovered() = before.recovered();
    if (!before.founding().empty()) identity.add_recovered(before.founding());
    if (std::string problem = directory.write_identity(identity); !problem.empty()) return problem;
    std::printf(
        "%s comes to %s as a new node, and keeps its file data%s%s. Now start it, and run\n"
        "  sandstore cluster add %s HOST:PORT\n"
        "What was set aside is of no more use once the cluster is well.\n",
        identity.node_id().c_str(), FLAGS_founding.c_str(), aside.empty() ? "" : "; set aside: ", aside.c_str(),
        identity.node_id().c_str());
    return "";
}

}  // namespace

int cluster_recover(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec());
    if (parsed.exit_code) return finish(parsed);
    if (!FLAGS_founding.empty() && !is_founding(FLAGS_founding)) {
        return usage_error(spec(), "bad value for --founding: expected what cluster recover printed, founding-...");
    }
    if (!FLAGS_founding.empty() && !FLAGS_force_recovery) {
        return usage_error(spec(), "--founding sets the node's log aside: it needs --force");
    }
    OfflineDirectory directory;
    std::string problem = directory.open(FLAGS_data_dir);
    if (problem.empty() && directory.identity().cluster_id().empty()) {
        problem = str_cat(directory.identity().node_id(), " belongs to no cluster yet");
    }
    if (problem.empty()) problem = FLAGS_founding.empty() ? recover(directory) : follow(directory);
    if (problem.empty()) return 0;
    std::fprintf(stderr, "sandstore cluster recover: %s\n", problem.c_str());
    return 1;
}

}  // namespace sandstore
