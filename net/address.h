// Network addresses as people write them: "host:port", ":8080", "[::1]:80".
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandstore {

struct HostPort {
    std::string host;  // Without brackets. Empty: every interface (listeners only).
    uint16_t port = 0;
    bool operator==(const HostPort&) const = default;
};

// Where to connect to: the host is required, the port is 1..65535. On failure *error is a sentence naming the text.
std::optional<HostPort> parse_address(std::string_view text, std::string* error);
// Where to listen: the host may be empty, port 0 lets the system choose.
std::optional<HostPort> parse_listen_address(std::string_view text, std::string* error);

std::string to_string(const HostPort& address);

// One that needs no resolving.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

std::optional<SocketAddress> numeric_address(const HostPort& address);  // IPv4 or IPv6 in digits, else nothing.
SocketAddress socket_address(const sockaddr* address, socklen_t length);
std::string to_string(const SocketAddress& address);

}  // namespace sandstore
