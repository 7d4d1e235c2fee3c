// RaftNode through its messages: start, snapshots, reads that are forwarded, what operators ask.
#include "tests/unit/raft/raft_node_fixture.h"

namespace sandstore {
namespace {

TEST_F(RaftNodeTest, entries_leave_memory_when_they_are_durable_though_the_state_machine_is_slow) {
    cache_bytes = 10'000;
    lead();
    for (int i = 0; i < 50; ++i) {
        propose(std::string(1'000, 'c'));
        persist_all();
        acknowledge("node-2", node().core()->last_index());
        EXPECT_LE(node().core()->cached_bytes(), 12'000u);
    }
    EXPECT_EQ(node().core()->commit_index(), node().core()->last_index());
    EXPECT_FALSE(kit.has(Body::kLogRead)) << "enough is on its way";
    apply_all();
    const Message read = kit.take(Body::kLogRead);
    EXPECT_EQ(read->log_read().first_index(), node().applied_index() + 1);
}

TEST_F(RaftNodeTest, what_is_handed_to_a_state_machine_that_restores_or_is_slow_is_bounded) {
    begin(empty_log());
    persist_all();
    follow("node-2", 3);
    uint64_t last = 0;
    const auto append_some = [&] {
        std::string encoded;
        pb::AppendEntries append;
        append.set_term(3);
        append.set_prev_log_index(last);
        append.set_prev_log_term(last == 0 ? 0 : 3);
        append.set_record_count(1);
        append_record(&encoded, 3, ++last, RecordType::kCommand, Payload(std::string(kApplyBytesMax / 2, 'c')));
        append.set_leader_commit(last);
        kit.deliver(message_of(std::move(append), Payload(std::move(encoded))), peer("node-2"));
        persist_all();
    };
    for (int i = 0; i < 100; ++i) append_some();
    uint64_t handed_over = 0;
    while (std::optional<Message> apply = kit.try_take(Body::kApply)) handed_over += apply->payload.size();
    EXPECT_LE(handed_over, kApplyBatchesInFlight * kApplyBytesMax);
    EXPECT_EQ(node().core()->commit_index(), last);
}

TEST_F(RaftNodeTest, a_leader_whose_own_disk_is_slow_takes_no_more_than_it_may_hold) {
    uncommitted_bytes = 10'000;
    lead();
    const std::string command(1'000, 'c');
    uint64_t refused = 0;
    for (int i = 0; i < 50 && refused == 0; ++i) {
        const uint64_t id = kit.request(message_of(pb::Propose(), Payload(command)), pb::ACTOR_FILES);
        if (!kit.has(Body::kFlush)) refused = id;
        if (refused == 0) kit.deliver(kit.take(Body::kFlush), pb::ACTOR_RAFT);
        for (const char* other : {"node-2", "node-3"}) acknowledge(other, node().core()->last_index());
        ASSERT_EQ(node().core()->commit_index(), node().core()->last_index()) << "by the others";
    }
    ASSERT_NE(refused, 0u) << "all of it would be held in memory";
    EXPECT_EQ(kit.take_answer(refused)->propose_reply().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
    EXPECT_LE(node().core()->cached_bytes(), 13'000u);
    persist_all();
    const uint64_t taken = node().core()->last_index();
    propose(command);
    EXPECT_EQ(node().core()->last_index(), taken + 1);
}

TEST_F(RaftNodeTest, a_gap_between_log_and_snapshot_stops_the_node_with_a_reason) {
    pb::LogRecovered recovered;
    recovered.set_first_index(50);
    recovered.set_last_index(49);
    begin(recovered);
    ASSERT_TRUE(kit.stopped());
    EXPECT_NE(kit.stopped()->find("begins with entry 50"), std::string::npos);
}

TEST_F(RaftNodeTest, a_start_from_a_snapshot_restores_the_state_machine_before_it_is_sent_entries) {
    pb::SnapshotsRecovered snapshots;
    *snapshots.add_snapshots() = meta(40);
    begin(empty_log(), snapshots);
    const Message write = kit.take(Body::kLogWrite);  // The log is behind, and begins anew.
    EXPECT_EQ(write->log_write().restart().index(), 40u);
    const Message restore = kit.take(Body::kRestoreSnapshot);
    EXPECT_EQ(restore->restore_snapshot().meta().index(), 40u);
    EXPECT_EQ(node().core()->commit_index(), 40u);
    EXPECT_TRUE(node().is_restoring());
    pb::SnapshotRestored restored;
    restored.set_index(40);
    kit.answer(restore, message_of(std::move(restored)));
    EXPECT_EQ(node().applied_index(), 40u);
    EXPECT_FALSE(node().is_restoring());
}

TEST_F(RaftNodeTest, a_snapshot_that_cannot_be_restored_stops_the_node) {
    pb::SnapshotsRecovered snapshots;
    *snapshots.add_snapshots() = meta(40);
    begin(empty_log(), snapshots);
    pb::SnapshotRestored failed;
    failed.mutable_status()->set_code(pb::STATUS_CORRUPTED);
    failed.mutable_status()->set_message("section 3");
    kit.answer(kit.take(Body::kRestoreSnapshot), message_of(std::move(failed)));
    ASSERT_TRUE(kit.stopped());
    EXPECT_NE(kit.stopped()->find("section 3"), std::string::npos);
}

TEST_F(RaftNodeTest, snapshots_are_taken_by_size_of_log_and_the_log_keeps_what_the_older_one_does_not_hold) {
    lead();
    acknowledge("node-2", 2);
    apply_all();
    pb::SnapshotSaved saved;
    for (int round = 1; round <= 2; round++) {
        while (!kit.has(Body::kTakeSnapshot)) commit(std::string(200, 'x'));
        const uint64_t applied = node().applied_index();
        pb::SnapshotTaken taken;
        taken.set_index(applied);
        kit.answer(kit.take(Body::kTakeSnapshot), message_of(std::move(taken)));
        const Message save = kit.take(Body::kSaveSnapshot);
        EXPECT_EQ(save->save_snapshot().meta().index(), applied);
        EXPECT_EQ(save->save_snapshot().meta().term(), 2u);
        EXPECT_EQ(save->save_snapshot().meta().configuration().voters_size(), 3);
        EXPECT_EQ(save->save_snapshot().meta().configuration_index(), 1u);
        *saved.mutable_meta() = save->save_snapshot().meta();
        saved.mutable_kept()->Add()->CopyFrom(saved.meta());
        if (round == 2) saved.mutable_kept()->SwapElements(0, 1);
        kit.answer(save, message_of(pb::SnapshotSaved(saved)));
        if (round == 1) {
            EXPECT_FALSE(kit.has(Body::kLogCompact));
        }
    }
    EXPECT_EQ(kit.take(Body::kLogCompact)->log_compact().first_index(), saved.kept(1).index() + 1);
    EXPECT_EQ(node().core()->first_index(), saved.kept(1).index() + 1);
    EXPECT_EQ(node().snapshot_index(), saved.kept(0).index());
    EXPECT_TRUE(kit.logged(str_cat("Snapshot taken index=", saved.kept(0).index(), " bytes=0 took=0ms")));
    EXPECT_EQ(kit.metrics().histogram("sandstore_snapshot_save_duration_seconds", "").count(), 2u);
    EXPECT_EQ(kit.metrics().counter("sandstore_snapshot_failures_total", "").value(), 0u);
}

TEST_F(RaftNodeTest, a_snapshot_that_fails_is_let_go_and_the_operator_is_told) {
    lead();
    acknowledge("node-2", 2);
    apply_all();
    const uint64_t asked = kit.request(message_of(pb::RequestSnapshot()), pb::ACTOR_STATUS);
    pb::SnapshotTaken taken;
    taken.set_index(2);
    kit.answer(kit.take(Body::kTakeSnapshot), message_of(std::move(taken)));
    pb::SnapshotSaved failed;
    failed.mutable_status()->set_code(pb::STATUS_ENOSPC);
    failed.mutable_status()->set_message("no room");
    kit.answer(kit.take(Body::kSaveSnapshot), message_of(std::move(failed)));
    EXPECT_TRUE(kit.has(Body::kDropSnapshot));
    EXPECT_EQ(kit.metrics().counter("sandstore_snapshot_failures_total", "").value(), 1u);
    EXPECT_EQ(kit.take_answer(asked)->snapshot_saved().status().code(), pb::STATUS_ENOSPC);
}

TEST_F(RaftNodeTest, a_leaders_snapshot_is_stored_piece_by_piece_installed_and_restored) {
    begin(empty_log());
    persist_all();
    follow("node-2", 3);
    const pb::SnapshotMeta whole = meta(90, 2, 150);
    for (const auto& [offset, bytes] : {std::pair<uint64_t, uint64_t>(0, 0), {0, 100}, {100, 50}}) {
        pb::InstallSnapshot install;
        install.set_term(3);
        *install.mutable_meta() = whole;
        install.set_offset(offset);
        kit.deliver(message_of(std::move(install), Payload(std::string(bytes, 'b'))), peer("node-2"));
        const Message receive = kit.take(Body::kSnapshotReceive);
        kit.advance(1'000);
        EXPECT_EQ(receive->snapshot_receive().offset(), offset);
        EXPECT_EQ(receive.payload.size(), bytes);
        const bool complete = offset + bytes == 150;
        pb::SnapshotReceived received;
        *received.mutable_meta() = whole;
        received.set_next_offset(offset + bytes);
        received.set_complete(complete);
        if (complete) *received.add_kept() = whole;
        kit.answer(receive, message_of(std::move(received)));
        if (!complete) {
            const Message reply = kit.take(Body::kInstallSnapshotReply);
            EXPECT_EQ(reply->install_snapshot_reply().next_offset(), offset + bytes);
            EXPECT_FALSE(reply->install_snapshot_reply().installed());
        }
    }
    const Message write = kit.take(Body::kLogWrite);
    EXPECT_EQ(write->log_write().restart().index(), 90u);
    EXPECT_FALSE(kit.has(Body::kInstallSnapshotReply)) << "what the log was is still on the disk";
    pb::LogPersisted persisted;
    persisted.set_write_id(write->log_write().write_id());
    kit.deliver(message_of(std::move(persisted)), pb::ACTOR_LOG);
    EXPECT_TRUE(kit.take(Body::kInstallSnapshotReply)->install_snapshot_reply().installed());
    const Message restore = kit.take(Body::kRestoreSnapshot);
    EXPECT_EQ(restore->restore_snapshot().meta().index(), 90u);
    EXPECT_EQ(node().core()->last_index(), 90u);
    EXPECT_FALSE(kit.logged("Snapshot installed"));
    pb::SnapshotRestored restored;
    restored.set_index(90);
    kit.answer(restore, message_of(std::move(restored)));
    EXPECT_TRUE(kit.logged("Snapshot installed index=90 term=2 bytes=150"));
    const Histogram& installs = kit.metrics().histogram("sandstore_snapshot_install_duration_seconds", "");
    EXPECT_EQ(installs.count(), 1u);
    EXPECT_EQ(installs.sum_us(), 3'000u) << "from the first piece on";
    // The same once more: it is known.
    pb::InstallSnapshot again;
    again.set_term(3);
    *again.mutable_meta() = whole;
    kit.deliver(message_of(std::move(again)), peer("node-2"));
    EXPECT_TRUE(kit.take(Body::kInstallSnapshotReply)->install_snapshot_reply().installed());
    EXPECT_FALSE(kit.has(Body::kSnapshotReceive));
}

TEST_F(RaftNodeTest, a_follower_asks_the_leader_for_the_read_index) {
    begin(empty_log());
    persist_all();
    follow("node-2", 3);
    const uint64_t read = kit.request(message_of(pb::ReadIndex()), pb::ACTOR_FILES);
    const Message forwarded = kit.take_to(Body::kReadIndex, "node-2");
    EXPECT_TRUE(forwarded->read_index().leader_only());
    pb::ReadIndexReply reply;
    reply.set_index(77);
    kit.answer(forwarded, message_of(std::move(reply)));
    EXPECT_EQ(kit.take_answer(read)->read_index_reply().index(), 77u);

    pb::ReadIndex only;
    only.set_leader_only(true);
    const uint64_t refused = kit.request(message_of(std::move(only)), pb::ACTOR_FILES);
    const Message answer = kit.take_answer(refused);
    EXPECT_EQ(answer->read_index_reply().status().code(), pb::STATUS_NOT_LEADER);
    EXPECT_EQ(answer->read_index_reply().status().leader_id(), "node-2");

    const uint64_t unanswered = kit.request(message_of(pb::ReadIndex()), pb::ACTOR_FILES);
    kit.fail(kit.take(Body::kReadIndex), pb::STATUS_UNAVAILABLE);
    EXPECT_EQ(kit.take_answer(unanswered)->read_index_reply().status().code(), pb::STATUS_UNAVAILABLE);
}

TEST_F(RaftNodeTest, a_change_of_members_is_answered_when_it_is_committed) {
    lead();
    pb::ChangeMembership request;
    request.add_changes()->set_kind(pb::ChangeMembership::Change::ADD_LEARNER);
    request.mutable_changes(0)->set_node_id("node-4");
    request.mutable_changes(0)->set_address("far:1");
    const uint64_t early = kit.request(message_of(pb::ChangeMembership(request)), pb::ACTOR_STATUS);
    EXPECT_EQ(kit.take_answer(early)->membership_changed().status().code(),
              pb::STATUS_EBUSY);  // No commit of its own yet.
    acknowledge("node-2", 2);
    kit.drop_effects();
    const uint64_t asked = kit.request(message_of(std::move(request)), pb::ACTOR_STATUS);
    const Message told = kit.take(Body::kConfigurationChanged);
    EXPECT_EQ(told->configuration_changed().configuration().learners(0), "node-4");
    EXPECT_EQ(told->configuration_changed().configuration().addresses(0).address(), "far:1");
    EXPECT_FALSE(told->configuration_changed().committed());
    EXPECT_FALSE(kit.logged("learners=node-4"));
    persist_all();
    acknowledge("node-2", 3);
    EXPECT_TRUE(kit.logged("Members changed index=3 voters=node-1,node-2,node-3 learners=node-4"));
    EXPECT_EQ(kit.take_answer(asked)->membership_changed().configuration().learners(0), "node-4");
}

TEST_F(RaftNodeTest, a_transfer_is_answered_when_another_leads_and_proposals_meanwhile_find_no_leader) {
    lead();
    acknowledge("node-2", 2);
    kit.drop_effects();
    pb::TransferLeadership request;
    request.set_node_id("node-2");
    const uint64_t asked = kit.request(message_of(std::move(request)), pb::ACTOR_STATUS);
    EXPECT_EQ(kit.take_to(Body::kTimeoutNow, "node-2")->timeout_now().term(), 2u);
    const uint64_t proposed = propose("x");
    const Message refused = kit.take_answer(proposed);
    EXPECT_EQ(refused->propose_reply().status().code(), pb::STATUS_NOT_LEADER);
    EXPECT_EQ(refused->propose_reply().status().leader_id(), "");
    pb::Heartbeat heartbeat;
    heartbeat.set_term(3);
    kit.deliver(message_of(std::move(heartbeat)), peer("node-2"));
    EXPECT_EQ(kit.take_answer(asked)->status_reply().status().code(), pb::STATUS_OK);
}

TEST_F(RaftNodeTest, a_full_disk_refuses_proposals_until_there_is_room) {
    lead();
    acknowledge("node-2", 2);
    pb::LogSpace space;
    space.set_full(true);
    space.set_exhausted(true);
    space.set_detail("quota");
    kit.deliver(message_of(pb::LogSpace(space)), pb::ACTOR_LOG);
    const uint64_t refused = kit.request(message_of(pb::Propose(), Payload("x")), pb::ACTOR_FILES);
    EXPECT_EQ(kit.take_answer(refused)->propose_reply().status().code(), pb::STATUS_ENOSPC);
    EXPECT_TRUE(kit.logged("Disk full why=quota"));
    EXPECT_FALSE(kit.logged("Disk has room again"));
    space.set_full(false);
    space.set_exhausted(false);
    kit.deliver(message_of(pb::LogSpace(space)), pb::ACTOR_LOG);
    EXPECT_TRUE(kit.logged("Disk has room again"));
    kit.drop_effects();
    propose("y");
    EXPECT_TRUE(kit.has(Body::kLogWrite));
}

TEST_F(RaftNodeTest, proposals_and_their_failures_are_counted) {
    const auto failed = [&](const char* reason) {
        return kit.metrics().counter("sandstore_raft_proposals_failed_total", "", {{"reason", reason}}).value();
    };
    const Counter& arrived = kit.metrics().counter("sandstore_raft_proposals_total", "");
    const Gauge& pending = kit.metrics().gauge("sandstore_raft_proposals_pending", "");
    lead();
    acknowledge("node-2", 2);
    apply_all();
    propose("a");
    EXPECT_EQ(pending.value(), 1);
    persist_all();
    acknowledge("node-2", node().core()->last_index());
    apply_all();
    EXPECT_EQ(pending.value(), 0);
    EXPECT_EQ(failed("unavailable"), 0u);
    EXPECT_GE(kit.metrics().histogram("sandstore_fsm_apply_duration_seconds", "").count(), 2u);
    propose("b");
    propose("c");
    follow("node-3", 9);  // Nobody knows now what became of the two.
    EXPECT_EQ(failed("unavailable"), 2u);
    EXPECT_EQ(pending.value(), 0);
    kit.request(message_of(pb::Propose(), Payload("d")), pb::ACTOR_FILES);
    EXPECT_EQ(failed("not_leader"), 1u);
    EXPECT_EQ(arrived.value(), 4u);
}

TEST_F(RaftNodeTest, elections_are_counted_by_how_they_ended) {
    const auto elections = [&](const char* result) {
        return kit.metrics().counter("sandstore_raft_elections_total", "", {{"result", result}}).value();
    };
    begin(empty_log());
    persist_all();
    while (!kit.has(Body::kRequestVote)) ASSERT_TRUE(kit.fire_next_timer());
    follow("node-3", 1);  // A pre-vote is no election yet.
    EXPECT_EQ(elections("lost"), 0u);
    while (!kit.has(Body::kRequestVote)) ASSERT_TRUE(kit.fire_next_timer());
    vote("node-2", 2, true);
    persist_all();
    ASSERT_EQ(node().core()->role(), pb::RoleChanged::CANDIDATE);
    follow("node-3", 2);
    EXPECT_EQ(elections("lost"), 1u);
    EXPECT_EQ(elections("won"), 0u);
    while (!kit.has(Body::kRequestVote)) ASSERT_TRUE(kit.fire_next_timer());
    vote("node-2", 3, true);
    persist_all();
    vote("node-2", 3, false);
    persist_all();
    ASSERT_TRUE(node().core()->is_leader());
    EXPECT_EQ(elections("won"), 1u);
    EXPECT_EQ(elections("lost"), 1u);
}

TEST_F(RaftNodeTest, the_answer_to_a_heartbeat_tells_the_round_trip) {
    lead();
    kit.drop_effects();
    const Histogram& trips = kit.metrics().histogram("sandstore_raft_peer_rtt_seconds", "", {{"peer", "node-2"}});
    const auto answer = [&](const Message& heartbeat) {
        pb::HeartbeatReply reply;
        reply.set_term(node().core()->term());
        reply.set_round(heartbeat->heartbeat().round());
        kit.deliver(message_of(std::move(reply)), peer("node-2"));
    };
    // Those before may be answers to what was sent at the election: they end what is being timed.
    while (!kit.has(Body::kHeartbeat)) ASSERT_TRUE(kit.fire_next_timer());
    answer(kit.take_to(Body::kHeartbeat, "node-2"));
    kit.drop_effects();
    const uint64_t count = trips.count();
    const uint64_t sum_us = trips.sum_us();
    while (!kit.has(Body::kHeartbeat)) ASSERT_TRUE(kit.fire_next_timer());
    const Message heartbeat = kit.take_to(Body::kHeartbeat, "node-2");
    kit.advance(3'000);
    answer(heartbeat);
    EXPECT_EQ(trips.count(), count + 1);
    EXPECT_EQ(trips.sum_us(), sum_us + 3'000);
    answer(heartbeat);  // Twice is once.
    EXPECT_EQ(trips.count(), count + 1);
}

TEST(Progress, one_heartbeat_at_a_time_is_timed) {
    Progress progress(5, 0);
    EXPECT_EQ(progress.round_trip_us(1, 10), std::nullopt);
    progress.time_round(1, 100);
    progress.time_round(2, 150);
    EXPECT_EQ(progress.round_trip_us(0, 160), std::nullopt) << "an answer to an earlier one";
    EXPECT_EQ(progress.round_trip_us(1, 180), 80u);
    EXPECT_EQ(progress.round_trip_us(2, 190), std::nullopt);
    progress.time_round(3, 200);
    EXPECT_EQ(progress.round_trip_us(4, 260), std::nullopt) << "the timed one was lost";
    progress.time_round(5, 300);
    EXPECT_EQ(progress.round_trip_us(5, 310), 10u);
}

TEST_F(RaftNodeTest, it_speaks_to_the_neighbours_of_its_own_group) {
    StepKit third(std::make_unique<RaftNode>(), {pb::ACTOR_RAFT, 2});
    pb::StartRaft start;
    start.set_node_id("node-1");
    start.add_bootstrap_voters("node-1");
    third.deliver(message_of(std::move(start)), Address(pb::ACTOR_BOOTSTRAP));
    third.deliver(message_of(empty_log()), Address(pb::ACTOR_LOG, 2));
    third.deliver(message_of(pb::SnapshotsRecovered()), Address(pb::ACTOR_SNAPSHOTS, 2));
    third.deliver(message_of(pb::StateMachineReady()), Address(pb::ACTOR_STATE_MACHINE, 2));
    for (const StepEffect& effect : third.effects()) {
        if (effect.message->to_actor() == pb::PORT_TRANSPORT) continue;
        EXPECT_EQ(effect.message->to_instance(), 2u) << effect.message->ShortDebugString();
    }
    EXPECT_TRUE(third.has(Body::kLogWrite));
}

TEST_F(RaftNodeTest, heartbeats_tell_each_follower_what_the_leader_has_of_it) {
    lead();
    commit("a");
    kit.advance(30'000);
    kit.drop_effects();
    while (!kit.has(Body::kHeartbeat)) ASSERT_TRUE(kit.fire_next_timer());
    const pb::Standing of_2 = kit.take_to(Body::kHeartbeat, "node-2")->heartbeat().standing();
    const pb::Standing of_3 = kit.take_to(Body::kHeartbeat, "node-3")->heartbeat().standing();
    EXPECT_EQ(of_2.match_index(), node().core()->last_index());
    EXPECT_EQ(of_2.commit_index(), node().core()->commit_index());
    EXPECT_GE(of_2.silent_us(), 30'000u);
    EXPECT_LT(of_3.match_index(), of_2.match_index());
    EXPECT_EQ(of_3.commit_index(), of_2.commit_index());
}

TEST_F(RaftNodeTest, a_follower_says_what_its_leader_told_and_for_how_long_it_was_silent) {
    begin(empty_log());
    const auto status = [&] {
        const uint64_t id = kit.request(message_of(pb::RaftStatusRequest()), pb::ACTOR_STATUS);
        return kit.take_answer(id)->raft_status();
    };
    pb::Heartbeat heartbeat;
    heartbeat.set_term(2);
    heartbeat.mutable_standing()->set_commit_index(77);
    kit.deliver(message_of(pb::Heartbeat(heartbeat)), peer("node-2"));
    kit.advance(10'000);
    EXPECT_EQ(status().standing().commit_index(), 77u);
    EXPECT_EQ(status().leader_silent_us(), 10'000u);
    follow("node-3", 3);
    EXPECT_FALSE(status().has_standing()) << "another leader, which does not say";
}

// A lease of the leader rests on it. From seed 20002374.
TEST_F(RaftNodeTest, a_promise_to_a_leader_outlives_the_term_in_which_it_was_given) {
    begin(empty_log());
    follow("node-2", 2);
    pb::VoteReply of_a_later_term;
    of_a_later_term.set_term(3);
    of_a_later_term.set_pre_vote(true);
    kit.deliver(message_of(std::move(of_a_later_term)), peer("node-3"));
    persist_all();
    ASSERT_EQ(node().core()->term(), 3u);
    const auto asked_by_node_3 = [&] {
        kit.drop_effects();
        pb::RequestVote request;
        request.set_term(3);
        request.set_last_log_index(100);
        request.set_last_log_term(2);
        kit.deliver(message_of(std::move(request)), peer("node-3"));
        persist_all();
        return kit.take_to(Body::kVoteReply, "node-3")->vote_reply().granted();
    };
    EXPECT_FALSE(asked_by_node_3());
    kit.advance(node().core()->options().election_timeout_min_us);
    EXPECT_TRUE(asked_by_node_3());
    EXPECT_TRUE(asked_by_node_3()) << "the same vote once more";
}

}  // namespace
}  // namespace sandstore
