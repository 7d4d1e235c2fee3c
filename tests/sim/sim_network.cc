#include "tests/sim/sim_network.h"

#include <algorithm>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {

constexpr uint64_t kLateMinUs = 200'000;
constexpr uint64_t kLateSpreadUs = 2'000'000;

}  // namespace

class SimNetwork::Gate final : public Port {
 public:
    Gate(SimNetwork& network, std::string id) : network_(network), id_(std::move(id)) {}
    void handle(Message message) override { network_.handle(id_, std::move(message)); }

 private:
    SimNetwork& network_;
    std::string id_;
};

SimNetwork::SimNetwork(SimRuntime& runtime) : runtime_(runtime) {}
SimNetwork::~SimNetwork() = default;

void SimNetwork::attach(const std::string& id, Dispatcher& dispatcher, bool is_client) {
    Member member;
    member.gate = std::make_unique<Gate>(*this, id);
    member.dispatcher = &dispatcher;
    member.is_client = is_client;
    dispatcher.add_port({pb::PORT_TRANSPORT, 0}, member.gate.get());
    members_[id] = std::move(member);
    vanished_.erase(id);
}

void SimNetwork::vanish(const std::string& id) {
    members_.erase(id);
    vanished_.insert(id);
}

void SimNetwork::hold(const std::string& from, const std::string& to) {
    held_.try_emplace({from, to});
}

void SimNetwork::let_go(const std::string& from, const std::string& to) {
    auto held = held_.extract({from, to});
    if (held.empty()) return;
    uint64_t delay_us = 0;
    for (Message& message : held.mapped()) deliver_later(from, to, std::move(message), ++delay_us);
}

void SimNetwork::break_connection(const std::string& one, const std::string& other) {
    for (const auto& [to, about] : {std::pair(one, other), std::pair(other, one)}) {
        const auto member = members_.find(to);
        if (member != members_.end() && member->second.listening) tell(to, about, false);
    }
}

void SimNetwork::connect_again(const std::string& one, const std::string& other) {
    const auto first = members_.find(one);
    const auto second = members_.find(other);
    if (first == members_.end() || second == members_.end()) return;
    if (!first->second.listening || !second->second.listening) return;
    tell(one, other, true);
    tell(other, one, true);
}

void SimNetwork::detach(const std::string& id) {
    members_.erase(id);
    for (auto& [other, member] : members_) {
        if (member.is_client) {
            tell(other, "@" + address_of(id), false);
        } else if (member.listening) {
            tell(other, id, false);
        }
    }
}

void SimNetwork::partition(const std::set<std::string>& side) {
    blocked_.clear();
    for (const auto& [a, member_a] : members_) {
        for (const auto& [b, member_b] : members_) {
            if (member_a.is_client || member_b.is_client) continue;
            if (side.contains(a) != side.contains(b)) block(a, b);
        }
    }
}

void SimNetwork::unblock(const std::string& from, const std::string& to) {
    auto found = blocked_.find({from, to});
    if (found != blocked_.end() && --found->second == 0) blocked_.erase(found);
}

void SimNetwork::heal() {
    blocked_.clear();
    extra_us_.clear();
    while (!held_.empty()) {
        const Link link = held_.begin()->first;
        let_go(link.first, link.second);
    }
}

void SimNetwork::start_listening(const std::string& id) {
    members_[id].listening = true;
    for (auto& [other, member] : members_) {
        if (other == id || !member.listening || member.is_client) continue;
        tell(other, id, true);
        tell(id, other, true);
    }
}

void SimNetwork::tell(const std::string& to, const std::string& about, bool up) {
    // News of one peer comes in the order it happened.
    uint64_t& free_us = link_free_us_[{"news of " + about, to}];
    free_us = std::max(free_us + 1, runtime_.now_us() + 100 + runtime_.random().below(5'000));
    runtime_.schedule(
        free_us - runtime_.now_us(),
        [this, to, about, up] {
            auto found = members_.find(to);
            if (found == members_.end()) return;
            if (!up) found->second.dispatcher->node_unreachable(about, "connection lost");
            if (found->second.is_client) return;
            for (const pb::ActorKind actor :
                 {pb::ACTOR_RAFT, pb::ACTOR_FILES, pb::ACTOR_STATUS, pb::ACTOR_CHUNKS, pb::ACTOR_MOVER}) {
                Message message;
                if (up) {
                    message->mutable_peer_up()->set_node_id(about);
                } else {
                    message->mutable_peer_down()->set_node_id(about);
                }
                message->set_from_actor(pb::PORT_TRANSPORT);
                message->set_to_actor(actor);
                found->second.dispatcher->deliver(std::move(message));
            }
        },
        to);
}

void SimNetwork::handle(const std::string& from, Message message) {
    if (message->to_node().empty()) {
        if (message->has_start_transport()) start_listening(from);
        return;
    }
    std::string to = message->to_node();
    if (to.starts_with("@")) to = to.substr(1, to.find(':') - 1);
    if (to.starts_with("~")) to = to.substr(1);
    transmit(from, to, std::move(message));
}

void SimNetwork::transmit(const std::string& from, const std::string& to, Message message) {
    if (on_send) on_send(from, to, message);
    RandomStream& random = runtime_.random();
    // On the wire a deadline is the time left: clocks differ.
    if (const uint64_t deadline_us = message->deadline_us(); deadline_us != 0) {
        const uint64_t now_us = members_.at(from).dispatcher->now_us();
        message->set_deadline_us(deadline_us > now_us ? deadline_us - now_us : 1);
    }
    if (take_over && take_over(from, to, message)) return;
    if (auto held = held_.find({from, to}); held != held_.end()) {
        held->second.push_back(std::move(message));
        return;
    }
    // What a client asks comes once, early or late, as a connection gives it out: an answer that says "not done" could
    // not be true of a request that is carried out once more. Nodes take each message more than once.
    const bool once = members_.at(from).is_client;
    if (faults_.late_per_mille > 0 && random.below(1000) < faults_.late_per_mille) {
        const uint64_t late_us = kLateMinUs + random.below(kLateSpreadUs);
        if (once) return deliver_later(from, to, std::move(message), late_us);
        deliver_later(from, to, message.clone(), late_us);
    }
    const auto slow = extra_us_.find({from, to});
    const uint64_t extra_us = slow == extra_us_.end() ? 0 : slow->second;
    const bool twice = random.below(1000) < faults_.duplicate_per_mille;
    const int copies = twice && !once ? 2 : 1;
    for (int copy = 1; copy <= copies; copy++) {
        if (random.below(1000) < faults_.loss_per_mille) continue;
        uint64_t delay_us =
            faults_.delay_min_us + random.below(faults_.delay_max_us - faults_.delay_min_us + 1) + extra_us;
        if (!faults_.reorder) {
            uint64_t& free_us = link_free_us_[{from, to}];
            free_us = std::max(free_us + 1, runtime_.now_us() + delay_us);
            delay_us = free_us - runtime_.now_us();
        }
        auto sent = std::make_shared<Message>(copy == copies ? std::move(message) : message.clone());
        runtime_.schedule(delay_us, [this, from, to, sent] { arrive(from, to, std::move(*sent)); });
    }
}

void SimNetwork::deliver_later(const std::string& from, const std::string& to, Message message, uint64_t delay_us) {
    auto sent = std::make_shared<Message>(std::move(message));
    runtime_.schedule(delay_us, [this, from, to, sent] { arrive(from, to, std::move(*sent)); });
}

void SimNetwork::arrive(const std::string& from, const std::string& to, Message message) {
    auto receiver = members_.find(to);
    if (vanished_.contains(to)) return;
    if (receiver == members_.end() || blocked_.contains({from, to})) {
        // A connection attempt that nobody accepts is noticed by the asker.
        auto sender = members_.find(from);
        if (message->request_id() != 0 && receiver == members_.end() && sender != members_.end()) {
            sender->second.dispatcher->reply(reply_to(message), {pb::PORT_TRANSPORT, 0},
                                             request_failed(pb::STATUS_UNAVAILABLE, "no connection"));
        }
        return;
    }
    if (!runtime_.is_paused(to)) return hand_over(from, to, std::move(message));
    // It is in the kernel of that machine: no link that breaks from now on takes it back.
    auto arrived = std::make_shared<Message>(std::move(message));
    runtime_.put_off(to, [this, from, to, arrived] { hand_over(from, to, std::move(*arrived)); });
}

void SimNetwork::hand_over(const std::string& from, const std::string& to, Message message) {
    const auto receiver = members_.find(to);
    if (receiver == members_.end()) return;
    Dispatcher& dispatcher = *receiver->second.dispatcher;
    // Who asks an address does so as a client, nodes too; its answers come from that address.
    const bool to_address = message->to_node().starts_with("@");
    const bool to_client = message->to_node().starts_with("~");
    message->set_from_node(to_address ? "~" + from : to_client ? "@" + address_of(from) : from);
    message->clear_to_node();
    if (message->deadline_us() != 0) message->set_deadline_us(dispatcher.now_us() + message->deadline_us());
    dispatcher.deliver(std::move(message));
}

}  // namespace sandstore
