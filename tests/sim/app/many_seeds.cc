#include "tests/sim/app/many_seeds.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "runtime/check.h"
#include "runtime/random.h"
#include "tests/sim/run_digest.h"
#include "tests/sim/swarm.h"

namespace sandstore {

namespace {

using SteadyClock = std::chrono::steady_clock;

// What a worker writes into the pipe after each run: less than PIPE_BUF, so never torn.
struct Line {
    uint64_t seed;
    SimFigures figures;
    uint64_t failed;
};

Line run_seed(uint64_t seed, const SimCommand& command) {
    const Schedule schedule = draw_schedule(seed, command.limits);
    const SimRunResult result = run_schedule(schedule);
    bool failed = !result.ok();
    if (!failed && runs_twice(seed)) failed = !first_difference(schedule).empty();
    return {seed, result.figures, failed ? 1u : 0u};
}

double seconds_since(SteadyClock::time_point start) {
    return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

[[noreturn]] void work(const SimCommand& command, uint64_t job, int out, SteadyClock::time_point start) {
    for (uint64_t i = job; command.seeds == 0 || i < command.seeds; i += command.jobs) {
        if (command.seconds > 0 && seconds_since(start) > static_cast<double>(command.seconds)) break;
        const Line line = run_seed(command.from + i, command);
        if (write(out, &line, sizeof(line)) != static_cast<ssize_t>(sizeof(line))) break;
        if (line.failed != 0 && !command.keep_going) break;
    }
    _exit(0);
}

void show(const ManySeedsResult& result, const SimCommand& command, bool last) {
    std::fprintf(stderr, "\r%llu%s%s seeds, %.1f/s, %llu operations, %llu failed%s",
                 static_cast<unsigned long long>(result.runs), command.seeds > 0 ? " of " : "",
                 command.seeds > 0 ? std::to_string(command.seeds).c_str() : "",
                 static_cast<double>(result.runs) / std::max(result.seconds, 0.001),
                 static_cast<unsigned long long>(result.figures.acknowledged),
                 static_cast<unsigned long long>(result.failed.size()), last ? "\n" : "  ");
}

}  // namespace

bool runs_twice(uint64_t seed) {
    return mix64(seed) % kRunTwiceOneIn == 0;
}

ManySeedsResult run_many_seeds(const SimCommand& command, bool show_progress) {
    const auto start = SteadyClock::now();
    int ends[2];
    SANDSTORE_CHECK(pipe(ends) == 0, "no pipe");
    std::vector<pid_t> workers;
    for (uint64_t job = 0; job < command.jobs; job++) {
        const pid_t worker = fork();
        SANDSTORE_CHECK(worker >= 0, "no process");
        if (worker == 0) {
            close(ends[0]);
            work(command, job, ends[1], start);
        }
        workers.push_back(worker);
    }
    close(ends[1]);
    ManySeedsResult result;
    double shown = 0;
    for (Line line; read(ends[0], &line, sizeof(line)) == static_cast<ssize_t>(sizeof(line));) {
        result.runs++;
        result.figures.add(line.figures);
        if (runs_twice(line.seed)) result.run_twice++;
        result.seconds = seconds_since(start);
        if (line.failed != 0) {
            result.failed.push_back(line.seed);
            if (!command.keep_going) break;
        }
        if (show_progress && result.seconds - shown > 0.5) {
            shown = result.seconds;
            show(result, command, false);
        }
    }
    close(ends[0]);  // A worker that is still at it ends with its next line.
    bool crashed = false;
    for (const pid_t worker : workers) {
        int status = 0;
        waitpid(worker, &status, 0);
        crashed = crashed || (WIFSIGNALED(status) && WTERMSIG(status) != SIGPIPE);
    }
    SANDSTORE_CHECK(!crashed, "a worker was killed by a signal");
    result.seconds = seconds_since(start);
    std::sort(result.failed.begin(), result.failed.end());
    if (show_progress) show(result, command, true);
    return result;
}

}  // namespace sandstore
