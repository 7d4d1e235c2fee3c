#include "runtime/flags.h"

#include <gflags/gflags.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <stdexcept>

#include "runtime/one_line.h"
#include "runtime/text.h"
#include "runtime/version.h"

namespace sandstore {

namespace {

// The table of short environment names; a flag may have several.
struct ShortName {
    std::string_view variable;
    std::string_view flag;
};

constexpr ShortName kShortNames[] = {
    {"NODE_ID", "node_id"},
    {"LISTEN_ADDR", "listen"},
    {"HTTP_ADDR", "http_listen"},
    {"DATA_DIR", "data_dir"},
    {"ETCD_ENDPOINTS", "etcd_endpoints"},
    {"PEERS", "peers"},
    {"LOG_LEVEL", "log_level"},
    {"LOG_DIR", "log_dir"},
    {"SANDSTORE_ADDR", "servers"},
    // `health` runs inside a node's container and asks that node.
    {"SANDSTORE_HTTP_LISTEN", "http"},
    {"HTTP_ADDR", "http"},
};

constexpr std::string_view kPrefix = "SANDSTORE_";

std::string underscored(std::string_view name) {
    std::string result(name);
    std::replace(result.begin(), result.end(), '-', '_');
    return result;
}

std::string hyphened(std::string_view name) {
    std::string result(name);
    std::replace(result.begin(), result.end(), '_', '-');
    return result;
}

// Rules are registered by constants beside the flags; where a value came from is kept for reporting. Both belong to the
// process' one command line.
std::map<std::string, ValueRule, std::less<>>& rules() {
    static std::map<std::string, ValueRule, std::less<>> all;
    return all;
}

std::map<std::string, std::string, std::less<>>& sources() {
    static std::map<std::string, std::string, std::less<>> all;
    return all;
}

bool belongs_to_gflags(const gflags::CommandLineFlagInfo& info) {
    const size_t slash = info.filename.rfind('/');
    const std::string file = slash == std::string::npos ? info.filename : info.filename.substr(slash + 1);
    return file.starts_with("gflags");
}

// What the user may set: name, type and default, from gflags.
struct FlagInfo {
    std::string name;     // With underscores, as the user knows it,
    std::string defined;  // and as gflags does: see FlagGroup.
    std::string type;
    std::string description;
    std::string default_value;
    bool is_boolean() const { return type == "bool"; }
};

FlagInfo flag_info(std::string_view name) {
    gflags::CommandLineFlagInfo info;
    const size_t equals = name.find('=');
    const std::string defined = underscored(equals == std::string_view::npos ? name : name.substr(equals + 1));
    name = name.substr(0, equals);
    if (!gflags::GetCommandLineFlagInfo(defined.c_str(), &info)) {
        throw std::logic_error(str_cat("a command takes the flag --", hyphened(name), ", which is not defined"));
    }
    return {underscored(name), defined, info.type, info.description, info.default_value};
}

std::vector<std::string> environment_names(const std::string& flag) {
    std::string name(kPrefix);
    for (const char c : flag) name.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
    std::vector<std::string> names = {name};
    for (const ShortName& entry : kShortNames) {
        if (entry.flag == flag) names.emplace_back(entry.variable);
    }
    return names;
}

std::string expected_value(const FlagInfo& flag) {
    const auto rule = rules().find(flag.defined);
    if (rule != rules().end()) return rule->second.expected;
    if (flag.is_boolean()) return "true|false";
    if (flag.type == "string") return "text";
    if (flag.type == "double") return "number";
    return flag.type.starts_with("u") ? "whole number from 0" : "whole number";
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
    std::string text;
    for (const std::string& part : parts) str_append(&text, text.empty() ? "" : separator, part);
    return text;
}

// Optimal string alignment: insert, delete, change, swap of neighbours.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
            }
        }
    }
    return cost[a.size()][b.size()];
}

constexpr size_t kLongestComparedName = 64;

std::string_view nearest(std::string_view word, const std::vector<std::string>& choices) {
    const std::vector<std::string_view> views(choices.begin(), choices.end());
    const std::string_view found = nearest_match(word, views);
    return found.empty() ? found : *std::find(choices.begin(), choices.end(), found);
}

// Reads one command line; the first thing wrong ends it.
class Parser {
 public:
    Parser(const CommandSpec& spec, const Environment& environment) : spec_(spec), environment_(environment) {
        for (const FlagGroup& group : spec.groups) {
            for (const std::string_view name : group.names) {
                FlagInfo info = flag_info(name);
                gflags::SetCommandLineOption(info.defined.c_str(), info.default_value.c_str());
                sources()[info.name] = "default";
                flags_.emplace(info.name, std::move(info));
            }
        }
    }

    ParsedCommandLine run(std::span<const std::string> arguments) {
        read_arguments(arguments);
        if (!done()) apply_environment();
        if (!done()) check_complete();
        warn_about_unknown_variables();
        return std::move(result_);
    }

 private:
    bool done() const { return result_.exit_code.has_value(); }

    void fail(std::string_view what) {
        if (done()) return;
        result_.exit_code = 2;
        result_.error = str_cat(prefix(), one_line(what));
    }

    std::string prefix() const { return str_cat(spec_.program, spec_.name.empty() ? "" : " ", spec_.name, ": "); }

    void read_arguments(std::span<const std::string> arguments) {
        bool flags_ended = false;
        for (size_t i = 0; i < arguments.size() && !done(); ++i) {
            const std::string_view argument = arguments[i];
            const bool negative_number =
                argument.size() > 1 && argument[0] == '-' && argument[1] >= '0' && argument[1] <= '9';
            if (flags_ended || argument.size() < 2 || argument[0] != '-' || negative_number) {
                add_positional(arguments[i]);
            } else if (argument == "--") {
                flags_ended = true;
            } else if (argument.starts_with("--")) {
                read_long(arguments, &i);
            } else {
                read_letters(arguments, &i);
            }
        }
    }

    void add_positional(const std::string& argument) {
        // `rm -rf "$UNSET"` means nothing, least of all the root.
        if (argument.empty())
            return fail(str_cat(spec_.positionals_name.empty() ? "an argument" : spec_.positionals_name,
                                ": one of these is empty, and names nothing"));
        if (result_.positionals.size() < spec_.positionals_max) {
            result_.positionals.push_back(argument);
        } else if (spec_.positionals_max == 0) {
            fail(str_cat("unexpected argument \"", argument, "\""));
        } else {
            fail(str_cat("unexpected argument \"", argument, "\" after ", spec_.positionals_name));
        }
    }

    void read_long(std::span<const std::string> arguments, size_t* i) {
        const std::string_view text = std::string_view(arguments[*i]).substr(2);
        const size_t equals = text.find('=');
        const std::string name = underscored(text.substr(0, equals));
        std::optional<std::string> value;
        if (equals != std::string_view::npos) value = std::string(text.substr(equals + 1));
        if (name == "help" || name == "version") return answer(name, value.has_value());
        if (const auto flag = flags_.find(name); flag != flags_.end()) {
            if (value || flag->second.is_boolean()) return set(flag->second, value.value_or("true"));
            return set_from_next(flag->second, arguments, i);
        }
        if (const FlagInfo* flag = negated(name)) {
            if (value)
                return fail(
                    str_cat("--", hyphened(name), " takes no value: use --", hyphened(flag->name), "=", *value));
            return set(*flag, "false");
        }
        unknown(text.substr(0, equals));
    }

    // --no-x and --nox.
    const FlagInfo* negated(const std::string& name) const {
        if (!name.starts_with("no")) return nullptr;
        for (const size_t skip : {3, 2}) {
            if (name.size() <= skip || (skip == 3 && name[2] != '_')) continue;
            const auto flag = flags_.find(name.substr(skip));
            if (flag != flags_.end() && flag->second.is_boolean()) return &flag->second;
        }
        return nullptr;
    }

    void read_letters(std::span<const std::string> arguments, size_t* i) {
        const std::string_view text = std::string_view(arguments[*i]).substr(1);
        for (size_t at = 0; at < text.size() && !done(); ++at) {
            const auto letter = std::find_if(spec_.letters.begin(), spec_.letters.end(),
                                             [&](const auto& entry) { return entry.first == text[at]; });
            if (letter == spec_.letters.end()) {
                if (text == "h") return answer("help", false);
                return text.size() > 1 && at == 0 ? unknown(text)
                                                  : fail(str_cat("unknown flag -", text[at], see_help()));
            }
            const FlagInfo& flag = flags_.at(underscored(letter->second));
            if (flag.is_boolean()) {
                set(flag, "true");
            } else if (at + 1 < text.size()) {
                return set(flag, std::string(text.substr(at + 1)));
            } else {
                return set_from_next(flag, arguments, i);
            }
        }
    }

    void set_from_next(const FlagInfo& flag, std::span<const std::string> arguments, size_t* i) {
        if (*i + 1 >= arguments.size() || arguments[*i + 1].starts_with("--")) {
            return fail(str_cat("--", hyphened(flag.name), " needs a value: ", expected_value(flag)));
        }
        set(flag, arguments[++*i]);
    }

    void answer(const std::string& name, bool has_value) {
        if (has_value) return fail(str_cat("--", name, " takes no value"));
        result_.exit_code = 0;
        result_.output = name == "help" ? help_text(spec_) : str_cat(spec_.program, " ", version_text(), "\n");
    }

    std::string see_help() const {
        return str_cat(" (", spec_.program, spec_.name.empty() ? "" : " ", spec_.name, " --help lists them)");
    }

    void unknown(std::string_view name) {
        for (const AbsentFlag& flag : spec_.absent) {
            if (flag.name == underscored(name)) return fail(str_cat("--", hyphened(name), " ", flag.why));
        }
        std::vector<std::string> names = {"help", "version"};
        for (const auto& [defined, info] : flags_) names.push_back(hyphened(defined));
        const std::string_view match = nearest(hyphened(name), names);
        fail(str_cat("unknown flag --", name, match.empty() ? "" : ": did you mean --", match, match.empty() ? "" : "?",
                     see_help()));
    }

    // False when the value is bad.
    static bool try_set(const FlagInfo& flag, const std::string& value) {
        const auto rule = rules().find(flag.defined);
        if (rule != rules().end() && !rule->second.accepts(value)) return false;
        return !gflags::SetCommandLineOption(flag.defined.c_str(), value.c_str()).empty();
    }

    void set(const FlagInfo& flag, const std::string& value) {
        if (value.find('\0') != std::string::npos || !try_set(flag, value)) {
            return fail(
                str_cat("bad value \"", value, "\" for --", hyphened(flag.name), ": expected ", expected_value(flag)));
        }
        sources()[flag.name] = "command line";
    }

    void apply_environment() {
        for (const auto& [name, flag] : flags_) {
            if (sources()[name] != "default") continue;
            for (const std::string& variable : environment_names(name)) {
                const auto found = environment_.find(variable);
                if (found == environment_.end() || found->second.empty()) continue;
                if (!try_set(flag, found->second)) {
                    return fail(str_cat("bad value \"", found->second, "\" in the environment variable ", variable,
                                        " for --", hyphened(name), ": expected ", expected_value(flag)));
                }
                sources()[name] = str_cat("environment ", variable);
                break;
            }
        }
    }

    void check_complete() {
        for (const std::string_view name : spec_.required) {
            const FlagInfo& flag = flags_.at(underscored(name));
            std::string value;
            gflags::GetCommandLineOption(flag.defined.c_str(), &value);
            if (!value.empty()) continue;
            const std::vector<std::string> names = environment_names(flag.name);
            return fail(str_cat("missing --", hyphened(name), ": give it on the command line, or as ",
                                joined(names, " or "), " in the environment"));
        }
        if (result_.positionals.size() < spec_.positionals_min) {
            fail(str_cat("missing ", spec_.positionals_name, " (usage: ", spec_.usage, ")"));
        }
    }

    // A variable that some command of the program reads is fine, whichever command runs.
    void warn_about_unknown_variables() {
        if (done() && result_.exit_code == 0) return;
        std::vector<gflags::CommandLineFlagInfo> all;
        gflags::GetAllFlags(&all);
        std::vector<std::string> known;
        for (const auto& [name, flag] : flags_) {
            for (std::string& variable : environment_names(name)) known.push_back(std::move(variable));
        }
        for (const gflags::CommandLineFlagInfo& info : all) {
            if (belongs_to_gflags(info)) continue;
            for (std::string& name : environment_names(info.name)) known.push_back(std::move(name));
        }
        warn_about_absent_flags(&known);
        for (const auto& [name, value] : environment_) {
            if (!name.starts_with(kPrefix) || std::find(known.begin(), known.end(), name) != known.end()) continue;
            const std::string_view match = nearest(name, known);
            result_.warnings.push_back(str_cat(prefix(), "warning: nothing reads the environment variable ",
                                               one_line(name), match.empty() ? "" : ": did you mean ", match,
                                               match.empty() ? "" : "?"));
        }
    }

    // The environment of a cluster may serve several builds, so this is no mistake; it has no effect all the same.
    void warn_about_absent_flags(std::vector<std::string>* known) {
        for (const AbsentFlag& flag : spec_.absent) {
            for (const std::string& variable : environment_names(std::string(flag.name))) {
                known->push_back(variable);
                const auto found = environment_.find(variable);
                if (found == environment_.end() || found->second.empty()) continue;
                result_.warnings.push_back(str_cat(prefix(), "warning: nothing reads the environment variable ",
                                                   variable, ": --", hyphened(flag.name), " ", flag.why));
            }
        }
    }

    const CommandSpec& spec_;
    const Environment& environment_;
    std::map<std::string, FlagInfo> flags_;
    ParsedCommandLine result_;
};

void append_flag_help(std::string* text, const CommandSpec& spec, const FlagInfo& flag) {
    str_append(text, "  --", flag.is_boolean() ? "[no-]" : "", hyphened(flag.name));
    if (!flag.is_boolean()) str_append(text, " ", expected_value(flag));
    for (const auto& [letter, name] : spec.letters) {
        if (underscored(name) == flag.name) str_append(text, ", -", letter);
    }
    str_append(text, "\n      ", flag.description, "\n      Environment: ");
    const std::vector<std::string> names = environment_names(flag.name);
    for (size_t i = 0; i < names.size(); ++i) str_append(text, i == 0 ? "" : ", ", names[i]);
    const bool required = std::find_if(spec.required.begin(), spec.required.end(), [&](std::string_view name) {
                              return underscored(name) == flag.name;
                          }) != spec.required.end();
    if (required && flag.default_value.empty()) {
        str_append(text, ". Required.\n");
    } else {
        str_append(text, ". Default: ", flag.default_value.empty() ? "none" : flag.default_value, "\n");
    }
}

}  // namespace

FlagRule::FlagRule(std::string_view flag, ValueRule rule) {
    rules()[underscored(flag)] = std::move(rule);
}

std::string_view nearest_match(std::string_view word, std::span<const std::string_view> choices) {
    std::string_view best;
    size_t best_distance = std::clamp<size_t>(word.size() / 3, 1, 3) + 1;
    if (word.size() > kLongestComparedName) return best;
    for (const std::string_view choice : choices) {
        const size_t distance = choice.size() > kLongestComparedName ? best_distance : edit_distance(word, choice);
        if (distance >= best_distance) continue;
        best = choice;
        best_distance = distance;
    }
    // An abbreviation: --etcd for --etcd-endpoints.
    for (const std::string_view choice : choices) {
        if (best.empty() && word.size() >= 3 && choice.starts_with(word)) best = choice;
    }
    return best;
}

Environment process_environment() {
    Environment all;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const size_t equals = text.find('=');
        if (equals != std::string_view::npos) all.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return all;
}

ParsedCommandLine parse_flags(std::span<const std::string> arguments, const Environment& environment,
                              const CommandSpec& spec) {
    return Parser(spec, environment).run(arguments);
}

ParsedCommandLine parse_flags(int argc, char** argv, const CommandSpec& spec) {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    ParsedCommandLine parsed = parse_flags(arguments, process_environment(), spec);
    for (const std::string& warning : parsed.warnings) std::fprintf(stderr, "%s\n", warning.c_str());
    return parsed;
}

int finish(const ParsedCommandLine& parsed) {
    if (!parsed.output.empty()) std::fputs(parsed.output.c_str(), stdout);
    if (!parsed.error.empty()) std::fprintf(stderr, "%s\n", parsed.error.c_str());
    return parsed.exit_code.value_or(0);
}

int usage_error(const CommandSpec& spec, std::string_view what) {
    const std::string line = str_cat(spec.program, spec.name.empty() ? "" : " ", spec.name, ": ", one_line(what), "\n");
    std::fputs(line.c_str(), stderr);
    return 2;
}

std::string help_text(const CommandSpec& spec) {
    std::string text = str_cat(spec.summary, "\n\nUsage: ", spec.usage, "\n");
    for (const FlagGroup& group : spec.groups) {
        str_append(&text, "\n", group.title, "\n");
        for (const std::string_view name : group.names) append_flag_help(&text, spec, flag_info(name));
    }
    str_append(&text, "\nHelp\n  --help, -h\n      Shows this text.\n  --version\n      Shows the version.\n");
    if (!spec.notes.empty()) str_append(&text, "\n", spec.notes, "\n");
    return text;
}

std::string flag_source(std::string_view flag) {
    const auto found = sources().find(underscored(flag));
    return found == sources().end() ? "default" : found->second;
}

std::string flag_with_source(std::string_view flag) {
    const std::string source = flag_source(flag);
    const std::string name = str_cat("--", hyphened(flag));
    return source.starts_with("environment") ? str_cat(name, " (", source, ")") : name;
}

}  // namespace sandstore
