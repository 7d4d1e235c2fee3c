// The listening socket: binds, accepts, and gives the connected sockets to its owner.
#pragma once

#include <climits>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/event_handle.h"
#include "net/net_context.h"

namespace sandstore {

// A bound, listening, non-blocking socket for `address` (see parse_listen_address), or -1 and a sentence in *error.
// Every interface means IPv6 and IPv4 where the system has both. Looks a host name up, which may block: for the start.
int open_listening_socket(std::string_view address, std::string* error);
uint16_t port_of_socket(int socket);

class Listener {
 public:
    // The socket belongs to the callee.
    using OnAccept = std::function<void(int socket, std::string remote)>;
    // How long the next connection shall be left where it is, in the system's queue; 0: it is accepted.
    using WaitUs = std::function<uint64_t()>;

    // Accepted sockets have numbers below `accepted_below`; one above is closed, and accepting pauses.
    Listener(NetContext& net, OnAccept on_accept, int accepted_below = INT_MAX);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    void set_wait(WaitUs wait_us) { wait_us_ = std::move(wait_us); }
    [[nodiscard]] std::string listen(std::string_view address);  // Empty, or what went wrong.
    void close();
    bool listening() const { return socket_ >= 0; }
    uint16_t port() const { return port_; }  // The real one when the system chose it.

 private:
    static void on_readable(int, short, void* self);
    void accept_some();
    void pause(std::string_view why);
    void pause_for(uint64_t delay_us);

    NetContext& net_;
    OnAccept on_accept_;
    WaitUs wait_us_;
    const int accepted_below_;
    int socket_ = -1;
    uint16_t port_ = 0;
    EventPointer event_;
    LoopTimer resume_timer_;
    uint64_t pause_said_us_ = 0;
};

}  // namespace sandstore
