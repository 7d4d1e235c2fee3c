// StatusService: questions to the actors of this node and to the other nodes, and one answer made from theirs.
#include <algorithm>
#include <utility>

#include "actors/cluster/status_service.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kStateHashTimeoutUs = 2'000'000;  // Walks the whole state.
constexpr uint64_t kNodeTimeoutUs = 500'000;
constexpr size_t kGatheringsMax = 64;
constexpr uint64_t kChunksSilentMaxUs = 15'000'000;  // It speaks every few seconds, if its disk answers.

}  // namespace

void StatusService::on_cluster_status_request(Message message, Context& context) {
    const ReplyTo requester = reply_to(message);
    const pb::ClusterStatusRequest request = message->cluster_status_request();
    if (gatherings_.size() >= kGatheringsMax) {
        pb::ClusterStatus busy;
        *busy.mutable_status() =
            make_status(pb::STATUS_RESOURCE_EXHAUSTED, "too many status requests at once: try again in a moment");
        return context.reply(requester, message_of(std::move(busy)));
    }
    const uint64_t id = next_gathering_++;
    Gathering& gathering = gatherings_[id];
    gathering.requester = requester;
    gathering.local = request.local();
    gathering.nodes[self_id()] = own_line(request, context);
    // Held until all are asked, so that it cannot finish half way.
    gathering.unanswered = 1;
    if (booted()) ask_self(id, gathering, request.state_hash(), context);
    if (!request.local()) ask_others(id, gathering, request, context);
    count_answer(id, context);
}

pb::NodeStatus StatusService::own_line(const pb::ClusterStatusRequest& request, Context& context) const {
    pb::NodeStatus line;
    line.set_id(self_id());
    if (const auto member = members_.find(self_id()); member != members_.end()) line = line_of(member->second);
    line.set_http_address(config_.http_address());
    line.set_version(config_.version());
    line.set_commit(config_.commit());
    line.set_profile(config_.profile());
    line.set_copies(config_.copies());
    line.set_up(booted());
    *line.mutable_founding() = founding_;
    line.set_detail(waiting_for_.empty() ? "" : str_cat("starting, waiting for ", waiting_for_));
    if (started_) line.set_uptime_us(context.now_us() - started_at_us_);
    if (const auto stats = chunk_stats_.find(self_id()); stats != chunk_stats_.end()) {
        *line.mutable_chunks() = stats->second;
    }
    const uint64_t silent_us = context.now_us() - own_stats_at_us_;
    if (own_stats_at_us_ == 0) {
        line.mutable_chunks()->set_problem("the chunk store is starting");
    } else if (silent_us > kChunksSilentMaxUs) {
        line.mutable_chunks()->set_problem(
            str_cat("the chunk store has not answered for ", silent_us / 1'000'000, " s"));
    }
    if (!repair_state_.problem().empty()) *line.mutable_repair() = repair_state_;
    if (copies_report_.rounds() > 0) *line.mutable_copies_report() = copies_report_;
    if (history_.newest() != nullptr) *line.mutable_figures() = *history_.newest();
    history_.copy_newest(request.samples_max(), &line);
    watch_.events().copy_newest(request.events_max(), &line);
    return line;
}

pb::NodeStatus StatusService::line_of(const pb::Member& member) const {
    pb::NodeStatus line;
    line.set_id(member.id());
    line.set_address(member.address());
    line.set_zone(member.zone());
    return line;
}

void StatusService::ask_self(uint64_t id, Gathering& gathering, bool state_hash, Context& context) {
    ++gathering.unanswered;
    ask(pb::ACTOR_RAFT, message_of(pb::RaftStatusRequest()), kLocalTimeoutUs, {Question::kRaft, id, self_id()},
        context);
    if (!state_hash) return;
    ++gathering.unanswered;
    ask(pb::ACTOR_STATE_MACHINE, message_of(pb::StateHashRequest()), kStateHashTimeoutUs,
        {Question::kStateHash, id, self_id()}, context);
}

void StatusService::ask_others(uint64_t id, Gathering& gathering, const pb::ClusterStatusRequest& wanted,
                               Context& context) {
    const bool state_hash = wanted.state_hash();
    for (const auto& [member_id, member] : members_) {
        if (member_id == self_id()) continue;
        gathering.nodes[member_id] = line_of(member);
        pb::ClusterStatusRequest request = wanted;
        request.set_local(true);
        ++gathering.unanswered;
        ask(Address(member_id, pb::ACTOR_STATUS), message_of(std::move(request)),
            state_hash ? kNodeTimeoutUs + kStateHashTimeoutUs : kNodeTimeoutUs, {Question::kNode, id, member_id},
            context);
    }
}

void StatusService::ask(const Address& to, Message question, uint64_t timeout_us, Asked asked, Context& context) {
    asked_.emplace(context.ask(to, std::move(question), timeout_us), std::move(asked));
}

bool StatusService::take_asked(const Message& answer, Asked* asked) {
    const auto found = asked_.find(answer->reply_to());
    if (found == asked_.end()) return false;
    *asked = std::move(found->second);
    asked_.erase(found);
    return true;
}

void StatusService::on_raft_status(Message message, Context& context) {
    Asked asked;
    if (!take_asked(message, &asked)) return context.unexpected(message);
    if (asked.question == Question::kMetrics) return note_raft(message->raft_status(), context);
    pb::NodeStatus& line = gatherings_[asked.gathering].nodes[asked.node_id];
    *line.mutable_raft() = std::move(*message->mutable_raft_status());
    if (std::string standing = standing_of(line.raft()); !standing.empty()) line.set_detail(std::move(standing));
    count_answer(asked.gathering, context);
}

// What an operator should know of this node's place in the cluster; empty: it is an ordinary member.
std::string StatusService::standing_of(const pb::RaftStatus& raft) const {
    if (raft.removed()) {
        return str_cat("removed from the cluster; it comes back with `sandstore cluster add ", self_id(), "`");
    }
    if (raft.forgot()) {
        return str_cat("its storage is not the one on which its vote is: it counts as absent; ",
                       raft.ask_to_rejoin() ? str_cat("take it back with `sandstore cluster rejoin ", self_id(), "`")
                                            : "it is taken back when a majority of the others answers");
    }
    if (raft.voters().empty() && founding_.returned() && raft.first_index() > 0) {
        return str_cat("its storage is new, and it is a member already: it counts as absent, and waits for a leader, ",
                       "that is for a majority of the others, to take it back");
    }
    if (raft.voters().empty() && raft.first_index() > 0) {
        const auto self = members_.find(self_id());
        const bool known = self != members_.end();
        return str_cat("waits to be added: run `sandstore cluster add ", self_id(), known ? " " : "",
                       known ? self->second.address() : "", "`");
    }
    return "";
}

void StatusService::on_state_hash(Message message, Context& context) {
    Asked asked;
    if (!take_asked(message, &asked)) return context.unexpected(message);
    pb::NodeStatus& line = gatherings_[asked.gathering].nodes[asked.node_id];
    line.set_state_hash(message->state_hash().hash());
    line.set_state_hash_index(message->state_hash().applied_index());
    count_answer(asked.gathering, context);
}

// The answer of another node: one line, about itself.
void StatusService::on_cluster_status(Message message, Context& context) {
    Asked asked;
    if (!take_asked(message, &asked)) return context.unexpected(message);
    pb::ClusterStatus& answer = *message->mutable_cluster_status();
    pb::NodeStatus& line = gatherings_[asked.gathering].nodes[asked.node_id];
    if (answer.status().code() != pb::STATUS_OK) {
        line.set_detail(answer.status().message());
    } else if (answer.nodes_size() != 1 || answer.nodes(0).id() != asked.node_id) {
        line.set_detail("it answered for another node");
    } else {
        const pb::Member known = members_.contains(asked.node_id) ? members_[asked.node_id] : pb::Member();
        line = std::move(*answer.mutable_nodes(0));
        if (line.address().empty()) line.set_address(known.address());
        if (line.zone().empty()) line.set_zone(known.zone());
    }
    count_answer(asked.gathering, context);
}

void StatusService::on_request_failed(Message message, Context& context) {
    if (operators_.on_answer(message, context)) return;
    Asked asked;
    if (!take_asked(message, &asked)) return context.unexpected(message);
    if (asked.question == Question::kMetrics) return;
    pb::NodeStatus& line = gatherings_[asked.gathering].nodes[asked.node_id];
    const pb::Status& status = message->request_failed().status();
    const std::string why =
        status.code() == pb::STATUS_DEADLINE_EXCEEDED ? "no answer in time" : str_cat("no answer: ", status.message());
    if (asked.question == Question::kNode) {
        line.set_up(false);
        line.set_detail(why);
    } else {
        const char* actor = asked.question == Question::kRaft ? "raft" : "state machine";
        line.set_detail(str_cat(line.detail(), line.detail().empty() ? "" : "; ", actor, ": ", why));
    }
    count_answer(asked.gathering, context);
}

void StatusService::count_answer(uint64_t id, Context& context) {
    const auto gathering = gatherings_.find(id);
    if (--gathering->second.unanswered > 0) return;
    finish(std::move(gatherings_.extract(gathering).mapped()), context);
}

void StatusService::finish(Gathering gathering, Context& context) {
    pb::ClusterStatus answer;
    answer.mutable_status()->set_code(pb::STATUS_OK);
    answer.set_cluster_id(cluster_id_);
    const pb::RaftStatus& own = gathering.nodes[self_id()].raft();
    answer.set_term(own.term());
    if (gathering.local) answer.set_leader_id(own.leader_id());
    // A voter that discovery does not know is worth a line: nobody can reach it.
    for (const std::string& voter : own.voters()) {
        if (gathering.local || gathering.nodes.contains(voter)) continue;
        gathering.nodes[voter].set_id(voter);
        gathering.nodes[voter].set_detail("a voter without an address in the member list");
    }
    uint64_t leading_term = 0;
    for (auto& [id, line] : gathering.nodes) {
        answer.set_term(std::max(answer.term(), line.raft().term()));
        const bool leads = line.up() && line.raft().role() == pb::RoleChanged::LEADER;
        if (!gathering.local && leads && line.raft().term() >= leading_term) {
            leading_term = line.raft().term();
            answer.set_leader_id(id);
        }
        *answer.add_nodes() = std::move(line);
    }
    if (leading_term > 0) answer.set_term(leading_term);
    context.reply(gathering.requester, message_of(std::move(answer)));
}

}  // namespace sandstore
