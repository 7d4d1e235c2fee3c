#include "net/transport.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "net/message_policy.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {
namespace {

constexpr uint64_t kDrainTimeoutUs = 1'000'000;  // For the Drain message.
constexpr LocalAddress kSelf{pb::PORT_TRANSPORT, 0};

// What has meaning on one side of the wire only is not sent.
void strip_for_wire(pb::Envelope* envelope) {
    envelope->clear_from_node();
    envelope->clear_to_node();
    envelope->clear_incarnation();
}

Message answer_to(const pb::Envelope& request, Message answer) {
    answer->set_to_actor(request.from_actor());
    answer->set_to_instance(request.from_instance());
    answer->set_from_actor(request.to_actor());
    answer->set_from_instance(request.to_instance());
    answer->set_reply_to(request.request_id());
    return answer;
}

// The one who asked must hear something: an answer that does not fit into a frame becomes a failure.
Message too_large_reply(const pb::Envelope& reply) {
    Message failure = request_failed(pb::STATUS_INTERNAL, "the reply is larger than a frame can be");
    failure->set_to_actor(reply.to_actor());
    failure->set_to_instance(reply.to_instance());
    failure->set_from_actor(reply.from_actor());
    failure->set_from_instance(reply.from_instance());
    failure->set_reply_to(reply.reply_to());
    return failure;
}

}  // namespace

Transport::Transport(event_base* base, PortHost& host, TransportOptions options)
    : net_(base, host, options.wire),
      options_(std::move(options)),
      resolver_(base, options_.name_servers),
      listener_(
          net_, [this](int socket, std::string remote) { on_accept(socket, std::move(remote)); },
          options_.accepted_below),
      retire_timer_(base, [this] { retire_due(); }),
      drain_timer_(base,
                   [this] {
                       if (const auto done = std::exchange(drained_, nullptr)) done();
                   }),
      inbound_gauge_(host.metrics().gauge("sandstore_net_inbound_connections", "Open connections made by others.")) {
    names_.software_version = options_.software_version;
    if (options_.memory_budget_bytes == 0) return;
    memory_ = std::make_unique<MemoryBudget>(base, host.metrics(), options_.memory_budget_bytes);
    net_.memory = memory_.get();
}

Transport::~Transport() = default;

std::string Transport::listen(std::string_view address) {
    return listener_.listen(address);
}

// --- Messages to the port itself

void Transport::handle(Message message) {
    if (!message->to_node().empty()) return route(std::move(message));
    switch (message->body_case()) {
        case pb::Envelope::kStartTransport:
            return on_start_transport(message->start_transport());
        case pb::Envelope::kClusterView:
            return on_cluster_view(message->cluster_view());
        case pb::Envelope::kConfigurationChanged:
            return on_configuration_changed(message->configuration_changed());
        case pb::Envelope::kDrain:
            return on_drain(message);
        default:
            break;
    }
    const std::string why = str_cat("the transport does not answer ", body_name(message.envelope()));
    net_.log(LogLevel::kWarning, "unexpected message", {{"message", body_name(message.envelope())}});
    undeliverable(message, "unexpected", pb::STATUS_INVALID_ARGUMENT, why);
}

void Transport::on_start_transport(const pb::StartTransport& start) {
    names_.cluster_id = start.cluster_id();
    names_.node_id = start.node_id();
    names_.instance_id = start.instance_id();
    names_.founding = start.founding();
    for (const auto& [id, address] : members_) add_peer(id, address);
    start_self_probe();
}

void Transport::on_cluster_view(const pb::ClusterView& view) {
    if (!view.members().empty()) listed_.clear();
    for (const pb::Member& member : view.members()) {
        listed_.insert(member.id());
        retiring_.erase(member.id());
        learn_address(member.id(), member.address());
    }
    for (const std::string& id : once_configured_) {
        if (!configured_.contains(id)) retire_later(id);
    }
    if (names_.started()) start_self_probe();
}

void Transport::learn_address(const std::string& id, const std::string& address) {
    std::string problem;
    if (!is_valid_node_id(id)) {
        problem = "the node id may have letters, digits, '.', '_' and '-' only";
    } else if (!parse_address(address, &problem)) {
        // parse_address has said why.
    } else if (!members_.contains(id) && members_.size() >= options_.peers_max) {
        problem = "there are too many members";
    }
    if (!problem.empty()) {
        return net_.log(LogLevel::kWarning, "member skipped", {{"member", id}, {"error", problem}});
    }
    members_[id] = address;
    if (names_.started()) add_peer(id, address);
}

// Discovery's address of a node goes before the one that it was added with.
void Transport::on_configuration_changed(const pb::ConfigurationChanged& change) {
    const pb::RaftConfiguration& configuration = change.configuration();
    if (names_.founding.empty()) names_.founding = configuration.founding();
    for (const pb::RaftMember& member : configuration.addresses()) {
        if (!listed_.contains(member.id())) learn_address(member.id(), member.address());
    }
    once_configured_.insert(configured_.begin(), configured_.end());
    configured_.clear();
    for (const auto* names : {&configuration.voters(), &configuration.learners(), &configuration.old_voters()}) {
        configured_.insert(names->begin(), names->end());
    }
    std::erase_if(retiring_, [&](const auto& entry) { return configured_.contains(entry.first); });
    for (const std::string& id : configured_) {
        const auto known = members_.find(id);
        if (known != members_.end() && names_.started()) add_peer(id, known->second);
    }
    if (!change.committed()) return;
    for (const std::string& id : once_configured_) {
        if (!configured_.contains(id)) retire_later(id);
    }
}

// --- Nodes that were removed

void Transport::retire_later(const std::string& id) {
    if (listed_.contains(id) || !peers_.contains(id)) return;
    const bool first = retiring_.empty();
    retiring_.try_emplace(id, net_.host.now_us() + options_.retire_after_us);
    if (first) retire_timer_.start_us(options_.retire_after_us);
}

void Transport::retire_due() {
    const uint64_t now_us = net_.host.now_us();
    uint64_t next_us = 0;
    for (auto entry = retiring_.begin(); entry != retiring_.end();) {
        const auto& [id, due_us] = *entry;
        if (due_us > now_us) {
            next_us = next_us == 0 ? due_us : std::min(next_us, due_us);
            ++entry;
            continue;
        }
        net_.log(LogLevel::kInfo, "connections to a removed node end", {{"node", id}});
        std::erase_if(inbound_,
                      [&](const auto& inbound) { return inbound.second->is_peer() && inbound.second->node() == id; });
        inbound_gauge_.set(static_cast<double>(inbound_.size()));
        const auto peer = peers_.find(id);
        if (peer != peers_.end()) {
            const bool was_up = peer->second.control->up();
            peers_.erase(peer);
            if (was_up) tell_actors_down(id, "it was removed from the cluster");
            net_.host.node_unreachable(id, "it was removed from the cluster");
        }
        entry = retiring_.erase(entry);
    }
    if (next_us != 0) retire_timer_.start_us(next_us - now_us);
    check_drained();
}

void Transport::on_drain(const Message& request) {
    drain(kDrainTimeoutUs,
          [this, to = reply_to(request)] { net_.host.reply(to, kSelf, message_of(pb::StatusReply())); });
}

void Transport::drain(uint64_t timeout_us, std::function<void()> done) {
    close_listener();
    drained_ = std::move(done);
    drain_timer_.start_us(timeout_us);
    check_drained();
}

bool Transport::flushed() const {
    for (const auto& [id, peer] : peers_) {
        if (!peer.control->flushed() || !peer.bulk->flushed()) return false;
    }
    for (const auto& [name, server] : servers_) {
        if (!server->flushed()) return false;
    }
    for (const auto& [number, inbound] : inbound_) {
        if (!inbound->flushed()) return false;
    }
    return true;
}

void Transport::check_drained() {
    if (drained_ && flushed()) drain_timer_.start_us(0);
}

// --- Outgoing messages

void Transport::route(Message message) {
    const std::string& node = message->to_node();
    if (node.starts_with('~')) return send_to_client(std::move(message));
    if (node.starts_with('@')) return send_to_server(std::move(message));
    if (names_.started() && node == names_.node_id) return deliver_from(names_.node_id, std::move(message));
    send_to_peer(std::move(message));
}

void Transport::send_to_client(Message message) {
    std::string node = std::move(*message->mutable_to_node());
    uint64_t number = 0;
    std::from_chars(node.data() + 1, node.data() + node.size(), number);
    const auto found = inbound_.find(number);
    if (found == inbound_.end() || !found->second->is_client()) {
        return undeliverable(message, "client_gone", pb::STATUS_UNAVAILABLE, "the client has gone");
    }
    strip_for_wire(&message.envelope());
    switch (found->second->send(message)) {
        case Connection::SendResult::kQueued:
            return;
        case Connection::SendResult::kQueueFull:
            return undeliverable(message, "queue_full", pb::STATUS_RESOURCE_EXHAUSTED,
                                 "the client does not read its answers");
        case Connection::SendResult::kTooLarge:
            undeliverable(message, "too_large", pb::STATUS_INVALID_ARGUMENT, "the message does not fit into a frame");
            if (message->reply_to() != 0) {
                Message failure = too_large_reply(message.envelope());
                failure->set_to_node(std::move(node));
                send_to_client(std::move(failure));
            }
            return;
        case Connection::SendResult::kClosed:
            return undeliverable(message, "client_gone", pb::STATUS_UNAVAILABLE, "the client has gone");
    }
}

void Transport::send_to_server(Message message) {
    const std::string node = message->to_node();
    auto found = servers_.find(node);
    if (found == servers_.end()) {
        std::string problem;
        if (!parse_address(std::string_view(node).substr(1), &problem)) {
            return undeliverable(message, "bad_address", pb::STATUS_INVALID_ARGUMENT, problem);
        }
        forget_idle_servers();
        if (servers_.size() >= options_.servers_max) {
            return undeliverable(message, "too_many_servers", pb::STATUS_RESOURCE_EXHAUSTED,
                                 "connected to too many servers");
        }
        LinkConfig config;
        config.node = node;
        config.kind = options_.client_kind;
        config.keep_up = false;
        config.queue_bytes_max = options_.bulk_queue_bytes_max;
        config.idle_timeout_us = options_.server_idle_us;
        auto link = make_link(std::move(config));
        link->set_address(node.substr(1));
        found = servers_.emplace(node, std::move(link)).first;
    }
    strip_for_wire(&message.envelope());
    found->second->send(std::move(message));
}

// Called from handle() only, never from inside a link.
void Transport::forget_idle_servers() {
    if (servers_.size() < options_.servers_max) return;
    std::erase_if(servers_, [](const auto& entry) { return entry.second->idle(); });
}

void Transport::send_to_peer(Message message) {
    const auto found = peers_.find(message->to_node());
    if (found == peers_.end()) {
        const std::string why = names_.started() ? str_cat("node ", message->to_node(), " is not a known member")
                                                 : "the node is still starting";
        return undeliverable(message, "unknown_node", pb::STATUS_UNAVAILABLE, why);
    }
    Peer& peer = found->second;
    Link& link = is_control_message(message.envelope()) ? *peer.control : *peer.bulk;
    strip_for_wire(&message.envelope());
    link.send(std::move(message));
}

void Transport::undeliverable(const Message& message, std::string_view reason, pb::StatusCode code,
                              const std::string& why) {
    net_.count_undeliverable(reason);
    if (net_.host.logger().enabled(LogLevel::kDebug)) {
        net_.log(LogLevel::kDebug, "message not sent", {{"message", body_name(message.envelope())}, {"error", why}});
    }
    if (message->request_id() != 0) net_.host.reply(reply_to(message), kSelf, request_failed(code, why));
}

// --- Peers

void Transport::add_peer(const std::string& id, const std::string& address) {
    if (id == names_.node_id) return;
    Peer& peer = peers_[id];
    if (peer.address == address) return;
    peer.address = address;
    if (!peer.control) {
        peer.control = make_peer_link(id, pb::Hello::PEER_CONTROL);
        peer.bulk = make_peer_link(id, pb::Hello::PEER_BULK);
        net_.count_raft_send_failure(id, 0);  // So that the first failure is a rise.
    }
    peer.control->set_address(address);
    peer.bulk->set_address(address);
}

std::unique_ptr<Link> Transport::make_link(LinkConfig config) {
    LinkOwner& owner = *this;  // A private base: converted here, where it is known.
    return std::make_unique<Link>(net_, resolver_, options_, names_, std::move(config), owner);
}

std::unique_ptr<Link> Transport::make_peer_link(const std::string& id, pb::Hello::Kind kind) {
    const bool control = kind == pb::Hello::PEER_CONTROL;
    LinkConfig config;
    config.node = id;
    config.kind = kind;
    config.keep_up = true;
    config.wait_for_connection = !control;  // Raft sends again by itself, and rather something newer.
    config.expected_node_id = id;
    config.retry_max_us = control ? options_.control_retry_max_us : options_.bulk_retry_max_us;
    config.queue_bytes_max = control ? options_.control_queue_bytes_max : options_.bulk_queue_bytes_max;
    return make_link(std::move(config));
}

void Transport::start_self_probe() {
    const auto found = members_.find(names_.node_id);
    if (self_probe_ || found == members_.end()) return;
    self_probe_ = std::make_unique<SelfProbe>(
        net_, resolver_, options_, names_, found->second,
        [this, address = found->second](const std::string& instance_id) {
            pb::DuplicateNode duplicate;
            duplicate.set_address(address);
            duplicate.set_instance_id(instance_id);
            net_.log(LogLevel::kError, "another process answers at this node's address with this node's id",
                     {{"address", address}, {"instance", instance_id}});
            Message message = message_of(std::move(duplicate));
            message->set_from_actor(kSelf.actor);
            message->set_to_actor(pb::ACTOR_BOOTSTRAP);
            net_.host.deliver(std::move(message));
        });
}

constexpr pb::ActorKind kPeerListeners[] = {pb::ACTOR_RAFT,   pb::ACTOR_FILES,    pb::ACTOR_STATUS,
                                            pb::ACTOR_CHUNKS, pb::ACTOR_REPAIRER, pb::ACTOR_MOVER};

void Transport::tell_actors_up(const std::string& node) {
    for (pb::ActorKind actor : kPeerListeners) {
        pb::PeerUp up;
        up.set_node_id(node);
        Message message = message_of(std::move(up));
        message->set_from_actor(kSelf.actor);
        message->set_to_actor(actor);
        net_.host.deliver(std::move(message));
    }
}

void Transport::tell_actors_down(const std::string& node, const std::string& why) {
    for (pb::ActorKind actor : kPeerListeners) {
        pb::PeerDown down;
        down.set_node_id(node);
        down.set_reason(why);
        Message message = message_of(std::move(down));
        message->set_from_actor(kSelf.actor);
        message->set_to_actor(actor);
        net_.host.deliver(std::move(message));
    }
}

void Transport::on_link_up(Link& link) {
    if (link.kind() != pb::Hello::PEER_CONTROL) return;
    tell_actors_up(link.node());
    peers_.at(link.node()).bulk->retry_now();
}

void Transport::on_link_down(Link& link, const std::string& why) {
    if (link.kind() == pb::Hello::PEER_CONTROL) tell_actors_down(link.node(), why);
    net_.host.node_unreachable(link.node(), why);
    check_drained();
}

void Transport::on_link_message(Link& link, Message message) {
    // Peers answer over connections of their own; only servers answer here.
    const bool from_server = link.kind() == options_.client_kind;
    const std::string refusal =
        from_server ? refuse_from_server(message.envelope()) : "nothing is expected over this connection";
    if (!refusal.empty()) {
        net_.count_refused("message_from_server");
        return net_.log(LogLevel::kWarning, "message refused", {{"from", link.node()}, {"error", refusal}});
    }
    deliver_from(link.node(), std::move(message));
}

void Transport::on_link_undeliverable(Link& link, Message message, std::string_view reason, pb::StatusCode code,
                                      const std::string& why) {
    undeliverable(message, reason, code, why);
    const bool is_peer = link.kind() != options_.client_kind;
    if (is_peer && message->to_actor() == pb::ACTOR_RAFT) net_.count_raft_send_failure(link.node());
    if (reason == "too_large" && message->reply_to() != 0) link.send(too_large_reply(message.envelope()));
}

void Transport::on_link_flushed(Link&) {
    check_drained();
}

// --- Incoming connections

void Transport::on_accept(int socket, std::string remote) {
    if (inbound_.size() >= options_.inbound_max && !evict_stranger() && !evict_idle_client()) {
        net_.count_refused("too_many_connections");
        ::close(socket);
        return;
    }
    const uint64_t number = ++last_inbound_;
    InboundOwner& owner = *this;  // A private base: converted here, where it is known.
    inbound_.emplace(number, std::make_unique<Inbound>(net_, options_, number, socket, std::move(remote), owner));
    inbound_gauge_.set(static_cast<double>(inbound_.size()));
}

// Whoever connected longest ago and has not said who it is.
bool Transport::evict_stranger() {
    const auto oldest = std::ranges::find_if(inbound_, [](const auto& entry) { return !entry.second->greeted(); });
    if (oldest == inbound_.end()) return false;
    if (net_.host.now_us() < oldest->second->idle_since_us() + options_.idle_before_eviction_us) return false;
    net_.count_refused("silent_connection");
    forget_inbound(oldest);
    return true;
}

// Nothing is lost by it: a client connects again when it has something to say.
bool Transport::evict_idle_client() {
    auto longest = inbound_.end();
    for (auto entry = inbound_.begin(); entry != inbound_.end(); ++entry) {
        const Inbound& inbound = *entry->second;
        if (!inbound.is_client() || inbound.is_operator() || !inbound.idle()) continue;
        if (longest == inbound_.end() || inbound.idle_since_us() < longest->second->idle_since_us()) longest = entry;
    }
    if (longest == inbound_.end()) return false;
    if (net_.host.now_us() < longest->second->idle_since_us() + options_.idle_before_eviction_us) return false;
    net_.count_refused("idle_client");
    forget_inbound(longest);
    return true;
}

void Transport::forget_inbound(std::map<uint64_t, std::unique_ptr<Inbound>>::iterator inbound) {
    if (inbound->second->is_operator()) {
        operators_--;
    } else if (inbound->second->is_client()) {
        clients_--;
    }
    inbound_.erase(inbound);
    inbound_gauge_.set(static_cast<double>(inbound_.size()));
}

// Whether there is room for one more of its kind; made if need be.
pb::Status Transport::admit(const pb::Hello& hello) {
    const bool is_operator = hello.kind() == pb::Hello::OPERATOR;
    pb::Status status;
    if (!is_operator && hello.kind() != pb::Hello::CLIENT) return status;
    const bool full =
        clients_ + operators_ >= options_.operators_max || (!is_operator && clients_ >= options_.clients_max);
    if (full && !evict_idle_client()) {
        status.set_code(pb::STATUS_RESOURCE_EXHAUSTED);
        status.set_message("this node has as many clients as it can take; try another one");
        return status;
    }
    (is_operator ? operators_ : clients_)++;
    return status;
}

pb::HelloReply Transport::on_inbound_hello(Inbound& inbound, const pb::Hello& hello) {
    pb::HelloReply reply = answer_hello(hello, names_);
    if (reply.status().code() == pb::STATUS_OK) *reply.mutable_status() = admit(hello);
    const bool is_client = hello.kind() == pb::Hello::CLIENT || hello.kind() == pb::Hello::OPERATOR;
    if (reply.status().code() != pb::STATUS_OK) {
        note_refusal(inbound, hello, reply.status());
    } else if (is_client) {
        return reply;
    } else if (hello.kind() != pb::Hello::PROBE) {
        note_peer_hello(inbound, hello);
    }
    return reply;
}

void Transport::note_peer_hello(const Inbound& inbound, const pb::Hello& hello) {
    refusals_.erase(hello.node_id());
    auto found = peers_.find(hello.node_id());
    if (found == peers_.end()) {
        // A node that was removed may have missed it, and asks: it must be possible to answer.
        const auto known = members_.find(hello.node_id());
        if (known == members_.end()) return;
        add_peer(known->first, known->second);
        retire_later(known->first);
        found = peers_.find(hello.node_id());
    }
    if (hello.kind() == pb::Hello::PEER_BULK) found->second.inbound_bulk = inbound.number();
    // Who calls is there: no need to wait for the next attempt.
    found->second.control->retry_now();
    found->second.bulk->retry_now();
}

void Transport::note_refusal(const Inbound& inbound, const pb::Hello& hello, const pb::Status& status) {
    constexpr size_t kRefusalsMax = 256;
    const bool starting = status.code() == pb::STATUS_UNAVAILABLE;
    net_.count_refused(starting                                         ? "starting"
                       : status.code() == pb::STATUS_RESOURCE_EXHAUSTED ? "too_many_clients"
                                                                        : "hello");
    if (starting) return;
    const bool named = is_valid_node_id(hello.node_id());
    const std::string host = inbound.remote().substr(0, inbound.remote().rfind(':'));
    if (refusals_.size() >= kRefusalsMax) refusals_.clear();
    std::string& last = refusals_[named ? hello.node_id() : host];
    if (last == status.message()) return;
    last = status.message();
    net_.log(LogLevel::kWarning, "connection refused",
             {{"from", inbound.remote()}, {"peer", named ? hello.node_id() : "client"}, {"error", status.message()}});
}

void Transport::on_inbound_message(Inbound& inbound, Message message) {
    const std::string refusal =
        inbound.is_client() ? refuse_from_client(message.envelope()) : refuse_from_peer(message.envelope());
    if (!refusal.empty()) return refuse_message(inbound, message, refusal);
    deliver_from(inbound.node(), std::move(message));
}

void Transport::refuse_message(Inbound& inbound, const Message& message, const std::string& why) {
    net_.count_refused(inbound.is_client() ? "message_from_client" : "message_from_peer");
    if (!inbound.warned) {
        net_.log(LogLevel::kWarning, "message refused",
                 {{"from", inbound.node()}, {"address", inbound.remote()}, {"error", why}});
        inbound.warned = true;
    }
    if (message->request_id() == 0) return;
    Message answer = answer_to(message.envelope(), request_failed(pb::STATUS_INVALID_ARGUMENT, why));
    answer->set_to_node(inbound.node());
    route(std::move(answer));
}

void Transport::on_inbound_flushed(Inbound&) {
    check_drained();
}

void Transport::on_inbound_closed(Inbound& inbound, const std::string& why) {
    if (inbound.is_peer()) {
        const std::string node = inbound.node();
        const auto found = peers_.find(node);
        if (found != peers_.end() && found->second.inbound_bulk == inbound.number()) {
            found->second.inbound_bulk = 0;
            net_.host.node_unreachable(node, str_cat("the connection that its replies come over is lost: ", why));
        }
    }
    forget_inbound(inbound_.find(inbound.number()));
    check_drained();
}

void Transport::deliver_from(const std::string& node, Message message) {
    pb::Envelope& envelope = message.envelope();
    envelope.set_from_node(node);
    envelope.clear_to_node();
    envelope.clear_incarnation();
    net_.host.deliver(std::move(message));
}

}  // namespace sandstore
