#include "actors/cluster/operator_requests.h"

#include <algorithm>

#include "actors/cluster/member_record.h"
#include "runtime/message_of.h"
#include "runtime/names.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

using Body = pb::Envelope::BodyCase;
using Change = pb::ChangeMembership::Change;

constexpr int kChangesMax = 64;

Message body_alone(const Message& message) {
    switch (message->body_case()) {
        case Body::kChangeMembership:
            return message_of(pb::ChangeMembership(message->change_membership()));
        case Body::kTransferLeadership:
            return message_of(pb::TransferLeadership(message->transfer_leadership()));
        case Body::kRequestSnapshot:
            return message_of(pb::RequestSnapshot(message->request_snapshot()));
        case Body::kAllowDeletions:
            return message_of(pb::AllowDeletions(message->allow_deletions()));
        case Body::kMembershipChanged:
            return message_of(pb::MembershipChanged(message->membership_changed()));
        case Body::kStatusReply:
            return message_of(pb::StatusReply(message->status_reply()));
        default:
            return message_of(pb::SnapshotSaved(message->snapshot_saved()));
    }
}

// The reply that belongs to a request.
Message reply_with(Body request, pb::Status status) {
    switch (request) {
        case Body::kChangeMembership: {
            pb::MembershipChanged reply;
            *reply.mutable_status() = std::move(status);
            return message_of(std::move(reply));
        }
        case Body::kTransferLeadership:
        case Body::kAllowDeletions: {
            pb::StatusReply reply;
            *reply.mutable_status() = std::move(status);
            return message_of(std::move(reply));
        }
        default: {
            pb::SnapshotSaved reply;
            *reply.mutable_status() = std::move(status);
            return message_of(std::move(reply));
        }
    }
}

const pb::Status& status_of(const Message& answer) {
    switch (answer->body_case()) {
        case Body::kMembershipChanged:
            return answer->membership_changed().status();
        case Body::kStatusReply:
            return answer->status_reply().status();
        case Body::kSnapshotSaved:
            return answer->snapshot_saved().status();
        default:
            return answer->request_failed().status();
    }
}

Body reply_body(Body request) {
    switch (request) {
        case Body::kChangeMembership:
            return Body::kMembershipChanged;
        case Body::kTransferLeadership:
        case Body::kAllowDeletions:
            return Body::kStatusReply;
        default:
            return Body::kSnapshotSaved;
    }
}

// What Raft cannot judge: names and addresses. A new learner without an address gets the one that this node knows.
std::string complete(pb::ChangeMembership* request, const OperatorRequests::AddressOf& address_of) {
    if (request->changes_size() > kChangesMax) return str_cat("more than ", kChangesMax, " changes at once");
    for (Change& change : *request->mutable_changes()) {
        if (!is_node_name(change.node_id())) {
            return str_cat("\"", change.node_id().substr(0, kNodeIdBytesMax),
                           "\" is not a node id: use letters, digits, '-', '_' and '.'");
        }
        if (change.kind() != Change::ADD_LEARNER) continue;
        if (change.address().empty()) change.set_address(address_of(change.node_id()));
        if (change.address().empty()) {
            return str_cat("no address of ", change.node_id(), " is known here: give it as host:port");
        }
        if (std::string problem = address_problem(change.address()); !problem.empty()) return problem;
    }
    return "";
}

}  // namespace

void OperatorRequests::begin(Message message, const AddressOf& address_of, Context& context) {
    Forwarded forwarded{reply_to(message), body_alone(message), leader_};
    if (message->has_change_membership()) {
        std::string problem = complete(forwarded.request->mutable_change_membership(), address_of);
        if (!problem.empty()) return refuse(forwarded, pb::STATUS_INVALID_ARGUMENT, std::move(problem), context);
    }
    if (message->has_request_snapshot()) {
        const std::string& node = message->request_snapshot().node_id();
        forwarded.node = node.empty() ? self_ : node;
    }
    if (message->has_allow_deletions()) {
        forwarded.node = message->allow_deletions().node_id();
        if (!is_node_name(forwarded.node)) {
            return refuse(forwarded, pb::STATUS_INVALID_ARGUMENT, "name the node that shall delete", context);
        }
    }
    if (forwarded.node.empty()) {
        return refuse(forwarded, pb::STATUS_NOT_LEADER,
                      str_cat(self_, " knows no leader: is a majority of the voters up?"), context);
    }
    if (forwarded_.size() >= kForwardedMax) {
        return refuse(forwarded, pb::STATUS_RESOURCE_EXHAUSTED, "too many such requests at once: try again", context);
    }
    forward(std::move(forwarded), context);
}

void OperatorRequests::forward(Forwarded forwarded, Context& context) {
    const uint64_t now_us = context.now_us();
    const uint64_t deadline_us = forwarded.asker.deadline_us;
    if (deadline_us != 0 && deadline_us <= now_us) {
        return refuse(forwarded, pb::STATUS_DEADLINE_EXCEEDED, "the time for it was over before it was begun", context);
    }
    const uint64_t timeout_us = deadline_us == 0 ? kDefaultTimeoutUs : deadline_us - now_us;
    const pb::ActorKind actor = forwarded.request->has_allow_deletions() ? pb::ACTOR_REPAIRER : pb::ACTOR_RAFT;
    const Address to = forwarded.node == self_ ? Address(actor) : Address(forwarded.node, actor);
    const RequestId request = context.ask(to, forwarded.request.clone(), timeout_us);
    forwarded_.emplace(request, std::move(forwarded));
}

bool OperatorRequests::on_answer(const Message& message, Context& context) {
    auto found = forwarded_.extract(message->reply_to());
    if (found.empty()) return false;
    Forwarded forwarded = std::move(found.mapped());
    const pb::Status& status = status_of(message);
    const Body request = forwarded.request->body_case();
    if (message->has_request_failed() || message->body_case() != reply_body(request)) {
        const bool refused =
            status.code() == pb::STATUS_RESOURCE_EXHAUSTED || status.code() == pb::STATUS_INVALID_ARGUMENT;
        refuse(forwarded, status.code() == pb::STATUS_OK ? pb::STATUS_INTERNAL : status.code(),
               str_cat(forwarded.node, ": ", status.message(),
                       refused ? "" : "; whether it happened is not known: look at `sandstore cluster members`"),
               context);
        return true;
    }
    const bool elsewhere = status.code() == pb::STATUS_NOT_LEADER && !status.leader_id().empty() &&
                           status.leader_id() != forwarded.node && request != Body::kRequestSnapshot &&
                           request != Body::kAllowDeletions;
    if (elsewhere && forwarded.redirects < kRedirectsMax) {
        forwarded.node = status.leader_id();
        ++forwarded.redirects;
        forward(std::move(forwarded), context);
        return true;
    }
    context.reply(forwarded.asker, body_alone(message));
    return true;
}

void OperatorRequests::refuse(const Forwarded& forwarded, pb::StatusCode code, std::string_view why,
                              Context& context) const {
    context.reply(forwarded.asker, reply_with(forwarded.request->body_case(), make_status(code, why)));
}

}  // namespace sandstore
