#include "tests/sim/operators.h"

#include <algorithm>

#include "actors/raft/feature_level.h"
#include "actors/raft/raft_node.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

using Change = pb::ChangeMembership::Change;

constexpr uint64_t kPatienceUs = 2'000'000;
constexpr uint64_t kRetryUs = 500;

void add(pb::ChangeMembership* request, Change::Kind kind, const std::string& node) {
    Change* change = request->add_changes();
    change->set_kind(kind);
    change->set_node_id(node);
    if (kind == Change::ADD_LEARNER) change->set_address(SimNetwork::address_of(node));
}

}  // namespace

std::string Operators::node(int64_t number) const {
    const std::vector<std::string>& ids = cluster_.ids();
    return ids[static_cast<size_t>(std::max<int64_t>(number - 1, 0)) % ids.size()];
}

void Operators::ask(const std::string& node, Message request) {
    Dispatcher* dispatcher = cluster_.runtime().node(node);
    if (dispatcher == nullptr) return;  // Nobody there to ask.
    asked_us_ = cluster_.runtime().now_us();
    dispatcher->ask(pb::ACTOR_STATUS, std::move(request), kPatienceUs, [this](Message reply) {
        const bool ok =
            (reply->has_membership_changed() && reply->membership_changed().status().code() == pb::STATUS_OK) ||
            (reply->has_status_reply() && reply->status_reply().status().code() == pb::STATUS_OK) ||
            (reply->has_snapshot_saved() && reply->snapshot_saved().status().code() == pb::STATUS_OK);
        granted_ += ok ? 1 : 0;
    });
}

// The number says which of those for whom the request makes sense; with nobody, any node: refused, and harmless.
std::string Operators::choose(int64_t number, const std::vector<std::string>& among) const {
    if (among.empty()) return node(number);
    return among[static_cast<size_t>(std::max<int64_t>(number, 0)) % among.size()];
}

bool Operators::all_ended() const {
    return asked_us_ == 0 || cluster_.runtime().now_us() > asked_us_ + kPatienceUs;
}

void Operators::apply(const SimEvent& event) {
    apply_until(event, cluster_.runtime().now_us() + kPatienceUs);
}

// Without a leader an operator tries again, and so is there at once when the next one is elected.
void Operators::apply_until(const SimEvent& event, uint64_t until_us) {
    const int64_t number = event.argument(0);
    const std::string leader = cluster_.leader();
    if (event.kind == SimEventKind::kSnapshot) {
        return ask(number == 0 && !leader.empty() ? leader : node(number), message_of(pb::RequestSnapshot()));
    }
    if (leader.empty()) {
        if (stopped_ || cluster_.runtime().now_us() > until_us) return;
        return cluster_.runtime().schedule(kRetryUs, [this, event, until_us] { apply_until(event, until_us); });
    }
    // Whoever is asked passes it on.
    const std::string asked = cluster_.is_running(node(number)) ? node(number) : leader;
    if (event.kind == SimEventKind::kTransfer) {
        pb::TransferLeadership transfer;
        if (number != 0) transfer.set_node_id(node(number));
        return ask(asked, message_of(std::move(transfer)));
    }
    const Configuration configuration = cluster_.raft(leader)->core()->configuration();
    std::vector<std::string> strangers;
    for (const std::string& id : cluster_.ids()) {
        if (!configuration.is_member(id)) strangers.push_back(id);
    }
    pb::ChangeMembership request;
    switch (event.kind) {
        case SimEventKind::kRaiseFeatures:
            request.set_raise_feature_level(kFeatureLevel);
            break;
        case SimEventKind::kAddNode:
            add(&request, Change::ADD_LEARNER, choose(number, strangers));
            break;
        case SimEventKind::kPromoteNode:
            add(&request, Change::PROMOTE, choose(number, configuration.learners()));
            break;
        case SimEventKind::kDemoteNode:
            add(&request, Change::DEMOTE, choose(number, configuration.voters()));
            break;
        case SimEventKind::kRemoveNode:
            add(&request, Change::REMOVE, choose(number, configuration.members()));
            break;
        default:  // kSwapNodes
            add(&request, Change::PROMOTE, choose(number, configuration.learners()));
            add(&request, Change::DEMOTE, choose(event.argument(1), configuration.voters()));
            break;
    }
    ask(asked, message_of(std::move(request)));
}

}  // namespace sandstore
