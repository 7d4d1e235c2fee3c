// Each setting that is wrong only together with another is found, with its reason; and what is right is let alone.
#include "apps/node/node_checks.h"

#include <gtest/gtest.h>

#include "actors/cluster/member_record.h"

namespace sandstore {
namespace {

class NodeChecksTest : public testing::Test {
 protected:
    NodeChecksTest() {
        options.node_id = "node-1";
        options.listen = ":8080";
        options.http_listen = ":9400";
        options.etcd_endpoints = {"127.0.0.1:2379"};
    }
    void use_peers(std::string_view peers) {
        std::string error;
        options.peers = parse_peers(peers, &error).value();
    }
    // The one problem there is.
    void expect_problem(std::string_view part) {
        const std::vector<std::string> problems = node_problems(options);
        ASSERT_EQ(problems.size(), 1u) << part;
        EXPECT_NE(problems[0].find(part), std::string::npos) << problems[0];
        EXPECT_EQ(problems[0].find('\n'), std::string::npos) << "one line";
    }
    void expect_fine() {
        for (const std::string& problem : node_problems(options)) ADD_FAILURE() << problem;
    }

    NodeOptions options;
};

TEST_F(NodeChecksTest, the_defaults_are_fine) {
    expect_fine();
    use_peers("node-1=a:1,node-2=b:1");
    expect_fine();
    options.join = true;
    expect_fine();
}

TEST_F(NodeChecksTest, an_election_needs_at_least_five_heartbeats) {
    options.election_timeout_ms = 249;
    expect_problem("--election-timeout=249 is less than 5 times --heartbeat-interval=50: ");
    options.election_timeout_ms = 250;
    expect_fine();
}

TEST_F(NodeChecksTest, the_longest_election_timeout_is_above_the_shortest) {
    options.election_timeout_max_ms = options.election_timeout_ms;
    expect_problem("candidates would stand at the same moment");
}

TEST_F(NodeChecksTest, heartbeats_have_an_interval) {
    options.heartbeat_interval_ms = 0;
    expect_problem("--heartbeat-interval=0");
}

TEST_F(NodeChecksTest, an_append_fits_into_its_window_and_into_a_frame) {
    options.append_bytes_max = options.append_window_bytes + 1;
    expect_problem("a full one would never be sent");
    options.append_bytes_max = options.append_window_bytes = 17 << 20;
    expect_problem("does not fit into a frame");
}

TEST_F(NodeChecksTest, the_largest_command_may_be_uncommitted) {
    options.uncommitted_bytes_max = (2 << 20) - 1;
    expect_problem("would be refused for ever");
}

TEST_F(NodeChecksTest, the_cache_holds_what_is_under_way_to_a_follower) {
    options.log_cache_bytes = options.append_window_bytes - 1;
    expect_problem("a log cache of");
}

TEST_F(NodeChecksTest, a_segment_holds_the_largest_record) {
    options.segment_bytes = 2 << 20;
    options.snapshot_log_bytes = 4 << 20;
    expect_problem("log segments of");
    options.segment_bytes = uint64_t{2} << 30;
    options.snapshot_log_bytes = 0;
    expect_problem("log segments of");
}

TEST_F(NodeChecksTest, a_snapshot_frees_at_least_a_segment_or_is_taken_on_request_only) {
    options.snapshot_log_bytes = options.segment_bytes - 1;
    expect_problem("a snapshot would free nothing");
    options.snapshot_log_bytes = options.segment_bytes;
    expect_fine();
    options.snapshot_log_bytes = 0;
    expect_fine();
}

TEST_F(NodeChecksTest, snapshot_pieces_and_chunks_fit_into_a_frame) {
    options.snapshot_piece_bytes = (16 << 20) + 1;
    expect_problem("snapshot pieces of");
    options.snapshot_piece_bytes = 1 << 20;
    options.chunk_bytes_max = (16 << 20) + 1;
    expect_problem("--chunk-size=");
}

TEST_F(NodeChecksTest, copies_are_as_many_as_a_chunk_can_name) {
    options.copies = 0;
    expect_problem("--copies=0");
    options.copies = 8;
    expect_problem("--copies=8");
    options.copies = 7;
    expect_fine();
}

TEST_F(NodeChecksTest, the_two_listeners_need_two_ports) {
    options.http_listen = ":8080";
    expect_problem("they need different ports");
    options.http_listen = "127.0.0.1:8080";
    expect_problem("they need different ports");
    options.listen = "10.0.0.1:8080";
    expect_fine();
    options.http_listen = "0.0.0.0:8080";
    expect_problem("they need different ports");
}

TEST_F(NodeChecksTest, priorities_have_a_range_and_somebody_must_be_able_to_lead) {
    options.election_priority = 101;
    expect_problem("--election-priority=101");
    options.election_priority = 0;
    expect_fine();
    use_peers("node-1=a:1");
    expect_problem("nobody would lead");
}

TEST_F(NodeChecksTest, there_is_a_way_to_find_the_members) {
    options.etcd_endpoints.clear();
    expect_problem("no way to find the members");
    use_peers("node-1=a:1,node-2=b:1");
    expect_fine();
}

TEST_F(NodeChecksTest, etcd_is_not_asked_all_the_time) {
    options.poll_interval_ms = 99;
    expect_problem("--poll-interval=99");
}

TEST_F(NodeChecksTest, a_node_without_consensus_is_alone) {
    options.single_node = true;
    options.copies = 1;
    expect_fine();
    use_peers("node-1=a:1,node-2=b:1");
    expect_problem("--replicator=noop does not replicate");
    use_peers("node-1=a:1");
    options.copies = 2;
    expect_problem("--copies=2");
    options.copies = 1;
    options.join = true;
    options.peers.clear();
    expect_problem("--join with --replicator=noop");
}

TEST_F(NodeChecksTest, joining_needs_somebody_to_join) {
    options.join = true;
    use_peers("node-1=a:1");
    expect_problem("--join with --peers that name no other node");
}

TEST_F(NodeChecksTest, auto_join_needs_etcd) {
    options.auto_join = true;
    expect_fine();
    use_peers("node-1=a:1,node-2=b:1");
    expect_problem("--auto-join");
}

TEST_F(NodeChecksTest, names_are_names) {
    options.node_id = "node 1";
    expect_problem("--node-id");
    options.node_id = "node-1";
    options.cluster_id = "a/b";
    expect_problem("--cluster-id");
}

TEST_F(NodeChecksTest, every_problem_is_told_not_only_the_first) {
    options.http_listen = options.listen;
    options.copies = 0;
    options.election_priority = 200;
    EXPECT_EQ(node_problems(options).size(), 3u);
}

}  // namespace
}  // namespace sandstore
