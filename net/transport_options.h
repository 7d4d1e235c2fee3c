// Every bound and interval of the transport, with the values that nodes run with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "net/wire.h"

namespace sandstore {

struct TransportOptions {
    std::string software_version;
    WireMaker wire = make_wire;
    std::vector<std::string> name_servers;  // Empty: as the system is configured.

    // Incoming connections. Clients may take fewer, so that peers always find room.
    size_t inbound_max = 1024;
    size_t clients_max = 896;
    uint64_t hello_timeout_us = 5'000'000;

    uint64_t connect_timeout_us = 3'000'000;
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
