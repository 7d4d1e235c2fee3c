// Followers whose disk came back with less than they had acknowledged.
#include <gtest/gtest.h>

#include "actors/raft/snapshot_transfer.h"
#include "runtime/message_of.h"
#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

class Loss : public testing::Test {
 protected:
    // A leader, and a follower that acknowledged everything; the third node is for the tests.
    void SetUp() override {
        ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, kSecond));
        cluster.run_for(200'000);
        leader = cluster.leader();
        for (const std::string& name : cluster.names()) {
            if (name == leader) continue;
            (follower.empty() ? follower : third) = name;
        }
        for (int i = 0; i < 5; i++) ASSERT_TRUE(cluster.propose(leader, "x" + std::to_string(i)));
        cluster.run_for(100'000);
        last = core(leader).last_index();
        ASSERT_EQ(progress().match(), last);
    }
    // The follower's disk loses its last two entries.
    void lose_two() {
        cluster.crash(follower);
        cluster.lose_tail(follower, last - 2);
        cluster.restart(follower);
        core(leader).on_peer_up({cluster.now_us(), 0}, follower);
    }
    // Heartbeats and refusals go on; what was lost is not sent again.
    void hold_entries_back() {
        cluster.filter = [this](const std::string&, const std::string& to, const Message& message) {
            return to != follower || !message->has_append_entries() || message->append_entries().record_count() == 0;
        };
    }
    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    const Progress& progress() { return core(leader).peers().at(follower); }

    CoreCluster cluster{3, 11, {}};
    std::string leader;
    std::string follower;
    std::string third;
    uint64_t last = 0;
};

TEST_F(Loss, is_believed_and_repaired_with_few_messages) {
    const uint64_t before = cluster.messages_sent(pb::Envelope::kAppendEntries);
    lose_two();
    ASSERT_TRUE(cluster.run_until([&] { return core(follower).commit_index() == last; }, kSecond));
    cluster.run_for(kSecond);
    EXPECT_EQ(progress().match(), last);
    EXPECT_EQ(progress().owed_index(), 0u);
    EXPECT_EQ(core(follower).owed_index(), 0u);
    EXPECT_LE(cluster.messages_sent(pb::Envelope::kAppendEntries) - before, 8u);
}

TEST_F(Loss, takes_nothing_back_that_was_committed) {
    hold_entries_back();
    lose_two();
    ASSERT_TRUE(cluster.run_until([&] { return progress().owed_index() == last; }, kSecond));
    EXPECT_LT(progress().match(), last);
    EXPECT_EQ(core(leader).commit_index(), last);
    EXPECT_TRUE(core(leader).is_leader());
}

TEST_F(Loss, does_not_count_until_everything_is_there_again) {
    hold_entries_back();
    lose_two();
    cluster.crash(third);
    ASSERT_TRUE(cluster.run_until([&] { return progress().owed_index() == last; }, kSecond));
    ASSERT_TRUE(cluster.propose(leader, "new"));
    cluster.run_for(kSecond);
    EXPECT_EQ(core(leader).commit_index(), last);
    EXPECT_FALSE(cluster.transfer(leader, follower));
    cluster.filter = nullptr;
    EXPECT_TRUE(cluster.run_until([&] { return core(leader).commit_index() == last + 1; }, kSecond));
    EXPECT_EQ(progress().owed_index(), 0u);
}

TEST_F(Loss, outlives_acknowledgements_that_were_on_their_way) {
    hold_entries_back();
    lose_two();
    ASSERT_TRUE(cluster.run_until([&] { return progress().owed_index() == last; }, kSecond));
    pb::AppendReply late;
    late.set_term(core(leader).term());
    late.set_success(true);
    late.set_match_index(last);
    late.set_sequence(1);
    core(leader).on_message({cluster.now_us(), 0}, follower, message_of(std::move(late)));
    EXPECT_LT(progress().match(), last);
    EXPECT_EQ(progress().counted_match(), 0u);
}

TEST_F(Loss, confirms_no_reads) {
    hold_entries_back();
    lose_two();
    cluster.crash(third);
    ASSERT_TRUE(cluster.run_until([&] { return progress().owed_index() == last; }, kSecond));
    const auto token = cluster.read(leader);
    ASSERT_TRUE(token);
    cluster.run_for(kSecond / 2);
    EXPECT_FALSE(cluster.reads_ready().contains(*token));
}

TEST_F(Loss, of_a_debtor_gives_no_vote_to_a_log_without_the_lost_entries) {
    cluster.crash(third);
    cluster.lose_tail(third, last - 2);  // It was away when they were written, as it were.
    hold_entries_back();
    lose_two();
    ASSERT_TRUE(cluster.run_until([&] { return core(follower).owed_index() == last; }, kSecond));
    cluster.crash(leader);
    cluster.restart(third);
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(cluster.leader(), "");
    cluster.filter = nullptr;
    cluster.restart(leader);
    EXPECT_TRUE(cluster.run_until([&] { return cluster.leader() == leader; }, 5 * kSecond));
}

TEST_F(Loss, is_no_conclusion_from_a_refusal_that_was_overtaken) {
    const uint64_t before = cluster.messages_sent(pb::Envelope::kAppendEntries);
    for (int i = 0; i < 1'000; i++) {
        pb::AppendReply refusal;
        refusal.set_term(core(leader).term());
        refusal.set_prev_log_index(last - 1);
        refusal.set_hint_index(last - 2);
        refusal.set_hint_term(core(leader).term());
        refusal.set_sequence(1);
        core(leader).on_message({cluster.now_us(), 0}, follower, message_of(std::move(refusal)));
    }
    EXPECT_EQ(progress().match(), last);
    EXPECT_EQ(progress().owed_index(), 0u);
    cluster.run_for(10'000);
    EXPECT_EQ(cluster.messages_sent(pb::Envelope::kAppendEntries), before);
}

// Whatever a peer answers, it is not asked as fast as it can answer: once at the log's end and once at its beginning.
TEST_F(Loss, of_sense_in_a_peer_costs_two_messages_an_election_timeout) {
    cluster.filter = [this](const std::string& from, const std::string& to, const Message& message) {
        if (from != leader || to != follower || !message->has_append_entries()) return true;
        pb::AppendReply refusal;
        refusal.set_term(core(leader).term());
        refusal.set_prev_log_index(message->append_entries().prev_log_index());
        refusal.set_sequence(message->append_entries().sequence());
        core(leader).on_message({cluster.now_us(), 0}, follower, message_of(std::move(refusal)));
        return false;
    };
    cluster.crash(follower);
    cluster.restart(follower);
    ASSERT_TRUE(cluster.propose(leader, "x"));
    const uint64_t before = cluster.messages_sent(pb::Envelope::kAppendEntries);
    cluster.run_for(3 * kSecond);
    EXPECT_LE(cluster.messages_sent(pb::Envelope::kAppendEntries) - before, 2 * (3 * kSecond / 150'000) + 4);
}

// An older disk may hold another entry where the leader's commit index points.
TEST_F(Loss, of_an_entry_is_seen_before_a_heartbeat_commits_it) {
    cluster.crash(leader);
    const uint64_t commit = core(follower).commit_index();
    pb::AppendEntries append;  // An entry of a leader that nobody else ever saw.
    append.set_term(core(follower).term() + 1);
    append.set_prev_log_index(last);
    append.set_prev_log_term(core(follower).terms().last_term());
    append.set_record_count(1);
    std::string record;
    append_record(&record, append.term(), last + 1, RecordType::kCommand, Payload("stale"));
    const uint64_t later = append.term() + 1;
    core(follower).on_message({cluster.now_us(), 0}, "n9", message_of(std::move(append), Payload(std::move(record))));
    ASSERT_EQ(core(follower).last_index(), last + 1);
    pb::Heartbeat heartbeat;
    heartbeat.set_term(later);
    heartbeat.set_leader_commit(last + 1);
    heartbeat.set_leader_commit_term(later);
    core(follower).on_message({cluster.now_us(), 0}, leader, message_of(std::move(heartbeat)));
    EXPECT_EQ(core(follower).commit_index(), commit);
}

TEST(Progress, owes_what_it_acknowledged_until_it_has_it_again) {
    Progress progress(10, 0);
    progress.next_sequence();
    progress.matched(10, 0);
    EXPECT_FALSE(progress.is_after_match(1));
    EXPECT_TRUE(progress.is_after_match(progress.next_sequence()));
    progress.lose_acknowledged(3, 2);
    EXPECT_EQ(progress.match(), 0u);
    EXPECT_EQ(progress.owed_index(), 10u);
    EXPECT_EQ(progress.owed_term(), 3u);
    EXPECT_FALSE(progress.is_believed(1));
    EXPECT_TRUE(progress.is_believed(2));
    progress.probe_from(5);
    progress.matched(7, 0);
    EXPECT_EQ(progress.counted_match(), 0u);
    progress.lose_acknowledged(3, 3);  // Once more, and less: it still owes the most.
    EXPECT_EQ(progress.owed_index(), 10u);
    progress.matched(12, 0);
    EXPECT_EQ(progress.owed_index(), 0u);
    EXPECT_EQ(progress.counted_match(), 12u);
}

TEST(TransferBackoff, waits_twice_as_long_after_each_failure) {
    TransferBackoff backoff;
    EXPECT_TRUE(backoff.is_over(0));
    EXPECT_EQ(backoff.failed(1'000), TransferBackoff::kFirstUs);
    EXPECT_FALSE(backoff.is_over(1'000));
    EXPECT_TRUE(backoff.is_over(1'000 + TransferBackoff::kFirstUs));
    EXPECT_EQ(backoff.failed(0), 2 * TransferBackoff::kFirstUs);
    for (int i = 0; i < 20; i++) backoff.failed(0);
    EXPECT_EQ(backoff.failed(0), TransferBackoff::kLongestUs);
}

}  // namespace
}  // namespace sandstore
