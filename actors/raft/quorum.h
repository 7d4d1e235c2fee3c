// Majorities.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sandstore {

constexpr size_t majority_of(size_t voters) {
    return voters / 2 + 1;
}

// The largest value that a majority of the voters has reached. `values` holds one for each voter.
inline uint64_t reached_by_majority(std::vector<uint64_t> values) {
    if (values.empty()) return 0;
    const size_t place = values.size() - majority_of(values.size());
    std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(place), values.end());
    return values[place];
}

}  // namespace sandstore
