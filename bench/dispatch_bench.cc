// What a message between two actors of one node costs: mailbox, delivery, context; in a build without traces, untraced
// with the flight recorder beside, with whole lives in it, and with a trace file. `allocations` counts calls of
// operator new for each message. Bars of design.md: 60 ns untraced, 150 ns traced.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include "bench/allocation_counter.h"
#include "runtime/dispatcher.h"
#include "runtime/flight_recorder.h"
#include "runtime/logging.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"
#include "runtime/trace_writer.h"

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

enum class Recording { kNone, kSummaries, kLives, kFile };

struct Bench {
    explicit Bench(Recording recording) {
        if (recording == Recording::kNone) return;
        if (recording == Recording::kLives) flight.keep_lives();
        if (recording != Recording::kFile) {
            dispatcher.set_recorder(&flight);
            return;
        }
        std::string error;
        trace = TraceWriter::open(path, "bench", 1, &error, TraceWriter::Writing::kInPlace);
        if (trace == nullptr) throw std::runtime_error(error);
        dispatcher.set_recorder(trace.get());
    }
    ~Bench() {
        if (trace != nullptr) unlink(path.c_str());
    }
    // Runs until the benchmark has seen enough.
    void measure(benchmark::State& state, uint64_t messages_an_item) {
        constexpr size_t kBatch = 1024;
        dispatcher.run(16 * kBatch, UINT64_MAX / 2);  // Queues and buffers reach their size.
        const uint64_t before = allocations_so_far();
        for (auto _ : state) {
            dispatcher.run(kBatch, UINT64_MAX / 2);
            // The file would fill the memory: its pages are given back, outside the time that counts.
            if (trace != nullptr && dispatcher.delivered() % (kBatch * 64) == 0) {
                state.PauseTiming();
                if (truncate(path.c_str(), 0) != 0) state.SkipWithError("cannot truncate the trace");
                state.ResumeTiming();
            }
        }
        const auto messages = static_cast<double>(state.iterations() * kBatch);
        state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch / messages_an_item));
        state.counters["allocations"] = static_cast<double>(allocations_so_far() - before) / messages;
        state.counters["ns"] =
            benchmark::Counter(messages / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    }

    const std::string path = str_cat("/dev/shm/dispatch-bench-", getpid(), ".trace");
    StoppedClock clock;
    Logger logger;
    MetricsRegistry metrics;
    FlightRecorder flight;
    std::unique_ptr<TraceWriter> trace;
    Dispatcher dispatcher{{"bench", 1}, clock, logger, metrics};
};

void message_between_actors(benchmark::State& state, Recording recording) {
    Bench bench(recording);
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_RAFT}, [] { return std::make_unique<PassOn>(pb::ACTOR_LOG); }});
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_LOG}, [] { return std::make_unique<PassOn>(pb::ACTOR_RAFT); }});
    for (int64_t i = 0; i < state.range(0); ++i) {
        bench.dispatcher.send(Address(pb::ACTOR_RAFT), message_of(pb::Heartbeat()));
    }
    bench.measure(state, 1);
}
BENCHMARK_CAPTURE(message_between_actors, trace_off, Recording::kNone)->Arg(1)->Arg(64);
BENCHMARK_CAPTURE(message_between_actors, untraced, Recording::kSummaries)->Arg(1)->Arg(64);
BENCHMARK_CAPTURE(message_between_actors, lives, Recording::kLives)->Arg(1)->Arg(64);
BENCHMARK_CAPTURE(message_between_actors, traced, Recording::kFile)->Arg(1)->Arg(64);

void request_and_reply(benchmark::State& state, Recording recording) {
    Bench bench(recording);
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_RAFT}, [] { return std::make_unique<AskAgain>(); }});
    bench.dispatcher.add_actor({LocalAddress{pb::ACTOR_LOG}, [] { return std::make_unique<Answer>(); }});
    for (int64_t i = 0; i < state.range(0); ++i) {
        bench.dispatcher.send(Address(pb::ACTOR_RAFT), message_of(pb::Flush()));
    }
    bench.measure(state, 2);
}
BENCHMARK_CAPTURE(request_and_reply, untraced, Recording::kSummaries)->Arg(1)->Arg(64);
BENCHMARK_CAPTURE(request_and_reply, traced, Recording::kFile)->Arg(1)->Arg(64);

}  // namespace
}  // namespace sandstore
