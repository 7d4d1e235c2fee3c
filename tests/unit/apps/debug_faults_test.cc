#include "apps/node/debug_faults.h"

#include <gtest/gtest.h>

namespace sandstore {
namespace {

TEST(DebugFaults, are_read_and_changed_one_by_one) {
    FaultPoints faults;
    const HttpHandler handler = debug_faults_handler(faults);
    EXPECT_EQ(handler(false, "").body, "{\"disk_delay_ms\":0,\"disk_full\":false,\"wall_clock_offset_ms\":0}\n");
    EXPECT_EQ(handler(true, "{\"disk_delay_ms\": 25}").code, 200);
    EXPECT_EQ(handler(true, "{\"disk_full\": true, \"wall_clock_offset_ms\": -3600000}").body,
              "{\"disk_delay_ms\":25,\"disk_full\":true,\"wall_clock_offset_ms\":-3600000}\n");
    EXPECT_EQ(faults.disk_delay_us, 25'000u);
    EXPECT_TRUE(faults.disk_full);
    EXPECT_EQ(faults.wall_clock_offset_us, -3'600'000'000);
    EXPECT_EQ(handler(false, "").body, "{\"disk_delay_ms\":25,\"disk_full\":true,\"wall_clock_offset_ms\":-3600000}\n");
}

TEST(DebugFaults, a_bad_request_changes_nothing_and_says_why) {
    FaultPoints faults;
    const HttpHandler handler = debug_faults_handler(faults);
    for (const std::string_view bad :
         {"", "7", "[]", "{\"disk_full\": true, \"disk_delay_ms\": -1}",
          "{\"disk_full\": true, \"disk_delay_ms\": 1.5}", "{\"disk_full\": true, \"disk_delay_ms\": 60001}",
          "{\"disk_full\": true, \"disc\": 1}", "{\"disk_full\": 1}",
          "{\"disk_full\": true, \"wall_clock_offset_ms\": 9223372036854775807}"}) {
        const HttpAnswerText answer = handler(true, bad);
        EXPECT_EQ(answer.code, 400) << bad;
        EXPECT_NE(answer.body.find("\"error\""), std::string::npos) << answer.body;
        EXPECT_FALSE(faults.disk_full) << bad;
    }
}

struct StoppedClock final : Clock {
    uint64_t monotonic_us() const override { return 5'000; }
    uint64_t wall_us() const override { return 1'700'000'000'000'000; }
};

TEST(DebugFaults, the_wall_clock_is_shifted_and_timers_are_not) {
    FaultPoints faults;
    const StoppedClock stopped;
    const ShiftedClock clock(faults, stopped);
    EXPECT_EQ(clock.wall_us(), stopped.wall_us());
    faults.wall_clock_offset_us = 3'600'000'000;
    EXPECT_EQ(clock.wall_us(), stopped.wall_us() + 3'600'000'000);
    faults.wall_clock_offset_us = -3'600'000'000;
    EXPECT_EQ(clock.wall_us(), stopped.wall_us() - 3'600'000'000);
    EXPECT_EQ(clock.monotonic_us(), stopped.monotonic_us());
}

}  // namespace
}  // namespace sandstore
