// AutoJoin through the EtcdPoller's messages: who is proposed, when, and who is not.
#include "actors/cluster/auto_join.h"

#include <gtest/gtest.h>

#include "actors/cluster/base64.h"
#include "actors/cluster/etcd_poller.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

constexpr uint64_t kPollUs = 2'000'000;
using Nodes = std::vector<std::string>;

class AutoJoinTest : public testing::Test {
 protected:
    AutoJoinTest() : kit(std::make_unique<EtcdPoller>(), {pb::ACTOR_ETCD_POLLER}) {}

    void start(bool auto_join = true) {
        pb::StartPoller start;
        start.add_endpoints("etcd:2379");
        start.set_poll_interval_ms(kPollUs / 1000);
        start.set_request_timeout_ms(1'000);
        start.set_auto_join(auto_join);
        kit.deliver(message_of(start));
        pb::DiskReply no_cache;
        no_cache.set_error(pb::STATUS_ENOENT);
        kit.answer(kit.take(pb::Envelope::kDiskRequest), message_of(no_cache));
    }
    // etcd answers the poll under way, or the next one.
    void etcd_lists(const Nodes& nodes) {
        if (!kit.has(pb::Envelope::kHttpRequest)) kit.advance(kPollUs);
        std::string pairs;
        for (const std::string& node : nodes) {
            const std::string record = str_cat(R"({"id":")", node, R"(","address":")", node,
                                               R"(:8080","role":"metadata-raft-member","metadata":{}})");
            str_append(&pairs, pairs.empty() ? "" : ",", R"({"key":")",
                       base64_encode(str_cat("/sandstore/config/nodes/", node)), R"(","value":")",
                       base64_encode(record), R"("})");
        }
        pb::HttpReply reply;
        reply.set_code(200);
        kit.answer(kit.take(pb::Envelope::kHttpRequest),
                   message_of(reply, Payload(str_cat(R"({"header":{"revision":"3"},"kvs":[)", pairs, "]}"))));
    }
    void role(pb::RoleChanged::Role role) {
        pb::RoleChanged change;
        change.set_role(role);
        kit.deliver(message_of(change));
    }
    void configuration(const Nodes& voters, const Nodes& learners = {}) {
        pb::ConfigurationChanged change;
        for (const std::string& voter : voters) change.mutable_configuration()->add_voters(voter);
        for (const std::string& learner : learners) change.mutable_configuration()->add_learners(learner);
        change.set_committed(true);
        kit.deliver(message_of(change));
    }
    // The node proposed, which is answered; empty: none is.
    std::string proposed(pb::StatusCode code = pb::STATUS_OK) {
        std::optional<Message> asked = kit.try_take(pb::Envelope::kChangeMembership);
        if (!asked) return "";
        EXPECT_EQ((*asked)->to_actor(), pb::ACTOR_RAFT);
        EXPECT_EQ((*asked)->change_membership().changes_size(), 1);
        const auto& change = (*asked)->change_membership().changes(0);
        EXPECT_EQ(change.kind(), pb::ChangeMembership::Change::ADD_LEARNER);
        EXPECT_EQ(change.address(), change.node_id() + ":8080");
        const std::string node = change.node_id();
        pb::MembershipChanged reply;
        reply.mutable_status()->set_code(code);
        kit.answer(*asked, message_of(reply));
        return node;
    }
    bool is_proposing() const { return kit.has(pb::Envelope::kChangeMembership); }

    StepKit kit;
};

TEST_F(AutoJoinTest, the_leader_proposes_a_node_that_appears_in_etcd_as_a_learner) {
    start();
    configuration({"node-1", "node-2", "node-3"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-2", "node-3"});
    EXPECT_FALSE(is_proposing());
    etcd_lists({"node-1", "node-2", "node-3", "node-4"});
    EXPECT_EQ(proposed(), "node-4");
}

TEST_F(AutoJoinTest, it_is_off_unless_asked_for) {
    start(false);
    configuration({"node-1"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-4"});
    EXPECT_FALSE(is_proposing());
}

TEST_F(AutoJoinTest, only_the_leader_proposes_and_a_new_leader_looks_for_itself) {
    start();
    configuration({"node-1", "node-2"});
    etcd_lists({"node-1", "node-2", "node-4"});
    EXPECT_FALSE(is_proposing());
    role(pb::RoleChanged::LEADER);
    EXPECT_EQ(proposed(), "node-4");
}

TEST_F(AutoJoinTest, nobody_is_proposed_before_the_configuration_is_known) {
    start();
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-2"});
    EXPECT_FALSE(is_proposing());
    configuration({"node-1"});
    EXPECT_EQ(proposed(), "node-2");
}

TEST_F(AutoJoinTest, nodes_are_proposed_one_at_a_time) {
    start();
    configuration({"node-1"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-4", "node-5"});
    EXPECT_EQ(kit.count(pb::Envelope::kChangeMembership), 1u);
    configuration({"node-1"}, {"node-4"});  // In force, and the answer is on its way.
    EXPECT_EQ(kit.count(pb::Envelope::kChangeMembership), 1u);
    EXPECT_EQ(proposed(), "node-4");
    configuration({"node-1"}, {"node-4", "node-5"});
    EXPECT_EQ(proposed(), "node-5");
    EXPECT_FALSE(is_proposing());
}

TEST_F(AutoJoinTest, a_refusal_is_followed_by_a_pause_and_the_next_candidate) {
    start();
    configuration({"node-1"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-4", "node-5"});
    EXPECT_EQ(proposed(pb::STATUS_EBUSY), "node-4");
    configuration({"node-1"});
    EXPECT_FALSE(is_proposing()) << "it pauses";
    kit.advance(AutoJoin::kPauseMinUs);
    EXPECT_EQ(proposed(pb::STATUS_EBUSY), "node-5");
    kit.advance(AutoJoin::kPauseMinUs - 1);
    EXPECT_FALSE(is_proposing()) << "the pause grows";
    kit.advance(AutoJoin::kPauseMinUs + 1);
    EXPECT_EQ(proposed(), "node-4");
}

TEST_F(AutoJoinTest, an_answer_that_never_comes_is_a_refusal) {
    start();
    configuration({"node-1"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-4"});
    kit.fail(kit.take(pb::Envelope::kChangeMembership), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_FALSE(is_proposing());
    kit.advance(AutoJoin::kPauseMinUs);
    EXPECT_EQ(proposed(), "node-4");
}

TEST_F(AutoJoinTest, a_node_that_an_operator_removed_is_not_brought_back_while_its_record_stays) {
    start();
    configuration({"node-1", "node-2"}, {"node-4"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-2", "node-4"});
    configuration({"node-1", "node-2"});
    kit.advance(10 * AutoJoin::kPauseMaxUs);
    EXPECT_FALSE(is_proposing());
}

TEST_F(AutoJoinTest, a_removed_node_whose_record_went_and_came_again_is_new) {
    start();
    configuration({"node-1", "node-2"}, {"node-4"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-2", "node-4"});
    configuration({"node-1", "node-2"});
    etcd_lists({"node-1", "node-2"});
    EXPECT_FALSE(is_proposing());
    etcd_lists({"node-1", "node-2", "node-4"});
    EXPECT_EQ(proposed(), "node-4");
}

TEST_F(AutoJoinTest, an_empty_or_shorter_list_removes_nobody) {
    start();
    configuration({"node-1", "node-2", "node-3"});
    role(pb::RoleChanged::LEADER);
    etcd_lists({"node-1", "node-2", "node-3"});
    etcd_lists({});
    etcd_lists({"node-2"});
    EXPECT_FALSE(is_proposing());
}

}  // namespace
}  // namespace sandstore
