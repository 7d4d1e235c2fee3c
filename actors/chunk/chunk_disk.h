// What ChunkService and its volumes ask of the chunk disk, each request with what is to be done at its end. A plain
// object that its actor gives the replies, failures and timers to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>

#include "messages/envelope.pb.h"
#include "runtime/actor.h"
#include "runtime/disk_call.h"

namespace sandstore {

// The end of a disk request. Without an answer nobody knows what was done and what will still be done.
struct DiskOutcome {
    bool answered = false;
    pb::DiskReply reply;  // With `answered`.
    Payload payload;
    pb::Status failure;  // Without.

    bool ok() const { return answered && reply.error() == 0; }
    // By the port, before any effect.
    bool refused() const { return !answered && failure.code() == pb::STATUS_RESOURCE_EXHAUSTED; }
    int error() const { return answered ? reply.error() : 0; }
    pb::Status status(std::string_view doing) const;  // `doing` completes "Cannot ...".
};

class ChunkDisk {
 public:
    static constexpr uint64_t kTimeoutUs = 60'000'000;  // A disk that is silent for longer counts as unavailable.
    static constexpr uint64_t kRetryUs = 1'000'000;

    using Done = std::function<void(DiskOutcome&, Context&)>;

    explicit ChunkDisk(uint32_t retry_tag) : retry_tag_(retry_tag) {}

    void ask(DiskCall call, Done done, Context& context);
    // Asks again, a second later, as long as there is no answer or something is short: descriptors, memory. Only what
    // may be done twice; `doing` as for status().
    void ask_patiently(DiskCall call, std::string_view doing, Done done, Context& context);

    // A failed sync stops the node: the kernel may have dropped the pages, and a second one succeed without the bytes.
    void on_reply(Message message, Context& context);
    bool on_failure(uint64_t request_id, const pb::Status& status, Context& context);  // False: no request of these.
    void on_retry(uint64_t data, Context& context);                                    // A timer with the tag fired.

 private:
    struct Patience {
        DiskCall call;
        std::string doing;
        Done done;
    };

    void end(uint64_t request_id, DiskOutcome outcome, Context& context);

    const uint32_t retry_tag_;
    std::map<RequestId, Done> requests_;
    std::map<uint64_t, Patience> waiting_;
    uint64_t next_wait_ = 1;
};

}  // namespace sandstore
