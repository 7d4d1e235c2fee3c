// StatusService: what this node and the cluster are doing, for people, health checks and metrics; and the door through
// which operators reach the RaftNodes (operator_requests.h).
//
// In:  StartStatus           once, from Bootstrap.
//      BootProgress          from Bootstrap: what the start waits for.
//      ClusterView           the members to ask.
//      ClusterStatusRequest  from HTTP handlers, clients and the StatusServices of other nodes.
//      ChangeMembership, TransferLeadership, RequestSnapshot   from operators, for the leader's RaftNode or another.
//      AllowDeletions        from operators, for a node's Repairer.
//      RepairState           from this node's Repairer.
//      RoleChanged           from RaftNode.
//      ConfigurationChanged  from RaftNode: members that discovery does not tell are asked too.
//      NodeFigures           from the sampler, each second: what this node did.
//      ChunkStats            from the ChunkService of every member, now and then.
//      CopiesReport          from the Mover, where this node leads.
//      PeerUp, PeerDown      from PORT_TRANSPORT.
//      RaftStatus, StateHash, ClusterStatus (or RequestFailed): answers to its own requests; MembershipChanged,
//                            StatusReply, SnapshotSaved: to those of operators.
//      TimerFired            metrics are due.
// Out: ClusterStatus         the answer; exactly one for each request.
//      RaftStatusRequest     to RaftNode; StateHashRequest to StateMachine; ClusterStatusRequest with `local` to the
//                            StatusService of each other member.
//
// A node that does not answer in time is a line with up = false and the reason. Leader and term are those of the node
// that says it leads in the highest term. Persists nothing, decides nothing. What the node did and what happened to it
// is kept in memory, bounded (status_history.h, event_log.h), and given with the line where it is asked for.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "actors/cluster/change_watch.h"
#include "actors/cluster/operator_requests.h"
#include "actors/cluster/raft_gauges.h"
#include "actors/cluster/status_history.h"
#include "messages/cluster.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class StatusService final : public Actor {
 public:
    // Shorter than what others wait for this node: one with a busy Raft still answers.
    static constexpr uint64_t kLocalTimeoutUs = 300'000;

    void receive(Message message, Context& context) override;

 private:
    // One ClusterStatusRequest in progress.
    struct Gathering {
        ReplyTo requester;
        bool local = false;
        std::map<std::string, pb::NodeStatus> nodes;  // By id.
        size_t unanswered = 0;
    };
    enum class Question { kRaft, kStateHash, kNode, kMetrics };
    struct Asked {
        Question question;
        uint64_t gathering;  // 0 for metrics.
        std::string node_id;
    };

    void on_start_status(Message message, Context& context);
    void on_boot_progress(Message message, Context& context);
    void on_cluster_view(Message message, Context& context);
    void on_configuration_changed(Message message, Context& context);
    void on_operator_request(Message message, Context& context);
    void on_cluster_status_request(Message message, Context& context);
    void on_node_figures(Message message, Context& context);
    void on_role_changed(Message message, Context& context);
    void on_chunk_stats(Message message, Context& context);
    void on_copies_report(Message message, Context& context);
    void on_peer_up(Message message, Context& context);
    void on_peer_down(Message message, Context& context);
    void on_raft_status(Message message, Context& context);
    void on_state_hash(Message message, Context& context);
    void on_cluster_status(Message message, Context& context);
    void on_request_failed(Message message, Context& context);
    void on_timer_fired(Message message, Context& context);

    bool booted() const { return started_ && waiting_for_.empty(); }
    const std::string& self_id() const { return config_.node_id(); }
    void know_members();
    std::string standing_of(const pb::RaftStatus& raft) const;
    pb::NodeStatus own_line(const pb::ClusterStatusRequest& request, Context& context) const;
    pb::NodeStatus line_of(const pb::Member& member) const;
    void ask_self(uint64_t id, Gathering& gathering, bool state_hash, Context& context);
    void ask_others(uint64_t id, Gathering& gathering, const pb::ClusterStatusRequest& wanted, Context& context);
    void ask(const Address& to, Message question, uint64_t timeout_us, Asked asked, Context& context);
    bool take_asked(const Message& answer, Asked* asked);
    void count_answer(uint64_t id, Context& context);
    void count_peers(Context& context) const;
    void finish(Gathering gathering, Context& context);
    void note_raft(const pb::RaftStatus& raft, Context& context);

    bool started_ = false;
    uint64_t started_at_us_ = 0;
    pb::StartStatus config_;
    std::string waiting_for_ = "the start of the node";
    std::string cluster_id_;
    pb::Founding founding_;
    pb::ClusterView view_;                       // What discovery says,
    pb::ConfigurationChanged configuration_;     // and what the log says of those whom discovery does not know.
    std::map<std::string, pb::Member> members_;  // Both together.
    OperatorRequests operators_;
    std::map<std::string, pb::ChunkStats> chunk_stats_;  // By node id; of members only.
    uint64_t own_stats_at_us_ = 0;                       // When this node's came last; 0: none yet.
    pb::RepairState repair_state_;
    pb::CopiesReport copies_report_;  // Without rounds unless this node leads.
    std::set<std::string> peers_up_;
    RaftGauges raft_gauges_;
    ChangeWatch watch_;
    StatusHistory history_;
    pb::RaftStatus last_raft_;  // As of the last second.
    uint64_t next_gathering_ = 1;
    std::map<uint64_t, Gathering> gatherings_;
    std::map<RequestId, Asked> asked_;
};

}  // namespace sandstore
