// A disk in memory that carries out DiskRequests at once, with what tests need to be nasty: errors on demand, flipped
// bits, power cuts that forget whatever was not synced. Counts what was asked of it.
// Does not cover: delays and reordering (tests hold requests back themselves), misdirected writes.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "messages/disk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

class MemoryDisk {
 public:
    struct Fault {
        pb::DiskOperation::OperationCase operation = pb::DiskOperation::OPERATION_NOT_SET;
        int error = 0;
        std::string file_part = {};  // Of the file's name; empty: any.
        bool sync_failed = false;    // Reported as a failed sync.
        int times = 1;
        int skip = 0;  // Let so many pass first.
    };

    pb::DiskReply execute(const pb::DiskRequest& request, const Payload& payload, Payload* read);

    void fail_next(Fault fault) { fault_ = std::move(fault); }
    enum class Unsynced { kLost, kTorn };
    // Only what is synced, under names that are synced, is there for certain. kTorn: names that were not synced are
    // there too, with the first half of their bytes.
    void cut_power(Unsynced unsynced);
    void flip_bit(const std::string& file, size_t offset, int bit = 0);
    void truncate(const std::string& file, size_t size) { names_.at(file)->bytes.resize(size); }
    void put_file(const std::string& file, std::string bytes);
    void remove_file(const std::string& file);

    bool has(const std::string& file) const { return names_.contains(file); }
    const std::string& bytes_of(const std::string& file) const { return names_.at(file)->bytes; }
    bool durable(const std::string& file) const;
    size_t files_with(std::string_view part) const;

    uint64_t bytes_read = 0;
    uint64_t reads = 0;
    uint64_t punched_bytes = 0;
    uint64_t requests = 0;
    uint64_t syncs = 0;  // Sync operations, and one for each Rename.
    uint64_t total_bytes = 1'000'000;
    uint64_t free_bytes = 400'000;

 private:
    struct Content {
        std::string bytes;
        std::string durable;
    };
    int apply(const pb::DiskOperation& operation, const Payload& payload, uint64_t* payload_at, pb::DiskReply* reply,
              Payload* read);
    std::optional<int> fault_of(const pb::DiskOperation& operation);

    std::map<std::string, std::shared_ptr<Content>> names_;
    std::map<std::string, std::shared_ptr<Content>> durable_names_;
    Fault fault_;
};

}  // namespace sandstore
