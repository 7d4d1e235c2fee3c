// Turns what actors hear and do into the records of a trace (messages/trace.proto; bytes: docs/formats.md, "Trace
// file"). Where the bytes go is the business of TraceWriter and FlightRecorder. Records are encoded straight into the
// buffer: envelopes are not copied on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/message.h"
#include "runtime/recorder.h"

namespace sandstore {

namespace pb {
class TracePayload;
class TraceRecord;
}  // namespace pb

// Bytes that grow at the end. Unlike a string it never fills with zeros what is written over at once.
class TraceBytes {
 public:
    size_t size() const { return size_; }
    std::string_view view() const { return {bytes_.get(), size_}; }
    void clear() { size_ = 0; }
    // Room for `bytes` more at the end; used() says how many there are now.
    char* room(size_t bytes);
    void used(const char* end) { size_ = static_cast<size_t>(end - bytes_.get()); }

 private:
    std::unique_ptr<char[]> bytes_;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

enum class PayloadDetail {
    kAll,
    kContent,   // All but bulk data, which is only measured.
    kMeasured,  // Length and checksum.
    kLength,
};

class TraceRecorder : public ActorRecorder {
 public:
    ~TraceRecorder() override;
    TraceRecorder(const TraceRecorder&) = delete;
    TraceRecorder& operator=(const TraceRecorder&) = delete;

    void deliver(uint64_t sequence, uint64_t now_us, uint64_t wall_us, uint64_t draws, const Message& message) override;
    void send(uint64_t cause, uint32_t ordinal, const Message& message) override;
    void arm_timer(uint64_t cause, uint32_t ordinal, uint64_t timer, uint32_t tag, uint64_t data,
                   uint64_t delay_us) override;
    void cancel_timer(uint64_t cause, uint32_t ordinal, uint64_t timer) override;
    void fail_stop(uint64_t cause, uint32_t ordinal, const std::string& reason) override;
    void restart(LocalAddress actor, uint32_t incarnation, const std::string& reason) override;
    void stopped(uint64_t cause, const std::string& reason);  // The node.

 protected:
    TraceRecorder(PayloadDetail of_deliveries, PayloadDetail of_effects);
    virtual TraceBytes& bytes() = 0;  // Where the next record goes.
    void set_detail_of_deliveries(PayloadDetail detail) { of_deliveries_ = detail; }

 private:
    PayloadDetail of_deliveries_;
    PayloadDetail of_effects_;
    std::unique_ptr<pb::TraceRecord> record_;  // Reused.
};

// Appends the record with its length and checksum.
void encode_record(const pb::TraceRecord& record, TraceBytes* out);

void describe_payload(const Message& message, PayloadDetail detail, pb::TracePayload* out);

// Fills in what every trace begins with: format, software, node, seed and the descriptions of all messages.
void fill_trace_header(const std::string& node_id, uint64_t root_seed, pb::TraceRecord* record);

}  // namespace sandstore
