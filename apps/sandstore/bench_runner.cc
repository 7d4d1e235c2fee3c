#include "apps/sandstore/bench_runner.h"

#include <algorithm>

#include "apps/common/remove_tree.h"
#include "apps/terminal/units.h"
#include "client/calls.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kWarmUpMaxUs = 1'000'000;
constexpr uint64_t kProgressIntervalUs = 250'000;

// What the callbacks of one run share. They may come after the run, so each holds on to it.
struct Shared : std::enable_shared_from_this<Shared> {
    Client& client;
    BenchWorkload& workload;
    SystemClock clock;
    uint64_t measure_from_us = 0;
    uint64_t until_us = 0;
    size_t under_way = 0;
    uint64_t operations = 0;
    BenchRun run;

    Shared(Client& of_client, BenchWorkload& of_workload) : client(of_client), workload(of_workload) {}

    void begin(size_t client_index) {
        const uint64_t now_us = clock.monotonic_us();
        if (now_us >= until_us) return;
        ++under_way;
        BenchOperation operation = workload.next(client_index);
        send(client_index, std::move(operation.request), operation.kind, operation.bytes, now_us);
    }

    void send(size_t client_index, Message request, size_t kind, uint64_t bytes, uint64_t began_us) {
        client.submit(std::move(request),
                      [self = shared_from_this(), client_index, kind, bytes, began_us](Message answer) {
                          self->on_answer(client_index, std::move(answer), kind, bytes, began_us);
                      });
    }

    void on_answer(size_t client_index, Message answer, size_t kind, uint64_t bytes, uint64_t began_us) {
        const ClientStatus status(status_of_reply(answer));
        if (status.ok()) {
            if (std::optional<Message> more = workload.go_on(client_index, answer)) {
                return send(client_index, std::move(*more), kind, bytes, began_us);
            }
        }
        const uint64_t now_us = clock.monotonic_us();
        --under_way;
        if (now_us >= measure_from_us && now_us < until_us) count(status, kind, bytes, now_us - began_us);
        begin(client_index);
    }

    void count(const ClientStatus& status, size_t kind, uint64_t bytes, uint64_t took_us) {
        BenchRow& row = run.rows[kind];
        if (status.ok()) {
            ++operations;
            row.latencies.record(took_us);
            row.bytes += bytes;
            return;
        }
        ++row.errors;
        if (run.first_error.empty()) run.first_error = str_cat(row.operation, ": ", status.text());
    }
};

double per_second(uint64_t count, uint64_t elapsed_us) {
    return elapsed_us == 0 ? 0 : static_cast<double>(count) * 1e6 / static_cast<double>(elapsed_us);
}

std::string table_line(const BenchRun& run, const BenchRow& row) {
    return str_format(
        "%-8s %-12s %7zu %11.0f %9.1f %10s %10s %10s %8llu\n", run.workload.c_str(), row.operation.c_str(), run.clients,
        per_second(row.latencies.count(), run.measured_us), per_second(row.bytes, run.measured_us) / 1e6,
        format_duration(row.latencies.quantile_us(0.5)).c_str(),
        format_duration(row.latencies.quantile_us(0.99)).c_str(),
        format_duration(row.latencies.quantile_us(0.999)).c_str(), static_cast<unsigned long long>(row.errors));
}

std::string json_fields(const BenchRun& run, const BenchRow& row) {
    return str_cat("\"operation\":\"", row.operation,
                   "\",\"ops_per_second\":", str_format("%.1f", per_second(row.latencies.count(), run.measured_us)),
                   ",\"bytes_per_second\":", str_format("%.0f", per_second(row.bytes, run.measured_us)),
                   ",\"p50_us\":", row.latencies.quantile_us(0.5), ",\"p99_us\":", row.latencies.quantile_us(0.99),
                   ",\"p999_us\":", row.latencies.quantile_us(0.999), ",\"max_us\":", row.latencies.max_us(),
                   ",\"errors\":", row.errors);
}

}  // namespace

BenchRow BenchRun::total() const {
    BenchRow all;
    all.operation = rows.size() == 1 ? rows.front().operation : "all";
    for (const BenchRow& row : rows) {
        all.latencies.add(row.latencies);
        all.bytes += row.bytes;
        all.errors += row.errors;
    }
    return all;
}

Result<BenchRun> run_workload(Client& client, BenchWorkload& workload, size_t clients, uint64_t duration_us,
                              const std::function<void(uint64_t elapsed_us, uint64_t operations)>& progress) {
    const std::string directory =
        str_format("/bench-%016llx", static_cast<unsigned long long>(random_seed_of_system()));
    const Result<pb::Attributes> made = client.make_directory(directory);
    if (!made.ok()) return made.status();
    const ClientStatus prepared = workload.prepare(client, directory, clients);
    if (!prepared.ok()) {
        remove_tree(client, directory);
        return prepared;
    }
    const auto shared = std::make_shared<Shared>(client, workload);
    shared->run.workload = workload.name();
    shared->run.clients = clients;
    shared->run.measured_us = duration_us;
    for (const std::string& kind : workload.kinds()) shared->run.rows.emplace_back().operation = kind;
    const uint64_t began_us = shared->clock.monotonic_us();
    shared->measure_from_us = began_us + std::min(kWarmUpMaxUs, duration_us / 5);
    shared->until_us = shared->measure_from_us + duration_us;
    for (size_t i = 0; i < clients; ++i) shared->begin(i);
    while (shared->under_way > 0) {
        client.run_until([&shared] { return shared->under_way == 0; }, kProgressIntervalUs);
        const uint64_t now_us = shared->clock.monotonic_us();
        if (now_us > shared->measure_from_us) progress(now_us - shared->measure_from_us, shared->operations);
    }
    remove_tree(client, directory);
    return std::move(shared->run);
}

std::string bench_table_head() {
    return str_format("%-8s %-12s %7s %11s %9s %10s %10s %10s %8s\n", "workload", "operation", "clients", "ops/s",
                      "MB/s", "p50", "p99", "p99.9", "errors");
}

std::string bench_table_lines(const BenchRun& run) {
    std::string lines;
    for (const BenchRow& row : run.rows) lines += table_line(run, row);
    if (run.rows.size() > 1) lines += table_line(run, run.total());
    return lines;
}

std::string bench_json(const BenchRun& run) {
    std::string json = str_cat("{\"workload\":\"", run.workload, "\",\"clients\":", run.clients,
                               ",\"seconds\":", str_format("%.3f", static_cast<double>(run.measured_us) / 1e6), ",",
                               json_fields(run, run.total()));
    if (run.rows.size() > 1) {
        json += ",\"operations\":[";
        for (size_t i = 0; i < run.rows.size(); ++i)
            str_append(&json, i == 0 ? "{" : ",{", json_fields(run, run.rows[i]), "}");
        json += "]";
    }
    return json + "}\n";
}

}  // namespace sandstore
