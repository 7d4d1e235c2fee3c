// Every bound and interval of the transport, with the values that nodes run with.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "messages/net.pb.h"
#include "net/wire.h"

namespace sandstore {

struct TransportOptions {
    std::string software_version;
    WireMaker wire = make_wire;
    std::vector<std::string> name_servers;  // Empty: as the system is configured.

    // What a program calls itself where it is nobody's peer: CLIENT or OPERATOR.
    pb::Hello::Kind client_kind = pb::Hello::CLIENT;
    // Of what clients make this node hold (memory_budget.h). 0: not limited.
    size_t memory_budget_bytes = 0;

    // Incoming connections. Clients may take fewer, so that operators always find room, and these fewer still, so that
    // peers do. When there is none left, the client that has been idle for longest makes room.
    size_t inbound_max = 1024;
    size_t operators_max = 960;  // Clients and operators together.
    size_t clients_max = 896;
    uint64_t idle_before_eviction_us = 100'000;
    int accepted_below = INT_MAX;  // See Listener.
    uint64_t hello_timeout_us = 5'000'000;

    uint64_t connect_timeout_us = 3'000'000;
    // For a program that a person waits for: a port that does not answer is told soon.
    static TransportOptions of_client(pb::Hello::Kind kind) {
        TransportOptions options;
        options.client_kind = kind;
        options.hello_timeout_us = options.connect_timeout_us = 1'800'000;
        return options;
    }
    uint64_t retry_min_us = 50'000;
    uint64_t bulk_retry_max_us = 2'000'000;
    uint64_t control_retry_max_us = 500'000;  // Elections wait for these links.

    uint64_t retire_after_us = 15'000'000;  // A node that was removed is told meanwhile.

    uint64_t stall_timeout_us = 15'000'000;
    uint64_t server_idle_us = 60'000'000;   // A client's connection to a server.
    uint64_t client_idle_us = 600'000'000;  // The server's side of it.

    // Of one connection.
    size_t control_queue_bytes_max = size_t{32} << 20;
    size_t bulk_queue_bytes_max = size_t{64} << 20;
    size_t queue_messages_max = 8192;

    // Asking at our own address whether somebody else answers there in our name.
    uint64_t probe_interval_us = 250'000;
    uint32_t probes_max = 20;

    size_t peers_max = 256;
    size_t servers_max = 256;
};

}  // namespace sandstore
