// Which nodes a new chunk is given to.
#include "actors/fs/placement.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/random.h"

namespace sandstore {
namespace {

constexpr uint64_t kChunkBytes = 100;

class PlacementTest : public testing::Test {
 protected:
    // "node-1" .. "node-N", all up, without zones.
    void members(int count) {
        pb::ClusterView view;
        for (int i = 1; i <= count; ++i) add_member(&view, i, "");
        placement_.set_members(view);
        for (int i = 1; i <= count; ++i) placement_.set_up(name(i), true);
    }
    static void add_member(pb::ClusterView* view, int i, const std::string& zone) {
        pb::Member* member = view->add_members();
        member->set_id(name(i));
        member->set_address(name(i) + ":8080");
        member->set_zone(zone);
    }
    static std::string name(int i) { return "node-" + std::to_string(i); }

    void stats(int i, uint64_t chunk_bytes, uint64_t total = 1000, uint64_t free = 900) {
        pb::ChunkStats stats;
        stats.set_node_id(name(i));
        stats.set_chunk_bytes(chunk_bytes);
        stats.set_disk_total_bytes(total);
        stats.set_disk_free_bytes(free);
        placement_.set_stats(stats);
    }
    pb::ChunkPlace choose(uint32_t copies = 3) {
        pb::ChunkPlace place;
        std::string why;
        const auto random = [this] { return random_.next(); };
        EXPECT_EQ(placement_.choose({copies, kChunkBytes, avoid_}, random, &place, &why), Placement::Choice::kMade)
            << why;
        return place;
    }
    std::string refusal(uint32_t copies = 3) {
        pb::ChunkPlace place;
        std::string why;
        const auto random = [this] { return random_.next(); };
        EXPECT_EQ(placement_.choose({copies, kChunkBytes, {}}, random, &place, &why), Placement::Choice::kTooFewUp);
        return why;
    }
    static std::set<std::string> nodes(const pb::ChunkPlace& place) {
        return {place.replicas().begin(), place.replicas().end()};
    }

    Placement placement_;
    std::vector<std::string> avoid_;
    RandomStream random_{1, 1};
};

using Nodes = std::set<std::string>;

TEST_F(PlacementTest, every_replica_is_another_node_with_its_address) {
    members(3);
    const pb::ChunkPlace place = choose();
    EXPECT_EQ(nodes(place), (Nodes{"node-1", "node-2", "node-3"}));
    ASSERT_EQ(place.addresses_size(), 3);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(place.addresses(i), place.replicas(i) + ":8080");
    EXPECT_EQ(place.acknowledgements_needed(), 2u);
}

TEST_F(PlacementTest, nodes_whose_store_takes_no_writes_get_no_chunks) {
    members(4);
    pb::ChunkStats broken;
    broken.set_node_id("node-2");
    broken.set_problem("write: Input/output error");
    placement_.set_stats(broken);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(nodes(choose()), (Nodes{"node-1", "node-3", "node-4"}));
    broken.set_node_id("node-3");
    placement_.set_stats(broken);
    broken.set_node_id("node-4");
    placement_.set_stats(broken);
    EXPECT_NE(refusal().find("only 1 of 4 are up"), std::string::npos);
    stats(3, 0);
    EXPECT_NE(choose().replicas(0), "node-2") << "the first one takes it";
}

TEST_F(PlacementTest, dead_nodes_are_avoided) {
    members(5);
    placement_.set_up("node-1", false);
    placement_.set_up("node-2", false);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(nodes(choose()), (Nodes{"node-3", "node-4", "node-5"}));
}

TEST_F(PlacementTest, dead_nodes_only_fill_in_and_never_come_first) {
    members(3);
    placement_.set_up("node-1", false);
    stats(1, 0);
    stats(2, 1'000'000);
    stats(3, 1'000'000);
    for (int i = 0; i < 20; ++i) {
        const pb::ChunkPlace place = choose();
        EXPECT_EQ(place.replicas(2), "node-1");
        EXPECT_EQ(place.acknowledgements_needed(), 2u);
    }
}

TEST_F(PlacementTest, without_a_majority_up_there_is_no_place) {
    members(3);
    placement_.set_up("node-1", false);
    placement_.set_up("node-2", false);
    EXPECT_EQ(refusal(), "A new chunk needs 2 nodes and only 1 of 3 are up");
    placement_.set_up("node-2", true);
    choose();
}

TEST_F(PlacementTest, a_small_cluster_keeps_fewer_copies) {
    members(1);
    EXPECT_EQ(choose().replicas_size(), 1);
    EXPECT_EQ(choose().acknowledgements_needed(), 1u);
    members(2);
    EXPECT_EQ(choose().replicas_size(), 2);
    EXPECT_EQ(choose().acknowledgements_needed(), 2u);
}

TEST_F(PlacementTest, without_members_there_is_no_place) {
    placement_.set_up("node-1", true);
    EXPECT_FALSE(refusal().empty());
}

TEST_F(PlacementTest, the_least_loaded_nodes_are_chosen_least_loaded_first) {
    members(5);
    for (int i = 1; i <= 5; ++i) stats(i, static_cast<uint64_t>(6 - i) * 10'000);
    const pb::ChunkPlace place = choose();
    EXPECT_EQ(place.replicas(0), "node-5");
    EXPECT_EQ(place.replicas(1), "node-4");
    EXPECT_EQ(place.replicas(2), "node-3");
}

TEST_F(PlacementTest, what_was_placed_counts_until_the_node_reports) {
    members(4);
    for (int i = 1; i <= 4; ++i) stats(i, 1000);
    std::map<std::string, int> given;
    for (int i = 0; i < 40; ++i) {
        for (const std::string& node : nodes(choose())) ++given[node];
    }
    for (const auto& [node, count] : given) EXPECT_EQ(count, 30) << node;
    stats(1, 1000);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(choose().replicas(0), "node-1") << "the others hold 3,000 more";
}

TEST_F(PlacementTest, equal_loads_are_drawn_by_lot) {
    members(5);
    std::set<std::string> first;
    for (int i = 0; i < 30; ++i) first.insert(choose().replicas(0));
    EXPECT_GT(first.size(), 2u);
}

TEST_F(PlacementTest, a_silent_node_counts_as_the_fullest) {
    members(4);
    stats(1, 5000);
    stats(2, 9000);
    stats(3, 5000);
    EXPECT_NE(choose().replicas(0), "node-4");
    EXPECT_NE(choose(2).replicas(1), "node-4");
}

TEST_F(PlacementTest, nearly_full_nodes_come_last) {
    members(4);
    for (int i = 2; i <= 4; ++i) stats(i, 50'000, 100'000, 20'000);
    stats(1, 0, 100'000, 4'999);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(nodes(choose()), (Nodes{"node-2", "node-3", "node-4"}));
    stats(1, 0, 100'000, 5'000);
    EXPECT_EQ(choose().replicas(0), "node-1");
    stats(1, 0, 100'000, 10);
    placement_.set_up("node-2", false);
    EXPECT_EQ(choose().replicas(2), "node-1") << "a full node that is up before one that is down";
}

TEST_F(PlacementTest, replicas_are_spread_over_zones) {
    pb::ClusterView view;
    for (int i = 1; i <= 3; ++i) add_member(&view, i, "a");
    add_member(&view, 4, "b");
    add_member(&view, 5, "c");
    placement_.set_members(view);
    for (int i = 1; i <= 5; ++i) placement_.set_up(name(i), true);
    for (int i = 1; i <= 5; ++i) stats(i, i > 3 ? 1'000'000 : 0);
    for (int i = 0; i < 20; ++i) {
        const Nodes chosen = nodes(choose());
        EXPECT_TRUE(chosen.contains("node-4") && chosen.contains("node-5"));
    }
    placement_.set_up("node-5", false);
    const Nodes chosen = nodes(choose());
    EXPECT_TRUE(chosen.contains("node-4"));
    EXPECT_FALSE(chosen.contains("node-5")) << "another zone does not outweigh being down";
}

TEST_F(PlacementTest, an_empty_view_changes_nothing) {
    members(3);
    placement_.set_members(pb::ClusterView());
    EXPECT_EQ(choose().replicas_size(), 3);
    EXPECT_EQ(placement_.address_of("node-2"), "node-2:8080");
}

TEST_F(PlacementTest, who_left_the_view_gets_nothing_and_may_come_back) {
    members(4);
    stats(4, 1, 1000, 900);
    pb::ClusterView three;
    for (int i = 1; i <= 3; ++i) add_member(&three, i, "");
    placement_.set_members(three);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(nodes(choose()).contains("node-4"));
    EXPECT_EQ(placement_.disk_total_bytes(), 0u);
    members(4);
    EXPECT_EQ(placement_.disk_total_bytes(), 1000u);
}

TEST_F(PlacementTest, space_is_summed_over_members) {
    members(3);
    stats(1, 0, 1000, 900);
    stats(2, 0, 500, 100);
    stats(9, 0, 77, 77);
    EXPECT_EQ(placement_.disk_total_bytes(), 1500u);
    EXPECT_EQ(placement_.disk_free_bytes(), 1000u);
}

// --- The log's configuration ----------------------------------------------------------------------------------------

pb::RaftConfiguration configuration_of(std::vector<std::string> voters, std::vector<std::string> learners = {}) {
    pb::RaftConfiguration configuration;
    for (std::string& voter : voters) configuration.add_voters(std::move(voter));
    for (std::string& learner : learners) configuration.add_learners(std::move(learner));
    return configuration;
}

void give_address(pb::RaftConfiguration* configuration, std::string node, std::string address) {
    pb::RaftMember* member = configuration->add_addresses();
    member->set_id(std::move(node));
    member->set_address(std::move(address));
}

TEST_F(PlacementTest, a_member_that_only_the_log_knows_gets_chunks) {
    members(2);
    pb::RaftConfiguration configuration = configuration_of({"node-1", "node-2"}, {"node-3"});
    give_address(&configuration, "node-3", "far:3");
    placement_.set_configuration(configuration);
    placement_.set_up("node-3", true);
    EXPECT_EQ(nodes(choose()), (std::set<std::string>{"node-1", "node-2", "node-3"}));
    EXPECT_EQ(placement_.address_of("node-3"), "far:3");
}

TEST_F(PlacementTest, a_node_that_discovery_lists_and_the_log_does_not_gets_none) {
    members(4);
    placement_.set_configuration(configuration_of({"node-1", "node-2", "node-3"}));
    EXPECT_EQ(nodes(choose(4)), (std::set<std::string>{"node-1", "node-2", "node-3"}));
}

TEST_F(PlacementTest, a_member_without_any_address_gets_none) {
    members(2);
    placement_.set_configuration(configuration_of({"node-1", "node-2", "node-3"}));
    EXPECT_EQ(nodes(choose()), (std::set<std::string>{"node-1", "node-2"}));
}

TEST_F(PlacementTest, discoverys_address_goes_before_the_logs_whichever_came_first) {
    pb::RaftConfiguration configuration = configuration_of({"node-1"});
    give_address(&configuration, "node-1", "old:1");
    placement_.set_configuration(configuration);
    EXPECT_EQ(placement_.address_of("node-1"), "old:1");
    members(1);
    EXPECT_EQ(placement_.address_of("node-1"), "node-1:8080");
    placement_.set_configuration(configuration);
    EXPECT_EQ(placement_.address_of("node-1"), "node-1:8080");
}

TEST_F(PlacementTest, a_node_that_was_removed_gets_no_more_chunks_and_can_still_be_asked_for_those_it_has) {
    pb::RaftConfiguration with = configuration_of({"node-1", "node-2", "node-3", "node-4"});
    give_address(&with, "node-4", "far:4");
    members(3);
    placement_.set_configuration(with);
    placement_.set_up("node-4", true);
    placement_.set_configuration(configuration_of({"node-1", "node-2", "node-3"}));
    EXPECT_EQ(nodes(choose(4)), (std::set<std::string>{"node-1", "node-2", "node-3"}));
    EXPECT_EQ(placement_.address_of("node-4"), "far:4");
}

TEST_F(PlacementTest, a_node_that_says_nothing_of_its_disk_counts_as_one_with_room) {
    members(3);
    for (int i = 1; i <= 3; ++i) stats(i, 0, 0, 0);
    EXPECT_EQ(choose().replicas_size(), 3);
}

TEST_F(PlacementTest, nodes_to_avoid_come_last_but_before_none) {
    members(5);
    avoid_ = {"node-1", "node-3"};
    EXPECT_EQ(nodes(choose()), (std::set<std::string>{"node-2", "node-4", "node-5"}));
    EXPECT_EQ(choose(5).replicas_size(), 5);
}

TEST_F(PlacementTest, copies_are_no_more_than_members) {
    EXPECT_EQ(placement_.copies_of(3), 3u) << "nothing is known yet";
    members(2);
    EXPECT_EQ(placement_.copies_of(3), 2u);
}

TEST_F(PlacementTest, who_is_leaving_gets_no_new_chunks) {
    members(4);
    pb::RaftConfiguration configuration;
    for (int i = 1; i <= 4; ++i) configuration.add_voters(name(i));
    configuration.add_leaving("node-2");
    placement_.set_configuration(configuration);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(nodes(choose()), (Nodes{"node-1", "node-3", "node-4"}));
    EXPECT_EQ(placement_.copies_of(7), 3u);
    configuration.clear_leaving();
    placement_.set_configuration(configuration);
    EXPECT_EQ(placement_.copies_of(7), 4u);
}

TEST_F(PlacementTest, another_home_is_up_has_room_and_is_none_of_those_taken) {
    members(5);
    const auto random = [this] { return random_.next(); };
    const auto another = [&](std::vector<std::string> taken) {
        return placement_.choose_another(taken, kChunkBytes, random).value_or("none");
    };
    stats(4, 0, 1000, 10);  // Nearly full.
    EXPECT_EQ(another({"node-1", "node-2", "node-4"}).substr(0, 5), "node-");
    placement_.set_up("node-5", false);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(another({"node-1", "node-2"}), "node-3");
    EXPECT_EQ(another({"node-1", "node-2", "node-3"}), "none");
}

}  // namespace
}  // namespace sandstore
