// What status and members say about the feature level of the log.
#include <gtest/gtest.h>

#include <vector>

#include "runtime/text.h"
#include "services/status/status_json.h"

namespace sandstore {
namespace {

// node-1 leads; 0: a node, or a log, from before there were levels.
pb::ClusterStatus cluster_of(uint32_t log, const std::vector<uint32_t>& nodes) {
    pb::ClusterStatus status;
    status.set_leader_id("node-1");
    for (size_t i = 0; i < nodes.size(); ++i) {
        pb::NodeStatus* node = status.add_nodes();
        node->set_id(str_cat("node-", i + 1));
        node->set_up(true);
        node->mutable_raft()->add_voters("node-1");
        node->mutable_raft()->set_feature_level(nodes[i]);
        node->mutable_raft()->mutable_configuration()->set_feature_level(log);
    }
    return status;
}

TEST(FeatureHint, nothing_is_said_while_all_nodes_know_what_the_log_is) {
    EXPECT_EQ(feature_hint(cluster_of(0, {0, 1, 1})), "");
    EXPECT_EQ(feature_hint(cluster_of(2, {2, 2, 2})), "");
    EXPECT_EQ(feature_hint(pb::ClusterStatus()), "");
}

TEST(FeatureHint, nodes_that_differ_are_named) {
    EXPECT_EQ(feature_hint(cluster_of(0, {2, 0})),
              "feature levels differ, and the log is of level 1: node-1 knows level 2, node-2 knows level 1");
}

TEST(FeatureHint, what_all_know_may_be_raised) {
    EXPECT_EQ(feature_hint(cluster_of(1, {2, 2})),
              "all nodes know feature level 2, and the log is of level 1: when no node is to go back to an older "
              "version, run `sandstore cluster raise-features`");
}

TEST(FeatureHint, nodes_that_do_not_answer_say_nothing) {
    pb::ClusterStatus status = cluster_of(2, {2, 1});
    status.mutable_nodes(1)->set_up(false);
    EXPECT_EQ(feature_hint(status), "");
}

}  // namespace
}  // namespace sandstore
