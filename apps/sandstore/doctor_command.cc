// sandstore doctor: whether this machine is fit for a node, and the node's surroundings for it.
#include <gflags/gflags.h>
#include <json/json.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>

#include "actors/cluster/etcd_range.h"
#include "actors/cluster/member_record.h"
#include "apps/backup/files.h"
#include "apps/common/client_flags.h"
#include "apps/doctor/disk_probe.h"
#include "apps/doctor/machine_probe.h"
#include "apps/doctor/network_probe.h"
#include "apps/modules/modules.h"
#include "apps/operator/http_call.h"
#include "apps/operator/node_calls.h"
#include "apps/sandstore/commands.h"
#include "apps/terminal/units.h"
#include "net/address.h"
#include "runtime/flags.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "runtime/version.h"

DECLARE_string(node_id);
DECLARE_string(listen);
DECLARE_string(http_listen);
DECLARE_string(data_dir);
DECLARE_string(log_dir);
DECLARE_string(peers);

namespace sandstore {

namespace {

constexpr uint64_t kConnectTimeoutUs = 2'000'000;
constexpr uint64_t kStatusTimeoutUs = 5'000'000;
constexpr int kRoundTrips = 3;

class Doctor {
 public:
    explicit Doctor(NodeOptions options) : options_(std::move(options)) {}

    Findings examine() {
        const int64_t clock_before_us = wall_minus_monotonic_us();
        machine_ = look_at_machine();
        findings_.ok("version", version_number());
        look_at_ports();
        look_at_identity();
        look_at_disk();
        look_at_log_directory();
        judge_machine(machine_, &findings_);
        judge_clock(look_at_clock(clock_before_us), &findings_);
        const std::vector<pb::Member> members = FLAGS_peers.empty() ? members_in_etcd() : members_in_peers();
        look_at_peers(members);
        look_at_versions();
        if (!options_.single_node) {
            judge_election_timeout(options_.election_timeout_ms, options_.heartbeat_interval_ms,
                                   disk_.speed.sync_p99_us, slowest_round_trip_us_, &findings_);
        }
        return std::move(findings_);
    }

 private:
    static std::string error_text(int error) { return strerror(error); }

    // ":9400" as seen from here.
    static std::string local(const std::string& listen) {
        std::string error;
        const std::optional<HostPort> place = parse_listen_address(listen, &error);
        if (!place) return listen;
        const bool any = place->host.empty() || place->host == "0.0.0.0" || place->host == "::";
        return to_string(HostPort{any ? "127.0.0.1" : place->host, place->port});
    }

    // The id of the Sandstore node that listens there; empty: something else does.
    static std::string node_at(const std::string& address) {
        pb::ClusterStatusRequest request;
        request.set_local(true);
        NodeCalls calls({address});
        const Message reply = calls.ask(message_of(request), kStatusTimeoutUs);
        if (!reply->has_cluster_status() || reply->cluster_status().nodes_size() == 0) return "";
        return reply->cluster_status().nodes(0).id();
    }

    void look_at_ports() {
        look_at_port("port", "--listen", FLAGS_listen, [](const std::string& at) { return node_at(at); });
        look_at_port("http_port", "--http-listen", FLAGS_http_listen, [](const std::string& at) {
            const HttpProbe probe = probe_http(at, "/status", kStatusTimeoutUs);
            return probe.code == 200 && probe.body.find("\"cluster_id\"") != std::string::npos ? "a Sandstore node"
                                                                                               : "";
        });
    }

    template <typename WhoIsThere>
    void look_at_port(std::string_view check, std::string_view flag, const std::string& listen, WhoIsThere who) {
        const int error = probe_listen(listen);
        const std::string text = str_cat(flag, " ", listen);
        if (error == 0) return findings_.ok(check, str_cat(text, ": free"));
        if (error == EADDRINUSE) {
            const std::string holder = who(local(listen));
            const bool ours =
                !holder.empty() && (FLAGS_node_id.empty() || holder == FLAGS_node_id || check == "http_port");
            node_runs_ |= ours;
            if (ours) return findings_.ok(check, str_cat(text, ": held by ", holder, ", which runs"));
            if (!holder.empty()) {
                return findings_.fail(check, str_cat(text, ": held by the Sandstore node ", holder),
                                      str_cat("give each node of a machine its own ", flag));
            }
            return findings_.fail(check, str_cat(text, ": another program listens there"),
                                  str_cat("stop it, or choose another port with ", flag));
        }
        const std::string advice = error == EACCES
                                       ? "ports below 1024 need a privilege: choose a higher one"
                                       : "the address must be one of this machine's, or leave the host away";
        findings_.fail(check, str_cat(text, ": ", error_text(error)), advice);
    }

    void look_at_identity() {
        const std::string path = str_cat(FLAGS_data_dir, "/identity.json");
        if (!exists(path)) {
            if (exists(FLAGS_data_dir)) findings_.ok("identity", str_cat(FLAGS_data_dir, " is not a node's yet"));
            return;
        }
        std::ifstream file(path);
        Json::Value identity;
        std::string error;
        if (!file) {
            return findings_.fail("identity", str_cat(path, ": ", error_text(errno)),
                                  "run this as the user that the node runs as");
        }
        if (!Json::parseFromStream(Json::CharReaderBuilder(), file, &identity, &error) || !identity.isObject() ||
            !identity["node_id"].isString() ||
            !(identity["cluster_id"].isString() || identity["cluster_id"].isNull())) {
            return findings_.fail("identity", str_cat(path, " cannot be read"),
                                  "a node refuses this directory: replace the node under a new id");
        }
        const std::string node = identity["node_id"].asString();
        const std::string text =
            str_cat(FLAGS_data_dir, " belongs to ", node, " of cluster ", identity["cluster_id"].asString());
        if (!FLAGS_node_id.empty() && node != FLAGS_node_id) {
            return findings_.fail("identity", str_cat(text, ", not to ", FLAGS_node_id),
                                  "one directory for each node: look at --data-dir and --node-id");
        }
        findings_.ok("identity", text);
    }

    void look_at_disk() {
        disk_ = probe_disk(FLAGS_data_dir, node_runs_);
        judge_disk_space(disk_.space, machine_.container, &findings_);
        if (disk_.error != 0) {
            struct stat facts {};
            const bool known = ::stat(disk_.directory.c_str(), &facts) == 0;
            const std::string whose =
                known ? str_cat(" (it is user ", facts.st_uid, "'s, this is user ", geteuid(), ")") : "";
            return findings_.fail("data_dir", str_cat(disk_.directory, ": ", error_text(disk_.error), whose),
                                  "the node's user must be able to write there; in a container, mount a named volume");
        }
        findings_.ok("data_dir", str_cat(FLAGS_data_dir, disk_.exists ? " can be written"
                                                                      : str_cat(" will be made in ", disk_.directory)));
        judge_disk_speed(disk_.speed, &findings_);
    }

    void look_at_log_directory() {
        if (FLAGS_log_dir.empty()) return;
        if (access(FLAGS_log_dir.c_str(), W_OK | X_OK) == 0) {
            return findings_.ok("log_dir", str_cat(FLAGS_log_dir, " can be written"));
        }
        findings_.fail("log_dir", str_cat(FLAGS_log_dir, ": ", error_text(errno)),
                       "make it, for the user that the node runs as");
    }

    // --- The surroundings

    std::vector<pb::Member> members_in_peers() {
        std::string error;
        const auto members = parse_peers(FLAGS_peers, &error);
        if (members) return *members;
        findings_.fail("peers", error, "--peers is id=host:port,... and the same on all nodes");
        return {};
    }

    std::vector<pb::Member> members_in_etcd() {
        std::vector<pb::Member> members;
        bool listed = false;
        ask_for_names(options_.etcd_endpoints);
        for (const std::string& endpoint : options_.etcd_endpoints) {
            const ConnectProbe connected = probe_connect(endpoint, 1, kConnectTimeoutUs);
            if (!connected.error.empty()) {
                findings_.warn("etcd", str_cat(endpoint, ": ", connected.error),
                               "a running cluster does without it, a new node waits for it: see --etcd-endpoints");
                continue;
            }
            const HttpProbe version = probe_http(endpoint, "/version", kConnectTimeoutUs);
            if (version.code != 200) {
                findings_.fail("etcd", str_cat(endpoint, ": what listens there is not etcd"), "see --etcd-endpoints");
                continue;
            }
            findings_.ok("etcd", str_cat(endpoint, " answers, connected in ", format_duration(connected.connect_us)));
            if (version.clock_offset_us)
                judge_clock_offset(str_cat("etcd ", endpoint), *version.clock_offset_us, &findings_);
            if (!listed) listed = read_records(endpoint, &members);
        }
        return members;
    }

    bool read_records(const std::string& endpoint, std::vector<pb::Member>* members) {
        const HttpAnswer answer = http_call(str_cat("http://", endpoint, "/v3/kv/range"), etcd_range_body(kNodesPrefix),
                                            kConnectTimeoutUs / 1000);
        std::string error = answer.error;
        const auto records = answer.code == 200 ? parse_etcd_range(answer.body, &error) : std::nullopt;
        if (!records) {
            // The path is unknown to older ones.
            const bool is_old = answer.code == 404;
            if (answer.code != 0 && answer.code != 200) error = etcd_refusal(answer.code, answer.body);
            findings_.warn("members", str_cat(endpoint, ": ", error),
                           is_old ? "etcd must be 3.4 or newer" : "nodes ask etcd just so, and get no other answer");
            return false;
        }
        for (const EtcdRecord& record : *records) {
            const auto member = parse_member_record(record.key.substr(kNodesPrefix.size()), record.value, &error);
            if (member) members->push_back(*member);
            if (!member) findings_.warn("members", str_cat(record.key, ": ", error), "correct or delete the record");
        }
        if (members->empty()) {
            findings_.warn("members", "etcd has no member records yet", "sandstore cluster init writes them");
        }
        return true;
    }

    void look_at_peers(const std::vector<pb::Member>& members) {
        std::vector<std::string> addresses;
        for (const pb::Member& member : members) addresses.push_back(member.address());
        ask_for_names(addresses);
        for (const pb::Member& member : members) {
            if (member.id() == FLAGS_node_id && !node_runs_) continue;
            const std::string name = str_cat(member.id(), " (", member.address(), ")");
            const ConnectProbe probe = probe_connect(member.address(), kRoundTrips, kConnectTimeoutUs);
            if (!probe.error.empty() && !probe.resolved) {
                findings_.fail("peer", str_cat(name, ": ", probe.error), "correct the name, or DNS on this machine");
            } else if (!probe.error.empty()) {
                findings_.warn("peer", str_cat(name, ": ", probe.error),
                               "start it if it is not running; else look at firewalls and its --listen");
            } else {
                slowest_round_trip_us_ = std::max(slowest_round_trip_us_, probe.connect_us);
                answering_.push_back(member.address());
                findings_.ok("peer", str_cat(name, " answers, round trip ", format_duration(probe.connect_us)));
            }
        }
    }

    void look_at_versions() {
        if (answering_.empty()) return;
        NodeCalls calls(answering_);
        std::string error;
        const auto status = calls.cluster_status(false, kStatusTimeoutUs, &error);
        if (!status) {
            return findings_.warn("cluster", str_cat("no node tells of the cluster: ", error),
                                  "what listens there may be no Sandstore node, or one that waits to begin");
        }
        std::set<std::string> versions{version_number()};
        std::string text;
        for (const pb::NodeStatus& node : status->nodes()) {
            if (node.version().empty()) continue;
            versions.insert(node.version());
            str_append(&text, text.empty() ? "" : ", ", node.id(), " ", node.version());
            look_at_clock_of(node);
        }
        if (versions.size() > 1) {
            findings_.warn("versions", str_cat(text, "; this is ", version_number()),
                           "fine during an upgrade; end with one version everywhere");
        } else {
            findings_.ok("versions", "all nodes that answer run this version");
        }
        if (status->leader_id().empty()) {
            findings_.warn("cluster", "no leader is known", "a majority of the voters must run and reach each other");
        } else {
            findings_.ok("cluster", str_cat(status->leader_id(), " leads in term ", status->term()));
        }
    }

    void look_at_clock_of(const pb::NodeStatus& node) {
        std::string error;
        std::optional<HostPort> http = parse_listen_address(node.http_address(), &error);
        const std::optional<HostPort> peer = parse_address(node.address(), &error);
        if (!http || !peer || node.id() == FLAGS_node_id) return;
        if (http->host.empty() || http->host == "0.0.0.0" || http->host == "::") http->host = peer->host;
        const HttpProbe probe = probe_http(to_string(*http), "/livez", kConnectTimeoutUs);
        if (probe.clock_offset_us) judge_clock_offset(node.id(), *probe.clock_offset_us, &findings_);
    }

    const NodeOptions options_;
    Findings findings_;
    Machine machine_;
    DiskProbe disk_;
    bool node_runs_ = false;
    uint64_t slowest_round_trip_us_ = 0;
    std::vector<std::string> answering_;
};

// What the modules of this build read, and the doctor looks at.
NodeOptions node_options() {
    NodeOptions options;
    for (const Module* module : modules()) {
        if (module->read_flags) module->read_flags(&options);
    }
    return options;
}

void print_text(const Findings& findings) {
    size_t width = 0;
    for (const Finding& finding : findings.all()) width = std::max(width, finding.check.size());
    for (const Finding& finding : findings.all()) {
        std::printf("%-4s  %-*s  %s\n", std::string(name_of(finding.health)).c_str(), static_cast<int>(width),
                    finding.check.c_str(), finding.text.c_str());
        if (!finding.advice.empty()) {
            std::printf("      %-*s  -> %s\n", static_cast<int>(width), "", finding.advice.c_str());
        }
    }
}

void print_json(const Findings& findings) {
    Json::Value result;
    result["health"] = std::string(name_of(findings.worst()));
    result["checks"] = Json::Value(Json::arrayValue);
    for (const Finding& finding : findings.all()) {
        Json::Value line;
        line["health"] = std::string(name_of(finding.health));
        line["check"] = finding.check;
        line["text"] = finding.text;
        if (!finding.advice.empty()) line["advice"] = finding.advice;
        result["checks"].append(line);
    }
    std::puts(Json::writeString(Json::StreamWriterBuilder(), result).c_str());
}

}  // namespace

int doctor_command(int argc, char** argv) {
    CommandSpec spec;
    spec.name = "doctor";
    spec.summary = "Checks the machine of a node, before it starts or while it runs, and says what to change.";
    spec.usage = "sandstore doctor [the node's flags]";
    spec.groups = {{"Node", {"node_id", "data_dir", "listen", "http_listen", "log_dir"}},
                   {"Discovery", discovery_module().node_flags},
                   {"Replication", replicator_module().node_flags},
                   {"Output", {"json"}}};
    spec.groups[1].names.push_back("peers");
    spec.absent = absent_node_flags();
    spec.notes =
        "Give it the flags, or the environment, of the node. It takes a few seconds, and writes nothing but a file\n"
        "without a name in the data directory to measure the disk. Exit status: 0 nothing fails, 1 something does,\n"
        "2 bad command line.\n";
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    catch_interrupts();
    const Findings findings = Doctor(node_options()).examine();
    if (interrupted()) return kInterruptedStatus;
    if (FLAGS_json) {
        print_json(findings);
    } else {
        print_text(findings);
    }
    return findings.worst() == Health::kFail ? 1 : 0;
}

}  // namespace sandstore
