// Actors, run again from recorded inboxes. SANDSTORE_RECORD_TRACES=DIRECTORY records the golden traces anew; say in the
// commit why they had to change.
#include "runtime/replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>

#include "actors/cluster/bootstrap.h"
#include "actors/cluster/etcd_poller.h"
#include "actors/fs/file_state_machine.h"
#include "actors/log/log_store.h"
#include "actors/log/snapshot_store.h"
#include "actors/raft/noop_replicator.h"
#include "actors/raft/raft_node.h"
#include "messages/trace.pb.h"
#include "runtime/text.h"
#include "runtime/trace_reader.h"
#include "tests/replay/scenarios.h"

namespace sandstore {
namespace {

struct Replayable {
    const char* name;
    pb::ActorKind kind;
    std::function<std::unique_ptr<Actor>()> make;
};

const std::vector<Replayable>& replayables() {
    static const std::vector<Replayable> kAll = {
        {"RaftNode", pb::ACTOR_RAFT, [] { return std::make_unique<RaftNode>(); }},
        {"StateMachine", pb::ACTOR_STATE_MACHINE, make_file_state_machine},
        {"EtcdPoller", pb::ACTOR_ETCD_POLLER, [] { return std::make_unique<EtcdPoller>(); }},
        {"LogStore", pb::ACTOR_LOG, [] { return std::make_unique<LogStore>(); }},
        {"SnapshotStore", pb::ACTOR_SNAPSHOTS, [] { return std::make_unique<SnapshotStore>(); }},
        {"Bootstrap", pb::ACTOR_BOOTSTRAP, [] { return std::make_unique<Bootstrap>(); }},
    };
    return kAll;
}

std::string golden(const std::string& name) {
    const char* source = std::getenv("SANDSTORE_SOURCE_DIR");
    return str_cat(source == nullptr ? "." : source, "/tests/replay/traces/", name, ".trace");
}

std::string read_all(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// A file that goes with the test.
class Scratch {
 public:
    explicit Scratch(const std::string& bytes = "") : path_(str_cat(::testing::TempDir(), "trace-", getpid())) {
        std::ofstream(path_, std::ios::binary) << bytes;
    }
    ~Scratch() { unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

 private:
    std::string path_;
};

ReplayResult replay(const std::string& path, const Replayable& actor) {
    std::string error;
    const std::unique_ptr<TraceReader> trace = TraceReader::open(path, &error);
    if (trace == nullptr) {
        ADD_FAILURE() << error;
        return {};
    }
    return replay_actor(*trace, {actor.kind, 0}, actor.make);
}

TEST(Replay, golden_traces_give_the_same_effects) {
    for (const RecordedRun& run : kRecordedRuns) {
        if (const char* directory = std::getenv("SANDSTORE_RECORD_TRACES")) {
            run.run(str_cat(directory, "/", run.name, ".trace"));
            continue;
        }
        for (const Replayable& actor : replayables()) {
            SCOPED_TRACE(str_cat(run.name, " ", actor.name));
            const ReplayResult result = replay(golden(run.name), actor);
            EXPECT_TRUE(result.same) << result.difference;
            EXPECT_GT(result.deliveries, 0u);
            EXPECT_GT(result.effects, 0u);
            EXPECT_FALSE(result.damaged);
        }
    }
}

TEST(Replay, a_run_recorded_now_replays) {
    for (const RecordedRun& run : kRecordedRuns) {
        const Scratch scratch;
        run.run(scratch.path());
        for (const Replayable& actor : replayables()) {
            SCOPED_TRACE(str_cat(run.name, " ", actor.name));
            const ReplayResult result = replay(scratch.path(), actor);
            EXPECT_TRUE(result.same) << result.difference;
            EXPECT_GT(result.effects, 0u);
        }
    }
}

TEST(Replay, the_same_run_is_recorded_to_the_byte) {
    const Scratch scratch;
    kRecordedRuns[1].run(scratch.path());
    const std::string first = read_all(scratch.path());
    kRecordedRuns[1].run(scratch.path());
    EXPECT_TRUE(first == read_all(scratch.path()));
}

TEST(Replay, another_behaviour_is_reported_with_what_differs) {
    const Replayable other = {"RaftNode", pb::ACTOR_RAFT, [] { return std::make_unique<NoOpReplicator>(); }};
    const ReplayResult result = replay(golden("election"), other);
    EXPECT_FALSE(result.same);
    EXPECT_NE(result.difference.find("recorded:"), std::string::npos);
    EXPECT_NE(result.difference.find("now:"), std::string::npos);
    EXPECT_NE(result.difference.find("delivery "), std::string::npos);
}

TEST(Replay, a_cut_off_trace_replays_up_to_the_cut) {
    const std::string whole = read_all(golden("writes"));
    ASSERT_GT(whole.size(), 10'000u);
    size_t notes = 0;
    for (size_t cut = whole.size() - 1; cut > whole.size() * 3 / 4; cut -= 997) {
        const Scratch scratch(whole.substr(0, cut));
        const ReplayResult result = replay(scratch.path(), replayables()[0]);
        EXPECT_TRUE(result.same) << "cut at " << cut << "\n" << result.difference;
        EXPECT_FALSE(result.damaged);
        if (result.note.find("cut off at offset") != std::string::npos) notes++;
    }
    EXPECT_GT(notes, 0u);
}

TEST(Replay, a_damaged_trace_is_reported_by_offset) {
    std::string bytes = read_all(golden("writes"));
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x20);
    const Scratch scratch(bytes);
    const ReplayResult result = replay(scratch.path(), replayables()[0]);
    EXPECT_TRUE(result.damaged);
    EXPECT_NE(result.note.find("damaged at offset "), std::string::npos) << result.note;
}

TEST(Replay, what_is_no_trace_is_refused_with_a_sentence) {
    std::string error;
    EXPECT_EQ(TraceReader::open("/nonexistent/file", &error), nullptr);
    EXPECT_NE(error.find("/nonexistent/file"), std::string::npos);
    const Scratch text("hello, this is not a trace");
    EXPECT_EQ(TraceReader::open(text.path(), &error), nullptr);
    EXPECT_NE(error.find("is not a trace file"), std::string::npos);
}

}  // namespace
}  // namespace sandstore
