// RaftNode: a snapshot on its way to a peer.
#include "tests/unit/raft/raft_node_fixture.h"

namespace sandstore {
namespace {

constexpr uint64_t kPieceBytes = 100;  // As the fixture sets it.

class SnapshotTransferTest : public RaftNodeTest {
 protected:
    // node-3 says how much it has of the snapshot at entry `index`.
    void tell_how_far(uint64_t index, uint64_t next_offset) {
        pb::InstallSnapshotReply reply;
        reply.set_term(2);
        reply.set_index(index);
        reply.set_snapshot_term(1);
        reply.set_next_offset(next_offset);
        kit.deliver(message_of(std::move(reply)), peer("node-3"));
    }
    void begin_sending(const std::vector<pb::SnapshotMeta>& newest_first) {
        lead_with_snapshots(newest_first);
        verify(pb::STATUS_OK);
        tell_how_far(newest_first.front().index(), 3 * kPieceBytes);
        kit.drop_effects();
    }
    void commit_some() {
        propose(std::string(500, 'x'));
        persist_all();
        pb::AppendReply reply;
        reply.set_term(2);
        reply.set_success(true);
        reply.set_match_index(node().core()->last_index());
        kit.deliver(message_of(std::move(reply)), peer("node-2"));
        apply_all();
    }
    // What a snapshot is due for while another one is on its way, and some more.
    void commit_much() {
        for (int i = 0; i < 20; ++i) commit_some();
    }
    void save_snapshot() {
        pb::SnapshotTaken taken;
        taken.set_index(node().applied_index());
        kit.answer(kit.take(Body::kTakeSnapshot), message_of(std::move(taken)));
        const Message save = kit.take(Body::kSaveSnapshot);
        pb::SnapshotSaved saved;
        *saved.mutable_meta() = save->save_snapshot().meta();
        *saved.add_kept() = saved.meta();
        *saved.add_kept() = node().snapshots().front();
        kit.answer(save, message_of(std::move(saved)));
    }
    // node-2 answers heartbeats meanwhile.
    void pass(uint64_t us) {
        for (const uint64_t until_us = kit.now_us() + us; kit.now_us() < until_us;) {
            pb::HeartbeatReply reply;
            reply.set_term(2);
            kit.deliver(message_of(std::move(reply)), peer("node-2"));
            kit.advance(100'000);
        }
        kit.drop_effects();
    }
    void lose_and_find_node_3() {
        pb::PeerDown down;
        down.set_node_id("node-3");
        kit.deliver(message_of(std::move(down)), pb::PORT_TRANSPORT);
        pass(10'000'000);
        pb::PeerUp up;
        up.set_node_id("node-3");
        kit.deliver(message_of(std::move(up)), pb::PORT_TRANSPORT);
        const Message probe = kit.take_to(Body::kAppendEntries, "node-3");
        pb::AppendReply refusal;
        refusal.set_term(2);
        refusal.set_prev_log_index(probe->append_entries().prev_log_index());
        refusal.set_sequence(probe->append_entries().sequence());
        kit.deliver(message_of(std::move(refusal)), peer("node-3"));
    }
};

TEST_F(SnapshotTransferTest, goes_on_after_a_lost_connection_though_a_newer_one_was_taken_meanwhile) {
    begin_sending({meta(40, 1, 1'000)});
    commit_much();
    save_snapshot();
    ASSERT_GT(node().snapshot_index(), 40u);
    lose_and_find_node_3();
    EXPECT_FALSE(kit.has(Body::kSnapshotVerify)) << "the newer one would be sent from its beginning";
    EXPECT_EQ(kit.take_to(Body::kInstallSnapshot, "node-3")->install_snapshot().meta().index(), 40u);
    tell_how_far(40, 300);
    EXPECT_EQ(kit.take(Body::kSnapshotRead)->snapshot_read().offset(), 300u);
}

TEST_F(SnapshotTransferTest, begins_only_while_this_node_leads) {
    lead_with_snapshots({meta(40, 1, 1'000)});
    pb::HeartbeatReply newer;
    newer.set_term(3);
    kit.deliver(message_of(std::move(newer)), peer("node-2"));
    ASSERT_FALSE(node().core()->is_leader());
    verify(pb::STATUS_OK);
    EXPECT_FALSE(kit.has(Body::kInstallSnapshot)) << "it would be taken for the leader of a term that it does not lead";
}

TEST_F(SnapshotTransferTest, of_a_slow_peer_is_not_overtaken_by_ever_newer_snapshots) {
    begin_sending({meta(40, 1, 10'000)});
    commit_much();
    save_snapshot();
    for (uint64_t offset = 400; offset < 2'000; offset += 100) {
        commit_much();
        EXPECT_FALSE(kit.has(Body::kTakeSnapshot)) << "the file that is being sent would be removed";
        pass(SnapshotTransfer::kPatienceUs / 2);
        tell_how_far(40, offset);
    }
    EXPECT_EQ(node().core()->first_index(), 41u) << "the peer needs what comes after its snapshot";
}

TEST_F(SnapshotTransferTest, to_a_peer_that_takes_nothing_holds_up_neither_snapshots_nor_the_log) {
    begin_sending({meta(40, 1, 10'000)});
    commit_much();
    save_snapshot();
    commit_much();
    ASSERT_FALSE(kit.has(Body::kTakeSnapshot));
    pass(SnapshotTransfer::kPatienceUs);
    commit_some();
    save_snapshot();
    EXPECT_GT(node().core()->first_index(), 41u);
}

TEST_F(SnapshotTransferTest, a_snapshot_goes_out_in_a_window_and_resumes_where_the_peer_is) {
    lead_with_snapshots({meta(40, 1, 1'000)});
    EXPECT_FALSE(kit.has(Body::kInstallSnapshot));
    verify(pb::STATUS_OK);
    const Message question = kit.take_to(Body::kInstallSnapshot, "node-3");
    EXPECT_EQ(question.payload.size(), 0u);
    pb::InstallSnapshotReply reply;
    reply.set_term(2);
    reply.set_index(40);
    reply.set_snapshot_term(1);
    reply.set_next_offset(300);  // What it kept from an earlier attempt.
    kit.deliver(message_of(pb::InstallSnapshotReply(reply)), peer("node-3"));
    EXPECT_EQ(kit.count(Body::kSnapshotRead), SnapshotTransfer::kPiecesInFlight);
    uint64_t offset = 300;
    while (std::optional<Message> read = kit.try_take(Body::kSnapshotRead)) {
        EXPECT_EQ((*read)->snapshot_read().offset(), offset);
        pb::SnapshotBytes bytes;
        bytes.set_index(40);
        bytes.set_term(1);
        bytes.set_offset(offset);
        kit.answer(*read, message_of(std::move(bytes), Payload(std::string(100, 'b'))));
        EXPECT_EQ(kit.take(Body::kInstallSnapshot)->install_snapshot().offset(), offset);
        offset += 100;
        reply.set_next_offset(offset);
        kit.deliver(message_of(pb::InstallSnapshotReply(reply)), peer("node-3"));
    }
    EXPECT_EQ(offset, 1'000u);
    reply.set_installed(true);
    kit.deliver(message_of(pb::InstallSnapshotReply(reply)), peer("node-3"));
    EXPECT_EQ(kit.take_to(Body::kAppendEntries, "node-3")->append_entries().prev_log_index(), 40u);
}

TEST_F(SnapshotTransferTest, a_damaged_snapshot_is_sent_to_nobody_and_the_older_one_is) {
    lead_with_snapshots({meta(40, 1, 1'000), meta(30, 1, 900)}, 30);
    verify(pb::STATUS_CORRUPTED, {meta(30, 1, 900)});
    EXPECT_FALSE(kit.has(Body::kInstallSnapshot));
    EXPECT_TRUE(kit.has(Body::kTakeSnapshot)) << "so that there are two again";
    EXPECT_EQ(kit.metrics().counter("sandstore_snapshot_damaged_total", "").value(), 1u);
    EXPECT_EQ(node().snapshot_index(), 30u);
    wait_for_verify();
    verify(pb::STATUS_OK);
    EXPECT_EQ(kit.take_to(Body::kInstallSnapshot, "node-3")->install_snapshot().meta().index(), 30u);
}

// The log begins anew behind a leader's snapshot: no older one leads up to it. From seed 20000747.
TEST_F(SnapshotTransferTest, an_older_snapshot_that_the_log_does_not_go_on_from_is_sent_to_nobody) {
    lead_with_snapshots({meta(40, 1, 1'000), meta(30, 1, 900)});
    verify(pb::STATUS_CORRUPTED, {meta(30, 1, 900)});
    EXPECT_EQ(node().snapshot_index(), 0u);
    pb::SnapshotTaken taken;
    taken.set_index(40);
    kit.answer(kit.take(Body::kTakeSnapshot), message_of(std::move(taken)));
    EXPECT_TRUE(kit.has(Body::kSaveSnapshot));
}

TEST_F(SnapshotTransferTest, without_any_good_snapshot_a_fresh_one_is_taken_and_sent) {
    lead_with_snapshots({meta(40, 1, 1'000)});
    verify(pb::STATUS_CORRUPTED);
    pb::SnapshotTaken taken;
    taken.set_index(40);
    kit.answer(kit.take(Body::kTakeSnapshot), message_of(std::move(taken)));
    pb::SnapshotSaved saved;
    *saved.mutable_meta() = meta(40, 1, 1'100);
    *saved.add_kept() = saved.meta();
    kit.answer(kit.take(Body::kSaveSnapshot), message_of(std::move(saved)));
    wait_for_verify();
    verify(pb::STATUS_OK);
    EXPECT_EQ(kit.take_to(Body::kInstallSnapshot, "node-3")->install_snapshot().meta().file_bytes(), 1'100u);
}

TEST_F(SnapshotTransferTest, after_each_transfer_that_failed_the_next_one_waits_longer) {
    lead_with_snapshots({meta(40, 1, 1'000)});
    uint64_t waited_us = 0;
    for (int round = 0; round < 5; round++) {
        verify(pb::STATUS_OK);
        kit.take_to(Body::kInstallSnapshot, "node-3");
        pb::InstallSnapshotReply reply;
        reply.set_term(2);
        reply.set_index(40);
        reply.set_snapshot_term(1);
        reply.set_failed(true);
        const uint64_t failed_at_us = kit.now_us();
        kit.deliver(message_of(std::move(reply)), peer("node-3"));
        EXPECT_FALSE(kit.has(Body::kInstallSnapshot));
        wait_for_verify();
        const uint64_t now_waited_us = kit.now_us() - failed_at_us;
        EXPECT_GT(now_waited_us, waited_us);
        waited_us = now_waited_us;
    }
    EXPECT_GE(waited_us, TransferBackoff::kFirstUs * 16);
    EXPECT_EQ(kit.metrics().counter("sandstore_snapshot_transfer_failures_total", "").value(), 5u);
}

TEST_F(SnapshotTransferTest, bytes_of_another_snapshot_are_not_taken_for_those_of_the_one_on_its_way) {
    lead_with_snapshots({meta(40, 1, 1'000)});
    verify(pb::STATUS_OK);
    pb::InstallSnapshotReply reply;
    reply.set_term(2);
    reply.set_index(40);
    reply.set_snapshot_term(1);
    kit.deliver(message_of(std::move(reply)), peer("node-3"));
    kit.take_to(Body::kInstallSnapshot, "node-3");
    pb::SnapshotBytes late;
    late.set_index(30);
    late.set_term(1);
    kit.answer(kit.take(Body::kSnapshotRead), message_of(std::move(late), Payload(std::string(100, 'b'))));
    EXPECT_FALSE(kit.has(Body::kInstallSnapshot));
}

}  // namespace
}  // namespace sandstore
