#include "net/net_context.h"

namespace sandstore {

namespace {
constexpr std::string_view kBadFramesName = "sandstore_net_bad_frames_total";
constexpr std::string_view kBadFramesHelp = "Connections closed because of a frame that is not valid.";
constexpr std::string_view kUndeliverableName = "sandstore_net_undeliverable_total";
constexpr std::string_view kUndeliverableHelp = "Outgoing messages that could not be sent.";
constexpr std::string_view kRefusedName = "sandstore_net_refused_total";
constexpr std::string_view kRefusedHelp = "Incoming connections and messages turned away.";
}  // namespace

NetContext::NetContext(event_base* loop, PortHost& port_host, WireMaker wire_maker)
    : base(loop),
      host(port_host),
      new_wire(wire_maker),
      sent_messages(host.metrics().counter("sandstore_net_sent_messages_total", "Frames written to sockets.")),
      sent_bytes(host.metrics().counter("sandstore_net_sent_bytes_total", "Bytes written to sockets.")),
      received_messages(host.metrics().counter("sandstore_net_received_messages_total", "Valid frames received.")),
      received_bytes(host.metrics().counter("sandstore_net_received_bytes_total", "Bytes read from sockets.")) {
    host.metrics().declare(kBadFramesName, kBadFramesHelp, "counter");
    host.metrics().declare(kUndeliverableName, kUndeliverableHelp, "counter");
    host.metrics().declare(kRefusedName, kRefusedHelp, "counter");
}

void NetContext::count_bad_frame(std::string_view reason) const {
    host.metrics().counter(kBadFramesName, kBadFramesHelp, {{"reason", std::string(reason)}}).add();
}

void NetContext::count_undeliverable(std::string_view reason, uint64_t messages) const {
    host.metrics().counter(kUndeliverableName, kUndeliverableHelp, {{"reason", std::string(reason)}}).add(messages);
}

void NetContext::count_refused(std::string_view reason) const {
    host.metrics().counter(kRefusedName, kRefusedHelp, {{"reason", std::string(reason)}}).add();
}

void NetContext::count_raft_send_failure(std::string_view peer, uint64_t messages) const {
    host.metrics()
        .counter("sandstore_raft_peer_send_failures_total", "Messages of Raft to a peer that could not be sent.",
                 {{"peer", std::string(peer)}})
        .add(messages);
}

}  // namespace sandstore
