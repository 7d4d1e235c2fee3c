// The last few thousand deliveries, kept in memory at the cost of a few stores each, written out when an invariant
// breaks.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "runtime/message.h"

namespace sandstore {

class FlightRecorder {
 public:
    static constexpr size_t kEntries = 4096;

    void record(uint64_t now_us, const Message& message);
    std::string dump() const;  // One line each, oldest first.

 private:
    struct Entry {
        uint64_t now_us;
        uint64_t correlation;
        uint32_t payload_bytes;
        int16_t from_actor;
        int16_t to_actor;
        int16_t body;
        bool is_reply;
        bool is_remote;
    };
    std::array<Entry, kEntries> entries_;
    uint64_t count_ = 0;
};

}  // namespace sandstore
