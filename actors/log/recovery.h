// Reads the log back at boot. A plain object: it says what to ask the disk next and is handed the answers, so that no
// turn is long: at most kReadBytes are looked at in one step.
//
// What it accepts and refuses:
// - The blocks of all segments must follow one another without a gap. After the last valid block of the last segment
//   may come anything that is not a later block: zeros, the former life of a recycled file, a block that was torn by a
//   crash. That block was never acknowledged, and is dropped. What was acknowledged has a seal behind it, which counts
//   as a later block.
// - Anything else is damage before the tail, and refused: a bad block with a later one behind it, a segment that does
//   not continue the one before, a missing or bad segment header, a file of the wrong size. (A segment gets its name
//   only after its zeros and its header are synced, so a crash leaves nothing of that kind.)
// - A log may begin after entry 1: what came before was compacted, or dropped by a restart. Whether a snapshot holds it
//   is for RaftNode to say. A truncation that reaches back before the first segment moves the log's beginning there.
// - Files of another cluster or node, or of an unknown version, are refused.
// - spare-*.seg files are what a crash may leave half made: those of a useful size are used, the others removed.
//
// It cannot see that the very last block was acknowledged and damaged later when the seal is gone too (docs/formats.md,
// "Log"): then the leader finds out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/log/log_index.h"
#include "actors/log/segment_format.h"
#include "actors/log/spare_maker.h"
#include "runtime/disk_call.h"

namespace sandstore {

// The segment that takes the next block.
struct OpenSegment {
    uint64_t number = 0;
    uint64_t segment_bytes = 0;
    uint32_t salt = 0;
    uint64_t end = 0;  // Where the next block goes.
};

struct SegmentFile {
    uint64_t number = 0;
    uint64_t size_bytes = 0;
};

struct RecoveredLog {
    LogIndex index;
    pb::HardState hard_state;
    std::map<uint64_t, std::string> configurations;  // Serialized, by index.
    uint64_t next_sequence = 1;
    std::optional<OpenSegment> segment;  // None: nothing was ever written.
    std::vector<SegmentFile> segments;   // In order; the last one is `segment`.
    std::vector<SpareSegment> spares;
    uint64_t next_spare_number = 1;
};

class LogRecovery {
 public:
    static constexpr uint64_t kReadBytes = uint64_t{1} << 20;

    // `start.directory` is set.
    explicit LogRecovery(const pb::StartLog& start);

    DiskCall begin();
    enum class Progress { kMore, kDone, kRefused };
    // The answer to the call before. kMore: *next is the next one. Errors of the disk are refusals here.
    Progress on_reply(const DiskCall& call, const pb::DiskReply& reply, const Payload& payload, DiskCall* next);

    const std::string& refusal() const { return refusal_; }           // A sentence for the operator.
    const std::vector<std::string>& notes() const { return notes_; }  // For the log, in order.
    RecoveredLog& result() { return result_; }

 private:
    enum class Phase { kList, kHeaders, kBlocks, kTail, kSettle };
    enum class Walk { kBlock, kNeedMore, kSegmentEnd, kRefused };
    struct Segment {
        uint64_t number = 0;
        uint64_t size_bytes = 0;
        SegmentHeader header;
    };

    Progress on_list(const pb::DiskReply& reply, DiskCall* next);
    Progress read_headers(DiskCall* next);
    Progress on_headers(const Payload& payload, DiskCall* next);
    bool check_header(Segment* segment, std::string_view bytes);
    bool check_order();

    Progress enter_segment(DiskCall* next);
    Progress walk(DiskCall* next);
    Walk walk_block();
    Walk bad_block(std::string_view why);
    bool apply_block(const BlockHeader& header, std::string_view body);
    bool apply_truncation(uint64_t first_index);
    bool apply_records(const BlockHeader& header, std::string_view records, uint64_t offset);
    Progress search_tail(DiskCall* next);
    Progress settle(DiskCall* next);

    // The file as a window: bytes from window_start_ on.
    bool in_window(uint64_t length) const { return window_start_ + window_.size() >= position_ + length; }
    std::string_view window_at_position() const { return std::string_view(window_).substr(position_ - window_start_); }
    DiskCall read_more();
    bool take_read(const DiskCall& call, const pb::DiskReply& reply, const Payload& payload);

    std::string file_of(const Segment& segment) const { return segment_file(start_.directory(), segment.number); }
    const Segment& current() const { return segments_[place_]; }
    bool in_last_segment() const { return place_ + 1 == segments_.size(); }
    Progress refuse(std::string why);
    Progress damaged(uint64_t offset, std::string_view what);

    pb::StartLog start_;
    Phase phase_ = Phase::kList;
    std::vector<Segment> segments_;
    std::vector<std::string> junk_;  // Spares of no use.
    size_t place_ = 0;               // Which of segments_ is looked at.
    std::string window_;
    uint64_t window_start_ = 0;
    uint64_t position_ = 0;           // Where the next block is looked for.
    uint64_t tail_offset_ = 0;        // In the last segment: the end of the last valid block.
    std::string tail_problem_;        // Why the bytes there are no block; empty when nothing was begun there.
    std::string last_block_;          // The last valid block, when it is in the last segment,
    uint64_t last_block_offset_ = 0;  // and where it begins.
    RecoveredLog result_;
    std::string refusal_;
    std::vector<std::string> notes_;
};

}  // namespace sandstore
