// sandstore trace print|stat|diff|replay|sequence: looks at what a node recorded with --trace-file, or at the flight
// recording that it left when it died.
#include <gflags/gflags.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>

#include "apps/sandstore/commands.h"
#include "apps/sandstore/replayable_actors.h"
#include "apps/sandstore/subcommands.h"
#include "apps/sandstore/trace_diff.h"
#include "apps/sandstore/trace_printer.h"
#include "apps/sandstore/trace_sequence.h"
#include "apps/terminal/units.h"
#include "messages/trace.pb.h"
#include "runtime/flags.h"
#include "runtime/replay.h"
#include "runtime/text.h"
#include "runtime/trace_reader.h"

DEFINE_string(actor, "", "only this actor: RaftNode, StateMachine, ...; with several of a kind RaftNode#1");
DEFINE_string(peer, "", "only deliveries from this node, or with something sent to it");
DEFINE_string(type, "", "only these messages, comma separated, delivered or sent: append_entries,append_reply");
DEFINE_string(from, "", "from this delivery, or from so long after the first one");
DEFINE_string(to, "", "to this delivery, or to so long after the first one");
DEFINE_string(grep, "", "only deliveries with a line that this regular expression matches");
DEFINE_string(mode, "semantic", "how effects are compared");
DEFINE_string(by, "actor", "what takes part in the diagram");
DEFINE_uint64(limit, 100, "messages shown at most");

namespace sandstore {

namespace {

const ValueRule kPlaceRule = {"a number of a delivery or a duration such as 1500ms or 2.5s", [](std::string_view text) {
                                  return text.empty() || parse_trace_place(text).has_value();
                              }};
const FlagRule kFromRule("from", kPlaceRule);
const FlagRule kToRule("to", kPlaceRule);
const FlagRule kModeRule("mode", one_of({"semantic", "strict"}));
const FlagRule kByRule("by", one_of({"actor", "node"}));
const FlagRule kLimitRule("limit", number_between(1, 1'000'000));

constexpr size_t kFilesMax = 16;

CommandSpec base_spec() {
    CommandSpec spec;
    spec.positionals_min = 1;
    spec.positionals_max = 1;
    spec.positionals_name = "FILE";
    spec.groups = {{"Selection", {"actor", "peer", "type", "from", "to", "grep"}}};
    return spec;
}

CommandSpec print_spec() {
    CommandSpec spec = base_spec();
    spec.name = "trace print";
    spec.summary = "Prints each delivery of a trace and below it what the actor did.";
    spec.usage = "sandstore trace print FILE [flags]";
    return spec;
}

CommandSpec stat_spec() {
    CommandSpec spec = base_spec();
    spec.name = "trace stat";
    spec.summary = "Counts the messages of a trace by actor and type.";
    spec.usage = "sandstore trace stat FILE [flags]";
    return spec;
}

CommandSpec diff_spec() {
    CommandSpec spec = base_spec();
    spec.name = "trace diff";
    spec.summary = "Shows where two traces of a node part.";
    spec.usage = "sandstore trace diff LEFT RIGHT [flags]";
    spec.positionals_min = spec.positionals_max = 2;
    spec.positionals_name = "LEFT RIGHT";
    spec.notes =
        "Deliveries are matched by what caused them. Times and deadlines do not count; request numbers count only\n"
        "when both traces have the same seed. Exit status: 0 the same, 1 different or a damaged file.";
    return spec;
}

CommandSpec replay_spec() {
    CommandSpec spec = base_spec();
    spec.name = "trace replay";
    spec.summary = "Runs one actor again from its recorded inbox and compares what it does.";
    spec.usage = "sandstore trace replay FILE --actor=NAME [flags]";
    spec.groups = {{"Selection", {"actor"}}, {"Comparison", {"mode"}}};
    spec.required = {"actor"};
    spec.notes =
        "semantic compares field by field; strict compares bytes, for traces of the same build. Exit status: 0 the\n"
        "same effects, 1 a difference, a damaged file, or a life that began before the trace.";
    return spec;
}

CommandSpec sequence_spec() {
    CommandSpec spec = base_spec();
    spec.name = "trace sequence";
    spec.summary = "Draws a slice of one or several traces as a sequence diagram, in Mermaid's language.";
    spec.usage = "sandstore trace sequence FILE... [flags]";
    spec.positionals_max = kFilesMax;
    spec.positionals_name = "FILE...";
    spec.groups.push_back({"Diagram", {"by", "limit"}});
    spec.notes = "Traces of several nodes are merged by their wall clocks.";
    return spec;
}

int fail(const std::string& what) {
    std::fflush(stdout);
    std::fprintf(stderr, "sandstore: %s\n", what.c_str());
    return 1;
}

// The node's end, or how far the file goes.
int finish_reading(const TurnReader& trace) {
    if (!trace.note().empty()) std::fprintf(stderr, "note: %s\n", trace.note().c_str());
    return trace.problem().empty() ? 0 : fail(trace.problem());
}

// "RaftNode", "raft", "RaftNode#1".
std::optional<LocalAddress> parse_actor(std::string_view text) {
    const size_t mark = std::min(text.find('#'), text.size());
    LocalAddress address{actor_from_name(text.substr(0, mark)), 0};
    if (auto known = replayable_actors().find(std::string(text.substr(0, mark))); known != replayable_actors().end()) {
        address.actor = known->second.kind;
    }
    if (address.actor == pb::ACTOR_NONE) return std::nullopt;
    if (mark == text.size()) return address;
    const std::string_view number = text.substr(mark + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), address.instance);
    if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
    return address;
}

std::string actor_names() {
    std::string names;
    for (const auto& [name, actor] : replayable_actors()) str_append(&names, names.empty() ? "" : ", ", name);
    return names;
}

// False, with the problem, when the flags make no sense.
bool parse_selection(TurnSelection* selection, std::string* problem) {
    if (!FLAGS_actor.empty() && !(selection->actor = parse_actor(FLAGS_actor))) {
        *problem = str_cat("no actor \"", FLAGS_actor, "\"; there are ", actor_names());
        return false;
    }
    selection->peer = FLAGS_peer;
    for (size_t at = 0; at < FLAGS_type.size();) {
        const size_t end = std::min(FLAGS_type.find(',', at), FLAGS_type.size());
        if (end > at) selection->types.push_back(FLAGS_type.substr(at, end - at));
        at = end + 1;
    }
    if (!FLAGS_from.empty()) selection->from = *parse_trace_place(FLAGS_from);
    if (!FLAGS_to.empty()) selection->to = *parse_trace_place(FLAGS_to);
    if (FLAGS_grep.empty()) return true;
    try {
        selection->pattern = std::regex(FLAGS_grep, std::regex::extended);
    } catch (const std::regex_error& error) {
        *problem = str_cat("bad value \"", FLAGS_grep, "\" for --grep: ", error.what());
        return false;
    }
    return true;
}

// What every command but replay begins with.
struct Reading {
    std::optional<int> exit_code;
    TurnSelection selection;
    std::vector<std::unique_ptr<TurnReader>> traces;
};

Reading begin(int argc, char** argv, const CommandSpec& spec) {
    Reading reading;
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) {
        reading.exit_code = finish(parsed);
        return reading;
    }
    std::string problem;
    if (!parse_selection(&reading.selection, &problem)) {
        reading.exit_code = usage_error(spec, problem);
        return reading;
    }
    for (const std::string& path : parsed.positionals) {
        reading.traces.push_back(TurnReader::open(path, &problem));
        if (reading.traces.back() != nullptr) continue;
        reading.exit_code = fail(problem);
        break;
    }
    return reading;
}

int print_command(int argc, char** argv) {
    Reading reading = begin(argc, argv, print_spec());
    if (reading.exit_code) return *reading.exit_code;
    print_trace(*reading.traces[0], std::move(reading.selection), stdout);
    return finish_reading(*reading.traces[0]);
}

int stat_command(int argc, char** argv) {
    Reading reading = begin(argc, argv, stat_spec());
    if (reading.exit_code) return *reading.exit_code;
    print_trace_statistics(*reading.traces[0], std::move(reading.selection), stdout);
    return finish_reading(*reading.traces[0]);
}

int diff_command(int argc, char** argv) {
    Reading reading = begin(argc, argv, diff_spec());
    if (reading.exit_code) return *reading.exit_code;
    const bool same = diff_traces(*reading.traces[0], *reading.traces[1], std::move(reading.selection), stdout);
    const int left = finish_reading(*reading.traces[0]);
    const int right = finish_reading(*reading.traces[1]);
    return same && left == 0 && right == 0 ? 0 : 1;
}

int sequence_command(int argc, char** argv) {
    Reading reading = begin(argc, argv, sequence_spec());
    if (reading.exit_code) return *reading.exit_code;
    print_sequence(reading.traces, reading.selection, {FLAGS_by == "node", FLAGS_limit}, stdout);
    int status = 0;
    for (const auto& trace : reading.traces) status = std::max(status, finish_reading(*trace));
    return status;
}

int replay_command(int argc, char** argv) {
    const CommandSpec spec = replay_spec();
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    const auto found = replayable_actors().find(FLAGS_actor.substr(0, FLAGS_actor.find('#')));
    const std::optional<LocalAddress> address = parse_actor(FLAGS_actor);
    if (found == replayable_actors().end() || !address) {
        return usage_error(spec, str_cat("no actor \"", FLAGS_actor, "\" to run; there are ", actor_names()));
    }
    std::string error;
    const std::unique_ptr<TraceReader> trace = TraceReader::open(parsed.positionals[0], &error);
    if (trace == nullptr) return fail(error);
    const ReplayMode mode = FLAGS_mode == "strict" ? ReplayMode::kStrict : ReplayMode::kSemantic;
    const ReplayResult result = replay_actor(*trace, *address, found->second.make, mode);
    if (result.begins_late) return fail(result.note);
    if (!result.note.empty()) std::printf("note: %s\n", result.note.c_str());
    const auto deliveries = static_cast<unsigned long long>(result.deliveries);
    if (!result.same) {
        std::printf("DIFFERENT after %llu deliveries: %s\n", deliveries, result.difference.c_str());
        return 1;
    }
    if (result.deliveries == 0) std::printf("note: the trace holds nothing for %s\n", FLAGS_actor.c_str());
    std::printf("%s: %s %llu deliveries, %llu effects\n", result.damaged ? "DAMAGED" : "SAME", FLAGS_actor.c_str(),
                deliveries, static_cast<unsigned long long>(result.effects));
    if (!result.ending.empty()) std::printf("it ends as it did: %s\n", result.ending.c_str());
    return result.damaged || result.lacks_data ? 1 : 0;
}

constexpr Command kCommands[] = {
    {"print", print_command, "show each delivery and what it caused", "print FILE"},
    {"stat", stat_command, "count messages by actor and type", "stat FILE"},
    {"diff", diff_command, "show where two traces part", "diff LEFT RIGHT"},
    {"replay", replay_command, "run an actor again and compare", "replay FILE --actor=NAME"},
    {"sequence", sequence_command, "draw a slice as a sequence diagram", "sequence FILE..."},
};

}  // namespace

int trace_command(int argc, char** argv) {
    constexpr CommandFamily kFamily = {
        "trace", "what the actors of a node heard and did.", "FILE [flags]",
        "A trace is written by `sandstore node --trace-file=FILE`. Without that flag a node that dies of a "
        "broken\ninvariant leaves a flight recording in its data directory, which all these commands read as "
        "well.\n`sandstore trace COMMAND --help` tells more."};
    return run_subcommand(kFamily, kCommands, argc, argv);
}

}  // namespace sandstore
