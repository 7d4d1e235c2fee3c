#include "runtime/spin.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sandstore {
namespace {

struct TestClock {
    using time_point = std::chrono::time_point<TestClock, std::chrono::microseconds>;
    static time_point now() { return time_point(std::chrono::microseconds(now_us)); }
    static inline uint64_t now_us = 0;
};

// Looks for work that comes after a while; each look takes 10 us.
class SpinTest : public ::testing::Test {
 protected:
    bool wait(uint64_t work_comes_after_us) {
        looks_ = 0;
        const uint64_t comes_us = TestClock::now_us + work_comes_after_us;
        const bool found = spin.wait([&] {
            looks_++;
            TestClock::now_us += 10;
            return TestClock::now_us >= comes_us;
        });
        if (found) return true;
        TestClock::now_us = std::max(TestClock::now_us, comes_us);
        spin.slept();
        return false;
    }

    BasicSpin<TestClock> spin{50};
    int looks_ = 0;
};

TEST_F(SpinTest, who_has_had_nothing_to_do_sleeps_at_once) {
    EXPECT_FALSE(wait(30));
    EXPECT_EQ(looks_, 0);
}

TEST_F(SpinTest, after_a_short_wait_the_next_one_is_spun) {
    wait(30);
    EXPECT_TRUE(wait(30));
    EXPECT_TRUE(wait(40));
}

TEST_F(SpinTest, a_spin_in_vain_is_the_last_one_until_a_wait_is_short_again) {
    wait(30);
    EXPECT_FALSE(wait(1'000));
    EXPECT_EQ(looks_, 5);
    EXPECT_FALSE(wait(1'000));
    EXPECT_EQ(looks_, 0);
    EXPECT_FALSE(wait(30));
    EXPECT_TRUE(wait(30));
}

TEST_F(SpinTest, without_a_limit_it_never_looks) {
    spin = BasicSpin<TestClock>(0);
    for (int i = 0; i < 3; i++) EXPECT_FALSE(wait(1));
    EXPECT_EQ(looks_, 0);
}

}  // namespace
}  // namespace sandstore
