#include <algorithm>
#include <ctime>

#include "apps/doctor/findings.h"
#include "apps/terminal/units.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

}  // namespace

std::string_view name_of(Health health) {
    switch (health) {
        case Health::kOk:
            return "ok";
        case Health::kWarn:
            return "warn";
        case Health::kFail:
            return "fail";
    }
    return "fail";
}

void Findings::add(Health health, std::string_view check, std::string text, std::string advice) {
    all_.push_back({health, std::string(check), std::move(text), std::move(advice)});
}

Health Findings::worst() const {
    Health worst = Health::kOk;
    for (const Finding& finding : all_) worst = std::max(worst, finding.health);
    return worst;
}

uint64_t suggested_election_timeout_ms(uint64_t sync_p99_us, uint64_t round_trip_us, uint64_t heartbeat_ms) {
    constexpr uint64_t kLeastMs = 300;
    constexpr uint64_t kStepMs = 50;
    const uint64_t needed_ms =
        std::max({kLeastMs, 5 * heartbeat_ms, (10 * std::max(sync_p99_us, round_trip_us) + 999) / 1000});
    return (needed_ms + kStepMs - 1) / kStepMs * kStepMs;
}

void judge_disk_speed(const DiskSpeed& speed, Findings* findings) {
    constexpr uint64_t kSlowUs = 20'000;
    constexpr uint64_t kUselessUs = 500'000;
    const std::string text = str_cat("a write of 4 KiB and its sync take ", format_duration(speed.sync_p50_us),
                                     " (p50), ", format_duration(speed.sync_p99_us), " (p99)");
    if (speed.sync_p99_us >= kUselessUs) {
        findings->fail("fsync", text, "every write waits for this: give --data-dir a faster disk");
    } else if (speed.sync_p99_us >= kSlowUs) {
        findings->warn("fsync", text, "every write waits for this: an SSD with its own power syncs in under 1 ms");
    } else {
        findings->ok("fsync", text);
    }
    if (speed.bytes_per_second == 0) return;
    constexpr uint64_t kSlowBytes = 50 << 20;
    const std::string rate = str_cat(format_bytes(speed.bytes_per_second), "/s written and synced in one stream");
    if (speed.bytes_per_second < kSlowBytes) {
        findings->warn("throughput", rate, "file data of three copies shares this: give --data-dir a faster disk");
    } else {
        findings->ok("throughput", rate);
    }
}

void judge_disk_space(const DiskSpace& space, bool container, Findings* findings) {
    const uint64_t percent =
        space.total_bytes == 0 ? 0 : space.free_bytes / std::max<uint64_t>(space.total_bytes / 100, 1);
    const std::string text =
        str_cat(format_bytes(space.free_bytes), " of ", format_bytes(space.total_bytes), " are free (", percent, " %)");
    if (space.free_bytes < kGiB / 4) {
        findings->fail("space", text, "a node that cannot write its log stops accepting writes: make room");
    } else if (space.free_bytes < 2 * kGiB || percent < 10) {
        findings->warn("space", text, "make room before it is full: the log alone takes up to 512 MiB and more");
    } else {
        findings->ok("space", text);
    }
    if (space.inodes > 0 && space.free_inodes < 10'000) {
        findings->warn("inodes", str_cat(space.free_inodes, " of ", space.inodes, " are free"),
                       "each chunk is a file: make the file system with more inodes");
    } else if (space.inodes > 0) {
        findings->ok("inodes", str_cat(space.free_inodes, " are free"));
    }
    if (space.read_only) {
        findings->fail("filesystem", str_cat(space.type, ", read-only"), "mount a volume that can be written there");
    } else if (space.type == "tmpfs" || space.type == "ramfs") {
        findings->warn("filesystem", str_cat(space.type, ": memory"),
                       "everything is lost when the machine restarts: use a disk");
    } else if (space.type == "overlay" && container) {
        findings->warn("filesystem", "overlay: the container's own layer",
                       "it goes with the container, and is slow: mount a volume at --data-dir");
    } else if (space.type == "nfs" || space.type == "fuse" || space.type == "cifs") {
        findings->warn("filesystem", str_cat(space.type, ": a network file system"),
                       "a sync there may mean little, and a second node may see the same files: use a local disk");
    } else {
        findings->ok("filesystem", str_cat(space.type, space.system_disk ? ", the same disk as the system's"
                                                                         : ", a disk of its own"));
    }
}

void judge_machine(const Machine& machine, Findings* findings) {
    constexpr uint64_t kFilesLeast = 1024;
    constexpr uint64_t kFilesGood = 4096;
    const std::string files =
        str_cat(machine.files_max, " files may be open at once (hard limit ", machine.files_hard, ")");
    const std::string raise =
        machine.files_hard >= kFilesGood
            ? "raise the soft limit: ulimit -n 4096, LimitNOFILE= in systemd"
            : "raise both limits: LimitNOFILE= in systemd, ulimits: in compose, up to the daemon's own";
    if (machine.files_max < kFilesLeast) {
        findings->fail("nofile", files, raise);
    } else if (machine.files_max < kFilesGood) {
        findings->warn("nofile", files, raise);
    } else {
        findings->ok("nofile", files);
    }
    const std::string memory = str_cat(format_bytes(machine.memory_bytes), machine.container ? " (container)" : "");
    if (machine.memory_bytes < kGiB / 4) {
        findings->fail("memory", memory, "a node needs 256 MiB, and about 500 bytes for each file besides");
    } else if (machine.memory_bytes < kGiB) {
        findings->warn("memory", memory, "enough for a small namespace; 1 GiB and more is usual");
    } else {
        findings->ok("memory", memory);
    }
    const std::string processors = str_format("%.3g", machine.processors);
    if (machine.processors < 0.5) {
        findings->warn("processors", processors, "elections will be called because the node is not served in time");
    } else {
        findings->ok("processors", processors);
    }
}

void judge_clock(const ClockState& clock, Findings* findings) {
    constexpr int64_t kStepUs = 5'000;
    if (std::abs(clock.stepped_us) > kStepUs) {
        findings->warn("clock_step",
                       str_cat("the wall clock was moved by ", clock.stepped_us / 1000, " ms while this was running"),
                       "let it be slewed (chrony, systemd-timesyncd), not set");
    }
    if (!clock.known)
        return findings->warn("clock", "the kernel does not tell whether it is synchronized",
                              "look at chronyc tracking");
    if (!clock.synchronized) {
        return findings->warn("clock", "not synchronized by NTP, as far as the kernel knows",
                              "run chrony or systemd-timesyncd on the machine (not in the container)");
    }
    findings->ok("clock", str_cat("synchronized, at most ", format_duration(clock.error_max_us), " off"));
}

void judge_election_timeout(uint64_t election_ms, uint64_t heartbeat_ms, uint64_t sync_p99_us, uint64_t round_trip_us,
                            Findings* findings) {
    const uint64_t suggested = suggested_election_timeout_ms(sync_p99_us, round_trip_us, heartbeat_ms);
    const std::string text =
        str_cat("--election-timeout is ", election_ms, " ms; sync p99 ", format_duration(sync_p99_us),
                round_trip_us == 0 ? "" : str_cat(", slowest round trip ", format_duration(round_trip_us)));
    if (election_ms < 5 * heartbeat_ms) {
        return findings->fail("election_timeout", text,
                              str_cat("it must be at least five heartbeats: --election-timeout=", suggested));
    }
    if (suggested > election_ms) {
        return findings->warn(
            "election_timeout", text,
            str_cat("on all nodes: --election-timeout=", suggested, ", or leaders change for nothing"));
    }
    findings->ok("election_timeout", text);
}

void judge_clock_offset(std::string_view other, int64_t offset_us, Findings* findings) {
    constexpr int64_t kWarnUs = 2'000'000;
    constexpr int64_t kFailUs = 60'000'000;
    const int64_t distance_us = std::abs(offset_us);
    if (distance_us < kWarnUs) {
        return findings->ok("clock_offset", str_cat(other, ": less than 2 s apart"));
    }
    const std::string text = str_cat(other, ": its clock is ", format_duration(static_cast<uint64_t>(distance_us)),
                                     offset_us > 0 ? " ahead of" : " behind", " ours");
    const std::string advice = "files get wrong times, and sessions end too early: synchronize both with NTP";
    if (distance_us < kFailUs) return findings->warn("clock_offset", text, advice);
    findings->fail("clock_offset", text, advice);
}

// "Sat, 21 Nov 2026 13:34:16 GMT"
std::optional<int64_t> parse_http_date_us(std::string_view text) {
    tm parts{};
    const std::string copy(text);
    const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S", &parts);
    if (end == nullptr || std::string_view(end) != " GMT") return std::nullopt;
    return int64_t{timegm(&parts)} * 1'000'000;
}

}  // namespace sandstore
