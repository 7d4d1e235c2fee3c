// The leader's rounds: who holds what, copies that are made, places that change, and what is told of it.
#include "actors/fs/mover.h"

#include <gtest/gtest.h>

#include "actors/chunk/chunk_file.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;
using Names = std::vector<std::string>;
constexpr uint64_t kDelayUs = 600'000'000;
constexpr uint64_t kIntervalUs = 10'000'000;

class MoverTest : public testing::Test {
 protected:
    MoverTest() {
        pb::StartMover start;
        start.set_node_id("node-1");
        start.set_copies(3);
        start.set_chunk_bytes_max(100);
        start.set_interval_ms(kIntervalUs / 1000);
        start.set_repair_delay_us(kDelayUs);
        kit.deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
        for (const char* peer : {"node-2", "node-3"}) peer_up(peer);
        configure({"node-1", "node-2", "node-3"});
    }
    void peer_up(const std::string& node) {
        pb::PeerUp up;
        up.set_node_id(node);
        kit.deliver(message_of(up), {pb::PORT_TRANSPORT});
    }
    void peer_down(const std::string& node) {
        pb::PeerDown down;
        down.set_node_id(node);
        kit.deliver(message_of(down), {pb::PORT_TRANSPORT});
    }
    void configure(const Names& members, const Names& leaving = {}) {
        pb::ConfigurationChanged change;
        change.set_index(++configuration_index);
        change.set_committed(true);
        for (const std::string& node : members) {
            change.mutable_configuration()->add_voters(node);
            pb::RaftMember* address = change.mutable_configuration()->add_addresses();
            address->set_id(node);
            address->set_address(node + ":1");
        }
        for (const std::string& node : leaving) change.mutable_configuration()->add_leaving(node);
        kit.deliver(message_of(change), {pb::ACTOR_RAFT});
    }
    void lead(bool leads = true) {
        pb::RoleChanged role;
        role.set_role(leads ? pb::RoleChanged::LEADER : pb::RoleChanged::FOLLOWER);
        kit.deliver(message_of(role), {pb::ACTOR_RAFT});
    }
    void place(uint64_t number, const Names& replicas) { places[number] = replicas; }
    void hold(const std::string& node, std::set<uint64_t> numbers) { held[node] = std::move(numbers); }

    // Answers what is asked from `places` and `held` until a round is complete: all fetches and moves succeed.
    pb::CopiesReport round() {
        for (int step = 0; step < 200; ++step) {
            while (auto read = kit.try_take(Body::kReadIndex)) kit.answer(*read, message_of(pb::ReadIndexReply()));
            while (auto query = kit.try_take(Body::kQuery)) kit.answer(*query, message_of(page()));
            while (auto list = kit.try_take(Body::kChunkList)) answer_list(*list);
            while (auto fetch = kit.try_take(Body::kChunkFetch)) answer_fetch(*fetch);
            while (auto move = kit.try_take(Body::kPropose)) answer_move(*move);
            while (auto report = kit.try_take(Body::kCopiesReport)) {
                if ((*report)->copies_report().current()) return (*report)->copies_report();
            }
            kit.fire_next_timer();
        }
        ADD_FAILURE() << "no round was completed";
        return {};
    }
    pb::QueryResult page() const {
        pb::QueryResult result;
        for (const auto& [number, replicas] : places) {
            pb::ChunkPlace* place = result.add_chunks();
            *place->mutable_id() = id_of({1, number});
            place->set_allocated_at_us(5);
            for (const std::string& node : replicas) place->add_replicas(node);
            *result.mutable_last_chunk() = place->id();
        }
        return result;
    }
    void answer_list(const Message& list) {
        pb::ChunkListReply reply;
        const std::string node = list->to_node().empty() ? "node-1" : list->to_node();
        for (const uint64_t number : held[node]) *reply.add_chunks()->mutable_id() = id_of({1, number});
        kit.answer(list, message_of(reply));
    }
    void answer_fetch(const Message& fetch) {
        const std::string node = fetch->to_node().empty() ? "node-1" : fetch->to_node();
        const pb::ChunkPlace& place = fetch->chunk_fetch().place();
        EXPECT_EQ(place.replicas(0), node);
        EXPECT_LE(static_cast<size_t>(place.replicas_size()), kChunkReplicasMax) << "more no node takes";
        fetches.push_back(str_cat(node, " ", place.id().number()));
        held[node].insert(place.id().number());
        kit.answer(fetch, message_of(pb::StatusReply()));
    }
    void answer_move(const Message& propose) {
        pb::Command command;
        ASSERT_TRUE(command.ParseFromString(std::string(propose.payload.flat().flat_view())));
        pb::MutationResult result;
        for (const pb::MoveChunks::Move& move : command.mutation().move_chunks().moves()) {
            EXPECT_EQ(Names(move.from().begin(), move.from().end()), places.at(move.id().number()));
            places[move.id().number()] = Names(move.to().begin(), move.to().end());
            result.set_moved(result.moved() + 1);
        }
        pb::ProposeReply reply;
        reply.set_result(result.SerializeAsString());
        kit.answer(propose, message_of(reply));
    }
    static pb::CopiesReport::Node count_of(const pb::CopiesReport& report, const std::string& node) {
        for (const pb::CopiesReport::Node& line : report.nodes()) {
            if (line.node_id() == node) return line;
        }
        return {};
    }

    StepKit kit{std::make_unique<Mover>(), {pb::ACTOR_MOVER}};
    uint64_t configuration_index = 0;
    std::map<uint64_t, Names> places;
    std::map<std::string, std::set<uint64_t>> held;
    Names fetches;
};

TEST_F(MoverTest, a_count_that_misses_chunks_placed_before_it_is_not_the_last_word) {
    lead();
    place(1, {"node-1", "node-2", "node-3"});
    for (const char* node : {"node-1", "node-2", "node-3"}) hold(node, {1});
    ASSERT_EQ(round().chunks(), 1u);
    place(2, {"node-1", "node-2", "node-3"});
    hold("node-1", {1, 2});  // Its other copies were lost before it came into use.
    kit.deliver(message_of(pb::EarlierChunks()), {pb::ACTOR_FILES});
    EXPECT_FALSE(kit.take(Body::kCopiesReport)->copies_report().current());
    kit.advance(Mover::kSoonUs);
    kit.deliver(message_of(pb::EarlierChunks()), {pb::ACTOR_FILES});  // While it is being counted.
    const uint64_t began_us = kit.now_us();
    EXPECT_EQ(round().chunks(), 2u);
    EXPECT_EQ(fetches, (Names{"node-2 2", "node-3 2"})) << "what was under way went on";
    EXPECT_LT(kit.now_us() - began_us, kIntervalUs);
}

TEST_F(MoverTest, only_the_leader_works) {
    kit.drop_effects();
    kit.advance(10 * kIntervalUs);
    kit.expect_nothing();
    lead();
    EXPECT_EQ(round().rounds(), 1u);
    lead(false);
    EXPECT_EQ(kit.take(Body::kCopiesReport)->copies_report().rounds(), 0u) << "what it counted is not known any more";
    kit.advance(10 * kIntervalUs);
    kit.expect_nothing();
}

TEST_F(MoverTest, counts_what_the_nodes_hold) {
    place(1, {"node-1", "node-2", "node-3"});
    place(2, {"node-1", "node-2", "node-3"});
    for (const char* node : {"node-1", "node-2", "node-3"}) hold(node, {1, 2});
    lead();
    const pb::CopiesReport report = round();
    EXPECT_EQ(report.chunks(), 2u);
    EXPECT_EQ(report.copies(), 3u);
    EXPECT_EQ(report.fewer() + report.none(), 0u);
    EXPECT_EQ(count_of(report, "node-2").places(), 2u);
    EXPECT_TRUE(count_of(report, "node-2").counted());
    EXPECT_EQ(count_of(report, "node-2").last(), 0u);
    EXPECT_TRUE(fetches.empty());
}

TEST_F(MoverTest, a_copy_is_made_of_a_chunk_that_more_nodes_hold_than_a_place_can_name) {
    Names members{"node-1"};
    for (int i = 2; i <= 9; ++i) {
        members.push_back(str_cat("node-", i));
        peer_up(members.back());
        hold(members.back(), {1});
    }
    configure(members);
    place(1, {"node-1", "node-2", "node-3"});
    lead();
    EXPECT_EQ(round().fewer(), 0u);
    EXPECT_EQ(fetches, Names{"node-1 1"});
}

TEST_F(MoverTest, a_missing_copy_is_made_and_counts_from_then_on) {
    place(1, {"node-1", "node-2", "node-3"});
    hold("node-2", {1});
    lead();
    const pb::CopiesReport report = round();
    EXPECT_EQ(fetches, (Names{"node-1 1", "node-3 1"}));
    EXPECT_EQ(report.fewer(), 0u);
    EXPECT_EQ(count_of(report, "node-2").last(), 0u);
}

TEST_F(MoverTest, the_last_copy_and_the_lost_ones_are_told) {
    place(1, {"node-1", "node-2", "node-3"});
    place(2, {"node-1", "node-2", "node-3"});
    hold("node-2", {1});
    peer_down("node-1");  // Of itself: not believed.
    peer_down("node-3");
    lead();
    kit.advance(Mover::kEarlyRoundUs);
    kit.answer(kit.take(Body::kReadIndex), message_of(pb::ReadIndexReply()));
    kit.answer(kit.take(Body::kQuery), message_of(page()));
    answer_list(kit.take_to(Body::kChunkList, ""));
    answer_list(kit.take_to(Body::kChunkList, "node-2"));
    kit.fail(kit.take(Body::kChunkFetch), pb::STATUS_ENOSPC, "its disk is full");
    pb::CopiesReport report;
    while (auto told = kit.try_take(Body::kCopiesReport)) report = (*told)->copies_report();
    EXPECT_EQ(report.none(), 1u);
    EXPECT_EQ(report.fewer(), 2u);
    EXPECT_EQ(report.problem(), "node-1: its disk is full");
    EXPECT_EQ(count_of(report, "node-2").last(), 1u);
    EXPECT_FALSE(count_of(report, "node-3").counted());
}

TEST_F(MoverTest, who_leaves_is_emptied_place_by_place) {
    place(1, {"node-1", "node-2", "node-3"});
    for (const char* node : {"node-1", "node-2", "node-3"}) hold(node, {1});
    peer_up("node-4");
    configure({"node-1", "node-2", "node-3", "node-4"}, {"node-2"});
    lead();
    round();
    EXPECT_EQ(places.at(1), (Names{"node-1", "node-2", "node-3", "node-4"}));
    EXPECT_TRUE(fetches.empty()) << "the new place is in the log first";
    const pb::CopiesReport report = round();
    EXPECT_EQ(fetches, Names{"node-4 1"});
    EXPECT_EQ(places.at(1), (Names{"node-1", "node-3", "node-4"}));
    EXPECT_EQ(count_of(report, "node-2").places(), 0u);
    EXPECT_EQ(report.configuration_index(), configuration_index);
}

TEST_F(MoverTest, a_place_goes_only_after_the_copy_in_its_stead_is_durable) {
    place(1, {"node-1", "node-2", "node-3", "node-4"});
    for (const char* node : {"node-1", "node-2", "node-3"}) hold(node, {1});
    peer_up("node-4");
    configure({"node-1", "node-2", "node-3", "node-4"}, {"node-2"});
    lead();
    kit.advance(Mover::kEarlyRoundUs);
    kit.answer(kit.take(Body::kReadIndex), message_of(pb::ReadIndexReply()));
    kit.answer(kit.take(Body::kQuery), message_of(page()));
    while (auto list = kit.try_take(Body::kChunkList)) answer_list(*list);
    EXPECT_FALSE(kit.has(Body::kPropose));
    kit.fail(kit.take_to(Body::kChunkFetch, "node-4"), pb::STATUS_EIO);
    EXPECT_FALSE(kit.has(Body::kPropose)) << "node-2 keeps its place";
}

TEST_F(MoverTest, a_node_away_for_longer_than_the_delay_gets_its_copies_made_elsewhere) {
    place(1, {"node-1", "node-2", "node-3"});
    for (const char* node : {"node-1", "node-2", "node-3"}) hold(node, {1});
    peer_up("node-4");
    configure({"node-1", "node-2", "node-3", "node-4"});
    lead();
    round();
    peer_down("node-3");
    EXPECT_EQ(round().fewer(), 0u) << "it may be back in a moment";
    const uint64_t down_at_us = kit.now_us();
    while (kit.now_us() < down_at_us + kDelayUs - 2 * kIntervalUs) round();
    EXPECT_EQ(places.at(1), (Names{"node-1", "node-2", "node-3"}));
    while (kit.now_us() < down_at_us + kDelayUs + 2 * kIntervalUs) round();
    EXPECT_EQ(places.at(1), (Names{"node-1", "node-2", "node-4"}));
    EXPECT_EQ(fetches, Names{"node-4 1"});
}

TEST_F(MoverTest, a_change_among_the_nodes_begins_the_round_anew) {
    place(1, {"node-1", "node-2", "node-3"});
    lead();
    kit.advance(Mover::kEarlyRoundUs);
    const Message read = kit.take(Body::kReadIndex);
    kit.drop_effects();
    peer_down("node-2");
    EXPECT_FALSE(kit.take(Body::kCopiesReport)->copies_report().current());
    kit.answer(read, message_of(pb::ReadIndexReply()));
    EXPECT_FALSE(kit.has(Body::kQuery)) << "the answer belongs to a round that is over";
    EXPECT_EQ(round().rounds(), 1u);
}

TEST_F(MoverTest, a_node_that_does_not_list_its_chunks_is_not_counted) {
    place(1, {"node-1", "node-2", "node-3"});
    hold("node-1", {1});
    hold("node-2", {1});
    lead();
    kit.advance(Mover::kEarlyRoundUs);
    kit.answer(kit.take(Body::kReadIndex), message_of(pb::ReadIndexReply()));
    kit.answer(kit.take(Body::kQuery), message_of(page()));
    kit.fail(kit.take_to(Body::kChunkList, "node-3"), pb::STATUS_DEADLINE_EXCEEDED);
    const pb::CopiesReport report = round();
    EXPECT_FALSE(count_of(report, "node-3").counted());
    EXPECT_TRUE(count_of(report, "node-2").counted());
    EXPECT_TRUE(fetches.empty());
}

}  // namespace
}  // namespace sandstore
