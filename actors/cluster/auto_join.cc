#include "actors/cluster/auto_join.h"

#include <algorithm>

#include "runtime/message_of.h"

namespace sandstore {

namespace {
constexpr unsigned kDoublingsMax = 8;
}

void AutoJoin::on_view(const pb::ClusterView& view, Context& context) {
    view_ = view;
    std::set<std::string> listed;
    for (const pb::Member& member : view.members()) listed.insert(member.id());
    std::erase_if(had_their_turn_, [&](const std::string& node) { return !listed.contains(node); });
    propose_next(context);
}

void AutoJoin::on_role(const pb::RoleChanged& role, Context& context) {
    const bool led = leads_;
    leads_ = role.role() == pb::RoleChanged::LEADER;
    if (!led && leads_) propose_next(context);
}

void AutoJoin::on_configuration(const pb::ConfigurationChanged& change, Context& context) {
    had_their_turn_.insert(members_.begin(), members_.end());
    members_.clear();
    const pb::RaftConfiguration& configuration = change.configuration();
    for (const auto* names : {&configuration.voters(), &configuration.learners(), &configuration.old_voters()}) {
        members_.insert(names->begin(), names->end());
    }
    if (change.committed()) propose_next(context);
}

void AutoJoin::on_timer(Context& context) {
    pausing_ = false;
    propose_next(context);
}

// The one after the last candidate, in the order of names, so that one that is refused again and again does not keep
// the others out.
const pb::Member* AutoJoin::next_candidate() const {
    const pb::Member* first = nullptr;
    for (const pb::Member& member : view_.members()) {
        if (is_member(member.id()) || had_their_turn_.contains(member.id())) continue;
        if (member.id() > candidate_) return &member;
        if (first == nullptr) first = &member;
    }
    return first;
}

void AutoJoin::propose_next(Context& context) {
    if (!enabled_ || !leads_ || members_.empty() || request_ != 0 || pausing_) return;
    const pb::Member* member = next_candidate();
    if (member == nullptr) return;
    candidate_ = member->id();
    pb::ChangeMembership request;
    pb::ChangeMembership::Change* change = request.add_changes();
    change->set_kind(pb::ChangeMembership::Change::ADD_LEARNER);
    change->set_node_id(member->id());
    change->set_address(member->address());
    request_ = context.ask(pb::ACTOR_RAFT, message_of(std::move(request)), kProposalTimeoutUs);
}

bool AutoJoin::on_answer(const Message& message, Context& context) {
    if (request_ == 0 || message->reply_to() != request_) return false;
    request_ = 0;
    const pb::Status& status =
        message->has_membership_changed() ? message->membership_changed().status() : message->request_failed().status();
    if (message->has_membership_changed() && status.code() == pb::STATUS_OK) {
        refusals_ = 0;
        warned_.clear();
        context.info("Added as a learner, because etcd lists it", {{"member", candidate_}});
        propose_next(context);
        return true;
    }
    // A new leader looks for itself.
    if (status.code() != pb::STATUS_NOT_LEADER && warned_ != candidate_ + status.message()) {
        warned_ = candidate_ + status.message();
        context.warn("etcd lists a node that could not be added, trying again",
                     {{"member", candidate_}, {"error", status.message()}});
    }
    const uint64_t pause_us = std::min(kPauseMinUs << std::min(refusals_++, kDoublingsMax), kPauseMaxUs);
    pausing_ = true;
    context.arm_timer(pause_us / 2 + context.random() % (pause_us / 2 + 1), timer_tag_);
    return true;
}

}  // namespace sandstore
