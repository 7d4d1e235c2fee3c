// DISCOVERY=etcd: the members come from etcd, unless --peers names them.
#include <gflags/gflags.h>

#include "actors/cluster/etcd_poller.h"
#include "apps/common/common_flags.h"
#include "apps/modules/modules.h"
#include "apps/sandstore/cluster_tools.h"
#include "net/http_client.h"
#include "runtime/event_runtime.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

DEFINE_string(etcd_endpoints, "127.0.0.1:2379", "where etcd answers; all are tried");
DEFINE_uint64(poll_interval, 2000, "how often etcd is asked for the members");
DEFINE_bool(auto_join, false, "while it leads, this node adds nodes that appear in etcd, as learners");

namespace sandstore {

namespace {

constexpr uint64_t kPollIntervalMinMs = 100;
constexpr uint64_t kRequestTimeoutMs = 2'000;
constexpr uint64_t kRetryMinMs = 250;
constexpr uint64_t kRetryMaxMs = 5'000;

const FlagRule kEtcdEndpointsRule("etcd_endpoints", host_and_port_list());
const FlagRule kPollIntervalRule("poll_interval", number_between(kPollIntervalMinMs, 3'600'000, "milliseconds"));

void read_flags(NodeOptions* options) {
    options->etcd_endpoints = split_list(FLAGS_etcd_endpoints);
    options->poll_interval_ms = FLAGS_poll_interval;
    options->auto_join = FLAGS_auto_join;
}

bool asks_etcd(const NodeOptions& options) {
    return options.peers.empty() && !options.single_node;
}

std::string check(const NodeOptions& options) {
    if (asks_etcd(options) && options.etcd_endpoints.empty()) {
        return "no way to find the members: give --etcd-endpoints or --peers";
    }
    if (options.auto_join && !asks_etcd(options)) {
        return "--auto-join adds the nodes that appear in etcd: it needs etcd, not --peers or --replicator=noop";
    }
    if (options.poll_interval_ms < kPollIntervalMinMs) {
        return str_cat("--poll-interval=", options.poll_interval_ms, " is less than ", kPollIntervalMinMs,
                       " ms: etcd would have little else to do");
    }
    return "";
}

void add_to_node(EventRuntime& runtime, const NodeOptions&) {
    Dispatcher& dispatcher = runtime.dispatcher();
    runtime.own_port({pb::PORT_HTTP_CLIENT}, std::make_unique<HttpClient>(runtime.base(), dispatcher));
    dispatcher.add_actor({{pb::ACTOR_ETCD_POLLER}, [] { return std::make_unique<EtcdPoller>(); }, true});
}

void start(Dispatcher& dispatcher, const NodeOptions& options) {
    if (!asks_etcd(options)) return;
    pb::StartPoller poller;
    for (const std::string& endpoint : options.etcd_endpoints) poller.add_endpoints(endpoint);
    poller.set_poll_interval_ms(options.poll_interval_ms);
    poller.set_request_timeout_ms(kRequestTimeoutMs);
    poller.set_retry_min_ms(kRetryMinMs);
    poller.set_retry_max_ms(kRetryMaxMs);
    poller.set_auto_join(options.auto_join);
    dispatcher.send(pb::ACTOR_ETCD_POLLER, message_of(std::move(poller)));
}

}  // namespace

const Module& discovery_module() {
    static const Module kModule = {
        .option = "DISCOVERY",
        .value = "etcd",
        .node_flags = {"etcd_endpoints", "poll_interval", "auto_join"},
        .read_flags = read_flags,
        .check = check,
        .add_to_node = add_to_node,
        .start = start,
        .cluster_commands = {{"init", cluster_init, "write the member records of a new cluster into etcd",
                              "init --nodes=ID=HOST:PORT,..."}},
        .replayable = {{"EtcdPoller", pb::ACTOR_ETCD_POLLER, [] { return std::make_unique<EtcdPoller>(); }}},
    };
    return kModule;
}

}  // namespace sandstore
