// scenarios FILE...              runs each section of each file; exit status 1 when one fails, 2 when a script is
// wrong. scenarios --protected FILE...  (linked with faults that can be planted) each fault that a file names must make
// it fail. Options: --seed N (1); --seeds N: from there on so many; --messages: prints what nodes send;
// --plant FAULT: runs with it.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include "runtime/planted.h"
#include "runtime/text.h"
#include "tests/scenarios/runner/scenario.h"
#include "tests/scenarios/runner/script.h"

namespace sandstore {
namespace {

struct Command {
    std::vector<std::string> files;
    bool check_protection = false;
    uint64_t seed = 1;
    uint64_t seeds = 1;
    bool print_messages = false;
};

#ifdef SANDSTORE_PLANTED_FAULTS
void plant(const std::string& fault) {
    planted_fault = fault;
}
#else
void plant(const std::string&) {
    throw ScriptError("this program is built without faults that can be planted: scenarios_planted is the one");
}
#endif

void add_files(const std::string& path, std::vector<std::string>* files) {
    if (!std::filesystem::is_directory(path)) return files->push_back(path);
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        if (entry.path().extension() == ".txt") files->push_back(entry.path().string());
    }
    std::sort(files->begin(), files->end());
}

Command parse(const std::vector<std::string>& words) {
    Command command;
    for (size_t i = 0; i < words.size(); i++) {
        const bool has_value = i + 1 < words.size();
        if (words[i] == "--protected") {
            command.check_protection = true;
        } else if (words[i] == "--plant" && has_value) {
            plant(words[++i]);
        } else if (words[i] == "--messages") {
            command.print_messages = true;
        } else if (words[i] == "--seed" && has_value) {
            command.seed = std::stoull(words[++i]);
        } else if (words[i] == "--seeds" && has_value) {
            command.seeds = std::stoull(words[++i]);
        } else if (words[i].starts_with("-")) {
            throw ScriptError(str_cat("unknown option ", words[i]));
        } else {
            add_files(words[i], &command.files);
        }
    }
    if (command.files.empty()) throw ScriptError("which scenarios? Name files or directories");
    return command;
}

std::string title_of(const Script& script, const Section& section) {
    return str_cat(std::filesystem::path(script.path).stem().string(), section.name.empty() ? "" : " ", section.name);
}

bool passes(const Script& script, const Section& section, const Command& command) {
    for (uint64_t seed = command.seed; seed < command.seed + command.seeds; seed++) {
        Scenario scenario(script, section, seed);
        if (command.print_messages) scenario.print_messages();
        const std::string failure = scenario.run();
        if (failure.empty()) continue;
        std::cout << "FAILED " << title_of(script, section) << " (seed " << seed << ")\n" << failure;
        return false;
    }
    std::cout << "passed " << title_of(script, section) << "\n";
    return true;
}

// The first line of what went wrong says enough: it is meant to.
std::string first_lines(const std::string& failure) {
    const size_t second = failure.find('\n', failure.find('\n') + 1);
    return failure.substr(0, second == std::string::npos ? second : second + 1);
}

bool notices(const Script& script, const std::vector<const Section*>& sections, const std::string& fault,
             const Command& command) {
    plant(fault);
    std::string failure;
    for (const Section* section : sections) {
        if (failure.empty()) failure = Scenario(script, *section, command.seed).run();
    }
    plant("");
    std::cout << (failure.empty() ? "NOT NOTICED " : "noticed ") << fault << " by "
              << title_of(script, *sections.front()) << "\n"
              << first_lines(failure);
    return !failure.empty();
}

bool is_protected(const Script& script, const Command& command) {
    bool all = true;
    std::vector<const Section*> sections;
    size_t faults = script.faults.size();
    for (const Section& section : script.sections) {
        sections.push_back(&section);
        faults += section.faults.size();
        for (const std::string& fault : section.faults) all = notices(script, {&section}, fault, command) && all;
    }
    for (const std::string& fault : script.faults) all = notices(script, sections, fault, command) && all;
    if (faults == 0) throw ScriptError(str_cat(script.path, ": it names no fault ('protected by:')"));
    return all;
}

int run(const Command& command) {
    size_t failed = 0;
    for (const std::string& file : command.files) {
        const Script script = read_script(file);
        if (command.check_protection) {
            failed += is_protected(script, command) ? 0 : 1;
            continue;
        }
        for (const Section& section : script.sections) failed += passes(script, section, command) ? 0 : 1;
    }
    std::cout << command.files.size() << " files, " << failed << " failed\n";
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sandstore

int main(int argc, char** argv) {
    try {
        return sandstore::run(sandstore::parse({argv + 1, argv + argc}));
    } catch (const sandstore::ScriptError& error) {
        std::cerr << error.what() << "\n";
        return 2;
    }
}
