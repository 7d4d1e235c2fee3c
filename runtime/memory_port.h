// A disk port without a disk: MemoryFiles behind the messages of ThreadDisk. Requests take effect in the order sent;
// answers are delivered from the event loop, never from handle().
#pragma once

#include <memory>
#include <vector>

#include "runtime/actor.h"
#include "runtime/memory_files.h"

struct event;
struct event_base;

namespace sandstore {

class Gauge;

class MemoryPort final : public Port {
 public:
    MemoryPort(event_base* base, PortHost& host, LocalAddress self, uint64_t bytes_max);
    ~MemoryPort() override;
    MemoryPort(const MemoryPort&) = delete;
    MemoryPort& operator=(const MemoryPort&) = delete;

    void handle(Message message) override;

 private:
    struct Answer {
        ReplyTo to;
        Message message;
    };
    void deliver_answers();

    PortHost& host_;
    const LocalAddress self_;
    MemoryFiles files_;
    Gauge& used_bytes_;
    event* answers_event_;  // Not of a descriptor: made active when there are answers.
    std::vector<Answer> answers_;
};

}  // namespace sandstore
