#include "apps/common/debug_faults.h"

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

TEST(DebugFaults, the_wall_clock_is_shifted_and_timers_are_not) {
    FaultPoints faults;
    const ShiftedClock clock(faults);
    const SystemClock system;
    const uint64_t before_us = clock.wall_us();
    const uint64_t timer_us = clock.monotonic_us();
    faults.wall_clock_offset_us = 3'600'000'000;
    EXPECT_GE(clock.wall_us(), before_us + 3'600'000'000);
    faults.wall_clock_offset_us = -3'600'000'000;
    EXPECT_LT(clock.wall_us(), before_us);
    EXPECT_LE(timer_us, clock.monotonic_us());
    EXPECT_LE(clock.monotonic_us(), system.monotonic_us());
}

}  // namespace
}  // namespace sandstore
