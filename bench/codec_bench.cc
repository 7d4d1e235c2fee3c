// What it costs to make and read frames, log records and checksums.
#include <benchmark/benchmark.h>

#include "actors/log/record.h"
#include "client/checksums.h"
#include "net/frame.h"
#include "runtime/crc32c.h"
#include "runtime/message_of.h"

namespace sandstore {
namespace {

Message append_entries(size_t payload_bytes) {
    pb::AppendEntries append;
    append.set_term(7);
    append.set_prev_log_index(123'456);
    append.set_prev_log_term(7);
    append.set_record_count(16);
    append.set_leader_commit(123'450);
    Message message = message_of(append, Payload(std::string(payload_bytes, 'x')));
    message->set_from_node("node-1");
    message->set_from_actor(pb::ACTOR_RAFT);
    message->set_to_node("node-2");
    message->set_to_actor(pb::ACTOR_RAFT);
    return message;
}

void encode_a_frame(benchmark::State& state) {
    const Message message = append_entries(static_cast<size_t>(state.range(0)));
    for (auto _ : state) {
        Message copy = message.clone();
        EncodedFrame frame;
        benchmark::DoNotOptimize(encode_frame(copy, 1'000'000, &frame));
        benchmark::DoNotOptimize(frame.head.data());
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(encode_a_frame)->Arg(0)->Arg(4096)->Arg(1 << 20);

void append_a_record(benchmark::State& state) {
    const std::string data(static_cast<size_t>(state.range(0)), 'x');
    std::string out;
    out.reserve(1 << 20);
    uint64_t index = 0;
    for (auto _ : state) {
        if (out.size() > (1 << 20) - data.size() - kRecordHeaderBytes) out.clear();
        append_record(&out, 7, ++index, RecordType::kCommand, data);
        benchmark::DoNotOptimize(out.data());
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(append_a_record)->Arg(64)->Arg(256)->Arg(4096);

void read_records(benchmark::State& state) {
    const std::string data(static_cast<size_t>(state.range(0)), 'x');
    std::string out;
    for (uint64_t index = 1; index <= 1000; ++index) append_record(&out, 7, index, RecordType::kCommand, data);
    const Payload bytes(std::move(out));
    for (auto _ : state) {
        RecordReader reader(bytes);
        Record record;
        while (reader.next(&record)) benchmark::DoNotOptimize(record.index);
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(read_records)->Arg(256);

void checksum(benchmark::State& state) {
    const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
    for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(64)->Arg(4096)->Arg(64 << 10)->Arg(8 << 20);

void checksums_of_a_chunk(benchmark::State& state) {
    const Payload bytes(std::string(8 << 20, 'x'));
    for (auto _ : state) benchmark::DoNotOptimize(chunk_checksums(bytes).block_crc32c_size());
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}
BENCHMARK(checksums_of_a_chunk);

}  // namespace
}  // namespace sandstore
