#include "actors/raft/apply_pump.h"

#include <algorithm>

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"

namespace sandstore {

namespace {
constexpr uint64_t kLogReadTimeoutUs = 30'000'000;
}

void ApplyPump::set_metrics(MetricsRegistry& metrics) {
    apply_duration_ = &metrics.histogram("sandstore_fsm_apply_duration_seconds",
                                         "From handing committed entries to the state machine to its answer.");
}

void ApplyPump::start(uint64_t applied_index) {
    applied_ = sent_ = applied_index;
    sent_at_us_.clear();
    read_ = 0;
    paused_ = false;
}

void ApplyPump::pump(Context& context, const EntryCache& cache, uint64_t commit_index, bool want_results) {
    while (!paused_ && sent_ < commit_index && sent_at_us_.size() < kApplyBatchesInFlight && read_ == 0) {
        const uint64_t next = sent_ + 1;
        if (!cache.contains(next)) {
            pb::LogRead read;
            read.set_first_index(next);
            read.set_last_index(std::min(commit_index, cache.first_index() - 1));
            read.set_max_bytes(kApplyBytesMax);
            read_ =
                context.ask({pb::ACTOR_LOG, context.self().instance}, message_of(std::move(read)), kLogReadTimeoutUs);
            return;
        }
        EntryCache::Range range = cache.range(next, commit_index, kApplyBytesMax, kApplyRecordsMax);
        send(context, range.count, std::move(range.records), want_results);
    }
}

bool ApplyPump::on_log_answer(Context& context, const Message& message, bool want_results) {
    if (read_ == 0 || message->reply_to() != read_) return false;
    read_ = 0;
    if (paused_) return true;  // What is in the snapshot need not be applied.
    if (message->body_case() != pb::Envelope::kLogRecords || message->log_records().record_count() == 0) {
        context.warn("reading committed entries from the log gave nothing, trying again", {{"index", sent_ + 1}});
        return true;
    }
    const pb::LogRecords& records = message->log_records();
    SANDSTORE_CHECK(records.first_index() == sent_ + 1, "asked for ", sent_ + 1, ", got ", records.first_index());
    send(context, records.record_count(), message.payload, want_results);
    return true;
}

void ApplyPump::send(Context& context, uint32_t count, Payload records, bool want_results) {
    pb::Apply apply;
    apply.set_first_index(sent_ + 1);
    apply.set_record_count(count);
    apply.set_want_results(want_results);
    sent_ += count;
    sent_bytes_ += records.size();
    sent_at_us_.push_back(context.now_us());
    context.send({pb::ACTOR_STATE_MACHINE, context.self().instance}, message_of(std::move(apply), std::move(records)));
}

void ApplyPump::on_applied(const pb::Applied& applied, Context& context) {
    SANDSTORE_CHECK(applied.last_index() > applied_ && applied.last_index() <= sent_, "applied=", applied.last_index(),
                    " before=", applied_, " sent=", sent_);
    applied_ = applied.last_index();
    SANDSTORE_CHECK(!sent_at_us_.empty(), "applied=", applied_, " was not asked for");
    if (apply_duration_ != nullptr) apply_duration_->observe_us(context.now_us() - sent_at_us_.front());
    sent_at_us_.pop_front();
}

}  // namespace sandstore
