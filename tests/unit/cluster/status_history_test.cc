// What the StatusService remembers: a sample for each second, and events. Through its messages.
#include <gtest/gtest.h>

#include "actors/cluster/status_service.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

class StatusHistoryTest : public testing::Test {
 protected:
    StatusHistoryTest() : kit(std::make_unique<StatusService>(), {pb::ACTOR_STATUS}) {
        pb::StartStatus start;
        start.set_node_id("node-1");
        start.set_version("0.1.0");
        start.set_commit("abc");
        start.set_profile("minimal");
        start.set_copies(3);
        kit.deliver(message_of(start));
        kit.deliver(message_of(pb::BootProgress()));
    }

    // A second passes: Raft is asked, and the sampler tells its figures.
    void second(pb::RaftStatus raft, pb::NodeFigures figures = {}) {
        kit.advance(1'000'000);
        kit.answer(kit.take(pb::Envelope::kRaftStatusRequest), message_of(std::move(raft)));
        figures.set_interval_us(1'000'000);
        kit.deliver(message_of(std::move(figures)));
    }
    void role(pb::RoleChanged::Role role, uint64_t term, std::string leader = "") {
        pb::RoleChanged change;
        change.set_role(role);
        change.set_term(term);
        change.set_leader_id(std::move(leader));
        kit.deliver(message_of(change));
    }
    pb::NodeStatus line(uint32_t samples = 0, uint32_t events = 0) {
        pb::ClusterStatusRequest request;
        request.set_local(true);
        request.set_samples_max(samples);
        request.set_events_max(events);
        const uint64_t id = kit.request(message_of(request), Address("~3", pb::ACTOR_CLIENT));
        kit.answer(kit.take(pb::Envelope::kRaftStatusRequest), message_of(pb::RaftStatus()));
        return kit.take_answer(id)->cluster_status().nodes(0);
    }
    // Of the events since the start: what they say, oldest first.
    std::vector<std::string> said() {
        std::vector<std::string> texts;
        const pb::NodeStatus node = line(0, 1000);
        for (const pb::NodeEvent& event : node.events()) texts.push_back(event.text());
        return texts;
    }
    using Texts = std::vector<std::string>;
    StepKit kit;
};

pb::RaftStatus raft_at(uint64_t index, uint64_t snapshot = 0, uint64_t first = 1) {
    pb::RaftStatus raft;
    raft.set_term(2);
    raft.set_role(pb::RoleChanged::LEADER);
    raft.set_first_index(first);
    raft.set_last_index(index + 2);
    raft.set_commit_index(index + 1);
    raft.set_applied_index(index);
    raft.set_snapshot_index(snapshot);
    return raft;
}

TEST_F(StatusHistoryTest, each_second_is_a_sample_of_figures_and_of_raft) {
    pb::NodeFigures figures;
    figures.set_requests(40);
    figures.set_sync_p99_us(900);
    second(raft_at(10), figures);
    figures.set_requests(50);
    second(raft_at(20), figures);
    const pb::NodeStatus node = line(100);
    ASSERT_EQ(node.samples_size(), 2);
    EXPECT_EQ(node.samples(0).number(), 1u);
    EXPECT_EQ(node.samples(0).figures().requests(), 40u);
    EXPECT_EQ(node.samples(1).number(), 2u);
    EXPECT_EQ(node.samples(1).uptime_us(), 2'000'000u);
    EXPECT_EQ(node.samples(1).applied_index(), 20u);
    EXPECT_EQ(node.samples(1).commit_index(), 21u);
    EXPECT_EQ(node.samples(1).last_index(), 22u);
    EXPECT_EQ(node.samples(1).term(), 2u);
    EXPECT_EQ(node.samples(1).role(), pb::RoleChanged::LEADER);
    EXPECT_EQ(node.figures().requests(), 50u) << "the newest stand in the line itself";
    EXPECT_EQ(node.commit(), "abc");
    EXPECT_EQ(node.profile(), "minimal");
    EXPECT_EQ(node.copies(), 3u);
}

TEST_F(StatusHistoryTest, only_as_many_as_asked_for_are_told_the_newest_ones) {
    for (int i = 0; i < 5; ++i) second(raft_at(10));
    EXPECT_EQ(line(0, 0).samples_size(), 0);
    EXPECT_EQ(line(0, 0).events_size(), 0);
    const pb::NodeStatus node = line(2, 1);
    ASSERT_EQ(node.samples_size(), 2);
    EXPECT_EQ(node.samples(0).number(), 4u);
    EXPECT_EQ(node.events_size(), 1);
}

TEST_F(StatusHistoryTest, what_is_remembered_is_bounded) {
    for (size_t i = 0; i < StatusHistory::kSamplesMax + 10; ++i) second(raft_at(10));
    const pb::NodeStatus node = line(100'000);
    EXPECT_EQ(node.samples_size(), static_cast<int>(StatusHistory::kSamplesMax));
    EXPECT_EQ(node.samples(0).number(), 11u) << "the oldest went";
    for (uint64_t i = 0; i < EventLog::kEventsMax + 10; ++i) {
        role(pb::RoleChanged::FOLLOWER, i, str_cat("node-", i % 2 + 2));
    }
    const pb::NodeStatus later = line(0, 100'000);
    EXPECT_EQ(later.events_size(), static_cast<int>(EventLog::kEventsMax));
    EXPECT_EQ(later.events(0).number() + EventLog::kEventsMax - 1, later.events(later.events_size() - 1).number());
}

TEST_F(StatusHistoryTest, a_question_for_the_history_is_passed_on_to_the_other_nodes) {
    pb::ClusterView view;
    for (const char* id : {"node-1", "node-2"}) view.add_members()->set_id(id);
    kit.deliver(message_of(view));
    pb::ClusterStatusRequest request;
    request.set_samples_max(7);
    request.set_events_max(9);
    kit.request(message_of(request), Address("~3", pb::ACTOR_CLIENT));
    const Message asked = kit.take_to(pb::Envelope::kClusterStatusRequest, "node-2");
    EXPECT_TRUE(asked->cluster_status_request().local());
    EXPECT_EQ(asked->cluster_status_request().samples_max(), 7u);
    EXPECT_EQ(asked->cluster_status_request().events_max(), 9u);
}

TEST_F(StatusHistoryTest, elections_and_leaders_are_events_with_term_and_time) {
    kit.advance(500'000);
    role(pb::RoleChanged::CANDIDATE, 3);
    role(pb::RoleChanged::LEADER, 3, "node-1");
    role(pb::RoleChanged::LEADER, 3, "node-1");
    role(pb::RoleChanged::FOLLOWER, 4);
    role(pb::RoleChanged::FOLLOWER, 4, "node-2");
    role(pb::RoleChanged::FOLLOWER, 4, "node-2");
    role(pb::RoleChanged::PRE_CANDIDATE, 4);
    EXPECT_EQ(said(),
              (Texts{"started, version 0.1.0", "stands for election in term 3", "leads in term 3",
                     "has lost its leader, node-1", "follows node-2 in term 4", "has lost its leader, node-2"}));
    const pb::NodeStatus node = line(0, 100);
    const pb::NodeEvent& leads = node.events(2);
    EXPECT_EQ(leads.kind(), pb::NodeEvent::LEADS);
    EXPECT_EQ(leads.term(), 3u);
    EXPECT_EQ(leads.uptime_us(), 500'000u);
    EXPECT_EQ(leads.wall_us(), kit.wall_us());
    EXPECT_EQ(node.events(4).subject(), "node-2");
}

TEST_F(StatusHistoryTest, a_node_that_is_alone_stands_again_and_again_in_one_event) {
    for (uint64_t term = 5; term < 25; ++term) {
        role(pb::RoleChanged::PRE_CANDIDATE, term - 1);
        role(pb::RoleChanged::CANDIDATE, term);
    }
    EXPECT_EQ(said(), (Texts{"started, version 0.1.0", "stands for election, 20 times by now, in term 24"}));
    EXPECT_EQ(line(0, 1).events(0).count(), 20u);
}

TEST_F(StatusHistoryTest, members_are_told_when_they_change_and_not_when_the_change_is_committed) {
    pb::ConfigurationChanged changed;
    for (const char* voter : {"node-1", "node-2"}) changed.mutable_configuration()->add_voters(voter);
    kit.deliver(message_of(changed));
    changed.set_index(9);
    changed.mutable_configuration()->add_learners("node-3");
    kit.deliver(message_of(changed));
    changed.set_committed(true);
    kit.deliver(message_of(changed));
    EXPECT_EQ(said(), (Texts{"started, version 0.1.0", "knows the members: voters node-1, node-2",
                             "has new members: voters node-1, node-2; learners node-3"}));
    EXPECT_EQ(line(0, 1).events(0).index(), 9u);
}

TEST_F(StatusHistoryTest, a_peer_is_lost_once_and_only_after_it_was_met) {
    const auto up = [&](bool is_up) {
        pb::PeerUp peer_up;
        peer_up.set_node_id("node-2");
        pb::PeerDown peer_down;
        peer_down.set_node_id("node-2");
        kit.deliver(is_up ? message_of(peer_up) : message_of(peer_down));
    };
    for (const bool is_up : {false, true, false, false, true, true}) up(is_up);
    EXPECT_EQ(said(), (Texts{"started, version 0.1.0", "has lost the connection to node-2", "reaches node-2 again"}));
}

TEST_F(StatusHistoryTest, snapshots_of_its_own_and_those_it_was_sent_are_told_apart) {
    second(raft_at(10));
    second(raft_at(120, 100));
    second(raft_at(260, 200, 101));
    second(raft_at(900, 900, 901));
    second(raft_at(901, 900, 901));
    EXPECT_EQ(said(), (Texts{"started, version 0.1.0", "took a snapshot, up to index 100",
                             "took a snapshot, up to index 200", "was sent a snapshot, up to index 900"}));
}

TEST_F(StatusHistoryTest, what_was_so_at_the_first_look_is_no_event) {
    pb::RaftStatus raft = raft_at(10, 5);
    raft.set_disk_full(true);
    second(raft);
    EXPECT_EQ(said(), (Texts{"started, version 0.1.0"}));
}

TEST_F(StatusHistoryTest, a_full_or_hanging_disk_removal_and_transfer_are_events) {
    second(raft_at(10));
    pb::RaftStatus raft = raft_at(10);
    raft.set_disk_full(true);
    second(raft);
    raft.set_disk_slow(true);
    raft.set_transferring_to("node-3");
    second(raft);
    second(raft_at(10));
    raft = raft_at(10);
    raft.set_removed(true);
    second(raft);
    EXPECT_EQ(said(),
              (Texts{"started, version 0.1.0", "has a full disk: it takes no writes",
                     "waits for its disk, longer than an election timeout", "hands leadership over to node-3",
                     "has room on its disk again", "has a disk that answers again", "was removed from the cluster"}));
}

TEST_F(StatusHistoryTest, etcd_and_repairs_are_noticed_in_the_figures) {
    pb::NodeFigures figures;
    figures.set_etcd(pb::NodeFigures::ANSWERS);
    second(raft_at(10), figures);
    figures.set_etcd(pb::NodeFigures::LOST);
    figures.set_chunks_missing(3);
    second(raft_at(10), figures);
    figures.set_etcd(pb::NodeFigures::ANSWERS);
    figures.set_chunks_missing(0);
    figures.set_chunks_repaired(1);
    second(raft_at(10), figures);
    second(raft_at(10), figures);
    EXPECT_EQ(said(),
              (Texts{"started, version 0.1.0", "gets no answer from etcd; the last member list stays in use",
                     "lacks 3 chunks that it should hold", "hears from etcd again", "fetched 1 chunk that it lacked"}));
}

}  // namespace
}  // namespace sandstore
