// tests/sim/planted_faults.txt: the faults that can be planted, and what the simulator must find them by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sandstore {

struct PlantedFault {
    std::string name;
    uint64_t seeds = 0;     // Found within so many, from seed 1 on.
    bool is_quick = false;  // One of those that the ordinary test run looks for.
    std::string breaks;     // What goes wrong with it.
};

// Throws std::runtime_error when the file is missing or wrong.
std::vector<PlantedFault> read_planted_faults(const std::string& path);

// Plants one after the other and looks for it, in `jobs` processes. True when each was found in time.
bool find_planted_faults(const std::vector<PlantedFault>& faults, uint64_t jobs);

}  // namespace sandstore
