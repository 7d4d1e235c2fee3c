#include "runtime/flight_recorder.h"

#include <algorithm>

#include "messages/envelope.pb.h"
#include "runtime/text.h"

namespace sandstore {

void FlightRecorder::record(uint64_t now_us, const Message& message) {
    Entry& entry = entries_[count_++ % kEntries];
    const pb::Envelope& envelope = message.envelope();
    entry.now_us = now_us;
    entry.is_reply = envelope.reply_to() != 0;
    entry.is_remote = !envelope.from_node().empty();
    entry.correlation = entry.is_reply ? envelope.reply_to() : envelope.request_id();
    entry.payload_bytes = static_cast<uint32_t>(std::min<size_t>(message.payload.size(), UINT32_MAX));
    entry.from_actor = static_cast<int16_t>(envelope.from_actor());
    entry.to_actor = static_cast<int16_t>(envelope.to_actor());
    entry.body = static_cast<int16_t>(envelope.body_case());
}

std::string FlightRecorder::dump() const {
    std::string text;
    const uint64_t first = count_ > kEntries ? count_ - kEntries : 0;
    for (uint64_t i = first; i < count_; i++) {
        const Entry& entry = entries_[i % kEntries];
        const auto* field = pb::Envelope::descriptor()->FindFieldByNumber(entry.body);
        str_append(&text, i, " t=", entry.now_us, "us ", entry.is_remote ? "remote " : "",
                   actor_name(static_cast<pb::ActorKind>(entry.from_actor)), " -> ",
                   actor_name(static_cast<pb::ActorKind>(entry.to_actor)), " ",
                   field == nullptr ? "empty" : field->name(),
                   entry.correlation == 0 ? ""
                   : entry.is_reply       ? " reply_to="
                                          : " request=",
                   entry.correlation == 0 ? std::string() : std::to_string(entry.correlation),
                   " payload=", entry.payload_bytes, "\n");
    }
    return text;
}

}  // namespace sandstore
