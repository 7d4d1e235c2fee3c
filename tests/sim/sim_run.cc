#include "tests/sim/sim_run.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/random.h"
#include "runtime/text.h"
#include "services/status/maintenance.h"
#include "services/status/readiness.h"
#include "tests/sim/faults.h"
#include "tests/sim/operators.h"
#include "tests/sim/side_work.h"
#include "tests/sim/sim_cluster.h"
#include "tests/sim/workload.h"

namespace sandstore {

namespace {

constexpr uint64_t kBootLimitUs = 30'000'000;
constexpr uint64_t kBootSpreadUs = 400'000;  // Of nodes that do not start together.
constexpr int64_t kToldOtherwiseUs = 2'500'000;
constexpr uint64_t kConvergenceLimitUs = 20'000'000;
constexpr uint64_t kServiceLimitUs = 10'000'000;
constexpr uint64_t kShortCommitWindowUs = 5'000'000;
constexpr uint64_t kShortGraceUs = 66'000'000;  // The shortest that the Repairer takes is a minute more.
constexpr uint64_t kCollectionUs = 80'000'000;
constexpr uint64_t kStatusEveryUs = 500'000;
constexpr uint64_t kAllRunLimitUs = 4'000'000;

SimOptions options_of(const Schedule& schedule) {
    const auto setting = [&schedule](const char* name) { return static_cast<uint64_t>(schedule.setting(name)); };
    SimOptions options;
    options.spares = static_cast<int>(setting("spares"));
    options.election_min_ms = setting("election_min_ms");
    options.election_max_ms = setting("election_max_ms");
    options.heartbeat_ms = setting("heartbeat_ms");
    options.uncommitted_bytes_max = setting("uncommitted_bytes");
    options.mailbox_messages = setting("mailbox_messages");
    options.varied = setting("varied") != 0;
    options.older = setting("older") != 0;
    options.patience_max = std::max<uint64_t>(setting("patience_max"), 1);
    options.append_window = static_cast<uint32_t>(setting("append_window"));
    options.append_bytes_max = setting("append_bytes_max");
    options.cache_bytes = setting("cache_bytes");
    options.segment_bytes = setting("segment_bytes");
    options.session_timeout_us = setting("session_timeout_us");
    options.sessions_max = setting("sessions_max");
    if (setting("collects") != 0) {
        options.chunk_commit_window_us = kShortCommitWindowUs;
        options.orphan_grace_us = kShortGraceUs;
    }
    options.client_chunk_bytes = setting("chunk_bytes_max");
    options.volume_bytes = setting("volume_bytes");
    options.vacuum_percent = static_cast<uint32_t>(setting("vacuum_percent"));
    options.attempt_timeout_ms = setting("attempt_timeout_ms");
    options.random_priorities = setting("priorities") != 0;
    options.lease_reads = setting("lease_reads") != 0;
    options.snapshot_log_bytes = setting("snapshot_log_bytes");
    options.snapshot_piece_bytes = setting("snapshot_piece_bytes");
    return options;
}

class Run {
 public:
    Run(const Schedule& schedule, const SimRunOptions& options)
        : schedule_(schedule),
          options_(options),
          cluster_(static_cast<int>(schedule.setting("nodes")), schedule.seed, options_of(schedule)),
          workload_(cluster_, schedule),
          side_work_(cluster_, schedule),
          operators_(cluster_) {}

    SimRunResult execute() {
        std::optional<Faults> faults;
        try {
            if (schedule_.setting("hard_boot") != 0) {
                watch(faults.emplace(cluster_, schedule_));
                tell_one_node_otherwise(*faults);
            }
            begin_cluster();
            if (faults) faults->calm();
            workload_.make_directories();
            if (!faults) watch(faults.emplace(cluster_, schedule_));
            faults->trouble();
            do_harm(*faults);
            faults->heal();
            serve_and_converge();
            workload_.check_history();
        } catch (const std::exception& error) {
            result_.failure = error.what();
            result_.signature = Invariants::signature_of(result_.failure);
        }
        SimFigures& figures = result_.figures;
        figures.begun = workload_.begun();
        figures.acknowledged = workload_.acknowledged();
        figures.undecided = workload_.undecided();
        figures.requests_granted = operators_.granted();
        figures.committed = cluster_.invariants().committed_index();
        figures.elections = cluster_.invariants().elections();
        figures.virtual_us = cluster_.runtime().now_us();
        if (!result_.ok()) str_append(&result_.failure, "\n", stops(), cluster_.describe());
        return std::move(result_);
    }

 private:
    void count(const Message& message);
    void check_damage(const std::string& id, const pb::ChunkListReply& list);
    void begin_cluster();
    void start_one_by_one();
    void watch(Faults& faults);
    void tell_one_node_otherwise(Faults& faults);
    void do_harm(Faults& faults);
    void serve_without_one();
    std::string choose_victim() const;
    void converge();
    pb::ClusterStatus ask_status();
    void believe_health();
    bool no_voter_has_forgotten() const;
    void collect();
    void serve_and_converge();
    bool is_overdrawn();
    std::string stops() const;
    void demand(bool condition, const char* name, const std::string& what) {
        if (!condition) throw InvariantBroken(str_cat("invariant ", name, ": ", what));
    }

    const Schedule& schedule_;
    const SimRunOptions& options_;
    SimRunResult result_;
    SimCluster cluster_;
    Workload workload_;
    SideWork side_work_;
    Operators operators_;
    Faults* faults_ = nullptr;
    std::string wiped_;  // The node whose disk lost something; empty: none.
};

void Run::count(const Message& message) {
    SimFigures& figures = result_.figures;
    figures.messages++;
    if (message->to_actor() != pb::ACTOR_RAFT) return;
    if (message->has_start_raft()) figures.starts++;
    if (message->has_snapshot_saved()) figures.snapshots_saved++;
    if (message->has_snapshot_restored()) figures.snapshots_restored++;
}

// Running out of something, being slow or full is no damage.
void Run::check_damage(const std::string& id, const pb::ChunkListReply& list) {
    if (cluster_.disk(id).doubtful()) return;
    for (const pb::ChunkStatus& chunk : list.chunks()) {
        demand(!chunk.damaged(), "intact_chunks_are_not_called_damaged",
               str_cat(id, ": ", chunk.id().term(), ".", chunk.id().number()));
    }
}

// Without events: a cluster that does not even come up is a failure like any other.
void Run::begin_cluster() {
    cluster_.on_deliver = [this](const std::string& id, const Message& message) {
        count(message);
        if (faults_ != nullptr) faults_->on_deliver(id, message);
        // The node whose chunks they are may be another than the one that asked.
        const std::string& owner = message->from_node().empty() ? id : message->from_node();
        if (message->has_chunk_list_reply()) check_damage(owner, message->chunk_list_reply());
        if (options_.on_deliver) options_.on_deliver(cluster_.runtime().now_us(), id, message);
    };
    if (!options_.trace_directory.empty()) {
        for (const std::string& id : cluster_.ids()) {
            cluster_.trace_to(id, str_cat(options_.trace_directory, "/", id, ".trace"));
        }
    }
    if (schedule_.setting("hard_boot") != 0) {
        start_one_by_one();
    } else {
        cluster_.start_all();
    }
    workload_.add_clients();
    const bool up = cluster_.runtime().run_until([this] { return !cluster_.leader().empty(); }, kBootLimitUs);
    demand(up, "new_cluster_elects_a_leader", cluster_.describe());
}

// Each at a time of its own, and the power of one fails in the middle of it.
void Run::start_one_by_one() {
    RandomStream dice(schedule_.seed, 0x626f6f74);
    SimRuntime& runtime = cluster_.runtime();
    for (const std::string& id : cluster_.ids()) {
        runtime.schedule(dice.below(kBootSpreadUs), [this, id] { cluster_.start(id); });
    }
    const std::string unlucky = cluster_.ids()[dice.below(cluster_.ids().size())];
    runtime.schedule(dice.below(kBootSpreadUs), [this, &runtime, unlucky] {
        cluster_.power_cut(unlucky);
        runtime.schedule(kBootSpreadUs, [this, unlucky] { cluster_.start(unlucky); });
    });
}

void Run::watch(Faults& faults) {
    faults.on_take_back = [this](const std::string& id) { wiped_ = id; };
    faults_ = &faults;
    cluster_.after_step = [&faults] { faults.after_step(); };
    faults.on_damage = [this](const std::string& id) { cluster_.invariants().node_damaged_for_all_to_see(id); };
    cluster_.on_stop = [this, &faults](const std::string& id, const std::string& reason) {
        demand(faults.explains_stop(id, reason), "nodes_stop_for_a_reason", str_cat(id, " stopped: ", reason));
    };
}

// While the cluster begins: a node that has no log yet has nothing to believe more than a list.
void Run::tell_one_node_otherwise(Faults& faults) {
    const int64_t drawn = schedule_.setting("etcd_differs");
    if (drawn == 0) return;
    faults.apply({0, SimEventKind::kEtcdDiffers, {drawn / 10, drawn % 10, kToldOtherwiseUs}});
}

void Run::do_harm(Faults& faults) {
    SimRuntime& runtime = cluster_.runtime();
    if (schedule_.setting("reorder") != 0) cluster_.conduct().expect_reordering();
    const bool loses = std::ranges::any_of(
        schedule_.events, [](const SimEvent& event) { return event.kind == SimEventKind::kLossyNetwork; });
    if (loses || schedule_.setting("loss_per_mille") > 0) cluster_.conduct().expect_losses();
    const uint64_t begin_us = runtime.now_us();
    for (const SimEvent& event : schedule_.events) {
        if (begin_us + event.at_us > runtime.now_us()) runtime.run_for(begin_us + event.at_us - runtime.now_us());
        if (is_operation(event.kind)) {
            workload_.begin(event);
        } else if (is_side_work(event.kind)) {
            side_work_.begin(event);
        } else if (is_request(event.kind)) {
            operators_.apply(event);
        } else {
            faults.apply(event);
        }
    }
    const uint64_t end_us = begin_us + static_cast<uint64_t>(schedule_.setting("run_us"));
    if (end_us > runtime.now_us()) runtime.run_for(end_us - runtime.now_us());
    workload_.drop_waiting();
    operators_.stop();
}

// One that the others can do without: a quorum of every configuration that somebody follows is left. Where a disk
// lost something that can only be its node, which may have no vote at first, and whose chunks may be on one other disk
// only. Empty: there is none.
std::string Run::choose_victim() const {
    std::vector<std::string> possible;
    for (const std::string& victim : cluster_.ids()) {
        if (cluster_.can_spare(victim) && (wiped_.empty() || victim == wiped_)) possible.push_back(victim);
    }
    if (possible.empty()) return "";
    return possible[mix64(schedule_.seed) % possible.size()];
}

// The rest must serve while one node is still out of order, in one of several ways.
void Run::serve_without_one() {
    SimRuntime& runtime = cluster_.runtime();
    // A change of members that is granted with the victim still counted as heard could wait for it for ever.
    const auto all_run = [this] {
        return operators_.all_ended() &&
               std::all_of(cluster_.ids().begin(), cluster_.ids().end(), [this](const std::string& id) {
                   return cluster_.raft(id) != nullptr && cluster_.raft(id)->core() != nullptr;
               });
    };
    if (schedule_.setting("core_first") == 0 || !runtime.run_until(all_run, kAllRunLimitUs)) return;
    const std::string victim = choose_victim();
    if (victim.empty()) return;
    const int64_t how = schedule_.setting("core_first");
    if (how == 1) cluster_.kill(victim);
    if (how == 2) cluster_.network().partition({victim});
    if (how == 3) runtime.pause_node(victim);
    if (how == 4) cluster_.vanish(victim);
    const auto others_have_a_leader = [this, &victim] {
        return std::any_of(cluster_.ids().begin(), cluster_.ids().end(), [&](const std::string& id) {
            const RaftNode* node = id == victim ? nullptr : cluster_.raft(id);
            return node != nullptr && node->core() != nullptr && node->core()->is_leader();
        });
    };
    const auto all_is_calm = [&] { return workload_.idle() && others_have_a_leader(); };
    const bool calm = runtime.run_until(all_is_calm, kConvergenceLimitUs);
    demand(calm, "a_core_elects_a_leader", str_cat("without ", victim, "\n", cluster_.describe()));
    workload_.prove_service(kServiceLimitUs);
    cluster_.network().heal();
    runtime.resume_node(victim);
    cluster_.start(victim);
}

// A core is healed: all nodes but those whose disks were destroyed within the budget.
void Run::converge() {
    SimRuntime& runtime = cluster_.runtime();
    const bool calm =
        runtime.run_until([this] { return workload_.idle() && !cluster_.leader().empty(); }, kConvergenceLimitUs);
    demand(calm, "healed_cluster_elects_a_leader", cluster_.describe());
    workload_.prove_service(kServiceLimitUs);
    const std::string difference = cluster_.compare_states();
    demand(difference.empty(), "replicas_converge", difference);
    const bool all_vote = runtime.run_until([this] { return no_voter_has_forgotten(); }, kConvergenceLimitUs);
    demand(all_vote, "wiped_nodes_vote_again", cluster_.describe());
    const bool all_run = runtime.run_until(
        [this] {
            return std::ranges::all_of(cluster_.members(), [this](const std::string& id) {
                return faults_->is_lost(id) || cluster_.core_of(id) != nullptr;
            });
        },
        kConvergenceLimitUs);
    demand(all_run, "members_run", cluster_.describe());
}

pb::ClusterStatus Run::ask_status() {
    pb::ClusterStatus status;
    bool answered = false;
    Dispatcher* dispatcher = cluster_.runtime().node(cluster_.leader());
    if (dispatcher == nullptr) return status;
    dispatcher->ask(pb::ACTOR_STATUS, message_of(pb::ClusterStatusRequest()), kBootLimitUs, [&](Message reply) {
        answered = true;
        if (reply->has_cluster_status()) status = reply->cluster_status();
    });
    cluster_.runtime().run_until([&answered] { return answered; }, 2 * kBootLimitUs);
    return status;
}

// What the nodes say of themselves is true: all that run become ready, and one of which it is said that it may be
// stopped can be done without: the others serve, and have every byte.
void Run::believe_health() {
    if (mix64(schedule_.seed ^ 0x6865616c7468) % 3 != 0) return;
    std::string unready;
    std::vector<std::string> may_go;
    for (uint64_t waited_us = 0; waited_us < kConvergenceLimitUs; waited_us += kStatusEveryUs) {
        const pb::ClusterStatus status = ask_status();
        const std::vector<std::string> members = cluster_.members();
        unready = status.nodes().empty() ? "no status" : "";
        may_go.clear();
        for (const pb::NodeStatus& node : status.nodes()) {
            if (std::ranges::count(members, node.id()) == 0 || !cluster_.is_running(node.id())) continue;
            if (const std::string why = not_ready(node); !why.empty()) str_append(&unready, node.id(), ": ", why, "\n");
            if (may_be_stopped(status, node.id()).yes) may_go.push_back(node.id());
        }
        if (unready.empty() && !may_go.empty()) break;
        cluster_.runtime().run_for(kStatusEveryUs);
    }
    demand(unready.empty(), "healed_nodes_become_ready", unready);
    if (may_go.empty()) return;
    cluster_.kill(may_go[mix64(schedule_.seed) % may_go.size()]);
    const bool led = cluster_.runtime().run_until([this] { return !cluster_.leader().empty(); }, kConvergenceLimitUs);
    demand(led, "what_may_be_stopped_is_not_needed", cluster_.describe());
    workload_.prove_service(kServiceLimitUs);
}

// Nobody counts as absent, and nobody learns only because its disk is new.
bool Run::no_voter_has_forgotten() const {
    const std::string leader = cluster_.leader();
    if (leader.empty()) return false;
    const RaftCore& core = *cluster_.raft(leader)->core();
    return core.configuration().message().rejoining().empty() &&
           std::none_of(core.peers().begin(), core.peers().end(),
                        [&](const auto& peer) { return core.has_forgotten(peer.first); });
}

// What is in a file is still there when what no file has is gone.
void Run::collect() {
    if (schedule_.setting("collects") == 0) return;
    cluster_.runtime().run_for(kCollectionUs);
    workload_.prove_service(kServiceLimitUs);
}

// A node that was asked away while another was lost may have been one too many: then nobody can decide anything any
// more, and rightly so, if only because the leader that took the request has it in its log. Only then is a lack of
// progress excused.
void Run::serve_and_converge() {
    static constexpr const char* kProgress[] = {"a_core_elects_a_leader",
                                                "healed_cluster_elects_a_leader",
                                                "healed_cluster_serves",
                                                "wiped_nodes_vote_again",
                                                "members_run",
                                                "healed_nodes_become_ready"};
    try {
        serve_without_one();
        converge();
        believe_health();
        collect();
    } catch (const InvariantBroken& failure) {
        const std::string signature = Invariants::signature_of(failure.what());
        const bool is_about_progress =
            std::ranges::any_of(kProgress, [&](const char* name) { return signature == str_cat("invariant ", name); });
        if (!is_about_progress || !is_overdrawn()) throw;
    }
}

// Of a configuration that somebody follows no quorum is left that has its storage and runs.
bool Run::is_overdrawn() {
    if (!faults_->members_leave()) return false;
    const auto is_left = [this](const Configuration& configuration, const std::string& voter) {
        const RaftCore* core = cluster_.core_of(voter);
        const uint64_t storage = configuration.storage_of(voter);  // 0: not told.
        return core != nullptr && !configuration.is_rejoining(voter) &&
               (storage == 0 || storage == core->options().storage);
    };
    return std::ranges::any_of(cluster_.ids(), [&](const std::string& id) {
        const RaftCore* core = cluster_.core_of(id);
        if (core == nullptr || core->configuration().empty()) return false;
        return !core->configuration().is_quorum(
            [&](const std::string& voter) { return is_left(core->configuration(), voter); });
    });
}

std::string Run::stops() const {
    std::string text;
    for (const auto& [id, reason] : cluster_.stops()) str_append(&text, id, " stopped: ", reason, "\n");
    return text;
}

}  // namespace

void SimFigures::add(const SimFigures& other) {
    begun += other.begun;
    acknowledged += other.acknowledged;
    undecided += other.undecided;
    requests_granted += other.requests_granted;
    elections += other.elections;
    committed += other.committed;
    snapshots_saved += other.snapshots_saved;
    snapshots_restored += other.snapshots_restored;
    starts += other.starts;
    messages += other.messages;
    virtual_us += other.virtual_us;
}

std::string SimFigures::text() const {
    return str_cat(acknowledged, " of ", begun, " operations acknowledged, ", requests_granted,
                   " operators' requests granted, ", elections, " elections, ", committed, " entries committed, ",
                   snapshots_saved, " snapshots saved, ", snapshots_restored, " restored, ", starts,
                   " processes started, ", messages, " messages, ", virtual_us / 1'000'000, " virtual seconds, ",
                   undecided, " histories undecided");
}

SimRunResult run_schedule(const Schedule& schedule, const SimRunOptions& options) {
    return Run(schedule, options).execute();
}

}  // namespace sandstore
