#include "runtime/sim_runtime.h"

#include <algorithm>
#include <stdexcept>

#include "runtime/check.h"
#include "runtime/text.h"

namespace sandstore {

namespace {
constexpr uint64_t kMessagesAtOneTimeMax = 1'000'000;  // More is a loop of messages that never waits.
constexpr uint64_t kWallStartUs = 1'700'000'000'000'000;
constexpr int64_t kMillion = 1'000'000;
}  // namespace

// --- Clocks

uint64_t SimRuntime::MachineClock::monotonic_us() const {
    if (rate_ppm_ == 0) return shown_us_ + (now_us_ - since_us_);
    return shown_us_ + (now_us_ - since_us_) * static_cast<uint64_t>(kMillion + rate_ppm_) / kMillion;
}

uint64_t SimRuntime::MachineClock::wall_us() const {
    return kWallStartUs + monotonic_us() + static_cast<uint64_t>(wall_offset_us_);
}

uint64_t SimRuntime::MachineClock::when_us(uint64_t monotonic_us) const {
    if (monotonic_us <= shown_us_) return since_us_;
    if (rate_ppm_ == 0) return since_us_ + (monotonic_us - shown_us_);
    const auto rate = static_cast<uint64_t>(kMillion + rate_ppm_);
    const unsigned __int128 scaled = static_cast<unsigned __int128>(monotonic_us - shown_us_) * kMillion;
    return since_us_ + static_cast<uint64_t>((scaled + rate - 1) / rate);
}

void SimRuntime::MachineClock::set_rate(int64_t parts_per_million) {
    SANDSTORE_CHECK(parts_per_million > -kMillion, "rate=", parts_per_million);
    shown_us_ = monotonic_us();
    since_us_ = now_us_;
    rate_ppm_ = parts_per_million;
}

void SimRuntime::set_clock_rate(const std::string& id, int64_t parts_per_million) {
    clock_of(id).set_rate(parts_per_million);
}

void SimRuntime::jump_wall_clock(const std::string& id, int64_t microseconds) {
    clock_of(id).jump_wall(microseconds);
}

SimRuntime::MachineClock& SimRuntime::clock_of(const std::string& id) {
    std::unique_ptr<MachineClock>& clock = clocks_[id];
    if (clock == nullptr) clock = std::make_unique<MachineClock>(now_us_);
    return *clock;
}

// --- Nodes

SimRuntime::SimRuntime(uint64_t seed) : seed_(seed), random_(seed, 0) {}
SimRuntime::~SimRuntime() = default;

SimRuntime::Node* SimRuntime::find(const std::string& id) const {
    for (const std::unique_ptr<Node>& node : nodes_) {
        if (node->id == id) return node.get();
    }
    return nullptr;
}

Dispatcher& SimRuntime::add_node(const std::string& id, Logger& logger, size_t mailbox_messages) {
    remove_node(id);
    auto node = std::make_unique<Node>();
    node->id = id;
    node->life = next_life_++;
    node->metrics = std::make_unique<MetricsRegistry>();
    node->clock = &clock_of(id);
    Dispatcher::Options options{id, mix64(seed_ ^ mix64(node->life))};
    if (mailbox_messages > 0) options.mailbox_messages_max = mailbox_messages;
    node->dispatcher = std::make_unique<Dispatcher>(options, *node->clock, logger, *node->metrics);
    Dispatcher& dispatcher = *node->dispatcher;
    dispatcher.set_recorder(&node->recorder);
    const auto place = std::lower_bound(nodes_.begin(), nodes_.end(), id,
                                        [](const auto& known, const std::string& name) { return known->id < name; });
    nodes_.insert(place, std::move(node));
    return dispatcher;
}

void SimRuntime::remove_node(const std::string& id) {
    if (stepped_ != nullptr && *stepped_ == id) stepped_ = nullptr;
    std::erase_if(nodes_, [&id](const auto& node) { return node->id == id; });
}

Dispatcher* SimRuntime::node(const std::string& id) const {
    const Node* found = find(id);
    return found == nullptr ? nullptr : found->dispatcher.get();
}

FlightRecorder& SimRuntime::recorder(const std::string& id) const {
    Node* found = find(id);
    SANDSTORE_CHECK(found != nullptr, "node=", id);
    return found->recorder;
}

void SimRuntime::pause_node(const std::string& id) {
    if (Node* node = find(id)) node->paused = true;
}

void SimRuntime::resume_node(const std::string& id) {
    Node* node = find(id);
    if (node == nullptr || !node->paused) return;
    node->paused = false;
    const uint64_t life = node->life;
    for (const std::function<void()>& action : std::exchange(node->put_off, {})) {
        node = find(id);
        if (node != nullptr && node->life == life) action();
    }
}

bool SimRuntime::is_paused(const std::string& id) const {
    const Node* node = find(id);
    return node != nullptr && node->paused;
}

bool SimRuntime::put_off(const std::string& id, const std::function<void()>& action) {
    Node* node = id.empty() ? nullptr : find(id);
    if (node == nullptr || !node->paused) return false;
    node->put_off.push_back(action);
    return true;
}

// --- Time

void SimRuntime::schedule(uint64_t delay_us, std::function<void()> action, const std::string& only_while) {
    uint64_t life = 0;
    if (!only_while.empty()) {
        const Node* node = find(only_while);
        if (node == nullptr) return;
        life = node->life;
    }
    actions_.push_back({now_us_ + delay_us, random_.next(), std::move(action), only_while, life});
    std::push_heap(actions_.begin(), actions_.end());
}

bool SimRuntime::run_one_message() {
    size_t ready = 0;
    for (const std::unique_ptr<Node>& node : nodes_) ready += node->can_run() ? 1 : 0;
    if (ready == 0) return false;
    size_t chosen = random_.below(ready);
    auto at = nodes_.begin();
    while (!(*at)->can_run() || chosen-- != 0) ++at;
    Node& node = **at;
    if (++messages_at_this_time_ > kMessagesAtOneTimeMax) {
        const std::string dump = node.recorder.dump();
        throw std::runtime_error(str_cat("time stands still: ", messages_at_this_time_, " messages at ", now_us_,
                                         "us; the last ones on ", node.id, ":\n",
                                         dump.substr(dump.size() - std::min<size_t>(dump.size(), 4000))));
    }
    stepped_ = &node.id;
    node.dispatcher->run(1, UINT64_MAX);
    // The message's handler may have removed the node.
    if (stepped_ != nullptr && node.dispatcher->stop_reason()) look_for_stop(std::string(node.id));
    return true;
}

void SimRuntime::look_for_stop(const std::string& id) {
    const std::string reason = *find(id)->dispatcher->stop_reason();
    if (!on_stop) throw std::runtime_error(str_cat(id, " stopped: ", reason));
    on_stop(id, reason);
}

bool SimRuntime::is_void(const Action& action) {
    if (action.only_while.empty()) return false;
    const Node* node = find(action.only_while);
    return node == nullptr || node->life != action.life;
}

bool SimRuntime::jump() {
    stepped_ = nullptr;
    uint64_t next_us = actions_.empty() ? UINT64_MAX : actions_.front().at_us;
    for (const std::unique_ptr<Node>& node : nodes_) {
        if (node->paused || node->dispatcher->stop_reason()) continue;
        if (const std::optional<uint64_t> due_us = node->dispatcher->next_due_us()) {
            next_us = std::min(next_us, node->clock->when_us(*due_us));
        }
    }
    if (next_us == UINT64_MAX) return false;
    if (next_us > now_us_) {
        now_us_ = next_us;
        messages_at_this_time_ = 0;
    }
    for (const std::unique_ptr<Node>& node : nodes_) {
        if (!node->paused) node->dispatcher->fire_due();
    }
    while (!actions_.empty() && actions_.front().at_us <= now_us_) {
        std::pop_heap(actions_.begin(), actions_.end());
        Action action = std::move(actions_.back());
        actions_.pop_back();
        if (!is_void(action) && !put_off(action.only_while, action.run)) action.run();
    }
    return true;
}

bool SimRuntime::step() {
    const bool moved = run_one_message() || jump();
    if (moved && after_step) after_step();
    return moved;
}

bool SimRuntime::run_until(const std::function<bool()>& done, uint64_t limit_us) {
    const uint64_t until_us = now_us_ + limit_us;
    while (!done()) {
        if (now_us_ > until_us || !step()) return done();
    }
    return true;
}

void SimRuntime::run_for(uint64_t microseconds) {
    bool over = false;
    schedule(microseconds, [&over] { over = true; });
    while (!over && step()) {
    }
}

}  // namespace sandstore
