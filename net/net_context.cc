#include "net/net_context.h"

namespace sandstore {

NetContext::NetContext(event_base* loop, PortHost& port_host, WireMaker wire_maker)
    : base(loop),
      host(port_host),
      new_wire(wire_maker),
      sent_messages(host.metrics().counter("sandstore_net_sent_messages_total", "Frames written to sockets.")),
      sent_bytes(host.metrics().counter("sandstore_net_sent_bytes_total", "Bytes written to sockets.")),
      received_messages(host.metrics().counter("sandstore_net_received_messages_total", "Valid frames received.")),
      received_bytes(host.metrics().counter("sandstore_net_received_bytes_total", "Bytes read from sockets.")) {}

void NetContext::count_bad_frame(std::string_view reason) const {
    host.metrics()
        .counter("sandstore_net_bad_frames_total", "Connections closed because of a frame that is not valid.",
                 {{"reason", std::string(reason)}})
        .add();
}

void NetContext::count_undeliverable(std::string_view reason, uint64_t messages) const {
    host.metrics()
        .counter("sandstore_net_undeliverable_total", "Outgoing messages that could not be sent.",
                 {{"reason", std::string(reason)}})
        .add(messages);
}

void NetContext::count_refused(std::string_view reason) const {
    host.metrics()
        .counter("sandstore_net_refused_total", "Incoming connections and messages turned away.",
                 {{"reason", std::string(reason)}})
        .add();
}

}  // namespace sandstore
