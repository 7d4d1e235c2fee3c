// Mover: sees to it that each chunk has as many intact copies as promised, on nodes that are there to stay. Runs on
// every node, and works where its node leads.
//
// In    StartMover              from Bootstrap
//       RoleChanged, ConfigurationChanged    from RaftNode: who leads, who is a member, who is leaving
//       ClusterView, PeerUp, PeerDown, ChunkStats    for the choice of new homes, and who is away
//       EarlierChunks    from the FileService: the count does not know all
//       ReadIndexReply, QueryResult, ChunkListReply, StatusReply, ProposeReply, RequestFailed    to its own requests
//       TimerFired
// Out   ReadIndex and Propose (MoveChunks) to RaftNode; Query to the StateMachine; ChunkList and ChunkFetch to the
//       ChunkServices of all nodes that are up; CopiesReport to the StatusService of its node
// Disk  nothing
//
// A round walks all chunks of the namespace, page by page. For each page all nodes are asked what they hold, whoever
// lacks a copy that it should have is made to fetch it, and then the places of the page are changed through the log
// where they must be (copy_plan.h). All that counts is in the log and on the nodes: a round that is broken off has done
// no harm, and the next leader goes on from what is there. Since when a node is away is the leader's own observation; a
// new one begins to count anew.
//
// A place is added before the copy is made, so that the new home's own audit wants it from then on; it is taken away
// after the copies that remain have been seen on disk.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "actors/chunk/chunk_key.h"
#include "actors/fs/copy_plan.h"
#include "actors/fs/placement.h"
#include "messages/envelope.pb.h"
#include "runtime/actor.h"
#include "runtime/metrics.h"

namespace sandstore {

class Mover final : public Actor {
 public:
    static constexpr uint32_t kPageChunks = 500;
    static constexpr size_t kFetchesInFlightMax = 8;
    static constexpr uint64_t kEarlyRoundUs = 1'000'000;  // From a change among the nodes to the round that it causes,
    static constexpr uint64_t kSoonUs = 200'000;          // from a round that changed something to the next,
    static constexpr uint64_t kRetryUs = 2'000'000;       // and from one that could not, or has leavers to wait for.
    static constexpr uint64_t kPagePauseUs = 20'000;      // After a page with nothing to do.
    static constexpr uint64_t kRaftTimeoutUs = 10'000'000;
    static constexpr uint64_t kListTimeoutUs = 10'000'000;
    static constexpr uint64_t kFetchTimeoutUs = 120'000'000;

    void receive(Message message, Context& context) override;

 private:
    enum TimerTag : uint32_t { kRoundTimer = 1, kPageTimer = 2 };
    enum class Step { kIndex, kPage, kList, kFetch, kMove };
    struct Asked {
        Step step = Step::kIndex;
        std::string node;  // kList, kFetch
        ChunkKey key;      // kFetch
        uint64_t round = 0;
    };
    struct Chunk {
        ChunkCopies copies;
        uint64_t allocated_at_us = 0;
    };
    struct Round {
        uint64_t index = 0;
        CopyHomes nodes;
        ChunkKey after;  // Everything up to here has been looked at.
        std::map<ChunkKey, Chunk> page;
        ChunkKey last;
        bool done = false;                        // The page is the last one.
        std::map<std::string, ChunkKey> listing;  // Nodes that have yet to tell what they hold of the page; up to where
                                                  // they have.
        std::deque<std::pair<ChunkKey, std::string>> fetches;
        size_t fetches_in_flight = 0;
        bool page_changed = false;
        uint64_t changed = 0;   // Copies made and chunks moved.
        uint64_t clock_us = 0;  // The cluster's clock when the page was read.
        pb::CopiesReport report;
        std::map<std::string, pb::CopiesReport::Node> counts;
    };

    void on_start_mover(const pb::StartMover& start, Context& context);
    void on_role_changed(const pb::RoleChanged& role, Context& context);
    void on_configuration_changed(const pb::ConfigurationChanged& change, Context& context);
    void on_cluster_view(const pb::ClusterView& view);
    void on_peer(const std::string& node, bool up, Context& context);
    void on_earlier_chunks(Context& context);
    void on_timer_fired(const pb::TimerFired& fired, Context& context);
    void on_read_index_reply(const Message& message, Context& context);
    void on_query_result(const Message& message, Context& context);
    void on_chunk_list_reply(const Message& message, Context& context);
    void on_status(const Message& message, const pb::Status& status, Context& context);
    void on_propose_reply(const Message& message, Context& context);
    void on_request_failed(const Message& message, Context& context);

    // The round at hand is over, what it knew is not true any more; another one begins soon.
    void begin_anew(uint64_t delay_us, Context& context);
    void plan_round(uint64_t delay_us, Context& context);
    void begin_round(Context& context);
    void know_nodes(Round& round, Context& context);
    void ask_page(Context& context);
    void ask_lists(Context& context);
    void ask_list(const std::string& node, ChunkKey after, Context& context);
    void end_listing(const std::string& node, Context& context);
    void make_copies(Context& context);
    void fetch_next(Context& context);
    void end_fetch(const Asked& asked, const pb::Status& status, Context& context);
    void change_places(Context& context);
    void count(const ChunkKey& key, const ChunkCopies& copies);
    void end_page(Context& context);
    void end_round(Context& context);
    void fail_round(std::string_view doing, const pb::Status& status, Context& context);
    void report(Context& context);

    Address chunks_of(const std::string& node) const;
    std::optional<Asked> take_asked(const Message& message);
    void ask(const Address& to, Message message, uint64_t timeout_us, Asked asked, Context& context);

    pb::StartMover settings_;
    bool started_ = false;
    bool leads_ = false;
    Placement placement_;
    pb::ConfigurationChanged configuration_;
    std::set<std::string> listed_;  // By discovery: the members, where there is no configuration.
    std::set<std::string> up_;
    std::map<std::string, uint64_t> away_since_us_;

    TimerId timer_ = 0;
    uint64_t timer_due_us_ = 0;
    TimerId page_timer_ = 0;
    uint64_t round_number_ = 0;
    std::optional<Round> round_;
    bool count_again_ = false;  // Chunks came into use that the round at hand may have missed.
    std::map<RequestId, Asked> asked_;
    pb::CopiesReport report_;  // Of the last complete round.
    struct {
        Gauge* too_few = nullptr;
        Gauge* none = nullptr;
        Counter* moved = nullptr;
        Counter* made = nullptr;
    } metrics_;  // From the start on.
};

}  // namespace sandstore
