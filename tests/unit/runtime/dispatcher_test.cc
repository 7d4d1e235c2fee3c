#include "runtime/dispatcher.h"

#include <gtest/gtest.h>

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/flight_recorder.h"
#include "runtime/lanes.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"

namespace sandstore {
namespace {

struct TestClock final : Clock {
    uint64_t now = 1'000;
    uint64_t monotonic_us() const override { return now; }
    uint64_t wall_us() const override { return now; }
};

// Runs a function for each message.
class Scripted final : public Actor {
 public:
    using Handler = std::function<void(Message, Context&)>;
    explicit Scripted(Handler handler) : handler_(std::move(handler)) {}
    void receive(Message message, Context& context) override { handler_(std::move(message), context); }

 private:
    Handler handler_;
};

struct Recorder final : Port {
    std::vector<Message> messages;
    void handle(Message message) override { messages.push_back(std::move(message)); }
};

class DispatcherTest : public ::testing::Test {
 protected:
    void add(pb::ActorKind kind, Scripted::Handler handler, bool restartable = false) {
        dispatcher.add_actor({{kind, 0}, [handler] { return std::make_unique<Scripted>(handler); }, restartable});
    }
    void run() {
        while (dispatcher.run(1000, UINT64_MAX)) {
        }
    }
    uint64_t dropped(const std::string& reason) {
        const std::string text = metrics.render();
        const size_t at = text.find("reason=\"" + reason + "\"");
        return at == std::string::npos ? 0 : 1;
    }

    TestClock clock;
    Logger logger;
    MetricsRegistry metrics;
    Dispatcher dispatcher{{"node-1", 42}, clock, logger, metrics};
};

TEST_F(DispatcherTest, messages_of_a_lane_keep_their_order_and_control_goes_first) {
    std::vector<uint64_t> seen;
    add(pb::ACTOR_LOG, [&](Message message, Context&) {
        seen.push_back(message->has_log_persisted() ? 100 + message->log_persisted().write_id()
                                                    : message->log_read().first_index());
    });
    for (uint64_t i = 1; i <= 3; i++) {
        pb::LogRead read;
        read.set_first_index(i);
        dispatcher.send(pb::ACTOR_LOG, message_of(read));
        pb::LogPersisted persisted;
        persisted.set_write_id(i);
        dispatcher.send(pb::ACTOR_LOG, message_of(persisted));
    }
    run();
    EXPECT_EQ(seen, (std::vector<uint64_t>{101, 102, 103, 1, 2, 3}));
}

TEST_F(DispatcherTest, a_request_ends_with_its_reply_and_a_second_reply_is_dropped) {
    int replies = 0;
    add(pb::ACTOR_LOG, [](Message message, Context& context) {
        context.reply(reply_to(message), message_of(pb::StatusReply()));
        context.reply(reply_to(message), message_of(pb::StatusReply()));
    });
    dispatcher.ask(pb::ACTOR_LOG, message_of(pb::Drain()), 1'000'000, [&](Message message) {
        EXPECT_TRUE(message->has_status_reply());
        replies++;
    });
    run();
    EXPECT_EQ(replies, 1);
    EXPECT_EQ(dropped("late_reply"), 1u);
}

TEST_F(DispatcherTest, a_request_without_answer_ends_at_its_deadline_and_the_late_reply_is_dropped) {
    std::optional<ReplyTo> asker;
    std::vector<pb::StatusCode> outcomes;
    add(pb::ACTOR_LOG, [&](Message message, Context& context) {
        if (message->has_drain()) asker = reply_to(message);
        if (message->has_flush()) context.reply(*asker, message_of(pb::StatusReply()));
    });
    dispatcher.ask(pb::ACTOR_LOG, message_of(pb::Drain()), 5'000,
                   [&](Message message) { outcomes.push_back(message->request_failed().status().code()); });
    run();
    EXPECT_EQ(dispatcher.next_due_us(), clock.now + 5'000);
    clock.now += 4'999;
    dispatcher.fire_due();
    run();
    EXPECT_TRUE(outcomes.empty());
    clock.now += 1;
    dispatcher.fire_due();
    run();
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_EQ(outcomes[0], pb::STATUS_DEADLINE_EXCEEDED);
    dispatcher.send(pb::ACTOR_LOG, message_of(pb::Flush()));
    run();
    EXPECT_EQ(outcomes.size(), 1u);
    EXPECT_EQ(dropped("late_reply"), 1u);
}

TEST_F(DispatcherTest, a_request_to_nobody_fails_at_once) {
    std::optional<pb::StatusCode> outcome;
    dispatcher.ask(pb::ACTOR_CHUNKS, message_of(pb::ChunkGet()), 5'000,
                   [&](Message message) { outcome = message->request_failed().status().code(); });
    run();
    EXPECT_EQ(outcome, pb::STATUS_UNAVAILABLE);
}

TEST_F(DispatcherTest, requests_to_an_unreachable_node_fail_and_others_stay_open) {
    Recorder transport;
    dispatcher.add_port({pb::PORT_TRANSPORT, 0}, &transport);
    std::vector<std::string> failed;
    for (const std::string node : {"node-2", "node-3"}) {
        dispatcher.ask(Address(node, pb::ACTOR_CHUNKS), message_of(pb::ChunkGet()), 5'000,
                       [&failed, node](Message) { failed.push_back(node); });
    }
    EXPECT_EQ(transport.messages.size(), 2u);
    dispatcher.node_unreachable("node-2", "connection lost");
    run();
    EXPECT_EQ(failed, std::vector<std::string>{"node-2"});
}

TEST_F(DispatcherTest, only_the_node_that_was_asked_may_answer) {
    Recorder transport;
    dispatcher.add_port({pb::PORT_TRANSPORT, 0}, &transport);
    int answers = 0;
    dispatcher.ask(Address("node-2", pb::ACTOR_CHUNKS), message_of(pb::ChunkGet()), 5'000,
                   [&answers](Message) { answers++; });
    for (const std::string node : {"node-3", "node-2"}) {
        Message reply = message_of(pb::ChunkGetReply());
        reply->set_reply_to(transport.messages.at(0)->request_id());
        reply->set_from_node(node);
        reply->set_to_actor(pb::ACTOR_EXTERNAL);
        dispatcher.deliver(std::move(reply));
        run();
        EXPECT_EQ(answers, node == "node-2" ? 1 : 0);
    }
}

TEST_F(DispatcherTest, timers_fire_in_order_and_a_cancelled_one_never_does_even_when_due) {
    std::vector<uint32_t> fired;
    add(pb::ACTOR_LOG, [&](Message message, Context& context) {
        if (message->has_flush()) {
            context.arm_timer(300, 3);
            context.arm_timer(100, 1);
            const TimerId second = context.arm_timer(200, 2);
            context.arm_timer(150, 9, second);
        } else if (message->timer_fired().tag() == 9) {
            context.cancel_timer(message->timer_fired().data());
        } else {
            fired.push_back(message->timer_fired().tag());
        }
    });
    dispatcher.send(pb::ACTOR_LOG, message_of(pb::Flush()));
    run();
    clock.now += 1'000;  // All are due: the second one is in the mailbox already when it is cancelled.
    dispatcher.fire_due();
    run();
    EXPECT_EQ(fired, (std::vector<uint32_t>{1, 3}));
    EXPECT_FALSE(dispatcher.next_due_us());
}

TEST_F(DispatcherTest, a_full_mailbox_refuses_requests_and_never_replies_or_control) {
    add(pb::ACTOR_RAFT, [](Message, Context&) {});
    int refused = 0;
    for (size_t i = 0; i < kMailboxDataMessagesMax + 10; i++) {
        dispatcher.ask(pb::ACTOR_RAFT, message_of(pb::Propose()), 1'000'000, [&](Message message) {
            EXPECT_EQ(message->request_failed().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
            refused++;
        });
    }
    dispatcher.run(1, UINT64_MAX);
    EXPECT_EQ(refused, 10);
    dispatcher.send(pb::ACTOR_RAFT, message_of(pb::Heartbeat()));
    dispatcher.send(pb::ACTOR_RAFT, message_of(pb::Applied()));
    EXPECT_EQ(dropped("mailbox_full"), 1u);
}

TEST_F(DispatcherTest, a_broken_invariant_stops_the_node_with_its_values) {
    FlightRecorder recorder;
    dispatcher.set_recorder(&recorder);
    int after = 0;
    add(pb::ACTOR_RAFT, [&](Message message, Context&) {
        SANDSTORE_CHECK(!message->has_flush(), "match=", 7);
        after++;
    });
    dispatcher.send(pb::ACTOR_RAFT, message_of(pb::Flush()));
    dispatcher.send(pb::ACTOR_RAFT, message_of(pb::Propose()));
    run();
    ASSERT_TRUE(dispatcher.stop_reason());
    EXPECT_NE(dispatcher.stop_reason()->find("match=7"), std::string::npos);
    EXPECT_EQ(after, 0);
    EXPECT_NE(recorder.dump().find("flush"), std::string::npos);
}

TEST_F(DispatcherTest, a_restarted_actor_gets_its_start_again_and_nothing_of_its_former_life) {
    std::vector<std::string> seen;
    std::optional<ReplyTo> pending;
    add(pb::ACTOR_LOG, [&](Message message, Context&) { pending = reply_to(message); });
    add(
        pb::ACTOR_ETCD_POLLER,
        [&](Message message, Context& context) {
            seen.push_back(std::string(body_name(message.envelope())));
            if (message->has_start_poller()) {
                context.arm_timer(50, 1);
                context.ask(pb::ACTOR_LOG, message_of(pb::Drain()), 1'000'000);
            }
            if (message->has_flush()) throw std::runtime_error("no good");
        },
        true);
    dispatcher.send(pb::ACTOR_ETCD_POLLER, message_of(pb::StartPoller()));
    run();
    dispatcher.send(pb::ACTOR_ETCD_POLLER, message_of(pb::Flush()));
    run();
    const ReplyTo old_request = *pending;
    clock.now += 60;  // The timer of the first life is due, and its request is answered.
    dispatcher.fire_due();
    dispatcher.reply(old_request, {pb::ACTOR_LOG, 0}, message_of(pb::StatusReply()));
    run();
    clock.now += kRestartDelayMinUs;
    dispatcher.fire_due();
    run();
    EXPECT_EQ(seen, (std::vector<std::string>{"start_poller", "flush", "start_poller"}));
    EXPECT_FALSE(dispatcher.stop_reason());
}

TEST_F(DispatcherTest, an_actor_that_is_not_restartable_stops_the_node) {
    add(pb::ACTOR_LOG, [](Message, Context&) { throw std::runtime_error("bad day"); });
    dispatcher.send(pb::ACTOR_LOG, message_of(pb::Flush()));
    run();
    ASSERT_TRUE(dispatcher.stop_reason());
    EXPECT_NE(dispatcher.stop_reason()->find("bad day"), std::string::npos);
}

TEST_F(DispatcherTest, a_turn_is_bounded_and_actors_take_turns) {
    std::string order;
    add(pb::ACTOR_LOG, [&](Message, Context&) { order += 'l'; });
    add(pb::ACTOR_RAFT, [&](Message, Context&) { order += 'r'; });
    for (int i = 0; i < 40; i++) dispatcher.send(pb::ACTOR_LOG, message_of(pb::LogRead()));
    dispatcher.send(pb::ACTOR_RAFT, message_of(pb::Applied()));
    EXPECT_TRUE(dispatcher.run(20, UINT64_MAX));
    EXPECT_EQ(order.size(), 20u);
    EXPECT_NE(order.find('r'), std::string::npos);
}

// What a disk's thread is to be woken for does not wait until other actors have worked off theirs.
TEST_F(DispatcherTest, who_hurries_has_the_loop_turn_before_the_messages_that_are_left) {
    struct Hurried final : Port {
        explicit Hurried(PortHost& to) : host(to) {}
        void handle(Message) override { host.hurry(); }
        PortHost& host;
    } disk(dispatcher);
    dispatcher.add_port({pb::PORT_LOG_DISK, 0}, &disk);
    std::string order;
    add(pb::ACTOR_LOG, [&](Message, Context& context) {
        order += 'l';
        context.send(pb::PORT_LOG_DISK, message_of(pb::Flush()));
    });
    add(pb::ACTOR_STATE_MACHINE, [&](Message, Context&) { order += 's'; });
    dispatcher.send(pb::ACTOR_LOG, message_of(pb::Flush()));
    dispatcher.send(pb::ACTOR_STATE_MACHINE, message_of(pb::Flush()));
    EXPECT_TRUE(dispatcher.run(1000, UINT64_MAX));
    EXPECT_EQ(order, "l");
    EXPECT_FALSE(dispatcher.run(1000, UINT64_MAX));
    EXPECT_EQ(order, "ls");
}

TEST_F(DispatcherTest, bulk_messages_are_data_and_votes_are_control) {
    EXPECT_EQ(lane_of(pb::Envelope::kRequestVote), Lane::kControl);
    EXPECT_EQ(lane_of(pb::Envelope::kDiskReply), Lane::kControl);
    EXPECT_EQ(lane_of(pb::Envelope::kAppendEntries), Lane::kData);
    EXPECT_EQ(full_policy_of(pb::Envelope::kMutation), FullPolicy::kReject);
    EXPECT_EQ(full_policy_of(pb::Envelope::kApply), FullPolicy::kAccept);
}

}  // namespace
}  // namespace sandstore
