// LogStore drops what snapshots hold: entries from the index, and segments that hold nothing else, which become spares.
#include <algorithm>
#include <utility>

#include "actors/log/log_store.h"
#include "actors/log/log_store_parts.h"
#include "runtime/check.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

void LogStore::on_log_compact(const pb::LogCompact& compact, Context& context) {
    SANDSTORE_CHECK(state_ == State::kRunning, "the log is compacted before it was recovered");
    // Entries that are not durable yet, or are about to be replaced, are not here to be dropped: they come after it.
    const uint64_t first_index = std::min(static_cast<uint64_t>(compact.first_index()), readable_end());
    if (first_index <= index_.first_index()) return;
    index_.drop_before(first_index);
    queued_first_index_ = std::max(queued_first_index_, std::min(first_index, queued_last_index_ + 1));
    drop_dead_segments(context);
}

// Entries with higher indices were never written before those with lower ones, so the segments before that of the first
// entry hold none that counts. What else they say, the hard state above all, the header of each later segment repeats.
// The open segment stays in any case.
void LogStore::drop_dead_segments(Context& context) {
    if (!segment_) return;
    uint64_t keep_from = index_.empty() ? segment_->number : index_.place(index_.first_index()).segment;
    if (planted("compaction-drops-one-too-many")) keep_from = std::min(keep_from + 1, segment_->number);
    keep_from_segment_ = std::max(keep_from_segment_, keep_from);
    drop_next(context);
}

// In the order of their numbers, each one durably before the next: a crash leaves no gap.
void LogStore::drop_next(Context& context) {
    if (drop_request_ != 0 || drop_waits_for_retry_) return;
    drop_call_ = {};
    if (!unwanted_.empty()) {
        drop_call_.remove(unwanted_.front());
    } else if (!segments_.empty() && segments_.front().number < keep_from_segment_) {
        const SegmentFile& segment = segments_.front();
        const std::string file = segment_file(start_.directory(), segment.number);
        const size_t coming = maker_.busy() && spare_space_timer_ == 0 ? 1 : 0;
        const bool useful = segment.size_bytes >= start_.segment_bytes() && spares_.size() + coming < kSparesMax;
        if (useful) {
            recycled_ = SpareSegment{spare_file(start_.directory(), next_spare_number_++), segment.size_bytes};
            drop_call_.rename(file, recycled_->file);
        } else {
            drop_call_.remove(file);
        }
    } else {
        return;
    }
    drop_request_ = ask_disk(drop_call_, context);
}

void LogStore::on_drop_reply(const pb::DiskReply& reply, Context& context) {
    if (reply.error() != 0) {
        const std::string failure = describe_failure(drop_call_.request, reply);
        if (reply.sync_failed()) {
            return stop(str_cat("An old segment of the log could not be dropped: ", failure,
                                ". Check the disk, then start the node again"),
                        context);
        }
        context.warn("An old segment of the log could not be dropped; it is tried again", {{"error", failure}});
        drop_waits_for_retry_ = true;
        context.arm_timer(kOutOfSpaceRetryUs, kRetryDrop);
        return;
    }
    if (!unwanted_.empty() && drop_call_.request.operations(0).remove().file() == unwanted_.front()) {
        unwanted_.pop_front();
        return drop_next(context);
    }
    segments_.pop_front();
    metrics_->segments.set(static_cast<double>(segments_.size()));
    if (std::optional<SpareSegment> spare = std::exchange(recycled_, std::nullopt)) {
        if (spare_space_timer_ != 0) {
            // The one that is being made would only take the space that others wait for.
            context.cancel_timer(spare_space_timer_);
            spare_space_timer_ = 0;
            unwanted_.push_back(maker_.abandon());
        }
        add_spare(std::move(*spare), context);
    }
    if (state_ == State::kRunning) drop_next(context);
}

}  // namespace sandstore
