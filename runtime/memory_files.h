// Carries out disk requests (messages/disk.proto) on files that live in memory, and share it with the payloads they
// were written from: nothing is copied. Bounded: what does not fit is refused with ENOSPC, as on a full disk.
// Directories are there as soon as they are named. Nothing survives the process.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "messages/disk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

class MemoryFiles {
 public:
    static constexpr uint64_t kFileOverheadBytes = 256;    // What a file costs beside its bytes, roughly,
    static constexpr uint64_t kExtentOverheadBytes = 128;  // and each piece of it.

    explicit MemoryFiles(uint64_t bytes_max) : bytes_max_(bytes_max) {}

    // `out` receives what Read operations read.
    pb::DiskReply execute(const pb::DiskRequest& request, const Payload& in, Payload* out);

    uint64_t used_bytes() const { return used_bytes_; }
    uint64_t bytes_max() const { return bytes_max_; }

 private:
    class Source;
    // What was written, by offset; between the pieces there are zeros, which cost nothing.
    struct File {
        uint64_t size = 0;
        std::map<uint64_t, Payload> extents;
        uint64_t cost = kFileOverheadBytes;
    };

    int carry_out(const pb::DiskOperation& operation, Source* source, pb::DiskReply* reply, Payload* out);
    int write(const std::string& name, uint64_t offset, const Payload& bytes);
    int replace(const std::string& name, const Payload& bytes);
    int create_zeroed(const std::string& name, uint64_t size);
    int zero(const pb::DiskOperation::Zero& operation);
    int punch(const pb::DiskOperation::Punch& operation);
    int read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out);
    int rename(const std::string& from, const std::string& to);
    void list(const std::string& directory, pb::DiskReply* reply);
    void remove(const std::string& name);
    void cut(File* file, uint64_t begin, uint64_t end);
    static uint64_t bytes_between(const File& file, uint64_t begin, uint64_t end);
    uint64_t room() const { return bytes_max_ - std::min(bytes_max_, used_bytes_); }
    void add_extent(File* file, uint64_t offset, Payload bytes);

    const uint64_t bytes_max_;
    uint64_t used_bytes_ = 0;
    std::map<std::string, File> files_;
};

}  // namespace sandstore
