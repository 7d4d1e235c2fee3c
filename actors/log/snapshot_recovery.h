// Looks at a directory of snapshots at boot. A plain object: it says what to ask the disk next and is handed the
// answers, so that no turn is long: at most kReadBytes are looked at in one step.
//
// - Every snapshot is read whole. A damaged one, or one that cannot be read, is renamed to *.damaged for the operator
// (the
//   newest of these is kept) and an older one counts instead. Two are kept.
// - What a crash left half written (*.tmp) is removed.
// - A file that was being received is looked at as far as it goes: what checks out, section by section, is kept, and
//   receiving goes on after it.
// - A whole header of an unknown version, or of another cluster, is refused: not damage, but the wrong program or the
//   wrong directory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "actors/log/snapshot_checker.h"
#include "runtime/disk_call.h"

namespace sandstore {

struct KeptSnapshot {
    pb::SnapshotMeta meta;
    uint64_t header_bytes = 0;  // Where its first section begins.
};

inline constexpr size_t kSnapshotsKept = 2;

struct RecoveredSnapshots {
    std::vector<KeptSnapshot> kept;    // Newest first.
    std::vector<std::string> damaged;  // Files that were set aside, now or before.
    std::optional<pb::SnapshotMeta> incoming;
    uint64_t incoming_bytes = 0;
};

// Renames a damaged file for the operator, and removes those that were set aside before: the newest of them is kept.
void append_set_aside(DiskCall* call, const std::string& file, std::vector<std::string>* set_aside);

class SnapshotRecovery {
 public:
    static constexpr uint64_t kReadBytes = uint64_t{1} << 20;

    // `start.directory` is set.
    explicit SnapshotRecovery(const pb::StartSnapshots& start);

    DiskCall begin() const;
    enum class Progress { kMore, kDone, kRefused };
    // The answer to the call before. kMore: *next is the next one.
    Progress on_reply(const DiskCall& call, const pb::DiskReply& reply, const Payload& payload, DiskCall* next);

    const std::string& refusal() const { return refusal_; }           // A sentence for the operator.
    const std::vector<std::string>& notes() const { return notes_; }  // For the log, in order.
    RecoveredSnapshots& result() { return result_; }

 private:
    enum class Phase { kList, kCheck, kSetAside, kTakeBack, kIncomingMeta, kIncomingBytes, kClean };
    struct File {
        SnapshotName name;
        std::string file;
        uint64_t bytes = 0;
        bool is_aside = false;  // It was set aside as damaged: maybe what failed was the disk, for a moment.
    };

    bool is_of_use(const File& file) const;
    Progress on_list(const pb::DiskReply& reply, DiskCall* next);
    Progress check_next(DiskCall* next);
    Progress on_checked(const pb::DiskReply& reply, const Payload& payload, DiskCall* next);
    Progress accept(DiskCall* next);
    Progress take_back(DiskCall* next);
    Progress set_aside(std::string why, DiskCall* next);
    Progress look_at_incoming(DiskCall* next);
    Progress on_incoming_meta(const Payload& payload, DiskCall* next);
    Progress on_incoming_bytes(const Payload& payload, DiskCall* next);
    Progress forget_incoming(DiskCall* next);
    Progress clean(DiskCall* next);
    Progress refuse(std::string why);
    std::string path(std::string_view name) const;

    pb::StartSnapshots start_;
    Phase phase_ = Phase::kList;
    std::vector<File> files_;      // Newest first.
    size_t place_ = 0;             // Which of them is looked at.
    size_t unreadable_place_ = 0;  // One more than the place of one that could not be read once.
    std::optional<SnapshotChecker> checker_;
    bool has_incoming_meta_ = false;
    std::optional<uint64_t> incoming_file_bytes_;
    std::vector<std::string> unwanted_;
    RecoveredSnapshots result_;
    std::string refusal_;
    std::vector<std::string> notes_;
};

}  // namespace sandstore
