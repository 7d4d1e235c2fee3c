#include "runtime/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "runtime/metrics.h"

namespace sandstore {

namespace {

struct ProcessFigures {
    double cpu_seconds = 0;
    double virtual_bytes = 0;
    double resident_bytes = 0;
    double started_ticks = 0;  // Since the system's start.
};

// The fields after the program's name, which may itself have blanks and brackets: proc(5), /proc/pid/stat.
std::optional<ProcessFigures> read_stat() {
    std::ifstream file("/proc/self/stat");
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    const auto skip = [&](int count) {
        for (int i = 0; i < count; i++) fields >> skipped;
    };
    double user_ticks = 0, system_ticks = 0, resident_pages = 0;
    ProcessFigures figures;
    skip(11);  // From the third field, the state, to the fault counts.
    fields >> user_ticks >> system_ticks;
    skip(6);  // Children's times, priority, nice, threads, the interval timer.
    fields >> figures.started_ticks >> figures.virtual_bytes >> resident_pages;
    if (!fields) return std::nullopt;
    figures.cpu_seconds = (user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
    figures.resident_bytes = resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
    return figures;
}

double open_files() {
    DIR* directory = opendir("/proc/self/fd");
    if (directory == nullptr) return 0;
    int count = 0;
    while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1;  // Without the one that looked.
}

double clock_seconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double files_max() {
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : 0;
}

}  // namespace

void add_process_metrics(MetricsRegistry& registry, const SoftwareFacts& software, std::function<uint64_t()> wall_us) {
    registry
        .gauge("sandstore_build_info", "Always 1; the labels say which software runs.",
               {{"version", software.version}, {"commit", software.commit}, {"profile", software.profile}})
        .set(1);
    Gauge& time = registry.gauge("sandstore_time_seconds", "The node's wall clock when it was asked, since 1970.");
    // Names and meanings are those that Prometheus' client libraries share.
    Gauge& cpu = registry.measured_counter("process_cpu_seconds_total", "User and system time spent.");
    Gauge& virtual_bytes = registry.gauge("process_virtual_memory_bytes", "Address space in use.");
    Gauge& resident = registry.gauge("process_resident_memory_bytes", "Memory in use.");
    Gauge& open = registry.gauge("process_open_fds", "Open file descriptors.");
    registry.gauge("process_max_fds", "Most file descriptors that may be open.").set(files_max());
    Gauge& started = registry.gauge("process_start_time_seconds", "When the process was started, since 1970.");
    // Once: a wall clock that is set later must not look like a restart.
    if (const std::optional<ProcessFigures> figures = read_stat()) {
        const double age_seconds =
            clock_seconds(CLOCK_BOOTTIME) - figures->started_ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
        started.set(clock_seconds(CLOCK_REALTIME) - age_seconds);
    }
    registry.before_render([&, wall_us = std::move(wall_us)] {
        time.set(static_cast<double>(wall_us()) / 1e6);
        open.set(open_files());
        const std::optional<ProcessFigures> figures = read_stat();
        if (!figures) return;
        cpu.set(figures->cpu_seconds);
        virtual_bytes.set(figures->virtual_bytes);
        resident.set(figures->resident_bytes);
    });
}

}  // namespace sandstore
