// Volumes as ChunkService uses them: filled one after the other, found again after every kind of end, rewritten when
// much of them is garbage.
#include <cerrno>
#include <map>
#include <set>

#include "tests/sim/sim_disk.h"
#include "tests/unit/chunk/chunk_fixture.h"

namespace sandstore {
namespace {

using Body = pb::Envelope;

class VolumeTest : public ChunkServiceTest {
 protected:
    pb::Status remove(const std::vector<ChunkKey>& keys) {
        pb::ChunkDelete request;
        for (const ChunkKey key : keys) *request.add_ids() = id_of(key);
        const uint64_t id = kit->request(message_of(request), repairer_);
        run_disk();
        return status_answer(id);
    }

    void store_some(uint64_t from, uint64_t to, size_t bytes) {
        for (uint64_t number = from; number <= to; number++) store({1, number}, sample_bytes(bytes, number));
    }

    void expect_chunks(const std::set<uint64_t>& numbers, size_t bytes) {
        std::set<uint64_t> found;
        const pb::ChunkListReply listed = list();
        for (const pb::ChunkStatus& chunk : listed.chunks()) {
            EXPECT_FALSE(chunk.damaged());
            found.insert(chunk.id().number());
        }
        EXPECT_EQ(found, numbers);
        for (const uint64_t number : numbers) {
            EXPECT_EQ(get({1, number}, 0, bytes).payload.to_string(), sample_bytes(bytes, number)) << number;
        }
    }

    size_t volume_bytes_on_disk() {
        size_t bytes = 0;
        for (uint32_t number = 1; number < 100; number++) {
            if (disk.has(volume_file(number))) bytes += disk.bytes_of(volume_file(number)).size();
        }
        return bytes;
    }
};

std::set<uint64_t> numbers(uint64_t from, uint64_t to) {
    std::set<uint64_t> all;
    for (uint64_t number = from; number <= to; number++) all.insert(number);
    return all;
}

TEST_F(VolumeTest, are_filled_one_after_the_other_and_a_long_chunk_has_one_for_itself) {
    store_some(1, 30, 100'000);
    EXPECT_EQ(disk.files_with(".volume"), 3u);
    const std::string large = sample_bytes(kChunkBytesMax);
    store({2, 1}, large);
    EXPECT_GT(disk.bytes_of(record_of({2, 1}).file).size(), kVolumeBytes);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    EXPECT_EQ(get({2, 1}, 0, kChunkBytesMax).payload.to_string(), large);
    EXPECT_EQ(remove({{2, 1}}).code(), pb::STATUS_OK);
    expect_chunks(numbers(1, 30), 100'000);
}

TEST_F(VolumeTest, the_open_one_goes_on_being_filled_after_a_restart) {
    for (uint64_t number = 1; number <= 10; number++) {
        store_some(number, number, 1'000);
        if (number % 2 == 0) stop();
        disk.cut_power(MemoryDisk::Unsynced::kLost);
        start();
    }
    EXPECT_EQ(disk.files_with(".volume"), 1u);
    expect_chunks(numbers(1, 10), 1'000);
}

TEST_F(VolumeTest, whoever_stops_while_they_are_read_has_written_nothing) {
    store_some(1, 9, 5'000);
    EXPECT_EQ(remove({{1, 5}}).code(), pb::STATUS_OK);
    const std::string index = disk.bytes_of(volume_index_file(1));
    for (int answered = 0; answered < 20; answered++) {
        boot();
        for (int i = 0; i < answered; i++) run_disk_once();
        kit->request(message_of(pb::Drain()), {pb::ACTOR_BOOTSTRAP});
        EXPECT_EQ(disk.bytes_of(volume_index_file(1)), index);
    }
    start();
    std::set<uint64_t> left = numbers(1, 9);
    left.erase(5);
    expect_chunks(left, 5'000);
}

TEST_F(VolumeTest, all_who_wait_for_one_index_are_answered) {
    store_some(1, 3, 1'000);
    pb::ChunkDelete request;
    *request.add_ids() = id_of({1, 2});
    const uint64_t removal = kit->request(message_of(request), repairer_);
    std::vector<uint64_t> drains;
    for (int i = 0; i < 3; i++) drains.push_back(kit->request(message_of(pb::Drain()), {pb::ACTOR_BOOTSTRAP}));
    run_disk();
    EXPECT_EQ(status_answer(removal).code(), pb::STATUS_OK);
    for (const uint64_t id : drains) EXPECT_EQ(status_answer(id).code(), pb::STATUS_OK);
}

TEST_F(VolumeTest, a_damaged_record_costs_only_itself) {
    store_some(1, 9, 5'000);
    const Record record = record_of({1, 5});
    const std::string volume = disk.bytes_of(volume_file(1));
    const std::string index = disk.bytes_of(volume_index_file(1));
    std::set<uint64_t> rest = numbers(1, 9);
    rest.erase(5);
    for (const size_t at : {size_t{0}, size_t{14}, size_t{60}, size_t{4'000}}) {
        disk.put_file(volume_file(1), volume);
        disk.put_file(volume_index_file(1), index);
        disk.flip_bit(record.file, record.offset + at);
        start();  // The index knows nothing yet: the records themselves are read.
        expect_chunks(rest, 5'000);
    }
    disk.put_file(volume_file(1), volume);
    disk.put_file(volume_index_file(1), index);
    start();
    expect_chunks(numbers(1, 9), 5'000);
}

TEST_F(VolumeTest, what_a_killed_node_left_in_the_systems_memory_is_made_durable_before_it_counts) {
    store_some(1, 1, 5'000);
    const std::string data = sample_bytes(5'000, 2);
    send_put(put_of({1, 2}, data), data, client_);
    const Message asked = kit->take(Body::kDiskRequest);
    pb::DiskRequest without_sync = asked->disk_request();
    ASSERT_TRUE(without_sync.operations(without_sync.operations_size() - 1).has_sync());
    without_sync.mutable_operations()->RemoveLast();
    Payload unused;
    disk.execute(without_sync, asked.payload, &unused);
    start();  // A kill, no power cut.
    expect_chunks(numbers(1, 2), 5'000);
    store_some(2, 2, 5'000);  // As a client repeats it: "it is there already".
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    expect_chunks(numbers(1, 2), 5'000);
}

TEST_F(VolumeTest, what_cannot_be_read_at_start_is_neither_written_over_nor_forgotten) {
    store_some(1, 9, 5'000);
    disk.fail_next(
        {.operation = pb::DiskOperation::kRead, .error = EIO, .file_part = ".volume", .times = 10'000, .skip = 1});
    start();
    EXPECT_EQ(list().chunks_size(), 0);
    store_some(10, 10, 5'000);
    EXPECT_EQ(record_of({1, 10}).file, volume_file(2));
    stop();
    disk.fail_next({});
    start();
    expect_chunks(numbers(1, 10), 5'000);
}

TEST_F(VolumeTest, a_chunk_that_is_found_twice_and_told_of_thrice_stays) {
    store_some(1, 1, 5'000);
    // A second record of it behind the first, as a copy by vacuum and a repeated put leave it when the node is killed,
    // and an index that knows the second one only.
    std::string volume = disk.bytes_of(volume_file(1));
    const Record record = record_of({1, 1});
    const uint32_t salt = decode_volume_header(volume, 1).header.salt;
    ChunkHead head;
    head.key = {1, 1};
    const std::string data = sample_bytes(5'000, 1);
    head.length = data.size();
    head.allocated_at_us = place_of(head.key).allocated_at_us();
    head.block_crc32c = block_checksums(Payload(data));
    const size_t second = record.offset + record.bytes;
    volume.replace(second, record.bytes,
                   encode_record_head(head, salt, second) + data + std::string(record_padding(data.size()), '\0'));
    disk.put_file(volume_file(1), volume);
    VolumeIndexEntry entry;
    entry.offset = second;
    entry.record = {head.key, head.length, head.allocated_at_us, 0};
    disk.put_file(volume_index_file(1),
                  encode_volume_index_header({1, salt}) +
                      encode_index_batch({kVolumeHeaderBytes, kVolumeHeaderBytes, {entry}}, salt));
    for (int restarts = 0; restarts < 3; restarts++) {
        start();
        expect_chunks({1}, 5'000);
        stop();
    }
    EXPECT_EQ(remove({{1, 1}}).code(), pb::STATUS_OK);
    start();
    expect_chunks({}, 5'000);
}

TEST_F(VolumeTest, a_place_that_cannot_be_written_is_left_behind) {
    const std::string data = sample_bytes(100);
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = EIO, .file_part = ".volume", .times = 2});
    const uint64_t put = send_put(put_of({5, 1}, data), data, client_);
    run_disk();
    EXPECT_EQ(put_answer(put).status().code(), pb::STATUS_EIO);
    store({5, 2}, data);
    EXPECT_GE(record_of({5, 2}).offset, kVolumeHeaderBytes + record_bytes(data.size()));
    store({5, 3}, data);
    disk.fail_next({.operation = pb::DiskOperation::kWrite, .error = EIO, .file_part = ".index"});
    EXPECT_EQ(remove({{5, 3}}).code(), pb::STATUS_EIO);
    kit->advance(5'000'000);
    run_disk();
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    const pb::ChunkListReply listed = list();
    ASSERT_EQ(listed.chunks_size(), 1);
    EXPECT_EQ(listed.chunks(0).id().number(), 2u);
}

TEST_F(VolumeTest, what_is_deleted_after_an_index_was_damaged_stays_deleted) {
    store_some(1, 9, 5'000);
    EXPECT_EQ(remove({{1, 9}}).code(), pb::STATUS_OK);
    stop();
    disk.flip_bit(volume_index_file(1), 17);
    start();
    EXPECT_EQ(remove({{1, 5}}).code(), pb::STATUS_OK);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    const pb::ChunkListReply listed = list();
    for (const pb::ChunkStatus& chunk : listed.chunks()) EXPECT_NE(chunk.id().number(), 5u);
}

TEST_F(VolumeTest, a_volume_in_which_nothing_became_durable_is_no_alarm) {
    disk.put_file(volume_file(1), std::string(70'000, '\0'));
    disk.put_file(volume_index_file(1), std::string(100, '\0'));
    start();
    EXPECT_FALSE(kit->logged("cannot be read"));
    EXPECT_FALSE(disk.has(volume_file(1)));
}

TEST_F(VolumeTest, old_files_that_cannot_be_removed_are_later) {
    for (uint64_t number = 1; number <= 3; number++) put_old_file({1, number}, sample_bytes(100, number));
    start();
    disk.fail_next({.operation = pb::DiskOperation::kRemove, .error = EIO, .file_part = "/1-2."});
    EXPECT_EQ(remove({{1, 1}, {1, 2}, {1, 3}}).code(), pb::STATUS_EIO);
    EXPECT_EQ(disk.files_with(".chunk"), 1u) << "one that cannot be deleted does not stop the others";
    kit->advance(5'000'000);
    run_disk();
    EXPECT_EQ(disk.files_with(".chunk"), 0u);
}

TEST_F(VolumeTest, a_volume_that_was_stored_as_a_chunk_is_not_taken_for_one) {
    store_some(1, 5, 1'000);
    const std::string inner = disk.bytes_of(volume_file(1)).substr(0, 20'000);
    store({2, 1}, inner);
    const Record record = record_of({2, 1});
    disk.flip_bit(record.file, record.offset);
    start();
    expect_chunks(numbers(1, 5), 1'000);
}

TEST_F(VolumeTest, is_read_from_its_records_when_its_index_is_gone_or_damaged) {
    store_some(1, 9, 5'000);
    stop();
    const std::string index = disk.bytes_of(volume_index_file(1));
    for (size_t at = 0; at < index.size(); at += 7) {
        disk.put_file(volume_index_file(1), index);
        disk.flip_bit(volume_index_file(1), at);
        start();
        expect_chunks(numbers(1, 9), 5'000);
    }
    disk.remove_file(volume_index_file(1));
    start();
    expect_chunks(numbers(1, 9), 5'000);
    stop();
    start();
    expect_chunks(numbers(1, 9), 5'000);
}

TEST_F(VolumeTest, a_damaged_header_is_made_up_for_by_the_indexs) {
    store_some(1, 3, 5'000);
    stop();
    disk.flip_bit(volume_file(1), 17);
    start();
    expect_chunks(numbers(1, 3), 5'000);
    // Without either nothing can be said; what comes next is stored elsewhere.
    disk.flip_bit(volume_index_file(1), 17);
    start();
    EXPECT_TRUE(kit->logged("a volume cannot be read"));
    EXPECT_EQ(list().chunks_size(), 0);
    store_some(4, 4, 5'000);
    EXPECT_EQ(record_of({1, 4}).file, volume_file(2));
    start();
    expect_chunks({4}, 5'000);
}

TEST_F(VolumeTest, a_newer_format_is_refused_and_left_alone) {
    store_some(1, 1, 10);
    std::string bytes = disk.bytes_of(volume_file(1));
    bytes[8] = 2;
    const uint32_t crc = crc32c(Payload(bytes.substr(0, 60)));
    for (int i = 0; i < 4; i++) bytes[static_cast<size_t>(60 + i)] = static_cast<char>(crc >> (8 * i));
    disk.put_file(volume_file(1), bytes);
    boot();
    run_disk();
    ASSERT_TRUE(kit->stopped());
    EXPECT_NE(kit->stopped()->find("version 2"), std::string::npos) << *kit->stopped();
    EXPECT_EQ(disk.bytes_of(volume_file(1)), bytes);
}

TEST_F(VolumeTest, an_index_without_its_volume_is_removed) {
    store_some(1, 1, 10);
    stop();
    disk.remove_file(volume_file(1));
    start();
    EXPECT_FALSE(disk.has(volume_index_file(1)));
    store_some(2, 2, 10);
    EXPECT_EQ(record_of({1, 2}).file, volume_file(2)) << "no number is used twice in one life";
}

TEST_F(VolumeTest, a_long_record_gives_its_room_back_at_once_and_a_full_of_garbage_volume_goes) {
    store_some(1, 3, 300'000);
    EXPECT_EQ(remove({{1, 2}}).code(), pb::STATUS_OK);
    EXPECT_GT(disk.punched_bytes, 290'000u);
    store_some(4, 6, 300'000);  // Seals the first one.
    EXPECT_EQ(remove({{1, 1}, {1, 3}}).code(), pb::STATUS_OK);
    EXPECT_FALSE(disk.has(volume_file(1)));
    EXPECT_FALSE(disk.has(volume_index_file(1)));
    expect_chunks(numbers(4, 6), 300'000);
}

TEST_F(VolumeTest, a_file_system_without_holes_does_without) {
    store_some(1, 3, 300'000);
    disk.fail_next({.operation = pb::DiskOperation::kPunch, .error = EOPNOTSUPP});
    EXPECT_EQ(remove({{1, 2}}).code(), pb::STATUS_OK);
    EXPECT_EQ(remove({{1, 3}}).code(), pb::STATUS_OK);
    EXPECT_EQ(disk.punched_bytes, 0u);
    expect_chunks({1}, 300'000);
}

// --- Vacuum

class VacuumTest : public VolumeTest {
 protected:
    void SetUp() override {
        vacuum_percent = 30;
        start();
    }
};

TEST_F(VacuumTest, rewrites_volumes_with_much_garbage) {
    store_some(1, 400, 8'000);
    const size_t before = volume_bytes_on_disk();
    std::set<uint64_t> left = numbers(1, 400);
    for (uint64_t first = 1; first <= 400; first += 100) {
        std::vector<ChunkKey> keys;
        for (uint64_t number = first; number < first + 100; number++) {
            if (number % 10 == 0) continue;
            keys.push_back({1, number});
            left.erase(number);
        }
        EXPECT_EQ(remove(keys).code(), pb::STATUS_OK);
    }
    EXPECT_LT(volume_bytes_on_disk(), before / 4);
    expect_chunks(left, 8'000);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    expect_chunks(left, 8'000);
}

TEST_F(VacuumTest, lets_a_little_garbage_be) {
    store_some(1, 400, 8'000);
    EXPECT_EQ(remove({{1, 3}, {1, 5}, {1, 200}}).code(), pb::STATUS_OK);
    EXPECT_FALSE(kit->has(Body::kDiskRequest));
    EXPECT_TRUE(disk.has(volume_file(1)));
}

TEST_F(VacuumTest, keeps_what_is_damaged_and_goes_on_when_it_is_repaired) {
    store_some(1, 120, 8'000);
    const Record record = record_of({1, 50});
    disk.flip_bit(record.file, record.data());
    std::vector<ChunkKey> keys;
    for (uint64_t number = 1; number <= 100; number++) {
        if (number != 50 && number != 60) keys.push_back({1, number});
    }
    EXPECT_EQ(remove(keys).code(), pb::STATUS_OK);
    EXPECT_EQ(get_code({1, 50}), pb::STATUS_CORRUPTED);
    EXPECT_EQ(get({1, 60}, 0, 8'000).payload.to_string(), sample_bytes(8'000, 60));
    EXPECT_TRUE(disk.has(record.file)) << "its intact blocks are good for something";
    store({1, 50}, sample_bytes(8'000, 50));
    run_disk();
    EXPECT_FALSE(disk.has(record.file));
    std::set<uint64_t> left = numbers(101, 120);
    left.insert({50, 60});
    expect_chunks(left, 8'000);
}

TEST_F(VacuumTest, what_is_read_meanwhile_is_read_where_it_is_then) {
    store_some(1, 120, 8'000);
    start();  // The tables of checksums are not in memory.
    pb::ChunkGet request;
    *request.mutable_id() = id_of({1, 60});
    request.set_length(8'000);
    const uint64_t id = kit->request(message_of(request), client_);
    const Message slow_read = kit->take(Body::kDiskRequest);
    std::vector<ChunkKey> keys;
    for (uint64_t number = 1; number <= 100; number++) {
        if (number != 60) keys.push_back({1, number});
    }
    EXPECT_EQ(remove(keys).code(), pb::STATUS_OK);
    EXPECT_FALSE(disk.has(volume_file(1)));
    answer_disk(slow_read);
    run_disk();
    EXPECT_EQ(kit->take_answer(id).payload.to_string(), sample_bytes(8'000, 60));
}

TEST_F(VacuumTest, a_copy_that_comes_too_late_does_not_take_the_one_that_was_stored_since_with_it) {
    store_some(1, 105, 8'000);
    // Carries requests out up to one that does this; that one is held.
    const auto run_up_to = [&](auto does_it) {
        while (std::optional<Message> asked = kit->try_take(Body::kDiskRequest)) {
            const auto& operations = asked->envelope().disk_request().operations();
            if (std::ranges::any_of(operations, does_it)) return std::move(*asked);
            answer_disk(*asked);
        }
        ADD_FAILURE() << "nothing does it";
        return Message();
    };
    pb::ChunkDelete most;
    for (uint64_t number = 1; number <= 100; number++) {
        if (number != 60) *most.add_ids() = id_of({1, number});
    }
    kit->request(message_of(most), repairer_);
    const Message reading =
        run_up_to([](const pb::DiskOperation& operation) { return operation.read().length() > 8'000; });
    store({1, 121}, "x");  // Begins the next volume.
    answer_disk(reading);
    const Message moving =
        run_up_to([](const pb::DiskOperation& operation) { return operation.write().file().ends_with(".volume"); });
    pb::ChunkDelete one;
    *one.add_ids() = id_of({1, 60});
    kit->request(message_of(one), repairer_);
    store({1, 60}, sample_bytes(8'000, 60));
    answer_disk(moving);
    run_disk();
    for (int restarts = 0; restarts < 3; restarts++) {
        EXPECT_EQ(get({1, 60}, 0, 8'000).payload.to_string(), sample_bytes(8'000, 60));
        stop();
        start();
    }
}

// --- Files of single chunks

TEST_F(VacuumTest, old_files_are_served_and_moved_into_volumes) {
    for (uint64_t number = 1; number <= 600; number++) put_old_file({1, number}, sample_bytes(3'000, number));
    put_old_file({1, 601}, sample_bytes(3'000, 601), true);
    boot();
    const uint64_t put = send_put(put_of({2, 1}, "x"), "x", client_);
    run_disk();
    EXPECT_EQ(put_answer(put).status().code(), pb::STATUS_OK);
    EXPECT_EQ(disk.files_with(".chunk"), 0u);
    EXPECT_EQ(disk.files_with(".damaged"), 1u);
    EXPECT_EQ(list().chunks_size(), 602);
    disk.cut_power(MemoryDisk::Unsynced::kLost);
    start();
    for (uint64_t number = 1; number <= 601; number++) {
        EXPECT_EQ(get({1, number}, 0, 3'000).payload.to_string(), sample_bytes(3'000, number));
    }
    EXPECT_EQ(list().chunks(5).allocated_at_us(), place_of({1, 6}).allocated_at_us());
}

TEST_F(VolumeTest, old_files_are_read_deleted_and_replaced_where_they_are) {
    for (uint64_t number = 1; number <= 3; number++) put_old_file({1, number}, sample_bytes(3'000, number));
    start();
    expect_chunks(numbers(1, 3), 3'000);
    EXPECT_EQ(remove({{1, 2}}).code(), pb::STATUS_OK);
    EXPECT_FALSE(disk.has(chunk_path({1, 2})));
    disk.flip_bit(chunk_path({1, 3}), 1'000);
    start();
    EXPECT_EQ(get_code({1, 3}), pb::STATUS_CORRUPTED);
    EXPECT_TRUE(list().chunks(1).damaged());
    store({1, 3}, sample_bytes(3'000, 3));
    EXPECT_FALSE(disk.has(chunk_path({1, 3})));
    start();
    expect_chunks({1, 3}, 3'000);
    const uint64_t id = send_put(put_of({1, 1}, "other bytes"), "other bytes", client_);
    run_disk();
    EXPECT_EQ(put_answer(id).status().code(), pb::STATUS_EEXIST);
}

// --- Power cuts at each step

// A node on a disk that forgets what was not synced; its disk requests are carried out in order.
class CuttableNode {
 public:
    explicit CuttableNode(uint64_t seed) : disk(seed) {}

    void boot(uint32_t vacuum_percent) {
        kit = std::make_unique<StepKit>(std::make_unique<ChunkService>(), LocalAddress{pb::ACTOR_CHUNKS, 0});
        pb::StartChunks start;
        start.set_node_id("node-1");
        start.set_chunk_bytes_max(1 << 20);
        start.set_volume_bytes(64 * 1024);
        start.set_vacuum_percent(vacuum_percent);
        kit->deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
        run();
    }

    void run() {
        while (std::optional<Message> asked = kit->try_take(Body::kDiskRequest)) {
            Payload read;
            pb::DiskReply reply = disk.execute((*asked)->disk_request(), asked->payload, &read);
            if (disk.powered_off()) return;
            kit->answer(*asked, message_of(std::move(reply), std::move(read)));
        }
    }

    SimDisk disk;
    std::unique_ptr<StepKit> kit;
};

TEST(VacuumCut, at_any_operation_keeps_what_is_there_and_what_is_gone) {
    constexpr uint64_t kChunks = 30;
    bool finished = false;
    for (uint64_t operations = 0; !finished; operations++) {
        SCOPED_TRACE(str_cat("cut after ", operations));
        CuttableNode node(operations + 1);
        node.boot(0);
        for (uint64_t number = 1; number <= kChunks; number++) {
            const std::string data = sample_bytes(5'000, number);
            node.kit->request(message_of(put_of({1, number}, data), Payload(data)), {"~1", pb::ACTOR_CLIENT});
            node.run();
        }
        pb::ChunkDelete remove;
        for (uint64_t number = 1; number <= kChunks; number++) {
            if (number % 3 != 0) *remove.add_ids() = id_of({1, number});
        }
        node.kit->request(message_of(remove), {pb::ACTOR_REPAIRER});
        node.run();
        node.disk.crash();
        node.disk.power_off_after(operations);
        node.boot(30);  // Rewrites at once.
        finished = !node.disk.powered_off();
        node.disk.crash();
        node.boot(0);
        ASSERT_FALSE(node.kit->stopped());
        for (uint64_t number = 1; number <= kChunks; number++) {
            pb::ChunkGet get;
            *get.mutable_id() = id_of({1, number});
            get.set_length(5'000);
            const uint64_t id = node.kit->request(message_of(get), {"~1", pb::ACTOR_CLIENT});
            node.run();
            const Message answer = node.kit->take_answer(id);
            const bool stays = number % 3 == 0;
            EXPECT_EQ(answer->chunk_get_reply().status().code(), stays ? pb::STATUS_OK : pb::STATUS_ENOENT) << number;
            EXPECT_TRUE(!stays || answer.payload.to_string() == sample_bytes(5'000, number)) << number;
        }
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace sandstore
