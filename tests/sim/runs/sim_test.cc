// Whole clusters of all the real actors, each test one story. Runs under drawn faults are the business of the command
// sim and of the test of that name.
#include <gtest/gtest.h>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

pb::At at(const std::string& path) {
    pb::At at;
    at.set_path(path);
    return at;
}

Message create_file(const std::string& path, bool exclusive) {
    pb::Mutation mutation;
    *mutation.mutable_create_file()->mutable_at() = at(path);
    mutation.mutable_create_file()->set_mode(0644);
    mutation.mutable_create_file()->set_exclusive(exclusive);
    return message_of(std::move(mutation));
}

Message write_file(const std::string& path, const std::string& bytes, bool append) {
    pb::ClientWrite write;
    *write.mutable_at() = at(path);
    write.set_append(append);
    return message_of(std::move(write), Payload(bytes));
}

Message read_file(const std::string& path) {
    pb::ClientRead read;
    *read.mutable_at() = at(path);
    read.set_length(16u << 20);
    return message_of(std::move(read));
}

bool ready(SimCluster& cluster) {
    return cluster.runtime().run_until([&] { return !cluster.leader().empty(); }, 30 * kSecond);
}

TEST(SimRuntime, what_comes_for_a_stopped_process_waits_outside_in_its_order) {
    SimRuntime runtime(1);
    Logger logger;
    runtime.add_node("node-1", logger);
    std::vector<int> seen;
    const auto see = [&seen](int what) { return [&seen, what] { seen.push_back(what); }; };
    runtime.pause_node("node-1");
    runtime.schedule(10, see(1), "node-1");
    runtime.schedule(20, see(2), "node-1");
    runtime.schedule(15, see(0));
    runtime.run_for(100);
    EXPECT_EQ(seen, (std::vector<int>{0}));
    runtime.resume_node("node-1");
    EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
    runtime.pause_node("node-1");
    runtime.schedule(10, see(3), "node-1");
    runtime.run_for(100);
    runtime.add_node("node-1", logger);
    runtime.resume_node("node-1");
    EXPECT_EQ(seen.size(), 3u) << "what came for the process before is gone with it";
}

TEST(SimCluster, boots_from_etcd_elects_and_stores) {
    SimCluster cluster(3, 1);
    cluster.start_all();
    cluster.add_client("client-1");
    ASSERT_TRUE(ready(cluster));
    EXPECT_EQ(cluster.call("client-1", create_file("/a", true))->mutation_result().status().code(), pb::STATUS_OK);
    const std::string bytes(200'000, 'x');
    const Message wrote = cluster.call("client-1", write_file("/a", bytes, false));
    ASSERT_EQ(wrote->client_write_reply().status().code(), pb::STATUS_OK)
        << wrote->client_write_reply().status().message();
    const Message read = cluster.call("client-1", read_file("/a"));
    EXPECT_EQ(read->client_read_reply().status().code(), pb::STATUS_OK);
    EXPECT_TRUE(read.payload == Payload(bytes));
    EXPECT_EQ(cluster.compare_states(), "");
}

TEST(SimCluster, nodes_wait_for_etcd) {
    SimCluster cluster(3, 2);
    cluster.etcd().is_up = false;
    cluster.start_all();
    cluster.runtime().run_for(20 * kSecond);
    EXPECT_EQ(cluster.leader(), "");
    cluster.etcd().is_up = true;
    EXPECT_TRUE(ready(cluster));
}

TEST(SimCluster, all_nodes_lose_power_at_once_and_acknowledged_files_are_there) {
    SimCluster cluster(3, 3);
    cluster.start_all();
    cluster.add_client("client-1");
    ASSERT_TRUE(ready(cluster));
    for (int i = 0; i < 20; i++) {
        const std::string path = str_cat("/f", i);
        ASSERT_EQ(cluster.call("client-1", create_file(path, true))->mutation_result().status().code(), pb::STATUS_OK);
        ASSERT_EQ(cluster.call("client-1", write_file(path, path, false))->client_write_reply().status().code(),
                  pb::STATUS_OK);
    }
    for (const std::string& id : cluster.ids()) cluster.power_cut(id);
    cluster.start_all();
    ASSERT_TRUE(ready(cluster));
    for (int i = 0; i < 20; i++) {
        const std::string path = str_cat("/f", i);
        const Message read = cluster.call("client-1", read_file(path));
        EXPECT_EQ(read.payload.to_string(), path) << read->client_read_reply().ShortDebugString();
    }
}

}  // namespace
}  // namespace sandstore
