#include "actors/log/log_store.h"

#include <cerrno>

#include "actors/log/segment_format.h"
#include "runtime/check.h"
#include "tests/unit/log/log_bench.h"

namespace sandstore {
namespace {

using Entries = std::vector<TestEntry>;

TestEntry command(uint64_t term, uint64_t index, std::string data) {
    return {term, index, RecordType::kCommand, std::move(data)};
}

TEST(LogStore, a_new_directory_is_an_empty_log) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.first_index(), 1u);
    EXPECT_EQ(recovered.last_index(), 0u);
    EXPECT_EQ(recovered.term_runs_size(), 0);
    EXPECT_EQ(recovered.hard_state().term(), 0u);
}

TEST(LogStore, recovered_goes_to_raft_of_the_same_instance) {
    SimDisk disk(1);
    StepKit kit(std::make_unique<LogStore>(), {pb::ACTOR_LOG, 4});
    pb::StartLog start;
    start.set_segment_bytes(64 << 10);
    kit.deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
    while (auto request = kit.try_take(pb::Envelope::kDiskRequest)) {
        Payload read;
        pb::DiskReply reply = disk.execute((*request)->disk_request(), request->payload, &read);
        kit.answer(*request, message_of(std::move(reply), std::move(read)));
    }
    EXPECT_EQ(receiver_of(kit.take(pb::Envelope::kLogRecovered)), Address(pb::ACTOR_RAFT, 4));
}

TEST(LogStore, an_append_is_acknowledged_only_after_its_sync) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.take_recovered();
    log.write(hard_state_of(2, "node-1"), {command(2, 1, "a"), command(2, 2, "b")});
    EXPECT_TRUE(log.take_persisted().empty());
    const Message request = log.kit().take(pb::Envelope::kDiskRequest);
    const pb::DiskRequest& asked = request->disk_request();
    EXPECT_TRUE(asked.operations(asked.operations_size() - 2).has_sync());
    EXPECT_TRUE(asked.operations(asked.operations_size() - 1).has_write()) << "the seal, for which nobody waits";
    EXPECT_EQ(receiver_of(request), Address(pb::PORT_LOG_DISK));
    EXPECT_TRUE(log.take_persisted().empty());
    Payload read;
    log.kit().answer(request, message_of(disk.execute(asked, request.payload, &read)));
    const auto persisted = log.take_persisted();
    ASSERT_EQ(persisted.size(), 1u);
    EXPECT_EQ(persisted[0].write_id(), 1u);
    EXPECT_EQ(persisted[0].last_index(), 2u);
    EXPECT_EQ(persisted[0].last_term(), 2u);
}

TEST(LogStore, what_was_written_is_there_after_a_restart) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.write(hard_state_of(1, "node-2"), {{1, 1, RecordType::kConfiguration, "voters"}, command(1, 2, "a")});
    log.write(hard_state_of(3), {{3, 3, RecordType::kNoOp, ""}, command(3, 4, std::string(5000, 'x'))});
    log.run();
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.last_index(), 4u);
    ASSERT_EQ(recovered.term_runs_size(), 2);
    EXPECT_EQ(recovered.term_runs(0).first_index(), 1u);
    EXPECT_EQ(recovered.term_runs(1).first_index(), 3u);
    EXPECT_EQ(recovered.term_runs(1).term(), 3u);
    EXPECT_EQ(recovered.hard_state().term(), 3u);
    EXPECT_EQ(recovered.hard_state().voted_for(), "");
    ASSERT_EQ(recovered.configurations_size(), 1);
    EXPECT_EQ(recovered.configurations(0).index(), 1u);
    EXPECT_EQ(recovered.configurations(0).configuration(), "voters");
    const Entries expected = {{1, 1, RecordType::kConfiguration, "voters"},
                              command(1, 2, "a"),
                              {3, 3, RecordType::kNoOp, ""},
                              command(3, 4, std::string(5000, 'x'))};
    EXPECT_EQ(log.read_all(1, 4), expected);
}

TEST(LogStore, writes_that_arrive_during_a_sync_become_one_block) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "first");
    for (uint64_t i = 2; i <= 50; i++) log.append(1, i, "entry " + std::to_string(i));
    log.write(hard_state_of(1, "node-1"), {});
    EXPECT_EQ(log.kit().count(pb::Envelope::kDiskRequest), 1u);
    log.step_disk();
    auto persisted = log.take_persisted();
    ASSERT_EQ(persisted.size(), 1u);
    EXPECT_EQ(persisted[0].write_id(), 1u);
    // A spare may be on its way too; the write is the request with the records.
    log.run();
    persisted = log.take_persisted();
    ASSERT_EQ(persisted.size(), 1u);
    EXPECT_EQ(persisted[0].write_id(), 51u);
    EXPECT_EQ(persisted[0].last_index(), 50u);
    EXPECT_EQ(log.kit().metrics().counter("sandstore_wal_blocks_total", "").value(), 2u);
    EXPECT_EQ(log.kit().metrics().counter("sandstore_wal_records_total", "").value(), 50u);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 50u);
}

TEST(LogStore, each_sender_hears_of_its_own_newest_write) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.take_recovered();
    log.append(1, 1, "first");
    log.write(std::nullopt, {command(1, 2, "a")}, {pb::ACTOR_RAFT, 1});
    log.write(std::nullopt, {command(1, 3, "b")}, {pb::ACTOR_RAFT, 2});
    log.write(std::nullopt, {command(1, 4, "c")}, {pb::ACTOR_RAFT, 1});
    log.run();
    EXPECT_EQ(receiver_of(log.kit().take(pb::Envelope::kLogPersisted)), Address(pb::ACTOR_RAFT));
    const Message one = log.kit().take(pb::Envelope::kLogPersisted);
    EXPECT_EQ(receiver_of(one), Address(pb::ACTOR_RAFT, 1));
    EXPECT_EQ(one->log_persisted().write_id(), 4u);
    const Message two = log.kit().take(pb::Envelope::kLogPersisted);
    EXPECT_EQ(receiver_of(two), Address(pb::ACTOR_RAFT, 2));
    EXPECT_EQ(two->log_persisted().write_id(), 3u);
    EXPECT_EQ(two->log_persisted().last_index(), 4u);
}

TEST(LogStore, a_conflicting_write_replaces_the_end_of_the_log) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.write(hard_state_of(1), {command(1, 1, "a"), {1, 2, RecordType::kConfiguration, "old"}, command(1, 3, "c")});
    log.run();
    log.write(hard_state_of(2), {command(2, 2, "B")});
    log.run();
    EXPECT_EQ(log.take_persisted().back().last_index(), 2u);
    const Entries expected = {command(1, 1, "a"), command(2, 2, "B")};
    EXPECT_EQ(log.read_all(1, 2), expected);
    EXPECT_EQ(log.read(3, 3).reply.status().code(), pb::STATUS_ENOENT);
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.last_index(), 2u);
    EXPECT_EQ(recovered.configurations_size(), 0);
    EXPECT_EQ(log.read_all(1, 2), expected);
}

TEST(LogStore, a_conflict_within_one_group_is_merged) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.write(std::nullopt, {command(1, 2, "b"), command(1, 3, "c"), command(1, 4, "d")});
    log.write(hard_state_of(2), {command(2, 3, "C")});
    log.write(std::nullopt, {command(2, 4, "D")});
    log.write(hard_state_of(3), {command(3, 4, "DD"), command(3, 5, "E")});
    log.run();
    const Entries expected = {command(1, 1, "a"), command(1, 2, "b"), command(2, 3, "C"), command(3, 4, "DD"),
                              command(3, 5, "E")};
    EXPECT_EQ(log.read_all(1, 5), expected);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 5u);
    EXPECT_EQ(log.read_all(1, 5), expected);
}

TEST(LogStore, a_hard_state_alone_is_durable) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.write(hard_state_of(7, "node-3"), {});
    log.run();
    const auto persisted = log.take_persisted();
    ASSERT_EQ(persisted.size(), 1u);
    EXPECT_EQ(persisted[0].last_index(), 0u);
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.hard_state().term(), 7u);
    EXPECT_EQ(recovered.hard_state().voted_for(), "node-3");
    EXPECT_EQ(recovered.last_index(), 0u);
}

TEST(LogStore, the_log_rolls_over_many_segments) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(8 << 10);
    log.start();
    Entries expected;
    for (uint64_t i = 1; i <= 200; i++) {
        expected.push_back(command(1 + i / 50, i, std::string(300 + i, static_cast<char>('a' + i % 26))));
        log.write(i % 40 == 0 ? std::optional(hard_state_of(1 + i / 50, "node-1")) : std::nullopt, {expected.back()});
        if (i % 3 == 0) log.run();
    }
    log.run();
    EXPECT_GT(disk.files().size(), 15u);
    EXPECT_EQ(log.read_all(1, 200), expected);
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.last_index(), 200u);
    EXPECT_EQ(recovered.term_runs_size(), 5);
    EXPECT_EQ(recovered.hard_state().term(), 5u);
    EXPECT_EQ(log.read_all(1, 200), expected);
}

TEST(LogStore, a_write_larger_than_a_segment_gets_a_larger_one) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(8 << 10);
    log.start();
    log.append(1, 1, "small");
    log.append(1, 2, std::string(100'000, 'L'));
    log.append(1, 3, "small again");
    log.run();
    EXPECT_EQ(log.take_persisted().back().write_id(), 3u);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 3u);
    EXPECT_EQ(log.read_all(1, 3)[1].data.size(), 100'000u);
}

TEST(LogStore, a_spare_is_ready_before_it_is_needed) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(16 << 10);
    log.start();
    ASSERT_EQ(disk.files().size(), 1u);
    EXPECT_EQ(disk.files()[0], "log/spare-0000000000000001.seg");
    log.append(1, 1, std::string(4000, 'x'));
    log.run();
    const std::vector<std::string> expected = {"log/0000000000000001.seg", "log/spare-0000000000000002.seg"};
    EXPECT_EQ(disk.files(), expected);
    // Rolling over takes one request and makes no file.
    log.append(1, 2, std::string(10'000, 'y'));
    log.take_persisted();
    log.step_disk();
    EXPECT_EQ(log.take_persisted().size(), 1u);
    EXPECT_TRUE(disk.exists("log/0000000000000002.seg"));
}

TEST(LogStore, a_spare_is_made_in_small_steps) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(4 << 20);
    log.begin();
    log.step_disk();
    size_t steps = 0;
    while (auto request = log.kit().try_take(pb::Envelope::kDiskRequest)) {
        EXPECT_LE(request->payload.size(), 256u << 10);
        Payload read;
        log.kit().answer(*request, message_of(disk.execute((*request)->disk_request(), request->payload, &read)));
        steps++;
    }
    EXPECT_EQ(steps, 16u);
    EXPECT_EQ(disk.contents("log/spare-0000000000000001.seg").size(), 4u << 20);
}

TEST(LogStore, half_made_spares_are_removed_and_whole_ones_used) {
    SimDisk disk(1);
    disk.set_contents("log/spare-0000000000000003.seg", std::string(1000, '\0'));
    disk.set_contents("log/spare-0000000000000005.seg", std::string(64 << 10, '\x5a'));
    disk.set_contents("log/notes.txt", "mine");
    LogBench log(&disk);
    log.start();
    EXPECT_FALSE(disk.exists("log/spare-0000000000000003.seg"));
    EXPECT_TRUE(disk.exists("log/notes.txt"));
    EXPECT_TRUE(log.kit().logged("notes.txt"));
    log.append(1, 1, "into the old file");
    log.run();
    EXPECT_TRUE(disk.exists("log/spare-0000000000000006.seg"));
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 1u);
}

TEST(LogStore, reads_stop_at_the_byte_limit_but_give_one_record) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    for (uint64_t i = 1; i <= 10; i++) log.append(1, i, std::string(75, 'r'));
    log.run();
    EXPECT_EQ(log.read(1, 10, 1).entries.size(), 1u);
    EXPECT_EQ(log.read(1, 10, 250).entries.size(), 2u);
    EXPECT_EQ(log.read(4, 6).entries.size(), 3u);
    const LogBench::Records all = log.read(3, 99);
    EXPECT_EQ(all.entries.size(), 8u);
    EXPECT_EQ(all.reply.first_index(), 3u);
    EXPECT_EQ(all.reply.last_term(), 1u);
    EXPECT_EQ(log.read(0, 5).reply.status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(log.read(11, 12).reply.status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(log.read(5, 4).reply.status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST(LogStore, entries_on_their_way_to_the_disk_are_not_read) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.append(1, 2, "b");
    log.run();
    log.append(2, 2, "B");
    // Entry 2 is being replaced: neither the old nor the new one is given out.
    pb::LogRead read;
    read.set_first_index(2);
    read.set_last_index(2);
    const uint64_t id = log.kit().request(message_of(read), {pb::ACTOR_RAFT});
    EXPECT_EQ(log.kit().take_answer(id)->log_records().status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(log.read(1, 2).entries.size(), 1u);
    EXPECT_EQ(log.read(2, 2).entries.at(0).data, "B");
}

TEST(LogStore, writes_out_of_order_break_an_invariant) {
    const auto broken = [](auto&& wrong) {
        SimDisk disk(1);
        LogBench log(&disk);
        log.start();
        log.write(hard_state_of(2, "node-1"), {command(2, 1, "a"), command(2, 2, "b")});
        log.run();
        EXPECT_THROW(wrong(log), InvariantBroken);
    };
    broken([](LogBench& log) { log.append(2, 4, "a gap"); });
    broken([](LogBench& log) { log.append(1, 3, "an older term"); });
    broken([](LogBench& log) { log.write(std::nullopt, {command(2, 3, "c"), command(2, 5, "e")}); });
    broken([](LogBench& log) { log.write(hard_state_of(1), {}); });
    broken([](LogBench& log) { log.write(hard_state_of(2, "node-2"), {}); });
    broken([](LogBench& log) {
        pb::LogWrite write;
        write.set_write_id(9);
        log.kit().deliver(message_of(write), {pb::ACTOR_RAFT});
    });
    broken([](LogBench& log) {
        pb::LogWrite write;
        write.set_write_id(2);
        write.set_first_index(3);
        write.set_record_count(2);
        log.kit().deliver(message_of(write, encode_entries({command(2, 3, "one only")})), {pb::ACTOR_RAFT});
    });
}

// --- Disks that fail

TEST(LogStore, a_failed_sync_stops_the_node_and_is_not_tried_again) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.run();
    log.take_persisted();
    disk.add_fault({pb::DiskOperation::kSync, EIO});
    log.append(1, 2, "b");
    log.run();
    EXPECT_TRUE(log.stopped());
    EXPECT_NE(log.reason().find("sync of log/0000000000000001.seg"), std::string::npos) << log.reason();
    EXPECT_NE(log.reason().find("errno 5"), std::string::npos) << log.reason();
    EXPECT_TRUE(log.take_persisted().empty());
    EXPECT_FALSE(log.kit().has(pb::Envelope::kDiskRequest));
}

TEST(LogStore, after_a_failed_sync_a_restart_does_not_trust_the_cache) {
    // The bytes are in the cache and not on the disk; the next process reads them, and must write them itself.
    for (uint64_t seed = 1; seed <= 20; seed++) {
        SimDisk disk(seed);
        LogBench log(&disk);
        log.start();
        log.append(1, 1, "a");
        log.run();
        disk.add_fault({pb::DiskOperation::kSync, EIO});
        log.append(1, 2, std::string(2000, 'b'));
        log.run();
        ASSERT_TRUE(log.stopped());
        log.start();
        const uint64_t last = log.take_recovered().last_index();
        EXPECT_EQ(last, 2u) << "the cache still has it";
        log.restart();
        EXPECT_EQ(log.take_recovered().last_index(), last) << "seed " << seed;
    }
}

TEST(LogStore, a_failed_write_stops_the_node) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    disk.add_fault({pb::DiskOperation::kWrite, EIO});
    log.append(1, 1, "a");
    log.run();
    EXPECT_TRUE(log.stopped());
    EXPECT_TRUE(log.take_persisted().empty());
}

TEST(LogStore, a_failed_read_stops_the_node) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.run();
    disk.add_fault({pb::DiskOperation::kRead, EIO});
    log.read(1, 1);
    EXPECT_TRUE(log.stopped());
}

TEST(LogStore, a_flipped_bit_is_never_read_as_an_entry) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, std::string(100, 'a'));
    log.run();
    ASSERT_TRUE(disk.flip_bit("log/0000000000000001.seg", kSegmentHeaderBytes + kBlockHeaderBytes + 60));
    log.read(1, 1);
    EXPECT_TRUE(log.stopped());
    EXPECT_NE(log.reason().find("damaged"), std::string::npos) << log.reason();
}

TEST(LogStore, a_full_disk_delays_writes_until_there_is_space) {
    SimDisk disk(1, 20 << 10);
    LogBench log(&disk);
    log.set_segment_bytes(16 << 10);
    log.start();
    log.append(1, 1, std::string(8000, 'a'));
    log.run();
    EXPECT_EQ(log.take_persisted().size(), 1u);
    EXPECT_TRUE(log.kit().logged("The disk is full"));
    log.append(1, 2, std::string(8000, 'b'));
    log.append(1, 3, "c");
    for (int i = 0; i < 5; i++) {
        log.run();
        EXPECT_EQ(log.kit().timers(), 1u);
        log.kit().fire_next_timer();
    }
    log.run();
    EXPECT_TRUE(log.take_persisted().empty());
    EXPECT_FALSE(log.stopped());
    EXPECT_EQ(log.read(1, 1).entries.size(), 1u) << "reading goes on";
    disk.set_capacity(1 << 20);
    log.kit().fire_next_timer();
    log.run();
    ASSERT_FALSE(log.stopped());
    EXPECT_EQ(log.take_persisted().back().write_id(), 3u);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 3u);
}

TEST(LogStore, a_full_disk_at_the_naming_of_a_segment_is_waited_for) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    disk.add_fault({pb::DiskOperation::kRename, ENOSPC, "", 0, 2});
    log.append(1, 1, "a");
    log.run();
    EXPECT_TRUE(log.take_persisted().empty());
    log.append(1, 2, "b");
    log.kit().fire_next_timer();
    log.run();
    EXPECT_TRUE(log.take_persisted().empty());
    log.kit().fire_next_timer();
    log.run();
    EXPECT_EQ(log.take_persisted().back().write_id(), 2u);
}

// Each of the operations by which a segment is made and written, short of something in its turn.
TEST(LogStore, running_out_of_descriptors_or_memory_is_waited_for_at_every_operation) {
    for (const int error : {EMFILE, ENFILE, ENOMEM}) {
        for (uint64_t skip = 0; skip < 3; skip++) {
            for (const auto operation : {pb::DiskOperation::kWrite, pb::DiskOperation::kRename,
                                         pb::DiskOperation::kCreateZeroed, pb::DiskOperation::kList}) {
                SimDisk disk(1);
                disk.add_fault({operation, error, "", skip, 2});
                LogBench log(&disk);
                log.begin();
                for (int tries = 0; tries < 8; tries++) {
                    log.run();
                    if (tries == 2) log.append(1, 1, "a");
                    if (tries == 4) log.append(1, 2, "b");
                    if (log.kit().timers() > 0) log.kit().fire_next_timer();
                }
                log.run();
                ASSERT_FALSE(log.stopped()) << error << " " << operation << " " << skip;
                EXPECT_EQ(log.take_persisted().back().write_id(), 2u);
                log.crash();
                log.begin();  // Short of it again, where not all of it has come yet.
                for (int tries = 0; tries < 3; tries++) {
                    log.run();
                    if (log.kit().timers() > 0) log.kit().fire_next_timer();
                }
                log.run();
                EXPECT_EQ(log.read_all(1, 2).size(), 2u) << error << " " << operation << " " << skip;
            }
        }
    }
}

TEST(LogStore, a_read_short_of_descriptors_fails_and_the_next_one_works) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.run();
    disk.add_fault({pb::DiskOperation::kRead, EMFILE});
    EXPECT_EQ(log.read(1, 1).entries.size(), 0u);
    EXPECT_FALSE(log.stopped());
    EXPECT_EQ(log.read(1, 1).entries.size(), 1u);
}

TEST(LogStore, a_busy_disk_queue_is_tried_again) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.begin();
    log.kit().fail(log.kit().take(pb::Envelope::kDiskRequest), pb::STATUS_RESOURCE_EXHAUSTED);
    log.kit().fire_next_timer();
    log.run();
    EXPECT_EQ(log.take_recovered().last_index(), 0u);
    log.append(1, 1, "a");
    log.kit().fail(log.kit().take(pb::Envelope::kDiskRequest), pb::STATUS_RESOURCE_EXHAUSTED);
    log.append(1, 2, "b");
    EXPECT_FALSE(log.kit().has(pb::Envelope::kDiskRequest));
    log.kit().fire_next_timer();
    log.run();
    EXPECT_EQ(log.take_persisted().back().write_id(), 2u);
}

TEST(LogStore, a_dead_disk_stops_the_node) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.kit().fail(log.kit().take(pb::Envelope::kDiskRequest), pb::STATUS_DEADLINE_EXCEEDED);
    EXPECT_TRUE(log.stopped());
}

}  // namespace
}  // namespace sandstore
