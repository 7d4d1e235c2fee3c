// tests/sim/planted_faults.txt: the faults that can be planted, and what the simulator must find them by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sandstore {

struct PlantedFault {
    // kUnseen: the simulator need not find it.
    enum class Speed : uint8_t { kQuick, kSlow, kUnseen };

    std::string name;
    uint64_t seeds = 0;           // Found within so many, from seed 1 on.
    Speed speed = Speed::kQuick;  // kQuick: the ordinary test run looks for it.
    std::string breaks;           // What goes wrong with it; of kUnseen why that is not found.
};

// Throws std::runtime_error when the file is missing or wrong.
std::vector<PlantedFault> read_planted_faults(const std::string& path);

// Plants one after the other and looks for it, in `jobs` processes, within its own number of seeds, or `seeds` if that
// is not 0. Prints a table, as it stands in README.md. True when each was found that is not kUnseen.
bool find_planted_faults(const std::vector<PlantedFault>& faults, uint64_t jobs, uint64_t seeds);

}  // namespace sandstore
