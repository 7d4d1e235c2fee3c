// What one LogWrite costs the reactor, from the message to LogPersisted, with a disk that answers at once.
#include <benchmark/benchmark.h>

#include "actors/log/log_store.h"
#include "actors/log/record.h"
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

class InstantDisk final : public Port {
 public:
    explicit InstantDisk(PortHost& host) : host_(host) {}
    void handle(Message message) override {
        host_.reply(reply_to(message), LocalAddress{pb::PORT_LOG_DISK}, message_of(pb::DiskReply()));
    }

 private:
    PortHost& host_;
};

class Waiting final : public Actor {
 public:
    void receive(Message message, Context&) override { benchmark::DoNotOptimize(message->log_persisted().write_id()); }
};

void one_log_write(benchmark::State& state) {
    StoppedClock clock;
    Logger logger;
    MetricsRegistry metrics;
    Dispatcher dispatcher{{"bench", 1}, clock, logger, metrics};
    InstantDisk disk(dispatcher);
    dispatcher.add_port(LocalAddress{pb::PORT_LOG_DISK}, &disk);
    dispatcher.add_actor({LocalAddress{pb::ACTOR_LOG}, [] { return std::make_unique<LogStore>(); }});
    dispatcher.add_actor({LocalAddress{pb::ACTOR_RAFT}, [] { return std::make_unique<Waiting>(); }});
    pb::StartLog start;
    start.set_segment_bytes(kSegmentBytesMax);
    dispatcher.send(Address(pb::ACTOR_LOG), message_of(start));
    const auto run = [&] {
        while (dispatcher.run(64, UINT64_MAX / 2) > 0) {
        }
    };
    run();
    const std::string data(static_cast<size_t>(state.range(0)), 'x');
    uint64_t index = 0;
    for (auto _ : state) {
        std::string record;
        append_record(&record, 1, ++index, RecordType::kCommand, data);
        pb::LogWrite write;
        write.set_write_id(index);
        write.set_first_index(index);
        write.set_record_count(1);
        Message message = message_of(write, Payload(std::move(record)));
        dispatcher.send(Address(pb::ACTOR_LOG), std::move(message));
        run();
    }
}
BENCHMARK(one_log_write)->Arg(256)->Arg(4096);

}  // namespace
}  // namespace sandstore
