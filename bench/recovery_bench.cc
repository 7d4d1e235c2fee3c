// How long a node takes to read its log back: the real disk port on files in a temporary directory, the actor, and the
// event loop between them. A log of 1 GiB is written once for each size of entry, 64 entries a block. "cold": the files
// were pushed out of the page cache before (asked of the kernel, which may keep some).
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "actors/log/log_store.h"
#include "actors/log/record.h"
#include "actors/log/segment_format.h"
#include "runtime/event_runtime.h"
#include "runtime/logging.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/thread_disk.h"

namespace sandstore {
namespace {

constexpr uint64_t kLogBytes = uint64_t{1} << 30;
constexpr size_t kRecordsPerBlock = 64;

// In BENCH_DIR, or the directory for temporary files.
class Directory {
 public:
    Directory() {
        const char* parent = std::getenv("BENCH_DIR");
        const std::filesystem::path base = parent ? parent : std::filesystem::temp_directory_path();
        std::string name = (base / "sandstore-recovery-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    const std::string& path() const { return path_; }

    void push_out_of_cache() const {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
            if (!entry.is_regular_file()) continue;
            const int file = open(entry.path().c_str(), O_RDONLY);
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
            close(file);
        }
    }

 private:
    std::string path_;
};

// Segments as LogStore would have left them.
uint64_t write_log(const std::string& directory, size_t record_bytes) {
    std::filesystem::create_directories(directory + "/log");
    const std::string data(record_bytes, 'x');
    uint64_t index = 0;
    uint64_t sequence = 1;
    for (uint64_t number = 1; number <= kLogBytes / kSegmentBytesDefault; number++) {
        SegmentHeader header;
        header.number = number;
        header.segment_bytes = kSegmentBytesDefault;
        header.salt = static_cast<uint32_t>(number * 7919);
        header.cluster_id = "bench";
        header.node_id = "node-1";
        header.first_sequence = sequence;
        header.first_index = index + 1;
        header.last_index = index;
        header.last_term = index == 0 ? 0 : 1;
        std::string file = encode_segment_header(header);
        file.reserve(kSegmentBytesDefault);
        const size_t body_bytes = kRecordsPerBlock * (record_bytes + kRecordHeaderBytes);
        while (file.size() + round_up(kBlockHeaderBytes + body_bytes, kBlockAlignment) <= kSegmentBytesDefault) {
            std::string body;
            BlockHeader block;
            block.sequence = sequence++;
            block.salt = header.salt;
            block.first_index = index + 1;
            block.record_count = kRecordsPerBlock;
            for (size_t i = 0; i < kRecordsPerBlock; i++) append_record(&body, 1, ++index, RecordType::kCommand, data);
            block.body_bytes = static_cast<uint32_t>(body.size());
            block.body_crc = crc32c(Payload::view_of(nullptr, body));
            file += encode_block_header(block) + body;
            file.resize(round_up(file.size(), kBlockAlignment), '\0');
        }
        file.resize(kSegmentBytesDefault, '\0');
        std::ofstream(directory + "/" + segment_file(kLogDirectory, number), std::ios::binary) << file;
    }
    sync();
    return index;
}

// Stands where RaftNode is and waits for the log.
class Waiting final : public Actor {
 public:
    explicit Waiting(uint64_t* last_index) : last_index_(last_index) {}
    void receive(Message message, Context&) override {
        if (message->has_log_recovered()) *last_index_ = message->log_recovered().last_index();
    }

 private:
    uint64_t* last_index_;
};

void recover(const std::string& directory, uint64_t expected) {
    Logger logger;
    MetricsRegistry metrics;
    EventRuntime runtime({.node_id = "node-1", .root_seed = 1}, logger, metrics);
    const LocalAddress disk{pb::PORT_LOG_DISK};
    runtime.own_port(disk, std::make_unique<ThreadDisk>(runtime.base(), runtime.dispatcher(), disk, directory, 1));
    uint64_t last_index = 0;
    runtime.dispatcher().add_actor({LocalAddress{pb::ACTOR_LOG}, [] { return std::make_unique<LogStore>(); }});
    runtime.dispatcher().add_actor(
        {LocalAddress{pb::ACTOR_RAFT}, [&] { return std::make_unique<Waiting>(&last_index); }});
    pb::StartLog start;
    start.set_cluster_id("bench");
    start.set_node_id("node-1");
    runtime.dispatcher().send(Address(pb::ACTOR_LOG), message_of(start));
    runtime.run_until([&] { return last_index != 0; }, 120'000'000);
    if (last_index != expected) std::abort();
}

void recover_a_log_of_1_gib(benchmark::State& state) {
    const Directory directory;
    const uint64_t entries = write_log(directory.path(), static_cast<size_t>(state.range(0)));
    const bool cold = state.range(1) != 0;
    for (auto _ : state) {
        if (cold) {
            state.PauseTiming();
            directory.push_out_of_cache();
            state.ResumeTiming();
        }
        recover(directory.path(), entries);
    }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kLogBytes));
}
BENCHMARK(recover_a_log_of_1_gib)
    ->ArgNames({"entry", "cold"})
    ->Args({256, 0})
    ->Args({256, 1})
    ->Args({4096, 0})
    ->Args({4096, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(2);

}  // namespace
}  // namespace sandstore
