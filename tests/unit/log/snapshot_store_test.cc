#include "actors/log/snapshot_store.h"

#include <algorithm>
#include <cerrno>

#include "actors/log/little_endian.h"
#include "runtime/crc32c.h"
#include "tests/unit/log/snapshot_bench.h"

namespace sandstore {
namespace {

using Indices = std::vector<uint64_t>;

std::string file_of(uint64_t index, uint64_t term = 1) {
    return "snapshots/" + snapshot_file(index, term);
}

// A snapshot as another node has it.
struct Remote {
    pb::SnapshotMeta meta;
    std::string bytes;
};
Remote remote_snapshot(uint64_t index) {
    SimDisk disk(99);
    SnapshotBench store(&disk);
    store.start();
    Remote remote;
    remote.meta = store.save(index).meta();
    remote.bytes = disk.contents(file_of(index));
    return remote;
}

bool has_leftovers(const SimDisk& disk) {
    const std::vector<std::string> files = disk.files();
    return std::any_of(files.begin(), files.end(), [](const std::string& file) {
        return file.ends_with(".tmp") || file.find("incoming") != std::string::npos;
    });
}

// --- Saving

TEST(SnapshotStore, a_new_directory_has_no_snapshots) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    EXPECT_EQ(store.recovered(), Indices{});
}

TEST(SnapshotStore, what_was_saved_is_read_back_piece_by_piece_after_a_crash) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    const pb::SnapshotSaved saved = store.save(10, 3);
    EXPECT_EQ(saved.status().code(), pb::STATUS_OK);
    EXPECT_EQ(saved.meta().file_bytes(), disk.contents(file_of(10, 3)).size());
    EXPECT_EQ(saved.kept_size(), 1);
    store.restart();
    const Message message = store.kit().take(pb::Envelope::kSnapshotsRecovered);
    ASSERT_EQ(message->snapshots_recovered().snapshots_size(), 1);
    EXPECT_EQ(message->snapshots_recovered().snapshots(0).SerializeAsString(), saved.meta().SerializeAsString());
    EXPECT_EQ(store.sections(10, 3).pieces, state_pieces(10));
    EXPECT_FALSE(has_leftovers(disk));
}

TEST(SnapshotStore, large_and_empty_pieces_keep_their_bounds) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    const std::vector<std::string> pieces = {"", std::string(3 << 20, 'x'), "", "end"};
    store.set_pieces(pieces);
    store.ask_save(4);
    store.run();
    EXPECT_EQ(store.sections(4).pieces, pieces);
    store.restart();
    EXPECT_EQ(store.sections(4).pieces, pieces);
}

TEST(SnapshotStore, keeps_the_two_newest) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    store.save(20);
    const pb::SnapshotSaved saved = store.save(30);
    ASSERT_EQ(saved.kept_size(), 2);
    EXPECT_EQ(saved.kept(0).index(), 30u);
    EXPECT_EQ(saved.kept(1).index(), 20u);
    EXPECT_FALSE(disk.exists(file_of(10)));
    EXPECT_EQ(store.read(10, 0, 10).status.code(), pb::STATUS_ENOENT);
    store.restart();
    EXPECT_EQ(store.recovered(), (Indices{30, 20}));
}

TEST(SnapshotStore, the_next_piece_is_asked_for_while_one_is_written_and_no_more) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.set_pieces(state_pieces(10));
    store.ask_save(10);
    EXPECT_EQ(store.kit().count(pb::Envelope::kReadState), 1u);
    store.step_state();
    EXPECT_EQ(store.kit().count(pb::Envelope::kReadState), 0u) << "a piece waits for the disk already";
    store.step_disk();
    EXPECT_EQ(store.kit().count(pb::Envelope::kDiskRequest), 1u);
    EXPECT_EQ(store.kit().count(pb::Envelope::kReadState), 1u);
    store.step_state();
    EXPECT_EQ(store.kit().count(pb::Envelope::kReadState), 0u);
}

TEST(SnapshotStore, one_is_saved_at_a_time_and_none_that_is_older) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.set_pieces(state_pieces(10));
    store.ask_save(10);
    const uint64_t second = store.ask_save(11);
    EXPECT_EQ(store.kit().take_answer(second)->snapshot_saved().status().code(), pb::STATUS_EBUSY);
    store.run();
    const uint64_t older = store.ask_save(9);
    EXPECT_EQ(store.kit().take_answer(older)->snapshot_saved().status().code(), pb::STATUS_INVALID_ARGUMENT);
}

TEST(SnapshotStore, a_state_machine_that_fails_ends_the_save_and_leaves_nothing) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(5);
    store.set_pieces(state_pieces(10));
    const uint64_t id = store.ask_save(10);
    store.step_state();
    store.step_disk();
    store.kit().fail(store.kit().take(pb::Envelope::kReadState), pb::STATUS_UNAVAILABLE);
    store.run();
    EXPECT_EQ(store.kit().take_answer(id)->snapshot_saved().status().code(), pb::STATUS_UNAVAILABLE);
    EXPECT_FALSE(has_leftovers(disk));
    EXPECT_EQ(store.save(10).kept_size(), 2);
}

TEST(SnapshotStore, a_full_disk_fails_the_save_and_the_next_one_works) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(5);
    disk.set_capacity(disk.used_bytes() + 5000);
    const pb::SnapshotSaved failed = store.save(10);
    EXPECT_EQ(failed.status().code(), pb::STATUS_ENOSPC);
    ASSERT_EQ(failed.kept_size(), 1);
    EXPECT_FALSE(has_leftovers(disk));
    EXPECT_EQ(store.sections(5).pieces, state_pieces(5));
    disk.set_capacity(uint64_t{1} << 30);
    EXPECT_EQ(store.save(10).kept_size(), 2);
}

TEST(SnapshotStore, a_failed_sync_stops_the_node) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    disk.add_fault({pb::DiskOperation::kSync, EIO});
    store.set_pieces(state_pieces(10));
    store.ask_save(10);
    store.run();
    EXPECT_NE(store.reason().find("durable"), std::string::npos) << store.reason();
}

// --- Damage

TEST(SnapshotStore, any_flipped_bit_makes_the_older_one_count) {
    SimDisk made(1);
    SnapshotBench store(&made);
    store.start();
    store.save(10);
    store.save(20);
    const std::string older = made.contents(file_of(10));
    const std::string newer = made.contents(file_of(20));
    for (uint64_t offset = 0; offset < newer.size(); offset += offset < 200 || offset + 100 > newer.size() ? 1 : 97) {
        SimDisk disk(1);
        disk.set_contents(file_of(10), older);
        disk.set_contents(file_of(20), newer);
        ASSERT_TRUE(disk.flip_bit(file_of(20), offset, static_cast<int>(offset % 8)));
        SnapshotBench damaged(&disk);
        damaged.start();
        ASSERT_FALSE(damaged.stopped()) << offset << ": " << damaged.reason();
        ASSERT_EQ(damaged.recovered(), Indices{10}) << "bit at " << offset;
        EXPECT_TRUE(disk.exists(file_of(20) + ".damaged"));
        EXPECT_TRUE(damaged.kit().logged("is damaged"));
    }
}

TEST(SnapshotStore, only_what_cannot_be_read_twice_is_damaged) {
    for (const int error : {EMFILE, ENOMEM, EIO}) {
        for (const uint64_t times : {1, 2}) {
            SimDisk disk(1);
            SnapshotBench store(&disk);
            store.start();
            store.save(10);
            store.save(20);
            disk.add_fault(
                {.operation = pb::DiskOperation::kRead, .error = error, .file_prefix = file_of(20), .times = times});
            store.start();
            for (int tries = 0; tries < 2 && store.kit().timers() > 0; tries++) {
                store.kit().fire_next_timer();
                store.run();
            }
            ASSERT_FALSE(store.stopped()) << error << ": " << store.reason();
            const bool damaged = error == EIO && times == 2;
            EXPECT_EQ(store.recovered(), (damaged ? Indices{10} : Indices{20, 10})) << error << " " << times;
            EXPECT_EQ(disk.exists(file_of(20) + ".damaged"), damaged);
        }
    }
}

TEST(SnapshotStore, what_was_set_aside_and_is_intact_after_all_is_used_again) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    store.save(20);
    disk.add_fault({.operation = pb::DiskOperation::kRead, .error = EIO, .file_prefix = file_of(20), .times = 2});
    store.restart();
    ASSERT_EQ(store.recovered(), Indices{10});
    store.restart();
    EXPECT_EQ(store.recovered(), (Indices{20, 10}));
    EXPECT_TRUE(store.kit().logged("is intact"));
    EXPECT_TRUE(disk.exists(file_of(20)));
    EXPECT_FALSE(disk.exists(file_of(20) + ".damaged"));
    // Not in the place of newer ones, and not when it is damaged.
    for (const bool is_damaged : {false, true}) {
        SimDisk other(1);
        other.set_contents(file_of(20) + ".damaged", disk.contents(file_of(20)));
        ASSERT_TRUE(!is_damaged || other.flip_bit(file_of(20) + ".damaged", 500));
        for (const uint64_t newer : {30, 40}) other.set_contents(file_of(newer), remote_snapshot(newer).bytes);
        if (is_damaged) other.set_contents(file_of(30), "not a snapshot");
        SnapshotBench again(&other);
        again.start();
        EXPECT_EQ(again.recovered(), is_damaged ? Indices{40} : (Indices{40, 30}));
    }
}

TEST(SnapshotStore, a_file_cut_or_lengthened_is_damaged) {
    const Remote remote = remote_snapshot(10);
    for (size_t bytes = 0; bytes < remote.bytes.size(); bytes += 53) {
        SimDisk disk(1);
        disk.set_contents(file_of(10), remote.bytes.substr(0, bytes));
        SnapshotBench store(&disk);
        store.start();
        ASSERT_EQ(store.recovered(), Indices{}) << "cut at " << bytes;
    }
    SimDisk disk(1);
    disk.set_contents(file_of(10), remote.bytes + "x");
    SnapshotBench store(&disk);
    store.start();
    EXPECT_EQ(store.recovered(), Indices{});
}

TEST(SnapshotStore, only_the_newest_damaged_file_is_kept_and_its_place_can_be_taken) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    disk.set_contents(file_of(5) + ".damaged", "before");
    disk.set_contents(file_of(10), "not a snapshot");
    store.start();
    EXPECT_EQ(store.recovered(), Indices{});
    EXPECT_FALSE(disk.exists(file_of(5) + ".damaged"));
    EXPECT_TRUE(disk.exists(file_of(10) + ".damaged"));
    EXPECT_EQ(store.save(10).kept_size(), 1);
}

TEST(SnapshotStore, another_clusters_file_is_refused) {
    SimDisk disk(1);
    disk.set_contents(file_of(10), remote_snapshot(10).bytes);
    SnapshotBench other(&disk);
    other.set_cluster("cluster-b");
    other.start();
    EXPECT_NE(other.reason().find("belongs to cluster cluster-a"), std::string::npos) << other.reason();
    EXPECT_TRUE(disk.exists(file_of(10)));
}

TEST(SnapshotStore, an_unknown_version_is_refused) {
    std::string bytes = remote_snapshot(10).bytes;
    const size_t header_bytes = snapshot_header_bytes(bytes).value_or(0);
    ASSERT_GT(header_bytes, 0u);
    put_integer(bytes.data() + 8, kSnapshotFormatVersion + 1);
    const std::string_view view = bytes;
    put_integer(bytes.data() + 16, crc32c(view.substr(20, header_bytes - 20), crc32c(view.substr(0, 16))));
    SimDisk disk(1);
    disk.set_contents(file_of(10), bytes);
    SnapshotBench store(&disk);
    store.start();
    EXPECT_NE(store.reason().find("format version 2"), std::string::npos) << store.reason();
    EXPECT_TRUE(disk.exists(file_of(10)));
}

TEST(SnapshotStore, a_section_damaged_later_is_not_given_out) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    ASSERT_TRUE(disk.flip_bit(file_of(10), disk.contents(file_of(10)).size() / 2));
    EXPECT_EQ(store.sections(10).status.code(), pb::STATUS_CORRUPTED);
}

TEST(SnapshotStore, a_section_that_the_disk_cannot_give_just_now_comes_later) {
    for (const int error : {EMFILE, EIO}) {
        SimDisk disk(1);
        SnapshotBench store(&disk);
        store.start();
        store.save(10);
        const uint64_t times = error == EIO ? 1 : 3;
        disk.add_fault(
            {.operation = pb::DiskOperation::kRead, .error = error, .file_prefix = file_of(10), .times = times});
        pb::ReadSection read;
        read.set_index(10);
        read.set_term(1);
        const uint64_t asked = store.kit().request(message_of(read), {pb::ACTOR_STATE_MACHINE});
        store.run();
        for (uint64_t failed = 0; failed < times; ++failed) {
            EXPECT_FALSE(store.kit().has(pb::Envelope::kSnapshotSection));
            ASSERT_TRUE(store.kit().fire_next_timer());
            store.run();
        }
        EXPECT_EQ(store.kit().take_answer(asked)->snapshot_section().status().code(), pb::STATUS_OK) << error;
    }
}

TEST(SnapshotStore, reads_are_clipped_to_the_file_and_bounded) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    const std::string file = disk.contents(file_of(10));
    EXPECT_EQ(store.read(10, 0, 100).bytes, file.substr(0, 100));
    EXPECT_EQ(store.read(10, file.size() - 10, 100).bytes, file.substr(file.size() - 10));
    EXPECT_EQ(store.read(10, file.size() + 5, 100).bytes, "");
    EXPECT_EQ(store.read(10, file.size() + 5, 100).status.code(), pb::STATUS_OK);
    EXPECT_EQ(store.read(10, 0, 100, 2).status.code(), pb::STATUS_ENOENT);
    pb::SnapshotRead read;
    read.set_index(10);
    read.set_term(1);
    read.set_length(10);
    for (size_t i = 0; i < SnapshotStore::kReadsMax; i++) store.kit().request(message_of(read), {pb::ACTOR_RAFT});
    const uint64_t refused = store.kit().request(message_of(read), {pb::ACTOR_RAFT});
    EXPECT_EQ(store.kit().take_answer(refused)->snapshot_bytes().status().code(), pb::STATUS_RESOURCE_EXHAUSTED);
}

TEST(SnapshotStore, a_file_that_goes_while_it_is_read_is_not_there) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    store.save(20);
    pb::SnapshotRead read;
    read.set_index(10);
    read.set_term(1);
    read.set_length(100);
    const uint64_t id = store.kit().request(message_of(read), {pb::ACTOR_RAFT});
    const Message asked = store.kit().take(pb::Envelope::kDiskRequest);
    store.save(30);  // Overtakes it in the pool.
    Payload bytes;
    store.kit().answer(asked, message_of(disk.execute(asked->disk_request(), {}, &bytes)));
    EXPECT_EQ(store.kit().take_answer(id)->snapshot_bytes().status().code(), pb::STATUS_ENOENT);
}

// --- Verifying

pb::SnapshotVerified verify(SnapshotBench* store, uint64_t index) {
    pb::SnapshotVerify request;
    request.set_index(index);
    request.set_term(1);
    const uint64_t id = store->kit().request(message_of(request), {pb::ACTOR_RAFT});
    store->run();
    return store->kit().take_answer(id)->snapshot_verified();
}

TEST(SnapshotVerify, finds_every_flipped_bit_and_sets_the_file_aside) {
    for (uint64_t offset = 0;; offset += 37) {
        SimDisk disk(1);
        SnapshotBench store(&disk);
        store.start();
        store.save(10);
        store.save(20);
        if (offset >= disk.contents(file_of(20)).size()) break;
        EXPECT_EQ(verify(&store, 20).status().code(), pb::STATUS_OK);
        disk.flip_bit(file_of(20), offset);
        const pb::SnapshotVerified verified = verify(&store, 20);
        ASSERT_EQ(verified.status().code(), pb::STATUS_CORRUPTED) << "bit at " << offset;
        ASSERT_EQ(verified.kept_size(), 1);
        EXPECT_EQ(verified.kept(0).index(), 10u);
        EXPECT_TRUE(disk.exists(file_of(20) + ".damaged"));
        EXPECT_FALSE(disk.exists(file_of(20)));
        EXPECT_EQ(verify(&store, 20).status().code(), pb::STATUS_ENOENT);
        EXPECT_EQ(verify(&store, 10).status().code(), pb::STATUS_OK);
    }
}

TEST(SnapshotVerify, of_a_damaged_file_leaves_its_name_to_a_new_one) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    disk.set_contents(file_of(10), disk.contents(file_of(10)).substr(0, 200));
    EXPECT_EQ(verify(&store, 10).status().code(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(store.save(10).status().code(), pb::STATUS_OK);
    EXPECT_EQ(verify(&store, 10).status().code(), pb::STATUS_OK);
    EXPECT_TRUE(disk.exists(file_of(10) + ".damaged"));
}

TEST(SnapshotVerify, asked_twice_at_once_sets_aside_once) {
    SimDisk disk(1);
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    disk.flip_bit(file_of(10), 100);
    pb::SnapshotVerify request;
    request.set_index(10);
    request.set_term(1);
    const uint64_t first = store.kit().request(message_of(request), {pb::ACTOR_RAFT});
    const uint64_t second = store.kit().request(message_of(request), {pb::ACTOR_RAFT});
    store.run();
    EXPECT_EQ(store.kit().take_answer(first)->snapshot_verified().status().code(), pb::STATUS_CORRUPTED);
    EXPECT_EQ(store.kit().take_answer(second)->snapshot_verified().status().code(), pb::STATUS_CORRUPTED);
    EXPECT_FALSE(store.kit().logged("could not be set aside"));
}

TEST(SnapshotVerify, keeps_the_newest_of_the_damaged_files) {
    SimDisk disk(1);
    disk.set_contents(file_of(5) + ".damaged", "before");
    SnapshotBench store(&disk);
    store.start();
    store.save(10);
    disk.flip_bit(file_of(10), 100);
    verify(&store, 10);
    EXPECT_FALSE(disk.exists(file_of(5) + ".damaged"));
    store.save(20);
    disk.flip_bit(file_of(20), 100);
    verify(&store, 20);
    EXPECT_FALSE(disk.exists(file_of(10) + ".damaged"));
    EXPECT_TRUE(disk.exists(file_of(20) + ".damaged"));
}

// --- Receiving

TEST(SnapshotReceive, takes_a_leaders_file_in_order_and_keeps_it_when_it_is_whole) {
    const Remote remote = remote_snapshot(50);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    const pb::SnapshotReceived received = store.receive_all(remote.meta, remote.bytes);
    ASSERT_TRUE(received.complete()) << received.status().message();
    EXPECT_EQ(received.next_offset(), remote.bytes.size());
    ASSERT_EQ(received.kept_size(), 1);
    EXPECT_EQ(disk.contents(file_of(50)), remote.bytes);
    EXPECT_EQ(store.sections(50).pieces, state_pieces(50));
    EXPECT_FALSE(has_leftovers(disk));
    EXPECT_TRUE(store.receive(remote.meta, 0, "").complete()) << "the answer may have been lost";
    store.restart();
    EXPECT_EQ(store.recovered(), Indices{50});
}

TEST(SnapshotReceive, bytes_for_another_place_are_not_taken) {
    const Remote remote = remote_snapshot(50);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    EXPECT_EQ(store.receive(remote.meta, 100, remote.bytes.substr(100, 50)).next_offset(), 0u);
    EXPECT_EQ(store.receive(remote.meta, 0, remote.bytes.substr(0, 70)).next_offset(), 70u);
    EXPECT_EQ(store.receive(remote.meta, 0, remote.bytes.substr(0, 70)).next_offset(), 70u);
    EXPECT_EQ(store.receive(remote.meta, 100, remote.bytes.substr(100, 50)).next_offset(), 70u);
    EXPECT_EQ(store.receive(remote.meta, 70, std::string(remote.bytes.size(), 'x')).status().code(),
              pb::STATUS_INVALID_ARGUMENT);
    EXPECT_TRUE(store.receive_all(remote.meta, remote.bytes).complete());
}

TEST(SnapshotReceive, another_snapshot_replaces_the_one_being_received) {
    const Remote first = remote_snapshot(50);
    const Remote second = remote_snapshot(60);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    store.receive(first.meta, 0, first.bytes.substr(0, 5000));
    EXPECT_EQ(store.receive(second.meta, 0, "").next_offset(), 0u);
    EXPECT_EQ(store.receive(first.meta, 0, "").next_offset(), 5000u) << "a question replaces nothing";
    EXPECT_TRUE(store.receive_all(second.meta, second.bytes).complete());
    EXPECT_EQ(store.receive(first.meta, 0, first.bytes.substr(0, 10)).status().code(), pb::STATUS_ESTALE);
    store.restart();
    EXPECT_EQ(store.recovered(), Indices{60});
}

TEST(SnapshotReceive, goes_on_with_whoever_has_the_same_file_and_begins_anew_with_other_bytes_of_the_same_entry) {
    const Remote one = remote_snapshot(50);
    Remote other = one;
    other.meta.set_checksum(one.meta.checksum() + 1);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    store.receive(one.meta, 0, one.bytes.substr(0, 5000));
    EXPECT_EQ(store.receive(other.meta, 0, "").next_offset(), 0u);
    EXPECT_EQ(store.receive(other.meta, 5000, one.bytes.substr(5000, 10)).next_offset(), 0u) << "of two files";
    EXPECT_EQ(store.receive(one.meta, 0, "").next_offset(), 5000u);
    EXPECT_TRUE(store.receive(one.meta, 5000, one.bytes.substr(5000)).complete());
}

TEST(SnapshotReceive, a_bad_byte_throws_the_file_away_and_it_can_be_sent_again) {
    const Remote remote = remote_snapshot(50);
    for (size_t offset = 0; offset < remote.bytes.size(); offset += 211) {
        SimDisk disk(2);
        SnapshotBench store(&disk);
        store.start();
        store.save(7);
        std::string bad = remote.bytes;
        bad[offset] = static_cast<char>(bad[offset] ^ 4);
        const pb::SnapshotReceived received = store.receive_all(remote.meta, bad, 6000);
        ASSERT_FALSE(received.complete());
        ASSERT_EQ(received.status().code(), pb::STATUS_CORRUPTED) << "byte " << offset;
        ASSERT_EQ(received.next_offset(), 0u);
        ASSERT_FALSE(has_leftovers(disk));
        ASSERT_TRUE(store.receive_all(remote.meta, remote.bytes, 6000).complete());
    }
}

TEST(SnapshotReceive, a_file_that_is_not_what_was_announced_is_thrown_away) {
    const Remote remote = remote_snapshot(50);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    pb::SnapshotMeta other = remote.meta;
    other.mutable_configuration()->add_voters("node-9");
    EXPECT_EQ(store.receive_all(other, remote.bytes).status().code(), pb::STATUS_CORRUPTED);
    other = remote.meta;
    other.set_index(51);
    EXPECT_EQ(store.receive_all(other, remote.bytes).status().code(), pb::STATUS_CORRUPTED);
    EXPECT_FALSE(disk.exists(file_of(51)));
}

TEST(SnapshotReceive, a_full_disk_is_reported_and_costs_nothing_older) {
    const Remote remote = remote_snapshot(50);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    store.save(7);
    disk.set_capacity(disk.used_bytes() + 6000);
    EXPECT_EQ(store.receive_all(remote.meta, remote.bytes).status().code(), pb::STATUS_ENOSPC);
    EXPECT_FALSE(has_leftovers(disk));
    EXPECT_EQ(store.sections(7).pieces, state_pieces(7));
    disk.set_capacity(uint64_t{1} << 30);
    EXPECT_TRUE(store.receive_all(remote.meta, remote.bytes).complete());
}

TEST(SnapshotReceive, goes_on_after_a_restart_of_the_receiver_where_whole_sections_end) {
    const Remote remote = remote_snapshot(50);
    SimDisk disk(2);
    SnapshotBench store(&disk);
    store.start();
    store.receive(remote.meta, 0, remote.bytes.substr(0, 8000));
    store.start();  // The process dies, the disk's cache lives.
    const uint64_t next = store.receive(remote.meta, 0, "").next_offset();
    EXPECT_GT(next, 6000u);
    EXPECT_LE(next, 8000u);
    EXPECT_TRUE(store.receive_all(remote.meta, remote.bytes).complete());
    EXPECT_EQ(store.sections(50).pieces, state_pieces(50));
}

// --- Crashes

TEST(SnapshotCrash, at_every_operation_of_a_save_leaves_the_old_ones_or_the_new_one_too) {
    for (uint64_t operation = 0; operation < 16; operation++) {
        for (uint64_t seed = 1; seed <= 10; seed++) {
            SCOPED_TRACE("operation " + std::to_string(operation) + " seed " + std::to_string(seed));
            SimDisk disk(seed);
            SnapshotBench store(&disk);
            store.start();
            store.save(10);
            store.save(20);
            disk.power_off_after(operation);
            store.set_pieces(state_pieces(30));
            const uint64_t id = store.ask_save(30);
            store.run();
            const bool saved = store.kit().has(pb::Envelope::kSnapshotSaved);
            if (saved) {
                EXPECT_EQ(store.kit().take_answer(id)->snapshot_saved().status().code(), pb::STATUS_OK);
            }
            store.restart();
            ASSERT_FALSE(store.stopped()) << store.reason();
            const Indices found = store.recovered();
            ASSERT_EQ(found.size(), 2u);
            if (saved) {
                ASSERT_EQ(found.front(), 30u);
            }
            for (const uint64_t index : found) ASSERT_EQ(store.sections(index).pieces, state_pieces(index));
            EXPECT_FALSE(has_leftovers(disk));
            EXPECT_FALSE(store.kit().logged("is damaged"));
        }
    }
}

TEST(SnapshotCrash, at_random_operations_of_receiving_goes_on_to_the_whole_file) {
    const Remote remote = remote_snapshot(50);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        RandomStream random(seed, 3);
        SimDisk disk(seed);
        SnapshotBench store(&disk);
        store.start();
        store.save(10);
        bool complete = false;
        for (int round = 0; round < 40 && !complete; round++) {
            disk.power_off_after(random.below(30));
            for (int piece = 0; piece < 30 && !complete && !disk.powered_off(); piece++) {
                const uint64_t question = store.ask_receive(remote.meta, 0, "");
                const uint64_t next = store.kit().take_answer(question)->snapshot_received().next_offset();
                store.ask_receive(remote.meta, next, remote.bytes.substr(next, 1 + random.below(4000)));
                store.run();
                if (!store.kit().has(pb::Envelope::kSnapshotReceived)) break;
                const Message answer = store.kit().take(pb::Envelope::kSnapshotReceived);
                ASSERT_EQ(answer->snapshot_received().status().code(), pb::STATUS_OK)
                    << answer->snapshot_received().status().message();
                complete = answer->snapshot_received().complete();
            }
            store.restart();
            ASSERT_FALSE(store.stopped()) << store.reason();
            const Indices found = store.recovered();
            ASSERT_TRUE(found == (Indices{10}) || found == (Indices{50, 10}));
            if (complete) {
                ASSERT_EQ(found.front(), 50u);
            }
            complete = found.front() == 50;
        }
        ASSERT_TRUE(complete);
        ASSERT_EQ(store.sections(50).pieces, state_pieces(50));
        ASSERT_FALSE(has_leftovers(disk));
    }
}

}  // namespace
}  // namespace sandstore
