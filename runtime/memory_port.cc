#include "runtime/memory_port.h"

#include <event2/event.h>

#include "runtime/message_of.h"
#include "runtime/metrics.h"

namespace sandstore {

MemoryPort::MemoryPort(event_base* base, PortHost& host, LocalAddress self, uint64_t bytes_max)
    : host_(host),
      self_(self),
      files_(bytes_max),
      used_bytes_(host.metrics().gauge("sandstore_chunk_memory_used_bytes", "Memory that this node's chunks take.")) {
    const auto on_answers = [](evutil_socket_t, short, void* port) {
        static_cast<MemoryPort*>(port)->deliver_answers();
    };
    answers_event_ = event_new(base, -1, 0, on_answers, this);
}

MemoryPort::~MemoryPort() {
    event_free(answers_event_);
}

void MemoryPort::handle(Message message) {
    Message answer;
    if (message->body_case() != pb::Envelope::kDiskRequest) {
        answer = request_failed(pb::STATUS_INVALID_ARGUMENT, "a disk takes disk requests only");
    } else {
        Payload read;
        pb::DiskReply reply = files_.execute(message->disk_request(), message.payload, &read);
        used_bytes_.set(static_cast<double>(files_.used_bytes()));
        answer = message_of(std::move(reply), std::move(read));
    }
    if (answers_.empty()) event_active(answers_event_, EV_TIMEOUT, 0);
    answers_.push_back({reply_to(message), std::move(answer)});
}

void MemoryPort::deliver_answers() {
    std::vector<Answer> answers;
    answers.swap(answers_);
    for (Answer& answer : answers) host_.reply(answer.to, self_, std::move(answer.message));
}

}  // namespace sandstore
