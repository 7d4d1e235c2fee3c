// --auto-join: on the leader, a node that appears in etcd and is no member is proposed as a learner, one at a time. A
// part of the EtcdPoller.
//
// A refusal is followed by a growing, jittered pause, and by the next candidate. A node that was a member and was
// removed is not proposed again while its record stays. What etcd says never removes or promotes anybody: that is an
// operator's.
#pragma once

#include <set>
#include <string>

#include "messages/envelope.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class AutoJoin {
 public:
    static constexpr uint64_t kProposalTimeoutUs = 30'000'000;
    static constexpr uint64_t kPauseMinUs = 1'000'000;
    static constexpr uint64_t kPauseMaxUs = 60'000'000;

    // The timer that ends a pause has this tag.
    explicit AutoJoin(uint32_t timer_tag) : timer_tag_(timer_tag) {}

    void enable() { enabled_ = true; }
    void on_view(const pb::ClusterView& view, Context& context);  // From etcd itself, not from disk.
    void on_role(const pb::RoleChanged& role, Context& context);
    void on_configuration(const pb::ConfigurationChanged& change, Context& context);
    void on_timer(Context& context);
    // Whether the message answered the proposal under way.
    bool on_answer(const Message& message, Context& context);

 private:
    bool is_member(const std::string& node) const { return members_.contains(node); }
    const pb::Member* next_candidate() const;
    void propose_next(Context& context);

    uint32_t timer_tag_;
    bool enabled_ = false;
    bool leads_ = false;
    pb::ClusterView view_;
    std::set<std::string> members_;         // Of the configuration in force; empty: not known yet.
    std::set<std::string> had_their_turn_;  // Were members while their record was there.
    RequestId request_ = 0;
    std::string candidate_;  // The last one proposed.
    unsigned refusals_ = 0;  // In a row.
    bool pausing_ = false;
    std::string warned_;
};

}  // namespace sandstore
