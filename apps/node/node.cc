#include "apps/node/node.h"

#include <event2/event.h>
#include <signal.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "actors/chunk/chunk_key.h"
#include "actors/chunk/chunk_service.h"
#include "actors/chunk/repairer.h"
#include "actors/cluster/bootstrap.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/status_service.h"
#include "actors/fs/file_service.h"
#include "actors/fs/file_state_machine.h"
#include "actors/fs/mover.h"
#include "actors/log/log_store.h"
#include "actors/log/snapshot_store.h"
#include "apps/modules/modules.h"
#include "apps/node/debug_faults.h"
#include "net/figures_sampler.h"
#include "net/transport.h"
#include "runtime/descriptors.h"
#include "runtime/event_runtime.h"
#include "runtime/fault_points.h"
#include "runtime/library_log.h"
#include "runtime/message_of.h"
#include "runtime/process_metrics.h"
#include "runtime/text.h"
#include "runtime/thread_disk.h"
#include "runtime/version.h"
#include "services/status/http_server.h"

namespace sandstore {

namespace {

constexpr int kLogDiskThreads = 1;                // Its requests take effect in the order sent.
constexpr uint64_t kHandOverUs = 500'000;         // SIGTERM to exit: for another leader, at most,
constexpr uint64_t kChunkDrainUs = 200'000;       // for chunks that are being stored, and their index,
constexpr uint64_t kDrainUs = 300'000;            // and for what is queued.
constexpr uint64_t kStatusTimeoutUs = 1'500'000;  // Of a question over HTTP; StatusService answers sooner.

constexpr size_t kConnectionsKept = 128;  // At most, for operators and peers.

constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kSessionTimeoutUs = 3600 * kSecondUs;
constexpr uint32_t kSessionsMax = 10'000;
constexpr uint64_t kChunkCommitWindowUs = 600 * kSecondUs;
// A chunk that could still be committed is not garbage, however far the clocks are apart.
constexpr uint64_t kOrphanGraceUs = 3 * kChunkCommitWindowUs;
static_assert(kOrphanGraceUs > kChunkCommitWindowUs + Repairer::kClockStepMaxUs);
constexpr uint32_t kFileRequestsMax = 8'192;
constexpr uint64_t kChunkStatsIntervalMs = 2'000;
constexpr uint64_t kRepairIntervalMs = 10'000;
constexpr timeval kLookInterval = {2, 0};

struct EventFree {
    void operator()(event* event) const { event_free(event); }
};
using EventPtr = std::unique_ptr<event, EventFree>;

}  // namespace

// In the order of making; destroyed in the opposite one.
struct Node::Parts {
    Parts(const NodeOptions& options, Logger& logger, MetricsRegistry& metrics)
        : library_log(logger),
          runtime({.node_id = options.node_id,
                   .clock = options.debug_faults ? &clock : nullptr,
                   .spin_us = options.spin_us},
                  logger, metrics) {}

    LibraryLog library_log;
    FaultPoints faults;
    SystemClock system_clock;
    ShiftedClock clock{faults, system_clock};

    std::unique_ptr<Recording> recording;
    EventRuntime runtime;
    Transport* transport = nullptr;  // Owned by the runtime.
    std::unique_ptr<HttpServer> http;
    std::unique_ptr<FiguresSampler> sampler;
    EventPtr on_terminate;
    EventPtr on_interrupt;
    EventPtr on_hang_up;
    EventPtr on_look;  // At the data directory.
    bool stopping = false;
    std::string problem;  // Not empty: why the node stops, though no actor asked for it.
};

namespace {

void add_actors(Dispatcher& dispatcher) {
    const auto add = [&]<typename SomeActor>(pb::ActorKind kind, SomeActor*) {
        dispatcher.add_actor({{kind}, [] { return std::make_unique<SomeActor>(); }});
    };
    add(pb::ACTOR_BOOTSTRAP, static_cast<Bootstrap*>(nullptr));
    add(pb::ACTOR_LOG, static_cast<LogStore*>(nullptr));
    add(pb::ACTOR_SNAPSHOTS, static_cast<SnapshotStore*>(nullptr));
    dispatcher.add_actor({{pb::ACTOR_STATE_MACHINE}, make_file_state_machine});
    add(pb::ACTOR_FILES, static_cast<FileService*>(nullptr));
    add(pb::ACTOR_CHUNKS, static_cast<ChunkService*>(nullptr));
    add(pb::ACTOR_REPAIRER, static_cast<Repairer*>(nullptr));
    add(pb::ACTOR_MOVER, static_cast<Mover*>(nullptr));
    add(pb::ACTOR_STATUS, static_cast<StatusService*>(nullptr));
}

pb::StartRaft raft_configuration(const NodeOptions& options) {
    pb::StartRaft start;
    start.set_election_timeout_min_ms(options.election_timeout_ms);
    start.set_election_timeout_max_ms(options.election_timeout_max_ms);
    start.set_heartbeat_interval_ms(options.heartbeat_interval_ms);
    start.set_election_priority(options.election_priority);
    start.set_lease_reads(options.lease_reads);
    start.set_ask_to_rejoin(options.ask_to_rejoin);
    start.set_append_window(options.append_window);
    start.set_append_window_bytes(options.append_window_bytes);
    start.set_append_bytes_max(options.append_bytes_max);
    start.set_uncommitted_bytes_max(options.uncommitted_bytes_max);
    start.set_cache_bytes(options.log_cache_bytes);
    start.set_snapshot_log_bytes(options.snapshot_log_bytes);
    start.set_snapshot_piece_bytes(options.snapshot_piece_bytes);
    return start;
}

// What Bootstrap holds back until it knows the cluster.
void send_configuration(Dispatcher& dispatcher, const NodeOptions& options) {
    const auto send = [&](auto start) { dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(start))); };
    pb::StartLog log;
    log.set_segment_bytes(options.segment_bytes);
    log.set_disk_reserve_bytes(options.disk_reserve_bytes);
    send(log);
    send(pb::StartSnapshots());
    send(raft_configuration(options));
    pb::StartStateMachine state_machine;
    state_machine.set_session_timeout_us(kSessionTimeoutUs);
    state_machine.set_sessions_max(kSessionsMax);
    state_machine.set_chunk_commit_window_us(kChunkCommitWindowUs);
    send(state_machine);
    pb::StartFiles files;
    files.set_copies(options.copies);
    files.set_chunk_bytes_max(options.chunk_bytes_max);
    files.set_requests_max(kFileRequestsMax);
    send(files);
    pb::StartChunks chunks;
    chunks.set_chunk_bytes_max(kChunkBytesStored);
    chunks.set_stats_interval_ms(kChunkStatsIntervalMs);
    if (options.chunks_on_disk) chunks.set_disk_reserve_bytes(options.disk_reserve_bytes);
    chunks.set_volume_bytes(options.volume_bytes);
    chunks.set_vacuum_percent(options.vacuum_percent);
    chunks.set_vacuum_bytes_per_s(options.vacuum_bytes_per_s);
    send(chunks);
    pb::StartRepairer repairer;
    repairer.set_interval_ms(kRepairIntervalMs);
    repairer.set_orphan_grace_us(kOrphanGraceUs);
    repairer.set_chunk_commit_window_us(kChunkCommitWindowUs);
    send(repairer);
    pb::StartMover mover;
    mover.set_copies(options.copies);
    mover.set_chunk_bytes_max(options.chunk_bytes_max);
    mover.set_interval_ms(kRepairIntervalMs);
    mover.set_repair_delay_us(options.repair_delay_us);
    send(mover);
    pb::StartStatus status;
    status.set_node_id(options.node_id);
    status.set_http_address(options.http_listen);
    status.set_version(version_number());
    status.set_commit(version_commit());
    status.set_profile(build_profile());
    status.set_copies(options.copies);
    send(status);
}

void send_start(Dispatcher& dispatcher, const NodeOptions& options) {
    pb::StartNode start;
    start.set_node_id(options.node_id);
    start.set_cluster_id(options.cluster_id);
    start.set_single_node(options.single_node);
    start.set_join(options.join);
    start.set_ask_members(true);
    start.set_instance_id(str_format("%016llx", static_cast<unsigned long long>(random_seed_of_system())));
    for (const pb::Member& member : options.peers) {
        if (!options.single_node || member.id() == options.node_id) *start.add_static_members() = member;
    }
    if (options.single_node && start.static_members().empty()) {
        pb::Member* self = start.add_static_members();
        self->set_id(options.node_id);
        self->set_address(options.listen.starts_with(':') ? "127.0.0.1" + options.listen : options.listen);
        self->set_role(std::string(kMemberRole));
    }
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(start)));
}

// A part of the connections is kept: half of it for operators, half for peers.
TransportOptions transport_options_for(const DescriptorPlan& descriptors) {
    TransportOptions options;
    options.inbound_max = std::min(options.inbound_max, descriptors.connections);
    const size_t kept = std::min(options.inbound_max / 4, kConnectionsKept);
    options.operators_max = options.inbound_max - kept / 2;
    options.clients_max = options.inbound_max - kept;
    options.accepted_below = descriptors.accepted_below;
    return options;
}

// HTTP's way to the StatusService.
AskStatus ask_status(Dispatcher& dispatcher) {
    return [&dispatcher](pb::ClusterStatusRequest request, StatusDone done) {
        dispatcher.ask(pb::ACTOR_STATUS, message_of(std::move(request)), kStatusTimeoutUs,
                       [done = std::move(done)](Message reply) {
                           if (!reply->has_cluster_status()) {
                               done(nullptr, reply->request_failed().status().message());
                           } else if (reply->cluster_status().status().code() != pb::STATUS_OK) {
                               done(nullptr, reply->cluster_status().status().message());
                           } else {
                               done(&reply->cluster_status(), "");
                           }
                       });
    };
}

}  // namespace

Node::Node(NodeOptions options, Logger& logger) : options_(std::move(options)), logger_(logger) {}
Node::~Node() = default;

std::string Node::start() {
    const DescriptorPlan descriptors = plan_descriptors(raise_descriptor_limit());
    if (std::optional<std::string> problem = lock_directory(options_.data_directory)) return *problem;
    parts_ = std::make_unique<Parts>(options_, logger_, metrics_);
    add_process_metrics(metrics_, {version_number(), version_commit(), build_profile()},
                        [parts = parts_.get()] { return parts->runtime.dispatcher().wall_us(); });
    EventRuntime& runtime = parts_->runtime;
    Dispatcher& dispatcher = runtime.dispatcher();
    std::string error;
    parts_->recording = begin_recording(dispatcher, options_, &error);
    if (!error.empty()) return error;
    TransportOptions transport_options = transport_options_for(descriptors);
    transport_options.software_version = version_number();
    transport_options.memory_budget_bytes = options_.memory_budget_bytes;
    parts_->transport = &runtime.own_port(
        {pb::PORT_TRANSPORT}, std::make_unique<Transport>(runtime.base(), dispatcher, std::move(transport_options)));
    if (const std::string problem = parts_->transport->listen(options_.listen); !problem.empty()) {
        return str_cat(problem, " (--listen chooses another address)");
    }
    parts_->http = std::make_unique<HttpServer>(runtime.base(), dispatcher, options_.node_id, ask_status(dispatcher),
                                                HttpServerOptions{.connections_max = descriptors.http_connections,
                                                                  .accepted_below = descriptors.accepted_below});
    if (options_.debug_faults) {
        options_.faults = &parts_->faults;
        parts_->http->add_handler("/debug/faults", debug_faults_handler(parts_->faults));
        logger_.write(LogLevel::kWarning, dispatcher.wall_us(), "main", kDebugFaultsWarning, {});
    }
    if (const std::string problem = parts_->http->listen(options_.http_listen); !problem.empty()) {
        return str_cat(problem, " (--http-listen chooses another address)");
    }
    add_actors(dispatcher);
    try {
        const LocalAddress log_disk{pb::PORT_LOG_DISK};
        runtime.own_port(log_disk,
                         std::make_unique<ThreadDisk>(runtime.base(), dispatcher, log_disk, options_.data_directory,
                                                      kLogDiskThreads, options_.faults, options_.spin_us));
        for (const Module* module : modules()) {
            if (module->add_to_node) module->add_to_node(runtime, options_);
        }
    } catch (const std::runtime_error& problem) {
        return problem.what();
    }
    send_configuration(dispatcher, options_);
    send_start(dispatcher, options_);
    for (const Module* module : modules()) {
        if (module->start) module->start(dispatcher, options_);
    }
    parts_->sampler = std::make_unique<FiguresSampler>(runtime.base(), dispatcher);
    return "";
}

std::string Node::run() {
    const auto on_signal = [](evutil_socket_t, short, void* node) { static_cast<Node*>(node)->stop(); };
    const auto on_hang_up = [](evutil_socket_t, short, void* node) { static_cast<Node*>(node)->reopen_log(); };
    event_base* base = parts_->runtime.base();
    signal(SIGPIPE, SIG_IGN);
    parts_->on_terminate.reset(evsignal_new(base, SIGTERM, on_signal, this));
    parts_->on_interrupt.reset(evsignal_new(base, SIGINT, on_signal, this));
    evsignal_add(parts_->on_terminate.get(), nullptr);
    evsignal_add(parts_->on_interrupt.get(), nullptr);
    parts_->on_hang_up.reset(evsignal_new(base, SIGHUP, on_hang_up, this));
    evsignal_add(parts_->on_hang_up.get(), nullptr);
    const auto on_look = [](evutil_socket_t, short, void* node) { static_cast<Node*>(node)->look_at_directory(); };
    parts_->on_look.reset(event_new(base, -1, EV_PERSIST, on_look, this));
    evtimer_add(parts_->on_look.get(), &kLookInterval);
    parts_->runtime.run();
    const Dispatcher& dispatcher = parts_->runtime.dispatcher();
    if (!dispatcher.stop_reason()) return parts_->problem;
    // Where what led to the end can be looked at.
    const std::string saved = parts_->recording == nullptr ? "" : parts_->recording->save(dispatcher);
    return str_cat(*dispatcher.stop_reason(), saved.empty() ? "" : "; ", saved);
}

void Node::stop() {
    // The second signal does not wait.
    if (std::exchange(parts_->stopping, true)) return parts_->runtime.stop();
    logger_.write(LogLevel::kInfo, parts_->runtime.dispatcher().wall_us(), "main", "Stopping", {});
    parts_->http->close_listener();
    // A node that does not lead says so at once; without another node that could lead the time runs out.
    parts_->runtime.dispatcher().ask(pb::ACTOR_RAFT, message_of(pb::TransferLeadership()), kHandOverUs,
                                     [this](Message) { drain(); });
}

void Node::look_at_directory() {
    if (is_locked_directory(options_.data_directory)) return;
    parts_->problem =
        str_cat("the data directory ", options_.data_directory,
                " is gone: it was removed, or something else is mounted there. Nothing that is written now would be "
                "found again");
    parts_->runtime.stop();
}

void Node::reopen_log() {
    logger_.reopen_file(parts_->runtime.dispatcher().wall_us());
}

void Node::drain() {
    parts_->runtime.dispatcher().ask(pb::ACTOR_CHUNKS, message_of(pb::Drain()), kChunkDrainUs, [this](Message) {
        parts_->transport->drain(kDrainUs, [this] { parts_->runtime.stop(); });
    });
}

}  // namespace sandstore
