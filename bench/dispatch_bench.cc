// What a message between two actors of one node costs: mailbox, delivery, context. The bar of design.md: 60 ns.
#include <benchmark/benchmark.h>

#include "runtime/dispatcher.h"
#include "runtime/logging.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"

namespace sandstore {
namespace {

class StoppedClock final : public Clock {
 public:
    uint64_t monotonic_us() const override { return 1'000'000; }
    uint64_t wall_us() const override { return 1'700'000'000'000'000; }
};

// Hands what it gets to the other one of the pair.
class PassOn final : public Actor {
 public:
    explicit PassOn(pb::ActorKind to) : to_(to) {}
    void receive(Message message, Context& context) override { context.send(Address(to_), std::move(message)); }

 private:
    const pb::ActorKind to_;
};

// Answers each request; and the one that asks again after each answer.
class Answer final : public Actor {
 public:
    void receive(Message message, Context& context) override {
        context.reply(reply_to(message), message_of(pb::StatusReply()));
    }
};

class AskAgain final : public Actor {
 public:
    void receive(Message, Context& context) override {
        context.ask(Address(pb::ACTOR_LOG), message_of(pb::Flush()), 1'000'000);
    }
};

struct Bench {
    StoppedClock clock;
    Logger logger;
    MetricsRegistry metrics;
    Dispatcher dispatcher{{"bench", 1}, clock, logger, metrics};
};

void message_between_actors(benchmark::State& state) {
    Bench bench;
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_RAFT}, [] { return std::make_unique<PassOn>(pb::ACTOR_LOG); }});
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_LOG}, [] { return std::make_unique<PassOn>(pb::ACTOR_RAFT); }});
    for (int64_t i = 0; i < state.range(0); ++i) {
        bench.dispatcher.send(Address(pb::ACTOR_RAFT), message_of(pb::Heartbeat()));
    }
    constexpr size_t kBatch = 1024;
    for (auto _ : state) bench.dispatcher.run(kBatch, UINT64_MAX / 2);
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(message_between_actors)->Arg(1)->Arg(64);

void request_and_reply(benchmark::State& state) {
    Bench bench;
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_RAFT}, [] { return std::make_unique<AskAgain>(); }});
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_LOG}, [] { return std::make_unique<Answer>(); }});
    for (int64_t i = 0; i < state.range(0); ++i) {
        bench.dispatcher.send(Address(pb::ACTOR_RAFT), message_of(pb::Flush()));
    }
    constexpr size_t kBatch = 1024;
    for (auto _ : state) bench.dispatcher.run(kBatch, UINT64_MAX / 2);
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch / 2));
}
BENCHMARK(request_and_reply)->Arg(1)->Arg(64);

}  // namespace
}  // namespace sandstore
