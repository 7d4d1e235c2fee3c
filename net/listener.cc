#include "net/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr int kBacklog = 512;
constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kAcceptPauseUs = 100'000;  // After running out of descriptors: retrying at once would spin.
constexpr uint64_t kSayAgainUs = 10'000'000;

// errno as a sentence's end; 0 when it worked.
int bind_and_listen(int socket, const sockaddr* address, socklen_t length) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(socket, address, length) != 0 || ::listen(socket, kBacklog) != 0) return errno;
    return 0;
}

int try_listen(const sockaddr* address, socklen_t length, bool dual_stack, int* problem) {
    const int socket = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) {
        *problem = errno;
        return -1;
    }
    if (address->sa_family == AF_INET6) {
        const int only_v6 = dual_stack ? 0 : 1;
        setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
    }
    *problem = bind_and_listen(socket, address, length);
    if (*problem == 0) return socket;
    ::close(socket);
    return -1;
}

int listen_everywhere(uint16_t port, int* problem) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_any;
    v6.sin6_port = htons(port);
    const int socket = try_listen(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6), true, problem);
    if (socket >= 0 || *problem == EADDRINUSE || *problem == EACCES) return socket;
    sockaddr_in v4{};  // No IPv6 here.
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = INADDR_ANY;
    v4.sin_port = htons(port);
    return try_listen(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4), false, problem);
}

int listen_on_host(const HostPort& address, int* problem, std::string* lookup_error) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* list = nullptr;
    const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
    if (error != 0) {
        *lookup_error = gai_strerror(error);
        return -1;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, &freeaddrinfo);
    for (; list != nullptr; list = list->ai_next) {
        const int socket = try_listen(list->ai_addr, list->ai_addrlen, false, problem);
        if (socket >= 0) return socket;
    }
    return -1;
}

}  // namespace

int open_listening_socket(std::string_view address, std::string* error) {
    const auto parsed = parse_listen_address(address, error);
    if (!parsed) return -1;
    int problem = 0;
    std::string lookup_error;
    const int socket = parsed->host.empty() ? listen_everywhere(parsed->port, &problem)
                                            : listen_on_host(*parsed, &problem, &lookup_error);
    if (socket >= 0) return socket;
    const std::string prefix = str_cat("cannot listen on ", address, ": ");
    if (!lookup_error.empty()) {
        *error = prefix + lookup_error;
    } else if (problem == EADDRINUSE) {
        *error = prefix + "the address is already in use by another process";
    } else if (problem == EADDRNOTAVAIL) {
        *error = prefix + "this machine does not have that address";
    } else {
        *error = prefix + std::strerror(problem);
    }
    return -1;
}

uint16_t port_of_socket(int socket) {
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
}

Listener::Listener(NetContext& net, OnAccept on_accept, int accepted_below)
    : net_(net), on_accept_(std::move(on_accept)), accepted_below_(accepted_below), resume_timer_(net.base, [this] {
          if (event_) event_add(event_.get(), nullptr);
      }) {}

Listener::~Listener() {
    close();
}

std::string Listener::listen(std::string_view address) {
    std::string error;
    const int socket = open_listening_socket(address, &error);
    if (socket < 0) return error;
    close();
    socket_ = socket;
    port_ = port_of_socket(socket);
    event_.reset(event_new(net_.base, socket, EV_READ | EV_PERSIST, &Listener::on_readable, this));
    event_add(event_.get(), nullptr);
    return "";
}

void Listener::close() {
    event_.reset();
    resume_timer_.stop();
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
}

void Listener::on_readable(int, short, void* self) {
    static_cast<Listener*>(self)->accept_some();
}

void Listener::accept_some() {
    for (int i = 0; i < kAcceptsPerTurn && socket_ >= 0; i++) {
        const uint64_t delay_us = wait_us_ ? wait_us_() : 0;
        if (delay_us > 0) return pause_for(delay_us);
        sockaddr_storage address{};
        socklen_t length = sizeof(address);
        const int socket =
            ::accept4(socket_, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= accepted_below_) {
            ::close(socket);
            return pause("the rest of the descriptors is for the disk");
        }
        if (socket >= 0) {
            on_accept_(socket, to_string(socket_address(reinterpret_cast<const sockaddr*>(&address), length)));
            continue;
        }
        if (errno == EAGAIN) return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            return pause(std::strerror(errno));
        }
        // Anything else concerns that one connection only (ECONNABORTED, EPERM, network errors): go on.
    }
}

void Listener::pause(std::string_view why) {
    net_.count_refused("no_descriptors");
    if (pause_said_us_ == 0 || net_.host.now_us() >= pause_said_us_ + kSayAgainUs) {
        pause_said_us_ = net_.host.now_us();
        net_.log(LogLevel::kWarning, "cannot accept connections for a moment", {{"error", why}});
    }
    pause_for(kAcceptPauseUs);
}

void Listener::pause_for(uint64_t delay_us) {
    event_del(event_.get());
    resume_timer_.start_us(delay_us);
}

}  // namespace sandstore
