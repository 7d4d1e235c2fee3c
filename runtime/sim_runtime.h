// The simulated driver: many dispatchers (one for each node or client), one virtual time, one thread, one seed. The
// order of what may happen at the same moment is drawn from the seed, so that runs explore it and every run can be had
// again. Each machine has clocks of its own, which may run fast or slow and jump; a node may be paused as a process is
// by SIGSTOP. What it does not cover: the real loop's fairness, real sockets and files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/dispatcher.h"
#include "runtime/flight_recorder.h"
#include "runtime/metrics.h"
#include "runtime/random.h"

namespace sandstore {

class SimRuntime {
 public:
    explicit SimRuntime(uint64_t seed);
    ~SimRuntime();

    uint64_t now_us() const { return now_us_; }
    uint64_t seed() const { return seed_; }
    RandomStream& random() { return random_; }  // For the world around the actors: network, disks, faults.

    // A node that was removed may be added again under its name: the next process on the same machine. The logger and
    // the metrics live as long as the node. `mailbox_messages`: how many wait for an actor at most; 0: the default.
    Dispatcher& add_node(const std::string& id, Logger& logger, size_t mailbox_messages = 0);
    void remove_node(const std::string& id);  // At once, whatever it was doing.
    Dispatcher* node(const std::string& id) const;
    FlightRecorder& recorder(const std::string& id) const;  // Of a node that is there.
    // While it is paused it does nothing: what is in its mailboxes stays there, what is scheduled for it (messages that
    // arrive, disks that are done) waits outside, as in the kernel, and its timers are late when it goes on.
    void pause_node(const std::string& id);
    void resume_node(const std::string& id);
    bool is_paused(const std::string& id) const;
    // While that node is paused: keeps the action until it goes on. Else false.
    bool put_off(const std::string& id, const std::function<void()>& action);

    // The machine's clocks, from now on; they outlive its nodes. A rate of 1000 is one per mille too fast.
    void set_clock_rate(const std::string& id, int64_t parts_per_million);
    void jump_wall_clock(const std::string& id, int64_t microseconds);

    // Runs `action` once after the delay, unless a node named in `only_while` is removed before; when that is paused,
    // once it goes on.
    void schedule(uint64_t delay_us, std::function<void()> action, const std::string& only_while = {});

    // One message on one node, or, when no node has any, one jump to the next thing due. False when nothing is left.
    bool step();
    // Steps until `done`; false when virtual time passed the limit first or a node stopped by itself (see stopped()).
    bool run_until(const std::function<bool()>& done, uint64_t limit_us);
    void run_for(uint64_t microseconds);

    // Called after each step: the place for invariants.
    std::function<void()> after_step;
    // The node that handled a message in the last step; null after a jump, and when that node is gone.
    const std::string* stepped_node() const { return stepped_; }
    // Called when a node stopped by itself (fail_stop, broken invariant). Without it, such a stop throws.
    std::function<void(const std::string& node, const std::string& reason)> on_stop;

 private:
    class MachineClock final : public Clock {
     public:
        explicit MachineClock(const uint64_t& now_us) : now_us_(now_us) {}
        uint64_t monotonic_us() const override;
        uint64_t wall_us() const override;
        uint64_t when_us(uint64_t monotonic_us) const;  // The first virtual time at which it shows so much.
        void set_rate(int64_t parts_per_million);
        void jump_wall(int64_t microseconds) { wall_offset_us_ += microseconds; }

     private:
        const uint64_t& now_us_;
        uint64_t since_us_ = 0;  // Virtual time of the last change of rate,
        uint64_t shown_us_ = 0;  // and what it showed then.
        int64_t rate_ppm_ = 0;
        int64_t wall_offset_us_ = 0;
    };
    struct Node {
        std::string id;
        std::unique_ptr<MetricsRegistry> metrics;
        FlightRecorder recorder;
        std::unique_ptr<Dispatcher> dispatcher;
        const MachineClock* clock = nullptr;
        uint64_t life = 0;
        bool paused = false;
        std::vector<std::function<void()>> put_off = {};  // Until it goes on.
        bool can_run() const { return !paused && dispatcher->has_work() && !dispatcher->stop_reason(); }
    };
    struct Action {
        uint64_t at_us;
        uint64_t tie;  // Drawn from the seed.
        std::function<void()> run;
        std::string only_while;
        uint64_t life;
        bool operator<(const Action& other) const {  // For a heap with the earliest on top.
            return at_us != other.at_us ? at_us > other.at_us : tie > other.tie;
        }
    };

    Node* find(const std::string& id) const;
    MachineClock& clock_of(const std::string& id);
    bool run_one_message();
    bool jump();
    bool is_void(const Action& action);
    void look_for_stop(const std::string& id);

    uint64_t seed_;
    uint64_t now_us_ = 1'000'000;
    RandomStream random_;
    std::map<std::string, std::unique_ptr<MachineClock>> clocks_;
    std::vector<std::unique_ptr<Node>> nodes_;  // By name.
    uint64_t next_life_ = 1;
    uint64_t messages_at_this_time_ = 0;
    std::vector<Action> actions_;  // A heap.
    const std::string* stepped_ = nullptr;
};

}  // namespace sandstore
