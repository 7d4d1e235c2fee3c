// Reads trace files (docs/formats.md, "Trace file").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/message.h"

namespace sandstore {

namespace pb {
class TraceHeader;
class TracePayload;
class TraceRecord;
}  // namespace pb

class TraceReader {
 public:
    // Null, with a sentence in `error`: no such file, no trace file, or a version this build does not know.
    static std::unique_ptr<TraceReader> open(const std::string& path, std::string* error);
    ~TraceReader();

    const pb::TraceHeader& header() const { return *header_; }
    enum class Outcome {
        kRecord,
        kEnd,
        kCutOff,   // The file ends inside a record: normal for a process that was killed. Everything before is good.
        kDamaged,  // A record does not check out.
    };
    Outcome next(pb::TraceRecord* record);
    uint64_t offset() const { return offset_; }  // Of the record that next() gave or failed at.

 private:
    TraceReader();

    std::string bytes_;
    size_t position_ = 0;
    uint64_t offset_ = 0;
    std::unique_ptr<pb::TraceHeader> header_;
};

// The payload as recorded; where the content was left out, zeros of the same length.
Payload payload_of(const pb::TracePayload& recorded);

}  // namespace sandstore
