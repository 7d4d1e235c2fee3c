// What a log store finds at boot: crashes at every moment, torn writes, damage, foreign files.
#include <algorithm>
#include <set>

#include "actors/log/log_store.h"
#include "actors/log/segment_format.h"
#include "tests/unit/log/log_bench.h"

namespace sandstore {
namespace {

using Entries = std::vector<TestEntry>;

constexpr const char* kFirstSegment = "log/0000000000000001.seg";
constexpr const char* kSecondSegment = "log/0000000000000002.seg";

TestEntry command(uint64_t term, uint64_t index, std::string data) {
    return {term, index, RecordType::kCommand, std::move(data)};
}

// A log of one small segment with three blocks: entries 1, 2, and 3 with 4. Gives where each block begins, and the end.
std::vector<uint64_t> write_three_blocks(SimDisk* disk, LogBench* log) {
    log->start();
    log->write(hard_state_of(1, "node-1"), {command(1, 1, "first")});
    log->run();
    log->append(1, 2, std::string(100, 'b'));
    log->run();
    log->write(hard_state_of(2, "node-2"), {command(2, 3, "third"), command(2, 4, std::string(150, 'd'))});
    log->run();
    std::vector<uint64_t> places;
    const std::string bytes = disk->contents(kFirstSegment);
    uint64_t offset = kSegmentHeaderBytes;
    while (auto header = decode_block_header(std::string_view(bytes).substr(offset))) {
        if (header->is_seal) break;
        places.push_back(offset);
        offset += header->block_bytes();
    }
    places.push_back(offset);
    EXPECT_EQ(places.size(), 4u);
    return places;
}

// As if the process had died before the last block was synced.
void remove_seal(SimDisk* disk) {
    std::string bytes = disk->contents(kFirstSegment);
    for (uint64_t at = kSegmentHeaderBytes; auto header = decode_block_header(std::string_view(bytes).substr(at));) {
        if (header->is_seal) bytes.replace(at, kBlockHeaderBytes, kBlockHeaderBytes, '\0');
        at += header->block_bytes();
    }
    disk->set_contents(kFirstSegment, bytes);
}

// --- The tail

TEST(LogRecovery, a_last_block_torn_at_any_byte_is_dropped) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    remove_seal(&disk);
    const std::string whole = disk.contents(kFirstSegment);
    const uint64_t body_bytes = decode_block_header(std::string_view(whole).substr(places[2]))->body_bytes;
    const uint64_t body_end = places[2] + kBlockHeaderBytes + body_bytes;
    for (uint64_t cut = places[2]; cut < places[3]; cut++) {
        for (const char filler : {'\0', '\x5a'}) {
            std::string torn = whole;
            std::fill(torn.begin() + static_cast<long>(cut), torn.begin() + static_cast<long>(places[3]), filler);
            disk.set_contents(kFirstSegment, torn);
            log.start();
            ASSERT_FALSE(log.stopped()) << "cut at " << cut << ": " << log.reason();
            const pb::LogRecovered recovered = log.take_recovered();
            if (cut < body_end && torn != whole) {  // No checksum covers the padding, and none needs to.
                EXPECT_EQ(recovered.last_index(), 2u) << "cut at " << cut;
                EXPECT_EQ(recovered.hard_state().term(), 1u) << "cut at " << cut;
                EXPECT_EQ(recovered.hard_state().voted_for(), "node-1");
            }
        }
    }
}

TEST(LogRecovery, the_log_goes_on_over_a_torn_tail) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    remove_seal(&disk);
    ASSERT_TRUE(disk.flip_bit(kFirstSegment, places[2] + kBlockHeaderBytes + 3));
    log.start();
    EXPECT_EQ(log.take_recovered().last_index(), 2u);
    EXPECT_TRUE(log.kit().logged("incomplete block"));
    log.write(hard_state_of(3), {command(3, 3, "new")});
    log.run();
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 3u);
    const Entries expected = {command(1, 1, "first"), command(1, 2, std::string(100, 'b')), command(3, 3, "new")};
    EXPECT_EQ(log.read_all(1, 3), expected);
}

TEST(LogRecovery, zeros_after_the_last_block_are_the_end) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    log.start();
    EXPECT_EQ(log.take_recovered().last_index(), 4u);
    EXPECT_FALSE(log.kit().logged("incomplete"));
}

TEST(LogRecovery, a_block_is_accepted_that_was_written_and_not_acknowledged) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.take_recovered();
    log.append(1, 1, "a");
    const Message request = log.kit().take(pb::Envelope::kDiskRequest);
    Payload read;
    disk.execute(request->disk_request(), request.payload, &read);  // The process dies before it hears of it.
    log.start();
    EXPECT_EQ(log.take_recovered().last_index(), 1u);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 1u);
}

TEST(LogRecovery, what_was_read_is_synced_before_it_is_reported) {
    // The process dies between write and sync, the next one reads the bytes from the cache, and then the power fails.
    for (uint64_t seed = 1; seed <= 30; seed++) {
        SimDisk disk(seed);
        LogBench log(&disk);
        log.start();
        log.append(1, 1, "a");
        log.run();
        log.append(1, 2, std::string(3000, 'b'));
        Message request = log.kit().take(pb::Envelope::kDiskRequest);
        pb::DiskRequest write_only = request->disk_request();
        write_only.mutable_operations()->RemoveLast();  // The seal.
        ASSERT_TRUE(write_only.operations(write_only.operations_size() - 1).has_sync());
        write_only.mutable_operations()->RemoveLast();
        Payload read;
        disk.execute(write_only, request.payload, &read);
        log.start();
        ASSERT_EQ(log.take_recovered().last_index(), 2u);
        log.restart();
        EXPECT_EQ(log.take_recovered().last_index(), 2u) << "seed " << seed;
    }
}

// --- Damage

TEST(LogRecovery, any_flipped_bit_before_the_last_block_is_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    const std::string whole = disk.contents(kFirstSegment);
    std::vector<std::pair<uint64_t, uint64_t>> ranges = {
        {0, 200}, {places[0], places[0] + 92}, {places[1], places[2] - 7}};
    for (const auto& [begin, end] : ranges) {
        for (uint64_t offset = begin; offset < end; offset++) {
            disk.set_contents(kFirstSegment, whole);
            disk.flip_bit(kFirstSegment, offset, static_cast<int>(offset % 8));
            log.start();
            ASSERT_TRUE(log.stopped()) << "offset " << offset;
            EXPECT_NE(log.reason().find("0000000000000001.seg"), std::string::npos) << log.reason();
            EXPECT_NE(log.reason().find("remove this node's data directory"), std::string::npos) << log.reason();
            EXPECT_FALSE(log.kit().has(pb::Envelope::kLogRecovered));
            EXPECT_EQ(disk.contents(kFirstSegment).size(), whole.size()) << "nothing is cut off";
        }
    }
}

TEST(LogRecovery, any_flipped_bit_in_a_block_that_was_acknowledged_is_refused_also_in_the_last_one) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    const std::string whole = disk.contents(kFirstSegment);
    const uint64_t body_bytes = decode_block_header(std::string_view(whole).substr(places[2]))->body_bytes;
    for (uint64_t offset = places[2]; offset < places[2] + kBlockHeaderBytes + body_bytes; offset++) {
        disk.set_contents(kFirstSegment, whole);
        disk.flip_bit(kFirstSegment, offset, static_cast<int>(offset % 8));
        log.start();
        ASSERT_TRUE(log.stopped()) << "offset " << offset;
        EXPECT_NE(log.reason().find("block 4 is at offset"), std::string::npos) << log.reason();
    }
}

TEST(LogRecovery, a_damaged_seal_costs_nothing_and_is_made_anew) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    for (uint64_t offset = places[3]; offset < places[3] + kBlockHeaderBytes; offset++) {
        disk.flip_bit(kFirstSegment, offset);
        log.start();
        ASSERT_FALSE(log.stopped()) << log.reason();
        EXPECT_EQ(log.take_recovered().last_index(), 4u);
        const auto seal = decode_block_header(std::string_view(disk.contents(kFirstSegment)).substr(places[3]));
        ASSERT_TRUE(seal && seal->is_seal) << "offset " << offset;
    }
    log.append(2, 5, "e");
    log.run();
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 5u);
}

TEST(LogRecovery, damage_is_reported_with_file_and_offset) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    disk.flip_bit(kFirstSegment, places[1] + kBlockHeaderBytes + 40);
    log.start();
    EXPECT_NE(log.reason().find("log/0000000000000001.seg offset " + std::to_string(places[1])), std::string::npos)
        << log.reason();
}

// Segments of 8 KiB with records of 1 KiB.
void write_segments(LogBench* log, uint64_t entries) {
    log->set_segment_bytes(8 << 10);
    log->start();
    for (uint64_t i = 1; i <= entries; i++) {
        log->append(1, i, std::string(1000, static_cast<char>('a' + i % 26)));
        log->run();
    }
    ASSERT_EQ(log->take_persisted().size(), entries);
}

TEST(LogRecovery, a_bad_last_block_of_an_earlier_segment_is_damage) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_segments(&log, 8);
    ASSERT_TRUE(disk.exists("log/0000000000000003.seg"));
    const std::string bytes = disk.contents(kSecondSegment);
    uint64_t last = 0;
    for (uint64_t at = kSegmentHeaderBytes; auto header = decode_block_header(std::string_view(bytes).substr(at));) {
        if (header->is_seal) break;
        last = at;
        at += header->block_bytes();
    }
    disk.flip_bit(kSecondSegment, last + 200);
    log.start();
    EXPECT_NE(log.reason().find("log/0000000000000002.seg offset " + std::to_string(last)), std::string::npos)
        << log.reason();
}

TEST(LogRecovery, a_segment_missing_between_others_is_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_segments(&log, 12);
    DiskCall removal;
    removal.remove(kSecondSegment);
    Payload read;
    ASSERT_EQ(disk.execute(removal.request, {}, &read).error(), 0);
    log.start();
    EXPECT_NE(log.reason().find("missing"), std::string::npos) << log.reason();
}

// Whether a snapshot holds what came before is for RaftNode to say.
TEST(LogRecovery, a_log_without_its_first_segment_is_reported_to_begin_later) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_segments(&log, 12);
    DiskCall removal;
    removal.remove(kFirstSegment);
    Payload read;
    ASSERT_EQ(disk.execute(removal.request, {}, &read).error(), 0);
    log.start();
    EXPECT_FALSE(log.stopped()) << log.reason();
    EXPECT_GT(log.take_recovered().first_index(), 1u);
}

TEST(LogRecovery, a_segment_of_another_life_is_refused) {
    SimDisk other(5);
    LogBench former(&other);
    write_segments(&former, 6);
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "only one");
    log.run();
    disk.set_contents(kSecondSegment, other.contents(kSecondSegment));
    log.start();
    EXPECT_TRUE(log.stopped());
}

TEST(LogRecovery, a_segment_cut_short_is_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_segments(&log, 8);
    disk.set_contents(kSecondSegment, disk.contents(kSecondSegment).substr(0, 5000));
    log.start();
    EXPECT_NE(log.reason().find("5000 bytes long instead of 8192"), std::string::npos) << log.reason();
    disk.set_contents(kSecondSegment, "");
    log.start();
    EXPECT_TRUE(log.stopped());
}

TEST(LogRecovery, a_misdirected_write_is_noticed) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.run();
    disk.misdirect_next_write(512);
    log.append(1, 2, "b");
    log.run();
    log.start();
    EXPECT_TRUE(log.stopped()) << "an acknowledged block is not where it belongs";
}

TEST(LogRecovery, a_lost_write_with_later_ones_is_noticed) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.run();
    disk.lose_next_write();
    log.append(1, 2, "b");
    log.run();
    log.append(1, 3, "c");
    log.run();
    log.start();
    EXPECT_TRUE(log.stopped());
}

TEST(LogRecovery, an_unreadable_file_is_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_three_blocks(&disk, &log);
    disk.add_fault({pb::DiskOperation::kRead, EIO, "", 1});
    log.start();
    EXPECT_NE(log.reason().find("errno 5"), std::string::npos) << log.reason();
}

TEST(LogRecovery, random_damage_never_crashes_and_never_invents) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_three_blocks(&disk, &log);
    const std::string whole = disk.contents(kFirstSegment);
    const Entries written = log.read_all(1, 4);
    RandomStream random(3, 3);
    for (int round = 0; round < 400; round++) {
        std::string bytes = whole;
        const uint64_t from = random.below(5000);
        for (uint64_t i = 0, length = 1 + random.below(400); i < length && from + i < bytes.size(); i++) {
            bytes[from + i] = static_cast<char>(random.next());
        }
        disk.set_contents(kFirstSegment, bytes);
        log.start();
        if (log.stopped()) continue;
        const uint64_t last = log.take_recovered().last_index();
        ASSERT_LE(last, 4u);
        if (last > 0) {
            EXPECT_EQ(log.read_all(1, last), Entries(written.begin(), written.begin() + static_cast<long>(last)));
        }
    }
}

TEST(LogRecovery, only_the_block_with_the_next_sequence_continues_the_log) {
    SimDisk disk(1);
    LogBench log(&disk);
    const std::vector<uint64_t> places = write_three_blocks(&disk, &log);
    const std::string whole = disk.contents(kFirstSegment);
    // An earlier block of this segment again, whole and valid: not the next one, and no damage either.
    std::string repeated = whole;
    repeated.replace(places[3], places[2] - places[1], whole.substr(places[1], places[2] - places[1]));
    disk.set_contents(kFirstSegment, repeated);
    log.start();
    EXPECT_EQ(log.take_recovered().last_index(), 4u);
    // The third block in the place of the second: that one is missing.
    std::string skipped = whole;
    skipped.replace(places[1], places[3] - places[2], whole.substr(places[2], places[3] - places[2]));
    disk.set_contents(kFirstSegment, skipped);
    log.start();
    EXPECT_NE(log.reason().find("has block 3 in the place of block 2"), std::string::npos) << log.reason();
}

// --- Recycled files

TEST(LogRecovery, bytes_of_a_recycled_file_are_never_accepted) {
    // The former segment holds valid blocks of this very log, at the very offsets where new ones go.
    SimDisk disk(1);
    LogBench log(&disk);
    write_segments(&log, 12);
    const std::string former = disk.contents(kFirstSegment);
    for (const std::string& file : disk.files()) {
        if (file.find("spare") == std::string::npos) continue;
        disk.set_contents(file, former);
    }
    log.start();
    EXPECT_EQ(log.take_recovered().last_index(), 12u);
    uint64_t index = 13;
    const size_t files = disk.files().size();
    while (disk.files().size() == files) {
        // Records of the same size: blocks end exactly where the former ones did.
        log.append(1, index++, std::string(1000, 'n'));
        log.run();
        log.restart();
        ASSERT_FALSE(log.stopped()) << log.reason();
        EXPECT_EQ(log.take_recovered().last_index(), index - 1);
    }
    EXPECT_EQ(log.read_all(13, index - 1).back().data, std::string(1000, 'n'));
}

TEST(LogRecovery, data_that_looks_like_a_block_is_not_one) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "a");
    log.run();
    // A client stores the bytes of what would be a later block, and then this write is torn in its first sector.
    BlockHeader fake;
    fake.sequence = 3;
    fake.first_index = 1;
    std::string data(1200, '-');
    for (size_t shift = 0; shift + kBlockHeaderBytes < data.size(); shift += 57) {
        data.replace(shift, kBlockHeaderBytes, encode_block_header(fake));
    }
    log.append(1, 2, data);
    log.run();
    remove_seal(&disk);
    const std::string bytes = disk.contents(kFirstSegment);
    const auto first = decode_block_header(std::string_view(bytes).substr(kSegmentHeaderBytes));
    ASSERT_TRUE(first);
    disk.flip_bit(kFirstSegment, kSegmentHeaderBytes + first->block_bytes() + 12);
    log.start();
    EXPECT_FALSE(log.stopped()) << log.reason();
    EXPECT_EQ(log.take_recovered().last_index(), 1u);
}

// --- Foreign files

TEST(LogRecovery, the_directory_of_another_node_or_cluster_is_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_three_blocks(&disk, &log);
    const std::string before = disk.contents(kFirstSegment);
    log.set_identity("cluster-a", "node-2");
    log.start();
    EXPECT_NE(log.reason().find("belongs to node node-1 of cluster cluster-a"), std::string::npos) << log.reason();
    log.set_identity("cluster-b", "node-1");
    log.start();
    EXPECT_TRUE(log.stopped());
    EXPECT_EQ(disk.contents(kFirstSegment), before);
    log.set_identity("cluster-a", "node-1");
    log.start();
    EXPECT_EQ(log.take_recovered().last_index(), 4u);
}

TEST(LogRecovery, an_unknown_version_is_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    write_three_blocks(&disk, &log);
    std::string bytes = disk.contents(kFirstSegment);
    bytes[8] = 9;
    const uint32_t crc =
        crc32c(Payload(bytes.substr(16, kSegmentHeaderBytes - 16)), crc32c(Payload(bytes.substr(0, 12))));
    bytes.replace(12, 4, reinterpret_cast<const char*>(&crc), 4);
    disk.set_contents(kFirstSegment, bytes);
    log.start();
    EXPECT_NE(log.reason().find("format version 9"), std::string::npos) << log.reason();
    EXPECT_NE(log.reason().find("run the version of sandstore that wrote it"), std::string::npos) << log.reason();
}

TEST(LogRecovery, a_segment_is_read_in_pieces) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(6 << 20);
    log.start();
    for (uint64_t i = 1; i <= 5; i++) log.append(1, i, std::string(900'000, static_cast<char>('a' + i)));
    log.run();
    log.crash();
    log.begin();
    size_t reads = 0;
    while (auto request = log.kit().try_take(pb::Envelope::kDiskRequest)) {
        uint64_t bytes = 0;
        for (const pb::DiskOperation& operation : (*request)->disk_request().operations()) {
            bytes += operation.read().length();
        }
        EXPECT_LE(bytes, 1u << 20);
        Payload read;
        pb::DiskReply reply = disk.execute((*request)->disk_request(), request->payload, &read);
        log.kit().answer(*request, message_of(std::move(reply), std::move(read)));
        reads += bytes > 0;
    }
    EXPECT_GE(reads, 6u);
    EXPECT_EQ(log.take_recovered().last_index(), 5u);
}

// --- Crashes at every moment

// The log as everybody understands it.
struct Model {
    pb::HardState hard_state;
    Entries entries;

    void apply(const std::optional<pb::HardState>& next, const Entries& written) {
        if (next) hard_state = *next;
        if (written.empty()) return;
        entries.resize(written.front().index - 1);
        entries.insert(entries.end(), written.begin(), written.end());
    }
};

// Random writes on a disk whose power fails at a random operation, again and again. After each crash the log must be
// the model as of some write between the last acknowledged and the last sent one.
class CrashRun {
 public:
    explicit CrashRun(uint64_t seed) : random_(seed, 77), disk_(seed), log_(&disk_, seed) {
        log_.set_segment_bytes(8 << 10);
        states_.push_back({});
    }

    void run(int crashes) {
        for (int crash = 0; crash < crashes && !testing::Test::HasFailure(); crash++) {
            disk_.power_off_after(random_.below(60));
            log_.begin();
            while (!disk_.powered_off() && !testing::Test::HasFailure()) step();
            log_.crash();
            check_recovery();
        }
    }

 private:
    void step() {
        if (!log_.step_disk() && disk_.powered_off()) return;
        ASSERT_FALSE(log_.stopped()) << log_.reason();
        if (auto recovered = log_.kit().try_take(pb::Envelope::kLogRecovered)) {
            compare((*recovered)->log_recovered());
            running_ = true;
        }
        for (const pb::LogPersisted& persisted : log_.take_persisted()) {
            acknowledged_ = base_ + persisted.write_id();
            const Model& model = states_[acknowledged_];
            EXPECT_EQ(persisted.last_index(), model.entries.size());
            EXPECT_EQ(persisted.last_term(), model.entries.empty() ? 0 : model.entries.back().term);
        }
        if (running_ && random_.below(3) != 0) write();
    }

    void write() {
        Model next = states_.back();
        std::optional<pb::HardState> hard_state;
        if (random_.below(4) == 0) {
            hard_state = hard_state_of(next.hard_state.term() + random_.below(2) + 1,
                                       random_.below(2) == 0 ? "" : "node-" + std::to_string(random_.below(3)));
        }
        const uint64_t term = std::max<uint64_t>(1, hard_state ? hard_state->term() : next.hard_state.term());
        Entries entries;
        if (!hard_state || random_.below(2) == 0) {
            uint64_t index = next.entries.size() + 1;
            if (random_.below(5) == 0) index -= std::min(index - 1, random_.below(6));
            const uint64_t count = 1 + random_.below(4);
            for (uint64_t i = 0; i < count; i++) {
                const size_t length = random_.below(8) == 0 ? random_.below(5000) : random_.below(300);
                const RecordType type = random_.below(10) == 0 ? RecordType::kConfiguration : RecordType::kCommand;
                entries.push_back(
                    {term, index + i, type, std::string(length, static_cast<char>('a' + random_.below(26)))});
            }
        }
        next.apply(hard_state, entries);
        states_.push_back(std::move(next));
        log_.write(hard_state, entries);
    }

    // Starts without trouble and finds an acceptable state, from which the next round goes on.
    void check_recovery() {
        running_ = false;
        log_.start();
        ASSERT_FALSE(log_.stopped()) << log_.reason();
        const pb::LogRecovered recovered = log_.take_recovered();
        const Entries entries = log_.read_all(1, recovered.last_index());
        size_t found = states_.size();
        for (size_t i = acknowledged_; i < states_.size() && found == states_.size(); i++) {
            const bool same = states_[i].entries == entries &&
                              states_[i].hard_state.term() == recovered.hard_state().term() &&
                              states_[i].hard_state.voted_for() == recovered.hard_state().voted_for();
            if (same) found = i;
        }
        ASSERT_LT(found, states_.size()) << "acknowledged " << acknowledged_ << " sent " << states_.size() - 1
                                         << " recovered entries " << entries.size();
        states_ = {states_[found]};
        acknowledged_ = 0;
        base_ = 0;
        compare(recovered);
        log_.crash();  // Reported means durable.
    }

    void compare(const pb::LogRecovered& recovered) {
        const Model& model = states_.back();
        ASSERT_EQ(recovered.last_index(), model.entries.size());
        EXPECT_EQ(recovered.hard_state().term(), model.hard_state.term());
        size_t configurations = 0;
        uint64_t term = 0;
        int run = 0;
        for (const TestEntry& entry : model.entries) {
            if (entry.type == RecordType::kConfiguration) {
                const int place = static_cast<int>(configurations++);
                ASSERT_LT(place, recovered.configurations_size());
                EXPECT_EQ(recovered.configurations(place).index(), entry.index);
                EXPECT_EQ(recovered.configurations(place).configuration(), entry.data);
            }
            if (entry.term == term) continue;
            term = entry.term;
            ASSERT_LT(run, recovered.term_runs_size());
            EXPECT_EQ(recovered.term_runs(run).first_index(), entry.index);
            EXPECT_EQ(recovered.term_runs(run).term(), term);
            run++;
        }
        EXPECT_EQ(recovered.configurations_size(), static_cast<int>(configurations));
        EXPECT_EQ(recovered.term_runs_size(), run);
    }

    RandomStream random_;
    SimDisk disk_;
    LogBench log_;
    std::vector<Model> states_;  // After each write; the first is what the boot found.
    size_t acknowledged_ = 0;    // Place in states_.
    size_t base_ = 0;
    bool running_ = false;
};

TEST(LogRecovery, equals_the_model_after_crashes_at_random_operations) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        CrashRun(seed).run(20);
        if (HasFailure()) return;
    }
}

TEST(LogRecovery, starts_after_a_crash_at_every_operation_of_the_first_boot) {
    for (uint64_t operation = 0; operation < 40; operation++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            SCOPED_TRACE("operation " + std::to_string(operation) + " seed " + std::to_string(seed));
            SimDisk disk(seed);
            disk.power_off_after(operation);
            LogBench log(&disk);
            log.set_segment_bytes(8 << 10);
            log.start();
            size_t acknowledged = 0;
            for (uint64_t i = 1; i <= 8 && !disk.powered_off(); i++) {
                log.append(1, i, std::string(1500, 'x'));
                log.run();
                acknowledged += log.take_persisted().size();
            }
            log.restart();
            ASSERT_FALSE(log.stopped()) << log.reason();
            const uint64_t last = log.take_recovered().last_index();
            ASSERT_GE(last, acknowledged);
            ASSERT_LE(last, acknowledged + 1);
            log.append(1, last + 1, "and on");
            log.run();
            ASSERT_EQ(log.take_persisted().size(), 1u);
        }
    }
}

TEST(LogRecovery, starts_after_crashes_during_recovery_itself) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        SimDisk disk(seed);
        LogBench log(&disk);
        write_segments(&log, 6);
        log.append(1, 7, std::string(700, 't'));
        disk.power_off_after(seed % 2);  // In the write of the last block, or in its sync.
        log.run();
        log.crash();
        uint64_t last = 0;
        for (uint64_t operation = 0; operation < 20; operation++) {
            disk.power_off_after(operation);
            log.start();
            log.crash();
            log.start();
            ASSERT_FALSE(log.stopped()) << log.reason();
            const uint64_t found = log.take_recovered().last_index();
            ASSERT_GE(found, 6u);
            if (operation > 0) {
                ASSERT_EQ(found, last) << "what was reported once stays";
            }
            last = found;
            log.crash();
        }
    }
}

}  // namespace
}  // namespace sandstore
