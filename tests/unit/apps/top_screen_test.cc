#include "apps/terminal/top_screen.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/text.h"

namespace sandstore {
namespace {

pb::ClusterStatus cluster() {
    pb::ClusterStatus status;
    status.set_cluster_id("blue");
    status.set_leader_id("node-2");
    status.set_term(7);
    for (int i = 1; i <= 3; ++i) {
        pb::NodeStatus* node = status.add_nodes();
        node->set_id(str_cat("node-", i));
        node->set_up(true);
        node->set_uptime_us(90'000'000);
        pb::RaftStatus* raft = node->mutable_raft();
        raft->set_role(i == 2 ? pb::RoleChanged::LEADER : pb::RoleChanged::FOLLOWER);
        raft->set_term(7);
        raft->set_leader_id("node-2");
        if (i == 2) node->mutable_copies_report()->set_rounds(1);
        raft->set_last_index(1000 - static_cast<uint64_t>(i == 3 ? 90 : 0));
        raft->set_commit_index(900);
        raft->set_applied_index(900);
        for (int voter = 1; voter <= 3; ++voter) raft->mutable_configuration()->add_voters(str_cat("node-", voter));
        for (uint64_t second = 1; second <= 60; ++second) {
            pb::NodeSample* sample = node->add_samples();
            sample->set_number(second);
            sample->set_uptime_us(second * 1'500'000);
            sample->mutable_figures()->set_interval_us(1'500'000);
            sample->mutable_figures()->set_requests(i == 2 ? 30 * second : 0);
        }
        *node->mutable_figures() = node->samples(59).figures();
        pb::NodeEvent* event = node->add_events();
        event->set_uptime_us(static_cast<uint64_t>(i) * 1'000'000);
        event->set_text(str_cat("event number ", i));
    }
    return status;
}

TopView plain_view(size_t width, size_t height) {
    TopView view;
    view.width = width;
    view.height = height;
    view.colors = false;
    view.wall_us = 1'767'323'045'000'000;
    return view;
}

size_t columns_of(const std::string& text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) str_append(&text, line, "\n");
    return text;
}

TEST(TopScreen, a_frame_never_exceeds_the_terminal) {
    pb::ClusterStatus status = cluster();
    status.mutable_nodes(0)->set_detail(std::string(500, 'x'));
    for (const size_t width : {1, 20, 79, 80, 81, 200}) {
        for (const size_t height : {1, 2, 5, 24, 60}) {
            const auto lines = top_frame(status, plain_view(width, height));
            EXPECT_LE(lines.size(), height);
            for (const std::string& line : lines) EXPECT_LE(columns_of(line), width) << line;
        }
    }
}

TEST(TopScreen, eighty_by_twenty_four_holds_nodes_curves_events_and_keys) {
    const auto lines = top_frame(cluster(), plain_view(80, 24));
    ASSERT_EQ(lines.size(), 24u);
    const std::string text = joined(lines);
    for (const char* part : {"cluster blue", "3 of 3 nodes up", "the cluster serves; node-2 leads in term 7",
                             "FSYNC P99", "node-1     follower", "node-2     leader", "requests/s", "latency p99",
                             "fsync p99", "sent/s", "node-3 event number 3", "q quits"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    }
    EXPECT_NE(text.find("1200"), std::string::npos) << "the sum of the newest second, as a rate\n" << text;
    EXPECT_LT(text.find("event number 3"), text.find("event number 1")) << "newest first";
}

TEST(TopScreen, a_wide_terminal_shows_more_columns) {
    EXPECT_EQ(joined(top_frame(cluster(), plain_view(80, 24))).find("CHUNKS"), std::string::npos);
    EXPECT_NE(joined(top_frame(cluster(), plain_view(140, 24))).find("CHUNKS"), std::string::npos);
}

TEST(TopScreen, nodes_are_sorted_as_told) {
    TopView view = plain_view(80, 24);
    const auto first = [&] {
        const std::string text = joined(top_frame(cluster(), view));
        const size_t begin = text.find("\nnode-") + 1;
        return text.substr(begin, 6);
    };
    EXPECT_EQ(first(), "node-1");
    view.order = TopOrder::kRequests;
    EXPECT_EQ(first(), "node-2");
    view.order = TopOrder::kLag;
    EXPECT_EQ(first(), "node-3");
}

TEST(TopScreen, a_node_that_is_down_is_a_line_with_the_reason) {
    pb::ClusterStatus status = cluster();
    status.mutable_nodes(2)->Clear();
    status.mutable_nodes(2)->set_id("node-3");
    status.mutable_nodes(2)->set_detail("no answer in time");
    const std::string text = joined(top_frame(status, plain_view(80, 24)));
    EXPECT_NE(text.find("node-3     down      no answer in time"), std::string::npos) << text;
    EXPECT_NE(text.find("2 of 3 nodes up"), std::string::npos);
}

TEST(TopScreen, an_old_status_is_said_to_be_old) {
    TopView view = plain_view(80, 24);
    view.problem = "node-1:8080: connection refused";
    EXPECT_NE(joined(top_frame(cluster(), view)).find("No node answers: node-1:8080: connection refused"),
              std::string::npos);
}

TEST(TopScreen, what_nodes_say_cannot_steer_the_terminal) {
    pb::ClusterStatus status = cluster();
    status.mutable_nodes(0)->set_detail("\033[2Jgone\x07");
    status.mutable_nodes(0)->mutable_events(0)->set_text("\033]0;title\x07");
    status.set_cluster_id("\r\nblue");
    const std::string text = joined(top_frame(status, plain_view(120, 24)));
    for (const char byte : {'\033', '\x07', '\r'}) EXPECT_EQ(text.find(byte), std::string::npos);
}

TEST(TopScreen, colours_do_not_count_as_columns) {
    TopView view = plain_view(80, 24);
    const auto plain = top_frame(cluster(), view);
    view.colors = true;
    const auto colored = top_frame(cluster(), view);
    ASSERT_EQ(plain.size(), colored.size());
    EXPECT_NE(joined(colored).find("\033[1m"), std::string::npos);
    EXPECT_NE(joined(colored).find("q quits"), std::string::npos);
}

TEST(TopScreen, bars_are_scaled_to_the_greatest_shown_and_the_newest_is_on_the_right) {
    EXPECT_EQ(sparkline({0, 35, 70}, 3, false), "_=#");
    EXPECT_EQ(sparkline({0, 35, 70}, 5, true), "  ▁▅█");
    EXPECT_EQ(sparkline({1'000'000, 0, 7}, 2, false), "_#") << "what is not shown does not count";
    EXPECT_EQ(sparkline({}, 4, true), "    ");
    EXPECT_EQ(sparkline({0, 0}, 2, false), "__");
    EXPECT_EQ(sparkline({1, 2}, 0, true), "");
}

}  // namespace
}  // namespace sandstore
