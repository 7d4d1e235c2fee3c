// EtcdPoller and MemberWriter with a real etcd: libcurl, the loop and the disk are the real ones too.
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <optional>

#include "actors/cluster/etcd_poller.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/member_writer.h"
#include "apps/operator/http_call.h"
#include "net/http_client.h"
#include "runtime/event_runtime.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"
#include "runtime/thread_disk.h"
#include "tests/etcd/etcd_process.h"

namespace sandstore {
namespace {

constexpr uint64_t kPatienceUs = 30'000'000;

// Takes what is sent to it; the test looks.
class Probe final : public Port {
 public:
    void handle(Message message) override {
        if (message->has_cluster_view()) views.push_back(std::move(*message->mutable_cluster_view()));
    }
    std::deque<pb::ClusterView> views;
};

// A node's loop with nothing but the poller in it.
class PollerProcess {
 public:
    PollerProcess(std::vector<std::string> endpoints, const std::string& directory)
        : runtime_({.node_id = "node-1"}, logger_, metrics_) {
        Dispatcher& dispatcher = runtime_.dispatcher();
        dispatcher.add_actor({{pb::ACTOR_ETCD_POLLER}, [] { return std::make_unique<EtcdPoller>(); }});
        runtime_.own_port({pb::PORT_HTTP_CLIENT}, std::make_unique<HttpClient>(runtime_.base(), dispatcher));
        runtime_.own_port(
            {pb::PORT_LOG_DISK},
            std::make_unique<ThreadDisk>(runtime_.base(), dispatcher, LocalAddress{pb::PORT_LOG_DISK}, directory, 1));
        for (const pb::ActorKind kind : {pb::ACTOR_BOOTSTRAP, pb::PORT_TRANSPORT, pb::ACTOR_FILES, pb::ACTOR_STATUS,
                                         pb::ACTOR_CHUNKS, pb::ACTOR_REPAIRER, pb::ACTOR_MOVER}) {
            dispatcher.add_port({kind}, kind == pb::ACTOR_BOOTSTRAP ? &bootstrap : &others);
        }
        pb::StartPoller start;
        for (const std::string& endpoint : endpoints) start.add_endpoints(endpoint);
        start.set_poll_interval_ms(20);
        start.set_request_timeout_ms(2'000);
        start.set_retry_min_ms(10);
        start.set_retry_max_ms(50);
        dispatcher.send(pb::ACTOR_ETCD_POLLER, message_of(start));
    }

    bool run_until(const std::function<bool()>& done) { return runtime_.run_until(done, kPatienceUs); }
    bool await_view(const std::function<bool(const pb::ClusterView&)>& wanted) {
        return run_until([&] {
            for (; !bootstrap.views.empty(); bootstrap.views.pop_front()) {
                last = bootstrap.views.front();
                if (wanted(*last)) return true;
            }
            return false;
        });
    }
    bool await_members(int count) {
        return await_view([count](const pb::ClusterView& view) { return view.members_size() == count; });
    }
    void directory_is_ours() {
        pb::BootProgress ours;
        ours.set_cluster_id("blue");
        runtime_.dispatcher().send(pb::ACTOR_ETCD_POLLER, message_of(ours));
    }
    std::string metrics() const { return metrics_.render(); }

    std::optional<pb::ClusterView> last;
    Probe bootstrap;
    Probe others;

 private:
    Logger logger_;
    MetricsRegistry metrics_;
    EventRuntime runtime_;
};

class EtcdPollerWithEtcd : public testing::Test {
 protected:
    void SetUp() override {
        // Debian's etcd-server is among what the tests need.
        ASSERT_TRUE(EtcdProcess::installed()) << "/usr/bin/etcd is missing: scripts/setup installs it";
    }

    MemberWriter::Result init(std::string_view peers = "node-1=a:1,node-2=b:2,node-3=c:3") {
        ClusterPlan plan;
        plan.new_cluster_id = "blue";
        std::string error;
        plan.members = parse_peers(peers, &error).value();
        return MemberWriter([this](const std::string& path, const std::string& body, std::string* answer) {
                   const HttpAnswer reply = http_call(str_cat("http://", etcd.endpoint(), path), body, 5'000);
                   *answer = reply.body;
                   return reply.code == 200;
               })
            .write(plan);
    }

    EtcdProcess etcd;
};

TEST_F(EtcdPollerWithEtcd, what_init_writes_is_what_the_poller_sees) {
    ASSERT_TRUE(etcd.start());
    EXPECT_EQ(init().outcome, MemberWriter::Outcome::kWritten);
    EXPECT_EQ(init().outcome, MemberWriter::Outcome::kUnchanged);
    EXPECT_EQ(init("node-1=a:1,node-2=b:2").outcome, MemberWriter::Outcome::kConflict);
    PollerProcess poller({etcd.endpoint()}, etcd.directory());
    ASSERT_TRUE(poller.await_members(3));
    EXPECT_EQ(poller.last->cluster_id(), "blue");
    EXPECT_EQ(poller.last->bootstrap_members_size(), 3);
    EXPECT_EQ(poller.last->members(2).id(), "node-3");
    EXPECT_EQ(poller.last->members(2).address(), "c:3");
}

TEST_F(EtcdPollerWithEtcd, changes_are_seen_and_bad_records_are_skipped) {
    ASSERT_TRUE(etcd.start());
    init();
    PollerProcess poller({etcd.endpoint()}, etcd.directory());
    ASSERT_TRUE(poller.await_members(3));
    etcd.put("/sandstore/config/nodes/empty", "");
    etcd.put("/sandstore/config/nodes/torn", "{\"id\":");
    etcd.put("/sandstore/config/nodes/node-4",
             R"({"id":"node-4","address":"d:4","role":"metadata-raft-member","metadata":{"zone":"east"}})");
    ASSERT_TRUE(poller.await_members(4));
    EXPECT_EQ(poller.last->members(3).zone(), "east");
    etcd.remove("/sandstore/config/nodes/node-4");
    ASSERT_TRUE(poller.await_members(3));
}

TEST_F(EtcdPollerWithEtcd, it_may_start_later) {
    PollerProcess poller({etcd.endpoint()}, etcd.directory());
    const auto failed = [&] {
        return poller.metrics().find("sandstore_etcd_polls_failed_total 3") != std::string::npos;
    };
    ASSERT_TRUE(poller.run_until(failed));
    EXPECT_TRUE(poller.bootstrap.views.empty());
    ASSERT_TRUE(etcd.start());
    init();
    EXPECT_TRUE(poller.await_members(3));
}

TEST_F(EtcdPollerWithEtcd, an_endpoint_that_does_not_answer_is_passed_over) {
    EtcdProcess nobody;
    ASSERT_TRUE(etcd.start());
    init();
    PollerProcess poller({nobody.endpoint(), etcd.endpoint()}, etcd.directory());
    EXPECT_TRUE(poller.await_members(3));
}

TEST_F(EtcdPollerWithEtcd, it_may_die_and_come_back) {
    ASSERT_TRUE(etcd.start());
    init();
    PollerProcess poller({etcd.endpoint()}, etcd.directory());
    ASSERT_TRUE(poller.await_members(3));
    etcd.kill();
    const auto connected = [&](std::string_view value) {
        return poller.metrics().find(str_cat("sandstore_etcd_connected ", value)) != std::string::npos;
    };
    ASSERT_TRUE(poller.run_until([&] { return connected("0"); }));
    // Nothing new for the node: at most the confirmation of what it knew.
    for (const pb::ClusterView& view : poller.bootstrap.views) EXPECT_EQ(view.members_size(), 3);
    ASSERT_TRUE(etcd.start());
    ASSERT_TRUE(poller.run_until([&] { return connected("1"); }));
    etcd.put("/sandstore/config/nodes/node-4", R"({"id":"node-4","address":"d:4","role":"metadata-raft-member"})");
    EXPECT_TRUE(poller.await_members(4));
}

TEST_F(EtcdPollerWithEtcd, the_view_kept_on_disk_is_used_by_the_next_process) {
    ASSERT_TRUE(etcd.start());
    init();
    {
        PollerProcess first({etcd.endpoint()}, etcd.directory());
        first.directory_is_ours();
        ASSERT_TRUE(first.await_members(3));
        const std::string file = etcd.directory() + "/cluster-view.json";
        ASSERT_TRUE(first.run_until([&] { return std::filesystem::exists(file); }));
    }
    etcd.kill();
    PollerProcess second({etcd.endpoint()}, etcd.directory());
    ASSERT_TRUE(second.await_members(3));
    EXPECT_TRUE(second.last->from_cache());
    EXPECT_EQ(second.last->cluster_id(), "blue");
    ASSERT_TRUE(etcd.start());
    EXPECT_TRUE(second.await_view([](const pb::ClusterView& view) { return !view.from_cache(); }));
}

}  // namespace
}  // namespace sandstore
