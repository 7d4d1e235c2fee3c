// The port to other nodes and to clients (PORT_TRANSPORT), used by nodes and by the client library.
//
// Messages in
//   StartTransport    our names: from now on peers are dialled, and their hellos accepted
//   ClusterView       the members and their addresses; one that is missing there stays known, a list in discovery
//                     being wrong must not take a working connection away
//   ConfigurationChanged  addresses of members that discovery does not tell. A node that was in the configuration and
//                     is not any more is left alone a while after, when discovery does not list it either: it was told
//   Drain             as drain(); answered with StatusReply
//   any envelope with to_node: a node id; "~N", the client connection N of this node; "@host:port", a server, dialled
//                     when needed and left when idle. Our own node id leads back to this node.
// Messages out
//   PeerUp, PeerDown  for the control link to a peer, to RaftNode, FileService, StatusService, ChunkService, Repairer
//   DuplicateNode     to Bootstrap
//   RequestFailed     for a request that cannot be sent (UNAVAILABLE, or RESOURCE_EXHAUSTED for a full queue);
//                     PortHost::node_unreachable when a connection breaks under requests that are under way
//   what comes in over connections, with from_node set to who is really there: a node id, "~N" or "@host:port"
//
// To each peer there are two connections of ours: control for Raft, bulk for all else; replies take the same ways. It
// relies on PortHost::deliver() and its like to queue, never to run an actor from inside.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "net/handshake.h"
#include "net/inbound.h"
#include "net/link.h"
#include "net/listener.h"
#include "net/resolver.h"
#include "net/self_probe.h"
#include "net/transport_options.h"
#include "runtime/actor.h"

namespace sandstore {

class Transport : public Port, private LinkOwner, private InboundOwner {
 public:
    Transport(event_base* base, PortHost& host, TransportOptions options = {});
    ~Transport() override;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    // Empty when it worked, else a sentence that names the address. Accepts clients at once, peers after
    // StartTransport.
    [[nodiscard]] std::string listen(std::string_view address);
    uint16_t port() const { return listener_.port(); }
    void close_listener() { listener_.close(); }
    // Accepts nobody any more, and calls `done` from the loop when everything queued is written, or after the timeout.
    void drain(uint64_t timeout_us, std::function<void()> done);

    void handle(Message message) override;

    size_t inbound_connections() const { return inbound_.size(); }

 private:
    struct Peer {
        std::string address;
        std::unique_ptr<Link> control;
        std::unique_ptr<Link> bulk;
        uint64_t inbound_bulk = 0;  // Number of the connection that the peer's own bulk comes over; 0: none.
    };

    // Messages to the port itself.
    void on_start_transport(const pb::StartTransport& start);
    void on_cluster_view(const pb::ClusterView& view);
    void on_configuration_changed(const pb::ConfigurationChanged& change);
    void on_drain(const Message& request);

    // Outgoing.
    void route(Message message);
    void send_to_client(Message message);
    void send_to_server(Message message);
    void send_to_peer(Message message);
    void undeliverable(const Message& message, std::string_view reason, pb::StatusCode code, const std::string& why);
    void forget_idle_servers();

    // Peers.
    void add_peer(const std::string& id, const std::string& address);
    std::unique_ptr<Link> make_link(LinkConfig config);
    std::unique_ptr<Link> make_peer_link(const std::string& id, pb::Hello::Kind kind);
    void learn_address(const std::string& id, const std::string& address);
    void retire_later(const std::string& id);
    void retire_due();
    void start_self_probe();
    void tell_actors_up(const std::string& node);
    void tell_actors_down(const std::string& node, const std::string& why);
    void on_link_up(Link& link) override;
    void on_link_down(Link& link, const std::string& why) override;
    void on_link_message(Link& link, Message message) override;
    void on_link_undeliverable(Link& link, Message message, std::string_view reason, pb::StatusCode code,
                               const std::string& why) override;
    void on_link_flushed(Link& link) override;

    // Incoming.
    void on_accept(int socket, std::string remote);
    pb::Status admit(const pb::Hello& hello);
    bool evict_stranger();
    bool evict_idle_client();
    void forget_inbound(std::map<uint64_t, std::unique_ptr<Inbound>>::iterator inbound);
    pb::HelloReply on_inbound_hello(Inbound& inbound, const pb::Hello& hello) override;
    void note_peer_hello(const Inbound& inbound, const pb::Hello& hello);
    void note_refusal(const Inbound& inbound, const pb::Hello& hello, const pb::Status& status);
    void on_inbound_message(Inbound& inbound, Message message) override;
    void refuse_message(Inbound& inbound, const Message& message, const std::string& why);
    void on_inbound_flushed(Inbound& inbound) override;
    void on_inbound_closed(Inbound& inbound, const std::string& why) override;
    void deliver_from(const std::string& node, Message message);

    bool flushed() const;
    void check_drained();

    NetContext net_;
    TransportOptions options_;
    std::unique_ptr<MemoryBudget> memory_;
    LocalNames names_;
    Resolver resolver_;
    Listener listener_;
    std::map<std::string, std::string> members_;  // Id to address, ourselves included.
    std::set<std::string> listed_;                // In the last view that had any.
    std::set<std::string> configured_;            // In Raft's configuration,
    std::set<std::string> once_configured_;       // and in an earlier one that we have seen.
    std::map<std::string, uint64_t> retiring_;    // When the connections to it end.
    LoopTimer retire_timer_;
    std::map<std::string, Peer> peers_;
    std::map<std::string, std::unique_ptr<Link>> servers_;  // By "@host:port".
    std::map<uint64_t, std::unique_ptr<Inbound>> inbound_;
    uint64_t last_inbound_ = 0;
    size_t clients_ = 0;  // Without operators.
    size_t operators_ = 0;
    std::map<std::string, std::string> refusals_;  // By node or address, why: logged when it changes.
    std::unique_ptr<SelfProbe> self_probe_;
    std::function<void()> drained_;
    LoopTimer drain_timer_;
    Gauge& inbound_gauge_;
};

}  // namespace sandstore
