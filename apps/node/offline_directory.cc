#include "apps/node/offline_directory.h"

#include <filesystem>
#include <optional>
#include <stdexcept>

#include "actors/cluster/identity.h"
#include "actors/log/recovery.h"
#include "actors/log/snapshot_recovery.h"
#include "actors/raft/feature_check.h"
#include "actors/raft/raft_core.h"
#include "messages/log.pb.h"
#include "messages/snapshot.pb.h"
#include "runtime/text.h"
#include "runtime/thread_disk.h"

namespace sandstore {

namespace {

// Carries out what reads. The rest is answered as if it had been done: that is how a node tidies up when it starts.
pb::DiskReply read_only(DiskFiles& files, const DiskCall& call, Payload* out) {
    pb::DiskRequest reads;
    for (const pb::DiskOperation& operation : call.request.operations()) {
        if (operation.has_read() || operation.has_list()) *reads.add_operations() = operation;
    }
    return reads.operations().empty() ? pb::DiskReply() : files.execute(reads, Payload(), out);
}

// Empty: it is read.
template <typename Recovery>
std::string run_recovery(DiskFiles& files, Recovery* recovery) {
    DiskCall call = recovery->begin();
    while (true) {
        Payload read;
        const pb::DiskReply reply = read_only(files, call, &read);
        DiskCall next;
        switch (recovery->on_reply(call, reply, read, &next)) {
            case Recovery::Progress::kMore:
                call = std::move(next);
                continue;
            case Recovery::Progress::kDone:
                return "";
            case Recovery::Progress::kRefused:
                return recovery->refusal();
        }
    }
}

pb::LogRecovered as_message(const RecoveredLog& log) {
    pb::LogRecovered recovered;
    recovered.set_first_index(log.index.first_index());
    recovered.set_last_index(log.index.last_index());
    for (const LogIndex::Run& run : log.index.term_runs()) {
        pb::TermRun* added = recovered.add_term_runs();
        added->set_first_index(run.first_index);
        added->set_term(run.term);
    }
    *recovered.mutable_hard_state() = log.hard_state;
    for (const auto& [index, configuration] : log.configurations) {
        pb::ConfigurationAt* added = recovered.add_configurations();
        added->set_index(index);
        added->set_configuration(configuration);
    }
    return recovered;
}

}  // namespace

std::string OfflineDirectory::open(const std::string& path) {
    path_ = path;
    std::error_code unreadable;
    if (!std::filesystem::exists(std::filesystem::path(path) / kIdentityFile, unreadable)) {
        return str_cat("there is no ", kIdentityFile, " in ", path, ": --data-dir is the directory of a node");
    }
    if (const std::optional<std::string> problem = lock_directory(path)) {
        return str_cat(*problem, ": stop the node first");
    }
    try {
        files_ = std::make_unique<DiskFiles>(path);
    } catch (const std::runtime_error& problem) {
        return problem.what();
    }
    DiskCall call;
    call.read(kIdentityFile, 0, kIdentityBytesMax + 1);
    Payload text;
    const pb::DiskReply reply = files_->execute(call.request, Payload(), &text);
    if (reply.error() != 0) return describe_failure(call.request, reply);
    std::string error;
    const std::optional<pb::Identity> identity = parse_identity(text.to_string(), &error);
    if (!identity) return str_cat(kIdentityFile, " in ", path, " is damaged: ", error);
    identity_ = *identity;
    return "";
}

std::string OfflineDirectory::read_log(OfflineLog* found) {
    pb::StartLog start_log;
    start_log.set_cluster_id(identity_.cluster_id());
    start_log.set_node_id(identity_.node_id());
    start_log.set_directory(std::string(kLogDirectory));
    start_log.set_segment_bytes(kSegmentBytesDefault);
    LogRecovery log(start_log);
    if (std::string problem = run_recovery(*files_, &log); !problem.empty()) return problem;
    pb::StartSnapshots start_snapshots;
    start_snapshots.set_cluster_id(identity_.cluster_id());
    start_snapshots.set_node_id(identity_.node_id());
    start_snapshots.set_directory(std::string(kSnapshotDirectory));
    SnapshotRecovery snapshots(start_snapshots);
    if (std::string problem = run_recovery(*files_, &snapshots); !problem.empty()) return problem;

    const pb::LogRecovered recovered = as_message(log.result());
    const auto& kept = snapshots.result().kept;
    const pb::SnapshotMeta* newest = kept.empty() ? nullptr : &kept.front().meta;
    if (std::string problem = RaftCore::problem_with(recovered, newest); !problem.empty()) return problem;
    RaftOptions options;
    options.node_id = identity_.node_id();
    options.storage = identity_.storage();
    options.join = true;  // It shall begin nothing.
    if (std::string problem = feature_problem(recovered, newest, options.feature_level); !problem.empty())
        return problem;
    const RaftCore core(options, recovered, newest, RaftInput{0, 0});
    found->term = core.term();
    found->last_index = core.last_index();
    found->last_term = core.terms().last_term();
    found->snapshot_index = newest == nullptr ? 0 : newest->index();
    found->configuration = core.configuration().message();
    return "";
}

std::string OfflineDirectory::write_identity(const pb::Identity& identity) {
    DiskCall call;
    call.replace(kIdentityFile, Payload(identity_text(identity)));
    Payload nothing;
    const pb::DiskReply reply = files_->execute(call.request, call.payload, &nothing);
    if (reply.error() != 0) return describe_failure(call.request, reply);
    identity_ = identity;
    return "";
}

std::string OfflineDirectory::set_aside(std::string_view directory, std::string* name) {
    const std::filesystem::path folder(path_);
    std::error_code unreadable;
    name->clear();
    if (!std::filesystem::exists(folder / directory, unreadable)) return "";
    std::string free = str_cat(directory, ".before-recover");
    for (int i = 2; std::filesystem::exists(folder / free, unreadable); i++) {
        free = str_cat(directory, ".before-recover-", i);
    }
    DiskCall call;
    call.rename(directory, free);
    Payload nothing;
    const pb::DiskReply reply = files_->execute(call.request, Payload(), &nothing);
    if (reply.error() != 0) return describe_failure(call.request, reply);
    *name = std::move(free);
    return "";
}

}  // namespace sandstore
