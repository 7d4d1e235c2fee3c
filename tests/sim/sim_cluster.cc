#include "tests/sim/sim_cluster.h"

#include <algorithm>
#include <cstdlib>

#include "actors/chunk/chunk_service.h"
#include "actors/chunk/repairer.h"
#include "actors/cluster/bootstrap.h"
#include "actors/cluster/etcd_poller.h"
#include "actors/cluster/status_service.h"
#include "actors/fs/file_service.h"
#include "actors/fs/file_state_machine.h"
#include "actors/fs/mover.h"
#include "actors/log/log_store.h"
#include "actors/log/snapshot_store.h"
#include "actors/raft/raft_node.h"
#include "client/client_actor.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

struct SimCluster::Ports {
    SimDiskPort log_disk;
    SimDiskPort chunk_disk;
    SimEtcdPort http;
    Ports(SimRuntime& runtime, Dispatcher& dispatcher, SimDisk& disk, SimEtcd& etcd)
        : log_disk(runtime, dispatcher, disk, {pb::PORT_LOG_DISK, 0}, true),
          chunk_disk(runtime, dispatcher, disk, {pb::PORT_CHUNK_DISK, 0}, false),
          http(runtime, dispatcher, etcd) {}
};

namespace {

constexpr uint64_t kDiskReserveBytes = 64 * 1024;

template <typename SomeActor>
void add(Dispatcher& dispatcher, pb::ActorKind kind, bool restartable = false) {
    dispatcher.add_actor({{kind, 0}, [] { return std::make_unique<SomeActor>(); }, restartable});
}

// Also when those that are leaving have left.
bool goes_on_without(const Configuration& configuration, const std::function<bool(const std::string&)>& stays) {
    const auto& leaving = configuration.message().leaving();
    size_t left = 0;
    size_t members = 0;
    bool all_stay = true;
    size_t voters = 0;
    for (const std::string& id : configuration.members()) {
        all_stay = all_stay && stays(id);
        if (std::ranges::count(leaving, id) > 0) continue;
        members++;
        if (std::ranges::count(configuration.voters(), id) == 0) continue;
        voters++;
        left += stays(id) ? 1 : 0;
    }
    // Of two members both store each chunk, learners too.
    if (!all_stay && (members <= 2 || configuration.members().size() == 2)) return false;
    return configuration.is_quorum(stays) && 2 * left > voters;
}

}  // namespace

SimCluster::SimCluster(int nodes, uint64_t seed, SimOptions options)
    : options_(options),
      runtime_(seed),
      network_(runtime_),
      conduct_([this](const std::string& id) { return core_of(id); }),
      promises_([this](const std::string& id) { return core_of(id); },
                [this](const std::string& id) { return runtime_.node(id)->now_us(); }),
      snapshot_conduct_([this](const std::string& id) { return core_of(id); },
                        [this](const std::string& id, const std::string& name) {
                            return disks_.at(id)->contents(str_cat("snapshots/", name));
                        }) {
    for (int i = 1; i <= nodes + options.spares; i++) {
        const std::string id = str_cat("node-", i);
        ids_.push_back(id);
        disks_[id] = std::make_unique<SimDisk>(mix64(seed + static_cast<uint64_t>(i)));
        disks_[id]->set_delays({.operation_us = 20, .sync_us = 150, .jitter_us = 200});
        etcd_.records["/sandstore/config/nodes/" + id] =
            str_cat(R"({"id":")", id, R"(","address":")", SimNetwork::address_of(id),
                    R"(","role":"metadata-raft-member","metadata":{"zone":"a"}})");
    }
    std::string members;
    for (int i = 1; i <= nodes; i++) str_append(&members, members.empty() ? "\"" : ",\"", "node-", i, "\"");
    etcd_.records["/sandstore/config/cluster"] = str_cat(R"({"id":"sim","members":[)", members, "]}");
    runtime_.on_stop = [this](const std::string& node, const std::string& reason) { node_stopped(node, reason); };
    runtime_.after_step = [this] {
        check_step();
        if (after_step) after_step();
    };
    network_.on_send = [this](const std::string& from, const std::string& to, const Message& message) {
        invariants_.on_send(from, message);
        conduct_.on_send(from, to, message, runtime_.now_us());
        promises_.on_send(from, to, message);
    };
}

SimCluster::~SimCluster() = default;

// SANDSTORE_SIM_LOG=debug|info shows the nodes' log lines, in virtual time.
Logger& SimCluster::logger_of(const std::string& id) {
    std::unique_ptr<Logger>& logger = loggers_[id];
    if (logger == nullptr) {
        LogOptions options;
        options.node_id = id;
        const char* level = std::getenv("SANDSTORE_SIM_LOG");
        const bool wanted = level != nullptr && parse_log_level(level, &options.level);
        logger = wanted ? std::make_unique<Logger>(options) : std::make_unique<Logger>();
    }
    return *logger;
}

void SimCluster::start_all() {
    for (const std::string& id : ids_) start(id);
}

void SimCluster::start(const std::string& id) {
    if (is_running(id)) return;
    Dispatcher& dispatcher = runtime_.add_node(id, logger_of(id), options_.mailbox_messages);
    ports_[id] = std::make_unique<Ports>(runtime_, dispatcher, *disks_.at(id), etcd_);
    dispatcher.add_port({pb::PORT_LOG_DISK, 0}, &ports_[id]->log_disk);
    dispatcher.add_port({pb::PORT_CHUNK_DISK, 0}, &ports_[id]->chunk_disk);
    dispatcher.add_port({pb::PORT_HTTP_CLIENT, 0}, &ports_[id]->http);
    network_.attach(id, dispatcher, false);
    const bool plain = options_.plain_log;
    dispatcher.add_actor({{pb::ACTOR_BOOTSTRAP, 0}, [plain] { return std::make_unique<Bootstrap>(!plain); }});
    add<LogStore>(dispatcher, pb::ACTOR_LOG);
    add<SnapshotStore>(dispatcher, pb::ACTOR_SNAPSHOTS);
    const uint32_t level = level_of(id);
    dispatcher.add_actor({{pb::ACTOR_RAFT, 0}, [level] { return std::make_unique<RaftNode>(level); }});
    dispatcher.add_actor({{pb::ACTOR_STATE_MACHINE, 0}, make_file_state_machine});
    add<FileService>(dispatcher, pb::ACTOR_FILES);
    add<ChunkService>(dispatcher, pb::ACTOR_CHUNKS);
    add<Repairer>(dispatcher, pb::ACTOR_REPAIRER);
    add<Mover>(dispatcher, pb::ACTOR_MOVER);
    add<StatusService>(dispatcher, pb::ACTOR_STATUS);
    add<EtcdPoller>(dispatcher, pb::ACTOR_ETCD_POLLER, true);
    if (auto path = trace_paths_.find(id); path != trace_paths_.end()) {
        // Each process has a file of its own: the first one as named, then with the number of its life.
        const uint64_t life = ++traced_lives_[id];
        const std::string file = life == 1 ? path->second : str_cat(path->second, ".", life);
        std::string error;
        traces_[id] = TraceWriter::open(file, id, dispatcher.root_seed(), &error);
        SANDSTORE_CHECK(traces_[id] != nullptr, error);
        dispatcher.set_recorder(traces_[id].get());
    }
    invariants_.node_started(id);
    conduct_.node_started(id);
    promises_.node_started(id);
    snapshot_conduct_.node_started(id);
    watch(dispatcher, id);
    post_start_messages(dispatcher, id);
}

// Of the program that this start of the node runs. What else an older program lacks is not imitated.
uint32_t SimCluster::level_of(const std::string& id) {
    const bool first = updated_.insert(id).second;
    const bool older = options_.older && first && mix64(runtime_.seed() ^ crc32c(id)) % 2 == 0;
    return options_.plain_log || older ? 1 : kFeatureLevel;
}

uint64_t SimCluster::own(const std::string& id, uint64_t size) const {
    return options_.varied ? size * (1 + mix64(runtime_.seed() ^ crc32c(id) ^ size) % 4) : size;
}

void SimCluster::post_start_messages(Dispatcher& dispatcher, const std::string& id) {
    pb::StartLog log;
    log.set_segment_bytes(own(id, options_.segment_bytes));
    log.set_disk_reserve_bytes(kDiskReserveBytes);
    pb::StartRaft raft;
    const auto patience = options_.patience.find(id);
    const uint64_t drawn = 1 + mix64(runtime_.seed() + crc32c(id)) % options_.patience_max;
    const uint64_t times = patience == options_.patience.end() ? drawn : patience->second;
    raft.set_election_timeout_min_ms(options_.election_min_ms * times);
    raft.set_election_timeout_max_ms(options_.election_max_ms * times);
    raft.set_heartbeat_interval_ms(options_.heartbeat_ms);
    raft.set_append_window(options_.append_window);
    raft.set_append_bytes_max(own(id, options_.append_bytes_max));
    raft.set_cache_bytes(own(id, options_.cache_bytes));
    if (options_.random_priorities)
        raft.set_election_priority(static_cast<uint32_t>(mix64(runtime_.seed() ^ crc32c(id)) % 4 * 30 + 1));
    if (auto own = options_.priorities.find(id); own != options_.priorities.end()) {
        raft.set_election_priority(own->second);
    }
    raft.set_uncommitted_bytes_max(own(id, options_.uncommitted_bytes_max));
    raft.set_lease_reads(options_.lease_reads);
    raft.set_snapshot_log_bytes(own(id, options_.snapshot_log_bytes));
    raft.set_snapshot_piece_bytes(own(id, options_.snapshot_piece_bytes));
    pb::StartStateMachine state;
    state.set_session_timeout_us(options_.session_timeout_us);
    state.set_sessions_max(options_.sessions_max);
    state.set_chunk_commit_window_us(options_.chunk_commit_window_us);
    pb::StartFiles files;
    files.set_copies(3);
    files.set_chunk_bytes_max(256 * 1024);
    files.set_requests_max(4096);
    pb::StartChunks chunks;
    chunks.set_chunk_bytes_max(256 * 1024);
    chunks.set_stats_interval_ms(1000);
    chunks.set_disk_reserve_bytes(kDiskReserveBytes);
    chunks.set_volume_bytes(options_.volume_bytes);
    chunks.set_vacuum_percent(options_.vacuum_percent);
    pb::StartRepairer repairer;
    repairer.set_interval_ms(2000);
    repairer.set_orphan_grace_us(options_.orphan_grace_us);
    repairer.set_chunk_commit_window_us(options_.chunk_commit_window_us);
    pb::StartMover mover;
    mover.set_copies(3);
    mover.set_chunk_bytes_max(256 * 1024);
    mover.set_interval_ms(2000);
    mover.set_repair_delay_us(3'000'000);
    pb::StartStatus status;
    status.set_node_id(id);
    status.set_copies(3);
    pb::StartNode node;
    node.set_node_id(id);
    node.set_ask_members(true);
    node.set_instance_id(str_cat(id, "-", runtime_.now_us()));
    pb::StartPoller poller;
    poller.add_endpoints("etcd:2379");
    poller.set_poll_interval_ms(1000);
    poller.set_request_timeout_ms(1000);
    poller.set_retry_min_ms(100);
    poller.set_retry_max_ms(1000);
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(log)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(pb::StartSnapshots()));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(raft)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(state)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(files)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(chunks)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(repairer)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(mover)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(status)));
    dispatcher.send(pb::ACTOR_BOOTSTRAP, message_of(std::move(node)));
    dispatcher.send(pb::ACTOR_ETCD_POLLER, message_of(std::move(poller)));
}

void SimCluster::kill(const std::string& id) {
    // Later, because this may be called from inside the node's own step.
    runtime_.remove_node(id);
    traces_.erase(id);
    network_.detach(id);
    ports_.erase(id);
}

void SimCluster::power_cut(const std::string& id) {
    kill(id);
    disks_.at(id)->crash();
}

void SimCluster::vanish(const std::string& id) {
    runtime_.remove_node(id);
    traces_.erase(id);
    network_.vanish(id);
    ports_.erase(id);
    disks_.at(id)->crash();
}

const RaftCore* SimCluster::core_of(const std::string& id) const {
    const RaftNode* node = disks_.contains(id) ? raft(id) : nullptr;
    return node == nullptr ? nullptr : node->core();
}

RaftNode* SimCluster::raft(const std::string& id) const {
    Dispatcher* dispatcher = runtime_.node(id);
    return dispatcher == nullptr ? nullptr : static_cast<RaftNode*>(dispatcher->actor({pb::ACTOR_RAFT, 0}));
}

StateMachine* SimCluster::state_machine(const std::string& id) {
    Dispatcher* dispatcher = runtime_.node(id);
    return dispatcher == nullptr ? nullptr
                                 : static_cast<StateMachine*>(dispatcher->actor({pb::ACTOR_STATE_MACHINE, 0}));
}

std::string SimCluster::leader() const {
    std::string leader;
    uint64_t term = 0;
    for (const std::string& id : ids_) {
        RaftNode* node = raft(id);
        if (node == nullptr || node->core() == nullptr || !node->core()->is_leader()) continue;
        if (node->core()->term() > term) {
            term = node->core()->term();
            leader = id;
        }
    }
    return leader;
}

std::vector<std::string> SimCluster::members() {
    const std::string by = leader();
    return by.empty() ? ids_ : raft(by)->core()->configuration().members();
}

bool SimCluster::can_spare(const std::string& id) const {
    return std::ranges::all_of(ids_, [&](const std::string& follower) {
        const RaftCore* core = core_of(follower);
        return core != nullptr &&
               (core->configuration().empty() ||
                goes_on_without(core->configuration(), [&](const std::string& node) { return node != id; }));
    });
}

void SimCluster::add_client(const std::string& id) {
    Dispatcher& dispatcher = runtime_.add_node(id, logger_of(id));
    network_.attach(id, dispatcher, true);
    add<ClientActor>(dispatcher, pb::ACTOR_CLIENT);
    watch(dispatcher, id);
    pb::StartClient start;
    for (const std::string& node : ids_) start.add_servers(SimNetwork::address_of(node));
    start.set_chunk_bytes_max(options_.client_chunk_bytes);
    start.set_attempt_timeout_ms(options_.attempt_timeout_ms);
    start.set_retry_min_ms(5);
    start.set_retry_max_ms(40);
    dispatcher.send(pb::ACTOR_CLIENT, message_of(std::move(start)));
}

void SimCluster::ask(const std::string& client, Message message, uint64_t timeout_us,
                     std::function<void(Message)> done) {
    runtime_.node(client)->ask(pb::ACTOR_CLIENT, std::move(message), timeout_us, std::move(done));
}

Message SimCluster::call(const std::string& client, Message message, uint64_t timeout_us) {
    std::optional<Message> answer;
    ask(client, std::move(message), timeout_us, [&answer](Message reply) { answer = std::move(reply); });
    SANDSTORE_CHECK(runtime_.run_until([&answer] { return answer.has_value(); }, 2 * timeout_us), "no answer at all");
    return std::move(*answer);
}

std::string SimCluster::describe() {
    std::string text;
    for (const std::string& id : ids_) {
        RaftNode* node = raft(id);
        if (node == nullptr || node->core() == nullptr) {
            str_append(&text, id, node == nullptr ? " is down" : " is booting", "\n");
            continue;
        }
        const RaftCore& core = *node->core();
        str_append(&text, id, " role=", core.role(), " term=", core.term(), " last=", core.last_index(),
                   " persisted=", core.persisted_index(), " commit=", core.commit_index(),
                   " applied=", node->applied_index());
        for (const auto& [peer, progress] : core.peers()) {
            str_append(&text, " [", peer, core.is_reachable(peer) ? "" : " unreachable", " match=", progress.match(),
                       " next=", progress.next(), progress.state() == Progress::State::kProbe ? " probe" : "",
                       progress.reading() ? " reading" : "", "]");
        }
        str_append(&text, "\n");
    }
    return text;
}

std::string SimCluster::compare_states() {
    uint64_t index = 0;
    const bool caught_up = runtime_.run_until(
        [this, &index] {
            for (const std::string& id : members()) {
                RaftNode* node = raft(id);
                if (node == nullptr) continue;
                if (node->core() == nullptr) return false;
                index = std::max(index, node->core()->commit_index());
            }
            for (const std::string& id : members()) {
                RaftNode* node = raft(id);
                if (node != nullptr && node->applied_index() < index) return false;
            }
            return true;
        },
        60'000'000);
    if (!caught_up) return str_cat("not all nodes reach index ", index, "\n", describe());
    std::map<std::string, pb::StateHash> hashes;
    std::string problem;
    for (const std::string& id : members()) {
        Dispatcher* dispatcher = runtime_.node(id);
        if (dispatcher == nullptr) continue;
        pb::StateHashRequest request;
        request.set_minimum_index(index);
        bool answered = false;
        dispatcher->ask(pb::ACTOR_STATE_MACHINE, message_of(std::move(request)), 20'000'000, [&](Message reply) {
            answered = true;
            if (reply->has_state_hash()) hashes[id] = reply->state_hash();
        });
        runtime_.run_until([&answered] { return answered; }, 30'000'000);
        if (!hashes.contains(id)) return str_cat(id, " does not reach index ", index, "\n", describe());
    }
    for (const auto& [id, hash] : hashes) {
        const auto& [first, expected] = *hashes.begin();
        if (hash.applied_index() == expected.applied_index() && hash.hash() != expected.hash()) {
            return str_cat(id, " and ", first, " differ at index ", hash.applied_index());
        }
        if (hash.applied_index() != expected.applied_index()) {
            return str_cat(id, " is at ", hash.applied_index(), ", ", first, " at ", expected.applied_index());
        }
    }
    return problem;
}

void SimCluster::watch(Dispatcher& dispatcher, const std::string& id) {
    const bool is_node = disks_.contains(id);
    dispatcher.set_observer([this, id, is_node](const Message& message) {
        if (on_deliver) on_deliver(id, message);
        if (!is_node) return;
        invariants_.on_deliver(id, message);
        conduct_.on_deliver(id, message, runtime_.now_us());
        promises_.on_deliver(id, message, runtime_.now_us());
        snapshot_conduct_.on_deliver(id, message, runtime_.now_us());
        if (message->to_actor() == pb::ACTOR_RAFT && message->has_snapshot_received() &&
            message->snapshot_received().complete()) {
            check_received_snapshot(id, message->snapshot_received().meta());
        }
    });
}

void SimCluster::check_step() {
    const std::string* id = runtime_.stepped_node();
    if (id == nullptr || !disks_.contains(*id)) return;
    invariants_.after_step(*id, raft(*id), state_machine(*id));
    conduct_.after_step(*id, runtime_.now_us());
    promises_.after_step(*id, runtime_.now_us());
    snapshot_conduct_.after_step(*id);
}

// Every byte of it, in the file that will be read when it is needed.
void SimCluster::check_received_snapshot(const std::string& id, const pb::SnapshotMeta& meta) {
    if (invariants_.is_damaged(id)) return;
    for (const std::string& name : disks_.at(id)->files()) {
        const std::string file = disks_.at(id)->contents(name);
        if (file.size() != meta.file_bytes() || file.size() < sizeof(uint32_t)) continue;
        if (crc32c(std::string_view(file).substr(0, file.size() - sizeof(uint32_t))) == meta.checksum()) return;
    }
    throw InvariantBroken(str_cat("invariant received_snapshots_are_whole: ", id, " took the one of ", meta.index()));
}

void SimCluster::node_stopped(const std::string& id, const std::string& reason) {
    stops_[id] = reason;
    kill(id);
    if (reason.find("invariant") != std::string::npos) throw InvariantBroken(str_cat(id, " stopped: ", reason));
    if (on_stop) on_stop(id, reason);
}

}  // namespace sandstore
