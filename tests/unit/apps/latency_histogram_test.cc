#include "apps/sandstore/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/random.h"

namespace sandstore {
namespace {

TEST(LatencyHistogram, nothing_recorded_is_zero) {
    const LatencyHistogram histogram;
    EXPECT_EQ(histogram.quantile_us(0.99), 0u);
    EXPECT_EQ(histogram.mean_us(), 0.0);
}

TEST(LatencyHistogram, small_values_are_exact) {
    LatencyHistogram histogram;
    for (uint64_t i = 1; i <= 100; ++i) histogram.record(i);
    EXPECT_EQ(histogram.quantile_us(0.5), 50u);
    EXPECT_EQ(histogram.quantile_us(0.99), 99u);
    EXPECT_EQ(histogram.quantile_us(0.999), 100u);
    EXPECT_EQ(histogram.quantile_us(0), 1u);
    EXPECT_EQ(histogram.quantile_us(1), 100u);
    EXPECT_EQ(histogram.max_us(), 100u);
    EXPECT_DOUBLE_EQ(histogram.mean_us(), 50.5);
}

TEST(LatencyHistogram, percentiles_are_those_of_a_sorted_list_within_two_percent) {
    RandomStream random(7, 7);
    LatencyHistogram histogram;
    std::vector<uint64_t> values;
    for (int i = 0; i < 20'000; ++i) {
        const uint64_t value = random.next() >> (20 + random.below(44));  // All magnitudes.
        values.push_back(value);
        histogram.record(value);
    }
    std::sort(values.begin(), values.end());
    for (const double share : {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const size_t rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
        const double exact = static_cast<double>(values[rank - 1]);
        const double found = static_cast<double>(histogram.quantile_us(share));
        EXPECT_GE(found, exact) << share;
        EXPECT_LE(found, exact * 1.02 + 1) << share;
    }
}

TEST(LatencyHistogram, the_largest_value_has_its_place) {
    LatencyHistogram histogram;
    histogram.record(UINT64_MAX);
    EXPECT_EQ(histogram.quantile_us(0.5), UINT64_MAX);
}

TEST(LatencyHistogram, adding_is_recording_both) {
    LatencyHistogram one;
    LatencyHistogram other;
    one.record(10);
    other.record(30);
    other.record(20);
    one.add(other);
    EXPECT_EQ(one.count(), 3u);
    EXPECT_EQ(one.quantile_us(0.5), 20u);
    EXPECT_EQ(one.max_us(), 30u);
}

}  // namespace
}  // namespace sandstore
