#include "apps/doctor/machine_probe.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "apps/backup/files.h"
#include "runtime/event_runtime.h"

namespace sandstore {

namespace {

std::string first_word_of(const char* path) {
    std::string word;
    std::ifstream(path) >> word;
    return word;
}

std::optional<uint64_t> number_of(const char* path) {
    const std::string word = first_word_of(path);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return value;
}

// Of control groups, version 2 and 1.
void apply_container_limits(Machine* machine) {
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        if (const auto limit = number_of(path)) machine->memory_bytes = std::min(machine->memory_bytes, *limit);
    }
    uint64_t quota = 0;
    uint64_t period = 0;
    std::ifstream("/sys/fs/cgroup/cpu.max") >> quota >> period;
    if (quota == 0 || period == 0) {
        quota = number_of("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").value_or(0);
        period = number_of("/sys/fs/cgroup/cpu/cpu.cfs_period_us").value_or(0);
    }
    if (quota > 0 && period > 0) {
        machine->processors = std::min(machine->processors, static_cast<double>(quota) / static_cast<double>(period));
    }
}

}  // namespace

Machine look_at_machine() {
    Machine machine;
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        machine.files_max = files.rlim_cur;
        machine.files_hard = files.rlim_max;
    }
    machine.memory_bytes =
        static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    cpu_set_t processors;
    CPU_ZERO(&processors);
    machine.processors = sched_getaffinity(0, sizeof(processors), &processors) == 0
                             ? CPU_COUNT(&processors)
                             : static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
    machine.container = exists("/.dockerenv") || exists("/run/.containerenv");
    apply_container_limits(&machine);
    return machine;
}

int64_t wall_minus_monotonic_us() {
    const SystemClock clock;
    return static_cast<int64_t>(clock.wall_us() - clock.monotonic_us());
}

ClockState look_at_clock(int64_t before_us) {
    ClockState clock;
    clock.stepped_us = wall_minus_monotonic_us() - before_us;
    timex state{};
    const int result = adjtimex(&state);
    if (result < 0) return clock;
    clock.known = true;
    clock.synchronized = result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
    clock.error_max_us = static_cast<uint64_t>(std::max<long>(state.maxerror, 0));
    return clock;
}

}  // namespace sandstore
