// What the doctor says about machines that are not well: figures in, judgements out; and the probes on this machine.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "apps/doctor/disk_probe.h"
#include "apps/doctor/machine_probe.h"
#include "apps/doctor/network_probe.h"

namespace sandstore {
namespace {

const Finding& of(const Findings& findings, std::string_view check) {
    static const Finding kNone{Health::kFail, "none", "", ""};
    for (const Finding& finding : findings.all()) {
        if (finding.check == check) return finding;
    }
    ADD_FAILURE() << "nothing was said about " << check;
    return kNone;
}

constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(Doctor, a_slow_disk_is_told_with_its_figures) {
    Findings good;
    judge_disk_speed({300, 900, 500 << 20}, &good);
    EXPECT_EQ(good.worst(), Health::kOk);
    Findings slow;
    judge_disk_speed({8'000, 40'000, 500 << 20}, &slow);
    EXPECT_EQ(of(slow, "fsync").health, Health::kWarn);
    EXPECT_NE(of(slow, "fsync").text.find("40"), std::string::npos);
    Findings useless;
    judge_disk_speed({400'000, 900'000, 1 << 20}, &useless);
    EXPECT_EQ(of(useless, "fsync").health, Health::kFail);
    EXPECT_EQ(of(useless, "throughput").health, Health::kWarn);
}

TEST(Doctor, the_suggested_election_timeout_follows_the_slower_of_disk_and_network) {
    EXPECT_EQ(suggested_election_timeout_ms(500, 200, 50), 300u);
    EXPECT_EQ(suggested_election_timeout_ms(61'000, 200, 50), 650u);
    EXPECT_EQ(suggested_election_timeout_ms(500, 80'000, 50), 800u);
    EXPECT_EQ(suggested_election_timeout_ms(500, 200, 200), 1000u);
    Findings findings;
    judge_election_timeout(300, 50, 61'000, 0, &findings);
    EXPECT_EQ(of(findings, "election_timeout").health, Health::kWarn);
    EXPECT_NE(of(findings, "election_timeout").advice.find("--election-timeout=650"), std::string::npos);
    Findings impossible;
    judge_election_timeout(200, 50, 100, 0, &impossible);
    EXPECT_EQ(impossible.worst(), Health::kFail);
}

TEST(Doctor, space_file_systems_and_containers_that_do_not_fit_are_named) {
    const auto judged = [](DiskSpace space, bool container) {
        Findings findings;
        judge_disk_space(space, container, &findings);
        return findings;
    };
    DiskSpace space{100 * kGiB, 50 * kGiB, 1'000'000, 900'000, false, "ext4", false};
    EXPECT_EQ(judged(space, true).worst(), Health::kOk);
    DiskSpace full = space;
    full.free_bytes = 100 << 20;
    EXPECT_EQ(of(judged(full, false), "space").health, Health::kFail);
    full.free_bytes = 5 * kGiB;
    EXPECT_EQ(of(judged(full, false), "space").health, Health::kWarn);
    full = space;
    full.free_inodes = 100;
    EXPECT_EQ(of(judged(full, false), "inodes").health, Health::kWarn);
    DiskSpace type = space;
    type.type = "overlay";
    EXPECT_EQ(of(judged(type, true), "filesystem").health, Health::kWarn);
    EXPECT_EQ(of(judged(type, false), "filesystem").health, Health::kOk);
    for (const char* bad : {"tmpfs", "nfs", "fuse"}) {
        type.type = bad;
        EXPECT_EQ(of(judged(type, false), "filesystem").health, Health::kWarn) << bad;
    }
    type = space;
    type.read_only = true;
    EXPECT_EQ(of(judged(type, true), "filesystem").health, Health::kFail);
}

TEST(Doctor, limits_memory_and_processors_that_are_too_small_are_named) {
    Findings good;
    judge_machine({20'000, 20'000, 8 * kGiB, 4, false}, &good);
    EXPECT_EQ(good.worst(), Health::kOk);
    Findings bad;
    judge_machine({256, 512, 100 << 20, 0.2, true}, &bad);
    EXPECT_EQ(of(bad, "nofile").health, Health::kFail);
    EXPECT_EQ(of(bad, "memory").health, Health::kFail);
    EXPECT_EQ(of(bad, "processors").health, Health::kWarn);
}

TEST(Doctor, clocks_that_jump_or_are_apart_are_named) {
    Findings good;
    judge_clock({true, true, 3000, 100}, &good);
    judge_clock_offset("node-2", -900'000, &good);
    EXPECT_EQ(good.worst(), Health::kOk);
    Findings bad;
    judge_clock({true, false, 0, -700'000}, &bad);
    EXPECT_EQ(of(bad, "clock").health, Health::kWarn);
    EXPECT_EQ(of(bad, "clock_step").health, Health::kWarn);
    judge_clock_offset("node-2", 30'000'000, &bad);
    EXPECT_EQ(of(bad, "clock_offset").health, Health::kWarn);
    Findings worse;
    judge_clock_offset("node-2", -3'600'000'000, &worse);
    EXPECT_EQ(worse.worst(), Health::kFail);
    EXPECT_NE(of(worse, "clock_offset").text.find("behind"), std::string::npos);
    EXPECT_EQ(parse_http_date_us("Thu, 01 Jan 1970 00:01:00 GMT"), 60'000'000);
    EXPECT_EQ(parse_http_date_us("yesterday"), std::nullopt);
}

TEST(Doctor, the_disk_probe_measures_and_leaves_nothing_behind) {
    std::string path = (std::filesystem::temp_directory_path() / "sandstore-doctor-XXXXXX").string();
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    const DiskProbe probe = probe_disk(path, true);
    EXPECT_EQ(probe.error, 0);
    EXPECT_TRUE(probe.exists);
    EXPECT_GT(probe.speed.sync_p99_us, 0u);
    EXPECT_EQ(probe.speed.bytes_per_second, 0u) << "gently";
    EXPECT_GT(probe.space.total_bytes, 0u);
    EXPECT_TRUE(std::filesystem::is_empty(path));
    const DiskProbe above = probe_disk(path + "/not/there", true);
    EXPECT_EQ(above.directory, path);
    EXPECT_FALSE(above.exists);
    std::filesystem::remove_all(path);
    EXPECT_NE(probe_disk("/proc", true).error, 0);
}

TEST(Doctor, the_network_probes_tell_what_is_wrong) {
    EXPECT_NE(probe_connect("no.such.host.invalid:1", 1, 1'000'000).error.find("cannot be resolved"),
              std::string::npos);
    const ConnectProbe refused = probe_connect("127.0.0.1:1", 1, 1'000'000);
    EXPECT_TRUE(refused.resolved);
    EXPECT_EQ(refused.error, "Connection refused");
    EXPECT_EQ(probe_listen("127.0.0.1:0"), 0);
    EXPECT_EQ(probe_listen("192.0.2.1:0"), EADDRNOTAVAIL);
    EXPECT_EQ(probe_http("127.0.0.1:1", "/", 1'000'000).error, "Connection refused");
}

}  // namespace
}  // namespace sandstore
