// EtcdPoller through its messages, with a scripted etcd.
#include "actors/cluster/etcd_poller.h"

#include <gtest/gtest.h>

#include "actors/cluster/base64.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/view_cache.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

constexpr uint64_t kPollMs = 2'000;

std::string node_record(int number, std::string_view address = "") {
    return str_cat(R"({"id":"node-)", number, R"(","address":")",
                   address.empty() ? str_cat("node-", number, ":8080") : std::string(address),
                   R"(","role":"metadata-raft-member","metadata":{"zone":"z"}})");
}

using Records = std::map<std::string, std::string>;

Records three_nodes() {
    return {{"/sandstore/config/nodes/node-1", node_record(1)},
            {"/sandstore/config/nodes/node-2", node_record(2)},
            {"/sandstore/config/nodes/node-3", node_record(3)}};
}

// As etcd's gateway writes it: empty fields are left out, numbers are strings.
std::string gateway_answer(const Records& records) {
    std::string body = R"({"header":{"cluster_id":"1","member_id":"2","revision":"3","raft_term":"4"})";
    std::string pairs;
    for (const auto& [key, value] : records) {
        str_append(&pairs, pairs.empty() ? "" : ",", R"({"key":")", base64_encode(key),
                   R"(","create_revision":"2","mod_revision":"3","version":"1")");
        if (!value.empty()) str_append(&pairs, R"(,"value":")", base64_encode(value), "\"");
        pairs += "}";
    }
    if (!pairs.empty()) str_append(&body, R"(,"kvs":[)", pairs, R"(],"count":")", records.size(), "\"");
    return body + "}";
}

class EtcdPollerTest : public testing::Test {
 protected:
    EtcdPollerTest() : kit(std::make_unique<EtcdPoller>(), {pb::ACTOR_ETCD_POLLER}) {}

    // Starts the poller; `cache` is what cluster-view.json holds.
    void start(std::vector<std::string> endpoints = {"etcd:2379"}, std::optional<std::string> cache = std::nullopt) {
        pb::StartPoller start;
        for (const std::string& endpoint : endpoints) start.add_endpoints(endpoint);
        start.set_poll_interval_ms(kPollMs);
        start.set_request_timeout_ms(1'000);
        start.set_retry_min_ms(100);
        start.set_retry_max_ms(1'000);
        kit.deliver(message_of(start));
        Message read = kit.take(pb::Envelope::kDiskRequest);
        EXPECT_EQ(read->disk_request().operations(0).read().file(), "cluster-view.json");
        pb::DiskReply reply;
        if (cache) {
            reply.add_read_lengths(cache->size());
            kit.answer(read, message_of(reply, Payload(*cache)));
        } else {
            reply.set_error(pb::STATUS_ENOENT);
            kit.answer(read, message_of(reply));
        }
    }

    void answer(const Records& records) { answer_text(gateway_answer(records)); }
    void answer_text(std::string body, int code = 200) {
        pb::HttpReply reply;
        reply.set_code(code);
        kit.answer(kit.take(pb::Envelope::kHttpRequest), message_of(reply, Payload(std::move(body))));
    }
    void no_answer(std::string error = "connection refused") {
        pb::HttpReply reply;
        reply.set_error(std::move(error));
        kit.answer(kit.take(pb::Envelope::kHttpRequest), message_of(reply));
    }

    // The view as sent to everybody, each exactly once.
    std::optional<pb::ClusterView> take_view() {
        std::optional<pb::ClusterView> view;
        std::multiset<pb::ActorKind> to;
        while (std::optional<Message> message = kit.try_take(pb::Envelope::kClusterView)) {
            to.insert((*message)->to_actor());
            view = (*message)->cluster_view();
        }
        if (view) {
            EXPECT_EQ(to, (std::multiset<pb::ActorKind>{pb::ACTOR_BOOTSTRAP, pb::ACTOR_FILES, pb::ACTOR_CHUNKS,
                                                        pb::ACTOR_REPAIRER, pb::ACTOR_MOVER, pb::ACTOR_STATUS,
                                                        pb::PORT_TRANSPORT}));
        }
        return view;
    }
    std::vector<std::string> take_ids() {
        const std::optional<pb::ClusterView> view = take_view();
        std::vector<std::string> ids;
        if (view) {
            for (const pb::Member& member : view->members()) ids.push_back(member.id());
        }
        return ids;
    }

    StepKit kit;
    const std::vector<std::string> kThree = {"node-1", "node-2", "node-3"};
};

TEST_F(EtcdPollerTest, one_range_request_brings_members_and_cluster_record) {
    start();
    Message request = kit.take(pb::Envelope::kHttpRequest);
    EXPECT_EQ(request->to_actor(), pb::PORT_HTTP_CLIENT);
    EXPECT_EQ(request->http_request().method(), "POST");
    EXPECT_EQ(request->http_request().url(), "http://etcd:2379/v3/kv/range");
    EXPECT_EQ(request->http_request().timeout_ms(), 1'000u);
    EXPECT_EQ(request->http_request().response_bytes_max(), 1u << 20);
    EXPECT_EQ(request.payload.to_string(),
              R"({"key":"L3NhbmRzdG9yZS9jb25maWcv","range_end":"L3NhbmRzdG9yZS9jb25maWcw"})");
    Records records = three_nodes();
    records["/sandstore/config/cluster"] = R"({"id":"blue","members":["node-3","node-1","node-2"]})";
    pb::HttpReply reply;
    reply.set_code(200);
    kit.answer(request, message_of(reply, Payload(gateway_answer(records))));
    const auto view = take_view();
    ASSERT_TRUE(view);
    EXPECT_EQ(view->cluster_id(), "blue");
    EXPECT_EQ(view->bootstrap_members_size(), 3);
    EXPECT_EQ(view->bootstrap_members(0), "node-1");
    EXPECT_FALSE(view->from_cache());
    ASSERT_EQ(view->members_size(), 3);
    EXPECT_EQ(view->members(1).address(), "node-2:8080");
    EXPECT_EQ(view->members(1).zone(), "z");
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, an_unchanged_view_is_confirmed_once_and_only_to_bootstrap) {
    start();
    answer(three_nodes());
    EXPECT_EQ(take_ids(), kThree);
    kit.advance(kPollMs * 1000);
    answer(three_nodes());
    Message confirmation = kit.take(pb::Envelope::kClusterView);
    EXPECT_EQ(confirmation->to_actor(), pb::ACTOR_BOOTSTRAP);
    kit.expect_nothing();
    kit.advance(kPollMs * 1000);
    answer(three_nodes());
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, a_changed_view_is_sent_to_all) {
    start();
    answer(three_nodes());
    take_view();
    kit.advance(kPollMs * 1000);
    Records moved = three_nodes();
    moved["/sandstore/config/nodes/node-2"] = node_record(2, "elsewhere:1");
    answer(moved);
    const auto view = take_view();
    ASSERT_TRUE(view);
    EXPECT_EQ(view->members(1).address(), "elsewhere:1");
}

TEST_F(EtcdPollerTest, all_endpoints_are_tried_and_the_one_that_answers_is_kept) {
    start({"one:1", "http://two:2/"});
    EXPECT_EQ(kit.effects().front().message->http_request().url(), "http://one:1/v3/kv/range");
    no_answer();
    EXPECT_EQ(kit.effects().front().message->http_request().url(), "http://two:2/v3/kv/range");
    answer(three_nodes());
    EXPECT_EQ(take_ids(), kThree);
    EXPECT_FALSE(kit.logged("trying again"));
    kit.advance(kPollMs * 1000);
    EXPECT_EQ(kit.take(pb::Envelope::kHttpRequest)->http_request().url(), "http://two:2/v3/kv/range");
}

TEST_F(EtcdPollerTest, attempts_before_the_first_answer_back_off_with_jitter_and_one_line_each) {
    start({"one:1", "two:2"});
    uint64_t most_us = 100'000;
    for (int attempt = 1; attempt <= 8; ++attempt) {
        no_answer("refused");
        no_answer("timed out");
        EXPECT_TRUE(kit.logged(str_cat("etcd does not answer, trying again attempt=", attempt)));
        EXPECT_TRUE(kit.logged("error=http://one:1: refused; http://two:2: timed out"));
        kit.expect_nothing();
        EXPECT_EQ(kit.timers(), 1u);
        const uint64_t before = kit.now_us();
        kit.fire_next_timer();
        EXPECT_GE(kit.now_us() - before, most_us / 2);
        EXPECT_LE(kit.now_us() - before, most_us);
        most_us = std::min<uint64_t>(most_us * 2, 1'000'000);
    }
    answer(three_nodes());
    EXPECT_EQ(take_ids(), kThree);
    EXPECT_TRUE(kit.logged("etcd answers"));
}

TEST_F(EtcdPollerTest, every_kind_of_bad_answer_is_a_failed_attempt) {
    start();
    const std::pair<std::string, int> bad[] = {{"not json", 200},
                                               {"{}", 200},
                                               {R"({"header":{},"kvs":[{"key":"*"}]})", 200},
                                               {std::string(5'000, '['), 200},
                                               {"not found", 404},
                                               {R"({"error":"etcdserver: no leader","code":14})", 503}};
    int attempt = 0;
    for (const auto& [body, code] : bad) {
        answer_text(body, code);
        EXPECT_TRUE(kit.logged(str_cat("trying again attempt=", ++attempt)));
        kit.expect_nothing();
        kit.fire_next_timer();
    }
    kit.fail(kit.take(pb::Envelope::kHttpRequest), pb::STATUS_RESOURCE_EXHAUSTED, "mailbox full");
    EXPECT_TRUE(kit.logged("mailbox full"));
}

TEST_F(EtcdPollerTest, an_outage_later_changes_nothing_and_is_one_warning_and_one_return) {
    start();
    answer(three_nodes());
    take_view();
    kit.advance(kPollMs * 1000);
    no_answer();
    EXPECT_TRUE(kit.logged("etcd does not answer any more"));
    for (int i = 0; i < 5; ++i) {
        kit.fire_next_timer();
        no_answer("still away");
        kit.expect_nothing();
    }
    EXPECT_FALSE(kit.logged("still away"));
    kit.fire_next_timer();
    answer(three_nodes());
    EXPECT_TRUE(kit.logged("etcd answers again"));
    EXPECT_EQ(kit.take(pb::Envelope::kClusterView)->to_actor(), pb::ACTOR_BOOTSTRAP);
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, bad_records_are_skipped_and_named_once_until_they_change) {
    start();
    Records records = three_nodes();
    records["/sandstore/config/nodes/node-4"] = "";
    records["/sandstore/config/nodes/node-5"] = "{";
    records["/sandstore/config/nodes/node-6"] = node_record(7);
    records["/sandstore/config/other"] = "x";
    answer(records);
    EXPECT_EQ(take_ids(), kThree);
    for (const std::string key : {"nodes/node-4", "nodes/node-5", "nodes/node-6", "other"}) {
        EXPECT_TRUE(kit.logged(str_cat("Skipping a record in etcd key=/sandstore/config/", key))) << key;
    }
    const auto warnings = [&] {
        size_t count = 0;
        for (int i = 4; i <= 6; ++i) count += kit.logged(str_cat("changed-", i));
        return count;
    };
    EXPECT_EQ(warnings(), 0u);
    records["/sandstore/config/nodes/node-5"] = R"({"id":"changed-5","address":"a:1","role":"metadata-raft-member"})";
    kit.advance(kPollMs * 1000);
    answer(records);
    EXPECT_EQ(warnings(), 1u);
    kit.take(pb::Envelope::kClusterView);
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, a_record_that_was_good_and_was_spoiled_stays_in_use) {
    start();
    answer(three_nodes());
    take_view();
    kit.advance(kPollMs * 1000);
    Records records = three_nodes();
    records["/sandstore/config/nodes/node-2"] = "oops";
    answer(records);
    EXPECT_TRUE(kit.logged("key=/sandstore/config/nodes/node-2"));
    EXPECT_EQ(kit.take(pb::Envelope::kClusterView)->cluster_view().members_size(), 3);
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, a_removed_record_leaves_the_view) {
    start();
    answer(three_nodes());
    take_view();
    kit.advance(kPollMs * 1000);
    Records records = three_nodes();
    records.erase("/sandstore/config/nodes/node-2");
    answer(records);
    EXPECT_EQ(take_ids(), (std::vector<std::string>{"node-1", "node-3"}));
}

TEST_F(EtcdPollerTest, an_empty_list_never_replaces_a_list) {
    start();
    answer(three_nodes());
    take_view();
    kit.advance(kPollMs * 1000);
    answer({});
    EXPECT_TRUE(kit.logged("no usable member records; the last member list stays in use"));
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, an_empty_etcd_at_the_start_says_how_to_fill_it) {
    start();
    answer({});
    EXPECT_TRUE(kit.logged("`sandstore cluster init` writes them"));
    kit.expect_nothing();
    kit.advance(kPollMs * 1000);
    answer(three_nodes());
    EXPECT_EQ(take_ids(), kThree);
}

TEST_F(EtcdPollerTest, members_that_share_an_address_are_warned_about) {
    start();
    Records records = three_nodes();
    records["/sandstore/config/nodes/node-2"] = node_record(2, "node-1:8080");
    answer(records);
    EXPECT_TRUE(kit.logged("share an address"));
    EXPECT_EQ(take_ids(), kThree);
}

std::string cached_three() {
    pb::ClusterView view;
    std::string error;
    const auto peers = parse_peers("node-1=a:1,node-2=b:2,node-3=c:3", &error);
    view.mutable_members()->Add(peers->begin(), peers->end());
    return view_cache_text(view);
}

TEST_F(EtcdPollerTest, the_cached_view_is_sent_when_the_first_attempt_fails) {
    start({"one:1", "two:2"}, cached_three());
    no_answer();
    EXPECT_FALSE(take_view());
    no_answer();
    const auto view = take_view();
    ASSERT_TRUE(view);
    EXPECT_TRUE(view->from_cache());
    EXPECT_EQ(view->members_size(), 3);
    kit.fire_next_timer();
    no_answer();
    no_answer();
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, the_cached_view_is_not_sent_when_etcd_answers_at_once) {
    start({"etcd:1"}, cached_three());
    answer(three_nodes());
    const auto view = take_view();
    ASSERT_TRUE(view);
    EXPECT_FALSE(view->from_cache());
}

TEST_F(EtcdPollerTest, etcds_own_word_follows_a_cached_view_also_when_it_is_the_same) {
    start({"etcd:1"}, cached_three());
    no_answer();
    ASSERT_TRUE(take_view()->from_cache());
    kit.fire_next_timer();
    Records records;
    int number = 0;
    for (const std::string address : {"a:1", "b:2", "c:3"}) {
        records[str_cat("/sandstore/config/nodes/node-", ++number)] =
            str_cat(R"({"id":"node-)", number, R"(","address":")", address, R"(","role":"metadata-raft-member"})");
    }
    answer(records);
    const auto view = take_view();
    ASSERT_TRUE(view);
    EXPECT_FALSE(view->from_cache());
}

TEST_F(EtcdPollerTest, a_damaged_cache_is_warned_about_and_left_alone) {
    start({"etcd:1"}, "{\"format\":1");
    EXPECT_TRUE(kit.logged("kept on disk cannot be used"));
    no_answer();
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, the_view_is_kept_on_disk_only_when_the_directory_is_known_to_be_ours) {
    start();
    answer(three_nodes());
    take_view();
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
    pb::BootProgress ours;
    ours.set_cluster_id("blue");
    kit.deliver(message_of(ours));
    Message write = kit.take(pb::Envelope::kDiskRequest);
    EXPECT_EQ(write->to_actor(), pb::PORT_LOG_DISK);
    EXPECT_EQ(write->disk_request().operations(0).replace().file(), "cluster-view.json");
    EXPECT_EQ(write->disk_request().operations(0).replace().length(), write.payload.size());
    std::string error;
    const auto kept = parse_view_cache(write.payload.to_string(), &error);
    ASSERT_TRUE(kept) << error;
    EXPECT_EQ(kept->members_size(), 3);
    kit.answer(write, message_of(pb::DiskReply()));
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, one_write_at_a_time_and_the_last_view_wins) {
    start();
    pb::BootProgress ours;
    ours.set_cluster_id("blue");
    kit.deliver(message_of(ours));
    answer(three_nodes());
    take_view();
    Message first = kit.take(pb::Envelope::kDiskRequest);
    Records records = three_nodes();
    for (int i = 4; i <= 5; ++i) {
        records[str_cat("/sandstore/config/nodes/node-", i)] = node_record(i);
        kit.advance(kPollMs * 1000);
        answer(records);
        EXPECT_EQ(take_ids().size(), static_cast<size_t>(i));
    }
    EXPECT_FALSE(kit.has(pb::Envelope::kDiskRequest));
    kit.answer(first, message_of(pb::DiskReply()));
    Message second = kit.take(pb::Envelope::kDiskRequest);
    std::string error;
    EXPECT_EQ(parse_view_cache(second.payload.to_string(), &error)->members_size(), 5);
    kit.answer(second, message_of(pb::DiskReply()));
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, a_failed_write_of_the_view_is_a_warning) {
    start();
    pb::BootProgress ours;
    ours.set_cluster_id("blue");
    kit.deliver(message_of(ours));
    answer(three_nodes());
    take_view();
    pb::DiskReply full;
    full.set_error(pb::STATUS_ENOSPC);
    kit.answer(kit.take(pb::Envelope::kDiskRequest), message_of(full));
    EXPECT_TRUE(kit.logged("Cannot keep the member list on disk"));
    EXPECT_FALSE(kit.stopped());
    kit.expect_nothing();
}

TEST_F(EtcdPollerTest, more_members_than_the_bound_are_skipped) {
    start();
    Records records;
    for (int i = 1000; i < 1000 + static_cast<int>(kMembersMax) + 2; ++i) {
        records[str_cat("/sandstore/config/nodes/node-", i)] = node_record(i);
    }
    answer(records);
    EXPECT_EQ(take_ids().size(), kMembersMax);
    EXPECT_TRUE(kit.logged("more than"));
}

}  // namespace
}  // namespace sandstore
