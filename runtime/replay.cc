#include "runtime/replay.h"

#include <google/protobuf/util/message_differencer.h>

#include <set>
#include <vector>

#include "messages/trace.pb.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/dispatcher.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/text.h"
#include "runtime/trace_reader.h"
#include "runtime/trace_recorder.h"

namespace sandstore {

namespace {

// Collects effects in the form in which the trace holds them.
class ReplayContext final : public Context {
 public:
    ReplayContext(LocalAddress self, uint64_t root_seed)
        : self_(self), random_(random_stream_of(self, root_seed)), next_request_(first_request_id(root_seed, self)) {}

    void begin(const pb::TraceDeliver& deliver) {
        now_us_ = deliver.now_us();
        wall_us_ = deliver.wall_us();
        cause_ = deliver.sequence();
        ordinal_ = 0;
        random_.skip_to(deliver.draws());
        effects_.clear();
    }
    const std::vector<pb::TraceEffect>& effects() const { return effects_; }

    uint64_t now_us() const override { return now_us_; }
    uint64_t wall_us() const override { return wall_us_; }
    LocalAddress self() const override { return self_; }
    uint64_t random() override { return random_.next(); }

    void send(const Address& to, Message message) override {
        pb::TraceEffect& effect = add();
        message->clear_from_node();
        message->set_from_actor(self_.actor);
        message->set_from_instance(self_.instance);
        message->set_to_node(to.node);
        message->set_to_actor(to.actor);
        message->set_to_instance(to.instance);
        if (!message.payload.empty()) {
            describe_payload(message, PayloadDetail::kAll, effect.mutable_payload());
        }
        *effect.mutable_send() = std::move(message.envelope());
    }
    RequestId ask(const Address& to, Message message, uint64_t timeout_us) override {
        const RequestId id = next_request_++;
        message->set_request_id(id);
        message->set_deadline_us(now_us_ + timeout_us);
        send(to, std::move(message));
        return id;
    }
    void reply(const ReplyTo& to, Message message) override {
        if (to.request_id == 0) return;
        message->set_reply_to(to.request_id);
        send(to.address, std::move(message));
    }
    TimerId arm_timer(uint64_t delay_us, uint32_t tag, uint64_t data) override {
        const TimerId id = next_timer_++;
        pb::TraceEffect::ArmTimer* arm = add().mutable_arm_timer();
        arm->set_timer_id(id);
        arm->set_tag(tag);
        arm->set_data(data);
        arm->set_delay_us(delay_us);
        live_timers_.insert(id);
        return id;
    }
    void cancel_timer(TimerId timer) override {
        if (live_timers_.erase(timer) == 0) return;
        add().mutable_cancel_timer()->set_timer_id(timer);
    }
    void timer_fired(TimerId timer) { live_timers_.erase(timer); }
    void restarted() { live_timers_.clear(); }
    void fail_stop(std::string reason) override {
        stop_reason_ = reason;
        add().mutable_fail_stop()->set_reason(std::move(reason));
    }
    const std::string& stop_reason() const { return stop_reason_; }
    bool log_enabled(LogLevel) const override { return false; }
    void log(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
    MetricsRegistry& metrics() override { return metrics_; }

 private:
    pb::TraceEffect& add() {
        pb::TraceEffect& effect = effects_.emplace_back();
        effect.set_cause(cause_);
        effect.set_ordinal(ordinal_++);
        return effect;
    }

    LocalAddress self_;
    RandomStream random_;
    RequestId next_request_;
    TimerId next_timer_ = 1;
    std::set<TimerId> live_timers_;
    uint64_t now_us_ = 0;
    uint64_t wall_us_ = 0;
    uint64_t cause_ = 0;
    uint32_t ordinal_ = 0;
    std::vector<pb::TraceEffect> effects_;
    std::string stop_reason_;
    MetricsRegistry metrics_;
};

std::string describe(const pb::TraceEffect& effect) {
    pb::TraceEffect shown = effect;
    if (shown.has_payload()) shown.mutable_payload()->clear_content();
    return shown.ShortDebugString();
}

// Where in the source an invariant stands may have changed since; which one it is counts.
std::string without_place(const std::string& reason) {
    constexpr std::string_view kStart = "broken invariant at ";
    const size_t end = reason.find(": ");
    return reason.starts_with(kStart) && end != std::string::npos ? reason.substr(end + 2) : reason;
}

class Replayer {
 public:
    Replayer(LocalAddress address, uint64_t root_seed, const std::function<std::unique_ptr<Actor>()>& make,
             ReplayMode mode)
        : address_(address), make_(make), mode_(mode), actor_(make()), context_(address, root_seed) {}

    // False at the first difference.
    bool take(const pb::TraceRecord& record) {
        if (record.has_effect()) return !is_ours(record.effect()) || compare(record.effect());
        if (record.has_stop()) return node_stopped(record.stop());
        if (record.has_restart() && is_of_us(record.restart())) return restarted(record.restart());
        if (!record.has_deliver()) return true;
        if (!complete()) return false;
        return !is_to_us(record.deliver().envelope()) || deliver(record.deliver());
    }
    bool has_missing_effects() const { return next_effect_ < context_.effects().size(); }
    bool failed() const { return !failure_.empty(); }
    ReplayResult result;

 private:
    bool is_to_us(const pb::Envelope& envelope) const {
        return envelope.to_actor() == address_.actor && envelope.to_instance() == address_.instance;
    }
    bool is_of_us(const pb::TraceRestart& restart) const {
        return restart.actor() == address_.actor && restart.instance() == address_.instance;
    }
    bool is_ours(const pb::TraceEffect& effect) const { return effect.cause() == cause_ && cause_ != 0; }

    // Are all effects of the last delivery accounted for, and its end?
    bool complete() {
        if (has_missing_effects()) return differ("nothing more", describe(context_.effects()[next_effect_]));
        if (failed()) return differ("a normal end", failure_);
        return true;
    }

    bool deliver(const pb::TraceDeliver& recorded) {
        cause_ = recorded.sequence();
        body_ = std::string(body_name(recorded.envelope()));
        next_effect_ = 0;
        context_.begin(recorded);
        if (recorded.envelope().has_timer_fired()) context_.timer_fired(recorded.envelope().timer_fired().timer_id());
        result.deliveries++;
        Payload payload = payload_of(recorded.payload());
        lacks_data_ = lacks_data_ || crc32c(payload) != recorded.payload().crc32c();
        try {
            actor_->receive(Message(recorded.envelope(), std::move(payload)), context_);
        } catch (const std::exception& error) {
            failure_ = error.what();  // What the trace says next tells whether it was so then.
        }
        return true;
    }

    // Both endings must be what happened in the last delivery now as well.
    bool restarted(const pb::TraceRestart& recorded) {
        if (!same_end(recorded.reason())) return false;
        actor_ = make_();
        context_.restarted();
        return true;
    }
    bool node_stopped(const pb::TraceStop& recorded) {
        if (recorded.cause() != cause_ || cause_ == 0) return complete();
        if (context_.stop_reason() == recorded.reason()) {
            result.ending = recorded.reason();
            return complete();
        }
        return same_end(recorded.reason());
    }
    bool same_end(const std::string& recorded) {
        if (has_missing_effects()) return differ("nothing more", describe(context_.effects()[next_effect_]));
        if (!failed()) return differ(str_cat("failure: ", recorded), "a normal end");
        // A node says "raft failed: ..." when an actor that cannot be restarted throws.
        if (!without_place(recorded).ends_with(without_place(failure_))) {
            return differ(str_cat("failure: ", recorded), str_cat("failure: ", failure_));
        }
        result.ending = std::move(failure_);
        failure_.clear();
        return true;
    }

    bool compare(const pb::TraceEffect& recorded) {
        if (next_effect_ >= context_.effects().size()) return differ(describe(recorded), "nothing more");
        pb::TraceEffect now = context_.effects()[next_effect_++];
        // A flight recorder keeps the checksum of what was sent, not the content.
        if (!recorded.payload().has_content() && now.payload().has_content()) {
            now.mutable_payload()->clear_content();
            now.mutable_payload()->clear_has_content();
        }
        result.effects++;
        std::string fields;
        if (mode_ == ReplayMode::kStrict) {
            if (recorded.SerializeAsString() == now.SerializeAsString()) return true;
            fields = "(the bytes differ)\n";
        }
        google::protobuf::util::MessageDifferencer differencer;
        differencer.ReportDifferencesToString(&fields);
        if (differencer.Compare(recorded, now) && mode_ == ReplayMode::kSemantic) return true;
        return differ(describe(recorded), str_cat(describe(now), "\nfields:\n", fields));
    }
    bool differ(const std::string& recorded, const std::string& now) {
        if (lacks_data_) {
            result.lacks_data = true;
            result.note =
                str_cat("from delivery ", cause_, " (", body_, ") on what this actor does depends on file data",
                        ", which this trace has only measured: record with --trace-content");
            return false;
        }
        result.same = false;
        result.difference = str_cat("delivery ", cause_, " (", body_, "), effect ", next_effect_,
                                    "\nrecorded: ", recorded, "\nnow:      ", now);
        return false;
    }

    LocalAddress address_;
    const std::function<std::unique_ptr<Actor>()>& make_;
    ReplayMode mode_;
    std::unique_ptr<Actor> actor_;
    ReplayContext context_;
    uint64_t cause_ = 0;
    std::string body_;
    std::string failure_;  // What the last delivery threw.
    bool lacks_data_ = false;
    size_t next_effect_ = 0;
};

// A flight recording has all of an actor's life or only its last part.
bool has_whole_life(const pb::TraceHeader& header, LocalAddress address) {
    if (!header.is_flight_recording()) return true;
    for (const pb::TraceActor& whole : header.whole_lives()) {
        if (whole.actor() == address.actor && whole.instance() == address.instance) return true;
    }
    return false;
}

}  // namespace

ReplayResult replay_actor(TraceReader& trace, LocalAddress address, const std::function<std::unique_ptr<Actor>()>& make,
                          ReplayMode mode) {
    Replayer replayer(address, trace.header().root_seed(), make, mode);
    if (!has_whole_life(trace.header(), address)) {
        replayer.result.begins_late = true;
        replayer.result.note = str_cat("this flight recording does not go back to the start of ", to_string(address),
                                       ": it can be printed and drawn, not run again");
        return replayer.result;
    }
    pb::TraceRecord record;
    while (true) {
        const TraceReader::Outcome outcome = trace.next(&record);
        if (outcome == TraceReader::Outcome::kRecord) {
            if (!replayer.take(record)) return replayer.result;
            continue;
        }
        if (outcome == TraceReader::Outcome::kEnd) {
            // A killed process may have written a delivery without all of its effects.
            if (replayer.has_missing_effects()) replayer.result.note = "the trace ends inside the last delivery";
        } else if (outcome == TraceReader::Outcome::kCutOff) {
            // The effects of the last delivery may be among what was lost.
            replayer.result.note = str_cat("the trace is cut off at offset ", trace.offset(), "; replayed up to there");
        } else {
            replayer.result.damaged = true;
            replayer.result.note = str_cat("the trace is damaged at offset ", trace.offset());
        }
        if (replayer.failed()) {
            str_append(&replayer.result.note, replayer.result.note.empty() ? "" : "; ",
                       "the last delivery fails now, and the trace does not say how it ended");
        }
        return replayer.result;
    }
}

}  // namespace sandstore
