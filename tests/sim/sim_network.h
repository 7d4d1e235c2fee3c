// The network between simulated nodes and clients: the transport port's messages with delay, loss, duplicates,
// reordering, slow links and partitions. Links keep their order unless told otherwise, as connections do. What it does
// not cover: frames and their damage (net tests do), bandwidth, hello refusals.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/sim_runtime.h"

namespace sandstore {

class SimNetwork {
 public:
    struct Faults {
        uint64_t loss_per_mille = 0;
        uint64_t late_per_mille =
            0;  // Of these a copy comes once more, long after; what clients ask comes long after only.
        uint64_t duplicate_per_mille = 0;
        uint64_t delay_min_us = 50;
        uint64_t delay_max_us = 300;
        bool reorder = false;
    };

    explicit SimNetwork(SimRuntime& runtime);
    ~SimNetwork();

    // The node's transport port. Peers that listen are told that it is up, and it of them.
    void attach(const std::string& id, Dispatcher& dispatcher, bool is_client);
    void detach(const std::string& id);  // The node died: connections break.
    void vanish(const std::string& id);  // Its machine died: nobody is told.
    void set_faults(Faults faults) { faults_ = faults; }
    // One direction. Blocks add up: each needs its own unblock.
    void block(const std::string& from, const std::string& to) { blocked_[{from, to}]++; }
    void unblock(const std::string& from, const std::string& to);
    void partition(const std::set<std::string>& side);  // Instead of all blocks so far. Clients reach everyone.
    void slow_down(const std::string& from, const std::string& to, uint64_t extra_us) {
        extra_us_[{from, to}] = extra_us;
    }
    // What is sent from now on arrives when the link is let go.
    void hold(const std::string& from, const std::string& to);
    void let_go(const std::string& from, const std::string& to);
    // Both nodes are told that their connection broke; what is on its way still arrives.
    void break_connection(const std::string& one, const std::string& other);
    void connect_again(const std::string& one, const std::string& other);
    void heal();  // No blocks, no slow links; what was held arrives.

    // "node-1:8080" for node-1.
    static std::string address_of(const std::string& id) { return id + ":8080"; }

    // Sees each message that a node hands to the network.
    std::function<void(const std::string& from, const std::string& to, const Message&)> on_send;
    // After it; true: the message was taken off the wire, to be dropped or given to deliver_later().
    std::function<bool(const std::string& from, const std::string& to, Message&)> take_over;
    void deliver_later(const std::string& from, const std::string& to, Message message, uint64_t delay_us);

 private:
    class Gate;  // One node's port.
    using Link = std::pair<std::string, std::string>;
    struct Member {
        std::unique_ptr<Gate> gate;
        Dispatcher* dispatcher = nullptr;
        bool is_client = false;
        bool listening = false;
    };

    void handle(const std::string& from, Message message);
    void start_listening(const std::string& id);
    void transmit(const std::string& from, const std::string& to, Message message);
    void arrive(const std::string& from, const std::string& to, Message message);
    void hand_over(const std::string& from, const std::string& to, Message message);  // To its dispatcher.
    void tell(const std::string& to, const std::string& about, bool up);

    SimRuntime& runtime_;
    Faults faults_;
    std::map<std::string, Member> members_;
    std::set<std::string> vanished_;
    std::map<Link, std::vector<Message>> held_;
    std::map<Link, int> blocked_;
    std::map<Link, uint64_t> extra_us_;
    std::map<Link, uint64_t> link_free_us_;
};

}  // namespace sandstore
