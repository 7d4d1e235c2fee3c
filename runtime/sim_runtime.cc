#include "runtime/sim_runtime.h"

#include <algorithm>
#include <stdexcept>

#include "runtime/text.h"

namespace sandstore {

namespace {
constexpr uint64_t kMessagesAtOneTimeMax = 1'000'000;  // More is a loop of messages that never waits.
}

SimRuntime::SimRuntime(uint64_t seed) : seed_(seed), random_(seed, 0) {}
SimRuntime::~SimRuntime() = default;

Dispatcher& SimRuntime::add_node(const std::string& id, Logger& logger) {
    remove_node(id);
    const uint64_t life = next_life_++;
    Node node;
    node.life = life;
    node.metrics = std::make_unique<MetricsRegistry>();
    node.dispatcher = std::make_unique<Dispatcher>(Dispatcher::Options{id, mix64(seed_ ^ mix64(life))}, clock_, logger,
                                                   *node.metrics);
    return *nodes_.emplace(id, std::move(node)).first->second.dispatcher;
}

void SimRuntime::remove_node(const std::string& id) {
    nodes_.erase(id);
}

Dispatcher* SimRuntime::node(const std::string& id) {
    auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : found->second.dispatcher.get();
}

void SimRuntime::schedule(uint64_t delay_us, std::function<void()> action, const std::string& only_while) {
    uint64_t life = 0;
    if (!only_while.empty()) {
        auto found = nodes_.find(only_while);
        if (found == nodes_.end()) return;
        life = found->second.life;
    }
    actions_.emplace(std::make_pair(clock_.now_us + delay_us, random_.next()),
                     Action{std::move(action), only_while, life});
}

bool SimRuntime::run_one_message() {
    std::vector<std::string> ready;
    for (auto& [id, node] : nodes_) {
        if (node.dispatcher->has_work() && !node.dispatcher->stop_reason()) ready.push_back(id);
    }
    if (ready.empty()) return false;
    const std::string id = ready[random_.below(ready.size())];
    if (++messages_at_this_time_ > kMessagesAtOneTimeMax) {
        const std::string dump = nodes_.at(id).dispatcher->flight_recorder().dump();
        throw std::runtime_error(str_cat("time stands still: ", messages_at_this_time_, " messages at ", clock_.now_us,
                                         "us; the last ones on ", id, ":\n",
                                         dump.substr(dump.size() - std::min<size_t>(dump.size(), 4000))));
    }
    nodes_.at(id).dispatcher->run(1, UINT64_MAX);
    look_for_stops(id);
    return true;
}

void SimRuntime::look_for_stops(const std::string& id) {
    auto found = nodes_.find(id);
    if (found == nodes_.end() || !found->second.dispatcher->stop_reason()) return;
    const std::string reason = *found->second.dispatcher->stop_reason();
    if (!on_stop) throw std::runtime_error(str_cat(id, " stopped: ", reason));
    on_stop(id, reason);
}

bool SimRuntime::jump() {
    uint64_t next_us = actions_.empty() ? UINT64_MAX : actions_.begin()->first.first;
    for (auto& [id, node] : nodes_) {
        if (!node.dispatcher->stop_reason())
            next_us = std::min(next_us, node.dispatcher->next_due_us().value_or(UINT64_MAX));
    }
    if (next_us == UINT64_MAX) return false;
    if (next_us > clock_.now_us) {
        clock_.now_us = next_us;
        messages_at_this_time_ = 0;
    }
    for (auto& [id, node] : nodes_) node.dispatcher->fire_due();
    while (!actions_.empty() && actions_.begin()->first.first <= clock_.now_us) {
        Action action = std::move(actions_.begin()->second);
        actions_.erase(actions_.begin());
        if (!action.only_while.empty()) {
            auto found = nodes_.find(action.only_while);
            if (found == nodes_.end() || found->second.life != action.life) continue;
        }
        action.run();
    }
    return true;
}

bool SimRuntime::step() {
    const bool moved = run_one_message() || jump();
    if (moved && after_step) after_step();
    return moved;
}

bool SimRuntime::run_until(const std::function<bool()>& done, uint64_t limit_us) {
    const uint64_t until_us = clock_.now_us + limit_us;
    while (!done()) {
        if (clock_.now_us > until_us || !step()) return done();
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
