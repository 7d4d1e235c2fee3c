#include "actors/cluster/change_watch.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/text.h"

namespace sandstore {

namespace {

using Event = pb::NodeEvent;
using Names = google::protobuf::RepeatedPtrField<std::string>;

std::string listed(const Names& names) {
    std::string text;
    for (const std::string& name : names) str_append(&text, text.empty() ? "" : ", ", name);
    return text;
}

std::string chunks(uint64_t count) {
    return str_cat(count, count == 1 ? " chunk" : " chunks");
}

bool same(const Names& one, const Names& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end());
}

}  // namespace

pb::NodeEvent& ChangeWatch::add(Event::Kind kind, std::string text, const Context& context) {
    return events_.add(kind, std::move(text), started_at_us_, context);
}

void ChangeWatch::on_start(const std::string& node_id, std::string_view version, Context& context) {
    self_ = node_id;
    started_at_us_ = context.now_us();
    add(Event::STARTED, str_cat("started, version ", version), context);
}

void ChangeWatch::on_role(const pb::RoleChanged& role, Context& context) {
    const pb::RoleChanged before = std::exchange(role_, role).value_or(pb::RoleChanged());
    const auto say = [&](Event::Kind kind, std::string text) {
        Event& event = add(kind, std::move(text), context);
        event.set_term(role.term());
        event.set_subject(role.leader_id());
    };
    switch (role.role()) {
        case pb::RoleChanged::LEADER:
            if (before.role() == pb::RoleChanged::LEADER && before.term() == role.term()) return;
            return say(Event::LEADS, str_cat("leads in term ", role.term()));
        case pb::RoleChanged::CANDIDATE:
            // A node that is alone stands again and again: one line for all of it.
            if (Event* again = events_.repeat(Event::STANDS, started_at_us_, context); again != nullptr) {
                again->set_term(role.term());
                again->set_text(
                    str_cat("stands for election, ", again->count(), " times by now, in term ", role.term()));
                return;
            }
            return say(Event::STANDS, str_cat("stands for election in term ", role.term()));
        case pb::RoleChanged::FOLLOWER:
        case pb::RoleChanged::PRE_CANDIDATE:
        default:
            if (role.leader_id() == before.leader_id() && role.term() == before.term()) return;
            if (!role.leader_id().empty()) {
                return say(Event::FOLLOWS, str_cat("follows ", role.leader_id(), " in term ", role.term()));
            }
            if (!before.leader_id().empty())
                say(Event::NO_LEADER, str_cat("has lost its leader, ", before.leader_id()));
    }
}

void ChangeWatch::on_configuration(const pb::ConfigurationChanged& changed, Context& context) {
    const pb::RaftConfiguration& now = changed.configuration();
    const auto before = std::exchange(configuration_, now);
    if (before && same(before->voters(), now.voters()) && same(before->learners(), now.learners()) &&
        same(before->old_voters(), now.old_voters())) {
        return;
    }
    if (now.voters().empty()) return;
    std::string text = str_cat(before ? "has new members: " : "knows the members: ", "voters ", listed(now.voters()));
    if (!now.learners().empty()) str_append(&text, "; learners ", listed(now.learners()));
    if (!now.old_voters().empty()) str_append(&text, "; on the way from ", listed(now.old_voters()));
    if (!before && !now.recovered().empty()) str_append(&text, "; the majority was lost once, and it began anew alone");
    add(Event::MEMBERS, std::move(text), context).set_index(changed.index());
}

void ChangeWatch::on_peer(const std::string& peer, bool up, Context& context) {
    if (up) {
        met_.insert(peer);
        if (lost_.erase(peer) > 0)
            add(Event::PEER_BACK, str_cat("reaches ", peer, " again"), context).set_subject(peer);
    } else if (met_.contains(peer) && lost_.insert(peer).second) {
        add(Event::PEER_LOST, str_cat("has lost the connection to ", peer), context).set_subject(peer);
    }
}

void ChangeWatch::on_raft(const pb::RaftStatus& raft, Context& context) {
    const auto before = std::exchange(raft_, raft);
    if (!before) return;
    on_snapshots(*before, raft, context);
    if (raft.disk_full() != before->disk_full()) {
        add(raft.disk_full() ? Event::DISK_FULL : Event::DISK_HAS_ROOM,
            raft.disk_full() ? "has a full disk: it takes no writes" : "has room on its disk again", context);
    }
    if (raft.disk_slow() != before->disk_slow()) {
        add(raft.disk_slow() ? Event::DISK_SLOW : Event::DISK_ANSWERS,
            raft.disk_slow() ? "waits for its disk, longer than an election timeout" : "has a disk that answers again",
            context);
    }
    if (raft.removed() && !before->removed()) add(Event::REMOVED, "was removed from the cluster", context);
    if (raft.transferring_to() != before->transferring_to() && !raft.transferring_to().empty()) {
        add(Event::TRANSFER, str_cat("hands leadership over to ", raft.transferring_to()), context)
            .set_subject(raft.transferring_to());
    }
}

// A snapshot of its own leaves at least what came after the one before in the log. After one from a leader the log
// begins right behind it.
void ChangeWatch::on_snapshots(const pb::RaftStatus& before, const pb::RaftStatus& now, Context& context) {
    if (now.snapshot_index() <= before.snapshot_index()) return;
    const bool installed = now.first_index() == now.snapshot_index() + 1;
    Event& event = add(installed ? Event::SNAPSHOT_INSTALLED : Event::SNAPSHOT_TAKEN,
                       str_cat(installed ? "was sent a snapshot, up to index " : "took a snapshot, up to index ",
                               now.snapshot_index()),
                       context);
    event.set_index(now.snapshot_index());
    event.set_term(now.term());
}

void ChangeWatch::on_figures(const pb::NodeFigures& figures, Context& context) {
    const pb::NodeFigures before = std::exchange(figures_, figures).value_or(pb::NodeFigures());
    if (figures.etcd() != before.etcd()) {
        if (before.etcd() == pb::NodeFigures::ANSWERS) {
            add(Event::ETCD_LOST, "gets no answer from etcd; the last member list stays in use", context);
        } else if (before.etcd() == pb::NodeFigures::LOST) {
            add(Event::ETCD_BACK, "hears from etcd again", context);
        }
    }
    if (figures.chunks_missing() > before.chunks_missing()) {
        add(Event::CHUNKS_MISSING, str_cat("lacks ", chunks(figures.chunks_missing()), " that it should hold"), context)
            .set_count(figures.chunks_missing());
    }
    if (figures.chunks_repaired() > before.chunks_repaired()) {
        const uint64_t fetched = figures.chunks_repaired() - before.chunks_repaired();
        add(Event::CHUNKS_REPAIRED, str_cat("fetched ", chunks(fetched), " that it lacked"), context)
            .set_count(fetched);
    }
}

}  // namespace sandstore
