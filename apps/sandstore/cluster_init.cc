// sandstore cluster init: writes the members of a new cluster into etcd.
#include <gflags/gflags.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "actors/cluster/etcd_range.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/member_writer.h"
#include "apps/common/common_flags.h"
#include "apps/operator/http_call.h"
#include "apps/operator/node_calls.h"
#include "apps/sandstore/cluster_tools.h"
#include "apps/terminal/units.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"
#include "runtime/text.h"

DECLARE_string(cluster_id);
DECLARE_string(etcd_endpoints);
DEFINE_string(members, "", "the members as id=host:port,...");
DEFINE_string(init_timeout, "60s", "how long to wait for etcd");
DEFINE_string(zones, "", "where the members are, as id=zone,...: copies of a chunk are spread over zones");

namespace sandstore {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr uint64_t kCallTimeoutMs = 3'000;
constexpr auto kPauseMin = std::chrono::milliseconds(250);
constexpr auto kPauseMax = std::chrono::milliseconds(2'000);

const FlagRule kTimeoutRule("init_timeout", duration_between(1'000, 3'600'000'000));

const CommandSpec& spec() {
    static const CommandSpec kSpec = {
        .name = "cluster init",
        .summary = "Writes the member records of a new cluster, and the cluster's own, into etcd, all at once.",
        .usage = "sandstore cluster init --nodes=node-1=host:port,... [flags]",
        .groups = {{"Cluster", {"nodes=members", "zones", "cluster_id"}},
                   {"etcd", {"etcd_endpoints", "timeout=init_timeout"}}},
        .required = {"nodes"},
        .notes = "Running it again changes nothing. Exit status: 0 written or there already, 1 otherwise.",
    };
    return kSpec;
}

// Tries all endpoints until one answers or the time is over; one line for each round in which none did.
class EtcdCaller {
 public:
    explicit EtcdCaller(std::vector<std::string> endpoints) : endpoints_(std::move(endpoints)) {}

    bool call(const std::string& path, const std::string& body, std::string* answer) {
        const auto deadline =
            SteadyClock::now() + std::chrono::microseconds(parse_duration_us(FLAGS_init_timeout).value());
        auto pause = kPauseMin;
        while (true) {
            std::string failures;
            bool refused = true;  // By all: that will not change while one waits.
            for (const std::string& endpoint : endpoints_) {
                HttpAnswer reply = http_call(str_cat("http://", endpoint, path), body, kCallTimeoutMs);
                if (reply.code == 200) {
                    *answer = std::move(reply.body);
                    return true;
                }
                str_append(&failures, failures.empty() ? "" : "; ", endpoint, ": ",
                           reply.code == 0 ? reply.error : etcd_refusal(reply.code, reply.body));
                refused = refused && reply.code / 100 == 4;
            }
            const bool last = refused || SteadyClock::now() + pause >= deadline;
            std::fprintf(stderr, "sandstore cluster init: etcd %s (%s), %s\n",
                         refused ? "refuses to answer" : "does not answer", failures.c_str(),
                         last ? "giving up" : str_cat("trying again in ", pause.count(), " ms").c_str());
            if (last) return false;
            std::this_thread::sleep_for(pause);
            pause = std::min(2 * pause, kPauseMax);
        }
    }

 private:
    std::vector<std::string> endpoints_;
};

// The name of the cluster that the members run already, which an etcd that lost its store has forgotten. Empty: none of
// them answers, or they have not begun yet.
std::string running_cluster(const std::vector<pb::Member>& members) {
    constexpr uint64_t kPatienceUs = 500'000;
    const auto deadline = SteadyClock::now() + std::chrono::seconds(3);  // For a long list of nodes that are away.
    for (const pb::Member& member : members) {
        if (SteadyClock::now() > deadline) break;
        pb::ClusterStatusRequest request;
        request.set_local(true);
        std::string error;
        const auto status = NodeCalls({member.address()}).cluster_status(request, kPatienceUs, &error);
        if (!status || status->nodes_size() != 1 || status->nodes(0).founding().founding().empty()) continue;
        if (!is_cluster_name(status->cluster_id())) continue;
        std::printf("sandstore cluster init: %s runs cluster %s already, which is kept\n", member.id().c_str(),
                    status->cluster_id().c_str());
        return status->cluster_id();
    }
    return "";
}

}  // namespace

int cluster_init(int argc, char** argv) {
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec());
    if (parsed.exit_code) return finish(parsed);
    std::string error;
    ClusterPlan plan;
    std::optional<std::vector<pb::Member>> members = parse_peers(FLAGS_members, &error);
    if (!members) return usage_error(spec(), str_cat("bad value for ", flag_with_source("nodes"), ": ", error));
    if (!set_zones(FLAGS_zones, &*members, &error))
        return usage_error(spec(), str_cat("bad value for ", flag_with_source("zones"), ": ", error));
    if (!FLAGS_cluster_id.empty() && !is_cluster_name(FLAGS_cluster_id)) {
        return usage_error(spec(), "bad value for --cluster-id: expected letters, digits, '-', '_', '.'");
    }
    plan.cluster_id = FLAGS_cluster_id;
    plan.members = std::move(*members);
    plan.new_cluster_id = running_cluster(plan.members);
    if (plan.new_cluster_id.empty()) {
        plan.new_cluster_id = str_format("sandstore-%016llx", static_cast<unsigned long long>(random_seed_of_system()));
    }
    EtcdCaller caller(split_list(FLAGS_etcd_endpoints));
    const MemberWriter::Result result =
        MemberWriter([&](const std::string& path, const std::string& body, std::string* answer) {
            return caller.call(path, body, answer);
        }).write(plan);
    const bool done =
        result.outcome == MemberWriter::Outcome::kWritten || result.outcome == MemberWriter::Outcome::kUnchanged;
    std::fprintf(done ? stdout : stderr, "sandstore cluster init: %s\n", result.text.c_str());
    return done ? 0 : 1;
}

}  // namespace sandstore
