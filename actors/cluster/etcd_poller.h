// EtcdPoller: asks etcd for the member list, again and again, and tells the node when it changes.
//
// In:  StartPoller     once, from the node's assembly.
//      HttpReply       of its requests to PORT_HTTP_CLIENT (or RequestFailed).
//      DiskReply       of its requests to PORT_LOG_DISK (or RequestFailed).
//      BootProgress    from Bootstrap: with a cluster id the data directory is known to be ours, and may be written.
//      RoleChanged, ConfigurationChanged   from RaftNode, for --auto-join (auto_join.h).
//      MembershipChanged   (or RequestFailed) of what --auto-join proposed.
//      TimerFired      the next poll; the end of a pause of --auto-join.
// Out: HttpRequest     to PORT_HTTP_CLIENT: one range request brings members and cluster record.
//      ClusterView     to Bootstrap, PORT_TRANSPORT, FileService, StatusService, ChunkService and Repairer when it
//                      changes; to Bootstrap alone a second time when the next poll confirms it.
//      ChangeMembership    to RaftNode, with --auto-join on the leader: a node that etcd lists, as a learner.
//      DiskRequest     to PORT_LOG_DISK: reads and replaces cluster-view.json.
//
// All endpoints are tried in turn, from the one that answered last; a round in which none answers is one attempt, with
// one log line, followed by a growing, jittered delay. Once etcd has answered, an outage is one warning, and its end
// one line: the last view stays. A record that cannot be used is warned about by key, once until it changes; when there
// was a good one before, that stays in use. An empty list never replaces a list.
//
// Persists cluster-view.json. Never decides who votes: the view is how nodes find each other.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/cluster/auto_join.h"
#include "actors/cluster/etcd_range.h"
#include "messages/cluster.pb.h"
#include "runtime/actor.h"

namespace sandstore {

class EtcdPoller final : public Actor {
 public:
    void receive(Message message, Context& context) override;

 private:
    enum TimerTag : uint32_t { kTagPoll = 1, kTagAutoJoin = 2 };
    enum class State { kIdle, kReadingCache, kAsking, kPausing };

    void on_start_poller(Message message, Context& context);
    void on_http_reply(Message message, Context& context);
    void on_disk_reply(Message message, Context& context);
    void on_request_failed(Message message, Context& context);
    void on_boot_progress(Message message, Context& context);
    void on_membership_changed(Message message, Context& context);
    void on_timer_fired(Message message, Context& context);

    void cache_read(const Message& message, Context& context);
    void begin_round(Context& context);
    void ask_endpoint(Context& context);
    void endpoint_failed(std::string why, Context& context);
    void round_failed(Context& context);
    void round_succeeded(const std::vector<EtcdRecord>& records, Context& context);
    uint64_t backoff_us(Context& context) const;

    pb::ClusterView read_records(const std::vector<EtcdRecord>& records, Context& context);
    void read_member(const EtcdRecord& record, pb::ClusterView* view, Context& context);
    void read_cluster(const EtcdRecord& record, pb::ClusterView* view, Context& context);
    const pb::ClusterView* last_view() const;  // Published, or read from disk; null without one.
    void warn_once(const EtcdRecord& record, std::string_view why, Context& context);
    void warn_about_shared_addresses(const pb::ClusterView& view, Context& context);
    void accept(pb::ClusterView view, Context& context);
    void publish(const pb::ClusterView& view, Context& context);
    void save_view(Context& context);

    pb::StartPoller config_;
    State state_ = State::kIdle;
    std::vector<std::string> endpoints_;  // Base URLs.
    size_t endpoint_ = 0;                 // The one asked now, or that answered last.
    size_t failures_in_round_ = 0;
    std::string failures_;   // Of this round, for the log line.
    uint64_t attempts_ = 0;  // Rounds without an answer, in a row.
    bool answered_ = false;  // etcd has answered in the life of this process,
    bool away_ = false;      // and does not now.
    RequestId http_request_ = 0;
    RequestId read_request_ = 0;
    RequestId write_request_ = 0;

    std::optional<pb::ClusterView> cached_;  // From disk, until etcd answers.
    std::optional<pb::ClusterView> view_;    // The last one published.
    bool confirmed_ = false;                 // The view was in two polls in a row.
    bool empty_warned_ = false;
    std::map<std::string, std::string> warned_;  // Bad records by key; as many as etcd's bounded answer holds.
    std::string shared_address_warned_;

    AutoJoin auto_join_{kTagAutoJoin};
    bool may_write_ = false;
    std::string saved_;  // What cluster-view.json holds, as far as known.
    std::string saving_;
};

}  // namespace sandstore
