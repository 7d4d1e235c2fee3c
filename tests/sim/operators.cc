#include "tests/sim/operators.h"

#include <algorithm>

#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "tests/sim/sim_cluster.h"

namespace sandstore {

namespace {

using Change = pb::ChangeMembership::Change;

constexpr uint64_t kPatienceUs = 2'000'000;

void add(pb::ChangeMembership* request, Change::Kind kind, const std::string& node) {
    Change* change = request->add_changes();
    change->set_kind(kind);
    change->set_node_id(node);
    if (kind == Change::ADD_LEARNER) change->set_address(SimNetwork::address_of(node));
}

}  // namespace

const std::string& Operators::node(int64_t number) const {
    const std::vector<std::string>& ids = cluster_.ids();
    return ids[static_cast<size_t>(std::max<int64_t>(number - 1, 0)) % ids.size()];
}

void Operators::ask(const std::string& node, Message request) {
    Dispatcher* dispatcher = cluster_.runtime().node(node);
    if (dispatcher == nullptr) return;  // Nobody there to ask.
    dispatcher->ask(pb::ACTOR_STATUS, std::move(request), kPatienceUs, [this](Message reply) {
        const bool ok =
            (reply->has_membership_changed() && reply->membership_changed().status().code() == pb::STATUS_OK) ||
            (reply->has_status_reply() && reply->status_reply().status().code() == pb::STATUS_OK) ||
            (reply->has_snapshot_saved() && reply->snapshot_saved().status().code() == pb::STATUS_OK);
        granted_ += ok ? 1 : 0;
    });
}

void Operators::apply(const SimEvent& event) {
    const std::string& one = node(event.argument(0));
    if (event.kind == SimEventKind::kSnapshot) return ask(one, message_of(pb::RequestSnapshot()));
    std::string asked = cluster_.leader();
    if (asked.empty() || cluster_.runtime().node(one) != nullptr) asked = one;
    if (event.kind == SimEventKind::kTransfer) {
        pb::TransferLeadership transfer;
        if (event.argument(0) != 0) transfer.set_node_id(one);
        return ask(asked, message_of(std::move(transfer)));
    }
    pb::ChangeMembership request;
    switch (event.kind) {
        case SimEventKind::kAddNode:
            add(&request, Change::ADD_LEARNER, one);
            break;
        case SimEventKind::kPromoteNode:
            add(&request, Change::PROMOTE, one);
            break;
        case SimEventKind::kDemoteNode:
            add(&request, Change::DEMOTE, one);
            break;
        case SimEventKind::kRemoveNode:
            add(&request, Change::REMOVE, one);
            break;
        default:  // kSwapNodes
            add(&request, Change::PROMOTE, one);
            add(&request, Change::DEMOTE, node(event.argument(1)));
            break;
    }
    ask(asked, message_of(std::move(request)));
}

}  // namespace sandstore
