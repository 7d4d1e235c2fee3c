// Repairer: brings what this node holds in line with what the namespace says it should hold.
//
// In    StartRepairer        from Bootstrap
//       RoleChanged          from RaftNode: who leads
//       PeerUp               from Transport: the leader can be reached again
//       ChunkAuditReply      from the leader's FileService
//       ChunkListReply, StatusReply, RequestFailed    from this node's ChunkService, and about requests
//       ChunksCollected      from this node's StateMachine
//       AllowDeletions -> StatusReply    from an operator, through a StatusService
//       Drain -> StatusReply
// Out   ChunkAudit to the leader's FileService; ChunkList, ChunkFetch and ChunkDelete to this node's ChunkService;
//       RepairState to this node's StatusService
// Disk  nothing
//
// A round walks the ids in order, page by page. For each page of the namespace the node's own chunks of the same range
// of ids are listed: those that are missing or damaged here are fetched, and those that the page does not name become
// candidates. After the last page the leader is asked about the candidates: what it knows to be collected goes at once,
// what was never committed when it is older than the grace by the cluster's clock, never by this node's own. A round
// begins every interval (jittered), and soon after a new leader or the way back to it. What the state machine of this
// node says is collected is deleted without waiting for a round.
//
// Deletes only on a well-formed answer of the leader, which had to prove its leadership for it (a read index): a node
// that is cut off deletes nothing. The brake: a round that would delete a large share of the node's chunks, or chunks
// from before the namespace began, deletes none of those, and asks an operator. One thing that fails is noted and left
// for the next round, and the round goes on; a failed page of the leader, or another leader, ends it. A grace of 0
// means that nothing is ever deleted.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/chunk/chunk_key.h"
#include "messages/envelope.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class Repairer final : public Actor {
 public:
    static constexpr uint32_t kPageChunks = 1000;  // Of the namespace and of this node.
    static constexpr size_t kFetchesInFlightMax = 4;
    static constexpr size_t kDeleteBatchMax = 128;
    static constexpr size_t kCandidatesMax = 100'000;  // Of one round; the next one goes on.
    static constexpr int kCandidatesPerAudit = 1000;
    static constexpr size_t kCollectedMax = 100'000;  // That wait to be deleted; the next round finds the others.
    // The brake: more chunks than this, and more than this share of all that are here.
    static constexpr size_t kBrakeChunks = 100;
    static constexpr uint64_t kBrakePercent = 20;
    // The clocks of two leaders may be so far apart: what is older than the namespace by more is not of it.
    static constexpr uint64_t kHistorySlackUs = 3'600'000'000;
    // Between grace and commit window: a leader's clock may step so far before the window is over everywhere.
    static constexpr uint64_t kClockStepMaxUs = 60'000'000;
    static constexpr uint64_t kEarlyRoundUs = 1'000'000;  // From a new leader to the round it causes, at least;
    static constexpr uint64_t kRetryUs = 5'000'000;  // from a failed round to the next, unless the interval is less.
    static constexpr uint64_t kAuditTimeoutUs = 10'000'000;
    static constexpr uint64_t kLocalTimeoutUs = 60'000'000;
    static constexpr uint64_t kFetchTimeoutUs = 120'000'000;

    void receive(Message message, Context& context) override;

 private:
    enum TimerTag : uint32_t { kRoundTimer = 1 };
    enum class Step { kAudit, kList, kJudge, kDelete, kCollect, kFetch };

    struct Asked {
        uint64_t round = 0;
        Step step = Step::kAudit;
        uint64_t chunks = 0;  // kDelete
        ChunkKey key;         // kFetch
    };

    struct Wanted {
        pb::ChunkPlace place;
        bool here = false;
    };
    struct Candidate {
        ChunkKey key;
        uint64_t allocated_at_us = 0;
    };

    struct Round {
        std::string leader_id;
        ChunkKey after;  // The namespace has been compared up to here.
        // The page at hand: complete for (after, last], with `done` for all beyond `after`.
        std::map<ChunkKey, Wanted> page;
        ChunkKey last;
        bool done = false;
        ChunkKey listed;  // This node's chunks have been compared up to here.
        bool all_listed = false;
        std::deque<Candidate> candidates;  // Not judged yet.
        std::vector<Candidate> judging;    // Asked about.
        std::vector<ChunkKey> aged;        // Never committed, and older than the grace,
        uint64_t foreign = 0;              // so many of them from before the namespace.
        std::deque<ChunkKey> doomed;
        std::deque<pb::ChunkPlace> missing;
        uint64_t local = 0;         // Chunks that are here.
        uint64_t does_not_fit = 0;  // Missing, and there is no room.
        std::string no_room;        // Why.
        bool judged = false;
        bool began = false;  // Something is missing, and being fetched.
        size_t fetches_in_flight = 0;
        uint64_t checked = 0;
        uint64_t lacking = 0;  // Chunks of this node that were not here; those that were fetched among them.
        uint64_t fetched = 0;
        uint64_t deleted = 0;
        uint64_t failed = 0;
        std::string failure;  // The last one.
    };

    void on_start_repairer(const pb::StartRepairer& start, Context& context);
    void on_role_changed(const pb::RoleChanged& role, Context& context);
    void on_peer_up(const pb::PeerUp& peer, Context& context);
    void on_timer_fired(Context& context);
    void on_drain(const Message& message, Context& context);
    void on_chunk_audit_reply(const Message& message, Context& context);
    void on_chunk_list_reply(const Message& message, Context& context);
    void on_status(const Message& message, const pb::Status& status, Context& context);
    void on_chunks_collected(const pb::ChunksCollected& collected, Context& context);
    void on_allow_deletions(const Message& message, Context& context);

    void plan_round(uint64_t delay_us, Context& context);
    void ask_audit(Context& context);
    void ask_list(Context& context);
    void note_local_chunk(const pb::ChunkStatus& chunk);
    void judge_candidates(Context& context);
    void take_verdicts(const pb::ChunkAuditReply& reply, Context& context);
    void end_judging(Context& context);
    void delete_doomed(Context& context);
    void delete_collected(Context& context);
    void on_collected_deleted(const pb::Status& status, Context& context);
    RequestId ask_to_delete(std::deque<ChunkKey>* keys, uint64_t* chunks, Context& context) const;
    void tell_state(Context& context);
    void go_on(Context& context);  // With whatever is due next in this page, else with the next page.
    void fetch_missing(Context& context);
    void next_page(Context& context);
    void end_round(std::string failure, Context& context);
    uint64_t missing_now(bool complete) const;
    void show_missing(bool complete, Context& context);
    std::string take_page(const pb::ChunkAuditReply& reply);
    std::optional<Asked> take_asked(const Message& message);

    std::string node_id_;
    uint64_t interval_us_ = 0;
    uint64_t orphan_grace_us_ = 0;
    std::string leader_id_;
    TimerId timer_ = 0;
    uint64_t timer_due_us_ = 0;
    uint64_t round_number_ = 0;
    std::optional<Round> round_;
    std::map<RequestId, Asked> asked_;
    uint64_t missing_before_ = 0;     // When the round at hand began.
    std::deque<ChunkKey> collected_;  // To be deleted.
    bool deleting_collected_ = false;
    std::string brake_;     // Why deletions are stopped; empty: they are not.
    bool allowed_ = false;  // The next round deletes in spite of the brake.
    std::string no_room_;   // Why missing chunks are not fetched.
    pb::RepairState told_;
    bool draining_ = false;
};

}  // namespace sandstore
