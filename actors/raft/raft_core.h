// Raft (Ongaro and Ousterhout 2014; Ongaro's thesis for section numbers) as a plain object: events in, effects out. No
// I/O, no clock, no randomness: time and random draws are arguments, disk and network are effects.
//
// The durability rule lives here and only here: each outgoing message names the log write it has to wait for
// (Outgoing::after_write). Votes and acknowledgements wait for what they promise; heartbeat replies wait for the term;
// the leader's own appends and heartbeats wait for nothing, since its own disk counts as just another replica.
//
// Files: raft_core.cc (events, persistence, commit), raft_election.cc, raft_replication.cc, raft_reads.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "actors/log/record.h"
#include "actors/raft/entry_cache.h"
#include "actors/raft/progress.h"
#include "actors/raft/read_queue.h"
#include "actors/raft/term_index.h"
#include "messages/raft.pb.h"
#include "runtime/message.h"

namespace sandstore {

namespace pb {
class HardState;
class LogRecovered;
}  // namespace pb

struct RaftOptions {
    std::string node_id;
    std::vector<std::string> bootstrap_voters;  // Used when the log is empty.
    uint64_t election_timeout_min_us = 150'000;
    uint64_t election_timeout_max_us = 300'000;
    uint64_t heartbeat_interval_us = 30'000;
    uint32_t append_window = 16;
    uint64_t append_window_bytes = 8u << 20;
    uint64_t append_bytes_max = 1u << 20;
    uint64_t uncommitted_bytes_max = 64u << 20;
    uint64_t cache_bytes = 64u << 20;
};

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
    struct ReadReady {
        uint64_t token;
        uint64_t index;
    };
    std::vector<Outgoing> messages;
    std::optional<Message> write;  // A LogWrite.
    std::vector<ReadForPeer> reads_for_peers;
    std::vector<ReadReady> reads_ready;
    std::vector<uint64_t> reads_failed;  // Leadership is lost.
    bool role_changed = false;           // Role, term or known leader.
    bool commit_advanced = false;
    bool damaged_message = false;  // A peer's records did not check out; they were ignored.
};

class RaftCore {
 public:
    using Role = pb::RoleChanged::Role;

    // Continues from what was on disk. The effects of bootstrapping an empty log are in take_effects().
    RaftCore(RaftOptions options, const pb::LogRecovered& recovered, RaftInput input);

    // --- Events
    // ----------------------------------------------------------------------------------------------------------
    void on_tick(RaftInput input);  // At or after next_deadline_us().
    void on_message(RaftInput input, std::string_view from, const Message& message);
    void on_persisted(RaftInput input, uint64_t write_id);
    void on_peer_up(RaftInput input, std::string_view peer);
    void on_peer_down(RaftInput input, std::string_view peer);
    void on_records(RaftInput input, std::string_view peer, uint64_t first_index, uint32_t count, Payload records);

    enum class ProposeOutcome { kAccepted, kNotLeader, kTooMuchUncommitted };
    struct Proposal {
        RecordType type;
        Payload data;
    };
    // All or none. The first gets index `*first_index`, the next ones follow.
    ProposeOutcome propose(RaftInput input, std::vector<Proposal> proposals, uint64_t* first_index);
    // False: not the leader. Otherwise `token` comes back in reads_ready or reads_failed.
    bool read_index(RaftInput input, uint64_t token);

    RaftEffects take_effects();

    // --- State
    // -----------------------------------------------------------------------------------------------------------
    Role role() const { return role_; }
    bool is_leader() const { return role_ == pb::RoleChanged::LEADER; }
    uint64_t term() const { return term_; }
    const std::string& voted_for() const { return voted_for_; }
    const std::string& leader_id() const { return leader_id_; }
    uint64_t commit_index() const { return commit_index_; }
    uint64_t first_index() const { return terms_.first_index(); }
    uint64_t last_index() const { return terms_.last_index(); }
    uint64_t persisted_index() const { return persisted_index_; }
    const TermIndex& terms() const { return terms_; }
    const EntryCache& cache() const { return cache_; }
    const std::vector<std::string>& voters() const { return voters_; }
    const std::map<std::string, Progress, std::less<>>& peers() const { return peers_; }
    bool is_reachable(std::string_view peer) const { return !unreachable_.contains(peer); }
    uint64_t next_deadline_us() const;
    uint64_t campaign_started_us() const { return campaign_started_us_; }
    size_t votes() const { return votes_.size(); }
    void evict_cache(uint64_t last_evictable);  // Entries up to here are no longer needed by the state machine.
    void check_invariants() const;

 private:
    // What an outgoing message waits for.
    enum class Gate { kNone, kTerm, kAll };

    void start_event(RaftInput input);
    void finish_event();
    void send(std::string_view to, Message message, Gate gate);
    bool is_voter(std::string_view node) const;

    // Terms and roles (raft_election.cc)
    void become_follower(uint64_t term, std::string_view leader);
    void become_leader();
    void start_pre_vote();
    void start_election();
    void ask_for_votes(bool pre_vote);
    void count_vote(std::string_view from, bool pre_vote);
    void reset_election_deadline();
    void set_term(uint64_t term, std::string_view voted_for);
    void lose_leadership();
    bool has_live_leader() const;
    bool is_log_up_to_date(uint64_t last_index, uint64_t last_term) const;
    void check_quorum();
    void on_request_vote(std::string_view from, const pb::RequestVote& request);
    void on_vote_reply(std::string_view from, const pb::VoteReply& reply);

    // Entries (raft_replication.cc)
    void on_append_entries(std::string_view from, const pb::AppendEntries& request, const Payload& payload);
    bool parse_records(const pb::AppendEntries& request, const Payload& payload, std::vector<Record>* records);
    void adopt_records(const std::vector<Record>& records);
    void refuse_append(std::string_view from, const pb::AppendEntries& request);
    void on_append_reply(std::string_view from, const pb::AppendReply& reply);
    void append_own(std::vector<Proposal> proposals);
    void send_appends_to_all();
    void send_appends(const std::string& peer, Progress& progress);
    void send_records(const std::string& peer, Progress& progress, uint64_t last_index, uint32_t count,
                      Payload records);
    void advance_commit();
    void set_commit(uint64_t index);

    // Heartbeats and reads (raft_reads.cc)
    void send_heartbeats();
    void on_heartbeat(std::string_view from, const pb::Heartbeat& heartbeat);
    void on_heartbeat_reply(std::string_view from, const pb::HeartbeatReply& reply);
    void confirm_reads();
    bool has_committed_in_term() const;
    void admit_waiting_reads();

    const RaftOptions options_;
    std::vector<std::string> voters_;  // Sorted.

    // Durable (with what is in the log)
    uint64_t term_ = 0;
    std::string voted_for_;

    // Volatile
    Role role_ = pb::RoleChanged::FOLLOWER;
    std::string leader_id_;
    uint64_t commit_index_ = 0;
    TermIndex terms_;
    EntryCache cache_;
    std::set<std::string, std::less<>> votes_;
    std::set<std::string, std::less<>> unreachable_;
    uint64_t election_deadline_us_ = 0;
    uint64_t leader_contact_us_ = 0;  // 0: none heard in this boot.
    uint64_t campaign_started_us_ = 0;

    // Leader
    std::map<std::string, Progress, std::less<>> peers_;
    uint64_t heartbeat_due_us_ = 0;
    uint64_t round_ = 0;
    uint64_t confirmed_round_ = 0;
    ReadQueue reads_;
    std::vector<uint64_t> reads_before_commit_;              // Tokens that wait for the term's first commit.
    uint64_t uncommitted_bytes_ = 0;                         // Of proposals of this leader.
    std::deque<std::pair<uint64_t, uint64_t>> uncommitted_;  // (index, bytes)

    // Writes
    struct WriteInFlight {
        uint64_t write_id;
        uint64_t last_index;
        uint64_t last_term;
    };
    uint64_t last_write_ = 0;
    uint64_t persisted_write_ = 0;
    uint64_t term_write_ = 0;  // The write that makes the present term durable.
    uint64_t persisted_index_ = 0;
    std::deque<WriteInFlight> writes_in_flight_;

    // The event being handled
    RaftInput input_{};
    bool hard_state_changed_ = false;
    uint64_t write_first_index_ = 0;
    uint32_t write_count_ = 0;
    Payload write_records_;
    std::vector<std::pair<size_t, Gate>> gates_;  // Of effects_.messages, by place.
    RaftEffects effects_;
};

}  // namespace sandstore
