// Repairer: brings what this node holds in line with what the namespace says it should hold.
//
// In    StartRepairer        from Bootstrap
//       RoleChanged          from RaftNode: who leads
//       PeerUp               from Transport: the leader can be reached again
//       ChunkAuditReply      from the leader's FileService
//       ChunkListReply, StatusReply, RequestFailed    from this node's ChunkService, and about requests
//       Drain -> StatusReply
// Out   ChunkAudit to the leader's FileService; ChunkList, ChunkFetch and ChunkDelete to this node's ChunkService
// Disk  nothing
//
// A round walks the ids in order, page by page. For each page of the namespace the node's own chunks of the same range
// of ids are listed: those that are missing or damaged here are fetched, those that no file uses and that are older
// than the grace are deleted. A round begins every interval (jittered), and soon after a new leader or the way back to
// it.
//
// Deletes only on a complete, well-formed answer of the leader, which had to prove its leadership for it (a read
// index): a node that is cut off deletes nothing. The first error, or another leader, ends the round, and with it all
// that follows from the page at hand. A grace of 0 means that nothing is ever deleted.
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
    static constexpr uint64_t kEarlyRoundUs = 1'000'000;  // From a new leader to the round it causes, at least;
    static constexpr uint64_t kRetryUs = 5'000'000;  // from a failed round to the next, unless the interval is less.
    static constexpr uint64_t kAuditTimeoutUs = 10'000'000;
    static constexpr uint64_t kLocalTimeoutUs = 60'000'000;
    static constexpr uint64_t kFetchTimeoutUs = 120'000'000;

    void receive(Message message, Context& context) override;

 private:
    enum TimerTag : uint32_t { kRoundTimer = 1 };
    enum class Step { kAudit, kList, kDelete, kFetch };

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

    struct Round {
        std::string leader_id;
        ChunkKey after;  // The namespace has been compared up to here.
        // The page at hand: complete for (after, last], with `done` for all beyond `after`.
        std::map<ChunkKey, Wanted> page;
        ChunkKey last;
        bool done = false;
        ChunkKey listed;  // This node's chunks have been compared up to here.
        bool all_listed = false;
        std::deque<ChunkKey> orphans;
        std::deque<pb::ChunkPlace> missing;
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

    void plan_round(uint64_t delay_us, Context& context);
    void ask_audit(Context& context);
    void ask_list(Context& context);
    void note_local_chunk(const pb::ChunkStatus& chunk, Context& context);
    void go_on(Context& context);  // With whatever is due next in this page, else with the next page.
    void fetch_missing(Context& context);
    void next_page(Context& context);
    void end_round(std::string failure, Context& context);
    uint64_t missing_now(bool complete) const;
    void show_missing(bool complete, Context& context);
    bool take_page(const pb::ChunkAuditReply& reply, std::string* problem);
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
    uint64_t missing_before_ = 0;  // When the round at hand began.
    bool draining_ = false;
};

}  // namespace sandstore
