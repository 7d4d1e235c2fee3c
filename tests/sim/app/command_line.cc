#include "tests/sim/app/command_line.h"

#include <charconv>
#include <functional>
#include <map>

#include "runtime/text.h"

namespace sandstore {

namespace {

bool parse_number(const std::string& text, uint64_t* number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string sim_usage() {
    return R"(Runs whole Sandstore clusters under faults, each from one seed, and checks them.

    sim --seeds N [--from S] [--jobs J] [--keep-going]   many seeds, from S on (default 1), in J processes
    sim --seconds T [--from S] [--jobs J]                seeds until the time is over
    sim --seed S                                         one seed, with its figures
    sim --print S                                        the schedule that seed S draws
    sim --shrink S                                       the smallest schedule found that fails like seed S
    sim --schedule FILE                                  a schedule as --print or --shrink wrote it

    --nodes N          instead of what the seed says: 3, 5 or 7
    --ops N            instead of what the seed says: operations of clients
    --messages         with one seed or a schedule: print each message as it is handled
    --trace-dir DIR    traces of all nodes of a failing run (default: sim-traces)
    --help

sim_planted only, about the faults of tests/sim/planted_faults.txt:
    --plant NAME       make this one, in what the other arguments say to run
    --all | --quick    make each of them, or each of the quick ones, in turn, and find it, each within the seeds that
                       are listed for it, or within --seeds N; prints a table

Exit status: 0 all runs were right, 1 a run failed, 2 the command line makes no sense.
)";
}

std::string SimCommand::limits_text() const {
    std::string text;
    if (limits.nodes) str_append(&text, " --nodes ", *limits.nodes);
    if (limits.operations) str_append(&text, " --ops ", *limits.operations);
    if (!planted.empty()) str_append(&text, " --plant ", planted);
    return text;
}

std::optional<SimCommand> parse_sim_command(int count, char** words, std::string* error) {
    SimCommand command;
    command.program = words[0];
    command.trace_directory = "sim-traces";
    bool acts = false;
    const auto act = [&](SimCommand::Action action) {
        command.action = action;
        acts = true;
    };
    uint64_t number = 0;
    std::string text;
    const std::map<std::string, std::function<void()>> numbers = {
        {"--seeds",
         [&] {
             if (!acts) act(SimCommand::Action::kMany);
             command.seeds = number;
         }},
        {"--seconds", [&] { act(SimCommand::Action::kMany), command.seconds = number; }},
        {"--seed", [&] { act(SimCommand::Action::kOne), command.from = number; }},
        {"--print", [&] { act(SimCommand::Action::kPrint), command.from = number; }},
        {"--shrink", [&] { act(SimCommand::Action::kShrink), command.from = number; }},
        {"--from", [&] { command.from = number; }},
        {"--jobs", [&] { command.jobs = number; }},
        {"--nodes", [&] { command.limits.nodes = static_cast<int64_t>(number); }},
        {"--ops", [&] { command.limits.operations = static_cast<int64_t>(number); }},
    };
    const std::map<std::string, std::function<void()>> texts = {
        {"--schedule", [&] { act(SimCommand::Action::kSchedule), command.schedule_file = text; }},
        {"--trace-dir", [&] { command.trace_directory = text; }},
        {"--plant", [&] { command.planted = text; }},
    };
    for (int i = 1; i < count; i++) {
        const std::string word = words[i];
        if (word == "--help" || word == "-h") return SimCommand();
        if (word == "--keep-going") {
            command.keep_going = true;
            continue;
        }
        if (word == "--messages") {
            command.print_messages = true;
            continue;
        }
        if (word == "--all" || word == "--quick") {
            act(word == "--all" ? SimCommand::Action::kPlantedAll : SimCommand::Action::kPlantedQuick);
            continue;
        }
        const bool is_number = numbers.contains(word);
        if (!is_number && !texts.contains(word)) {
            *error = str_cat("unknown argument ", word);
            return std::nullopt;
        }
        if (++i == count) {
            *error = str_cat(word, " needs a value");
            return std::nullopt;
        }
        text = words[i];
        if (is_number && !parse_number(text, &number)) {
            *error = str_cat(word, " needs a number, not ", text);
            return std::nullopt;
        }
        (is_number ? numbers : texts).at(word)();
    }
    const int64_t nodes = command.limits.nodes.value_or(3);
    if (!acts) {
        *error = "say what to run: --seeds, --seed, --shrink, --print or --schedule";
    } else if (nodes < 1 || nodes > 9) {
        *error = "--nodes is 1 to 9";
    } else if (command.jobs < 1 || command.jobs > 256) {
        *error = "--jobs is 1 to 256";
    } else {
        return command;
    }
    return std::nullopt;
}

}  // namespace sandstore
