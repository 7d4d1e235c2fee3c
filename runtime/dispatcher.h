// The heart of a node: mailboxes, requests, timers, restarts and traces of all actors of one node. It has no clock,
// loop or thread of its own: a driver (EventRuntime on libevent, SimRuntime on virtual time) calls run(). Both drivers
// thus share every rule of delivery.
//
// Rules: per sender and lane, messages arrive in the order sent; the control lane goes before the data lane; a request
// ends exactly once; nothing sent to an earlier incarnation reaches a restarted actor; what cannot be delivered is
// counted.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/actor.h"
#include "runtime/random.h"
#include "runtime/ring_queue.h"

namespace sandstore {

class Counter;
class ActorRecorder;
class Histogram;
class NodeRecorder;

// Where time comes from: the system's clocks, or virtual ones.
class Clock {
 public:
    virtual ~Clock() = default;
    virtual uint64_t monotonic_us() const = 0;
    virtual uint64_t wall_us() const = 0;
};

struct ActorSpec {
    LocalAddress address;
    std::function<std::unique_ptr<Actor>()> make;
    // After an exception: built anew with backoff and given its Start message again. Otherwise the node stops.
    bool restartable = false;
};

inline constexpr size_t kMailboxDataMessagesMax = 16'384;
inline constexpr uint64_t kSlowTurnUs = 10'000;
inline constexpr uint64_t kRestartDelayMinUs = 100'000;
inline constexpr uint64_t kRestartDelayMaxUs = 10'000'000;

// What an actor's randomness and request ids are under a seed: replay needs the same.
RandomStream random_stream_of(LocalAddress address, uint64_t root_seed);
RequestId first_request_id(uint64_t root_seed, LocalAddress address);

class Dispatcher final : public PortHost {
 public:
    struct Options {
        std::string node_id;
        uint64_t root_seed = 0;  // Of all random streams.
        // Of the data lane, for each actor; what the full mailbox does with more, lanes.h says.
        size_t mailbox_messages_max = kMailboxDataMessagesMax;
    };

    Dispatcher(Options options, const Clock& clock, Logger& logger, MetricsRegistry& metrics);
    ~Dispatcher() override;

    void add_actor(ActorSpec spec);
    void add_port(LocalAddress address, Port* port);  // Not owned; must outlive the dispatcher or be removed.
    void set_recorder(NodeRecorder* recorder);        // Not owned; null: nothing is recorded from here on.
    // Sees each message just before its actor does: for the simulator's checks.
    void set_observer(std::function<void(const Message&)> observer) { observer_ = std::move(observer); }
    const std::string& node_id() const { return options_.node_id; }
    uint64_t root_seed() const { return options_.root_seed; }

    // --- For the world outside actors
    void send(const Address& to, Message message);  // From ACTOR_EXTERNAL.
    // `done` is called from run() with the reply, or with RequestFailed.
    void ask(const Address& to, Message message, uint64_t timeout_us, std::function<void(Message)> done);

    // --- PortHost
    uint64_t now_us() const override { return clock_.monotonic_us(); }
    uint64_t wall_us() const override { return clock_.wall_us(); }
    void deliver(Message message) override;
    void reply(const ReplyTo& to, LocalAddress from, Message message) override;
    void node_unreachable(std::string_view node, std::string_view why) override;
    void hurry() override { hurried_ = true; }
    Logger& logger() override { return logger_; }
    MetricsRegistry& metrics() override { return metrics_; }

    // --- For the driver

    // Delivers at most `messages_max` messages, stopping early when `budget_us` is used up. True when some are left.
    bool run(size_t messages_max, uint64_t budget_us);
    // Moves what is due at the clock's time into the mailboxes.
    void fire_due();
    std::optional<uint64_t> next_due_us();
    bool has_work() const { return !ready_.empty() || !outside_inbox_.empty(); }
    void flush_recorder();
    // Set once by fail_stop or a broken invariant; nothing is delivered after it.
    const std::optional<std::string>& stop_reason() const { return stop_reason_; }
    uint64_t delivered() const { return delivered_; }
    uint64_t stop_cause() const { return stop_cause_; }  // The delivery during which that happened.
    Actor* actor(LocalAddress address);  // For invariant checks in tests; null when absent or restarting.

 private:
    struct Cell;
    class ContextOfTurn;
    struct RequestKey {
        LocalAddress asker;
        RequestId id;
        bool operator==(const RequestKey&) const = default;
    };
    struct RequestKeyHash {
        size_t operator()(const RequestKey& key) const {
            return mix64(key.id * 1024 + static_cast<uint64_t>(key.asker.actor) * 8 + key.asker.instance);
        }
    };
    struct OpenRequest {
        std::string to_node;  // Empty: local.
        uint32_t incarnation;
    };
    struct TimerFacts {
        uint32_t tag = 0;
        uint64_t data = 0;
    };
    // A timer, the deadline of a request, or a restart.
    struct Due {
        enum class Kind : uint8_t { kTimer, kRequest, kRestart };
        uint64_t at_us;
        uint64_t order;
        Kind kind;
        LocalAddress owner;
        uint64_t id;
        uint32_t incarnation;
        bool operator>(const Due& other) const {
            return at_us != other.at_us ? at_us > other.at_us : order > other.order;
        }
    };

    Cell* find(LocalAddress address);
    Port* find_port(LocalAddress address);
    void route(Message message);
    void enqueue(Cell& cell, Message message);
    void tell_other_instances(const Message& news);
    bool close_request(const Message& reply);
    void overflow(Cell& cell, Message message);
    void dispatch(Cell& cell, Message message);
    void take_turn(Cell& cell, Message message);
    bool accept_timer(Cell& cell, const Message& message);
    void actor_failed(Cell& cell, const std::string& reason);
    void restart(Cell& cell);
    void stop(std::string reason);
    void schedule(uint64_t at_us, Due::Kind kind, LocalAddress owner, uint64_t id, uint32_t incarnation);
    bool is_live(const Due& due);
    void forget_stale_dues();
    void fire(const Due& due);
    RequestId open_request(const Address& to, LocalAddress asker, uint32_t incarnation, uint64_t* next_id,
                           Message* message, uint64_t timeout_us);
    void count_drop(std::string_view reason, const Message& message);
    void run_outside_inbox();

    Options options_;
    const Clock& clock_;
    Logger& logger_;
    MetricsRegistry& metrics_;
    NodeRecorder* recorder_ = nullptr;
    std::function<void(const Message&)> observer_;

    std::map<LocalAddress, std::unique_ptr<Cell>> cells_;
    std::vector<std::vector<Cell*>> cell_table_;  // By actor kind, then instance: the hot lookup.
    std::map<LocalAddress, Port*> ports_;
    RingQueue<Cell*> ready_;
    bool hurried_ = false;  // The loop is to have the next turn.

    std::unordered_map<RequestKey, OpenRequest, RequestKeyHash> open_requests_;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> dues_;
    std::unordered_map<RequestKey, TimerFacts, RequestKeyHash> timer_facts_;  // By owner and timer id.
    size_t live_timers_ = 0;
    uint64_t next_order_ = 0;

    std::deque<Message> outside_inbox_;
    std::unordered_map<RequestId, std::function<void(Message)>> outside_done_;
    uint64_t next_outside_request_;

    uint64_t turn_now_us_ = 0;
    uint64_t turn_wall_us_ = 0;
    uint64_t delivered_ = 0;
    std::optional<std::string> stop_reason_;
    uint64_t stop_cause_ = 0;
    Counter& delivered_counter_;
    Counter& slow_turns_;
    Histogram& timer_lag_;
};

}  // namespace sandstore
