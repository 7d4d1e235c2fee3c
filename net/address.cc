#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr size_t kHostBytesMax = 253;  // RFC 1035

bool is_host_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
}

// User text in an error line: nothing that could garble a terminal or a log.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (char c : text.substr(0, 100)) out += (c >= ' ' && c <= '~') ? c : '?';
    if (text.size() > 100) out += "...";
    return out + "\"";
}

bool split(std::string_view text, std::string_view* host, std::string_view* port, std::string* problem) {
    if (text.starts_with('[')) {
        const size_t end = text.find(']');
        if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != ':') {
            *problem = "an IPv6 address is written as [::1]:8080";
            return false;
        }
        *host = text.substr(1, end - 1);
        *port = text.substr(end + 2);
        in6_addr ignored;
        if (inet_pton(AF_INET6, std::string(*host).c_str(), &ignored) == 1) return true;
        *problem = "what stands in brackets is not an IPv6 address";
        return false;
    }
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        *problem = "the port is missing; write host:port";
        return false;
    }
    if (text.find(':', colon + 1) != std::string_view::npos) {
        *problem = "more than one colon; an IPv6 address is written as [::1]:8080";
        return false;
    }
    *host = text.substr(0, colon);
    *port = text.substr(colon + 1);
    if (host->size() > kHostBytesMax || !std::all_of(host->begin(), host->end(), is_host_letter)) {
        *problem = "the host name has characters that host names cannot have, or is too long";
        return false;
    }
    return true;
}

std::optional<HostPort> parse(std::string_view text, bool listening, std::string* error) {
    std::string_view host, port_text;
    std::string problem;
    if (split(text, &host, &port_text, &problem)) {
        unsigned port = 0;
        const auto result = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
        const bool whole = result.ec == std::errc() && result.ptr == port_text.data() + port_text.size();
        if (!whole || port > 65535) {
            problem = "the port must be a number up to 65535";
        } else if (!listening && port == 0) {
            problem = "the port must be a number from 1 to 65535";
        } else if (!listening && host.empty()) {
            problem = "the host is missing; write host:port";
        } else {
            return HostPort{std::string(host), static_cast<uint16_t>(port)};
        }
    }
    if (error != nullptr) *error = str_cat("bad address ", quoted(text), ": ", problem);
    return std::nullopt;
}

}  // namespace

std::optional<HostPort> parse_address(std::string_view text, std::string* error) {
    return parse(text, false, error);
}

std::optional<HostPort> parse_listen_address(std::string_view text, std::string* error) {
    return parse(text, true, error);
}

std::string to_string(const HostPort& address) {
    if (address.host.find(':') != std::string::npos) return str_cat("[", address.host, "]:", address.port);
    return str_cat(address.host, ":", address.port);
}

std::optional<SocketAddress> numeric_address(const HostPort& address) {
    sockaddr_in v4{};
    if (inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address.port);
        return socket_address(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4));
    }
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(address.port);
        return socket_address(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
    }
    return std::nullopt;
}

SocketAddress socket_address(const sockaddr* address, socklen_t length) {
    SocketAddress result;
    result.length = std::min<socklen_t>(length, sizeof(result.storage));
    std::memcpy(&result.storage, address, result.length);
    return result;
}

std::string to_string(const SocketAddress& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.storage.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
        return str_cat(text, ":", ntohs(v4->sin_port));
    }
    if (address.storage.ss_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        return str_cat("[", text, "]:", ntohs(v6->sin6_port));
    }
    return "unknown";
}

}  // namespace sandstore
