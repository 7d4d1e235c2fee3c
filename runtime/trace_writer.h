// Writes a trace to a file: every delivery and every effect of a node's actors, so that any actor can be run again from
// its inbox. Byte layout: docs/formats.md, "Trace file". Buffered; a process that dies leaves a file that is valid up
// to its last complete record.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/trace_recorder.h"

namespace sandstore {

class TraceFile;

inline constexpr char kTraceMagic[8] = {'S', 'A', 'N', 'D', 'T', 'R', 'C', '\n'};
inline constexpr uint32_t kTraceFormatVersion = 1;
inline constexpr size_t kTraceRecordBytesMax = 64u << 20;

class TraceWriter final : public TraceRecorder, public NodeRecorder {
 public:
    enum class Writing {
        kInPlace,       // By flush(): for tests and tools.
        kInBackground,  // By a thread of its own: the reactor never waits for the disk.
    };
    // Null, with a sentence in `error`, when the file cannot be made.
    static std::unique_ptr<TraceWriter> open(const std::string& path, const std::string& node_id, uint64_t root_seed,
                                             std::string* error, Writing writing = Writing::kInPlace,
                                             PayloadDetail detail = PayloadDetail::kContent);
    ~TraceWriter() override;

    void flush();
    // Flushes when enough is there, or when the last time is a while ago. In place: always.
    void flush_when_due(uint64_t now_us) override;
    // Once the file could not be written any further; what comes after it is lost.
    std::string problem() const override;
    ActorRecorder* recorder_of(LocalAddress) override { return this; }
    void record(uint64_t, uint64_t, const Message&) override {}  // Of no actor: each is recorded in full.
    void node_stopped(uint64_t cause, const std::string& reason) override;

 private:
    TraceWriter(std::unique_ptr<TraceFile> file, Writing writing, PayloadDetail detail);
    TraceBytes& bytes() override;

    std::unique_ptr<TraceFile> file_;
    Writing writing_;
    TraceBytes buffer_;
    uint64_t flushed_us_ = 0;
};

}  // namespace sandstore
