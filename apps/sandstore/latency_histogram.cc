#include "apps/sandstore/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sandstore {

size_t LatencyHistogram::bucket_of(uint64_t value) {
    if (value < kSteps) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kStepBits;
    return shift * (kSteps / 2) + (value >> shift);
}

uint64_t LatencyHistogram::highest_in(size_t bucket) {
    if (bucket < kSteps) return bucket;
    const uint64_t shift = bucket / (kSteps / 2) - 1;
    const uint64_t step = bucket - shift * (kSteps / 2);
    return ((step + 1) << shift) - 1;
}

void LatencyHistogram::record(uint64_t microseconds) {
    ++buckets_[bucket_of(microseconds)];
    ++count_;
    sum_us_ += microseconds;
    max_us_ = std::max(max_us_, microseconds);
}

void LatencyHistogram::add(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_us_ += other.sum_us_;
    max_us_ = std::max(max_us_, other.max_us_);
}

uint64_t LatencyHistogram::quantile_us(double share) const {
    if (count_ == 0) return 0;
    const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
    const uint64_t rank = std::max<uint64_t>(1, static_cast<uint64_t>(wanted));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
        seen += buckets_[i];
        if (seen >= rank) return std::min(highest_in(i), max_us_);
    }
    return max_us_;
}

}  // namespace sandstore
