// What every part of net/ stands on: the loop, the runtime's side, and the counters of the hot path, looked up once.
#pragma once

#include <string>
#include <string_view>

#include "net/wire.h"
#include "runtime/actor.h"
#include "runtime/metrics.h"

struct event_base;

namespace sandstore {

class MemoryBudget;

struct NetContext {
    NetContext(event_base* loop, PortHost& port_host, WireMaker wire_maker = make_wire);
    NetContext(const NetContext&) = delete;
    NetContext& operator=(const NetContext&) = delete;

    void log(LogLevel level, std::string_view text, std::initializer_list<LogField> fields = {}) const {
        if (host.logger().enabled(level)) host.logger().write(level, host.wall_us(), "net", text, fields);
    }
    void count_bad_frame(std::string_view reason) const;
    void count_undeliverable(std::string_view reason, uint64_t messages = 1) const;
    void count_raft_send_failure(std::string_view peer, uint64_t messages = 1) const;
    void count_refused(std::string_view reason) const;  // Connections and messages turned away.

    event_base* base;
    PortHost& host;
    const WireMaker new_wire;        // For every connection.
    MemoryBudget* memory = nullptr;  // Of what others make a node hold; null in clients.
    Counter& sent_messages;
    Counter& sent_bytes;
    Counter& received_messages;
    Counter& received_bytes;
};

}  // namespace sandstore
