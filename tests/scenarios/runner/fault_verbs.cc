#include "tests/scenarios/runner/fault_verbs.h"

#include <cerrno>

#include "runtime/text.h"
#include "tests/scenarios/runner/resend.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

constexpr uint64_t kDiskBytes = uint64_t{1} << 30;
constexpr SimDisk::Delays kHealthyDisk = {.operation_us = 20, .sync_us = 150, .jitter_us = 200};

std::set<std::string> some_nodes(Arguments& arguments) {
    if (arguments.accept("*")) return {};
    const std::vector<std::string> ids = arguments.nodes();
    return {ids.begin(), ids.end()};
}

int error_named(const std::string& name) {
    static const std::map<std::string, int> kErrors = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EACCES", EACCES}};
    const auto found = kErrors.find(name);
    if (found == kErrors.end()) throw ScriptError(str_cat("disks fail with EIO, ENOSPC or EACCES, not ", name));
    return found->second;
}

pb::DiskOperation::OperationCase operation_named(const std::string& name) {
    static const std::map<std::string, pb::DiskOperation::OperationCase> kOperations = {
        {"write", pb::DiskOperation::kWrite},   {"sync", pb::DiskOperation::kSync},
        {"read", pb::DiskOperation::kRead},     {"create", pb::DiskOperation::kCreateZeroed},
        {"rename", pb::DiskOperation::kRename}, {"replace", pb::DiskOperation::kReplace},
        {"remove", pb::DiskOperation::kRemove}};
    const auto found = kOperations.find(name);
    if (found == kOperations.end()) throw ScriptError(str_cat("a disk does not '", name, "'"));
    return found->second;
}

// Where the bytes end that are not zero: segments are made in full size.
size_t used_bytes(const std::string& contents) {
    const size_t last = contents.find_last_not_of('\0');
    return last == std::string::npos ? 0 : last + 1;
}

}  // namespace

FaultVerbs::FaultVerbs(SimCluster& cluster, MessageRules& rules)
    : cluster_(cluster), rules_(rules), etcd_records_(cluster.etcd().records) {}

bool FaultVerbs::execute(const std::string& verb, Arguments& arguments) {
    if (execute_on_processes(verb, arguments) || execute_on_network(verb, arguments)) return true;
    if (verb == "disk") {
        disk(arguments);
    } else if (verb == "clock") {
        clock(arguments);
    } else if (verb == "etcd") {
        etcd(arguments);
    } else if (verb == "resend") {
        resend(cluster_, arguments);
    } else {
        return false;
    }
    return true;
}

// --- Processes and machines

bool FaultVerbs::execute_on_processes(const std::string& verb, Arguments& arguments) {
    static const std::set<std::string> kVerbs = {"start", "kill", "power-cut", "pause", "resume"};
    if (!kVerbs.contains(verb)) return false;
    for (const std::string& id : arguments.nodes()) {
        if (verb == "start") {
            if (cluster_.disk(id).powered_off()) cluster_.disk(id).crash();
            cluster_.start(id);
        } else if (verb == "kill") {
            cluster_.kill(id);
        } else if (verb == "power-cut") {
            cluster_.power_cut(id);
        } else if (verb == "pause") {
            cluster_.runtime().pause_node(id);
        } else {
            cluster_.runtime().resume_node(id);
        }
    }
    return true;
}

// --- Network

bool FaultVerbs::execute_on_network(const std::string& verb, Arguments& arguments) {
    if (verb == "partition") {
        partition(arguments);
    } else if (verb == "heal") {
        cluster_.network().heal();
        cluster_.network().set_faults({});
        rules_.pass_all();
    } else if (verb == "cut" || verb == "mend" || verb == "slow-link") {
        const std::vector<std::string> from = arguments.nodes();
        arguments.demand("->");
        const std::vector<std::string> to = arguments.nodes();
        const uint64_t extra_us = verb == "slow-link" ? arguments.duration_us() : 0;
        for (const std::string& a : from) {
            for (const std::string& b : to) {
                if (verb == "cut") cluster_.network().block(a, b);
                if (verb == "mend") cluster_.network().unblock(a, b);
                if (verb == "slow-link") cluster_.network().slow_down(a, b, extra_us);
            }
        }
    } else if (verb == "drop") {
        add_rule(MessageRules::Fate::kDrop, arguments);
    } else if (verb == "hold") {
        add_rule(MessageRules::Fate::kHold, arguments);
    } else if (verb == "keep") {
        add_rule(MessageRules::Fate::kKeep, arguments);
    } else if (verb == "pass") {
        if (arguments.accept("all")) {
            rules_.pass_all();
        } else if (!rules_.pass(arguments.text("a message"))) {
            throw ScriptError("nothing is done to such messages");
        }
    } else if (verb == "release") {
        if (rules_.release(arguments.accept("backwards")) == 0) throw ScenarioFailed("there is nothing to release");
    } else if (verb == "forget") {
        rules_.forget_held();
    } else if (verb == "network") {
        network(arguments);
    } else {
        return false;
    }
    return true;
}

// partition node-1 node-2 | node-3 | node-4 node-5
void FaultVerbs::partition(Arguments& arguments) {
    std::vector<std::vector<std::string>> sides{arguments.nodes()};
    while (arguments.accept("|")) sides.push_back(arguments.nodes());
    if (sides.size() < 2) throw ScriptError("a partition has two sides at least, with | between them");
    for (const auto& side : sides) {
        for (const auto& other : sides) {
            if (&side == &other) continue;
            for (const std::string& a : side) {
                for (const std::string& b : other) cluster_.network().block(a, b);
            }
        }
    }
}

void FaultVerbs::add_rule(MessageRules::Fate fate, Arguments& arguments) {
    MessageRules::Rule rule;
    rule.fate = fate;
    rule.type = arguments.text("a message");
    if (!MessageRules::is_type(rule.type)) throw ScriptError(str_cat("there is no message ", rule.type));
    rule.from = some_nodes(arguments);
    arguments.demand("->");
    rule.to = some_nodes(arguments);
    if (arguments.accept("beyond")) rule.beyond = arguments.number("an index");
    if (rule.beyond != 0 && rule.type != "AppendEntries") throw ScriptError("only AppendEntries hold entries");
    rules_.add(std::move(rule));
}

// network loss 100 duplicates 200 reorder delay 20ms: per mille, and the longest delay.
void FaultVerbs::network(Arguments& arguments) {
    SimNetwork::Faults faults;
    while (!arguments.empty()) {
        if (arguments.accept("loss")) {
            faults.loss_per_mille = arguments.number("loss");
        } else if (arguments.accept("duplicates")) {
            faults.duplicate_per_mille = arguments.number("duplicates");
        } else if (arguments.accept("delay")) {
            faults.delay_max_us = arguments.duration_us();
        } else {
            arguments.demand("reorder");
            faults.reorder = true;
        }
    }
    cluster_.network().set_faults(faults);
}

// --- Disks

void FaultVerbs::disk(Arguments& arguments) {
    for (const std::string& id : arguments.nodes()) {
        Arguments what = arguments;
        const std::string verb = what.text("what happens to the disk");
        SimDisk& disk = cluster_.disk(id);
        if (verb == "hang") {
            disk.set_hung(true);
        } else if (verb == "let-pass") {
            disk.let_pass(what.number("how many syncs"));
        } else if (verb == "full") {
            disk.set_capacity(disk.used_bytes() + (what.empty() ? 0 : what.number("bytes that are left")));
        } else if (verb == "slow") {
            disk.set_delays({.operation_us = 20, .sync_us = what.duration_us(), .jitter_us = 0});
        } else if (verb == "slow-throughout") {
            const uint64_t time_us = what.duration_us();
            disk.set_delays({.operation_us = time_us, .sync_us = time_us, .jitter_us = 0});
        } else if (verb == "power-off-after") {
            disk.power_off_after(what.number("operations"));
        } else if (verb == "right") {
            disk.set_hung(false);
            disk.set_capacity(kDiskBytes);
            disk.set_delays(kHealthyDisk);
            disk.clear_faults();
        } else if (verb == "fail") {
            SimDisk::Fault fault;
            fault.operation = operation_named(what.text("an operation"));
            if (what.accept("of")) fault.file_prefix = what.text("how the file's name begins");
            fault.error = error_named(what.text("an error"));
            if (what.accept("after")) fault.skip = what.number("how many pass first");
            if (what.accept("times")) fault.times = what.number("how often");
            disk.add_fault(fault);
        } else if (!damage(id, verb, what)) {
            throw ScriptError(str_cat("a disk cannot '", verb, "'"));
        }
        what.end();
    }
    while (!arguments.empty()) arguments.text("");
}

// The first or last file whose name begins so: `first log/`, `last snapshots/`.
std::string FaultVerbs::file(const SimDisk& disk, Arguments& arguments) const {
    const bool last = arguments.accept("last");
    if (!last) arguments.demand("first");
    const std::string prefix = arguments.text("how the file's name begins");
    std::string found;
    for (const std::string& name : disk.files()) {
        if (!name.starts_with(prefix) || used_bytes(disk.contents(name)) == 0) continue;
        found = name;
        if (!last) break;
    }
    if (found.empty()) throw ScenarioFailed(str_cat("there is no file ", prefix, "..."));
    return found;
}

// Of what is on the disk. The node is not running, or it would not notice.
bool FaultVerbs::damage(const std::string& id, const std::string& what, Arguments& arguments) {
    SimDisk& disk = cluster_.disk(id);
    if (what == "lose-next-write") {
        disk.lose_next_write();
        return true;
    }
    if (what == "wipe") {
        disk.wipe();
        cluster_.invariants().node_wiped(id);
        return true;
    }
    if (what != "flip" && what != "zero-end" && what != "cut-end" && what != "remove") return false;
    const std::string name = file(disk, arguments);
    std::string contents = disk.contents(name);
    const size_t used = used_bytes(contents);
    if (what == "flip") {
        // A percentage of the used bytes, so that scenarios need not know the format.
        const size_t at = used * arguments.number("per cent of the file's used bytes") / 100;
        disk.flip_bit(name, std::min(at, used - 1));
        cluster_.invariants().node_damaged(id);
    } else if (what == "remove") {
        disk.remove_file(name);
        cluster_.invariants().node_damaged(id);
    } else {
        // As a torn write leaves it: zeros where the last bytes should be, or no bytes at all.
        const size_t bytes = std::min<size_t>(arguments.number("bytes"), used);
        if (what == "zero-end") contents.replace(used - bytes, bytes, bytes, '\0');
        if (what == "cut-end") contents.resize(used - bytes);
        disk.set_contents(name, std::move(contents));
        if (!arguments.accept("unacknowledged")) cluster_.invariants().node_damaged(id);
    }
    return true;
}

// --- Clocks and etcd

void FaultVerbs::clock(Arguments& arguments) {
    const std::vector<std::string> ids = arguments.nodes();
    if (arguments.accept("jump")) {
        const int64_t by_us = arguments.signed_duration_us();
        for (const std::string& id : ids) cluster_.runtime().jump_wall_clock(id, by_us);
        return;
    }
    const bool fast = arguments.accept("fast");
    if (!fast) arguments.demand("slow");
    const auto per_mille = static_cast<int64_t>(arguments.number("per mille"));
    for (const std::string& id : ids) cluster_.runtime().set_clock_rate(id, (fast ? 1000 : -1000) * per_mille);
}

void FaultVerbs::etcd(Arguments& arguments) {
    SimEtcd& etcd = cluster_.etcd();
    const std::string what = arguments.text("what happens to etcd");
    if (what == "down" || what == "up") {
        etcd.is_up = what == "up";
    } else if (what == "empty") {
        etcd.records.clear();
    } else if (what == "garbage") {
        for (auto& [key, value] : etcd.records) value = value.substr(0, value.size() / 2);
    } else if (what == "right") {
        etcd.records = etcd_records_;
        etcd.is_up = true;
    } else if (what == "only") {
        const std::set<std::string> kept = some_nodes(arguments);
        std::erase_if(etcd.records, [&kept](const auto& record) {
            return !kept.contains(record.first.substr(record.first.rfind('/') + 1));
        });
    } else if (what == "also") {
        const std::string id = arguments.text("a node");
        etcd.records["/sandstore/config/nodes/" + id] =
            str_cat(R"({"id":")", id, R"(","address":")", SimNetwork::address_of(id),
                    R"(","role":"metadata-raft-member","metadata":{"zone":"a"}})");
    } else {
        throw ScriptError(str_cat("etcd cannot be '", what, "'"));
    }
}

}  // namespace sandstore
