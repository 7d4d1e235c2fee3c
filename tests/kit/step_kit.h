// Steps one actor by hand: deliver a message, look at what it did, move the clock. Nothing happens by itself.
//
//     StepKit kit(std::make_unique<LogStore>(), {pb::ACTOR_LOG});
//     kit.deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
//     Message read = kit.take(pb::Envelope::kDiskRequest);          // the oldest unseen message with this body, or a
//     failure kit.answer(read, message_of(disk_reply, payload)); kit.expect_nothing(); kit.advance(150'000); // fires
//     due timers in order
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "messages/envelope.pb.h"
#include "runtime/actor.h"
#include "runtime/metrics.h"
#include "runtime/random.h"

namespace sandstore {

// One thing the actor did, in order.
struct StepEffect {
    Message message;          // to_*, from_*, request_id / reply_to and deadline filled in.
    uint64_t timeout_us = 0;  // Of an ask.
};

class StepKit final : private Context {
 public:
    StepKit(std::unique_ptr<Actor> actor, LocalAddress self, uint64_t seed = 1);
    ~StepKit() override;

    // Delivers a message as if sent by `from`. Returns nothing: look at the effects.
    void deliver(Message message, Address from = {});
    // As a request: gives the id under which the answer must come (`take_answer`).
    uint64_t request(Message message, Address from, uint64_t timeout_us = 1'000'000);
    // Replies to a request that the actor asked.
    void answer(const Message& asked, Message reply);
    void fail(const Message& asked, pb::StatusCode code, std::string_view why = "failed by the test");

    // Time. Timers due are delivered one by one, with the clock at their due time.
    void advance(uint64_t microseconds);
    bool fire_next_timer();  // Jumps to the next timer; false when there is none.
    uint64_t now_us() const override { return now_us_; }
    uint64_t wall_us() const override { return wall_base_us_ + now_us_; }
    size_t timers() const { return timers_.size(); }

    // Effects not taken yet.
    bool has(pb::Envelope::BodyCase body) const;
    size_t count(pb::Envelope::BodyCase body) const;
    Message take(pb::Envelope::BodyCase body);  // Oldest with this body; a test failure without one.
    Message take_to(pb::Envelope::BodyCase body, std::string_view node);  // ... and this to_node.
    Message take_answer(uint64_t request_id);                             // The reply to request().
    std::optional<Message> try_take(pb::Envelope::BodyCase body);
    void expect_nothing() const;  // A test failure, with their names, when any is left.
    void drop_effects() { effects_.clear(); }
    const std::deque<StepEffect>& effects() const { return effects_; }
    const std::optional<std::string>& stopped() const { return stopped_; }  // The reason given to fail_stop.
    bool logged(std::string_view part) const;                               // A log line contains this.

    MetricsRegistry& metrics() override { return metrics_; }
    Actor& actor() { return *actor_; }

 private:
    struct Timer {
        uint32_t tag;
        uint64_t data;
        TimerId id;
    };

    LocalAddress self() const override { return self_; }
    uint64_t random() override { return random_.next(); }
    void send(const Address& to, Message message) override;
    RequestId ask(const Address& to, Message message, uint64_t timeout_us) override;
    void reply(const ReplyTo& to, Message message) override;
    TimerId arm_timer(uint64_t delay_us, uint32_t tag, uint64_t data) override;
    void cancel_timer(TimerId timer) override;
    void fail_stop(std::string reason) override;
    bool log_enabled(LogLevel) const override { return true; }
    void log(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override;

    std::unique_ptr<Actor> actor_;
    LocalAddress self_;
    RandomStream random_;
    MetricsRegistry metrics_;
    uint64_t now_us_ = 1'000'000;
    uint64_t wall_base_us_ = 1'700'000'000'000'000;
    uint64_t next_request_ = 1;
    uint64_t next_outside_request_ = 1'000'000;
    TimerId next_timer_ = 1;
    std::multimap<uint64_t, Timer> timers_;
    std::map<uint64_t, Address> outside_;
    std::deque<StepEffect> effects_;
    std::vector<std::string> lines_;
    std::optional<std::string> stopped_;
};

}  // namespace sandstore
