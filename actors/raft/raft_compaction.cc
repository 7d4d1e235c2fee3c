// RaftCore: what snapshots do to the log (paper 7, thesis 5).
#include <algorithm>

#include "actors/raft/raft_core.h"
#include "messages/snapshot.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"

namespace sandstore {

void RaftCore::compact(uint64_t index) {
    if (index < terms_.first_index()) return;
    SANDSTORE_CHECK(index <= compactable_index(), "index=", index, " commit=", commit_index_,
                    " persisted=", persisted_index_);
    terms_.compact(index);
    configurations_.compact(index);
    check_invariants();
}

bool RaftCore::on_install_snapshot(RaftInput input, std::string_view from, const pb::InstallSnapshot& request) {
    start_event(input);
    hear_known_start(from, request.known_start());
    const bool of_the_past = request.term() < term_;
    if (!of_the_past) hear_leader(request.term(), from);
    if (!of_the_past && is_beyond_us(request.meta().configuration())) return false;
    const bool known = request.meta().index() <= commit_index_ && !planted("old-snapshot-installed");
    if (of_the_past || known) {
        pb::InstallSnapshotReply reply;
        reply.set_term(term_);
        reply.set_index(request.meta().index());
        reply.set_snapshot_term(request.meta().term());
        reply.set_checksum(request.meta().checksum());
        reply.set_installed(!of_the_past);
        if (!of_the_past) reply.set_sequence(request.sequence());
        // What is committed here need not be on this disk yet.
        const bool waits = !of_the_past && !planted("installed-before-durable");
        send(from, message_of(std::move(reply)), waits ? Gate::kAll : Gate::kTerm);
    }
    finish_event();
    return !of_the_past && !known;
}

void RaftCore::reply_to_install(RaftInput input, std::string_view to, uint64_t request_term,
                                pb::InstallSnapshotReply reply) {
    start_event(input);
    reply.set_term(term_);
    if (request_term != term_) reply.clear_sequence();
    // The log's new beginning, or the entries that the snapshot made known as committed, may be on their way to disk.
    const bool waits = reply.installed() && !planted("installed-before-durable");
    send(to, message_of(std::move(reply)), waits ? Gate::kAll : Gate::kTerm);
    finish_event();
}

RaftCore::InstallOutcome RaftCore::install_snapshot(RaftInput input, const pb::SnapshotMeta& meta) {
    start_event(input);
    if (meta.index() <= commit_index_ && !planted("old-snapshot-installed")) return InstallOutcome::kKnown;
    const bool agrees = terms_.matches(meta.index(), meta.term()) && !planted("log-always-restarted");
    if (agrees || (planted("conflict-kept-under-snapshot") && meta.index() <= terms_.last_index())) {
        set_commit(meta.index());
    } else {
        // A leader holds all that is committed; it may only not know it yet.
        SANDSTORE_CHECK(!is_leader(), "a snapshot up to ", meta.index(), " contradicts the leader's log");
        restart_log(meta.index(), meta.term());
        configurations_ = ConfigurationHistory(meta.configuration_index(), Configuration(meta.configuration()));
        commit_index_ = meta.index();
        effects_.commit_advanced = true;
        effects_.role_changed = true;
    }
    finish_event();
    return agrees ? InstallOutcome::kLogKept : InstallOutcome::kRestarted;
}

bool RaftCore::on_install_reply(RaftInput input, std::string_view from, const pb::InstallSnapshotReply& reply) {
    start_event(input);
    if (reply.term() > term_) {
        become_follower(reply.term(), "");
        finish_event();
        return false;
    }
    hear_storage(from, reply.term(), reply.storage());
    auto found = peers_.find(from);
    if (!is_leader() || reply.term() < term_ || found == peers_.end()) return false;
    Progress& progress = found->second;
    progress.contact(input.now_us);
    const bool is_waiting = progress.state() == Progress::State::kSnapshot;
    if (reply.installed() && reply.index() <= commit_index_ && progress.is_believed(reply.sequence())) {
        if (note_match(found->first, progress, reply.index())) advance_commit();
        // Committing may have ended this leadership, or the peer's membership.
        found = peers_.find(from);
        if (found != peers_.end()) send_appends(found->first, found->second);
    }
    finish_event();
    return is_waiting && !reply.installed();
}

}  // namespace sandstore
