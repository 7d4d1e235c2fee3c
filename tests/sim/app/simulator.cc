// sim: the simulator's command line tool. sim_planted is the same with faults that can be planted (planted_faults.h).
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "messages/envelope.pb.h"
#include "runtime/planted.h"
#include "runtime/text.h"
#include "tests/sim/app/command_line.h"
#include "tests/sim/app/many_seeds.h"
#include "tests/sim/app/planted_list.h"
#include "tests/sim/run_digest.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sim_run.h"
#include "tests/sim/swarm.h"

namespace sandstore {
namespace {

void print_message(uint64_t now_us, const std::string& id, const Message& message) {
    std::cout << now_us << " " << id << " " << message->ShortDebugString();
    if (!message.payload.empty()) std::cout << " payload of " << message.payload.size() << " bytes";
    std::cout << "\n";
}

// Runs it again with traces of all nodes, and says how to have it again.
void report_failure(const Schedule& schedule, const std::string& directory, const std::string& command) {
    SimRunOptions options;
    options.trace_directory = directory;
    std::filesystem::create_directories(directory);
    const SimRunResult result = run_schedule(schedule, options);
    std::cout << "FAILED: " << result.signature << "\n" << result.failure;
    std::cout << result.figures.text() << "\n";
    std::cout << "again:   " << command << "\ntraces:  " << directory
              << "/node-*.trace (.2, .3, ...: after restarts)\n";
}

int run_one(const Schedule& schedule, const SimCommand& command, const std::string& name, const std::string& again) {
    SimRunOptions options;
    if (command.print_messages) options.on_deliver = print_message;
    const SimRunResult result = run_schedule(schedule, options);
    if (result.ok()) {
        const std::string difference = first_difference(schedule);
        if (difference.empty()) {
            std::cout << name << " is right\n";
            std::cout << result.figures.text() << "\n";
            return 0;
        }
        std::cout << "FAILED: determinism: two runs of " << name << " differ first at " << difference
                  << "\nagain:   " << again << "\n";
        return 1;
    }
    report_failure(schedule, str_cat(command.trace_directory, "/", name), again);
    return 1;
}

int run_seed(uint64_t seed, const SimCommand& command) {
    return run_one(draw_schedule(seed, command.limits), command, str_cat("seed-", seed),
                   str_cat(command.program, " --seed ", seed, command.limits_text()));
}

int run_many(const SimCommand& command) {
    const ManySeedsResult result = run_many_seeds(command, isatty(STDERR_FILENO) != 0);
    std::cout << result.runs << " seeds from " << command.from << " in " << str_format("%.1f", result.seconds)
              << " s: " << str_format("%.1f", static_cast<double>(result.runs) / result.seconds) << " seeds/s, "
              << result.run_twice << " of them run twice, " << result.failed.size() << " failed\n"
              << result.figures.text() << "\n";
    if (result.failed.empty()) return 0;
    for (const uint64_t seed : result.failed) std::cout << "failed seed " << seed << "\n";
    run_seed(result.failed.front(), command);
    return 1;
}

int run_file(const SimCommand& command) {
    std::ifstream file(command.schedule_file);
    std::stringstream text;
    text << file.rdbuf();
    std::string error = file.good() ? "" : "it cannot be read";
    const std::optional<Schedule> schedule = error.empty() ? parse_schedule(text.str(), &error) : std::nullopt;
    if (!schedule) {
        std::cerr << "sim: " << command.schedule_file << ": " << error << "\n";
        return 2;
    }
    return run_one(*schedule, command, "schedule",
                   str_cat(command.program, " --schedule ", command.schedule_file, command.limits_text()));
}

int shrink_seed(const SimCommand& command) {
    const Schedule schedule = draw_schedule(command.from, command.limits);
    const SimRunResult first = run_schedule(schedule);
    if (first.ok()) {
        std::cout << "seed " << command.from << " does not fail\n";
        return 0;
    }
    std::cerr << "seed " << command.from << " fails: " << first.signature << "; " << schedule.events.size()
              << " events\n";
    const auto fails_alike = [&first](const Schedule& candidate) {
        return run_schedule(candidate).signature == first.signature;
    };
    const Shrunk shrunk = shrink(schedule, fails_alike);
    const std::string directory = str_cat(command.trace_directory, "/seed-", command.from, "-shrunk");
    std::filesystem::create_directories(directory);
    const std::string path = directory + "/schedule";
    std::ofstream(path) << "# " << first.signature << "\n" << to_text(shrunk.schedule);
    std::cout << to_text(shrunk.schedule) << "\n"
              << shrunk.schedule.events.size() << " events after " << shrunk.runs << " runs\n";
    report_failure(
        shrunk.schedule, directory,
        str_cat(command.program, " --schedule ", path, command.planted.empty() ? "" : " --plant ", command.planted));
    return 1;
}

int find_planted(const SimCommand& command) {
    std::vector<PlantedFault> faults = read_planted_faults(SANDSTORE_PLANTED_LIST);
    if (command.action == SimCommand::Action::kPlantedQuick) {
        std::erase_if(faults, [](const PlantedFault& fault) { return fault.speed != PlantedFault::Speed::kQuick; });
    }
    return find_planted_faults(faults, command.jobs, command.seeds) ? 0 : 1;
}

int run(const SimCommand& command) {
    if (!command.planted.empty()) {
#ifdef SANDSTORE_PLANTED_FAULTS
        planted_fault = command.planted;
#else
        std::cerr << "sim: faults are planted by sim_planted only\n";
        return 2;
#endif
    }
    switch (command.action) {
        case SimCommand::Action::kMany:
            return run_many(command);
        case SimCommand::Action::kOne:
            return run_seed(command.from, command);
        case SimCommand::Action::kShrink:
            return shrink_seed(command);
        case SimCommand::Action::kSchedule:
            return run_file(command);
        case SimCommand::Action::kPrint:
            std::cout << to_text(draw_schedule(command.from, command.limits));
            return 0;
        case SimCommand::Action::kPlantedAll:
        case SimCommand::Action::kPlantedQuick:
            return find_planted(command);
        case SimCommand::Action::kHelp:
            break;
    }
    std::cout << sim_usage();
    return 0;
}

}  // namespace
}  // namespace sandstore

int main(int count, char** words) {
    std::string error;
    const std::optional<sandstore::SimCommand> command = sandstore::parse_sim_command(count, words, &error);
    if (!command) {
        std::cerr << "sim: " << error << "; --help says more\n";
        return 2;
    }
    return sandstore::run(*command);
}
