#include "tests/sim/app/planted_list.h"

#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "runtime/planted.h"
#include "runtime/text.h"
#include "tests/sim/app/many_seeds.h"
#include "tests/sim/sim_run.h"
#include "tests/sim/swarm.h"

namespace sandstore {

std::vector<PlantedFault> read_planted_faults(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    std::vector<PlantedFault> faults;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream words(line);
        PlantedFault fault;
        std::string speed;
        words >> fault.name >> fault.seeds >> speed;
        std::getline(words >> std::ws, fault.breaks);
        fault.is_quick = speed == "quick";
        if (!words || (speed != "quick" && speed != "slow")) throw std::runtime_error(str_cat(path, ": ", line));
        faults.push_back(std::move(fault));
    }
    return faults;
}

bool find_planted_faults(const std::vector<PlantedFault>& faults, uint64_t jobs) {
#ifdef SANDSTORE_PLANTED_FAULTS
    bool all_found = true;
    for (const PlantedFault& fault : faults) {
        planted_fault = fault.name;
        SimCommand command;
        command.jobs = jobs;
        command.seeds = fault.seeds;
        const ManySeedsResult result = run_many_seeds(command, false);
        std::cout << fault.name << ": ";
        if (result.failed.empty()) {
            std::cout << "NOT FOUND within " << fault.seeds << " seeds\n" << std::flush;
            all_found = false;
            continue;
        }
        const uint64_t seed = result.failed.front();
        std::cout << "seed " << seed << ", " << run_schedule(draw_schedule(seed)).signature << ", "
                  << str_format("%.1f", result.seconds) << " s\n"
                  << std::flush;
    }
    planted_fault.clear();
    return all_found;
#else
    (void)jobs;
    std::cerr << "sim: faults are planted by sim_planted only (" << faults.size() << " are listed)\n";
    return false;
#endif
}

}  // namespace sandstore
