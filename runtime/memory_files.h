// Carries out disk requests (messages/disk.proto) on files that live in memory, and share it with the payloads they
// were written from: nothing is copied. Bounded: what does not fit is refused with ENOSPC, as on a full disk.
// Directories are there as soon as they are named. Nothing survives the process.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "messages/disk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

class MemoryFiles {
 public:
    static constexpr uint64_t kFileOverheadBytes = 256;  // What a file costs beside its bytes, roughly.

    explicit MemoryFiles(uint64_t bytes_max) : bytes_max_(bytes_max) {}

    // `out` receives what Read operations read.
    pb::DiskReply execute(const pb::DiskRequest& request, const Payload& in, Payload* out);

    uint64_t used_bytes() const { return used_bytes_; }
    uint64_t bytes_max() const { return bytes_max_; }

 private:
    class Source;
    int carry_out(const pb::DiskOperation& operation, Source* source, pb::DiskReply* reply, Payload* out);
    int write(const std::string& file, uint64_t offset, const Payload& bytes);
    int read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out);
    int rename(const std::string& from, const std::string& to);
    void list(const std::string& directory, pb::DiskReply* reply);
    int put(const std::string& file, Payload content);  // Instead of what stood there.
    void remove(const std::string& file);
    static uint64_t cost_of(const Payload& content);

    const uint64_t bytes_max_;
    uint64_t used_bytes_ = 0;
    std::map<std::string, Payload> files_;
};

}  // namespace sandstore
