// A request to the disk port together with the bytes it writes, and the words for what went wrong with it.
#pragma once

#include <string>
#include <string_view>

#include "messages/disk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

struct DiskCall {
    pb::DiskRequest request;
    Payload payload;

    void write(std::string_view file, uint64_t offset, Payload bytes);
    void sync(std::string_view file);
    void read(std::string_view file, uint64_t offset, uint64_t length);
    void create_zeroed(std::string_view file, uint64_t size_bytes);
    void replace(std::string_view file, Payload bytes);
    void rename(std::string_view from, std::string_view to);
    void remove(std::string_view file);
    void make_directory(std::string_view directory);
    void list(std::string_view directory);
    void zero(std::string_view file, uint64_t offset, uint64_t length);
    void punch(std::string_view file, uint64_t offset, uint64_t length);
};

// "No space left on device (errno 28) in the write to log/0000000000000001.seg"
std::string describe_failure(const pb::DiskRequest& request, const pb::DiskReply& reply);

// The disk, or the user's share of it, is full.
bool is_out_of_space(const pb::DiskReply& reply);

}  // namespace sandstore
