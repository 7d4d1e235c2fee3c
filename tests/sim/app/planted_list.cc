#include "tests/sim/app/planted_list.h"

#include <unistd.h>

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
        fault.speed = speed == "quick"  ? PlantedFault::Speed::kQuick
                      : speed == "slow" ? PlantedFault::Speed::kSlow
                                        : PlantedFault::Speed::kUnseen;
        const bool known = fault.speed != PlantedFault::Speed::kUnseen || speed == "unseen";
        if (!words || !known) throw std::runtime_error(str_cat(path, ": ", line));
        faults.push_back(std::move(fault));
    }
    return faults;
}

bool find_planted_faults(const std::vector<PlantedFault>& faults, uint64_t jobs, uint64_t seeds) {
#ifdef SANDSTORE_PLANTED_FAULTS
    bool all_found = true;
    std::cout << "| fault | found by seed | as |\n|---|---|---|\n" << std::flush;
    for (const PlantedFault& fault : faults) {
        SimCommand command;
        command.jobs = jobs;
        command.seeds = seeds != 0 ? seeds : fault.seeds;
        std::cout << "| " << fault.name << " | ";
        if (command.seeds == 0) {
            std::cout << "- | " << fault.breaks << " |\n" << std::flush;
            continue;
        }
        planted_fault = fault.name;
        const ManySeedsResult result = run_many_seeds(command, isatty(STDERR_FILENO) != 0);
        if (result.failed.empty()) {
            std::cout << "none of " << command.seeds << " | " << fault.breaks << " |\n" << std::flush;
            all_found = all_found && fault.speed == PlantedFault::Speed::kUnseen;
            continue;
        }
        const uint64_t seed = result.failed.front();
        std::cout << seed << " | " << run_schedule(draw_schedule(seed)).signature << " |\n" << std::flush;
    }
    planted_fault.clear();
    return all_found;
#else
    (void)jobs;
    (void)seeds;
    std::cerr << "sim: faults are planted by sim_planted only (" << faults.size() << " are listed)\n";
    return false;
#endif
}

}  // namespace sandstore
