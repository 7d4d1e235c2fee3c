// What is done to the disks of a simulated cluster.
#include <algorithm>
#include <cerrno>

#include "actors/raft/raft_node.h"
#include "runtime/text.h"
#include "tests/sim/faults.h"
#include "tests/sim/log_tail.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

constexpr uint64_t kLogBytesForFlip = 4096;
constexpr uint64_t kBootsWithinUs = 400'000;
constexpr uint64_t kAgainUs = 2'000;  // After how long what could not happen is tried again.

}  // namespace

void Faults::set_disk(const std::string& id, uint64_t sync_us) {
    cluster_.disk(id).set_delays({.operation_us = static_cast<uint64_t>(schedule_.setting("disk_us")),
                                  .sync_us = sync_us,
                                  .jitter_us = static_cast<uint64_t>(schedule_.setting("disk_jitter_us"))});
}

// Where operators take nodes away, one that may be lost must be such that the others can do without it for good.
bool Faults::must_wait(const SimEvent& event, const std::string& id) const {
    const bool lasts = event.kind == SimEventKind::kDiskError ||
                       (event.kind >= SimEventKind::kFlippedBit && event.kind <= SimEventKind::kLyingWrite);
    return lasts && members_leave_ && !cluster_.can_spare(id);
}

void Faults::apply_to_disk(const SimEvent& event, int attempts) {
    const std::string id = node(event.argument(0));
    if (must_wait(event, id)) {
        if (attempts > 0) after(kAgainUs, [=, this] { apply_to_disk(event, attempts - 1); });
        return;
    }
    const uint64_t for_us = event.duration_us();
    SimDisk& disk = cluster_.disk(id);
    switch (event.kind) {
        case SimEventKind::kSlowDisk:
            set_disk(id, static_cast<uint64_t>(event.argument(1)));
            after(for_us, [this, id] { set_disk(id, static_cast<uint64_t>(schedule_.setting("sync_us"))); });
            break;
        case SimEventKind::kHungDisk:
            disk.set_hung(true);
            after(for_us, [this, id] { cluster_.disk(id).set_hung(false); });
            break;
        case SimEventKind::kSyncError:
            sync_errors_.insert(id);
            disk.add_fault({.operation = pb::DiskOperation::kSync,
                            .error = EIO,
                            .skip = static_cast<uint64_t>(event.argument(1))});
            after(for_us, [this, id] { cluster_.disk(id).clear_faults(); });
            break;
        case SimEventKind::kDiskError:
            fail_operation(event, id);
            after(for_us, [this, id] { cluster_.disk(id).clear_faults(); });
            break;
        case SimEventKind::kDamagedSnapshot:
            damage_snapshot(id, static_cast<uint64_t>(event.argument(1)));
            break;
        case SimEventKind::kLyingWrite:
            lie(id, event);
            break;
        case SimEventKind::kFullDisk:
            full_.insert(id);
            disk.set_capacity(disk.used_bytes());
            after(for_us, [this, id] { cluster_.disk(id).set_capacity(SimDisk::kCapacityBytes); });
            break;
        case SimEventKind::kShortDisk:
            sync_errors_.insert(id);  // A node that starts meanwhile may give up.
            disk.set_shortage(3);
            after(for_us, [this, id] { cluster_.disk(id).set_shortage(0); });
            break;
        case SimEventKind::kFlippedBit:
            flip_bit(id, static_cast<uint64_t>(event.argument(1)));
            start_later(id, for_us);
            break;
        case SimEventKind::kWipedDisk:
            wipe(id);
            start_later(id, for_us);
            break;
        case SimEventKind::kOldCopy:
            copy_directory(event, id);
            break;
        case SimEventKind::kLostTail:
            lose_tail(event, id, kAttempts);
            break;
        case SimEventKind::kDamagedTail:
            damage_tail(event, id, kAttempts);
            break;
        case SimEventKind::kLostDirectory:
            lose_directory(event, id);
            break;
        case SimEventKind::kSwappedDisks:
            swap_disks(id, node(event.argument(1)), for_us);
            break;
        default:
            break;
    }
}

// One node of a run, and only where the others are a majority without it: what is acknowledged is then still on enough
// disks, whoever else is away for a while. (With two, chunks and entries would depend on how far the first one was
// taken back.)
bool Faults::may_take_back(const std::string& id) {
    if (!swapped_.empty() || !damaged_.empty() || schedule_.setting("nodes") < 3 || (!wiped_.empty() && wiped_ != id))
        return false;
    wiped_ = id;
    if (on_take_back) on_take_back(id);
    return true;
}

// Neither may take the other one's for its own. Nothing else is done to disks meanwhile that lasts.
void Faults::swap_disks(const std::string& one, const std::string& other, uint64_t for_us) {
    if (one == other || !swapped_.empty() || !cluster_.is_running(one) || !cluster_.is_running(other)) return;
    swapped_ = {one, other};
    exchange_disks();
    after(for_us, [this] {
        exchange_disks();
        swapped_.clear();
    });
}

void Faults::exchange_disks() {
    for (const std::string& id : swapped_) cluster_.kill(id);
    SimDisk& one = cluster_.disk(swapped_.front());
    SimDisk& other = cluster_.disk(swapped_.back());
    const SimDisk::Copy files = one.copy();
    one.put_back(other.copy());
    other.put_back(files);
    for (const std::string& id : swapped_) start_later(id, 1'000);
}

void Faults::wipe(const std::string& id) {
    if (!may_take_back(id)) return;
    cluster_.kill(id);
    cluster_.disk(id).wipe();
    cluster_.invariants().node_wiped(id);
}

// The node is stopped, copied and started again; later it is stopped, and comes back as it was.
void Faults::copy_directory(const SimEvent& event, const std::string& id) {
    if (!cluster_.is_running(id) || !may_take_back(id)) return;
    cluster_.kill(id);
    auto copy = std::make_shared<OldCopy>();
    *copy = {id, cluster_.disk(id).copy(), cluster_.invariants().copy_made(id), event.duration_us()};
    start_later(id, 1'000);
    after(static_cast<uint64_t>(std::max<int64_t>(event.argument(1), 1'000)),
          [this, copy] { put_back(copy, kAttempts); });
}

// Nobody can notice what nobody knows: only when all others have heard of a start that the copy lacks.
void Faults::put_back(std::shared_ptr<OldCopy> copy, int attempts) {
    if (!others_know_its_start(copy->id) || (members_leave_ && !cluster_.can_spare(copy->id))) {
        if (attempts > 0) after(kAgainUs, [this, copy, attempts] { put_back(copy, attempts - 1); });
        return;
    }
    cluster_.kill(copy->id);
    cluster_.disk(copy->id).put_back(copy->files);
    cluster_.invariants().copy_put_back(copy->id, copy->log);
    start_later(copy->id, copy->for_us);
}

bool Faults::others_know_its_start(const std::string& id) const {
    const RaftCore* own = cluster_.core_of(id);
    if (own == nullptr || own->options().starts.empty()) return false;
    if (cluster_.leader().empty()) return false;
    for (const std::string& other : cluster_.members()) {
        const RaftCore* core = other == id ? own : cluster_.core_of(other);
        if (core == nullptr || core->configurations().at(core->commit_index()).configuration.start_of(id) !=
                                   own->options().starts.back()) {
            return false;
        }
    }
    return true;
}

// Its end, when all of it is on a majority of other disks: a commit could rest on what is lost.
LogTail Faults::tail_of(const std::string& id, uint64_t blocks) {
    const RaftNode* raft = cluster_.raft(id);
    if (raft == nullptr || raft->core() == nullptr || cluster_.leader().empty()) return {};
    if (members_leave_ && !cluster_.can_spare(id)) return {};
    const Configuration& configuration = cluster_.core_of(cluster_.leader())->configuration();
    if (configuration.is_joint() || !cluster_.invariants().may_lose_tail(id, configuration.voters())) return {};
    LogTail tail = last_blocks_of(cluster_.disk(id), blocks);
    return tail.first_index > raft->snapshot_index() ? tail : LogTail();
}

// Whole blocks of entries, newest ones, and no terms and votes: those nobody else could give back.
void Faults::lose_tail(const SimEvent& event, const std::string& id, int attempts) {
    const LogTail tail = tail_of(id, static_cast<uint64_t>(event.argument(1)));
    if (tail.file.empty()) {
        if (attempts > 0) after(kAgainUs, [=, this] { lose_tail(event, id, attempts - 1); });
        return;
    }
    if (!may_take_back(id)) return;
    cluster_.kill(id);
    cluster_.disk(id).set_contents(tail.file, tail.without);
    cluster_.invariants().tail_lost(id, tail.first_index);
    const uint64_t back_us = cluster_.runtime().now_us() + event.duration_us() + kBootsWithinUs;
    starved_[id] = {back_us + static_cast<uint64_t>(event.argument(2)), tail.first_index};
    start_later(id, event.duration_us());
}

// Behind a seal it is seen to be damage, and the node does not start. Without one it cannot be told from a write that
// a crash has torn: it is dropped, and the leader has to notice.
void Faults::damage_tail(const SimEvent& event, const std::string& id, int attempts) {
    const LogTail tail = tail_of(id, 1);
    if (tail.file.empty()) {
        if (attempts > 0) after(kAgainUs, [=, this] { damage_tail(event, id, attempts - 1); });
        return;
    }
    if (!(tail.sealed ? may_damage(id) : may_take_back(id))) return;
    cluster_.kill(id);
    SimDisk& disk = cluster_.disk(id);
    disk.set_contents(tail.file, disk.contents(tail.file));  // No later power cut takes the seal away.
    RandomStream dice(static_cast<uint64_t>(event.argument(1)), 1);
    disk.flip_bit(tail.file, tail.last_offset + dice.below(tail.last_bytes), static_cast<int>(dice.below(8)));
    if (tail.sealed) {
        cluster_.invariants().tail_damaged(id);
    } else {
        cluster_.invariants().tail_lost(id, tail.first_index);
    }
    start_later(id, event.duration_us());
}

// A node without its log is a voter that forgot; one without its chunks gets them from others; one whose log goes on
// from a snapshot that is not there may refuse to start.
void Faults::lose_directory(const SimEvent& event, const std::string& id) {
    static constexpr const char* kDirectories[] = {"log", "chunks", "snapshots"};
    const std::string directory = kDirectories[static_cast<uint64_t>(event.argument(1)) % 3];
    if (!(directory == "snapshots" ? may_damage(id) : may_take_back(id))) return;
    cluster_.kill(id);
    cluster_.disk(id).remove_directory(directory);
    if (directory == "log") cluster_.invariants().node_wiped(id);
    if (directory == "snapshots") cluster_.invariants().node_damaged(id);
    start_later(id, event.duration_us());
}

// One node at most, and no cluster that cannot do without it.
bool Faults::may_damage(const std::string& id) {
    if (schedule_.setting("nodes") < 3 || (!damaged_.empty() && damaged_ != id) || !wiped_.empty() ||
        !swapped_.empty()) {
        return false;
    }
    damaged_ = id;
    if (on_take_back) on_take_back(id);
    return true;
}

// A read that fails may be taken for damage: of one node only.
void Faults::fail_operation(const SimEvent& event, const std::string& id) {
    using Operation = pb::DiskOperation;
    static constexpr Operation::OperationCase kOperations[] = {Operation::kWrite,        Operation::kRead,
                                                               Operation::kReplace,      Operation::kRename,
                                                               Operation::kCreateZeroed, Operation::kRemove};
    const Operation::OperationCase operation = kOperations[static_cast<uint64_t>(event.argument(1)) % 6];
    if (operation == Operation::kRead && !may_damage(id)) return;
    sync_errors_.insert(id);
    cluster_.disk(id).add_fault(
        {.operation = operation, .error = EIO, .skip = static_cast<uint64_t>(event.argument(2))});
}

void Faults::damage_snapshot(const std::string& id, uint64_t where) {
    SimDisk& disk = cluster_.disk(id);
    std::vector<std::string> files = disk.files();
    std::erase_if(
        files, [&](const std::string& file) { return !file.starts_with("snapshots/") || disk.contents(file).empty(); });
    if (files.empty() || !may_damage(id)) return;
    RandomStream dice(where, 1);
    const std::string& file = files[dice.below(files.size())];
    disk.flip_bit(file, dice.below(disk.contents(file).size()), static_cast<int>(dice.below(8)));
    cluster_.invariants().snapshot_damaged(id);
}

// Not of the log: a vote that is nowhere can be given again, and nobody could tell.
void Faults::lie(const std::string& id, const SimEvent& event) {
    if (!may_damage(id)) return;
    cluster_.invariants().node_damaged(id);
    const std::string files = event.argument(1) % 2 == 0 ? "chunks/" : "snapshots/";
    const auto shift = static_cast<uint64_t>(std::max<int64_t>(event.argument(2), 0));
    if (shift == 0) return cluster_.disk(id).lose_next_write(files);
    cluster_.disk(id).misdirect_next_write(shift, files);
}

// While the node is down. In the log only where more follows: damage to its very end looks like a torn write, which
// recovery rightly drops.
void Faults::flip_bit(const std::string& id, uint64_t where) {
    if (!may_damage(id)) return;
    if (on_damage) on_damage(id);
    cluster_.kill(id);
    SimDisk& disk = cluster_.disk(id);
    std::vector<std::string> files = disk.files();
    std::erase_if(files, [&](const std::string& file) {
        const size_t used = disk.contents(file).find_last_not_of('\0');
        return used == std::string::npos || (file.ends_with(".seg") && used < kLogBytesForFlip);
    });
    if (files.empty()) return;
    RandomStream dice(where, 1);
    const std::string& file = files[dice.below(files.size())];
    const uint64_t used = disk.contents(file).find_last_not_of('\0') + 1;
    disk.flip_bit(file, dice.below(file.ends_with(".seg") ? used / 2 : used), static_cast<int>(dice.below(8)));
}

}  // namespace sandstore
