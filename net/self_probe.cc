#include "net/self_probe.h"

namespace sandstore {

SelfProbe::SelfProbe(NetContext& net, Resolver& resolver, const TransportOptions& options, const LocalNames& names,
                     std::string address, OnDuplicate on_duplicate)
    : net_(net),
      resolver_(resolver),
      options_(options),
      names_(names),
      address_(std::move(address)),
      on_duplicate_(std::move(on_duplicate)),
      timer_(net.base, [this] { ask(); }) {
    timer_.start_us(0);
}

void SelfProbe::ask() {
    asked_++;
    DialOptions dial;
    dial.connect_timeout_us = options_.connect_timeout_us;
    dial.hello_timeout_us = options_.hello_timeout_us;
    dialer_ = std::make_unique<Dialer>(net_, resolver_, dial, address_, make_hello(pb::Hello::PROBE, names_),
                                       [this](Dialer::Result result) { on_answer(std::move(result)); });
}

void SelfProbe::on_answer(Dialer::Result result) {
    dialer_.reset();
    if (result.connection) result.connection->close();
    const pb::HelloReply& reply = result.reply;
    if (reply.node_id() == names_.node_id && !reply.instance_id().empty()) {
        if (reply.instance_id() != names_.instance_id) on_duplicate_(reply.instance_id());
        return;  // It is us, or it is settled.
    }
    // Nobody there yet, or somebody who is still starting and does not know its own name.
    if (asked_ < options_.probes_max && (!result.connection || reply.node_id().empty())) {
        return timer_.start_us(options_.probe_interval_us);
    }
    net_.log(LogLevel::kInfo, "this node does not answer at its own address in the member list",
             {{"address", address_}, {"answer", result.error.empty() ? reply.node_id() : result.error}});
}

}  // namespace sandstore
