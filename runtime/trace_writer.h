// Writes a trace: every delivery and every effect of a node's actors, so that any actor can be run again from its
// inbox. Byte layout: docs/formats.md, "Trace file". Buffered; a process that dies leaves a file that is valid up to
// its last complete record.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "runtime/message.h"

namespace google::protobuf {
class MessageLite;
}

namespace sandstore {

namespace pb {
class TraceRecord;
class TracePayload;
}  // namespace pb

inline constexpr char kTraceMagic[8] = {'S', 'A', 'N', 'D', 'T', 'R', 'C', '\n'};
inline constexpr uint32_t kTraceFormatVersion = 1;
inline constexpr size_t kTraceRecordBytesMax = 64u << 20;

class TraceWriter {
 public:
    // Null, with a sentence in `error`, when the file cannot be made.
    static std::unique_ptr<TraceWriter> open(const std::string& path, const std::string& node_id, uint64_t root_seed,
                                             std::string* error);
    ~TraceWriter();

    // Gives the delivery's sequence number: the `cause` of the effects that follow.
    uint64_t deliver(uint64_t now_us, uint64_t wall_us, uint64_t draws, const Message& message);
    void send(uint64_t cause, uint32_t ordinal, const Message& message);
    void arm_timer(uint64_t cause, uint32_t ordinal, uint64_t timer, uint32_t tag, uint64_t data, uint64_t delay_us);
    void cancel_timer(uint64_t cause, uint32_t ordinal, uint64_t timer);
    void fail_stop(uint64_t cause, uint32_t ordinal, const std::string& reason);
    void restart(LocalAddress actor, uint32_t incarnation, const std::string& reason);
    void flush();

 private:
    explicit TraceWriter(std::FILE* file);
    void write(const pb::TraceRecord& record);

    struct FileCloser {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, FileCloser> file_;
    std::unique_ptr<pb::TraceRecord> record_;  // Reused.
    std::string buffer_;
    uint64_t next_sequence_ = 1;
};

// Contents are kept for everything an actor's behaviour depends on; chunk data is only measured.
void describe_payload(const Message& message, pb::TracePayload* out);

}  // namespace sandstore
