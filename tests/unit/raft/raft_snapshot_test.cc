// What snapshots do to the log: compaction, followers that are sent one, restarts with damaged ones.
#include <gtest/gtest.h>

#include "messages/log.pb.h"
#include "tests/unit/raft/core_cluster.h"

namespace sandstore {
namespace {

constexpr uint64_t kSecond = 1'000'000;

class Snapshots : public ::testing::Test {
 protected:
    Snapshots() : cluster(3, 21, {}) {
        EXPECT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, kSecond));
        cluster.run_for(100'000);
        leader = cluster.leader();
        follower = leader == "n1" ? "n2" : "n1";
    }

    RaftCore& core(const std::string& name) { return *cluster.core(name); }
    bool catches_up(const std::string& name) {
        return cluster.run_until([&] { return core(name).commit_index() == core(leader).last_index(); }, 5 * kSecond);
    }
    void grow(int entries) {
        for (int i = 0; i < entries; i++) cluster.propose(leader, "entry " + std::to_string(i));
        cluster.run_for(200'000);
    }
    void snapshot_twice(const std::string& name) {
        grow(100);
        cluster.take_snapshot(name);
        grow(100);
        cluster.take_snapshot(name);
    }

    CoreCluster cluster;
    std::string leader, follower;
};

TEST_F(Snapshots, the_log_keeps_what_comes_after_the_older_one) {
    grow(100);
    cluster.take_snapshot(leader);
    EXPECT_EQ(core(leader).first_index(), 1u);
    const uint64_t first_snapshot = core(leader).commit_index();
    grow(100);
    cluster.take_snapshot(leader);
    EXPECT_EQ(core(leader).first_index(), first_snapshot + 1);
}

TEST_F(Snapshots, a_follower_that_needs_what_is_gone_is_sent_one) {
    cluster.crash(follower);
    snapshot_twice(leader);
    cluster.restart(follower);
    ASSERT_TRUE(catches_up(follower)) << cluster.describe();
    EXPECT_GT(core(follower).first_index(), 1u);
}

TEST_F(Snapshots, a_follower_that_is_a_little_behind_is_sent_entries) {
    grow(100);
    cluster.take_snapshot(leader);
    cluster.crash(follower);
    grow(100);
    cluster.take_snapshot(leader);
    cluster.restart(follower);
    ASSERT_TRUE(catches_up(follower));
    EXPECT_EQ(cluster.messages_sent(pb::Envelope::kInstallSnapshot), 0u);
}

TEST_F(Snapshots, a_restarted_node_goes_on_from_its_snapshot_and_log) {
    snapshot_twice(leader);
    const uint64_t first = core(leader).first_index();
    cluster.crash(leader);
    cluster.restart(leader);
    EXPECT_GE(core(leader).commit_index(), first);
    ASSERT_TRUE(cluster.run_until([&] { return !cluster.leader().empty(); }, 3 * kSecond));
    leader = cluster.leader();
    for (const std::string& name : cluster.names()) EXPECT_TRUE(catches_up(name)) << cluster.describe();
}

TEST_F(Snapshots, a_damaged_newest_one_is_survived_with_the_older) {
    snapshot_twice(follower);
    cluster.crash(follower);
    cluster.lose_snapshot(follower);
    cluster.restart(follower);
    EXPECT_TRUE(catches_up(follower)) << cluster.describe();
}

TEST_F(Snapshots, an_entry_that_contradicts_the_snapshot_goes_with_all_after_it) {  // Scenario 14.
    const std::string cut_off = leader;
    cluster.partition({cut_off});
    for (int i = 0; i < 200; i++) cluster.propose(cut_off, "divergent " + std::to_string(i));
    cluster.run_for(2 * kSecond);
    leader = cluster.leader();
    ASSERT_NE(leader, cut_off);
    snapshot_twice(leader);
    cluster.heal();
    ASSERT_TRUE(catches_up(cut_off)) << cluster.describe();
    EXPECT_GT(cluster.messages_sent(pb::Envelope::kInstallSnapshot), 0u);
    EXPECT_EQ(core(cut_off).terms().term_at(core(cut_off).last_index()), core(leader).term());
}

pb::SnapshotMeta meta_at(RaftCore& core, uint64_t index) {
    pb::SnapshotMeta meta;
    meta.set_index(index);
    meta.set_term(core.terms().term_at(index).value());
    *meta.mutable_configuration() = core.configuration().message();
    meta.set_configuration_index(core.configuration_index());
    return meta;
}

TEST_F(Snapshots, a_log_that_holds_the_snapshots_last_entry_is_kept) {  // Scenario 14.
    grow(100);
    RaftCore& behind = core(follower);
    const pb::SnapshotMeta meta = meta_at(core(leader), core(leader).commit_index());
    // Of what it holds already, a snapshot changes nothing; nor does one older than what it has committed.
    const uint64_t last = behind.last_index();
    EXPECT_EQ(behind.install_snapshot({cluster.now_us(), 1}, meta), RaftCore::InstallOutcome::kKnown);
    EXPECT_EQ(behind.install_snapshot({cluster.now_us(), 1}, meta_at(core(leader), 5)),
              RaftCore::InstallOutcome::kKnown);
    EXPECT_EQ(behind.last_index(), last);
}

TEST_F(Snapshots, heartbeats_neither_wait_for_a_transfer_nor_disturb_it) {  // Scenario 16.
    cluster.crash(follower);
    snapshot_twice(leader);
    int dropped = 0;
    cluster.filter = [&](const std::string&, const std::string&, const Message& message) {
        return !message->has_install_snapshot() || ++dropped > 5;
    };
    const uint64_t term = core(leader).term();
    cluster.restart(follower);
    cluster.run_for(600'000);  // Nothing of the snapshot arrives, and yet there is no election.
    EXPECT_EQ(core(leader).term(), term);
    EXPECT_EQ(core(leader).peers().at(follower).state(), Progress::State::kSnapshot);
    ASSERT_TRUE(catches_up(follower));
    EXPECT_EQ(core(leader).term(), term);
}

TEST(SnapshotsAtStart, a_gap_between_snapshot_and_log_is_refused_with_a_reason) {
    pb::LogRecovered recovered;
    recovered.set_first_index(100);
    recovered.set_last_index(99);
    EXPECT_NE(RaftCore::problem_with(recovered, nullptr), "");
    pb::SnapshotMeta meta;
    meta.set_index(50);
    meta.mutable_configuration()->add_voters("n1");
    EXPECT_NE(RaftCore::problem_with(recovered, &meta), "");
    meta.set_index(99);
    EXPECT_EQ(RaftCore::problem_with(recovered, &meta), "");
    meta.set_index(500);
    EXPECT_EQ(RaftCore::problem_with(recovered, &meta), "");
}

TEST(TermIndex, compaction_keeps_the_terms_of_what_is_left) {
    RandomStream dice(5, 6);
    for (int round = 0; round < 500; round++) {
        TermIndex terms;
        std::vector<uint64_t> naive{0};
        uint64_t term = 1;
        for (uint64_t i = 0; i < 30; i++) {
            term += dice.below(3) == 0 ? 1 : 0;
            terms.append(term);
            naive.push_back(term);
        }
        const uint64_t before = dice.below(31);
        terms.compact(before);
        for (uint64_t index = 0; index <= 30; index++) {
            EXPECT_EQ(terms.term_at(index), index < before ? std::nullopt : std::optional<uint64_t>(naive[index]));
        }
        EXPECT_EQ(terms.last_index(), 30u);
        EXPECT_EQ(terms.last_term(), naive.back());
    }
}

}  // namespace
}  // namespace sandstore
