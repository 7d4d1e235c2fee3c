#include "tests/replay/scenarios.h"

#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

constexpr uint64_t kSecond = 1'000'000;

Message create_file(const std::string& path) {
    pb::Mutation mutation;
    mutation.mutable_create_file()->mutable_at()->set_path(path);
    mutation.mutable_create_file()->set_mode(0644);
    return message_of(std::move(mutation));
}

void await_leader(SimCluster& cluster, const std::string& other_than = "") {
    SANDSTORE_CHECK(cluster.runtime().run_until(
                        [&] { return !cluster.leader().empty() && cluster.leader() != other_than; }, 30 * kSecond),
                    "no leader");
}

void create(SimCluster& cluster, const std::string& path) {
    const Message reply = cluster.call("client-1", create_file(path));
    SANDSTORE_CHECK(reply->mutation_result().status().code() == pb::STATUS_OK,
                    reply->mutation_result().ShortDebugString());
}

void election(const std::string& path) {
    SimCluster cluster(3, 7);
    for (const std::string& id : cluster.ids()) cluster.trace_to(id, id == "node-1" ? path : "/dev/null");
    cluster.start_all();
    await_leader(cluster);
    cluster.runtime().run_for(kSecond / 2);
}

// Seen by a node that follows, sees its leader die, and takes part in electing another.
void failover(const std::string& path) {
    SimCluster cluster(3, 8);
    cluster.trace_to("node-2", path);
    cluster.start_all();
    cluster.add_client("client-1");
    await_leader(cluster);
    create(cluster, "/before");
    const std::string first = cluster.leader();
    cluster.kill(first == "node-2" ? "node-1" : first);
    cluster.runtime().run_for(kSecond);
    await_leader(cluster);
    create(cluster, "/after");
    cluster.runtime().run_for(kSecond / 4);
}

// Seen by the leader.
void writes(const std::string& path) {
    SimCluster cluster(3, 9);
    cluster.trace_to("node-1", path);
    cluster.trace_to("node-2", "/dev/null");
    cluster.start_all();
    cluster.add_client("client-1");
    await_leader(cluster);
    int open = 0;
    for (int i = 0; i < 60; i++) {
        open++;
        cluster.ask("client-1", create_file(str_cat("/file-", i)), 10 * kSecond, [&open](Message) { open--; });
    }
    SANDSTORE_CHECK(cluster.runtime().run_until([&open] { return open == 0; }, 30 * kSecond), "writes did not end");
    pb::ClientWrite write;
    write.mutable_at()->set_path("/file-0");
    cluster.call("client-1", message_of(std::move(write), Payload(std::string(1000, 'x'))));
}

}  // namespace

const RecordedRun kRecordedRuns[3] = {
    {"election", "a node boots from etcd and takes part in the first election", election},
    {"failover", "a node sees its leader die and another take over", failover},
    {"writes", "a burst of 60 creations and one write", writes},
};

}  // namespace sandstore
