#include "apps/smoke/smoke_command.h"

#include <gflags/gflags.h>

#include <cstdio>
#include <cstdlib>

#include "apps/common/client_flags.h"
#include "apps/smoke/leader_watch.h"
#include "apps/smoke/smoke_steps.h"
#include "apps/terminal/units.h"
#include "runtime/event_runtime.h"
#include "runtime/flags.h"
#include "runtime/text.h"

// Under other names than they have on the command line: `sandstore node` has a --log-dir and a --chunk-size too.
DEFINE_string(smoke_log_dir, "",
              "directory with the nodes' log files, watched for Became Leader (also read: SMOKE_LOG_DIR)");
DEFINE_string(smoke_wait, "90s", "how long to wait for a leader");
DEFINE_string(smoke_chunk_size, "1MiB", "chunk size of this client, so that a few MiB span several chunks");

namespace sandstore {

namespace {

const FlagRule kWaitRule("smoke_wait", duration_between(1'000'000, 3'600'000'000));
const FlagRule kChunkSizeRule("smoke_chunk_size", size_between(64 << 10, 8 << 20));

// A directory that a run left behind because it was killed. Younger ones may belong to a run under way.
constexpr uint64_t kLeftoverAgeUs = 15ull * 60 * 1'000'000;
constexpr const char* kPrefix = "smoke-";

CommandSpec smoke_spec() {
    CommandSpec spec;
    spec.summary = "Checks a cluster from end to end.";
    spec.usage = "smoke [flags]";
    spec.groups = {{"Waiting", {"log_dir=smoke_log_dir", "wait=smoke_wait"}},
                   {"Checking", {"chunk_size=smoke_chunk_size"}},
                   cluster_flags()};
    spec.notes = "Exit status: 0 all steps passed, 1 a step failed, 2 the command line was not understood.\n";
    spec.program = "smoke";
    return spec;
}

void passed(std::string_view step) {
    std::printf("PASS: %.*s\n", static_cast<int>(step.size()), step.data());
    std::fflush(stdout);
}

int failed(std::string_view step, const Mismatch& mismatch) {
    std::printf("FAIL: %.*s: expected %s, saw %s\n", static_cast<int>(step.size()), step.data(),
                mismatch.expected.c_str(), mismatch.saw.c_str());
    std::fflush(stdout);
    return 1;
}

bool is_name_of_run(std::string_view name) {
    const std::string_view prefix = kPrefix;
    return name.size() == prefix.size() + 16 && name.starts_with(prefix) &&
           name.find_first_not_of("0123456789abcdef", prefix.size()) == std::string_view::npos;
}

std::string name_of_run() {
    return str_format("%s%016llx", kPrefix, static_cast<unsigned long long>(random_seed_of_system()));
}

// Only what a run gave its name to, and only what is old by the cluster's own clock: this machine's may be wrong, and
// somebody else's directory may begin in the same way.
void remove_leftovers(Client& client) {
    const std::string mark = "/" + name_of_run();
    const Result<pb::Attributes> now = client.make_directory(mark);
    if (!now.ok()) return;
    (void)client.remove_directory(mark);
    const Result<std::vector<pb::DirectoryEntry>> entries = client.list("/");
    if (!entries.ok()) return;
    for (const pb::DirectoryEntry& entry : *entries) {
        if (!is_name_of_run(entry.name()) || entry.attributes().type() != pb::FILE_TYPE_DIRECTORY) continue;
        const bool old = entry.attributes().birth_time_us() + kLeftoverAgeUs < now->birth_time_us();
        if (old) (void)remove_all(client, "/" + entry.name());
    }
}

int check(Client& client) {
    const std::string directory = "/" + name_of_run();
    for (const SmokeStep& step : smoke_steps()) {
        if (const StepOutcome outcome = step.run(client, directory)) {
            const int status = failed(step.name, *outcome);
            (void)remove_all(client, directory);
            return status;
        }
        passed(step.name);
    }
    std::printf("SMOKE OK\n");
    return 0;
}

}  // namespace

int smoke_command(int argc, char** argv) {
    const CommandSpec spec = smoke_spec();
    const ParsedCommandLine parsed = parse_flags(argc, argv, spec);
    if (parsed.exit_code) return finish(parsed);
    std::string log_directory = FLAGS_smoke_log_dir;
    const char* own_variable = std::getenv("SMOKE_LOG_DIR");
    if (log_directory.empty() && own_variable != nullptr) log_directory = own_variable;
    ClientOptions options = client_options_from_flags();
    options.chunk_bytes_max = parse_size(FLAGS_smoke_chunk_size).value_or(0);
    Client client(std::move(options));
    const LeaderFound leader = await_leader(client, log_directory, parse_duration_us(FLAGS_smoke_wait).value_or(0));
    if (!leader.found) return failed("wait for a leader", {str_cat("a leader within ", FLAGS_smoke_wait), leader.how});
    passed(str_cat("a leader: ", leader.how));
    remove_leftovers(client);
    return check(client);
}

}  // namespace sandstore
