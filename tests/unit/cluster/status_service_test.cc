// StatusService through its messages: gathering, merging, bounds, metrics.
#include "actors/cluster/status_service.h"

#include <gtest/gtest.h>

#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

pb::RaftStatus raft_status(pb::RoleChanged::Role role, uint64_t term, std::string leader = "") {
    pb::RaftStatus status;
    status.set_role(role);
    status.set_term(term);
    status.set_leader_id(std::move(leader));
    status.set_commit_index(7);
    status.set_applied_index(6);
    status.set_first_index(1);
    status.set_last_index(8);
    for (const char* voter : {"node-1", "node-2", "node-3"}) status.add_voters(voter);
    return status;
}

class StatusServiceTest : public testing::Test {
 protected:
    StatusServiceTest() : kit(std::make_unique<StatusService>(), {pb::ACTOR_STATUS}) {
        pb::StartStatus start;
        start.set_node_id("node-1");
        start.set_http_address("127.0.0.1:9401");
        start.set_version("0.1.0");
        kit.deliver(message_of(start));
        pb::ClusterView view;
        for (const char* id : {"node-1", "node-2", "node-3"}) {
            pb::Member* member = view.add_members();
            member->set_id(id);
            member->set_address(str_cat(id, ":8080"));
            member->set_zone("z");
        }
        kit.deliver(message_of(view));
    }

    void progress(std::string waiting_for) {
        pb::BootProgress progress;
        progress.set_waiting_for(std::move(waiting_for));
        progress.set_cluster_id("blue");
        kit.deliver(message_of(progress));
    }
    uint64_t request(bool local = false, bool hash = false) {
        pb::ClusterStatusRequest request;
        request.set_local(local);
        request.set_state_hash(hash);
        return kit.request(message_of(request), Address("~3", pb::ACTOR_CLIENT));
    }
    void answer_raft(pb::RaftStatus status) {
        kit.answer(kit.take(pb::Envelope::kRaftStatusRequest), message_of(status));
    }
    void answer_for(const std::string& id, pb::RaftStatus status) {
        pb::ClusterStatus answer;
        pb::NodeStatus* line = answer.add_nodes();
        line->set_id(id);
        line->set_up(true);
        *line->mutable_raft() = std::move(status);
        kit.answer(kit.take_to(pb::Envelope::kClusterStatusRequest, id), message_of(answer));
    }
    pb::ClusterStatus take(uint64_t id) { return kit.take_answer(id)->cluster_status(); }

    StepKit kit;
};

TEST_F(StatusServiceTest, before_the_start_is_complete_it_says_what_it_waits_for) {
    progress("the member list");
    const pb::ClusterStatus status = take(request(true));
    EXPECT_EQ(status.status().code(), pb::STATUS_OK);
    ASSERT_EQ(status.nodes_size(), 1);
    EXPECT_FALSE(status.nodes(0).up());
    EXPECT_EQ(status.nodes(0).detail(), "starting, waiting for the member list");
    EXPECT_EQ(status.nodes(0).version(), "0.1.0");
}

TEST_F(StatusServiceTest, a_local_request_asks_only_this_nodes_raft) {
    progress("");
    pb::ChunkStats chunks;
    chunks.set_node_id("node-1");
    chunks.set_chunk_count(5);
    kit.deliver(message_of(chunks));
    const uint64_t id = request(true);
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest));
    kit.advance(100);
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 4, "node-2"));
    const pb::ClusterStatus status = take(id);
    EXPECT_EQ(status.cluster_id(), "blue");
    EXPECT_EQ(status.leader_id(), "node-2");
    EXPECT_EQ(status.term(), 4u);
    ASSERT_EQ(status.nodes_size(), 1);
    const pb::NodeStatus& line = status.nodes(0);
    EXPECT_EQ(line.id(), "node-1");
    EXPECT_EQ(line.address(), "node-1:8080");
    EXPECT_EQ(line.http_address(), "127.0.0.1:9401");
    EXPECT_EQ(line.zone(), "z");
    EXPECT_TRUE(line.up());
    EXPECT_EQ(line.raft().commit_index(), 7u);
    EXPECT_EQ(line.chunks().chunk_count(), 5u);
    kit.expect_nothing();
}

TEST_F(StatusServiceTest, a_cluster_request_asks_every_other_member_for_its_own_line) {
    progress("");
    const uint64_t id = request();
    EXPECT_EQ(kit.count(pb::Envelope::kClusterStatusRequest), 2u);
    for (const StepEffect& effect : kit.effects()) {
        if (effect.message->has_cluster_status_request()) {
            EXPECT_TRUE(effect.message->cluster_status_request().local());
            EXPECT_EQ(effect.message->to_actor(), pb::ACTOR_STATUS);
            EXPECT_EQ(effect.timeout_us, 500'000u);
        }
    }
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 4, "node-2"));
    answer_for("node-2", raft_status(pb::RoleChanged::LEADER, 4, "node-2"));
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatus)) << "node-3 has not answered";
    answer_for("node-3", raft_status(pb::RoleChanged::FOLLOWER, 4, "node-2"));
    const pb::ClusterStatus status = take(id);
    EXPECT_EQ(status.leader_id(), "node-2");
    EXPECT_EQ(status.term(), 4u);
    ASSERT_EQ(status.nodes_size(), 3);
    EXPECT_EQ(status.nodes(2).id(), "node-3");
    EXPECT_EQ(status.nodes(2).address(), "node-3:8080");
}

TEST_F(StatusServiceTest, the_leader_is_who_claims_it_in_the_highest_term) {
    progress("");
    const uint64_t id = request();
    answer_raft(raft_status(pb::RoleChanged::LEADER, 4, "node-1"));
    answer_for("node-2", raft_status(pb::RoleChanged::LEADER, 6, "node-2"));
    answer_for("node-3", raft_status(pb::RoleChanged::CANDIDATE, 9));
    const pb::ClusterStatus status = take(id);
    EXPECT_EQ(status.leader_id(), "node-2");
    EXPECT_EQ(status.term(), 6u);
}

TEST_F(StatusServiceTest, without_a_leader_the_highest_term_seen_is_given) {
    progress("");
    const uint64_t id = request();
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 4, "node-3"));
    answer_for("node-2", raft_status(pb::RoleChanged::CANDIDATE, 6));
    kit.fail(kit.take(pb::Envelope::kClusterStatusRequest), pb::STATUS_DEADLINE_EXCEEDED);
    const pb::ClusterStatus status = take(id);
    EXPECT_EQ(status.leader_id(), "") << "node-3 does not say so itself";
    EXPECT_EQ(status.term(), 6u);
}

TEST_F(StatusServiceTest, a_member_without_an_answer_is_a_line_with_the_reason) {
    progress("");
    const uint64_t id = request();
    answer_raft(raft_status(pb::RoleChanged::LEADER, 4, "node-1"));
    kit.fail(kit.take_to(pb::Envelope::kClusterStatusRequest, "node-2"), pb::STATUS_DEADLINE_EXCEEDED);
    kit.fail(kit.take_to(pb::Envelope::kClusterStatusRequest, "node-3"), pb::STATUS_UNAVAILABLE, "connection refused");
    const pb::ClusterStatus status = take(id);
    EXPECT_EQ(status.leader_id(), "node-1");
    ASSERT_EQ(status.nodes_size(), 3);
    EXPECT_FALSE(status.nodes(1).up());
    EXPECT_EQ(status.nodes(1).address(), "node-2:8080");
    EXPECT_EQ(status.nodes(1).detail(), "no answer in time");
    EXPECT_EQ(status.nodes(2).detail(), "no answer: connection refused");
}

TEST_F(StatusServiceTest, a_raft_that_does_not_answer_is_said_in_the_line) {
    progress("");
    const uint64_t id = request(true);
    kit.fail(kit.take(pb::Envelope::kRaftStatusRequest), pb::STATUS_DEADLINE_EXCEEDED);
    const pb::ClusterStatus status = take(id);
    EXPECT_TRUE(status.nodes(0).up());
    EXPECT_EQ(status.nodes(0).detail(), "raft: no answer in time");
}

TEST_F(StatusServiceTest, another_nodes_line_under_a_wrong_name_is_not_taken) {
    progress("");
    const uint64_t id = request();
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 4));
    answer_for("node-3", raft_status(pb::RoleChanged::FOLLOWER, 4));
    pb::ClusterStatus wrong;
    wrong.add_nodes()->set_id("node-3");
    wrong.mutable_nodes(0)->set_up(true);
    kit.answer(kit.take(pb::Envelope::kClusterStatusRequest), message_of(wrong));
    const pb::ClusterStatus status = take(id);
    EXPECT_FALSE(status.nodes(1).up());
    EXPECT_EQ(status.nodes(1).detail(), "it answered for another node");
}

TEST_F(StatusServiceTest, a_voter_that_discovery_does_not_know_is_a_line_of_its_own) {
    progress("");
    const uint64_t id = request();
    pb::RaftStatus raft = raft_status(pb::RoleChanged::LEADER, 4, "node-1");
    raft.add_voters("node-9");
    answer_raft(raft);
    answer_for("node-2", raft_status(pb::RoleChanged::FOLLOWER, 4));
    answer_for("node-3", raft_status(pb::RoleChanged::FOLLOWER, 4));
    const pb::ClusterStatus status = take(id);
    ASSERT_EQ(status.nodes_size(), 4);
    EXPECT_EQ(status.nodes(3).id(), "node-9");
    EXPECT_FALSE(status.nodes(3).up());
}

TEST_F(StatusServiceTest, the_state_hash_is_asked_only_when_wanted) {
    progress("");
    uint64_t id = request(true);
    EXPECT_FALSE(kit.has(pb::Envelope::kStateHashRequest));
    answer_raft(raft_status(pb::RoleChanged::LEADER, 4));
    take(id);
    id = request(true, true);
    answer_raft(raft_status(pb::RoleChanged::LEADER, 4));
    pb::StateHash hash;
    hash.set_hash(0xfeed);
    hash.set_applied_index(6);
    kit.answer(kit.take(pb::Envelope::kStateHashRequest), message_of(hash));
    const pb::ClusterStatus status = take(id);
    EXPECT_EQ(status.nodes(0).state_hash(), 0xfeedu);
    EXPECT_EQ(status.nodes(0).state_hash_index(), 6u);
}

TEST_F(StatusServiceTest, requests_at_once_are_bounded_and_all_are_answered) {
    progress("");
    std::vector<uint64_t> ids;
    for (int i = 0; i < 65; ++i) ids.push_back(request(true));
    EXPECT_EQ(take(ids.back()).status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    ids.pop_back();
    for (size_t i = 0; i < ids.size(); ++i) answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 1));
    for (const uint64_t id : ids) EXPECT_EQ(take(id).status().code(), pb::STATUS_OK);
    kit.expect_nothing();
    const uint64_t next = request(true);
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 1));
    EXPECT_EQ(take(next).status().code(), pb::STATUS_OK);
}

TEST_F(StatusServiceTest, chunk_stats_of_strangers_are_not_kept) {
    progress("");
    pb::ChunkStats stranger;
    stranger.set_node_id("node-77");
    stranger.set_chunk_count(3);
    kit.deliver(message_of(stranger));
    const uint64_t id = request(true);
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 1));
    EXPECT_EQ(take(id).nodes(0).chunks().chunk_count(), 0u);
}

TEST_F(StatusServiceTest, a_chunk_store_that_has_not_begun_or_says_nothing_any_more_is_told) {
    progress("");
    const auto problem = [&] {
        const uint64_t id = request(true);
        answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 1));
        return take(id).nodes(0).chunks().problem();
    };
    EXPECT_EQ(problem(), "the chunk store is starting");
    pb::ChunkStats chunks;
    chunks.set_node_id("node-1");
    kit.deliver(message_of(chunks));
    EXPECT_EQ(problem(), "");
    kit.advance(20'000'000);
    kit.drop_effects();
    EXPECT_EQ(problem(), "the chunk store has not answered for 20 s");
    chunks.set_problem("write: Input/output error");
    kit.deliver(message_of(chunks));
    EXPECT_EQ(problem(), "write: Input/output error");
}

// --- Members that only the log knows, and nodes that are none -------------------------------------------------------

TEST_F(StatusServiceTest, a_member_that_only_the_log_knows_is_asked_too) {
    progress("");
    pb::ConfigurationChanged changed;
    for (const char* voter : {"node-1", "node-2", "node-3"}) changed.mutable_configuration()->add_voters(voter);
    changed.mutable_configuration()->add_learners("node-4");
    pb::RaftMember* added = changed.mutable_configuration()->add_addresses();
    added->set_id("node-4");
    added->set_address("far:4");
    pb::RaftMember* moved = changed.mutable_configuration()->add_addresses();
    moved->set_id("node-2");
    moved->set_address("old:2");
    kit.deliver(message_of(changed));
    const uint64_t id = request();
    answer_raft(raft_status(pb::RoleChanged::LEADER, 4, "node-1"));
    for (const char* other : {"node-2", "node-3"}) answer_for(other, raft_status(pb::RoleChanged::FOLLOWER, 4));
    kit.fail(kit.take_to(pb::Envelope::kClusterStatusRequest, "node-4"), pb::STATUS_DEADLINE_EXCEEDED);
    const pb::ClusterStatus status = take(id);
    ASSERT_EQ(status.nodes_size(), 4);
    EXPECT_EQ(status.nodes(3).address(), "far:4");
    EXPECT_EQ(status.nodes(1).address(), "node-2:8080") << "discovery's address goes before the log's";
}

TEST_F(StatusServiceTest, a_member_that_discovery_lists_no_more_is_asked_where_it_was) {
    progress("");
    pb::ConfigurationChanged changed;
    for (const char* voter : {"node-1", "node-2"}) changed.mutable_configuration()->add_voters(voter);
    kit.deliver(message_of(changed));
    pb::ClusterView shorter;
    shorter.add_members()->set_id("node-1");
    kit.deliver(message_of(shorter));
    const uint64_t id = request();
    answer_raft(raft_status(pb::RoleChanged::LEADER, 4, "node-1"));
    answer_for("node-2", raft_status(pb::RoleChanged::FOLLOWER, 4));
    EXPECT_FALSE(kit.has(pb::Envelope::kClusterStatusRequest)) << "node-3 is neither listed nor a member";
    EXPECT_EQ(take(id).nodes(1).address(), "node-2:8080");
}

TEST_F(StatusServiceTest, a_node_that_waits_to_be_added_says_with_which_command) {
    progress("");
    const uint64_t id = request(true);
    pb::RaftStatus raft;
    raft.set_first_index(1);
    answer_raft(raft);
    EXPECT_EQ(take(id).nodes(0).detail(), "waits to be added: run `sandstore cluster add node-1 node-1:8080`");
}

TEST_F(StatusServiceTest, a_removed_node_says_so) {
    progress("");
    const uint64_t id = request(true);
    pb::RaftStatus raft = raft_status(pb::RoleChanged::FOLLOWER, 4, "");
    raft.set_removed(true);
    answer_raft(raft);
    EXPECT_EQ(take(id).nodes(0).detail(),
              "removed from the cluster; it comes back with `sandstore cluster add node-1`");
}

TEST_F(StatusServiceTest, a_node_that_lost_its_storage_says_so_and_what_brings_it_back) {
    pb::BootProgress started;
    started.mutable_founding()->set_storage(7);
    started.mutable_founding()->set_returned(true);
    kit.deliver(message_of(started));
    uint64_t id = request(true);
    pb::RaftStatus raft;
    raft.set_first_index(1);
    answer_raft(raft);
    const pb::NodeStatus line = take(id).nodes(0);
    EXPECT_TRUE(line.detail().starts_with("its storage is new, and it is a member already: it counts as absent"));
    EXPECT_EQ(line.founding().storage(), 7u) << "others ask for it";

    id = request(true);
    raft = raft_status(pb::RoleChanged::FOLLOWER, 4, "node-2");
    raft.set_forgot(true);
    raft.set_ask_to_rejoin(true);
    answer_raft(raft);
    EXPECT_EQ(take(id).nodes(0).detail(),
              "its storage is not the one on which its vote is: it counts as absent; take it back with `sandstore "
              "cluster rejoin node-1`");
}

// --- What operators ask ---------------------------------------------------------------------------------------------

class OperatorTest : public StatusServiceTest {
 protected:
    OperatorTest() { progress(""); }

    void leader_is(std::string id) {
        pb::RoleChanged role;
        role.set_leader_id(std::move(id));
        role.set_term(4);
        kit.deliver(message_of(role));
    }
    static pb::ChangeMembership adding(std::string node, std::string address = "") {
        pb::ChangeMembership request;
        request.add_changes()->set_node_id(std::move(node));
        request.mutable_changes(0)->set_address(std::move(address));
        return request;
    }
    uint64_t ask(pb::ChangeMembership change) {
        return kit.request(message_of(std::move(change)), Address("~3", pb::ACTOR_EXTERNAL), 5'000'000);
    }
    static pb::MembershipChanged refusal(pb::StatusCode code, std::string leader = "") {
        pb::MembershipChanged reply;
        reply.mutable_status()->set_code(code);
        reply.mutable_status()->set_message("said by raft");
        reply.mutable_status()->set_leader_id(std::move(leader));
        return reply;
    }
    pb::MembershipChanged take_changed(uint64_t id) { return kit.take_answer(id)->membership_changed(); }
};

TEST_F(OperatorTest, a_change_goes_to_the_leaders_raft_and_its_answer_comes_back) {
    leader_is("node-2");
    kit.advance(1'000'000);
    const uint64_t id = ask(adding("node-4", "far:4"));
    ASSERT_EQ(kit.count(pb::Envelope::kChangeMembership), 1u);
    EXPECT_EQ(kit.effects().back().timeout_us, 5'000'000u) << "the asker's own deadline";
    Message asked = kit.take_to(pb::Envelope::kChangeMembership, "node-2");
    EXPECT_EQ(asked->to_actor(), pb::ACTOR_RAFT);
    EXPECT_EQ(asked->change_membership().changes(0).address(), "far:4");
    pb::MembershipChanged done;
    done.set_index(9);
    done.mutable_configuration()->add_learners("node-4");
    kit.answer(asked, message_of(done));
    EXPECT_EQ(take_changed(id).index(), 9u);
}

TEST_F(OperatorTest, on_the_leader_itself_the_local_raft_is_asked) {
    leader_is("node-1");
    ask(adding("node-4", "far:4"));
    EXPECT_EQ(kit.take(pb::Envelope::kChangeMembership)->to_node(), "");
}

TEST_F(OperatorTest, another_leader_is_followed_a_few_times_and_then_the_refusal_is_passed_on) {
    leader_is("node-2");
    const uint64_t id = ask(adding("node-4", "far:4"));
    kit.advance(1'000'000);
    std::string from = "node-2", to = "node-3";
    for (unsigned i = 0; i <= OperatorRequests::kRedirectsMax; ++i) {
        if (i == 1) {
            EXPECT_EQ(kit.effects().back().timeout_us, 4'000'000u) << "the deadline stays where it was";
        }
        kit.answer(kit.take_to(pb::Envelope::kChangeMembership, from), message_of(refusal(pb::STATUS_NOT_LEADER, to)));
        std::swap(from, to);
    }
    EXPECT_FALSE(kit.has(pb::Envelope::kChangeMembership));
    EXPECT_EQ(take_changed(id).status().code(), pb::STATUS_NOT_LEADER);
}

TEST_F(OperatorTest, without_a_leader_the_answer_says_so_at_once) {
    const uint64_t id = ask(adding("node-4", "far:4"));
    const pb::MembershipChanged reply = take_changed(id);
    EXPECT_EQ(reply.status().code(), pb::STATUS_NOT_LEADER);
    EXPECT_EQ(reply.status().message(), "node-1 knows no leader: is a majority of the voters up?");
}

TEST_F(OperatorTest, a_lost_answer_is_told_as_an_unknown_outcome_and_not_sent_again) {
    leader_is("node-2");
    const uint64_t id = ask(adding("node-4", "far:4"));
    kit.fail(kit.take(pb::Envelope::kChangeMembership), pb::STATUS_UNAVAILABLE, "connection lost");
    const pb::MembershipChanged reply = take_changed(id);
    EXPECT_EQ(reply.status().code(), pb::STATUS_UNAVAILABLE);
    EXPECT_NE(reply.status().message().find("whether it happened is not known"), std::string::npos);
    EXPECT_FALSE(kit.has(pb::Envelope::kChangeMembership));
}

TEST_F(OperatorTest, a_learner_without_an_address_gets_the_one_that_is_known_here) {
    leader_is("node-2");
    ask(adding("node-3"));
    EXPECT_EQ(kit.take(pb::Envelope::kChangeMembership)->change_membership().changes(0).address(), "node-3:8080");
    const uint64_t id = ask(adding("node-4"));
    EXPECT_FALSE(kit.has(pb::Envelope::kChangeMembership));
    EXPECT_EQ(take_changed(id).status().message(), "no address of node-4 is known here: give it as host:port");
}

TEST_F(OperatorTest, names_and_addresses_that_are_none_never_reach_the_log) {
    leader_is("node-1");
    for (const auto& [node, address] :
         std::map<std::string, std::string>{{"no de", "a:1"}, {"", "a:1"}, {"node-4", "nowhere"}, {"node-5", "a:0"}}) {
        const uint64_t id = ask(adding(node, address));
        EXPECT_FALSE(kit.has(pb::Envelope::kChangeMembership)) << node << " " << address;
        EXPECT_EQ(take_changed(id).status().code(), pb::STATUS_INVALID_ARGUMENT) << node << " " << address;
    }
}

TEST_F(OperatorTest, requests_under_way_are_bounded) {
    leader_is("node-2");
    for (size_t i = 0; i < OperatorRequests::kForwardedMax; ++i) ask(adding("node-4", "far:4"));
    EXPECT_EQ(take_changed(ask(adding("node-4", "far:4"))).status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    kit.fail(kit.take(pb::Envelope::kChangeMembership), pb::STATUS_DEADLINE_EXCEEDED);
    kit.drop_effects();
    ask(adding("node-4", "far:4"));
    EXPECT_TRUE(kit.has(pb::Envelope::kChangeMembership));
}

TEST_F(OperatorTest, leadership_is_handed_over_by_the_leader) {
    leader_is("node-3");
    pb::TransferLeadership transfer;
    transfer.set_node_id("node-1");
    const uint64_t id = kit.request(message_of(transfer), Address("~3", pb::ACTOR_EXTERNAL));
    Message asked = kit.take_to(pb::Envelope::kTransferLeadership, "node-3");
    EXPECT_EQ(asked->transfer_leadership().node_id(), "node-1");
    kit.answer(asked, message_of(pb::StatusReply()));
    EXPECT_EQ(kit.take_answer(id)->status_reply().status().code(), pb::STATUS_OK);
}

TEST_F(OperatorTest, a_snapshot_is_asked_of_the_node_that_is_named_or_of_this_one) {
    pb::RequestSnapshot snapshot;
    const uint64_t own = kit.request(message_of(snapshot), Address("~3", pb::ACTOR_EXTERNAL));
    Message local = kit.take(pb::Envelope::kRequestSnapshot);
    EXPECT_EQ(local->to_node(), "");
    pb::SnapshotSaved saved;
    saved.mutable_meta()->set_index(7);
    kit.answer(local, message_of(saved));
    EXPECT_EQ(kit.take_answer(own)->snapshot_saved().meta().index(), 7u);
    snapshot.set_node_id("node-3");
    kit.request(message_of(snapshot), Address("~3", pb::ACTOR_EXTERNAL));
    EXPECT_EQ(kit.take(pb::Envelope::kRequestSnapshot)->to_node(), "node-3");
}

TEST_F(StatusServiceTest, raft_becomes_gauges_each_second) {
    progress("");
    kit.advance(1'000'000);
    pb::RaftStatus raft = raft_status(pb::RoleChanged::LEADER, 4, "node-1");
    pb::RaftPeerStatus* peer = raft.add_peers();
    peer->set_node_id("node-2");
    peer->set_match_index(5);
    answer_raft(raft);
    std::string text = kit.metrics().render();
    for (const std::string line :
         {"sandstore_raft_term 4", "sandstore_raft_commit_index 7", "sandstore_raft_applied_index 6",
          "sandstore_raft_is_leader 1", "sandstore_raft_has_leader 1",
          "sandstore_raft_peer_lag_entries{peer=\"node-2\"} 3"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
    }
    kit.advance(1'000'000);
    answer_raft(raft_status(pb::RoleChanged::FOLLOWER, 5));
    text = kit.metrics().render();
    EXPECT_NE(text.find("sandstore_raft_is_leader 0"), std::string::npos);
    EXPECT_NE(text.find("sandstore_raft_peer_lag_entries{peer=\"node-2\"} 0"), std::string::npos);
}

TEST_F(StatusServiceTest, connected_peers_are_counted) {
    pb::PeerUp up;
    up.set_node_id("node-2");
    kit.deliver(message_of(up));
    kit.deliver(message_of(up));
    EXPECT_NE(kit.metrics().render().find("sandstore_peers_connected 1"), std::string::npos);
    pb::PeerDown down;
    down.set_node_id("node-2");
    kit.deliver(message_of(down));
    EXPECT_NE(kit.metrics().render().find("sandstore_peers_connected 0"), std::string::npos);
}

TEST_F(StatusServiceTest, changes_of_leader_are_counted) {
    for (const std::string leader : {"node-1", "", "node-1", "node-2"}) {
        pb::RoleChanged change;
        change.set_role(pb::RoleChanged::FOLLOWER);
        change.set_leader_id(leader);
        kit.deliver(message_of(change));
    }
    EXPECT_NE(kit.metrics().render().find("sandstore_raft_leader_changes_total 1"), std::string::npos);
}

}  // namespace
}  // namespace sandstore
