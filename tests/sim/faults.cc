#include "tests/sim/faults.h"

#include <algorithm>

#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

constexpr uint64_t kPowerFailsUs = 3'000;  // From the first failing operation's turn to the end of the machine.

bool takes_members_away(const SimEvent& event) {
    return event.kind == SimEventKind::kDemoteNode || event.kind == SimEventKind::kRemoveNode ||
           event.kind == SimEventKind::kSwapNodes;
}

}  // namespace

Faults::Faults(SimCluster& cluster, const Schedule& schedule)
    : cluster_(cluster), schedule_(schedule), etcd_records_(cluster.etcd().records) {
    members_leave_ = std::ranges::any_of(schedule.events, takes_members_away);
    trouble();
    cluster.network().take_over = [this](const std::string&, const std::string& to, Message& message) {
        return takes(to, message);
    };
    RandomStream skew(schedule.seed, 0x736b6577);
    const auto most = static_cast<uint64_t>(schedule.setting("clock_skew_ppm"));
    for (const std::string& id : cluster.ids()) {
        const auto rate = static_cast<int64_t>(skew.below(2 * most + 1)) - static_cast<int64_t>(most);
        if (most > 0) cluster.runtime().set_clock_rate(id, rate);
    }
}

// What would make a loss good is lost as well, for a while.
bool Faults::takes(const std::string& to, const Message& message) {
    if (healed_ || !message->has_append_entries() || message->append_entries().record_count() == 0) return false;
    const auto starved = starved_.find(to);
    return starved != starved_.end() && cluster_.runtime().now_us() < starved->second.until_us &&
           message->append_entries().prev_log_index() < starved->second.from_index;
}

void Faults::trouble() {
    set_network();
    for (const std::string& id : cluster_.ids()) set_disk(id, static_cast<uint64_t>(schedule_.setting("sync_us")));
}

void Faults::calm() {
    cluster_.network().set_faults({});
    for (const std::string& id : cluster_.ids()) {
        cluster_.disk(id).set_delays({.operation_us = 20, .sync_us = 150, .jitter_us = 200});
    }
}

std::string Faults::node(int64_t number) const {
    const std::vector<std::string>& ids = cluster_.ids();
    if (const std::string leader = cluster_.leader(); number == 0 && !leader.empty()) return leader;
    return ids[static_cast<size_t>(std::max<int64_t>(number - 1, 0)) % ids.size()];
}

void Faults::after(uint64_t delay_us, std::function<void()> undo) {
    cluster_.runtime().schedule(delay_us, [this, undo = std::move(undo)] {
        if (!healed_) undo();
    });
}

void Faults::apply(const SimEvent& event) {
    if (event.kind == SimEventKind::kAimed) {
        const int64_t receiver = event.argument(0);
        aimed_.aim(event, receiver == 0 ? std::string() : node(receiver));
    } else if (event.kind <= SimEventKind::kAimed) {
        apply_to_process(event);
    } else if (event.kind <= SimEventKind::kLostConnection) {
        apply_to_network(event);
    } else if (event.kind <= SimEventKind::kLyingWrite) {
        apply_to_disk(event, kAttempts);
    } else if (event.kind == SimEventKind::kWallJump) {
        cluster_.runtime().jump_wall_clock(node(event.argument(0)), event.argument(1));
    } else if (event.kind <= SimEventKind::kEtcdDiffers) {
        apply_to_etcd(event);
    }
}

// --- Processes

void Faults::stop(const std::string& id, bool power_cut) {
    if (power_cut) {
        cluster_.power_cut(id);
    } else {
        cluster_.kill(id);
    }
}

// Also after heal(): what stops by itself then is started again.
void Faults::start_later(const std::string& id, uint64_t delay_us) {
    cluster_.runtime().schedule(delay_us, [this, id] {
        if (!lost_.contains(id) && !power_failing_.contains(id)) cluster_.start(id);
    });
}

void Faults::apply_to_process(const SimEvent& event) {
    const uint64_t for_us = event.duration_us();
    if (event.kind == SimEventKind::kKillAll || event.kind == SimEventKind::kPowerCutAll) {
        for (const std::string& id : cluster_.ids()) {
            stop(id, event.kind == SimEventKind::kPowerCutAll);
            start_later(id, for_us);
        }
        return;
    }
    const std::string id = node(event.argument(0));
    if (event.kind == SimEventKind::kSilentDeath) {
        cluster_.vanish(id);
        return start_later(id, for_us);
    }
    if (event.kind == SimEventKind::kSlowTurns) {
        return slow_turns(id, static_cast<uint64_t>(std::max<int64_t>(event.argument(1), 100)),
                          cluster_.runtime().now_us() + for_us);
    }
    if (event.kind == SimEventKind::kPause) {
        cluster_.runtime().pause_node(id);
        after(for_us, [this, id] { cluster_.runtime().resume_node(id); });
        return;
    }
    if (event.kind == SimEventKind::kPowerFailing) {
        sync_errors_.insert(id);
        power_failing_.insert(id);
        cluster_.disk(id).power_off_after(static_cast<uint64_t>(event.argument(1)));
        return after(kPowerFailsUs, [this, id, for_us] {
            power_failing_.erase(id);
            stop(id, true);
            start_later(id, for_us);
        });
    }
    stop(id, event.kind == SimEventKind::kPowerCut);
    start_later(id, for_us);
}

// It stands still for a turn, goes on for as long, and so on.
void Faults::slow_turns(const std::string& id, uint64_t turn_us, uint64_t until_us) {
    if (cluster_.runtime().now_us() >= until_us) return;
    cluster_.runtime().pause_node(id);
    after(turn_us, [this, id, turn_us, until_us] {
        cluster_.runtime().resume_node(id);
        after(turn_us, [this, id, turn_us, until_us] { slow_turns(id, turn_us, until_us); });
    });
}

// --- At a message

void Faults::after_step() {
    if (healed_) return;
    for (const AimedFaults::Shot& shot : aimed_.take_shots()) shoot(shot);
}

void Faults::shoot(const AimedFaults::Shot& shot) {
    const std::string leader = cluster_.leader();
    switch (shot.how) {
        case AimedHow::kKillReceiver:
        case AimedHow::kPowerCutReceiver:
            stop(shot.receiver, shot.how == AimedHow::kPowerCutReceiver);
            return start_later(shot.receiver, shot.for_us);
        case AimedHow::kPowerCutSender:
            stop(shot.sender, true);
            return start_later(shot.sender, shot.for_us);
        case AimedHow::kIsolateReceiver:
            return isolate(shot.receiver, shot.for_us);
        case AimedHow::kIsolateSender:
            return isolate(shot.sender, shot.for_us);
        case AimedHow::kIsolateLeader:
            return isolate(leader, shot.for_us);
        case AimedHow::kPauseReceiver:
            cluster_.runtime().pause_node(shot.receiver);
            return after(shot.for_us, [this, id = shot.receiver] { cluster_.runtime().resume_node(id); });
        case AimedHow::kPowerCutLeader:
            if (leader.empty()) return;
            stop(leader, true);
            return start_later(leader, shot.for_us);
        case AimedHow::kHangReceiversDisk:
            cluster_.disk(shot.receiver).set_hung(true);
            return after(shot.for_us, [this, id = shot.receiver] { cluster_.disk(id).set_hung(false); });
    }
}

bool Faults::is_member_for_all(const std::string& id) const {
    return std::ranges::all_of(cluster_.ids(), [&](const std::string& other) {
        const RaftCore* core = cluster_.core_of(other);
        return core == nullptr || core->configuration().empty() || core->configuration().is_member(id);
    });
}

bool Faults::explains_stop(const std::string& id, const std::string& reason) {
    if (reason.find("invariant") != std::string::npos || reason.find(" failed: ") != std::string::npos) return false;
    if ((etcd_was_wrong_ || told_otherwise_.contains(id)) && reason.find("member list") != std::string::npos) {
        start_later(id, 200'000);  // Rightly refused, with such a list.
        return true;
    }
    if (schedule_.setting("older") != 0 && reason.find("feature level") != std::string::npos) {
        start_later(id, 100'000);  // It comes back with a newer program.
        return true;
    }
    if (id == wiped_ && reason.find("already runs as") != std::string::npos) {
        start_later(id, 200'000);  // The others have not noticed yet that the one before is gone.
        return true;
    }
    if (id == wiped_ && !is_member_for_all(id) && reason.find("is no member of it") != std::string::npos) {
        start_later(id, 200'000);  // Rightly refused, until it is one again.
        return true;
    }
    if (std::ranges::count(swapped_, id) > 0 && reason.find("belongs to") != std::string::npos) return true;
    if (full_.contains(id) && reason.find("cannot write identity.json") != std::string::npos) {
        start_later(id, 200'000);  // One that starts claims its directory first; one that runs goes on.
        return true;
    }
    if (id == damaged_) {
        lost_.insert(id);
        return true;
    }
    // A disk that failed once is a reason to stop, not one to find the log damaged afterwards.
    if (!sync_errors_.contains(id) || reason.find("damaged") != std::string::npos) return false;
    start_later(id, 100'000);
    return true;
}

// --- Network

void Faults::block_for(const std::string& from, const std::string& to, uint64_t for_us) {
    cluster_.network().block(from, to);
    after(for_us, [this, from, to] { cluster_.network().unblock(from, to); });
}

// From the other nodes; clients still reach it.
void Faults::isolate(const std::string& id, uint64_t for_us) {
    for (const std::string& other : cluster_.ids()) {
        if (other == id) continue;
        block_for(other, id, for_us);
        block_for(id, other, for_us);
    }
}

// Nodes of one side do not reach those of the other; `except` reaches both.
void Faults::split(uint64_t side, uint64_t for_us, const std::string& except) {
    const std::vector<std::string>& ids = cluster_.ids();
    for (size_t a = 0; a < ids.size(); a++) {
        for (size_t b = 0; b < ids.size(); b++) {
            const bool apart = (side >> a & 1) != (side >> b & 1);
            if (apart && ids[a] != except && ids[b] != except) block_for(ids[a], ids[b], for_us);
        }
    }
}

void Faults::flap(const std::string& one, const std::string& other, uint64_t period_us, uint64_t until_us,
                  bool blocked) {
    SimNetwork& network = cluster_.network();
    for (const auto& [from, to] : {std::make_pair(one, other), std::make_pair(other, one)}) {
        if (blocked) network.unblock(from, to);
        if (!blocked) network.block(from, to);
    }
    if (blocked && cluster_.runtime().now_us() >= until_us) return;
    after(period_us, [=, this] { flap(one, other, period_us, until_us, !blocked); });
}

void Faults::set_network() {
    SimNetwork::Faults faults;
    faults.loss_per_mille = static_cast<uint64_t>(schedule_.setting("loss_per_mille"));
    faults.duplicate_per_mille = static_cast<uint64_t>(schedule_.setting("duplicate_per_mille"));
    faults.delay_max_us = static_cast<uint64_t>(schedule_.setting("delay_max_us"));
    faults.late_per_mille = static_cast<uint64_t>(schedule_.setting("late_per_mille"));
    faults.reorder = schedule_.setting("reorder") != 0;
    cluster_.network().set_faults(faults);
}

void Faults::apply_to_network(const SimEvent& event) {
    const uint64_t for_us = event.duration_us();
    SimNetwork& network = cluster_.network();
    if (event.kind == SimEventKind::kLossyNetwork) {
        network.set_faults({.loss_per_mille = static_cast<uint64_t>(event.argument(0))});
        after(for_us, [this] { set_network(); });
        return;
    }
    if (event.kind == SimEventKind::kIsolateLeader) {
        isolate(node(0), for_us);
        return;
    }
    if (event.kind == SimEventKind::kClientCut) {
        const std::string client = str_cat("client-", event.argument(0));
        block_for(client, node(event.argument(1)), for_us);
        block_for(node(event.argument(1)), client, for_us);
        return;
    }
    if (event.kind == SimEventKind::kPartition) return split(static_cast<uint64_t>(event.argument(0)), for_us, "");
    const std::string one = node(event.argument(0));
    if (event.kind == SimEventKind::kBridge) return split(static_cast<uint64_t>(event.argument(1)), for_us, one);
    const std::string other = node(event.argument(1));
    if (one == other) return;
    if (event.kind == SimEventKind::kHeldLink) {
        network.hold(one, other);
        return after(for_us, [this, one, other] { cluster_.network().let_go(one, other); });
    }
    if (event.kind == SimEventKind::kLostConnection) {
        network.break_connection(one, other);
        broken_.emplace_back(one, other);
        return after(for_us, [this, one, other] { cluster_.network().connect_again(one, other); });
    }
    if (event.kind == SimEventKind::kOneWay) return block_for(one, other, for_us);
    if (event.kind == SimEventKind::kSlowLink) {
        network.slow_down(one, other, static_cast<uint64_t>(event.argument(2)));
        after(for_us, [this, one, other] { cluster_.network().slow_down(one, other, 0); });
        return;
    }
    const auto period_us = static_cast<uint64_t>(std::max<int64_t>(event.argument(2), 1000));
    flap(one, other, period_us, cluster_.runtime().now_us() + for_us, false);
}

// --- The end of all faults

void Faults::heal() {
    healed_ = true;
    if (!swapped_.empty()) exchange_disks();
    swapped_.clear();
    cluster_.network().heal();
    for (const auto& [one, other] : broken_) cluster_.network().connect_again(one, other);
    calm();
    cluster_.etcd().is_up = true;
    cluster_.etcd().records = etcd_records_;
    cluster_.etcd().told.clear();
    for (const std::string& id : cluster_.ids()) {
        SimDisk& disk = cluster_.disk(id);
        disk.set_hung(false);
        disk.clear_faults();
        disk.set_capacity(SimDisk::kCapacityBytes);
        disk.set_shortage(0);
        cluster_.runtime().resume_node(id);
        if (power_failing_.contains(id)) cluster_.power_cut(id);
        if (!lost_.contains(id)) cluster_.start(id);
    }
}

}  // namespace sandstore
