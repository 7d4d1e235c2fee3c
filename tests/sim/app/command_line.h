// The simulator's command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/sim/swarm.h"

namespace sandstore {

struct SimCommand {
    enum class Action { kMany, kOne, kShrink, kSchedule, kPrint, kPlantedAll, kPlantedQuick, kHelp };
    Action action = Action::kHelp;
    std::string program = "sim";
    uint64_t from = 1;  // The first seed, or the only one.
    uint64_t seeds = 0;
    uint64_t jobs = 1;
    uint64_t seconds = 0;  // Stop after so many; 0: never.
    bool keep_going = false;
    bool print_messages = false;
    SwarmLimits limits;
    std::string trace_directory;
    std::string schedule_file;
    std::string planted;

    // Arguments that make another call draw the same schedules.
    std::string limits_text() const;
};

std::string sim_usage();
// Nothing, with a sentence in `error`, when it makes no sense.
std::optional<SimCommand> parse_sim_command(int count, char** words, std::string* error);

}  // namespace sandstore
