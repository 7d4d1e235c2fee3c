#include "actors/raft/raft_core.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/message_of.h"
#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

bool has_leader(CoreCluster& cluster) {
    return !cluster.leader().empty();
}

bool everywhere(CoreCluster& cluster, uint64_t index) {
    for (const std::string& name : cluster.names()) {
        if (!cluster.is_up(name) || cluster.core(name)->commit_index() < index) return false;
    }
    return true;
}

TEST(RaftCore, elects_one_leader_and_commits_its_no_op) {
    CoreCluster cluster(3, 1, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    ASSERT_TRUE(cluster.run_until([&] { return everywhere(cluster, 2); }, kSecond));
    EXPECT_LE(cluster.core(cluster.leader())->last_index(), 3u);  // Configuration, no-op, and the feature level.
}

TEST(RaftCore, single_voter_leads_and_commits_alone) {
    CoreCluster cluster(1, 1, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    EXPECT_TRUE(cluster.propose("n1", "a"));
    EXPECT_TRUE(cluster.run_until([&] { return everywhere(cluster, 3); }, kSecond));
    const auto token = cluster.read("n1");
    ASSERT_TRUE(token);
    EXPECT_EQ(cluster.reads_ready().at(*token), 3u);
}

TEST(RaftCore, a_minority_commits_nothing_and_its_leader_steps_down) {
    CoreCluster cluster(3, 5, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(100'000);
    const std::string old_leader = cluster.leader();
    const uint64_t commit = cluster.core(old_leader)->commit_index();
    cluster.partition({old_leader});
    EXPECT_TRUE(cluster.propose(old_leader, "lost"));
    cluster.run_for(2 * kSecond);
    EXPECT_EQ(cluster.core(old_leader)->commit_index(), commit);
    EXPECT_FALSE(cluster.core(old_leader)->is_leader());
    EXPECT_NE(cluster.leader(), "");
    cluster.heal();
    const std::string new_leader = cluster.leader();
    ASSERT_TRUE(cluster.propose(new_leader, "kept"));
    const uint64_t last = cluster.core(new_leader)->last_index();
    EXPECT_TRUE(cluster.run_until([&] { return everywhere(cluster, last); }, 2 * kSecond));
}

TEST(RaftCore, a_node_that_comes_back_does_not_raise_the_term) {  // Scenario 20: pre-vote.
    CoreCluster cluster(3, 9, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(200'000);
    const std::string leader = cluster.leader();
    const uint64_t term = cluster.core(leader)->term();
    const std::string lonely = leader == "n1" ? "n2" : "n1";
    cluster.partition({lonely});
    cluster.run_for(5 * kSecond);
    EXPECT_EQ(cluster.core(lonely)->term(), term);
    cluster.heal();
    cluster.run_for(2 * kSecond);
    EXPECT_EQ(cluster.leader(), leader);
    EXPECT_EQ(cluster.core(leader)->term(), term);
}

TEST(RaftCore, a_leader_commits_through_two_followers_while_its_own_disk_hangs) {  // Scenario 7.
    CoreCluster cluster(3, 3, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(100'000);
    const std::string leader = cluster.leader();
    cluster.hang_disk(leader, true);
    ASSERT_TRUE(cluster.propose(leader, "x"));
    const uint64_t index = cluster.core(leader)->last_index();
    ASSERT_TRUE(cluster.run_until([&] { return cluster.core(leader)->commit_index() >= index; }, kSecond));
    EXPECT_LT(cluster.core(leader)->persisted_index(), index);
    cluster.crash(leader);
    ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 2 * kSecond));
    EXPECT_GE(cluster.core(cluster.leader())->last_index(), index);
}

TEST(RaftCore, a_vote_leaves_only_after_it_is_durable) {  // Scenario 4.
    CoreCluster cluster(3, 2, {});
    for (const std::string& name : cluster.names()) cluster.hang_disk(name, true);
    cluster.run_for(3 * kSecond);
    EXPECT_EQ(cluster.leader(), "");
    for (const std::string& name : cluster.names()) {
        EXPECT_EQ(cluster.messages_sent(pb::Envelope::kAppendEntries), 0u) << name;
    }
}

TEST(RaftCore, reads_wait_for_the_first_commit_of_the_term) {  // Scenario 2.
    CoreCluster cluster(3, 4, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    const std::string leader = cluster.leader();
    const auto token = cluster.read(leader);
    ASSERT_TRUE(token);
    ASSERT_FALSE(cluster.reads_ready().contains(*token));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.reads_ready().contains(*token); }, kSecond));
    EXPECT_GE(cluster.reads_ready().at(*token), 2u);
}

TEST(RaftCore, a_cut_off_leader_answers_no_read) {
    CoreCluster cluster(3, 6, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(200'000);
    const std::string leader = cluster.leader();
    cluster.partition({leader});
    const auto token = cluster.read(leader);
    ASSERT_TRUE(token);
    cluster.run_for(3 * kSecond);
    EXPECT_FALSE(cluster.reads_ready().contains(*token));
}

// A leader that was restarted counts its rounds anew, and a heartbeat of its former life may still be on its way.
TEST(RaftCore, a_heartbeat_of_an_earlier_term_confirms_no_round_and_promises_nothing) {
    CoreCluster cluster(3, 5, {}, [](RaftOptions* options) { options->lease_reads = true; });
    ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 2'000'000));
    const std::string leader = cluster.leader();
    const std::string follower = cluster.names()[leader == cluster.names()[0] ? 1 : 0];
    std::vector<pb::HeartbeatReply> replies;
    cluster.filter = [&](const std::string& from, const std::string&, const Message& message) {
        if (from == follower && message->has_heartbeat_reply()) replies.push_back(message->heartbeat_reply());
        return true;
    };
    pb::Heartbeat late;
    late.set_term(cluster.core(leader)->term() - 1);
    late.set_round(1'000);
    cluster.core(follower)->on_message({cluster.now_us(), 0}, leader, message_of(std::move(late)));
    cluster.run_for(200'000);
    ASSERT_FALSE(replies.empty());
    EXPECT_EQ(replies.front().round(), 0u);
    EXPECT_EQ(replies.front().promise_us(), 0u);
    EXPECT_GT(replies.back().round(), 0u) << "others go on as ever";
    EXPECT_GT(replies.back().promise_us(), 0u);
}

TEST(RaftCore, a_round_that_was_never_begun_confirms_no_read) {
    CoreCluster cluster(3, 5, {});
    ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 2'000'000));
    cluster.run_for(200'000);
    const std::string leader = cluster.leader();
    cluster.partition({leader});
    const std::optional<uint64_t> token = cluster.read(leader);
    ASSERT_TRUE(token);
    pb::HeartbeatReply reply;
    reply.set_term(cluster.core(leader)->term());
    reply.set_round(1'000);
    const std::string follower = cluster.names()[leader == cluster.names()[0] ? 1 : 0];
    cluster.core(leader)->on_message({cluster.now_us(), 0}, follower, message_of(std::move(reply)));
    cluster.run_for(60'000);
    EXPECT_TRUE(cluster.core(leader)->is_leader());
    EXPECT_FALSE(cluster.reads_ready().contains(*token));
}

TEST(RaftCore, long_divergent_tails_are_repaired_in_few_rounds) {  // Scenario 19.
    CoreCluster cluster(3, 8, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(200'000);
    const std::string old_leader = cluster.leader();
    cluster.partition({old_leader});
    for (int i = 0; i < 3000; i++) cluster.propose(old_leader, "old " + std::to_string(i));
    cluster.run_for(2 * kSecond);
    const std::string new_leader = cluster.leader();
    ASSERT_NE(new_leader, old_leader);
    for (int i = 0; i < 3000; i++) cluster.propose(new_leader, "new " + std::to_string(i));
    cluster.run_for(kSecond);
    cluster.heal();
    const uint64_t last = cluster.core(new_leader)->last_index();
    uint64_t refusals = 0;
    cluster.filter = [&](const std::string&, const std::string&, const Message& message) {
        if (message->has_append_reply() && !message->append_reply().success()) refusals++;
        return true;
    };
    ASSERT_TRUE(cluster.run_until([&] { return everywhere(cluster, last); }, 10 * kSecond));
    EXPECT_LE(refusals, 4u);
}

TEST(RaftCore, a_late_append_takes_nothing_away) {  // Scenario 17.
    CoreCluster cluster(3, 12, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(100'000);
    const std::string leader = cluster.leader();
    std::vector<std::pair<std::string, Message>> recorded;
    cluster.filter = [&](const std::string&, const std::string& to, const Message& message) {
        if (message->has_append_entries()) recorded.emplace_back(to, message.clone());
        return true;
    };
    for (int i = 0; i < 20; i++) {
        cluster.propose(leader, std::to_string(i));
        cluster.run_for(10'000);
    }
    cluster.filter = nullptr;
    const uint64_t last = cluster.core(leader)->last_index();
    ASSERT_TRUE(cluster.run_until([&] { return everywhere(cluster, last); }, kSecond));
    for (auto& [to, message] : recorded) {
        cluster.core(to)->on_message({cluster.now_us(), 1}, leader, message);
        EXPECT_EQ(cluster.core(to)->last_index(), last);
        cluster.core(to)->take_effects();
    }
}

TEST(RaftCore, a_peer_that_is_heard_counts_as_reachable_again) {
    CoreCluster cluster(3, 14, {});
    ASSERT_TRUE(cluster.run_until([&] { return has_leader(cluster); }, kSecond));
    cluster.run_for(200'000);
    const std::string leader = cluster.leader();
    const std::string peer = leader == "n1" ? "n2" : "n1";
    cluster.core(leader)->on_peer_down({cluster.now_us(), 1}, peer);  // And no news that it is back.
    cluster.core(leader)->take_effects();
    EXPECT_FALSE(cluster.core(leader)->is_reachable(peer));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.core(leader)->is_reachable(peer); }, 3 * kSecond));
    ASSERT_TRUE(cluster.propose(cluster.leader(), "x"));
    const uint64_t last = cluster.core(cluster.leader())->last_index();
    EXPECT_TRUE(cluster.run_until([&] { return everywhere(cluster, last); }, 3 * kSecond));
}

TEST(Progress, a_late_answer_that_proves_less_than_the_probe_asks_leaves_it_asking) {
    Progress progress(29, 0);  // Probes at 29.
    progress.sent(29, 0, 0);
    progress.matched(23, 0, 0);
    EXPECT_EQ(progress.state(), Progress::State::kProbe);
    EXPECT_EQ(progress.match(), 23u);
    progress.matched(29, 0, 0);
    EXPECT_EQ(progress.state(), Progress::State::kReplicate);
    EXPECT_EQ(progress.next(), 30u);
}

}  // namespace
}  // namespace sandstore
