#include "tests/sim/swarm.h"

#include <algorithm>

#include "actors/chunk/volume_format.h"
#include "actors/log/segment_format.h"
#include "runtime/random.h"
#include "tests/sim/aimed_faults.h"

namespace sandstore {

namespace {

constexpr uint64_t kMs = 1000;

// Of what a node has on disk; it may be lost for that.
bool is_damage(const SimEvent& event) {
    return event.kind == SimEventKind::kFlippedBit || event.kind == SimEventKind::kDamagedSnapshot ||
           event.kind == SimEventKind::kDiskError;
}

class Draw {
 public:
    Draw(uint64_t seed, const SwarmLimits& limits) : limits_(limits), dice_(seed, 0x737761726d) {
        schedule_.seed = seed;
    }

    Schedule schedule() {
        draw_cluster();
        draw_timing();
        draw_network();
        draw_faults();
        draw_requests();
        draw_operations();
        draw_wipes();
        draw_patience();
        draw_departures();
        draw_lists();
        draw_limits();
        draw_volumes();
        std::stable_sort(schedule_.events.begin(), schedule_.events.end(),
                         [](const SimEvent& a, const SimEvent& b) { return a.at_us < b.at_us; });
        return std::move(schedule_);
    }

 private:
    uint64_t below(uint64_t bound) { return dice_.below(bound); }
    bool one_in(uint64_t times) { return below(times) == 0; }
    // Small numbers as likely as large ones.
    uint64_t between(uint64_t least, uint64_t most) {
        const uint64_t span = most - least + 1;
        return least + (one_in(2) ? below(span) : below(below(span) + 1));
    }
    static int64_t number(uint64_t value) { return static_cast<int64_t>(value); }
    void set(const char* name, uint64_t value) { schedule_.settings[name] = number(value); }
    // 0 is the leader: what happens to it matters most.
    int64_t any_node() { return one_in(4) ? 0 : number(1 + below(nodes_ + spares_)); }
    int64_t any_client() { return number(1 + below(static_cast<uint64_t>(schedule_.setting("clients")))); }
    // Some of what goes wrong does so together.
    uint64_t any_time() {
        if (bursts_.empty() || one_in(2)) return below(run_us_);
        return bursts_[below(bursts_.size())] + below(one_in(2) ? 3 * kMs : 50 * kMs);
    }
    void add(SimEventKind kind, std::vector<int64_t> arguments) {
        schedule_.events.push_back({any_time(), kind, std::move(arguments)});
    }

    void draw_cluster();
    void draw_timing();
    void draw_network();
    void draw_faults();
    void draw_requests();
    void draw_fault(SimEventKind kind);
    int64_t draw_duration();
    void draw_operations();
    void draw_wipes();
    void draw_lost_tails(int64_t node);
    void draw_patience();
    void draw_bad_requests();
    void draw_departures();
    void draw_lists();
    void draw_limits();
    void draw_volumes();
    void draw_operation(SimEventKind kind, uint64_t at_us);

    const SwarmLimits& limits_;
    RandomStream dice_;
    Schedule schedule_;
    uint64_t nodes_ = 3;
    uint64_t spares_ = 0;
    std::vector<uint64_t> bursts_;
    uint64_t run_us_ = 0;
    uint64_t duration_max_us_ = 0;
    uint64_t bytes_max_ = 0;
    bool cross_renames_ = false;
    uint32_t next_token_ = 1;
};

void Draw::draw_cluster() {
    // Even numbers too: their majorities are more than half.
    static constexpr uint64_t kSizes[] = {1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 5, 5, 5, 5, 6, 7};
    nodes_ = kSizes[below(std::size(kSizes))];
    if (limits_.nodes) nodes_ = static_cast<uint64_t>(*limits_.nodes);
    set("nodes", nodes_);
    if (one_in(2)) spares_ = 1 + below(2);
    if (spares_ > 0) set("spares", spares_);
    if (!one_in(4)) set("snapshot_log_bytes", between(300, 20'000));
    if (!one_in(4)) set("snapshot_piece_bytes", between(60, 4096));
    set("clients", 2 + below(4));
    set("pipeline", one_in(4) ? 1 : 3 + below(8));
    set("directories", 1 + below(5));
    set("files", 1 + below(4));
    set("append_window", one_in(2) ? 1 + below(3) : 16);
    set("append_bytes_max", one_in(2) ? 100 + below(2000) : 16 * 1024);
    set("cache_bytes", one_in(2) ? 1 + below(4000) : 64 * 1024);
    set("segment_bytes", one_in(3) ? 256 * 1024 : between(kSegmentBytesMin, 16 * 1024));
    set("chunk_bytes_max", one_in(4) ? 4096 : 64 * 1024);
    if (one_in(4)) set("uncommitted_bytes", between(1000, 20'000));
    if (one_in(4)) set("varied", 1);
    if (one_in(6)) set("mailbox_messages", between(1, 12));
    if (one_in(8)) set("session_timeout_us", 1'000'000 + below(3'000'000));
}

void Draw::draw_timing() {
    run_us_ = 400 * kMs + below(one_in(8) ? 4000 * kMs : 1000 * kMs);
    set("run_us", run_us_);
    if (one_in(3)) set("core_first", 1 + below(4));
    const uint64_t election_ms = one_in(4) ? 150 : 50;
    set("election_min_ms", election_ms);
    set("election_max_ms", election_ms * (one_in(4) ? 1 : 2) + 5);
    set("heartbeat_ms", election_ms / 5);
    set("attempt_timeout_ms", one_in(4) ? between(20, 500) : 15 + below(60));
    set("operation_timeout_us", one_in(3) ? 300 * kMs + below(700 * kMs) : 3000 * kMs);
    if (one_in(3)) set("clock_skew_ppm", between(10, 100'000));  // Within what leases allow: 200,000.
    if (one_in(3)) set("lease_reads", 1);
    if (one_in(3)) set("any_node_reads", 1 + below(100));
    if (one_in(4)) set("disk_jitter_us", between(200, 20 * kMs));
    if (one_in(4)) set("sync_us", between(150, 10 * kMs));
}

void Draw::draw_network() {
    if (one_in(2)) set("loss_per_mille", between(1, 100));
    if (one_in(3)) set("duplicate_per_mille", between(1, 200));
    if (one_in(2)) set("delay_max_us", between(300, 30 * kMs));
    if (one_in(3)) set("reorder", 1);
    if (one_in(6)) set("late_per_mille", between(1, 30));
}

int64_t Draw::draw_duration() {
    return number(between(kMs, duration_max_us_));
}

void Draw::draw_faults() {
    duration_max_us_ = one_in(6) ? run_us_ : one_in(3) ? 300 * kMs : 60 * kMs;
    if (one_in(2)) {
        for (uint64_t i = between(1, 5); i > 0; i--) bursts_.push_back(below(run_us_));
    }
    // Mailboxes fill while a node stands still.
    if (schedule_.setting("mailbox_messages") > 0) {
        for (uint64_t i = between(2, 12); i > 0; i--) draw_fault(SimEventKind::kSlowTurns);
    }
    if (one_in(12)) return;  // What happens without any must work as well.
    for (int k = 0; k < static_cast<int>(SimEventKind::kTransfer); k++) {
        const auto kind = static_cast<SimEventKind>(k);
        if (kind == SimEventKind::kSwappedDisks || kind == SimEventKind::kLyingWrite ||
            kind == SimEventKind::kEtcdDiffers)
            continue;
        if (kind >= SimEventKind::kWipedDisk && kind <= SimEventKind::kLostDirectory) continue;
        if (!one_in(kind == SimEventKind::kAimed ? 2 : 5)) continue;
        const uint64_t count = between(1, one_in(6) ? 16 : 4);
        for (uint64_t i = 0; i < count; i++) draw_fault(kind);
    }
}

// Operators take nodes away for good, and so does damage: where there is any, members are added and promoted only, but
// for what draw_departures() adds.
void Draw::draw_requests() {
    if (one_in(2)) set("priorities", 1);
    // Leases are what handing over leadership endangers most.
    const bool leases = schedule_.setting("lease_reads") != 0;
    if (leases || one_in(2)) {
        const bool cut_off = leases || one_in(2);
        for (uint64_t i = between(1, leases ? 12 : 5); i > 0; i--) {
            const uint64_t at_us = any_time();
            schedule_.events.push_back({at_us, SimEventKind::kTransfer, {number(below(nodes_ + 1))}});
            if (!cut_off) continue;
            // The old leader does not see what the new one does.
            schedule_.events.push_back(
                {at_us + below(2 * kMs), SimEventKind::kIsolateLeader, {number(between(10 * kMs, 300 * kMs))}});
            bursts_.push_back(at_us);
        }
    }
    if (one_in(4)) {
        for (uint64_t i = between(1, 5); i > 0; i--) add(SimEventKind::kSnapshot, {any_node()});
    }
    if (one_in(6)) {
        set("older", 1);
        for (uint64_t i = between(1, 4); i > 0; i--) add(SimEventKind::kRaiseFeatures, {any_node()});
    }
    if (!one_in(2)) return;
    const bool damage = std::any_of(schedule_.events.begin(), schedule_.events.end(), is_damage);
    for (uint64_t i = between(1, 16); i > 0; i--) {
        // Fewer are taken away than added, or clusters of one would be what most of these runs are about.
        static constexpr SimEventKind kKinds[] = {SimEventKind::kAddNode,     SimEventKind::kAddNode,
                                                  SimEventKind::kPromoteNode, SimEventKind::kPromoteNode,
                                                  SimEventKind::kDemoteNode,  SimEventKind::kRemoveNode,
                                                  SimEventKind::kSwapNodes,   SimEventKind::kSwapNodes};
        const SimEventKind kind = kKinds[below(damage ? 4 : 8)];
        std::vector<int64_t> arguments = {number(below(8))};
        if (kind == SimEventKind::kSwapNodes) arguments.push_back(number(below(8)));
        add(kind, std::move(arguments));
    }
}

void Draw::draw_fault(SimEventKind kind) {
    const int64_t for_us = draw_duration();
    const int64_t side = number(nodes_ == 1 ? 1 : 1 + below((uint64_t{1} << nodes_) - 2));
    switch (kind) {
        case SimEventKind::kKill:
        case SimEventKind::kPowerCut:
        case SimEventKind::kPause:
        case SimEventKind::kHungDisk:
        case SimEventKind::kFullDisk:
        case SimEventKind::kSilentDeath:
        case SimEventKind::kShortDisk:
            return add(kind, {any_node(), for_us});
        case SimEventKind::kSlowTurns:
            return add(kind, {any_node(), number(between(500, 60 * kMs)), for_us});
        case SimEventKind::kAimed:
            return add(kind, {one_in(2) ? 0 : any_node(), number(below(kAimedMessages)),
                              number(between(1, one_in(4) ? 100 : 8)), number(below(kAimedHows)), for_us});
        case SimEventKind::kKillAll:
        case SimEventKind::kPowerCutAll:
            return add(kind, {std::min<int64_t>(for_us, 100 * kMs)});
        case SimEventKind::kPartition:
            return add(kind, {side, for_us});
        case SimEventKind::kClientCut:
            return add(kind, {any_client(), any_node(), for_us});
        case SimEventKind::kOneWay:
        case SimEventKind::kHeldLink:
        case SimEventKind::kLostConnection:
            return add(kind, {any_node(), any_node(), for_us});
        case SimEventKind::kFlappingLink:
            return add(kind, {any_node(), any_node(), number(between(kMs, 100 * kMs)), for_us});
        case SimEventKind::kBridge:
            return add(kind, {any_node(), side, for_us});
        case SimEventKind::kSlowLink:
            return add(kind, {any_node(), any_node(), number(between(kMs, 300 * kMs)), for_us});
        case SimEventKind::kLossyNetwork:
            return add(kind, {number(between(50, 700)), for_us});
        case SimEventKind::kSlowDisk:
            return add(kind, {any_node(), number(between(kMs, 400 * kMs)), for_us});
        case SimEventKind::kPowerFailing:
            return add(kind, {any_node(), number(below(8)), for_us});
        case SimEventKind::kSyncError:
            return add(kind, {any_node(), number(below(4)), for_us});
        case SimEventKind::kDiskError:
            return add(kind, {any_node(), number(below(6)), number(below(12)), for_us});
        case SimEventKind::kDamagedSnapshot:
            return add(kind, {any_node(), number(below(1'000'000))});
        case SimEventKind::kFlippedBit:
            return add(kind, {any_node(), number(below(1'000'000)), for_us});
        case SimEventKind::kWallJump: {
            // A chunk may be committed for ten minutes after it was placed: jumps stay well below.
            const int64_t by_us = number(between(1, one_in(4) ? 60'000'000 : 1'000'000));
            return add(kind, {any_node(), one_in(2) ? by_us : -by_us});
        }
        case SimEventKind::kEtcdWrong:
            return add(kind, {number(below(3)), for_us});
        default:
            return add(kind, {for_us});
    }
}

void Draw::draw_operations() {
    uint64_t count = between(500, 3500);
    if (limits_.operations) count = static_cast<uint64_t>(*limits_.operations);
    bytes_max_ = one_in(6) ? 20'000 : 300;
    cross_renames_ = one_in(3);
    std::vector<SimEventKind> mix;  // With its weights.
    for (int kind = static_cast<int>(SimEventKind::kCreate); kind <= static_cast<int>(SimEventKind::kList); kind++) {
        const uint64_t weight = one_in(4) ? 0 : 1 + below(6);
        mix.insert(mix.end(), weight, static_cast<SimEventKind>(kind));
    }
    mix.insert(mix.end(), 2, SimEventKind::kCreate);
    mix.insert(mix.end(), 2, SimEventKind::kAppend);
    mix.insert(mix.end(), 2, SimEventKind::kWrite);
    mix.insert(mix.end(), 2, SimEventKind::kRead);
    for (uint64_t i = 0; i < count; i++) {
        // The first ones early, so that there are files.
        const uint64_t at_us = i < 4 ? i * 100 : any_time();
        draw_operation(i < 4 ? SimEventKind::kCreate : mix[below(mix.size())], at_us);
    }
    if (!one_in(3)) return;
    for (uint64_t i = count / 10; i > 0; i--) {
        const uint64_t luck = below(8);
        if (luck < 4) add(SimEventKind::kOwnDirectory, {any_client()});
        if (luck >= 4 && luck < 7) add(SimEventKind::kHold, {any_client(), number(between(kMs, 1000 * kMs))});
        if (luck == 7) add(SimEventKind::kExport, {any_client()});
    }
}

// Where nothing drawn so far takes a node away for good.
void Draw::draw_wipes() {
    const bool nodes_leave = std::any_of(schedule_.events.begin(), schedule_.events.end(), [](const SimEvent& event) {
        return event.kind == SimEventKind::kFlippedBit || event.kind == SimEventKind::kDamagedSnapshot ||
               (event.kind >= SimEventKind::kAddNode && event.kind <= SimEventKind::kSwapNodes);
    });
    if (nodes_leave || nodes_ < 3) return;
    if (one_in(3)) {
        for (uint64_t i = below(4); i > 0; i--) {
            add(SimEventKind::kLyingWrite,
                {any_node(), number(below(2)), one_in(2) ? 0 : number(512 * (1 + below(8)))});
        }
        return;
    }
    const int64_t node = number(1 + below(nodes_));
    const uint64_t luck = below(6);
    if (luck == 0) return draw_lost_tails(node);
    const int64_t directory = number(below(3));
    for (uint64_t i = between(1, 3); i > 0; i--) {
        if (luck == 1) add(SimEventKind::kOldCopy, {node, number(between(5 * kMs, run_us_ / 2)), draw_duration()});
        if (luck == 2) add(SimEventKind::kDamagedTail, {node, number(below(1'000'000)), draw_duration()});
        if (luck == 3) add(SimEventKind::kLostDirectory, {node, directory, draw_duration()});
        if (luck >= 4) add(SimEventKind::kWipedDisk, {node, draw_duration()});
    }
}

// Some of those that know of the loss go away while it is not made good.
void Draw::draw_lost_tails(int64_t node) {
    const std::vector<AimedMessage>& messages = aimed_messages();
    const auto told =
        std::find_if(messages.begin(), messages.end(), [](const auto& m) { return m.name == "DebtTold"; });
    for (uint64_t i = between(1, 3); i > 0; i--) {
        const uint64_t at_us = below(run_us_ / 2);
        const int64_t for_us = number(between(kMs, 30 * kMs));
        schedule_.events.push_back(
            {at_us, SimEventKind::kLostTail, {node, number(between(1, 4)), number(between(kMs, 500 * kMs)), for_us}});
        const AimedHow deed = one_in(2) ? AimedHow::kPowerCutSender : AimedHow::kIsolateSender;
        const int64_t away_us = number(between(50 * kMs, 500 * kMs));
        schedule_.events.push_back({at_us,
                                    SimEventKind::kAimed,
                                    {node, number(static_cast<uint64_t>(told - messages.begin())),
                                     number(between(1, 3)), static_cast<int64_t>(deed), away_us}});
    }
}

// What differs between nodes, and how they begin.
void Draw::draw_patience() {
    const bool leases = schedule_.setting("lease_reads") != 0;
    if (one_in(leases ? 2 : 5)) set("patience_max", 2 + below(2));
    // A patient leader must not take the others for as patient.
    for (uint64_t i = leases && schedule_.setting("patience_max") > 1 ? between(1, 5) : 0; i > 0; i--) {
        add(SimEventKind::kIsolateLeader, {number(between(60 * kMs, 300 * kMs))});
    }
    if (one_in(5)) set("hard_boot", 1);
    draw_bad_requests();
}

// Of operators who do not look at who is down.
void Draw::draw_bad_requests() {
    const bool changes = std::any_of(schedule_.events.begin(), schedule_.events.end(),
                                     [](const SimEvent& event) { return event.kind == SimEventKind::kAddNode; });
    if (!changes || std::any_of(schedule_.events.begin(), schedule_.events.end(), is_damage) || !one_in(3)) return;
    for (uint64_t i = between(1, 3); i > 0; i--) {
        const uint64_t at_us = any_time();
        const int64_t silent_us = number(between(300 * kMs, 900 * kMs));
        const SimEventKind kind = one_in(2) ? SimEventKind::kKill : SimEventKind::kPause;
        schedule_.events.push_back({at_us, kind, {number(1 + below(nodes_)), silent_us}});
        for (uint64_t k = between(1, 4); k > 0; k--) {
            const SimEventKind change = one_in(2) ? SimEventKind::kDemoteNode : SimEventKind::kRemoveNode;
            schedule_.events.push_back({at_us + 150 * kMs + below(500 * kMs), change, {number(below(8))}});
        }
    }
}

// Nodes are taken away from a cluster one of whose disks is damaged.
void Draw::draw_departures() {
    const bool damage = std::ranges::any_of(schedule_.events, [](const SimEvent& event) {
        return is_damage(event) || event.kind == SimEventKind::kWipedDisk || event.kind == SimEventKind::kLostTail ||
               event.kind == SimEventKind::kDamagedTail || event.kind == SimEventKind::kLostDirectory;
    });
    if (!damage || nodes_ < 4 - std::min<uint64_t>(spares_, 1) || !one_in(3)) return;
    for (uint64_t i = between(1, 6); i > 0; i--) {
        static constexpr SimEventKind kKinds[] = {SimEventKind::kAddNode, SimEventKind::kPromoteNode,
                                                  SimEventKind::kDemoteNode, SimEventKind::kRemoveNode,
                                                  SimEventKind::kSwapNodes};
        const SimEventKind kind = kKinds[below(std::size(kKinds))];
        std::vector<int64_t> arguments = {number(below(8))};
        if (kind == SimEventKind::kSwapNodes) arguments.push_back(number(below(8)));
        add(kind, std::move(arguments));
    }
}

// etcd's nodes do not always say the same, and people write to the wrong one.
void Draw::draw_lists() {
    if (schedule_.setting("hard_boot") != 0 && one_in(3)) set("etcd_differs", 10 * (1 + below(nodes_)) + below(6));
    if (!one_in(6)) return;
    for (uint64_t i = between(1, 4); i > 0; i--) {
        // Nodes ask once a second.
        const int64_t for_us = number(between(200 * kMs, 2500 * kMs));
        add(SimEventKind::kEtcdDiffers, {number(1 + below(nodes_)), number(below(6)), for_us});
    }
}

// Sessions are fewer than clients want, and disks are mixed up.
// Small ones: a run is over before one of the usual size is full.
void Draw::draw_volumes() {
    if (!one_in(4)) set("volume_bytes", between(kVolumeBytesMin, 512 * 1024));
    if (one_in(2)) set("vacuum_percent", one_in(4) ? 0 : 1 + below(60));
}

void Draw::draw_limits() {
    if (one_in(12)) set("sessions_max", static_cast<uint64_t>(schedule_.setting("clients")) - 1 + below(4));
    if (one_in(40)) set("collects", 1);
    if (nodes_ < 2 || !one_in(12)) return;
    for (uint64_t i = between(1, 2); i > 0; i--) {
        const uint64_t one = below(nodes_);
        const uint64_t other = (one + 1 + below(nodes_ - 1)) % nodes_;
        add(SimEventKind::kSwappedDisks, {number(1 + one), number(1 + other), draw_duration()});
    }
}

void Draw::draw_operation(SimEventKind kind, uint64_t at_us) {
    const auto directories = static_cast<uint64_t>(schedule_.setting("directories"));
    const auto files = static_cast<uint64_t>(schedule_.setting("files"));
    const int64_t client = any_client();
    const int64_t file = number(below(directories * files));
    std::vector<int64_t> arguments = {client, file};
    if (kind == SimEventKind::kList) arguments[1] = number(below(directories));
    if (kind == SimEventKind::kRename) {
        // Mostly within its directory: those between which files go are judged as one.
        int64_t directory = file / number(files);
        if (cross_renames_ && one_in(2)) directory = std::min<int64_t>(directory ^ 1, number(directories) - 1);
        arguments.push_back(directory * number(files) + number(below(files)));
    }
    const bool has_bytes =
        kind == SimEventKind::kWrite || kind == SimEventKind::kAppend || kind == SimEventKind::kWriteAt;
    if (has_bytes) {
        arguments.push_back(next_token_++);
        arguments.push_back(number(between(16, bytes_max_)));
    }
    if (kind == SimEventKind::kWriteAt || kind == SimEventKind::kTruncate) {
        arguments.push_back(number(one_in(8) ? 0 : below(2 * bytes_max_)));
    }
    schedule_.events.push_back({at_us, kind, std::move(arguments)});
}

}  // namespace

Schedule draw_schedule(uint64_t seed, const SwarmLimits& limits) {
    return Draw(seed, limits).schedule();
}

}  // namespace sandstore
