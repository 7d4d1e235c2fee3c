// A RaftNode that is stepped by hand.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"
#include "tests/kit/step_kit.h"

namespace sandstore {

using Body = pb::Envelope;

// node-1 of three; the test speaks for its neighbours and for node-2 and node-3.
class RaftNodeTest : public ::testing::Test {
 protected:
    RaftNodeTest() : kit(std::make_unique<RaftNode>(), {pb::ACTOR_RAFT}) {}

    RaftNode& node() { return static_cast<RaftNode&>(kit.actor()); }
    Address peer(const char* name) { return {name, pb::ACTOR_RAFT}; }

    void begin(const pb::LogRecovered& recovered, const pb::SnapshotsRecovered& snapshots = {}) {
        pb::StartRaft start;
        start.set_node_id("node-1");
        for (const char* name : {"node-1", "node-2", "node-3"}) start.add_bootstrap_voters(name);
        start.set_snapshot_log_bytes(1'000);
        start.set_snapshot_piece_bytes(100);
        start.set_cache_bytes(cache_bytes);
        start.set_uncommitted_bytes_max(uncommitted_bytes);
        kit.deliver(message_of(std::move(start)), pb::ACTOR_BOOTSTRAP);
        kit.deliver(message_of(pb::LogRecovered(recovered)), pb::ACTOR_LOG);
        kit.deliver(message_of(pb::StateMachineReady()), pb::ACTOR_STATE_MACHINE);
        EXPECT_EQ(node().core(), nullptr);  // It waits for all of them.
        kit.deliver(message_of(pb::SnapshotsRecovered(snapshots)), pb::ACTOR_SNAPSHOTS);
    }
    static pb::LogRecovered empty_log() {
        pb::LogRecovered recovered;
        recovered.set_first_index(1);
        return recovered;
    }
    static pb::SnapshotMeta meta(uint64_t index, uint64_t term = 1, uint64_t bytes = 350) {
        pb::SnapshotMeta meta;
        meta.set_index(index);
        meta.set_term(term);
        meta.set_configuration_index(1);
        meta.set_file_bytes(bytes);
        for (const char* name : {"node-1", "node-2", "node-3"}) meta.mutable_configuration()->add_voters(name);
        return meta;
    }
    // Answers every write of the log at once.
    void persist_all() {
        while (std::optional<Message> write = kit.try_take(Body::kLogWrite)) {
            pb::LogPersisted persisted;
            persisted.set_write_id((*write)->log_write().write_id());
            kit.deliver(message_of(std::move(persisted)), pb::ACTOR_LOG);
        }
    }
    void vote(const char* name, uint64_t term, bool pre_vote) {
        pb::VoteReply reply;
        reply.set_granted(true);
        reply.set_term(term);
        reply.set_pre_vote(pre_vote);
        kit.deliver(message_of(std::move(reply)), peer(name));
    }
    void be_elected() {
        while (!kit.has(Body::kRequestVote)) ASSERT_TRUE(kit.fire_next_timer());
        vote("node-2", 2, true);
        persist_all();
        vote("node-2", 2, false);
        persist_all();
        ASSERT_TRUE(node().core()->is_leader());
    }
    void lead() {
        begin(empty_log());
        persist_all();
        be_elected();
    }
    // A follower answers heartbeats meanwhile.
    void wait_for_verify() {
        while (!kit.has(Body::kSnapshotVerify)) {
            pb::HeartbeatReply reply;
            reply.set_term(node().core()->term());
            kit.deliver(message_of(std::move(reply)), peer("node-2"));
            ASSERT_TRUE(kit.fire_next_timer());
        }
    }
    // The answer of the SnapshotStore: of the snapshot asked about, and what is left.
    void verify(pb::StatusCode code, const std::vector<pb::SnapshotMeta>& kept = {}) {
        const Message asked = kit.take(Body::kSnapshotVerify);
        pb::SnapshotVerified verified;
        verified.mutable_status()->set_code(code);
        verified.set_index(asked->snapshot_verify().index());
        verified.set_term(asked->snapshot_verify().term());
        for (const pb::SnapshotMeta& left : kept) *verified.add_kept() = left;
        kit.answer(asked, message_of(std::move(verified)));
    }
    // A leader whose log begins after the newer one of these, or earlier.
    void lead_with_snapshots(const std::vector<pb::SnapshotMeta>& newest_first, uint64_t first_index = UINT64_MAX) {
        pb::SnapshotsRecovered snapshots;
        for (const pb::SnapshotMeta& snapshot : newest_first) *snapshots.add_snapshots() = snapshot;
        const uint64_t index = newest_first.front().index();
        pb::LogRecovered recovered;
        recovered.set_first_index(std::min(first_index, index + 1));
        recovered.set_last_index(index);
        if (first_index <= index) {
            pb::TermRun& run = *recovered.add_term_runs();
            run.set_first_index(first_index);
            run.set_term(1);
        }
        recovered.mutable_hard_state()->set_term(1);
        begin(recovered, snapshots);
        pb::SnapshotRestored restored;
        restored.set_index(index);
        kit.answer(kit.take(Body::kRestoreSnapshot), message_of(std::move(restored)));
        be_elected();
        kit.drop_effects();
        pb::AppendReply refusal;  // node-3 has an empty log.
        refusal.set_term(2);
        refusal.set_prev_log_index(index);
        refusal.set_sequence(1);
        kit.deliver(message_of(std::move(refusal)), peer("node-3"));
    }
    void acknowledge(const char* name, uint64_t index) {
        pb::AppendReply reply;
        reply.set_term(node().core()->term());
        reply.set_success(true);
        reply.set_match_index(index);
        kit.deliver(message_of(std::move(reply)), peer(name));
    }
    void follow(const char* leader, uint64_t term) {
        pb::Heartbeat heartbeat;
        heartbeat.set_term(term);
        heartbeat.set_round(1);
        kit.deliver(message_of(std::move(heartbeat)), peer(leader));
        persist_all();
        kit.drop_effects();
    }
    // What the state machine was sent, acknowledged.
    void apply_all() {
        while (std::optional<Message> apply = kit.try_take(Body::kApply)) {
            pb::Applied applied;
            applied.set_last_index((*apply)->apply().first_index() + (*apply)->apply().record_count() - 1);
            kit.deliver(message_of(std::move(applied)), pb::ACTOR_STATE_MACHINE);
        }
    }
    uint64_t propose(const std::string& command) {
        const uint64_t id = kit.request(message_of(pb::Propose(), Payload(command)), pb::ACTOR_FILES);
        kit.deliver(kit.take(Body::kFlush), pb::ACTOR_RAFT);
        return id;
    }
    void commit(const std::string& command) {
        propose(command);
        persist_all();
        acknowledge("node-2", node().core()->last_index());
        apply_all();
    }

    StepKit kit;
    uint64_t cache_bytes = 0;  // 0: as it is without a setting. Likewise:
    uint64_t uncommitted_bytes = 0;
};

}  // namespace sandstore
