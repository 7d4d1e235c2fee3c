// The bytes of a trace on their way to a file, in place or by a thread of their own.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/trace_recorder.h"

namespace sandstore {

// A regular file of this name that holds something is renamed to `path`.N, with the first number that is free: what a
// run before has recorded is what one wants to look at. The new name, empty when there was nothing to keep; or nothing
// at all, with a sentence in `error`.
std::optional<std::string> keep_earlier_trace(const std::string& path, std::string* error);

class TraceFile {
 public:
    // A node serves first and is traced second: when the disk is this far behind, the trace ends.
    static constexpr size_t kBacklogBytesMax = size_t{64} << 20;

    static std::unique_ptr<TraceFile> create(const std::string& path, bool in_background, std::string* error);
    ~TraceFile();  // Writes what is left.
    TraceFile(const TraceFile&) = delete;
    TraceFile& operator=(const TraceFile&) = delete;

    void append(TraceBytes* bytes);          // Takes them; `bytes` is empty afterwards.
    void write_now(std::string_view bytes);  // Not with a thread.
    std::string problem() const;             // Empty, or a sentence: nothing more is written then.

 private:
    TraceFile(int file, std::string path) : file_(file), path_(std::move(path)) {}
    void write_or_fail(std::string_view bytes);
    void fail(const std::string& why);
    void work();

    const int file_;
    const std::string path_;
    mutable std::mutex mutex_;  // Guards all below.
    std::condition_variable arrived_;
    std::deque<TraceBytes> queue_;
    std::vector<TraceBytes> spare_;  // Written buffers, to be filled again.
    size_t queued_bytes_ = 0;
    std::string problem_;
    bool stopping_ = false;
    std::thread writer_;
};

// What every trace file begins with: the magic and the header.
void append_trace_start(const std::string& node_id, uint64_t root_seed, TraceBytes* out);

}  // namespace sandstore
