// What becomes one block: all the LogWrites that arrived while the disk was busy, merged in their order.
#pragma once

#include <optional>
#include <vector>

#include "actors/log/record.h"
#include "messages/log.pb.h"
#include "runtime/message.h"

namespace sandstore {

// One LogWrite, its records walked.
struct PendingWrite {
    Address sender;
    uint64_t write_id = 0;
    std::optional<pb::HardState> hard_state;
    std::optional<pb::LogStart> restart;
    uint64_t first_index = 0;  // 0: no change of the log.
    std::vector<RecordHeader> headers;
    Payload records;

    size_t block_bytes_max() const;  // Of a block with this write alone; also what it adds to a group at most.
};

class WriteGroup {
 public:
    struct Waiter {
        Address sender;
        uint64_t write_id;  // The newest of this sender.
    };

    // Merges: a later hard state wins; a restart drops the records before it; records that a later write replaces are
    // left out. The caller has checked that the write's records continue or replace what is there.
    void add(PendingWrite write);

    bool empty() const { return waiters_.empty(); }
    const std::vector<Waiter>& waiters() const { return waiters_; }
    const std::optional<pb::HardState>& hard_state() const { return hard_state_; }
    const std::optional<pb::LogStart>& restart() const { return restart_; }
    uint64_t first_index() const { return first_index_; }
    const std::vector<RecordHeader>& headers() const { return headers_; }
    size_t record_bytes() const { return records_.size(); }

    // The whole block, padded.
    Payload encode(uint64_t sequence, uint32_t salt) const;
    // Where the first record begins in the block.
    size_t records_offset() const;

 private:
    std::vector<Waiter> waiters_;
    std::optional<pb::HardState> hard_state_;
    std::optional<pb::LogStart> restart_;
    uint64_t first_index_ = 0;
    std::vector<RecordHeader> headers_;
    Payload records_;
};

}  // namespace sandstore
