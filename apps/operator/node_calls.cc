#include "apps/operator/node_calls.h"

#include <algorithm>

#include "net/transport.h"
#include "runtime/event_runtime.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

namespace {
constexpr uint64_t kStatusAttemptUs = 4'000'000;  // A node asks the others for up to 2.5 seconds.
}

struct NodeCalls::Inside {
    Inside() : runtime({.node_id = ""}, logger, metrics) {
        runtime.own_port({pb::PORT_TRANSPORT},
                         std::make_unique<Transport>(runtime.base(), runtime.dispatcher(),
                                                     TransportOptions::of_client(pb::Hello::OPERATOR)));
    }
    Logger logger;
    MetricsRegistry metrics;
    EventRuntime runtime;
    SystemClock clock;
};

NodeCalls::NodeCalls(std::vector<std::string> servers)
    : servers_(std::move(servers)), inside_(std::make_unique<Inside>()) {}
NodeCalls::~NodeCalls() = default;

uint64_t NodeCalls::now_us() const {
    return inside_->clock.monotonic_us();
}

void NodeCalls::pause(uint64_t microseconds) {
    inside_->runtime.run_until([] { return false; }, microseconds);
}

Message NodeCalls::ask(Message request, uint64_t timeout_us) {
    std::optional<Message> answer;
    inside_->runtime.dispatcher().ask(Address("@" + server(), pb::ACTOR_STATUS), std::move(request), timeout_us,
                                      [&](Message reply) { answer = std::move(reply); });
    // The request ends by itself at its deadline.
    inside_->runtime.run_until([&] { return answer.has_value(); }, 2 * timeout_us + 1'000'000);
    if (answer) return std::move(*answer);
    return request_failed(pb::STATUS_DEADLINE_EXCEEDED, "no answer");
}

std::optional<pb::ClusterStatus> NodeCalls::cluster_status(bool state_hash, uint64_t timeout_us, std::string* error) {
    pb::ClusterStatusRequest request;
    request.set_state_hash(state_hash);
    return cluster_status(request, timeout_us, error);
}

std::optional<pb::ClusterStatus> NodeCalls::cluster_status(const pb::ClusterStatusRequest& request, uint64_t timeout_us,
                                                           std::string* error) {
    const uint64_t deadline_us = now_us() + timeout_us;
    error->clear();
    for (size_t tried = 0; tried < servers_.size(); ++tried) {
        const uint64_t started_us = now_us();
        if (started_us >= deadline_us) break;
        Message reply =
            ask(message_of(pb::ClusterStatusRequest(request)), std::min(kStatusAttemptUs, deadline_us - started_us));
        const pb::Status& status =
            reply->has_cluster_status() ? reply->cluster_status().status() : reply->request_failed().status();
        if (reply->has_cluster_status() && status.code() == pb::STATUS_OK) {
            return std::move(*reply->mutable_cluster_status());
        }
        str_append(error, error->empty() ? "" : "; ", server(), ": ", status.message());
        current_ = (current_ + 1) % servers_.size();
    }
    return std::nullopt;
}

void NodeCalls::learn(const pb::ClusterStatus& status) {
    for (const pb::NodeStatus& node : status.nodes()) {
        if (node.address().empty() || !node.up()) continue;
        if (std::find(servers_.begin(), servers_.end(), node.address()) == servers_.end()) {
            servers_.push_back(node.address());
        }
    }
}

}  // namespace sandstore
