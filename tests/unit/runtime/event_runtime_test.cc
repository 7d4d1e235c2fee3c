#include "runtime/event_runtime.h"

#include <event2/event.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"

namespace sandstore {
namespace {

constexpr uint64_t kLong = 3'600'000'000;  // An hour: a test that waits for it has failed.

class Echo final : public Actor {
 public:
    void receive(Message message, Context& context) override {
        if (message->has_flush()) {
            if (--flushes_left_ > 0) context.send(context.self(), message_of(pb::Flush()));
            return;
        }
        context.reply(reply_to(message), message_of(pb::StatusReply()));
    }

 private:
    int flushes_left_ = 100'000;
};

class EventRuntimeTest : public ::testing::Test {
 protected:
    EventRuntimeTest() {
        runtime.dispatcher().add_actor({{pb::ACTOR_LOG, 0}, [] { return std::make_unique<Echo>(); }, false});
    }
    struct Silence final : Port {
        void handle(Message) override {}
    };
    Silence silence;  // A transport that never answers.
    Logger logger;
    MetricsRegistry metrics;
    EventRuntime runtime{{.node_id = "node-1", .root_seed = 1}, logger, metrics};
};

TEST_F(EventRuntimeTest, an_answer_ends_the_wait_at_once) {
    bool answered = false;
    runtime.dispatcher().ask(pb::ACTOR_LOG, message_of(pb::Drain()), kLong, [&](Message) { answered = true; });
    EXPECT_TRUE(runtime.run_until([&] { return answered; }, kLong));
}

TEST_F(EventRuntimeTest, the_time_limit_ends_the_wait) {
    EXPECT_FALSE(runtime.run_until([] { return false; }, 20'000));
}

TEST_F(EventRuntimeTest, sockets_are_served_while_messages_never_end) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    bool read_event = false;
    event* readable = event_new(
        runtime.base(), ends[0], EV_READ, [](evutil_socket_t, short, void* seen) { *static_cast<bool*>(seen) = true; },
        &read_event);
    event_add(readable, nullptr);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    runtime.dispatcher().send(pb::ACTOR_LOG, message_of(pb::Flush()));
    EXPECT_TRUE(runtime.run_until([&] { return read_event; }, kLong));
    EXPECT_LT(runtime.dispatcher().delivered(), 100'000u);
    event_free(readable);
    close(ends[0]);
    close(ends[1]);
}

TEST_F(EventRuntimeTest, a_deadline_is_kept_without_any_other_event) {
    bool failed = false;
    runtime.dispatcher().ask(Address("node-9", pb::ACTOR_LOG), message_of(pb::Drain()), 10'000,
                             [&](Message message) { failed = message->has_request_failed(); });
    EXPECT_TRUE(runtime.run_until([&] { return failed; }, kLong));
}

// A clock that runs slower than the loop's own: every timer fires early and has to be armed again.
class SlowClock final : public Clock {
 public:
    uint64_t monotonic_us() const override { return start_us_ + (system_.monotonic_us() - start_us_) * 3 / 4; }
    uint64_t wall_us() const override { return system_.wall_us(); }

 private:
    SystemClock system_;
    uint64_t start_us_ = system_.monotonic_us();
};

TEST_F(EventRuntimeTest, a_timer_that_fires_early_is_armed_again) {
    SlowClock clock;
    EventRuntime slow({.node_id = "node-1", .root_seed = 1, .clock = &clock}, logger, metrics);
    slow.dispatcher().add_port({pb::PORT_TRANSPORT, 0}, &silence);
    bool failed = false;
    slow.dispatcher().ask(Address("node-9", pb::ACTOR_LOG), message_of(pb::Drain()), 20'000,
                          [&](Message message) { failed = message->has_request_failed(); });
    EXPECT_TRUE(slow.run_until([&] { return failed; }, kLong));
}

}  // namespace
}  // namespace sandstore
