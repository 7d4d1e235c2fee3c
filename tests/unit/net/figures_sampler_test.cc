#include "net/figures_sampler.h"

#include <gtest/gtest.h>

#include "runtime/request_metrics.h"
#include "tests/unit/net/net_kit.h"

namespace sandstore {
namespace {

TEST(FiguresSampler, a_sample_is_what_was_counted_since_the_one_before) {
    TestLoop loop;
    FakeHost host;
    RequestMetrics files(host.metrics(), "files", {"create_file", "stat"});
    RequestMetrics chunks(host.metrics(), "chunks", {"put"});
    for (int i = 0; i < 100; i++) files.observe(0, pb::STATUS_OK, 700);
    FiguresSampler sampler(loop.base(), host);
    for (int i = 0; i < 4; i++) files.observe(0, pb::STATUS_OK, 700);
    for (int i = 0; i < 3; i++) files.observe(1, pb::STATUS_OK, 90'000);
    files.observe(1, pb::STATUS_ENOENT, 10);
    files.observe(0, pb::STATUS_NOT_LEADER, 0);
    for (int i = 0; i < 2; i++) files.observe(0, pb::STATUS_UNAVAILABLE, 10);
    chunks.observe(0, pb::STATUS_INTERNAL, 10);
    host.metrics().counter("sandstore_net_sent_bytes_total", "").add(4096);
    const pb::NodeFigures busy = sampler.take();
    EXPECT_EQ(busy.requests(), 11u);
    EXPECT_EQ(busy.failures(), 2u) << "answers that a client expects are none";
    EXPECT_EQ(busy.mutations(), 4u);
    EXPECT_LE(busy.mutation_p99_us(), 800u);
    EXPECT_EQ(busy.sent_bytes(), 4096u);
    const pb::NodeFigures quiet = sampler.take();
    EXPECT_EQ(quiet.requests(), 0u);
    EXPECT_EQ(quiet.sent_bytes(), 0u);
    EXPECT_EQ(quiet.sync_p99_us(), 0u) << "nothing was timed";
}

TEST(FiguresSampler, times_are_those_of_the_last_interval_alone) {
    TestLoop loop;
    FakeHost host;
    Histogram& syncs = host.metrics().histogram("sandstore_wal_fsync_duration_seconds", "");
    for (int i = 0; i < 1000; ++i) syncs.observe_us(3'000'000);
    FiguresSampler sampler(loop.base(), host);
    for (int i = 0; i < 98; ++i) syncs.observe_us(700);
    for (int i = 0; i < 2; ++i) syncs.observe_us(100'000);
    const pb::NodeFigures figures = sampler.take();
    EXPECT_EQ(figures.syncs(), 100u);
    // Buckets end at 400, 800, ... and 51200, 102400: an estimate stays within its bucket.
    EXPECT_GT(figures.sync_p50_us(), 400u);
    EXPECT_LE(figures.sync_p50_us(), 800u);
    EXPECT_GT(figures.sync_p99_us(), 51'200u);
    EXPECT_LE(figures.sync_p99_us(), 102'400u);
}

TEST(FiguresSampler, etcd_is_not_used_answers_or_is_lost) {
    TestLoop loop;
    FakeHost host;
    FiguresSampler sampler(loop.base(), host);
    EXPECT_EQ(sampler.take().etcd(), pb::NodeFigures::NOT_USED);
    host.metrics().gauge("sandstore_etcd_connected", "").set(1);
    EXPECT_EQ(sampler.take().etcd(), pb::NodeFigures::ANSWERS);
    host.metrics().gauge("sandstore_etcd_connected", "").set(0);
    EXPECT_EQ(sampler.take().etcd(), pb::NodeFigures::LOST);
}

TEST(FiguresSampler, the_status_service_is_told_each_second) {
    TestLoop loop;
    FakeHost host;
    FiguresSampler sampler(loop.base(), host);
    ASSERT_TRUE(loop.until([&] { return host.count(pb::Envelope::kNodeFigures) >= 2; }));
    const Message* told = host.find(pb::Envelope::kNodeFigures, pb::ACTOR_STATUS);
    ASSERT_NE(told, nullptr);
}

}  // namespace
}  // namespace sandstore
