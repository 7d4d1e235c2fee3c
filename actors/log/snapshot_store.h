// SnapshotStore: the snapshots of a Raft group, as files on the disk of the chunks, so that the log's is never held up.
//
// In:  StartSnapshots, once, from Bootstrap
//      SaveSnapshot, a request from RaftNode: writes what the state machine has frozen
//      SnapshotReceive, a request from RaftNode: bytes of a leader's snapshot, in order
//      SnapshotRead, a request from RaftNode: bytes of a snapshot's file, for a peer
//      SnapshotVerify, a request from RaftNode: is all of a snapshot as it was written?
//      ReadSection, a request from StateMachine: one piece of a snapshot, its checksum verified
//      StatePiece, DiskReply, RequestFailed, TimerFired
// Out: SnapshotsRecovered to RAFT, once; then requests are served
//      ReadState to STATE_MACHINE; SnapshotSaved, SnapshotReceived, SnapshotBytes, SnapshotVerified, SnapshotSection:
//        the replies
//      DiskRequest to PORT_CHUNK_DISK
//
// Persists: the two newest snapshots, and what has arrived of the one that is being received, in snapshots/;
// snapshot_format.h and docs/formats.md have the layout.
//
// One snapshot is saved and one is received at a time; each has one disk request on its way, so that its writes keep
// their order in the disk's pool. At most two pieces of the state are in memory.
//
// Never: gives a file its name before all of it is synced and, when it came from a leader, read back and checked;
// touches the older snapshots when something fails; tries a failed sync again (it stops the node).
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/log/snapshot_recovery.h"
#include "messages/runtime.pb.h"
#include "runtime/actor.h"
#include "runtime/disk_call.h"

namespace sandstore {

class SnapshotStore final : public Actor {
 public:
    static constexpr uint64_t kSyncBytes = uint64_t{4} << 20;     // Written between two syncs, about.
    static constexpr uint64_t kReadBytesMax = uint64_t{4} << 20;  // Of one SnapshotBytes.
    static constexpr size_t kReadsMax = 32;     // SnapshotReads, -Verifies and ReadSections under way.
    static constexpr size_t kReceivesMax = 16;  // SnapshotReceives that wait.
    static constexpr uint64_t kSectionGuessBytes = uint64_t{512} << 10;
    static constexpr uint64_t kDiskTimeoutUs = 300'000'000;  // After that the node stops: a dead disk.
    static constexpr uint64_t kStateTimeoutUs = 60'000'000;
    static constexpr uint64_t kBusyRetryUs = 10'000;
    static constexpr uint64_t kOutOfSpaceRetryUs = 1'000'000;
    static constexpr uint64_t kReadAgainUs = 100'000;

    SnapshotStore();
    ~SnapshotStore() override;
    void receive(Message message, Context& context) override;

 private:
    enum class State { kNew, kRecovering, kRunning, kStopped };
    // Each has one request to the disk at a time. Also the tags of the timers with which they try again.
    enum Task : uint32_t { kBoot = 0, kSave = 1, kReceive = 2, kRetire = 3, kSetAside = 4, kTasks = 5 };
    static constexpr uint32_t kReadAgain = kTasks;  // The tag of one more timer.
    struct TaskCall {
        DiskCall call;
        RequestId request = 0;
        bool waits_for_retry = false;
        bool busy() const { return request != 0 || waits_for_retry; }
    };
    struct Saving;
    struct Receiving;
    struct Arrival;
    struct Reading;

    void on_start_snapshots(const pb::StartSnapshots& start, Context& context);
    void on_disk_reply(const Message& message, Context& context);
    void on_request_failed(const Message& message, Context& context);
    void ask_task(Task task, DiskCall call, Context& context);
    void ask_again(Task task, Context& context);
    void retry_later(Task task, uint64_t delay_us, Context& context);
    void on_boot_reply(const pb::DiskReply& reply, const Payload& payload, Context& context);
    void finish_recovery(Context& context);

    // Files.
    std::string path(std::string_view name) const;
    const KeptSnapshot* find(uint64_t index, uint64_t term) const;
    void keep(KeptSnapshot snapshot, Context& context);
    void retire_next(Context& context);
    void on_retire_reply(const pb::DiskReply& reply, Context& context);

    // Saving: snapshot_store_save.cc.
    void on_save_snapshot(const Message& message, Context& context);
    void on_state_piece(const Message& message, Context& context);
    void ask_piece(Context& context);
    void write_piece(Context& context);
    void end_file(DiskCall* call);
    void finish_save(Context& context);
    void on_save_reply(const pb::DiskReply& reply, Context& context);
    void fail_save(pb::Status status, Context& context);
    void reply_saved(const ReplyTo& to, const pb::Status& status, const pb::SnapshotMeta& meta, Context& context);

    // Receiving: snapshot_store_receive.cc.
    void on_snapshot_receive(Message message, Context& context);
    void take_next_arrival(Context& context);
    bool is_received(const pb::SnapshotMeta& meta) const;
    bool answer_without_taking(const Arrival& arrival, Context& context);
    void begin_receiving(const pb::SnapshotMeta& meta, DiskCall* call);
    void take_bytes(Context& context);
    void read_back(Context& context);
    void on_receive_reply(const pb::DiskReply& reply, const Payload& payload, Context& context);
    void on_read_back(const Payload& payload, Context& context);
    void finish_receiving(Context& context);
    void end_arrival(const pb::Status& status, bool complete, Context& context);
    void give_up_receiving(pb::Status status, Context& context);
    void reply_received(const Arrival& arrival, const pb::Status& status, uint64_t next_offset, bool complete,
                        Context& context);

    // Reading: snapshot_store_read.cc.
    void on_snapshot_read(const Message& message, Context& context);
    void on_read_section(const Message& message, Context& context);
    void ask_read(std::unique_ptr<Reading> reading, uint64_t length, Context& context);
    void on_read_reply(std::unique_ptr<Reading> reading, const pb::DiskReply& reply, const Payload& payload,
                       Context& context);
    bool may_be_read_again(Reading& reading, int error) const;
    void read_later(std::unique_ptr<Reading> reading, Context& context);
    void read_again(Context& context);
    void on_section_bytes(std::unique_ptr<Reading> reading, const Payload& payload, Context& context);
    void reply_bytes(const Reading& reading, const pb::Status& status, Payload payload, Context& context);
    void on_snapshot_verify(const Message& message, Context& context);
    void verify_more(std::unique_ptr<Reading> reading, Context& context);
    void on_verify_bytes(std::unique_ptr<Reading> reading, const Payload& payload, Context& context);
    void set_aside(std::unique_ptr<Reading> reading, std::string problem, Context& context);
    void set_aside_next(Context& context);
    void on_set_aside_reply(const pb::DiskReply& reply, Context& context);
    void reply_verified(const Reading& reading, const pb::Status& status, Context& context);
    void fail_read(const Reading& reading, pb::StatusCode code, std::string_view why, Context& context);

    void stop(std::string reason, Context& context);

    State state_ = State::kNew;
    pb::StartSnapshots start_;
    std::unique_ptr<SnapshotRecovery> recovery_;
    std::array<TaskCall, kTasks> tasks_;

    std::vector<KeptSnapshot> kept_;                // Newest first.
    std::deque<std::string> retired_;               // Files to remove.
    std::deque<std::unique_ptr<Reading>> damaged_;  // Verified and found bad: the files to set aside, and who asked.
    std::vector<std::string> set_aside_;            // Earlier ones, under their new names: the newest is kept.

    uint64_t next_temporary_ = 1;
    std::unique_ptr<Saving> saving_;
    std::unique_ptr<Receiving> receiving_;  // There may be one without any request under way: the leader is slow.
    std::deque<Arrival> arrivals_;          // The first one is being worked on.
    std::map<RequestId, std::unique_ptr<Reading>> reads_;
    std::vector<std::unique_ptr<Reading>> to_read_again_;  // Sections that the disk could not give just now.
};

}  // namespace sandstore
