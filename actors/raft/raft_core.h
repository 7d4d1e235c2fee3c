// Raft (Ongaro and Ousterhout 2014; Ongaro's thesis for section numbers) as a plain object: events in, effects out. No
// I/O, no clock, no randomness: time and random draws are arguments, disk and network are effects.
//
// The durability rule lives here and only here: each outgoing message names the log write it has to wait for
// (Outgoing::after_write). Votes and acknowledgements wait for what they promise; heartbeat replies wait for the term;
// the leader's own appends and heartbeats wait for nothing, since its own disk counts as just another replica.
//
// Files: raft_core.cc (events, persistence, commit), raft_election.cc, raft_replication.cc, raft_reads.cc,
// raft_membership.cc, raft_storage.cc (voters that lost what they promised), raft_transfer.cc (leadership handed over,
// disk health, priorities), raft_compaction.cc (snapshots), raft_features.cc (what the log may hold), raft_recover.cc
// (going on without a majority).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "actors/log/record.h"
#include "actors/raft/configuration_history.h"
#include "actors/raft/entry_cache.h"
#include "actors/raft/progress.h"
#include "actors/raft/raft_options.h"
#include "actors/raft/read_queue.h"
#include "actors/raft/term_index.h"
#include "messages/raft.pb.h"
#include "runtime/message.h"

namespace sandstore {

namespace pb {
class HardState;
class InstallSnapshot;
class InstallSnapshotReply;
class LogRecovered;
class SnapshotMeta;
}  // namespace pb

// When an event happened, and a fresh random draw for it.
struct RaftInput {
    uint64_t now_us;
    uint64_t random;
};

struct RaftEffects {
    struct Outgoing {
        std::string to;
        Message message;
        uint64_t after_write;  // 0: may go at once.
    };
    struct ReadForPeer {  // Entries that are not in memory: read them, then call on_records.
        std::string peer;
        uint64_t first_index;
        uint64_t last_index;
        uint64_t bytes_max;
    };
    struct RoundTrip {  // Of a heartbeat.
        std::string peer;
        uint64_t took_us;
    };
    struct ReadReady {
        uint64_t token;
        uint64_t index;
    };
    struct Loss {  // A peer no longer has what it acknowledged, up to this index; or, `repaired`, has it again.
        std::string peer;
        uint64_t index;
        bool repaired;
    };
    std::vector<Outgoing> messages;
    std::optional<Message> write;  // A LogWrite.
    std::vector<ReadForPeer> reads_for_peers;
    std::vector<std::string> snapshots_for_peers;  // They need entries that are gone: send the newest snapshot.
    std::vector<ReadReady> reads_ready;
    std::vector<uint64_t> reads_failed;  // Leadership is lost.
    std::vector<RoundTrip> round_trips;
    std::vector<Loss> losses;
    bool role_changed = false;  // Role, term or known leader.
    bool commit_advanced = false;
    bool configuration_changed = false;  // Another one is in force, or it is committed now.
    bool damaged_message = false;        // A peer's records did not check out; they were ignored.
    uint64_t new_storage = 0;            // Not 0: the directory is an older copy, and another storage from now on.
    std::string notice;                  // A sentence for the log: why leadership was given up, and the like.
    std::string fatal;                   // Not empty: the node cannot go on, and why.
};

class RaftCore {
 public:
    using Role = pb::RoleChanged::Role;

    // Continues from what was on disk; `snapshot` is the newest one there, or null. problem_with() must have found
    // nothing. The effects of bootstrapping an empty log are in take_effects().
    RaftCore(RaftOptions options, const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot, RaftInput input);
    // Why log and snapshot do not fit together: a sentence for the operator, or empty.
    static std::string problem_with(const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot);

    // --- Events
    void on_tick(RaftInput input);  // At or after next_deadline_us().
    void on_message(RaftInput input, std::string_view from, const Message& message);
    void on_persisted(RaftInput input, uint64_t write_id);
    void on_peer_up(RaftInput input, std::string_view peer);
    void on_peer_down(RaftInput input, std::string_view peer);
    void on_records(RaftInput input, std::string_view peer, uint64_t first_index, uint32_t count, Payload records);
    // Full: what room is left is for entries that free space or govern. Exhausted: for terms and votes.
    void on_disk_space(RaftInput input, bool full, bool exhausted);
    void on_disk_space(RaftInput input, bool full) { on_disk_space(input, full, full); }

    enum class ProposeOutcome { kAccepted, kNotLeader, kTooMuchUncommitted, kTransferring, kDiskFull };
    struct Proposal {
        RecordType type;
        Payload data;
    };
    // All or none. The first gets index `*first_index`, the next ones follow.
    ProposeOutcome propose(RaftInput input, std::vector<Proposal> proposals, uint64_t* first_index);
    // How much may be proposed before kTooMuchUncommitted.
    uint64_t room_for_proposals() const {
        return options_.uncommitted_bytes_max - std::min(options_.uncommitted_bytes_max, uncommitted_bytes_);
    }
    uint64_t uncommitted_bytes() const { return uncommitted_bytes_; }
    // False: not the leader. Otherwise `token` comes back in reads_ready or reads_failed.
    bool read_index(RaftInput input, uint64_t token);

    enum class RequestOutcome { kAccepted, kNotLeader, kNotNow, kImpossible };
    // Accepted: in force at once; done when is_change_done(). `problem` says why not.
    RequestOutcome change_membership(RaftInput input, const pb::ChangeMembership& request, std::string* problem);
    // `target` empty: the best one. Accepted: ends with another leader, or with transferring_to() empty again.
    RequestOutcome transfer_leadership(RaftInput input, std::string_view target, std::string* problem);

    // --- Snapshots (raft_compaction.cc)
    // Entries up to here are in durable snapshots; applied entries only.
    void compact(uint64_t index);
    // No entry up to here will ever be written again: a write that replaces entries may still be on its way to the log.
    uint64_t compactable_index() const {
        return restart_write_ > persisted_write_ ? 0 : std::min(commit_index_, persisted_index_);
    }
    // A leader's piece. True: take its bytes. False: it was answered, or is of the past.
    bool on_install_snapshot(RaftInput input, std::string_view from, const pb::InstallSnapshot& request);
    // `request_term`: of the piece that is answered. What is said to be installed is said when it is durable.
    void reply_to_install(RaftInput input, std::string_view to, uint64_t request_term, pb::InstallSnapshotReply reply);
    // For the next InstallSnapshot to a peer.
    uint64_t next_sequence() { return ++last_sequence_; }
    enum class InstallOutcome {
        kKnown,      // Committed here before: nothing to do.
        kLogKept,    // The log holds the entry: apply on.
        kRestarted,  // The log begins anew after the snapshot: the state machine must be restored from it.
    };
    // A whole snapshot from a leader is durable here.
    InstallOutcome install_snapshot(RaftInput input, const pb::SnapshotMeta& meta);
    // The answer of a peer that is sent a snapshot. True: go on with the transfer.
    bool on_install_reply(RaftInput input, std::string_view from, const pb::InstallSnapshotReply& reply);

    RaftEffects take_effects();

    // --- State
    const RaftOptions& options() const { return options_; }
    Role role() const { return role_; }
    bool is_leader() const { return role_ == pb::RoleChanged::LEADER; }
    uint64_t term() const { return term_; }
    const std::string& voted_for() const { return voted_for_; }
    const std::string& leader_id() const { return leader_id_; }
    bool follows() const { return role_ == pb::RoleChanged::FOLLOWER && !leader_id_.empty(); }
    const pb::Standing& standing() const { return standing_; }  // While it follows; empty: it was not told.
    uint64_t leader_silent_us(uint64_t now_us) const { return now_us - leader_contact_us_; }
    uint64_t commit_index() const { return commit_index_; }
    uint64_t first_index() const { return terms_.first_index(); }
    uint64_t last_index() const { return terms_.last_index(); }
    uint64_t persisted_index() const { return persisted_index_; }
    const TermIndex& terms() const { return terms_; }
    const EntryCache& cache() const { return cache_; }
    const Configuration& configuration() const { return configurations_.latest(); }
    uint64_t configuration_index() const { return configurations_.latest_index(); }
    const ConfigurationHistory& configurations() const { return configurations_; }
    bool is_configuration_committed() const { return configuration_index() <= commit_index_; }
    // No change of membership is on its way (any more).
    bool is_change_done() const { return is_configuration_committed() && !configuration().is_joint(); }
    bool is_removed() const;
    // This node votes by the log, but on another storage: it may have promised what it does not know.
    bool has_forgotten() const;
    // The same of another voter, as far as it was heard since this node leads.
    bool has_forgotten(std::string_view peer) const { return configuration().is_voter(peer) && !counts(peer); }
    const std::vector<std::string>& voters() const { return configuration().voters(); }
    using Peers = std::map<std::string, Progress, std::less<>>;
    const Peers& peers() const { return peers_; }
    bool is_reachable(std::string_view peer) const { return !unreachable_.contains(peer); }
    // This node once acknowledged more than its log holds now, up to here, as its leader told it. 0: it owes nothing.
    uint64_t owed_index() const { return is_up_to(owed_, {terms_.last_term(), terms_.last_index()}) ? 0 : owed_.index; }
    const std::string& transferring_to() const { return transfer_target_; }
    bool is_disk_full() const { return disk_full_; }
    // Why this leader should take no entries but those that free space or govern: a sentence about the disks that have
    // no room for the log, this one's or too many others'. Empty: it may take all.
    std::string why_no_room() const;
    bool is_disk_slow(uint64_t now_us) const;
    bool has_lease(uint64_t now_us) const;
    uint64_t next_deadline_us() const;
    uint64_t campaign_started_us() const { return campaign_started_us_; }
    size_t votes() const { return votes_.size(); }
    uint64_t cached_bytes() const { return cache_.bytes(); }
    void check_invariants() const;

 private:
    // What an outgoing message waits for.
    enum class Gate { kNone, kTerm, kAll };
    // Where a log ends.
    struct LogEnd {
        uint64_t term = 0;
        uint64_t index = 0;
    };
    // A log that ends with `b` holds no less than one that ends with `a` (paper 5.4.1).
    static bool is_up_to(const LogEnd& a, const LogEnd& b) {
        return a.term != b.term ? a.term < b.term : a.index <= b.index;
    }

    void start_event(RaftInput input);
    void finish_event();
    void note_configuration();
    void send(std::string_view to, Message message, Gate gate);
    bool is_self(std::string_view node) const { return node == options_.node_id; }
    void load_log(const pb::LogRecovered& recovered, const pb::SnapshotMeta* snapshot);
    void restart_log(uint64_t index, uint64_t term);
    void bootstrap();
    void go_on_alone();  // raft_recover.cc

    // Terms and roles (raft_election.cc)
    void become_follower(uint64_t term, std::string_view leader);
    void become_leader();
    void start_pre_vote();
    void start_election(bool transfer);
    void ask_for_votes(bool pre_vote, bool transfer);
    void count_vote(std::string_view from, bool pre_vote);
    void reset_election_deadline();
    void set_term(uint64_t term, std::string_view voted_for);
    void lose_leadership();
    bool has_live_leader() const;
    bool may_stand() const;
    bool is_log_up_to_date(uint64_t last_index, uint64_t last_term) const;
    void check_quorum();
    void on_request_vote(std::string_view from, const pb::RequestVote& request);
    void on_vote_reply(std::string_view from, const pb::VoteReply& reply);
    uint64_t not_member_at(std::string_view node) const;
    void hear_leader(uint64_t term, std::string_view leader);

    // Entries (raft_replication.cc)
    void on_append_entries(std::string_view from, const pb::AppendEntries& request, const Payload& payload);
    bool parse_records(const pb::AppendEntries& request, const Payload& payload, std::vector<Record>* records);
    void adopt_records(const std::vector<Record>& records);
    void refuse_append(std::string_view from, const pb::AppendEntries& request);
    // The peer that answers what this node asked as the leader of this term; the end: the answer is of no more use.
    Peers::iterator answering(std::string_view from, uint64_t term);
    void on_append_reply(std::string_view from, const pb::AppendReply& reply);
    bool on_refusal(const std::string& peer, Progress& progress, const pb::AppendReply& reply);
    void note_loss(const std::string& peer, Progress& progress, uint64_t sequence);
    bool note_match(const std::string& peer, Progress& progress, uint64_t index);
    void append_own(std::vector<Proposal> proposals);
    void send_appends_to_all();
    void send_appends(const std::string& peer, Progress& progress);
    void send_records(const std::string& peer, Progress& progress, uint64_t last_index, uint32_t count,
                      Payload records);
    void advance_commit();
    void set_commit(uint64_t index);
    void release_proposals();

    // Heartbeats and reads (raft_reads.cc)
    void send_heartbeats();
    void send_heartbeat(const std::string& peer, Progress& progress);
    uint64_t known_commit(const Progress& progress) const;
    void note_owed(const pb::Heartbeat& heartbeat);
    void note_promise(Progress& progress, const pb::HeartbeatReply& reply);
    void on_heartbeat(std::string_view from, const pb::Heartbeat& heartbeat);
    void on_heartbeat_reply(std::string_view from, const pb::HeartbeatReply& reply);
    void resend_to(const std::string& peer, Progress& progress);
    void probe_again(Progress& progress);
    void confirm_reads();
    bool has_committed_in_term() const;
    void admit_waiting_reads();

    // Storages (raft_storage.cc)
    bool is_on_its_storage(std::string_view voter, uint64_t storage) const;
    bool counts(std::string_view voter) const;
    void stamp_storage(Message* reply) const;
    void hear_storage(std::string_view from, uint64_t term, uint64_t storage);
    void hear_storage_of(std::string_view from, const Message& reply);
    void bind_new_voters(pb::RaftConfiguration* planned) const;
    uint64_t own_start() const { return options_.starts.empty() ? 0 : options_.starts.back(); }
    void hear_known_start(std::string_view from, uint64_t known_start);
    void hear_known_start_of(std::string_view from, const Message& request);
    void hear_start(std::string_view from, uint64_t start);
    void bind_starts();
    void take_back_forgetful();

    // Membership (raft_membership.cc)
    std::string why_no_change_now() const;
    RequestOutcome begin_change(const pb::ChangeMembership& request, std::string* problem);
    std::string why_not_caught_up(const pb::ChangeMembership& request) const;
    std::string why_not_committable(const Configuration& planned) const;
    bool is_heard(const std::string& node) const;
    void append_configuration(const pb::RaftConfiguration& configuration);
    void follow_configuration();
    void drop_leavers();
    void finish_change();

    // What the log may hold (raft_features.cc)
    bool is_beyond_us(const pb::RaftConfiguration& configuration);
    bool are_beyond_us(const std::vector<Record>& records);
    std::string who_does_not_know(uint32_t level, RequestOutcome* outcome) const;
    std::string why_not_promotable(const pb::ChangeMembership& request) const;
    RequestOutcome raise_features(const pb::ChangeMembership& request, std::string* problem);
    bool gets_its_features() const;
    void raise_features_of_new_log();

    // Handing over (raft_transfer.cc)
    void on_timeout_now(std::string_view from, const pb::TimeoutNow& request);
    bool can_lead(const std::string& node, const Progress& progress) const;
    std::string best_successor() const;
    void begin_transfer(const std::string& target);
    void go_on_with_transfer();
    void send_timeout_now(const std::string& target);
    void end_transfer();
    void resign(std::string why);
    void look_after_leadership();

    RaftOptions options_;  // Only storage and starts ever change: when the directory proves to be an older copy.

    // Durable (with what is in the log)
    uint64_t term_ = 0;
    std::string voted_for_;

    // Volatile
    Role role_ = pb::RoleChanged::FOLLOWER;
    std::string leader_id_;
    uint64_t commit_index_ = 0;
    TermIndex terms_;
    EntryCache cache_;
    ConfigurationHistory configurations_;
    std::set<std::string, std::less<>> votes_;
    std::set<std::string, std::less<>> unreachable_;
    uint64_t election_deadline_us_ = 0;
    uint64_t leader_contact_us_ = 0;  // 0: none heard in this boot.
    pb::Standing standing_;           // As the leader that we follow told.
    uint64_t campaign_started_us_ = 0;
    uint64_t told_removed_at_ = 0;  // A newer configuration, committed at this index, is without this node.
    LogEnd owed_;                   // How far our log once reached, as a leader says who had it acknowledged.
    bool disk_full_ = false;
    bool disk_exhausted_ = false;
    std::pair<uint64_t, bool> noted_configuration_{0, false};  // Index, committed: as the last effects told.

    // Leader
    Peers peers_;  // All members but ourselves, and those who are leaving.
    std::map<std::string, uint64_t, std::less<>> heard_storages_;  // By peer: of its last reply.
    std::map<std::string, uint64_t, std::less<>> heard_starts_;  // By peer: newer than the one bound, when it said so.
    uint64_t leader_since_us_ = 0;
    uint64_t heartbeat_due_us_ = 0;
    uint64_t last_sequence_ = 0;  // Of AppendEntries and InstallSnapshot to all peers, since the start of the process.
    uint64_t round_ = 0;
    uint64_t confirmed_round_ = 0;
    std::deque<uint64_t> rounds_sent_us_;  // When the newest rounds were sent; the last one of them is round_.
    ReadQueue reads_;
    std::vector<uint64_t> reads_before_commit_;  // Tokens that wait for the term's first commit.
    uint64_t uncommitted_bytes_ = 0;  // Of this leader's proposals that are not committed or not durable here.
    std::deque<std::pair<uint64_t, uint64_t>> uncommitted_;  // (index, bytes)
    std::string transfer_target_;                            // Empty: none under way.
    uint64_t transfer_deadline_us_ = 0;
    uint64_t transfer_tried_us_ = 0;
    bool timeout_now_sent_ =
        false;  // In this term: whoever got it may be elected at any moment, whatever it heard from us.

    // Writes
    struct WriteInFlight {
        uint64_t write_id;
        uint64_t last_index;
        uint64_t last_term;
        uint64_t since_us;
    };
    uint64_t last_write_ = 0;
    uint64_t persisted_write_ = 0;
    uint64_t term_write_ = 0;     // The write that makes the present term durable.
    uint64_t restart_write_ = 0;  // The last one that began the log anew.
    uint64_t persisted_index_ = 0;
    std::deque<WriteInFlight> writes_in_flight_;

    // The event being handled
    RaftInput input_{};
    bool hard_state_changed_ = false;
    bool log_restarted_ = false;
    uint64_t write_first_index_ = 0;
    uint32_t write_count_ = 0;
    Payload write_records_;
    std::vector<std::pair<size_t, Gate>> gates_;  // Of effects_.messages, by place.
    RaftEffects effects_;
};

}  // namespace sandstore
