// LogStore: the write-ahead log of a Raft group, in segments on the log's disk.
//
// In:  StartLog, once, from Bootstrap
//      LogWrite, from the replicator; write_id rises by one, records continue or replace what was written before
//      LogRead, a request
//      LogCompact, from RAFT: entries before an index are not needed any more
//      DiskReply, RequestFailed, TimerFired
// Out: LogRecovered to RAFT, once; then LogWrites are taken
//      LogSpace to RAFT: there is no room on the disk for the next segment, or there is again. Two segments are made
//      ahead, and the second one is a reserve: when it cannot be made, what room is left is for what frees space or
//      governs, and the last half segment for terms and votes.
//      LogPersisted to the sender of LogWrites: the newest of its writes that is durable
//      LogRecords, the reply to LogRead: durable entries only. ENOENT and no records when the first one is not durable
//      yet, or about to be replaced: Raft still holds those.
//      DiskRequest to PORT_LOG_DISK, which carries them out in the order sent
//
// Persists: the entries and the hard state, in log/*.seg (or another directory); segment_format.h and docs/formats.md
// have the layout.
//
// Group commit: one write is on its way to the disk at a time; all that arrives meanwhile becomes the next one, a
// single block with a single sync. There is no timer, so an idle log costs no latency and a busy one batches.
//
// Never: acknowledges before the sync, overwrites what was written (truncation is a block that replaces), tries a
// failed sync again (it stops the node), takes a damaged log for a shorter one. A full disk only delays: blocks go into
// files that are already filled, and the next file is made ahead of time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "actors/log/log_index.h"
#include "actors/log/recovery.h"
#include "actors/log/spare_maker.h"
#include "actors/log/write_group.h"
#include "messages/runtime.pb.h"
#include "runtime/actor.h"
#include "runtime/disk_call.h"

namespace sandstore {

class Counter;
class Gauge;
class Histogram;

class LogStore final : public Actor {
 public:
    static constexpr size_t kGroupBytesMax = size_t{4} << 20;      // Of one block with several writes.
    static constexpr size_t kReadsMax = 64;                        // LogReads under way.
    static constexpr uint64_t kReadBytesMax = uint64_t{16} << 20;  // Of one LogRecords.
    static constexpr uint64_t kDiskTimeoutUs = 300'000'000;        // After that the node stops: a dead disk.
    static constexpr uint64_t kOutOfSpaceRetryUs = 1'000'000;
    static constexpr uint64_t kBusyRetryUs = 10'000;

    LogStore();
    ~LogStore() override;
    void receive(Message message, Context& context) override;

 private:
    enum class State { kNew, kRecovering, kRunning, kStopped };
    enum TimerTag : uint32_t { kRetryRecovery = 1, kRetryWrite = 2, kRetrySpare = 3, kRetryDrop = 4 };
    struct PendingRead;
    struct Metrics;

    void on_start_log(const pb::StartLog& start, Context& context);
    void on_log_write(Message message, Context& context);
    void on_log_read(const Message& message, Context& context);
    void on_log_compact(const pb::LogCompact& compact, Context& context);
    void on_disk_reply(Message message, Context& context);
    void on_request_failed(const Message& message, Context& context);
    void on_timer_fired(const pb::TimerFired& fired, Context& context);

    // Recovery at boot.
    void ask_recovery(Context& context);
    void on_recovery_reply(const pb::DiskReply& reply, const Payload& payload, Context& context);
    void finish_recovery(Context& context);

    // Writing: log_store_write.cc.
    void accept_write(PendingWrite write);
    void accept_hard_state(const pb::HardState& next);
    void write_next(Context& context);
    bool choose_segment(size_t block_bytes, Context& context);
    void form_group();
    void check_terms() const;
    void submit_group(Context& context);
    void append_roll(DiskCall* call, Context& context);
    void on_write_reply(const pb::DiskReply& reply, Context& context);
    void apply_group(Context& context);

    // The next segment's file.
    void make_spare(uint64_t size_bytes, Context& context);
    void ask_spare(Context& context);
    void on_spare_reply(const pb::DiskReply& reply, Context& context);
    void add_spare(SpareSegment spare, Context& context);
    void tell_space(bool full, std::string detail, Context& context);
    size_t spares_wanted() const;
    uint64_t room_bytes() const;  // In the open segment and the spares.

    // Dropping what is not needed any more: log_store_compact.cc.
    void drop_dead_segments(Context& context);
    void drop_next(Context& context);
    void on_drop_reply(const pb::DiskReply& reply, Context& context);

    // Reading: log_store_read.cc.
    uint64_t readable_end() const;
    std::unique_ptr<PendingRead> plan_read(const pb::LogRead& read, DiskCall* call) const;
    void on_read_reply(const PendingRead& read, const pb::DiskReply& reply, const Payload& payload, Context& context);
    void reply_records(const ReplyTo& to, pb::StatusCode code, std::string_view why, uint64_t first_index,
                       Context& context);

    RequestId ask_disk(const DiskCall& call, Context& context);
    void forget_roll(uint32_t failed_operation);
    void ask_again_later(RequestId request, Context& context);
    void stop(std::string reason, Context& context);

    State state_ = State::kNew;
    pb::StartLog start_;
    std::unique_ptr<Metrics> metrics_;

    std::unique_ptr<LogRecovery> recovery_;
    DiskCall recovery_call_;
    RequestId recovery_request_ = 0;

    // What is durable.
    LogIndex index_;
    pb::HardState hard_state_;
    uint64_t next_sequence_ = 1;
    std::optional<OpenSegment> segment_;
    std::deque<SegmentFile> segments_;  // In order; the last one is segment_.

    // What is not: the group on its way to the disk, and the writes behind it.
    std::deque<PendingWrite> queue_;
    uint64_t last_write_id_ = 0;
    uint64_t queued_first_index_ = 1;  // The log's beginning with all that is queued,
    uint64_t queued_last_index_ = 0;   // its end,
    pb::HardState queued_hard_state_;  // and the hard state.
    WriteGroup group_;
    std::optional<SpareSegment> roll_into_;  // The group begins a new segment, in this file,
    SegmentHeader roll_header_;              // with this header.
    uint32_t roll_operations_ = 0;           // Of the request: those that make the segment.
    DiskCall write_call_;                    // Kept: it is sent again when the disk was full or busy.
    RequestId write_request_ = 0;
    bool write_waits_for_retry_ = false;

    std::deque<SpareSegment> spares_;
    uint64_t next_spare_number_ = 1;
    SpareMaker maker_;
    DiskCall spare_call_;
    RequestId spare_request_ = 0;
    bool write_waits_for_spare_ = false;
    TimerId spare_space_timer_ = 0;  // The maker waits for space.
    bool full_ = false;              // As told to RAFT.
    bool exhausted_ = false;         // Likewise.

    uint64_t keep_from_segment_ = 0;    // Those before it are to be dropped,
    std::deque<std::string> unwanted_;  // and these files removed,
    DiskCall drop_call_;                // one at a time, so that no log write waits for more than one of them.
    RequestId drop_request_ = 0;
    bool drop_waits_for_retry_ = false;
    std::optional<SpareSegment> recycled_;  // What the segment being dropped becomes.

    std::map<RequestId, std::unique_ptr<PendingRead>> reads_;
};

}  // namespace sandstore
