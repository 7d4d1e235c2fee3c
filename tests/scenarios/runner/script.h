// A scenario as it is written: sections of statements, one to a line, and the faults that it must notice. Reads files;
// knows nothing of what the statements mean.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace sandstore {

// The script itself is wrong: an unknown verb, a missing argument. Never counts as a fault that was noticed.
struct ScriptError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What the scenario expects did not come to be.
struct ScenarioFailed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Word {
    std::string text;
    bool quoted = false;
};

struct Statement {
    int line = 0;
    std::string text;  // As it stands in the file, without the comment.
    std::vector<Word> words;
};

struct Section {
    std::string name;  // Empty: the file's only one.
    std::vector<std::string> faults;
    std::vector<Statement> statements;
};

struct Script {
    std::string path;
    std::vector<std::string> faults;  // Some section must notice each of these.
    std::vector<Section> sections;
};

// Throws ScriptError.
Script read_script(const std::string& path);

}  // namespace sandstore
