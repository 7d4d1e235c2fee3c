// Asks once, at our own address from the member list, who answers there. Another process with our node id means that
// two of us run: data would be lost, so the node must not go on.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/dialer.h"
#include "net/handshake.h"
#include "net/transport_options.h"

namespace sandstore {

class SelfProbe {
 public:
    // Called at most once, with the instance id of the other process; the probe must not be destroyed in it.
    using OnDuplicate = std::function<void(const std::string& instance_id)>;

    SelfProbe(NetContext& net, Resolver& resolver, const TransportOptions& options, const LocalNames& names,
              std::string address, OnDuplicate on_duplicate);

 private:
    void ask();
    void on_answer(Dialer::Result result);

    NetContext& net_;
    Resolver& resolver_;
    const TransportOptions& options_;
    const LocalNames& names_;
    std::string address_;
    OnDuplicate on_duplicate_;
    uint32_t asked_ = 0;
    LoopTimer timer_;
    std::unique_ptr<Dialer> dialer_;
};

}  // namespace sandstore
