// A LogStore on a simulated disk, driven by hand: the tests' bench.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/log/log_store.h"
#include "actors/log/record.h"
#include "runtime/message_of.h"
#include "tests/kit/step_kit.h"
#include "tests/sim/sim_disk.h"

namespace sandstore {

struct TestEntry {
    uint64_t term = 0;
    uint64_t index = 0;
    RecordType type = RecordType::kCommand;
    std::string data;
    bool operator==(const TestEntry&) const = default;
};

inline pb::HardState hard_state_of(uint64_t term, std::string_view vote = {}) {
    pb::HardState state;
    state.set_term(term);
    state.set_voted_for(std::string(vote));
    return state;
}

// Records of consecutive entries.
inline Payload encode_entries(const std::vector<TestEntry>& entries) {
    std::string bytes;
    for (const TestEntry& entry : entries) append_record(&bytes, entry.term, entry.index, entry.type, entry.data);
    return Payload(std::move(bytes));
}

class LogBench {
 public:
    explicit LogBench(SimDisk* disk, uint64_t seed = 1) : disk_(disk), seed_(seed) {}

    void set_identity(std::string cluster_id, std::string node_id) {
        cluster_id_ = std::move(cluster_id);
        node_id_ = std::move(node_id);
    }
    void set_segment_bytes(uint64_t bytes) { segment_bytes_ = bytes; }
    void set_disk_reserve_bytes(uint64_t bytes) { disk_reserve_bytes_ = bytes; }
    void set_directory(std::string directory) { directory_ = std::move(directory); }

    // A new process on the same disk. Runs until the log is recovered or refused.
    void start() {
        begin();
        run();
    }
    void begin() {
        kit_ = std::make_unique<StepKit>(std::make_unique<LogStore>(), LocalAddress{pb::ACTOR_LOG}, seed_++);
        next_write_id_ = 1;
        pb::StartLog start;
        start.set_cluster_id(cluster_id_);
        start.set_node_id(node_id_);
        start.set_segment_bytes(segment_bytes_);
        start.set_directory(directory_);
        start.set_disk_reserve_bytes(disk_reserve_bytes_);
        kit_->deliver(message_of(start), {pb::ACTOR_BOOTSTRAP});
    }
    void crash() {
        kit_.reset();
        disk_->crash();
    }
    void restart() {
        crash();
        start();
    }

    // Hands over the oldest disk request and its answer. False when there is none, or the power is off.
    bool step_disk() {
        if (kit_->stopped() || disk_->powered_off()) return false;
        std::optional<Message> request = kit_->try_take(pb::Envelope::kDiskRequest);
        if (!request) return false;
        Payload read;
        pb::DiskReply reply = disk_->execute((*request)->disk_request(), request->payload, &read);
        if (disk_->powered_off()) return false;
        kit_->answer(*request, message_of(std::move(reply), std::move(read)));
        return true;
    }
    void run() {
        while (step_disk()) {
        }
    }

    uint64_t write(std::optional<pb::HardState> hard_state, const std::vector<TestEntry>& entries,
                   Address sender = {pb::ACTOR_RAFT}) {
        pb::LogWrite write;
        write.set_write_id(next_write_id_++);
        if (hard_state) *write.mutable_hard_state() = *hard_state;
        if (!entries.empty()) write.set_first_index(entries.front().index);
        write.set_record_count(static_cast<uint32_t>(entries.size()));
        kit_->deliver(message_of(write, encode_entries(entries)), sender);
        return next_write_id_ - 1;
    }
    uint64_t append(uint64_t term, uint64_t index, std::string data) {
        return write(std::nullopt, {{term, index, RecordType::kCommand, std::move(data)}});
    }

    // Only a truncation: no records from here on.
    uint64_t truncate(uint64_t first_index) {
        pb::LogWrite write;
        write.set_write_id(next_write_id_++);
        write.set_first_index(first_index);
        kit_->deliver(message_of(write), {pb::ACTOR_RAFT});
        return next_write_id_ - 1;
    }
    // The log begins anew after the last entry of a snapshot.
    uint64_t restart_log(uint64_t index, uint64_t term, std::optional<pb::HardState> hard_state,
                         const std::vector<TestEntry>& entries) {
        pb::LogWrite write;
        write.set_write_id(next_write_id_++);
        if (hard_state) *write.mutable_hard_state() = *hard_state;
        write.mutable_restart()->set_index(index);
        write.mutable_restart()->set_term(term);
        if (!entries.empty()) write.set_first_index(entries.front().index);
        write.set_record_count(static_cast<uint32_t>(entries.size()));
        kit_->deliver(message_of(write, encode_entries(entries)), {pb::ACTOR_RAFT});
        return next_write_id_ - 1;
    }
    void compact(uint64_t first_index) {
        pb::LogCompact compact;
        compact.set_first_index(first_index);
        kit_->deliver(message_of(compact), {pb::ACTOR_RAFT});
    }

    pb::LogRecovered take_recovered() {
        Message message = kit_->take(pb::Envelope::kLogRecovered);
        return message->log_recovered();
    }
    std::vector<pb::LogPersisted> take_persisted() {
        std::vector<pb::LogPersisted> all;
        while (auto message = kit_->try_take(pb::Envelope::kLogPersisted)) all.push_back((*message)->log_persisted());
        return all;
    }

    // Reads through LogRead, running the disk.
    struct Records {
        pb::LogRecords reply;
        std::vector<TestEntry> entries;
    };
    Records read(uint64_t first, uint64_t last, uint64_t max_bytes = uint64_t{1} << 20) {
        pb::LogRead read;
        read.set_first_index(first);
        read.set_last_index(last);
        read.set_max_bytes(max_bytes);
        const uint64_t id = kit_->request(message_of(read), {pb::ACTOR_RAFT});
        run();
        Records records;
        if (kit_->stopped()) return records;
        Message answer = kit_->take_answer(id);
        records.reply = answer->log_records();
        RecordReader reader(answer.payload);
        for (Record record; reader.next(&record);) {
            records.entries.push_back({record.term, record.index, record.type, record.data.to_string()});
        }
        EXPECT_FALSE(reader.damaged()) << reader.problem();
        EXPECT_EQ(records.reply.record_count(), records.entries.size());
        return records;
    }
    // The whole log, through as many reads as it takes.
    std::vector<TestEntry> read_all(uint64_t first, uint64_t last) {
        std::vector<TestEntry> all;
        while (first <= last) {
            Records part = read(first, last);
            if (part.entries.empty()) {
                ADD_FAILURE() << "cannot read entry " << first << ": " << part.reply.status().message();
                break;
            }
            all.insert(all.end(), part.entries.begin(), part.entries.end());
            first += part.entries.size();
        }
        return all;
    }

    StepKit& kit() { return *kit_; }
    bool stopped() const { return kit_->stopped().has_value(); }
    std::string reason() const { return kit_->stopped().value_or(""); }

 private:
    SimDisk* disk_;
    uint64_t seed_;
    std::string cluster_id_ = "cluster-a";
    std::string node_id_ = "node-1";
    uint64_t segment_bytes_ = 64 << 10;
    std::string directory_;
    uint64_t disk_reserve_bytes_ = 0;
    uint64_t next_write_id_ = 1;
    std::unique_ptr<StepKit> kit_;
};

}  // namespace sandstore
