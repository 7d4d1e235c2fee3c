// Host names to addresses without blocking the loop: libevent's evdns (/etc/hosts, then the name servers). Nothing is
// cached, so that every reconnect sees the present address of a restarted container.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"

struct event_base;
struct evdns_base;

namespace sandstore {

class Resolver {
 public:
    struct Result {
        std::vector<SocketAddress> addresses;
        std::string error;  // A sentence; empty: at least one address.
    };
    using Done = std::function<void(Result)>;

    // A question under way. Destroying it cancels it; it may be destroyed from its own callback.
    class Lookup {
     public:
        virtual ~Lookup() = default;
    };

    // Without name servers, those of /etc/resolv.conf are used.
    explicit Resolver(event_base* base, const std::vector<std::string>& name_servers = {});
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // `done` is called once from the loop, never from inside this call. Numeric addresses ask nobody.
    std::unique_ptr<Lookup> resolve(const HostPort& address, Done done);

 private:
    struct DnsFree {
        void operator()(evdns_base* base) const;
    };

    event_base* base_;
    std::unique_ptr<evdns_base, DnsFree> dns_;
};

}  // namespace sandstore
