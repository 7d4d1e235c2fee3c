// What many small chunks cost a node: the memory of the index, and how long a start takes until it stands. The real
// disk port on files in a temporary directory (BENCH_DIR), the actor, and the event loop between them. BENCH_CHUNKS:
// how many chunks, 1,000,000 unless told. The volumes are sparse: their indexes are what a start reads.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "actors/chunk/chunk_index.h"
#include "actors/chunk/chunk_service.h"
#include "actors/chunk/volume_format.h"
#include "runtime/event_runtime.h"
#include "runtime/logging.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/thread_disk.h"

namespace sandstore {
namespace {

constexpr uint64_t kChunkBytes = 4096;

uint64_t chunks() {
    const char* given = std::getenv("BENCH_CHUNKS");
    return given == nullptr ? 1'000'000 : std::strtoull(given, nullptr, 10);
}

class Directory {
 public:
    Directory() {
        const char* parent = std::getenv("BENCH_DIR");
        const std::filesystem::path base = parent ? parent : std::filesystem::temp_directory_path();
        std::string name = (base / "sandstore-volumes-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    const std::string& path() const { return path_; }

 private:
    std::string path_;
};

// As VolumeStore leaves them after a clean stop.
void write_volumes(const std::string& directory, uint64_t count) {
    std::filesystem::create_directories(directory + "/chunks");
    uint64_t next = 1;
    for (uint32_t number = 1; next <= count; number++) {
        const VolumeHeader header{number, number * 7919};
        std::ofstream index(directory + "/" + volume_index_file(number), std::ios::binary);
        index << encode_volume_index_header(header);
        IndexBatch batch;
        uint64_t offset = kVolumeHeaderBytes;
        batch.covered_from = offset;
        const auto write_batch = [&] {
            batch.covered_to = offset;
            index << encode_index_batch(batch, header.salt);
            batch = {};
            batch.covered_from = offset;
        };
        for (; next <= count && offset + record_bytes(kChunkBytes) <= kVolumeBytesDefault; next++) {
            VolumeIndexEntry entry;
            entry.offset = offset;
            entry.record.key = {1, next};
            entry.record.length = kChunkBytes;
            entry.record.allocated_at_us = 1'600'000'000'000'000 + next;
            batch.entries.push_back(entry);
            offset += record_bytes(kChunkBytes);
            if (batch.entries.size() == VolumeStore::kIndexEveryEntries) write_batch();
        }
        write_batch();
        std::ofstream(directory + "/" + volume_file(number), std::ios::binary) << encode_volume_header(header);
        std::filesystem::resize_file(directory + "/" + volume_file(number), offset);
    }
}

// Asks for a list, which is answered when the index stands.
class Asker final : public Actor {
 public:
    explicit Asker(bool* done) : done_(done) {}
    void receive(Message message, Context& context) override {
        if (message->has_start_repairer()) context.ask(pb::ACTOR_CHUNKS, message_of(pb::ChunkList()), 600'000'000);
        if (message->has_chunk_list_reply()) *done_ = message->chunk_list_reply().chunks_size() > 0;
    }

 private:
    bool* done_;
};

void start_with_many_chunks(benchmark::State& state) {
    const Directory directory;
    write_volumes(directory.path(), chunks());
    double index_bytes = 0;
    for (auto _ : state) {
        Logger logger;
        MetricsRegistry metrics;
        EventRuntime runtime({.node_id = "node-1", .root_seed = 1}, logger, metrics);
        const LocalAddress disk{pb::PORT_CHUNK_DISK};
        runtime.own_port(disk,
                         std::make_unique<ThreadDisk>(runtime.base(), runtime.dispatcher(), disk, directory.path(), 4));
        bool done = false;
        runtime.dispatcher().add_actor(
            {LocalAddress{pb::ACTOR_CHUNKS}, [] { return std::make_unique<ChunkService>(); }});
        runtime.dispatcher().add_actor(
            {LocalAddress{pb::ACTOR_REPAIRER}, [&] { return std::make_unique<Asker>(&done); }});
        pb::StartChunks start;
        start.set_node_id("node-1");
        start.set_chunk_bytes_max(8 << 20);
        runtime.dispatcher().send(Address(pb::ACTOR_CHUNKS), message_of(start));
        runtime.dispatcher().send(Address(pb::ACTOR_REPAIRER), message_of(pb::StartRepairer()));
        const auto& gauge = metrics.gauge("sandstore_chunk_index_bytes", "Memory of the index of the chunks here.");
        runtime.run_until([&] { return done; }, 600'000'000);
        state.PauseTiming();
        runtime.run_until([&] { return gauge.value() > 0; }, 600'000'000);
        index_bytes = gauge.value();
        state.ResumeTiming();
    }
    state.counters["chunks"] = static_cast<double>(chunks());
    state.counters["index_bytes_per_chunk"] = index_bytes / static_cast<double>(chunks());
}
BENCHMARK(start_with_many_chunks)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1);

void index_memory(benchmark::State& state) {
    double bytes = 0;
    for (auto _ : state) {
        ChunkIndex index;
        ChunkIndex::Entry entry;
        entry.length = kChunkBytes;
        entry.volume = 1;
        for (uint64_t number = 1; number <= chunks(); number++) {
            entry.key = {1, number};
            index.put(entry);
        }
        bytes = static_cast<double>(index.memory_bytes());
    }
    state.counters["bytes_per_chunk"] = bytes / static_cast<double>(chunks());
    state.counters["chunks_per_s"] =
        benchmark::Counter(static_cast<double>(chunks()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(index_memory)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1);

}  // namespace
}  // namespace sandstore
