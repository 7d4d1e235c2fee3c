// Connections as a node would make them, with how long each step took. Blocking: for command line tools.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sandstore {

// Begins to ask for all these hosts' addresses, each "host:port", at the same time. Probes of them wait for the answer,
// until five seconds after this; others ask by themselves, for as long.
void ask_for_names(const std::vector<std::string>& places);

struct ConnectProbe {
    std::string error;  // Empty: connected.
    bool resolved = false;
    uint64_t resolve_us = 0;
    uint64_t connect_us = 0;  // Of the fastest of a few: one round trip.
};
ConnectProbe probe_connect(const std::string& host_and_port, int attempts, uint64_t timeout_us);

struct HttpProbe {
    std::string error;  // Empty: there was an answer.
    int code = 0;
    std::string body;
    std::optional<int64_t> clock_offset_us;  // Of the other's clock, from its Date and the middle of the request.
};
HttpProbe probe_http(const std::string& host_and_port, const std::string& path, uint64_t timeout_us);

// Whether a listener can be opened there: 0 or an errno. Closed again at once.
int probe_listen(const std::string& listen_address);

}  // namespace sandstore
