// Latencies of a load run: buckets whose width grows with the value, so that every percentile is exact to about 1.6
// percent, in a fixed 30 KiB however many values there are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sandstore {

class LatencyHistogram {
 public:
    void record(uint64_t microseconds);
    void add(const LatencyHistogram& other);

    uint64_t count() const { return count_; }
    uint64_t max_us() const { return max_us_; }
    double mean_us() const { return count_ == 0 ? 0 : static_cast<double>(sum_us_) / static_cast<double>(count_); }
    // The smallest value that at least this share of the values (0..1) does not exceed; 0 without values.
    uint64_t quantile_us(double share) const;

 private:
    // Values below kSteps have a bucket each; above, every doubling is divided into kSteps / 2 buckets.
    static constexpr unsigned kStepBits = 7;
    static constexpr uint64_t kSteps = 1u << kStepBits;
    static constexpr size_t kBuckets = (64 - kStepBits + 1) * (kSteps / 2) + kSteps / 2;
    static size_t bucket_of(uint64_t value);
    static uint64_t highest_in(size_t bucket);

    std::array<uint64_t, kBuckets> buckets_{};
    uint64_t count_ = 0;
    uint64_t sum_us_ = 0;
    uint64_t max_us_ = 0;
};

}  // namespace sandstore
