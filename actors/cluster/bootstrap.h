// Bootstrap: starts a node, step by step, or refuses to with a sentence that says what to do.
//
// In:  StartLog, StartSnapshots, StartRaft, StartStateMachine, StartFiles, StartChunks, StartRepairer, StartStatus
//                      from the node's assembly, before StartNode and in any order: what is configured. Held back until
//                      discovery has answered, then completed and passed on.
//      StartNode       from the node's assembly: begin.
//      DiskReply       what identity.json holds; that it is written.
//      ClusterView     from EtcdPoller. With a static list Bootstrap makes it itself.
//      ClusterStatus   (or RequestFailed) from other nodes: which cluster is to be joined; whether they are fresh too.
//      DuplicateNode   from PORT_TRANSPORT: somebody else runs under this node's name.
//      ConfigurationChanged  from RaftNode: the log holds something from now on.
//      StorageChanged  from RaftNode: the directory is an older copy, and another storage from now on.
//      TimerFired      no duplicate showed up; the other nodes are to be asked again.
// Out: DiskRequest     to PORT_LOG_DISK: reads identity.json, and writes it for a fresh node before anything else.
//      ClusterStatusRequest  to the StatusServices of other nodes, one after the other: a node that joins and was told
//                      no cluster id takes the running cluster's, never one made of its own list. And to all at
//                      once, by a fresh node that is one of the first voters (bootstrap_founding.cc).
//      ClusterView     of a static list, to PORT_TRANSPORT, FileService, StatusService, ChunkService, Repairer.
//      StartTransport  to PORT_TRANSPORT, when the identity is durable.
//      Start...        to LogStore, SnapshotStore, RaftNode, StateMachine, FileService, ChunkService, Repairer, in this
//                      order.
//      BootProgress    to StatusService at each step, and to EtcdPoller when the data directory is known to be ours.
//
// Steps: kIdle -> kReadingIdentity -> kWaitingForMembers -> kAskingForCluster (a node that joins) or
//        kClaimingStorage, kAskingFounders (a first voter) -> kWritingIdentity (fresh node), or kLookingAtLog,
//        kNotingStart (one that was here before) -> kLookingForDuplicate -> kLookingAtChunks, kMarkingChunks (chunks
//        without a mark) -> kStarted; from each of them -> kRefused.
//
// A fresh node is either one of the first voters, or it joins: with --join, or when etcd's cluster record names the
// first voters and not this node. One that joins starts with an empty log and waits until a leader writes to it; that
// it joined stands in identity.json, so that no later start makes a second cluster.
//
// Persists identity.json, and chunks/identity.json. Never changes whose they are, and never decides who votes once the
// Raft log exists.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/cluster.pb.h"
#include "messages/disk.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class Bootstrap final : public Actor {
 public:
    // Without its starts for tests that count the entries of the log: see storage_starts.h.
    explicit Bootstrap(bool notes_starts = true) : notes_starts_(notes_starts) {}

    void receive(Message message, Context& context) override;

 private:
    enum class Step {
        kIdle,
        kReadingIdentity,
        kWaitingForMembers,
        kAskingForCluster,
        kClaimingStorage,
        kAskingFounders,
        kLookingAtLog,
        kWritingIdentity,
        kNotingStart,
        kLookingForDuplicate,
        kLookingAtChunks,
        kMarkingChunks,
        kStarted,
        kRefused,
    };

    enum TimerTag : uint32_t { kTagNoDuplicate = 1, kTagAskAgain = 2, kTagAskDiskAgain = 3 };

    void on_start_message(Message message, Context& context);
    void on_start_node(Message message, Context& context);
    void on_disk_reply(Message message, Context& context);
    void on_request_failed(Message message, Context& context);
    void on_cluster_view(Message message, Context& context);
    void on_cluster_status(Message message, Context& context);
    void on_duplicate_node(Message message, Context& context);
    void on_timer_fired(Message message, Context& context);

    void identity_read(const Message& message, Context& context);
    void use_static_view(Context& context);
    void consider_view(Context& context);
    bool is_member(std::string_view id) const;
    bool view_is_enough(Context& context);
    bool fresh_view_is_settled(Context& context);
    bool joins() const;
    void ask_for_cluster(Context& context);
    void ask_first_member(Context& context);
    void first_member_failed(std::string_view why, Context& context);
    void claim_storage(Context& context);
    static uint64_t new_storage(Context& context);
    void claim_directory(const std::string& cluster_id, Context& context);
    std::string decide_cluster_id() const;
    std::vector<std::string> first_voters() const;
    bool belongs_to_us(const std::string& cluster_id, Context& context);
    void write_identity(Step next, Context& context);
    void start_transport(Context& context);
    void start_actors(Context& context);
    void pass_on(int body, Context& context);
    void wait_for(std::string what, Context& context);
    void progress(std::string_view waiting_for, Context& context);
    void refuse(std::string why, Context& context);
    std::string own_address() const;

    void read_identity(Context& context);

    // bootstrap_disk.cc
    bool disk_is_short(const pb::DiskReply& reply, Context& context);
    void look_again(Context& context);
    void look_at_chunks(Context& context);
    void chunk_mark_read(const Message& message, Context& context);
    void mark_chunks(Context& context);
    void chunks_marked(const pb::DiskReply& reply, Context& context);

    // bootstrap_founding.cc
    pb::Founding own_founding() const;
    void begin_founding(const std::string& cluster_id, Context& context);
    void ask_founders(Context& context);
    bool take_founder_asked(const Message& answer);
    void founder_failed(std::string_view why, Context& context);
    void consider_founder(const pb::ClusterStatus& answer, Context& context);
    bool consider_running(const pb::ClusterStatus& answer, Context& context);
    void return_to(const pb::ClusterStatus& answer, Context& context);
    std::string no_common_founding(const pb::NodeStatus& other) const;
    void end_asking(Context& context);
    void found(const std::map<std::string, uint64_t>& storages, Context& context);
    void take_storage(uint64_t storage);
    void add_start(Context& context);
    void note_start(Context& context);
    void start_not_noted(int error, Context& context);
    void on_storage_changed(const Message& message, Context& context);
    void change_identity(Context& context);
    void look_at_log(Context& context);
    void log_listed(const pb::DiskReply& reply, Context& context);
    void on_configuration_changed(const pb::ConfigurationChanged& changed, Context& context);

    // bootstrap_recover.cc
    void warn_of_recovery(Context& context) const;
    void refuse_without_log(Context& context);
    bool note_recovery(const pb::RaftConfiguration& committed, Context& context);

    const bool notes_starts_;
    bool start_added_ = false;
    Step step_ = Step::kIdle;
    pb::StartNode node_;
    std::map<int, Message> held_;  // Start messages by body case.
    RequestId disk_request_ = 0;
    std::optional<pb::Identity> identity_;  // On disk, or about to be.
    bool identity_changed_ = false;         // Since it was last written.
    bool fresh_ = true;                     // The data directory had no identity.
    std::optional<pb::ClusterView> view_;
    uint32_t equal_views_ = 0;  // How often etcd has said the same in a row.
    RequestId cluster_request_ = 0;
    std::deque<pb::Member> to_ask_;  // The one asked now is the first.
    std::string asked_problems_;     // Why nobody has told the cluster so far.
    TimerId ask_timer_ = 0;
    std::string cluster_to_claim_;
    std::map<RequestId, std::string> founders_asked_;       // Node ids.
    std::string founder_answering_;                         // Whose answer is being handled.
    std::map<std::string, uint64_t> fresh_founders_;        // Storages of those who answered that they are fresh too.
    std::map<std::string, std::string> founders_problems_;  // Of the others, by node id.
    std::string waiting_for_;
    uint64_t duplicate_since_us_ = 0;  // Since when a leader says that it hears another process of this name.
    TimerId duplicate_timer_ = 0;
};

}  // namespace sandstore
