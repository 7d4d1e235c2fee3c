// What `sandstore doctor` found out: one line for each check, with what to change when it is not well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

enum class Health { kOk, kWarn, kFail };
std::string_view name_of(Health health);  // "ok", "warn", "fail"

struct Finding {
    Health health = Health::kOk;
    std::string check;   // "fsync", "clock": a word that scripts may rely on.
    std::string text;    // What is there, with figures.
    std::string advice;  // What to change. Empty when all is well.
};

class Findings {
 public:
    void ok(std::string_view check, std::string text) { add(Health::kOk, check, std::move(text), ""); }
    void warn(std::string_view check, std::string text, std::string advice) {
        add(Health::kWarn, check, std::move(text), std::move(advice));
    }
    void fail(std::string_view check, std::string text, std::string advice) {
        add(Health::kFail, check, std::move(text), std::move(advice));
    }
    const std::vector<Finding>& all() const { return all_; }
    Health worst() const;

 private:
    void add(Health health, std::string_view check, std::string text, std::string advice);
    std::vector<Finding> all_;
};

// --- Judgements on what was measured (judgements.cc); pure, so that bad machines can be tested ----------------------

struct DiskSpeed {
    uint64_t sync_p50_us = 0;
    uint64_t sync_p99_us = 0;
    uint64_t bytes_per_second = 0;  // 0: not measured.
};
struct DiskSpace {
    uint64_t total_bytes = 0;
    uint64_t free_bytes = 0;
    uint64_t inodes = 0;  // 0: the file system does not count them.
    uint64_t free_inodes = 0;
    bool read_only = false;
    std::string type;  // "ext4", "tmpfs"; "0x..." when it is not a known one.
    bool system_disk = false;
};
struct Machine {
    uint64_t files_max = 0;     // Soft limit of open files,
    uint64_t files_hard = 0;    // and the hard one.
    uint64_t memory_bytes = 0;  // Of the machine or the container, whichever is less.
    double processors = 0;
    bool container = false;
};
struct ClockState {
    bool known = false;
    bool synchronized = false;
    uint64_t error_max_us = 0;
    int64_t stepped_us = 0;  // How the wall clock moved against the monotonic one while the doctor was at work.
};

// The least timeout that leaves room for ten of the slower of a sync and a round trip, and for five heartbeats.
uint64_t suggested_election_timeout_ms(uint64_t sync_p99_us, uint64_t round_trip_us, uint64_t heartbeat_ms);

void judge_disk_speed(const DiskSpeed& speed, Findings* findings);
void judge_disk_space(const DiskSpace& space, bool container, Findings* findings);
void judge_machine(const Machine& machine, Findings* findings);
void judge_clock(const ClockState& clock, Findings* findings);
void judge_election_timeout(uint64_t election_ms, uint64_t heartbeat_ms, uint64_t sync_p99_us, uint64_t round_trip_us,
                            Findings* findings);
// From an HTTP Date, whose resolution is a second.
void judge_clock_offset(std::string_view other, int64_t offset_us, Findings* findings);
std::optional<int64_t> parse_http_date_us(std::string_view text);

}  // namespace sandstore
