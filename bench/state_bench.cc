// What the replicated state costs at a million inodes: applying commands, and a snapshot of it: freezing, reading
// pieces while commands go on, restoring, and letting go. Shape 0: directories of 100 files each; shape 1: all files in
// one directory. Each file has one extent in a chunk of its own.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <time.h>

#include <algorithm>

#include "actors/fs/file_state.h"
#include "actors/fs/file_state_restorer.h"
#include "actors/fs/file_state_writer.h"
#include "runtime/check.h"
#include "runtime/random.h"

namespace sandstore {
namespace {

constexpr uint64_t kStartUs = 1'700'000'000'000'000;
constexpr uint64_t kInodes = 1'000'000;
constexpr uint64_t kFilesPerDirectory = 100;

// Of this thread's work: what else the machine does is not counted.
double now_ms() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double heap_mib() {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd) / (1024 * 1024);
}

pb::StartStateMachine settings() {
    pb::StartStateMachine settings;
    settings.set_session_timeout_us(3'600'000'000);
    settings.set_sessions_max(10'000);
    settings.set_chunk_commit_window_us(3'600'000'000);
    return settings;
}

// Commands are made in batches, outside of what is measured.
class Load {
 public:
    explicit Load(bool one_directory) : one_directory_(one_directory) {
        state.configure(settings());
        pb::Mutation mutation;
        mutation.mutable_open_session();
        add(mutation);
        apply_batch();
        session_ = 1;
    }

    void fill() {
        while (state.files().inode_count() < kInodes) {
            for (int i = 0; i < 500; ++i) add_file();
            apply_batch();
        }
    }

    // Changes all over: attributes of a file that is there, and now and then a new one and one less.
    void change(int commands) {
        for (int i = 0; i < commands; ++i) {
            const uint64_t chosen = random_.below(files_);
            if (i % 4 == 0) {
                add_file();
                continue;
            }
            pb::Mutation mutation;
            mutation.mutable_set_attributes()->mutable_at()->set_path(path_of(chosen));
            mutation.mutable_set_attributes()->set_mode(0600);
            add(mutation);
        }
        apply_batch();
    }

    double seconds() const { return milliseconds_ / 1000; }
    uint64_t commands() const { return commands_; }
    double longest_batch_ms() const { return longest_batch_ms_; }
    void reset_clock() { milliseconds_ = longest_batch_ms_ = 0, commands_ = 0; }

    FileState state;

 private:
    std::string path_of(uint64_t file) const {
        if (one_directory_) return str_cat("all/file-", file * 7919 % 10'000'000);
        return str_cat("d", file / kFilesPerDirectory, "/file-", file);
    }

    void add_file() {
        const uint64_t file = files_++;
        if (file == 0 || (!one_directory_ && file % kFilesPerDirectory == 0)) {
            pb::Mutation mutation;
            const uint64_t directory = file / kFilesPerDirectory;
            mutation.mutable_make_directory()->mutable_at()->set_path(one_directory_ ? "all" : str_cat("d", directory));
            add(mutation);
        }
        pb::Mutation mutation;
        mutation.mutable_create_file()->mutable_at()->set_path(path_of(file));
        mutation.mutable_create_file()->set_mode(0644);
        add(mutation);
        mutation.mutable_commit_extents()->mutable_at()->set_path(path_of(file));
        pb::Extent& extent = *mutation.mutable_commit_extents()->add_extents();
        extent.set_length(4096);
        extent.set_chunk_length(4096);
        extent.mutable_chunk()->mutable_id()->set_term(1);
        extent.mutable_chunk()->mutable_id()->set_number(file + 1);
        extent.mutable_chunk()->set_allocated_at_us(now_us_);
        for (const char* node : {"node-1", "node-2", "node-3"}) extent.mutable_chunk()->add_replicas(node);
        add(mutation);
    }

    void add(pb::Mutation& mutation) {
        pb::Command command;
        command.set_time_us(now_us_ += 10);
        if (!mutation.has_open_session()) {
            mutation.set_session_id(session_);
            mutation.set_sequence(++sequence_);
            mutation.set_oldest_needed(sequence_);
        }
        *command.mutable_mutation() = mutation;
        batch_.push_back(command.SerializeAsString());
    }

    void apply_batch() {
        const double start_ms = now_ms();
        for (const std::string& command : batch_) {
            benchmark::DoNotOptimize(state.apply(state.applied_index() + 1, command));
        }
        const double took_ms = now_ms() - start_ms;
        milliseconds_ += took_ms;
        longest_batch_ms_ = std::max(longest_batch_ms_, took_ms);
        commands_ += batch_.size();
        batch_.clear();
    }

    bool one_directory_;
    RandomStream random_{1, 1};
    uint64_t now_us_ = kStartUs;
    uint64_t session_ = 0;
    uint64_t sequence_ = 0;
    uint64_t files_ = 0;
    std::vector<std::string> batch_;
    double milliseconds_ = 0;
    double longest_batch_ms_ = 0;
    uint64_t commands_ = 0;
};

void apply_commands(benchmark::State& bench) {
    for (auto _ : bench) {
        const double before_mib = heap_mib();
        Load load(bench.range(0) == 1);
        load.fill();
        bench.counters["fill_per_s"] = static_cast<double>(load.commands()) / load.seconds();
        bench.counters["state_MiB"] = heap_mib() - before_mib;
        load.reset_clock();
        for (int i = 0; i < 1000; ++i) load.change(200);
        bench.counters["change_per_s"] = static_cast<double>(load.commands()) / load.seconds();
    }
}
BENCHMARK(apply_commands)->Arg(0)->Arg(1)->Iterations(1)->Unit(benchmark::kMillisecond);

// Times of single steps, of which the longest counts.
class Longest {
 public:
    template <typename Step>
    void time(Step step) {
        const double start_ms = now_ms();
        step();
        longest_ms_ = std::max(longest_ms_, now_ms() - start_ms);
    }
    double ms() const { return longest_ms_; }

 private:
    double longest_ms_ = 0;
};

double longest_free_ms(FileState* state) {
    Longest longest;
    for (bool done = false; !done;) {
        longest.time([&] {
            size_t nodes = 200;  // StateMachine::kNodesFreedPerTurn
            done = state->discard(&nodes);
        });
    }
    return longest.ms();
}

void snapshot(benchmark::State& bench) {
    for (auto _ : bench) {
        Load load(bench.range(0) == 1);
        load.fill();
        load.reset_clock();
        const uint64_t index = load.state.applied_index();
        const uint64_t hash = load.state.hash();
        const double before_mib = heap_mib();
        double kept_mib = 0;
        double written_mib = 0;

        const double freeze_ms = now_ms();
        auto writer = std::make_unique<FileStateWriter>(load.state);
        bench.counters["freeze_us"] = (now_ms() - freeze_ms) * 1000;

        std::vector<std::string> pieces;
        Longest piece;
        while (!writer->done()) {
            piece.time([&] { pieces.push_back(writer->next_piece()); });
            kept_mib += static_cast<double>(pieces.back().capacity()) / (1024 * 1024);
            written_mib += static_cast<double>(pieces.back().size()) / (1024 * 1024);
            load.change(200);
        }
        bench.counters["piece_ms"] = piece.ms();
        bench.counters["batch_ms"] = load.longest_batch_ms();
        bench.counters["change_per_s"] = static_cast<double>(load.commands()) / load.seconds();
        bench.counters["extra_MiB"] = heap_mib() - before_mib - kept_mib;
        bench.counters["bytes_MiB"] = written_mib;
        FileState frozen = writer->state();
        writer.reset();
        bench.counters["drop_ms"] = longest_free_ms(&frozen);

        FileStateRestorer restorer(settings());
        Longest read;
        const double restore_ms = now_ms();
        for (const std::string& bytes : pieces) {
            read.time([&] { SANDSTORE_CHECK(restorer.read(bytes), restorer.problem()); });
        }
        SANDSTORE_CHECK(restorer.finish(index) && restorer.state().hash() == hash, restorer.problem());
        bench.counters["restore_s"] = (now_ms() - restore_ms) / 1000;
        bench.counters["section_ms"] = read.ms();
        bench.counters["free_ms"] = longest_free_ms(&restorer.state());
    }
}
BENCHMARK(snapshot)->Arg(0)->Arg(1)->Iterations(1)->Unit(benchmark::kMillisecond);

// One file of a million extents, of a chunk each, is removed, cut or written over by one command; then commands that do
// nothing follow until all has been reclaimed. The longest of them counts: one command is one turn at least.
enum class Blow : int { kRemove, kCutToOneByte, kCutInHalf, kOverwrite };

constexpr uint64_t kExtents = 1'000'000;
constexpr uint64_t kExtentBytes = 4096;

class CrowdedFile {
 public:
    CrowdedFile() {
        state_.configure(settings());
        pb::Mutation mutation;
        mutation.mutable_open_session();
        apply(mutation);
        mutation.mutable_create_file()->mutable_at()->set_path("file");
        apply(mutation);
        for (uint64_t offset = 0; offset < kExtents * kExtentBytes;) offset = fill(offset);
    }

    double strike(Blow blow) {
        pb::Mutation mutation;
        if (blow == Blow::kRemove) {
            mutation.mutable_remove_file()->mutable_at()->set_path("file");
        } else if (blow == Blow::kOverwrite) {
            pb::CommitExtents& commit = *mutation.mutable_commit_extents();
            commit.mutable_at()->set_path("file");
            add_extent(0, kExtents * kExtentBytes, &commit);
        } else {
            const uint64_t size = blow == Blow::kCutInHalf ? kExtents * kExtentBytes / 2 : 1;
            mutation.mutable_set_attributes()->mutable_at()->set_path("file");
            mutation.mutable_set_attributes()->set_size(size);
        }
        return apply(mutation);
    }
    double nothing() {
        pb::Mutation mutation;
        mutation.mutable_set_attributes()->mutable_at()->set_path("");
        return apply(mutation);
    }
    bool reclaiming() const { return state_.files().reclaiming(); }
    FileState& state() { return state_; }

 private:
    uint64_t fill(uint64_t offset) {
        pb::Mutation mutation;
        pb::CommitExtents& commit = *mutation.mutable_commit_extents();
        commit.mutable_at()->set_path("file");
        for (int i = 0; i < 500; ++i, offset += kExtentBytes) add_extent(offset, kExtentBytes, &commit);
        apply(mutation);
        return offset;
    }
    void add_extent(uint64_t offset, uint64_t length, pb::CommitExtents* commit) {
        pb::Extent& extent = *commit->add_extents();
        extent.set_offset(offset);
        extent.set_length(length);
        extent.set_chunk_length(length);
        extent.mutable_chunk()->mutable_id()->set_term(1);
        extent.mutable_chunk()->mutable_id()->set_number(++chunks_);
        extent.mutable_chunk()->set_allocated_at_us(kStartUs);
        for (const char* node : {"node-1", "node-2", "node-3"}) extent.mutable_chunk()->add_replicas(node);
    }
    double apply(pb::Mutation& mutation) {
        pb::Command command;
        command.set_time_us(kStartUs);
        if (!mutation.has_open_session()) {
            mutation.set_session_id(1);
            mutation.set_sequence(++sequence_);
            mutation.set_oldest_needed(sequence_);
        }
        *command.mutable_mutation() = mutation;
        const std::string bytes = command.SerializeAsString();
        pb::MutationResult result;
        const double start_ms = now_ms();
        const std::string answer = state_.apply(state_.applied_index() + 1, bytes);
        const double took_ms = now_ms() - start_ms;
        SANDSTORE_CHECK(result.ParseFromString(answer) && result.status().code() == pb::STATUS_OK,
                        result.status().message());
        return took_ms;
    }

    FileState state_;
    uint64_t sequence_ = 0;
    uint64_t chunks_ = 0;
};

void crowded_file(benchmark::State& bench) {
    for (auto _ : bench) {
        CrowdedFile file;
        double longest_ms = file.strike(static_cast<Blow>(bench.range(0)));
        bench.counters["command_ms"] = longest_ms;
        double commands = 1;
        for (; file.reclaiming(); ++commands) longest_ms = std::max(longest_ms, file.nothing());
        bench.counters["longest_ms"] = longest_ms;
        bench.counters["commands"] = commands;
    }
}
BENCHMARK(crowded_file)->DenseRange(0, 3)->ArgName("blow")->Iterations(1)->Unit(benchmark::kMillisecond);

double page_ms(const FileState& state, const pb::Query& query) {
    pb::QueryResult result;
    const double start_ms = now_ms();
    state.answer(query, &result);
    const double took_ms = now_ms() - start_ms;
    SANDSTORE_CHECK(result.status().code() == pb::STATUS_OK && result.more(), result.status().message());
    return took_ms;
}

// Pages of queries, as long as may be asked for.
void longest_pages(benchmark::State& bench) {
    for (auto _ : bench) {
        Load load(true);
        load.fill();
        pb::Query query;
        query.mutable_list_directory()->mutable_at()->set_path("all");
        query.mutable_list_directory()->set_limit(10'000);
        bench.counters["list_ms"] = page_ms(load.state, query);
        query.mutable_chunks_of_node()->set_node_id("node-1");
        query.mutable_chunks_of_node()->set_limit(10'000);
        bench.counters["audit_ms"] = page_ms(load.state, query);
        query.mutable_chunks_of_node()->set_node_id("node-4");
        bench.counters["audit_other_ms"] = page_ms(load.state, query);
        CrowdedFile file;
        query.mutable_read_extents()->mutable_at()->set_path("file");
        query.mutable_read_extents()->set_length(UINT64_MAX);
        bench.counters["extents_ms"] = page_ms(file.state(), query);
    }
}
BENCHMARK(longest_pages)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sandstore
