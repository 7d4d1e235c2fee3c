// sandstore bench raft|meta|io: how fast a cluster is.
#include <gflags/gflags.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "apps/common/client_flags.h"
#include "apps/sandstore/bench_runner.h"
#include "apps/sandstore/commands.h"
#include "apps/terminal/units.h"
#include "runtime/flags.h"
#include "runtime/text.h"

DEFINE_string(clients, "1,16,64", "how many clients at once; one run for each number");
DEFINE_string(duration, "5s", "how long each run is measured, after a warm-up");
DECLARE_string(size);

namespace sandstore {

namespace {

constexpr size_t kClientsMax = 4096;

std::optional<std::vector<size_t>> parse_clients(std::string_view text) {
    std::vector<size_t> numbers;
    for (const std::string& part : split_servers(text)) {
        size_t number = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
        if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
        if (number < 1 || number > kClientsMax) return std::nullopt;
        numbers.push_back(number);
    }
    if (numbers.empty()) return std::nullopt;
    return numbers;
}

const FlagRule kClientsRule("clients", {"number,number,..., each 1 to 4096",
                                        [](std::string_view text) { return parse_clients(text).has_value(); }});
const FlagRule kDurationRule("duration", duration_between(100'000, 3'600'000'000));

CommandSpec bench_spec() {
    CommandSpec spec;
    spec.name = "bench";
    spec.summary = "Measures how fast a cluster is.";
    spec.usage = "sandstore bench raft|meta|io [flags]";
    spec.groups = {{"Load", {"clients", "duration", "size"}}, {"Output", {"json"}}, cluster_flags()};
    spec.positionals_min = 1;
    spec.positionals_max = 1;
    spec.positionals_name = "raft|meta|io";
    spec.notes =
        "raft  commits records: a new time on a file, filled up with --size bytes (16 to 1M), so that consensus and "
        "the\n"
        "      log are measured and nothing else.\n"
        "meta  makes, looks at, renames and removes files.\n"
        "io    writes and reads files in blocks of 4 MiB, reads 4 KiB at random places, and makes files of 4 KiB.\n"
        "      Overwritten bytes are given back by the nodes only later: it needs some GiB of room.\n"
        "Every client has one operation under way at a time. What was made is removed at the end.\n"
        "MB/s counts content once, however many copies there are.\n";
    return spec;
}

std::vector<std::unique_ptr<BenchWorkload>> workloads_named(std::string_view name, uint64_t size) {
    std::vector<std::unique_ptr<BenchWorkload>> workloads;
    if (name == "raft") workloads.push_back(make_raft_workload(size));
    if (name == "meta") workloads.push_back(make_meta_workload());
    if (name == "io") {
        workloads.push_back(make_sequential_write_workload());
        workloads.push_back(make_sequential_read_workload());
        workloads.push_back(make_random_read_workload());
        workloads.push_back(make_small_file_workload());
    }
    return workloads;
}

// One line on a terminal, drawn over.
class BenchProgress {
 public:
    BenchProgress(std::string what, uint64_t duration_us) : what_(std::move(what)), duration_us_(duration_us) {
        draw("preparing");
    }
    ~BenchProgress() {
        if (enabled_) std::fputs("\r\x1b[K", stderr);
    }
    BenchProgress(const BenchProgress&) = delete;
    BenchProgress& operator=(const BenchProgress&) = delete;

    void update(uint64_t elapsed_us, uint64_t operations) {
        const double seconds = static_cast<double>(std::min(elapsed_us, duration_us_)) / 1e6;
        const double rate = seconds > 0 ? static_cast<double>(operations) / seconds : 0;
        draw(elapsed_us > duration_us_ ? "waiting for the last ones, and removing what was made"
                                       : str_format("%.1f s, %.0f operations/s", seconds, rate));
    }

 private:
    void draw(const std::string& state) {
        if (enabled_) std::fprintf(stderr, "\r%s: %s\x1b[K", what_.c_str(), state.c_str());
    }

    const std::string what_;
    const uint64_t duration_us_;
    const bool enabled_ = isatty(STDERR_FILENO) == 1;
};

// False when the workload could not be prepared.
bool measure(Client& client, BenchWorkload& workload, size_t clients, uint64_t duration_us) {
    Result<BenchRun> run = ClientStatus(pb::STATUS_INTERNAL);
    {
        BenchProgress progress(str_cat(workload.name(), " ", workload.kinds().front(), ", ", clients, " clients"),
                               duration_us);
        run = run_workload(client, workload, clients, duration_us,
                           [&progress](uint64_t elapsed_us, uint64_t count) { progress.update(elapsed_us, count); });
    }
    if (!run.ok()) {
        std::fprintf(stderr, "sandstore: bench %s: %s\n", workload.name().c_str(), run.text().c_str());
        return false;
    }
    std::fputs((FLAGS_json ? bench_json(*run) : bench_table_lines(*run)).c_str(), stdout);
    std::fflush(stdout);
    if (!run->first_error.empty()) {
        std::fprintf(stderr, "sandstore: bench: the first error: %s\n", run->first_error.c_str());
    }
    return true;
}

}  // namespace

int bench_command(int argc, char** argv) {
    gflags::SetCommandLineOptionWithMode("size", "256", gflags::SET_FLAGS_DEFAULT);
    const CommandSpec spec = bench_spec();
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    const std::string& name = parsed.positionals.front();
    const uint64_t size = parse_size(FLAGS_size).value_or(0);
    if (name == "raft" && (size < kRaftSizeMin || size > kRaftSizeMax)) {
        return usage_error(spec, str_cat("--size is ", kRaftSizeMin, " to ", kRaftSizeMax, " bytes"));
    }
    if (workloads_named(name, size).empty()) {
        return usage_error(spec, str_cat("there is no workload \"", name, "\": raft, meta or io"));
    }
    const uint64_t duration_us = parse_duration_us(FLAGS_duration).value_or(0);
    Client client(client_options_from_flags());
    if (!FLAGS_json) std::fputs(bench_table_head().c_str(), stdout);
    bool measured = true;
    for (size_t i = 0; i < workloads_named(name, size).size(); ++i) {
        for (const size_t clients : parse_clients(FLAGS_clients).value_or(std::vector<size_t>{})) {
            const std::unique_ptr<BenchWorkload> workload = std::move(workloads_named(name, size)[i]);
            measured &= measure(client, *workload, clients, duration_us);
        }
    }
    return measured ? 0 : 1;
}

}  // namespace sandstore
