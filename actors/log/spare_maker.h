// Makes the next segment's file ahead of time: zero-filled, because a sync of bytes written over zeros costs half of
// one that makes a file grow. In small pieces, so that a log write never waits for more than one of them.
#pragma once

#include <string>

#include "runtime/disk_call.h"

namespace sandstore {

// A file that can become a segment. What it holds does not matter: see segment_format.h.
struct SpareSegment {
    std::string file;
    uint64_t size_bytes = 0;
};

inline constexpr size_t kSparesMax = 2;

class SpareMaker {
 public:
    SpareMaker();

    bool busy() const { return !spare_.file.empty(); }
    // Not while less than half of the disk's reserve (disk_reserve.h) would be left free, unless a write waits for it.
    void begin(SpareSegment spare, uint64_t disk_reserve_bytes);
    // Gives up; what is there of the file should be removed.
    std::string abandon();
    // The next piece; a large one when a log write waits for the whole.
    DiskCall next_step(bool urgent);
    enum class Progress { kMore, kDone, kOutOfSpace, kFailed };
    // After kOutOfSpace, next_step() tries the same again. After kDone it is no longer busy.
    Progress on_reply(const pb::DiskReply& reply, SpareSegment* done);

 private:
    Payload zeros(uint64_t length) const;

    Payload zeros_;
    SpareSegment spare_;
    uint64_t disk_reserve_bytes_ = 0;
    bool asks_space_ = false;  // Before it begins.
    uint64_t made_bytes_ = 0;
    uint64_t step_bytes_ = 0;
};

}  // namespace sandstore
