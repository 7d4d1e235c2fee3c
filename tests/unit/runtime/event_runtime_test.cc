#include "runtime/event_runtime.h"

#include <event2/event.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string_view>

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

// A person's clock: it jumps while a process is stopped.
struct WallOfAPerson final : Clock {
    uint64_t now_us = 1'000'000;
    uint64_t monotonic_us() const override { return now_us; }
    uint64_t wall_us() const override { return now_us; }
};

TEST(AwakeClockTest, the_time_that_the_process_was_stopped_does_not_count) {
    WallOfAPerson wall;
    AwakeClock clock(wall);
    const uint64_t begin_us = clock.monotonic_us();
    wall.now_us += 900'000;
    EXPECT_EQ(clock.monotonic_us(), begin_us + 900'000);
    wall.now_us += 3'600'000'000;
    EXPECT_EQ(clock.monotonic_us(), begin_us + 900'000);
    wall.now_us += 500'000;
    EXPECT_EQ(clock.monotonic_us(), begin_us + 1'400'000);
}

class JumpingClock final : public Clock {
 public:
    uint64_t monotonic_us() const override { return system_.monotonic_us() + jumped_us; }
    uint64_t wall_us() const override { return system_.wall_us(); }
    uint64_t jumped_us = 0;

 private:
    SystemClock system_;
};

class StoppedRuntimeTest : public EventRuntimeTest {
 public:
    StoppedRuntimeTest() { stopped.dispatcher().add_port({pb::PORT_TRANSPORT, 0}, &port); }
    void ask(uint64_t timeout_us) {
        stopped.dispatcher().ask(
            Address("node-9", pb::ACTOR_LOG), message_of(pb::Drain()), timeout_us,
            [this](Message message) { ended = message->has_request_failed() ? "failed" : "answered"; });
        ASSERT_TRUE(stopped.run_until([&] { return port.to.request_id != 0; }, kLong));
    }
    bool run() {
        return stopped.run_until([&] { return !ended.empty(); }, kLong);
    }

    struct LateAnswer final : Port {
        void handle(Message message) override { to = reply_to(message); }
        ReplyTo to;
    } port;
    JumpingClock clock;
    EventRuntime stopped{
        {.node_id = "client", .root_seed = 1, .clock = &clock, .may_be_stopped = true}, logger, metrics};
    std::string ended;
};

// An hour, at work and while the loop waits; the answer comes only then.
TEST_F(StoppedRuntimeTest, it_has_not_missed_its_deadlines) {
    ask(15'000'000);
    clock.jumped_us += 3'600'000'000;
    EXPECT_FALSE(stopped.run_until([&] { return !ended.empty(); }, 20'000));
    // The loop is in its wait when this fires.
    const auto jump = [](evutil_socket_t, short, void* test) {
        auto* self = static_cast<StoppedRuntimeTest*>(test);
        self->clock.jumped_us += 3'600'000'000;
        self->stopped.dispatcher().reply(self->port.to, {pb::PORT_TRANSPORT, 0}, message_of(pb::StatusReply()));
    };
    event* timer = evtimer_new(stopped.base(), jump, this);
    const timeval soon{0, 5'000};
    evtimer_add(timer, &soon);
    EXPECT_TRUE(run());
    EXPECT_EQ(ended, "answered");
    event_free(timer);
}

// The loop waits in pieces, or it would take the wait for a stop.
TEST_F(StoppedRuntimeTest, a_deadline_passes_that_the_process_waits_for) {
    ask(1'200'000);
    const uint64_t begun_us = clock.monotonic_us();
    EXPECT_TRUE(run());
    EXPECT_EQ(ended, "failed");
    EXPECT_GE(clock.monotonic_us(), begun_us + 1'000'000);
}

// What comes while it spins, or sleeps, is served; so are its timers.
TEST_F(EventRuntimeTest, a_loop_that_spins_misses_nothing) {
    for (const uint64_t spin_us : {1, 200, 1'000}) {
        EventRuntime spinning({.node_id = "node-1", .root_seed = 1, .spin_us = spin_us}, logger, metrics);
        spinning.dispatcher().add_port({pb::PORT_TRANSPORT, 0}, &silence);
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        int left = 50;
        struct Both {
            int* ends;
            int* left;
        } both{ends, &left};
        event* readable = event_new(
            spinning.base(), ends[0], EV_READ | EV_PERSIST,
            [](evutil_socket_t, short, void* arg) {
                const Both& seen = *static_cast<Both*>(arg);
                char byte;
                if (read(seen.ends[0], &byte, 1) != 1 || --*seen.left == 0) return;
                EXPECT_EQ(write(seen.ends[1], "x", 1), 1);
            },
            &both);
        event_add(readable, nullptr);
        ASSERT_EQ(write(ends[1], "x", 1), 1);
        EXPECT_TRUE(spinning.run_until([&] { return left == 0; }, kLong));
        bool failed = false;
        spinning.dispatcher().ask(Address("node-9", pb::ACTOR_LOG), message_of(pb::Drain()), 5'000,
                                  [&](Message message) { failed = message->has_request_failed(); });
        EXPECT_TRUE(spinning.run_until([&] { return failed; }, kLong));
        event_free(readable);
        close(ends[0]);
        close(ends[1]);
    }
}

constexpr int64_t kSuspendedSeconds = 1'000'000;

// From here on, this process' children live on a machine that was suspended for that long.
bool suspend_for_children() {
    if (unshare(CLONE_NEWTIME) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWTIME) != 0) return false;
    const int offsets = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (offsets < 0) return false;
    const std::string_view line = "boottime 1000000 0";
    const bool written = write(offsets, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    close(offsets);
    return written;
}

int exit_code_of(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(SystemClockTest, the_time_that_the_machine_is_suspended_counts) {
    enum { kCounts, kDoesNot, kCannotTell };
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        if (!suspend_for_children()) _exit(kCannotTell);
        const pid_t suspended = fork();
        if (suspended > 0) _exit(exit_code_of(suspended));
        timespec awake{};
        clock_gettime(CLOCK_MONOTONIC, &awake);
        const int64_t shown = static_cast<int64_t>(SystemClock().monotonic_us() / 1'000'000);
        _exit(shown >= awake.tv_sec + kSuspendedSeconds ? kCounts : kDoesNot);
    }
    const int found = exit_code_of(child);
    if (found == kCannotTell) GTEST_SKIP() << "this machine gives a test no time of its own";
    EXPECT_EQ(found, kCounts);
}

}  // namespace
}  // namespace sandstore
