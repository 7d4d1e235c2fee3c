// Feeds committed entries to the state machine, in order, in bounded batches, from memory or from the log.
#pragma once

#include <cstdint>
#include <deque>

#include "actors/raft/entry_cache.h"
#include "runtime/actor.h"

namespace sandstore {

namespace pb {
class Applied;
}

class Histogram;
class MetricsRegistry;

inline constexpr uint32_t kApplyRecordsMax = 1024;    // Of one Apply: keeps the state machine's turn short.
inline constexpr uint64_t kApplyBytesMax = 1u << 20;  // Likewise.
inline constexpr uint32_t kApplyBatchesInFlight = 2;  // One being applied, one waiting.

class ApplyPump {
 public:
    void set_metrics(MetricsRegistry& metrics);  // Before all else.
    // The state machine holds everything up to here already. Whatever was on its way is done or void.
    void start(uint64_t applied_index);
    // Nothing is sent until start(): the state machine is being restored from a snapshot.
    void pause() { paused_ = true; }
    bool paused() const { return paused_; }

    // Sends what is committed and not sent yet. `commit_index` never falls.
    void pump(Context& context, const EntryCache& cache, uint64_t commit_index, bool want_results);
    // True when the message was the answer to a read of this pump; then pump() should follow.
    bool on_log_answer(Context& context, const Message& message, bool want_results);
    void on_applied(const pb::Applied& applied, Context& context);

    uint64_t applied_index() const { return applied_; }
    uint64_t sent_index() const { return sent_; }
    uint64_t sent_bytes() const { return sent_bytes_; }  // Of records, since the process began.

 private:
    void send(Context& context, uint32_t count, Payload records, bool want_results);

    uint64_t applied_ = 0;
    uint64_t sent_ = 0;
    uint64_t sent_bytes_ = 0;
    bool paused_ = false;
    std::deque<uint64_t> sent_at_us_;  // Of the Apply messages in flight.
    Histogram* apply_duration_ = nullptr;
    RequestId read_ = 0;
};

}  // namespace sandstore
