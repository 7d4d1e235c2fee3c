// A log that loses its beginning: compaction, restarts after a snapshot, recycled files, a full disk.
#include <algorithm>
#include <cerrno>

#include "actors/log/log_store.h"
#include "actors/log/segment_format.h"
#include "tests/unit/log/log_bench.h"

namespace sandstore {
namespace {

constexpr uint64_t kSmallSegment = 8 << 10;

std::string text_of(uint64_t index) {
    return std::string(1500, static_cast<char>('a' + index % 26)) + std::to_string(index);
}

// Two entries a segment.
void fill(LogBench* log, uint64_t from, uint64_t to, uint64_t term = 1) {
    for (uint64_t i = from; i <= to; i++) {
        log->append(term, i, text_of(i));
        log->run();
    }
}

// Of what is read; empty when nothing can be.
std::string first_text(LogBench* log, uint64_t first, uint64_t last) {
    const std::vector<TestEntry> entries = log->read_all(first, last);
    return entries.empty() ? std::string() : entries.front().data;
}

size_t segments_on(const SimDisk& disk) {
    const std::vector<std::string> files = disk.files();
    return static_cast<size_t>(
        std::count_if(files.begin(), files.end(), [](const std::string& file) { return file.starts_with("log/0"); }));
}

size_t spares_on(const SimDisk& disk) {
    const std::vector<std::string> files = disk.files();
    return static_cast<size_t>(std::count_if(files.begin(), files.end(),
                                             [](const std::string& file) { return file.starts_with("log/spare-"); }));
}

TEST(LogCompaction, drops_the_segments_that_hold_nothing_else_and_recycles_their_files) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    log.write(hard_state_of(1, "node-2"), {});
    fill(&log, 1, 20);
    const size_t before = segments_on(disk);
    ASSERT_GE(before, 9u);
    log.compact(15);
    log.run();
    EXPECT_LT(segments_on(disk), before - 5);
    EXPECT_LE(spares_on(disk), kSparesMax);
    EXPECT_EQ(log.read(14, 14).reply.status().code(), pb::STATUS_ENOENT);
    EXPECT_EQ(first_text(&log, 15, 20), text_of(15));
    fill(&log, 21, 30);
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_GT(recovered.first_index(), 1u);
    EXPECT_LE(recovered.first_index(), 15u);
    EXPECT_EQ(recovered.last_index(), 30u);
    EXPECT_EQ(recovered.hard_state().voted_for(), "node-2") << "the block that held it is gone, the header repeats it";
    ASSERT_EQ(recovered.term_runs_size(), 1);
    EXPECT_EQ(recovered.term_runs(0).first_index(), recovered.first_index());
    for (uint64_t i = recovered.first_index(); i <= 30; i++) EXPECT_EQ(first_text(&log, i, i), text_of(i));
}

TEST(LogCompaction, beyond_the_end_leaves_an_empty_log_that_goes_on) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 9, 3);
    log.compact(100);
    log.run();
    EXPECT_EQ(segments_on(disk), 1u);
    EXPECT_EQ(log.read(9, 9).reply.status().code(), pb::STATUS_ENOENT);
    fill(&log, 10, 12, 3);
    EXPECT_EQ(log.take_persisted().back().last_term(), 3u);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 12u);
}

TEST(LogCompaction, a_second_one_and_an_older_one_do_nothing) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 10);
    log.compact(8);
    log.run();
    const uint64_t operations = disk.operations();
    log.compact(8);
    log.compact(3);
    log.run();
    EXPECT_EQ(disk.operations(), operations);
}

TEST(LogCompaction, a_truncation_that_reached_back_into_a_dropped_segment_begins_the_log) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 10);
    // Entry 7 is replaced in a later segment than the one that held it first.
    log.write(hard_state_of(2), {{2, 7, RecordType::kCommand, "new 7"}});
    log.run();
    fill(&log, 8, 12, 2);
    log.compact(7);
    log.run();
    log.restart();
    ASSERT_FALSE(log.stopped()) << log.reason();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.first_index(), 7u);
    EXPECT_EQ(recovered.last_index(), 12u);
    EXPECT_EQ(first_text(&log, 7, 7), "new 7");
}

TEST(LogCompaction, a_pure_truncation_into_a_dropped_segment_is_followed_by_the_next_segment) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 10, 4);
    log.truncate(7);
    log.run();
    log.compact(7);
    log.run();
    for (uint64_t term = 5; term < 200; term++) {
        log.write(hard_state_of(term), {});  // Until the next segment begins with an empty log.
        log.run();
    }
    log.restart();
    ASSERT_FALSE(log.stopped()) << log.reason();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.first_index(), 7u);
    EXPECT_EQ(recovered.last_index(), 6u);
    EXPECT_EQ(recovered.hard_state().term(), 199u);
}

TEST(LogCompaction, a_missing_segment_in_the_middle_is_still_refused) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 20);
    log.compact(9);
    log.run();
    std::vector<std::string> segments;
    for (const std::string& file : disk.files()) {
        if (file.starts_with("log/0")) segments.push_back(file);
    }
    ASSERT_GE(segments.size(), 3u);
    pb::DiskRequest removal;
    removal.add_operations()->mutable_remove()->set_file(segments[1]);
    Payload none;
    disk.execute(removal, {}, &none);
    log.restart();
    ASSERT_TRUE(log.stopped());
    EXPECT_NE(log.reason().find("missing"), std::string::npos);
}

// --- Restart

TEST(LogRestart, empties_the_log_durably_with_hard_state_and_records_in_one_step) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 10);
    log.restart_log(500, 6, hard_state_of(7, "node-3"), {{7, 501, RecordType::kCommand, "after"}});
    EXPECT_EQ(log.read(10, 10).reply.status().code(), pb::STATUS_ENOENT);
    log.run();
    const pb::LogPersisted persisted = log.take_persisted().back();
    EXPECT_EQ(persisted.last_index(), 501u);
    EXPECT_EQ(persisted.last_term(), 7u);
    EXPECT_EQ(segments_on(disk), 1u) << "what was before is gone";
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.first_index(), 501u);
    EXPECT_EQ(recovered.last_index(), 501u);
    EXPECT_EQ(recovered.hard_state().term(), 7u);
    EXPECT_EQ(recovered.hard_state().voted_for(), "node-3");
    EXPECT_EQ(first_text(&log, 501, 501), "after");
}

TEST(LogRestart, as_the_last_block_recovers_as_an_empty_log_after_the_snapshot) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 5);
    log.restart_log(40, 3, std::nullopt, {});
    log.run();
    EXPECT_EQ(log.take_persisted().back().last_term(), 3u);
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.first_index(), 41u);
    EXPECT_EQ(recovered.last_index(), 40u);
    EXPECT_EQ(recovered.term_runs_size(), 0);
    EXPECT_EQ(recovered.configurations_size(), 0);
    fill(&log, 41, 50, 3);
    log.restart();
    EXPECT_EQ(log.take_recovered().last_index(), 50u);
}

TEST(LogRestart, in_a_group_with_writes_before_and_after_it_counts_in_its_place) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.start();
    log.append(1, 1, "under way");
    log.append(1, 2, "dropped");
    log.restart_log(10, 2, std::nullopt, {});
    log.append(2, 11, "kept");
    log.run();
    EXPECT_EQ(log.take_persisted().back().last_index(), 11u);
    log.restart();
    const pb::LogRecovered recovered = log.take_recovered();
    EXPECT_EQ(recovered.first_index(), 11u);
    EXPECT_EQ(first_text(&log, 11, 11), "kept");
}

// --- Directories and a full disk

TEST(LogDirectory, each_group_has_its_own_log) {
    SimDisk disk(1);
    LogBench first(&disk);
    LogBench second(&disk);
    second.set_directory("log-7");
    first.start();
    second.start();
    first.append(1, 1, "first");
    second.append(1, 1, "second");
    first.run();
    second.run();
    EXPECT_TRUE(disk.exists("log/0000000000000001.seg"));
    EXPECT_TRUE(disk.exists("log-7/0000000000000001.seg"));
    second.start();
    first.start();
    EXPECT_EQ(first_text(&first, 1, 1), "first");
    EXPECT_EQ(first_text(&second, 1, 1), "second");
}

TEST(LogSpace, is_told_once_when_the_disk_is_full_and_once_when_it_is_not) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(64 << 10);
    log.start();
    log.append(1, 1, "a");
    while (log.kit().count(pb::Envelope::kLogPersisted) == 0) log.step_disk();
    disk.set_capacity(disk.used_bytes());
    log.run();
    for (int i = 0; i < 5; i++) {
        log.kit().advance(LogStore::kOutOfSpaceRetryUs);
        log.run();
    }
    ASSERT_EQ(log.kit().count(pb::Envelope::kLogSpace), 1u);
    const Message full = log.kit().take(pb::Envelope::kLogSpace);
    EXPECT_EQ(receiver_of(full), Address(pb::ACTOR_RAFT));
    EXPECT_TRUE(full->log_space().full());
    EXPECT_NE(full->log_space().detail(), "");
    // The present segment carries votes meanwhile.
    log.take_persisted();
    log.write(hard_state_of(2, "node-2"), {});
    log.run();
    EXPECT_EQ(log.take_persisted().size(), 1u);
    disk.set_capacity(uint64_t{1} << 30);
    log.kit().advance(LogStore::kOutOfSpaceRetryUs);
    log.run();
    const Message again = log.kit().take(pb::Envelope::kLogSpace);
    EXPECT_FALSE(again->log_space().full());
}

TEST(LogSpace, writes_wait_unacknowledged_and_go_on_when_compaction_frees_a_segment) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(kSmallSegment);
    log.start();
    fill(&log, 1, 8);
    disk.set_capacity(disk.used_bytes());
    uint64_t last = 8;
    log.take_persisted();
    while (last < 40) {
        last++;
        log.append(1, last, text_of(last));
        log.run();
        if (log.take_persisted().empty()) break;
    }
    ASSERT_LT(last, 40u) << "the disk never was full";
    ASSERT_TRUE(log.kit().take(pb::Envelope::kLogSpace)->log_space().full());
    log.append(1, last + 1, text_of(last + 1));
    log.compact(last - 1);
    log.run();
    EXPECT_EQ(log.take_persisted().back().last_index(), last + 1);
    EXPECT_FALSE(log.kit().take(pb::Envelope::kLogSpace)->log_space().full());
    log.restart();
    ASSERT_FALSE(log.stopped()) << log.reason();
    EXPECT_EQ(log.take_recovered().last_index(), last + 1);
}

// Fills what there is, a kilobyte at a time, and says which of the two levels are told on the way.
TEST(LogSpace, a_segment_is_kept_in_reserve_and_the_last_half_of_one_for_terms_and_votes) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(64 << 10);
    log.set_disk_reserve_bytes(64 << 10);
    log.start();
    EXPECT_EQ(spares_on(disk), kSparesMax);
    disk.set_capacity(disk.used_bytes());
    uint64_t bytes_at_full = 0;
    uint64_t bytes_at_exhausted = 0;
    uint64_t last = 0;
    while (bytes_at_exhausted == 0 && last < 400) {
        log.append(1, ++last, std::string(1000, 'x'));
        log.run();
        ASSERT_EQ(log.take_persisted().size(), 1u) << "nothing waits while there is a reserve";
        while (const auto space = log.kit().try_take(pb::Envelope::kLogSpace)) {
            EXPECT_TRUE((*space)->log_space().full());
            ((*space)->log_space().exhausted() ? bytes_at_exhausted : bytes_at_full) = last * 1000;
        }
    }
    // Told when the first spare came into use; then a segment and most of another one were written.
    EXPECT_GT(bytes_at_full, 0u);
    EXPECT_GT(bytes_at_exhausted, bytes_at_full + (64 << 10));
    log.write(hard_state_of(2, "node-2"), {});
    log.run();
    EXPECT_EQ(log.take_persisted().size(), 1u);
    disk.set_capacity(uint64_t{1} << 30);
    log.kit().advance(LogStore::kOutOfSpaceRetryUs);
    log.run();
    pb::LogSpace told;
    while (const auto space = log.kit().try_take(pb::Envelope::kLogSpace)) told = (*space)->log_space();
    EXPECT_FALSE(told.full());
    EXPECT_FALSE(told.exhausted());
    EXPECT_EQ(spares_on(disk), kSparesMax);
}

TEST(LogSpace, segments_leave_room_for_snapshots) {
    SimDisk disk(1);
    LogBench log(&disk);
    log.set_segment_bytes(64 << 10);
    log.set_disk_reserve_bytes(100 << 10);
    disk.set_capacity(2 << 20);
    disk.set_contents("other", std::string((2 << 20) - (64 << 10) - (50 << 10) + 1, 'x'));
    log.start();
    EXPECT_EQ(spares_on(disk), 0u);
    EXPECT_TRUE(log.kit().take(pb::Envelope::kLogSpace)->log_space().full());
    disk.set_contents("other", "");
    log.kit().advance(LogStore::kOutOfSpaceRetryUs);
    log.run();
    EXPECT_EQ(spares_on(disk), kSparesMax);
}

// --- Crashes

// Writes, truncates, compacts, restarts, with a power cut at one operation; then looks at what is there.
class CompactionRun {
 public:
    explicit CompactionRun(uint64_t seed) : random_(seed, 7), disk_(seed), log_(&disk_, seed) {
        log_.set_segment_bytes(kSmallSegment);
    }

    void run(int rounds) {
        for (int round = 0; round < rounds && !::testing::Test::HasFatalFailure(); round++) {
            log_.start();
            if (!disk_.powered_off()) check();
            disk_.power_off_after(random_.below(60));
            for (int step = 0; step < 30 && !disk_.powered_off(); step++) act();
            log_.crash();
            if (random_.below(3) == 0) disk_.power_off_after(random_.below(6));  // In the recovery too.
            log_.start();
            log_.crash();
        }
    }

 private:
    struct State {
        uint64_t start = 0;  // Entries up to here are in a snapshot.
        std::vector<TestEntry> entries;
        uint64_t last() const { return start + entries.size(); }
    };

    void act() {
        State next = states_.back();
        const uint64_t choice = random_.below(10);
        if (choice < 6) {
            if (choice == 0 && next.last() > committed_) {
                next.entries.resize(committed_ - next.start + random_.below(next.last() - committed_));
                term_++;
            }
            const uint64_t index = next.last() + 1;
            next.entries.push_back({term_, index, RecordType::kCommand, text_of(index) + std::to_string(term_)});
            log_.write(hard_state_of(term_), {next.entries.back()});
        } else if (choice < 8) {
            // What is acknowledged and about to be replaced is not committed.
            if (acknowledged_ + 1 == states_.size())
                committed_ = next.last() - std::min(next.last() - committed_, random_.below(2));
            compacted_ = std::max(compacted_, committed_ - std::min<uint64_t>(committed_, random_.below(4)));
            log_.compact(compacted_ + 1);
            return deliver();
        } else if (choice == 8) {
            next.start = next.last() + 1 + random_.below(20);
            next.entries.clear();
            term_++;
            log_.restart_log(next.start, term_, hard_state_of(term_), {});
            committed_ = compacted_ = next.start;
        } else {
            term_++;
            log_.write(hard_state_of(term_), {});
        }
        states_.push_back(std::move(next));
        deliver();
    }

    void deliver() {
        if (random_.below(3) != 0) log_.run();
        for (const pb::LogPersisted& persisted : log_.take_persisted()) acknowledged_ = base_ + persisted.write_id();
    }

    const State& acknowledged() const { return states_[acknowledged_]; }

    // The log is one of the states from the last acknowledged one on.
    void check() {
        ASSERT_FALSE(log_.stopped()) << log_.reason();
        const pb::LogRecovered recovered = log_.take_recovered();
        const uint64_t first = recovered.first_index();
        std::vector<TestEntry> found;
        if (recovered.last_index() >= first) found = log_.read_all(first, recovered.last_index());
        bool matched = false;
        for (size_t place = states_.size(); place-- > acknowledged_ && !matched;) {
            const State& state = states_[place];
            if (state.last() != recovered.last_index()) continue;
            const uint64_t snapshot = std::max(state.start, std::min(compacted_, state.last()));
            matched = first <= snapshot + 1;
            for (const TestEntry& entry : found) {
                if (entry.index <= state.start) continue;
                matched = matched && entry == state.entries[entry.index - state.start - 1];
            }
            if (!matched) continue;
            State kept = state;
            states_ = {std::move(kept)};
        }
        ASSERT_TRUE(matched) << "recovered " << first << ".." << recovered.last_index() << ", acknowledged "
                             << acknowledged().last();
        acknowledged_ = 0;
        base_ = 0;
        term_ = std::max(term_, static_cast<uint64_t>(recovered.hard_state().term())) + 1;
        // A restart that did not survive took them too far.
        committed_ = std::min(std::max(committed_, states_[0].start), states_[0].last());
        compacted_ = std::min(compacted_, committed_);
    }

    RandomStream random_;
    SimDisk disk_;
    LogBench log_;
    std::vector<State> states_ = {State()};  // After each write.
    size_t acknowledged_ = 0;
    size_t base_ = 0;
    uint64_t committed_ = 0;
    uint64_t compacted_ = 0;
    uint64_t term_ = 1;
};

TEST(LogCompaction, survives_crashes_at_random_operations) {
    for (uint64_t seed = 1; seed <= 80; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        CompactionRun(seed).run(12);
        if (HasFailure()) return;
    }
}

TEST(LogCompaction, survives_a_crash_at_every_operation_of_it) {
    for (const bool restart : {false, true}) {
        for (uint64_t operation = 0; operation < 16; operation++) {
            for (uint64_t seed = 1; seed <= 6; seed++) {
                SCOPED_TRACE("operation " + std::to_string(operation) + " seed " + std::to_string(seed));
                SimDisk disk(seed);
                LogBench log(&disk);
                log.set_segment_bytes(kSmallSegment);
                log.start();
                log.write(hard_state_of(1, "node-1"), {});
                fill(&log, 1, 14);
                log.take_persisted();
                disk.power_off_after(operation);
                if (restart) {
                    log.restart_log(100, 2, std::nullopt, {});
                } else {
                    log.compact(12);
                }
                log.run();
                const bool acknowledged = !log.take_persisted().empty();
                log.restart();
                ASSERT_FALSE(log.stopped()) << log.reason();
                const pb::LogRecovered recovered = log.take_recovered();
                EXPECT_EQ(recovered.hard_state().voted_for(), "node-1");
                if (restart && (acknowledged || recovered.last_index() == 100)) {
                    EXPECT_EQ(recovered.first_index(), 101u);
                    EXPECT_EQ(recovered.last_index(), 100u);
                } else {
                    EXPECT_LE(recovered.first_index(), 12u);
                    ASSERT_EQ(recovered.last_index(), 14u);
                    EXPECT_EQ(log.read_all(12, 14).size(), 3u);
                }
                fill(&log, recovered.last_index() + 1, recovered.last_index() + 6, 2);
                log.restart();
                ASSERT_EQ(log.take_recovered().last_index(), recovered.last_index() + 6);
            }
        }
    }
}

}  // namespace
}  // namespace sandstore
