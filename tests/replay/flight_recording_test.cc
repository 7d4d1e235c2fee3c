// What a node leaves behind when it dies, and that its actors run again from it.
#include "runtime/flight_recorder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "actors/cluster/bootstrap.h"
#include "actors/cluster/etcd_poller.h"
#include "actors/log/log_store.h"
#include "actors/raft/raft_node.h"
#include "messages/trace.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/replay.h"
#include "runtime/text.h"
#include "runtime/trace_reader.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {
namespace {

class Directory {
 public:
    Directory() : path_(str_cat(::testing::TempDir(), "flight-", getpid())) {
        std::filesystem::create_directories(path_);
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    const std::string& path() const { return path_; }

 private:
    std::string path_;
};

// The leader of three is told that a write is durable which it never made.
TraceBytes recording_of_a_broken_invariant(std::string* reason) {
    SimCluster cluster(3, 11);
    cluster.start_all();
    for (const std::string& id : cluster.ids()) {
        FlightRecorder& recorder = cluster.runtime().recorder(id);
        recorder.keep_lives();
        cluster.runtime().node(id)->set_recorder(&recorder);
    }
    SANDSTORE_CHECK(cluster.runtime().run_until([&] { return !cluster.leader().empty(); }, 30'000'000), "no leader");
    cluster.runtime().run_for(300'000);
    TraceBytes recording;
    cluster.runtime().on_stop = [&](const std::string& node, const std::string& why) {
        *reason = why;
        const Dispatcher& dispatcher = *cluster.runtime().node(node);
        recording =
            cluster.runtime().recorder(node).as_trace(node, dispatcher.root_seed(), dispatcher.stop_cause(), why);
        cluster.kill(node);
    };
    pb::LogPersisted persisted;
    persisted.set_write_id(1'000'000);
    cluster.runtime().node(cluster.leader())->send(pb::ACTOR_RAFT, message_of(persisted));
    cluster.runtime().run_until([&] { return !reason->empty(); }, 1'000'000);
    return recording;
}

template <typename SomeActor>
ReplayResult replay(const std::string& path, pb::ActorKind kind) {
    std::string error;
    const std::unique_ptr<TraceReader> trace = TraceReader::open(path, &error);
    EXPECT_NE(trace, nullptr) << error;
    if (trace == nullptr) return {};
    return replay_actor(*trace, {kind, 0}, [] { return std::make_unique<SomeActor>(); });
}

TEST(FlightRecording, a_broken_invariant_replays_up_to_itself) {
    const Directory directory;
    std::string reason;
    std::string error;
    const TraceBytes recording = recording_of_a_broken_invariant(&reason);
    ASSERT_NE(reason.find("broken invariant"), std::string::npos) << reason;
    const std::string path = write_flight_recording(directory.path(), 1'700'000'000'000'000, recording, &error);
    ASSERT_FALSE(path.empty()) << error;

    const ReplayResult raft = replay<RaftNode>(path, pb::ACTOR_RAFT);
    EXPECT_TRUE(raft.same) << raft.difference;
    EXPECT_FALSE(raft.damaged);
    EXPECT_GT(raft.effects, 10u);
    EXPECT_EQ(raft.ending, reason);
    const ReplayResult log = replay<LogStore>(path, pb::ACTOR_LOG);
    EXPECT_TRUE(log.same) << log.difference;
    EXPECT_GT(log.effects, 5u);
    EXPECT_EQ(log.ending, "");
    EXPECT_TRUE(replay<Bootstrap>(path, pb::ACTOR_BOOTSTRAP).same);
    EXPECT_TRUE(replay<EtcdPoller>(path, pb::ACTOR_ETCD_POLLER).same);
}

TEST(FlightRecording, has_the_last_deliveries_of_all_actors_and_the_end) {
    const Directory directory;
    std::string reason;
    std::string error;
    const std::string path = write_flight_recording(directory.path(), 1'700'000'000'000'000,
                                                    recording_of_a_broken_invariant(&reason), &error);
    const std::unique_ptr<TraceReader> trace = TraceReader::open(path, &error);
    ASSERT_NE(trace, nullptr) << error;
    std::set<pb::ActorKind> actors;
    uint64_t sequence = 0;
    std::string end;
    pb::TraceRecord record;
    while (trace->next(&record) == TraceReader::Outcome::kRecord) {
        if (record.has_stop()) end = record.stop().reason();
        if (!record.has_deliver()) continue;
        actors.insert(record.deliver().envelope().to_actor());
        EXPECT_EQ(record.deliver().sequence(), sequence + 1);  // None is missing in so short a life.
        sequence = record.deliver().sequence();
    }
    EXPECT_EQ(end, reason);
    for (pb::ActorKind kind : {pb::ACTOR_RAFT, pb::ACTOR_STATE_MACHINE, pb::ACTOR_FILES, pb::ACTOR_CHUNKS}) {
        EXPECT_TRUE(actors.contains(kind)) << actor_name(kind);
    }
}

TEST(FlightRecording, a_life_that_no_longer_fits_is_not_run_again_but_says_so) {
    const Directory directory;
    FlightRecorder recorder;
    recorder.keep_lives();
    auto* life = static_cast<FlightRecorder::Life*>(recorder.recorder_of({pb::ACTOR_RAFT, 0}));
    ASSERT_NE(life, nullptr);
    EXPECT_EQ(recorder.recorder_of({pb::ACTOR_FILES, 0}), nullptr);
    Message message = message_of(pb::Flush(), Payload(std::string(64 << 10, 'x')));
    message->set_to_actor(pb::ACTOR_RAFT);
    size_t kept = 0;
    for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
        life->deliver(sequence, sequence, sequence, 0, message);
        kept = 0;
        for (const TraceBytes& block : life->blocks()) kept += block.size();
        ASSERT_LT(kept, size_t{9} << 20);
    }
    EXPECT_FALSE(life->is_whole());
    EXPECT_GT(kept, 0u);
    std::string error;
    const std::string path =
        write_flight_recording(directory.path(), 1, recorder.as_trace("node-1", 7, 1000, "the end"), &error);
    ASSERT_FALSE(path.empty()) << error;
    const ReplayResult result = replay<RaftNode>(path, pb::ACTOR_RAFT);
    EXPECT_TRUE(result.begins_late);
    EXPECT_EQ(result.deliveries, 0u);
    EXPECT_NE(result.note.find("does not go back to the start of raft"), std::string::npos) << result.note;
}

TEST(FlightRecording, only_the_newest_few_files_are_kept) {
    const Directory directory;
    std::string error;
    std::string last;
    for (uint64_t i = 0; i < 12; i++) {
        last = write_flight_recording(directory.path(), 1'700'000'000'000'000 + i, TraceBytes(), &error);
        ASSERT_FALSE(last.empty()) << error;
    }
    size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.path())) files++;
    EXPECT_EQ(files, 8u);
    EXPECT_TRUE(std::filesystem::exists(last));
    EXPECT_EQ(write_flight_recording("/nonexistent", 1, TraceBytes(), &error), "");
    EXPECT_NE(error.find("/nonexistent"), std::string::npos);
}

}  // namespace
}  // namespace sandstore
