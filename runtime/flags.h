// The command line, by one rule for every flag: command line > environment > default.
//
// Flags are defined with gflags' DEFINE_* next to the code that uses them; each command says which of them it takes.
// gflags registers the flags and converts their values; reading the command line, the environment and writing help is
// done here, so that gflags' own flags (--flagfile, --fromenv, ...) do not exist for the user.
//
//   - `--data_dir` is `--data-dir`; `--flag=value` and `--flag value`; for booleans `--flag`, `--no-flag`, `--noflag`,
//     `--flag=false`. The last one given wins. `--` ends the flags. A boolean never takes the next argument.
//   - Every flag reads SANDSTORE_<NAME>, and those with a short name that one too (NODE_ID for --node-id); the long
//     name wins. A variable that is set but empty counts as not set.
//   - Help goes to stdout, exit 0. Whatever is wrong: one line on stderr, exit 2.
//   - SANDSTORE_* variables that no flag of this program reads: a warning.
//
//     DEFINE_string(listen, ":8080", "address for peers and clients");
//     const FlagRule kListenRule("listen", listen_address());
//
//     int node_command(int argc, char** argv) {
//         const ParsedCommandLine parsed = parse_flags(argc, argv, kNodeSpec);
//         if (parsed.exit_code) return finish(parsed);
//         ... FLAGS_listen ...
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandstore {

// What a flag accepts beyond its type. `expected` is shown in help and completes "bad value ...: expected ".
struct ValueRule {
    std::string expected;
    std::function<bool(std::string_view)> accepts;
};

ValueRule one_of(std::vector<std::string> choices);
ValueRule number_between(int64_t least, int64_t most, std::string_view unit = "");
ValueRule size_between(uint64_t least_bytes, uint64_t most_bytes);  // "4096", "64KiB", "8MiB", "1GiB"; also K, M, G.
ValueRule listen_address();                                         // "host:port" or ":port".
ValueRule host_and_port();                                          // "host:port"; the host must be there.
ValueRule host_and_port_list();                                     // Comma separated; http:// in front is fine.
ValueRule not_empty(std::string_view what);

// For values that passed the rule.
std::optional<uint64_t> parse_size(std::string_view text);

// Attaches a rule to a flag of any command. As a constant beside the flag's definition.
class FlagRule {
 public:
    FlagRule(std::string_view flag, ValueRule rule);
};

struct FlagGroup {
    std::string_view title;  // "Replication"
    // As defined: "data_dir" or "data-dir". "nodes=members": this command's --nodes is the flag defined as `members`,
    // because another command's --nodes is something else.
    std::vector<std::string_view> names;
};

// A flag that this command has in other builds, and why not in this one: "needs DISCOVERY=etcd; this build has static".
struct AbsentFlag {
    std::string_view name;  // As defined: "etcd_endpoints".
    std::string why;
};

struct CommandSpec {
    std::string_view name = {};     // "node"; "fs put". Stands in messages after "sandstore ".
    std::string_view summary = {};  // One sentence.
    std::string_view usage = {};    // "sandstore node --node-id=ID [flags]"
    std::vector<FlagGroup> groups = {};
    std::vector<std::string_view> required = {};  // Flags without a default that must come from somewhere.
    size_t positionals_min = 0;
    size_t positionals_max = 0;
    std::string_view positionals_name = {};                       // "PATH", for messages.
    std::vector<std::pair<char, std::string_view>> letters = {};  // {'r', "recursive"}: -r; -n 3; -la.
    std::string_view notes = {};                                  // Ends the help text.
    std::string_view program = "sandstore";                       // "smoke" for the smoke client.
    std::vector<AbsentFlag> absent = {};
};

struct ParsedCommandLine {
    std::optional<int> exit_code;       // Set: nothing to run; finish() prints and gives this.
    std::string output;                 // For stdout: help or version.
    std::string error;                  // For stderr, one line.
    std::vector<std::string> warnings;  // For stderr, also when the command runs.
    std::vector<std::string> positionals;
};

using Environment = std::map<std::string, std::string>;
Environment process_environment();

// argv[0] is skipped (the program or the command's name). Sets the FLAGS_* of the spec, each from its default anew.
// Warnings are printed at once by the first form.
ParsedCommandLine parse_flags(int argc, char** argv, const CommandSpec& spec);
ParsedCommandLine parse_flags(std::span<const std::string> arguments, const Environment& environment,
                              const CommandSpec& spec);

// Prints what parse_flags found and gives its exit status.
int finish(const ParsedCommandLine& parsed);
// For a command's own cross-checks after parsing: prints "sandstore node: <what>" on stderr and gives 2.
int usage_error(const CommandSpec& spec, std::string_view what);

std::string help_text(const CommandSpec& spec);

// Where the flag's value came from, after parse_flags: "command line", "environment" (with the name) or "default".
std::string flag_source(std::string_view flag);

// "--peers", or "--peers (environment PEERS)": for messages about a value that passed its rule and is wrong all the
// same.
std::string flag_with_source(std::string_view flag);

// The closest of the choices by edit distance, if it is close enough to be meant; else empty.
std::string_view nearest_match(std::string_view word, std::span<const std::string_view> choices);

}  // namespace sandstore
