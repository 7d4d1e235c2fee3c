#include "actors/cluster/bootstrap.h"

#include <algorithm>
#include <utility>

#include "actors/cluster/identity.h"
#include "actors/cluster/member_record.h"
#include "actors/cluster/view_cache.h"
#include "messages/envelope.pb.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kClusterTimeoutUs = 1'000'000;
constexpr uint64_t kAskAgainUs = 500'000;
constexpr uint64_t kDuplicateWaitUs = 300'000;
constexpr uint64_t kDiskTimeoutUs = 60'000'000;
constexpr uint32_t kEqualViewsNeeded = 2;

// The log and the snapshots come first: Raft waits for what both of them hold.
constexpr int kStartOrder[] = {pb::Envelope::kStartLog,      pb::Envelope::kStartSnapshots,
                               pb::Envelope::kStartRaft,     pb::Envelope::kStartStateMachine,
                               pb::Envelope::kStartFiles,    pb::Envelope::kStartChunks,
                               pb::Envelope::kStartRepairer, pb::Envelope::kStartMover};

std::vector<std::string> ids_of(const pb::ClusterView& view) {
    std::vector<std::string> ids;
    for (const pb::Member& member : view.members()) ids.push_back(member.id());
    return ids;
}

std::vector<std::string> strings(const google::protobuf::RepeatedPtrField<std::string>& list) {
    return {list.begin(), list.end()};
}

}  // namespace

void Bootstrap::receive(Message message, Context& context) {
    switch (message->body_case()) {
        case pb::Envelope::kStartLog:
        case pb::Envelope::kStartSnapshots:
        case pb::Envelope::kStartRaft:
        case pb::Envelope::kStartStateMachine:
        case pb::Envelope::kStartFiles:
        case pb::Envelope::kStartChunks:
        case pb::Envelope::kStartRepairer:
        case pb::Envelope::kStartMover:
        case pb::Envelope::kStartStatus:
            return on_start_message(std::move(message), context);
        case pb::Envelope::kStartNode:
            return on_start_node(std::move(message), context);
        case pb::Envelope::kDiskReply:
            return on_disk_reply(std::move(message), context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(std::move(message), context);
        case pb::Envelope::kClusterView:
            return on_cluster_view(std::move(message), context);
        case pb::Envelope::kClusterStatus:
            return on_cluster_status(std::move(message), context);
        case pb::Envelope::kDuplicateNode:
            return on_duplicate_node(std::move(message), context);
        case pb::Envelope::kConfigurationChanged:
            return on_configuration_changed(message->configuration_changed(), context);
        case pb::Envelope::kStorageChanged:
            return on_storage_changed(message, context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(std::move(message), context);
        default:
            context.unexpected(message);
    }
}

void Bootstrap::on_start_message(Message message, Context& context) {
    if (step_ != Step::kIdle) return context.unexpected(message);
    const int body = message->body_case();
    // Only the body is kept: it goes on as a message of ours.
    for (auto clear : {&pb::Envelope::clear_from_node, &pb::Envelope::clear_from_actor, &pb::Envelope::clear_to_node,
                       &pb::Envelope::clear_request_id, &pb::Envelope::clear_deadline_us}) {
        (message.envelope().*clear)();
    }
    held_.insert_or_assign(body, std::move(message));
}

void Bootstrap::on_start_node(Message message, Context& context) {
    if (step_ != Step::kIdle) return context.unexpected(message);
    node_ = std::move(*message->mutable_start_node());
    for (const int body : kStartOrder) {
        SANDSTORE_CHECK(held_.contains(body), "no start message with body ", body);
    }
    SANDSTORE_CHECK(held_.contains(pb::Envelope::kStartStatus), "no start message for the StatusService");
    pass_on(pb::Envelope::kStartStatus, context);  // Answers from now on, also about what the node waits for.
    if (!is_node_name(node_.node_id())) {
        return refuse(str_cat("\"", node_.node_id(), "\" is not a node id: use letters, digits, '-', '_' and '.'"),
                      context);
    }
    if (!node_.cluster_id().empty() && !is_cluster_name(node_.cluster_id())) {
        return refuse(str_cat("\"", node_.cluster_id(), "\" is not a cluster id: use letters, digits, '-', '_', '.'"),
                      context);
    }
    read_identity(context);
}

// --- Whose directory is this? ---------------------------------------------------------------------------------------

void Bootstrap::read_identity(Context& context) {
    step_ = Step::kReadingIdentity;
    progress("the identity of the data directory", context);
    pb::DiskRequest request;
    auto* read = request.add_operations()->mutable_read();
    read->set_file(std::string(kIdentityFile));
    read->set_length(kIdentityBytesMax + 1);
    disk_request_ = context.ask(pb::PORT_LOG_DISK, message_of(std::move(request)), kDiskTimeoutUs);
}

void Bootstrap::on_disk_reply(Message message, Context& context) {
    if (disk_request_ == 0 || message->reply_to() != disk_request_) return context.unexpected(message);
    disk_request_ = 0;
    if (disk_is_short(message->disk_reply(), context)) return;
    if (step_ == Step::kReadingIdentity) return identity_read(message, context);
    if (step_ == Step::kLookingAtChunks) return chunk_mark_read(message, context);
    if (step_ == Step::kMarkingChunks) return chunks_marked(message->disk_reply(), context);
    if (step_ == Step::kLookingAtLog) return log_listed(message->disk_reply(), context);
    if (const int error = message->disk_reply().error(); error != 0) {
        if (step_ == Step::kStarted) return;  // What it would have said of the log is written at the next start.
        if (step_ == Step::kNotingStart) return start_not_noted(error, context);
        return refuse(str_cat("cannot write ", kIdentityFile, " into the data directory (errno ", error,
                              "): check that it is writable and has space"),
                      context);
    }
    if (step_ == Step::kClaimingStorage) return ask_founders(context);
    if (step_ == Step::kWritingIdentity || step_ == Step::kNotingStart) return start_transport(context);
    if (step_ == Step::kStarted && identity_changed_) write_identity(Step::kStarted, context);
}

void Bootstrap::on_request_failed(Message message, Context& context) {
    if (cluster_request_ != 0 && message->reply_to() == cluster_request_) {
        cluster_request_ = 0;
        return first_member_failed(message->request_failed().status().message(), context);
    }
    if (take_founder_asked(message)) return founder_failed(message->request_failed().status().message(), context);
    if (disk_request_ == 0 || message->reply_to() != disk_request_) return context.unexpected(message);
    disk_request_ = 0;
    if (step_ == Step::kStarted) return;  // As above; the log itself knows how long to wait for its disk.
    refuse(str_cat("the disk of the data directory does not answer: ", message->request_failed().status().message()),
           context);
}

void Bootstrap::identity_read(const Message& message, Context& context) {
    const pb::DiskReply& reply = message->disk_reply();
    if (reply.error() == 0) {
        std::string error;
        identity_ = parse_identity(message.payload.to_string(), &error);
        if (!identity_) {
            return refuse(str_cat("cannot tell whose data directory this is: ", kIdentityFile, " is damaged: ", error,
                                  ". Restore that file, or start with another --data-dir"),
                          context);
        }
        fresh_ = identity_->cluster_id().empty();
        if (fresh_ && identity_->node_id() != node_.node_id()) {
            return refuse(str_cat("data directory belongs to ", identity_->node_id(), ", and this is ", node_.node_id(),
                                  ": use another --data-dir, or --node-id=", identity_->node_id()),
                          context);
        }
    } else if (reply.error() != pb::STATUS_ENOENT) {
        return refuse(str_cat("cannot read ", kIdentityFile, " in the data directory (errno ", reply.error(), ")"),
                      context);
    }
    step_ = Step::kWaitingForMembers;
    progress("the member list", context);
    if (node_.single_node() || node_.static_members_size() > 0) {
        use_static_view(context);
    } else if (view_) {
        consider_view(context);
    }
}

// --- Who are the members? -------------------------------------------------------------------------------------------

void Bootstrap::use_static_view(Context& context) {
    pb::ClusterView view;
    *view.mutable_members() = node_.static_members();
    if (view.members().empty()) {
        pb::Member* self = view.add_members();
        self->set_id(node_.node_id());
        self->set_role(std::string(kMemberRole));
    }
    std::sort(view.mutable_members()->begin(), view.mutable_members()->end(),
              [](const pb::Member& a, const pb::Member& b) { return a.id() < b.id(); });
    for (const pb::ActorKind to : {pb::PORT_TRANSPORT, pb::ACTOR_FILES, pb::ACTOR_STATUS, pb::ACTOR_CHUNKS,
                                   pb::ACTOR_REPAIRER, pb::ACTOR_MOVER}) {
        context.send(to, message_of(view));
    }
    view_ = std::move(view);
    consider_view(context);
}

void Bootstrap::on_cluster_view(Message message, Context& context) {
    if (node_.single_node() || node_.static_members_size() > 0) return context.unexpected(message);
    pb::ClusterView view = std::move(*message->mutable_cluster_view());
    const bool again = view_ && same_view(*view_, view) && !view_->from_cache() && !view.from_cache();
    equal_views_ = again ? equal_views_ + 1 : 1;
    view_ = std::move(view);
    if (step_ == Step::kWaitingForMembers) return consider_view(context);
    if (step_ == Step::kStarted && !again && !view_->from_cache() && !is_member(node_.node_id())) {
        context.warn("This node is no longer in etcd's member list; who votes does not change by that",
                     {{"members", id_list(ids_of(*view_))}});
    }
}

bool Bootstrap::is_member(std::string_view id) const {
    return std::any_of(view_->members().begin(), view_->members().end(),
                       [&](const pb::Member& member) { return member.id() == id; });
}

void Bootstrap::consider_view(Context& context) {
    if (view_->from_cache() && (fresh_ || (!is_member(node_.node_id()) && !identity_->joined()))) {
        return wait_for("etcd: the list kept on disk is not enough for this node", context);
    }
    // A node that has been here before is not kept out by a wrong list in etcd: it may be needed for a quorum.
    // (A static list is the operator's own.)
    const bool from_etcd = node_.static_members_size() == 0;
    const bool may_be_unlisted = node_.join() || (!fresh_ && (from_etcd || identity_->joined()));
    if (!is_member(node_.node_id()) && !may_be_unlisted) {
        return refuse(
            str_cat(node_.node_id(), " is not in the member list (", id_list(ids_of(*view_)),
                    "): start it with one of these as --node-id, or add it to the list (--peers, or `sandstore "
                    "cluster init` with etcd); a new node of a cluster that runs already needs --join"),
            context);
    }
    if (!view_is_enough(context)) return;
    if (fresh_ && joins() && node_.cluster_id().empty() && view_->cluster_id().empty()) {
        return ask_for_cluster(context);
    }
    const std::string cluster_id = decide_cluster_id();
    if (!node_.cluster_id().empty() && !view_->cluster_id().empty() && node_.cluster_id() != view_->cluster_id()) {
        context.warn("--cluster-id differs from the cluster record in etcd; the flag is used",
                     {{"flag", node_.cluster_id()}, {"record", view_->cluster_id()}});
    } else if (!view_->cluster_id().empty() && view_->cluster_id() != cluster_id) {
        context.warn(
            "The cluster record in etcd is of another cluster than the data directory, which is believed; "
            "correct the record, or --etcd-endpoints",
            {{"directory", cluster_id}, {"record", view_->cluster_id()}});
    }
    if (!fresh_) {
        if (!belongs_to_us(cluster_id, context)) return;
        return identity_->begun() ? look_at_log(context) : note_start(context);
    }
    if (node_.ask_members() && !node_.single_node() && !joins()) return begin_founding(cluster_id, context);
    claim_directory(cluster_id, context);
}

void Bootstrap::claim_storage(Context& context) {
    if (identity_) return;
    identity_.emplace();
    identity_->set_format(kIdentityFormat);
    identity_->set_node_id(node_.node_id());
    identity_->set_storage(new_storage(context));
}

uint64_t Bootstrap::new_storage(Context& context) {
    uint64_t storage = 0;
    while (storage == 0) storage = context.random();
    return storage;
}

void Bootstrap::claim_directory(const std::string& cluster_id, Context& context) {
    claim_storage(context);
    identity_->set_cluster_id(cluster_id);
    if (joins()) {
        identity_->set_joined(true);
    } else {
        for (std::string& id : first_voters()) identity_->add_bootstrap_voters(std::move(id));
    }
    write_identity(Step::kWritingIdentity, context);
}

// Whether this node comes to a cluster that runs already.
bool Bootstrap::joins() const {
    if (!fresh_) return identity_->joined();
    if (node_.single_node()) return false;
    const auto& first = view_->bootstrap_members();
    const bool among_first = std::find(first.begin(), first.end(), node_.node_id()) != first.end();
    return node_.join() || (!first.empty() && !among_first);
}

// Whether a fresh node may go on; one that has been here before knows its cluster from its own disk.
bool Bootstrap::view_is_enough(Context& context) {
    const bool from_etcd = !node_.single_node() && node_.static_members_size() == 0;
    if (!fresh_ || !from_etcd) return true;
    if (joins()) return true;  // The running cluster has what is missing here.
    if (view_->bootstrap_members().empty()) return fresh_view_is_settled(context);
    std::vector<std::string> missing;
    for (const std::string& id : view_->bootstrap_members()) {
        if (!is_member(id)) missing.push_back(id);
    }
    if (missing.empty()) return true;
    wait_for(str_cat("the records of ", id_list(missing), ", which etcd's cluster record names"), context);
    return false;
}

// Without a cluster record nothing says how many nodes there will be, and the list may be in the middle of being
// written.
bool Bootstrap::fresh_view_is_settled(Context& context) {
    if (view_->members_size() < 2) {
        wait_for(str_cat("more members: etcd lists only ", node_.node_id(),
                         "; write the other records or a cluster "
                         "record with `sandstore cluster init`, or start one node alone with --replicator=noop"),
                 context);
        return false;
    }
    if (equal_views_ >= kEqualViewsNeeded) return true;
    wait_for("the member list to stay the same for two polls", context);
    return false;
}

// --- Which cluster is it that we join? ------------------------------------------------------------------------------

// An id made of our own list would be another one than the running cluster made of the list it began with.
void Bootstrap::ask_for_cluster(Context& context) {
    step_ = Step::kAskingForCluster;
    context.cancel_timer(ask_timer_);
    asked_problems_.clear();
    to_ask_.clear();
    for (const pb::Member& member : view_->members()) {
        if (member.id() != node_.node_id()) to_ask_.push_back(member);
    }
    ask_first_member(context);
}

void Bootstrap::ask_first_member(Context& context) {
    if (to_ask_.empty()) {
        step_ = Step::kWaitingForMembers;
        wait_for(str_cat("a node of the cluster to say which cluster it is (",
                         asked_problems_.empty() ? "the member list has no other node" : asked_problems_,
                         "); --cluster-id would say it too"),
                 context);
        ask_timer_ = context.arm_timer(kAskAgainUs, kTagAskAgain);
        return;
    }
    pb::ClusterStatusRequest request;
    request.set_local(true);
    const Address member(str_cat("@", to_ask_.front().address()), pb::ACTOR_STATUS);
    cluster_request_ = context.ask(member, message_of(std::move(request)), kClusterTimeoutUs);
}

void Bootstrap::first_member_failed(std::string_view why, Context& context) {
    str_append(&asked_problems_, asked_problems_.empty() ? "" : "; ", to_ask_.front().id(), ": ", why);
    to_ask_.pop_front();
    ask_first_member(context);
}

void Bootstrap::on_cluster_status(Message message, Context& context) {
    const pb::ClusterStatus& answer = message->cluster_status();
    if (take_founder_asked(message)) return consider_founder(answer, context);
    if (cluster_request_ == 0 || message->reply_to() != cluster_request_) return context.unexpected(message);
    cluster_request_ = 0;
    if (answer.status().code() != pb::STATUS_OK) return first_member_failed(answer.status().message(), context);
    // One that has only just begun may be about to find out that it is in the wrong place itself.
    if (!is_cluster_name(answer.cluster_id()) || answer.leader_id().empty()) {
        return first_member_failed("it knows no leader yet", context);
    }
    context.info("Joins", {{"cluster", answer.cluster_id()}, {"said_by", to_ask_.front().id()}});
    claim_storage(context);
    if (answer.nodes_size() == 1) identity_->set_founding(answer.nodes(0).founding().founding());
    claim_directory(answer.cluster_id(), context);
}

// --- Whose cluster, and is it ours? ---------------------------------------------------------------------------------

std::string Bootstrap::decide_cluster_id() const {
    if (!node_.cluster_id().empty()) return node_.cluster_id();
    // etcd is an address book: one that was lost and written anew does not rename a cluster that runs.
    if (!fresh_ && node_.static_members_size() == 0 && !node_.single_node()) return identity_->cluster_id();
    if (!view_->cluster_id().empty()) return view_->cluster_id();
    if (!fresh_) return identity_->cluster_id();
    const bool from_list = node_.single_node() || node_.static_members_size() > 0;
    return derived_cluster_id(from_list ? "static" : "etcd", ids_of(*view_));
}

std::vector<std::string> Bootstrap::first_voters() const {
    if (node_.single_node()) return {node_.node_id()};
    std::vector<std::string> voters =
        view_->bootstrap_members().empty() ? ids_of(*view_) : strings(view_->bootstrap_members());
    std::sort(voters.begin(), voters.end());
    return voters;
}

bool Bootstrap::belongs_to_us(const std::string& cluster_id, Context& context) {
    const std::string owner =
        str_cat("data directory belongs to ", identity_->node_id(), " of cluster ", identity_->cluster_id(), " (",
                identity_->joined() ? "which it joined" : id_list(strings(identity_->bootstrap_voters())), ")");
    if (identity_->node_id() != node_.node_id()) {
        refuse(str_cat(owner, ", and this is ", node_.node_id(),
                       ": use another --data-dir, or --node-id=", identity_->node_id()),
               context);
        return false;
    }
    if (identity_->cluster_id() != cluster_id) {
        refuse(str_cat(owner, ", and this node is to run in cluster ", cluster_id,
                       ": use another --data-dir, or --cluster-id=", identity_->cluster_id()),
               context);
        return false;
    }
    const std::vector<std::string> voters = strings(identity_->bootstrap_voters());
    const bool alone = std::all_of(voters.begin(), voters.end(), [&](const auto& id) { return id == node_.node_id(); });
    if (node_.single_node() && (identity_->joined() || !alone)) {
        refuse(str_cat(owner, ", which agrees by Raft: start it without --replicator=noop, or use another --data-dir"),
               context);
        return false;
    }
    if (!node_.cluster_id().empty() || !view_->cluster_id().empty() || alone) return true;
    // Nothing names the cluster this time. With etcd neither a lost cluster record nor a wrong list does harm: the
    // others' hellos tell clusters apart. A start with a fixed list is as its operator wrote it, and then the name that
    // was given once belongs there too.
    if (node_.static_members_size() == 0) return true;
    if (!is_derived_cluster_id(identity_->cluster_id())) {
        refuse(str_cat(owner, ", and no cluster is named here: use another --data-dir, or --cluster-id=",
                       identity_->cluster_id()),
               context);
        return false;
    }
    const bool any_known = std::any_of(voters.begin(), voters.end(),
                                       [&](const auto& id) { return id != node_.node_id() && is_member(id); });
    if (any_known || was_recovered(*identity_)) return true;
    refuse(str_cat(owner, ", and none of its other nodes is in the member list (", id_list(ids_of(*view_)),
                   "): use another --data-dir, or the member list of that cluster"),
           context);
    return false;
}

// --- Going ahead ----------------------------------------------------------------------------------------------------

void Bootstrap::write_identity(Step next, Context& context) {
    if (std::exchange(step_, next) != next) progress("the data directory to be claimed", context);
    if (next == Step::kWritingIdentity) add_start(context);
    identity_changed_ = false;
    std::string text = identity_text(*identity_);
    pb::DiskRequest request;
    auto* replace = request.add_operations()->mutable_replace();
    replace->set_file(std::string(kIdentityFile));
    replace->set_length(text.size());
    disk_request_ =
        context.ask(pb::PORT_LOG_DISK, message_of(std::move(request), Payload(std::move(text))), kDiskTimeoutUs);
}

void Bootstrap::start_transport(Context& context) {
    step_ = Step::kLookingForDuplicate;
    context.info(fresh_ ? "New node" : "Known node",
                 {{"cluster", identity_->cluster_id()},
                  {"voters_at_start",
                   identity_->joined() ? "none: it joins" : id_list(strings(identity_->bootstrap_voters()))}});
    warn_of_recovery(context);
    progress("a sign of another process with this node id", context);
    pb::StartTransport start;
    start.set_cluster_id(identity_->cluster_id());
    start.set_node_id(node_.node_id());
    start.set_instance_id(node_.instance_id());
    start.set_founding(founding_in_force(*identity_));
    context.send(pb::PORT_TRANSPORT, message_of(std::move(start)));
    pb::BootProgress ours;
    ours.set_cluster_id(identity_->cluster_id());
    if (!node_.single_node() && node_.static_members_size() == 0) {
        context.send(pb::ACTOR_ETCD_POLLER, message_of(std::move(ours)));
    }
    duplicate_timer_ = context.arm_timer(kDuplicateWaitUs, kTagNoDuplicate);
}

std::string Bootstrap::own_address() const {
    for (const pb::Member& member : view_->members()) {
        if (member.id() == node_.node_id()) return member.address();
    }
    return "";
}

void Bootstrap::on_duplicate_node(Message message, Context& context) {
    const pb::DuplicateNode& other = message->duplicate_node();
    if (other.instance_id() == node_.instance_id() || step_ == Step::kRefused) return;
    refuse(str_cat("another process already runs as ", node_.node_id(), " at ",
                   other.address().empty() ? own_address() : other.address(), ": stop it or choose another --node-id"),
           context);
}

void Bootstrap::on_timer_fired(Message message, Context& context) {
    if (message->timer_fired().tag() == kTagAskAgain) {
        if (step_ == Step::kWaitingForMembers) consider_view(context);
        return;
    }
    if (message->timer_fired().tag() == kTagAskDiskAgain) return look_again(context);
    if (message->timer_fired().tag() != kTagNoDuplicate || step_ != Step::kLookingForDuplicate) {
        return context.unexpected(message);
    }
    look_at_chunks(context);
}

void Bootstrap::start_actors(Context& context) {
    step_ = Step::kStarted;
    const auto complete = [&](auto* start) {
        start->set_cluster_id(identity_->cluster_id());
        start->set_node_id(node_.node_id());
    };
    complete(held_[pb::Envelope::kStartLog]->mutable_start_log());
    complete(held_[pb::Envelope::kStartSnapshots]->mutable_start_snapshots());
    pb::StartRaft* raft = held_[pb::Envelope::kStartRaft]->mutable_start_raft();
    complete(raft);
    *raft->mutable_bootstrap_voters() = identity_->bootstrap_voters();
    *raft->mutable_bootstrap_storages() = identity_->storages();
    raft->set_founding(identity_->founding());
    raft->set_recover_founding(identity_->recover_founding());
    raft->set_storage(identity_->storage());
    *raft->mutable_starts() = identity_->starts();
    if (planted("voters-from-discovery")) {
        raft->clear_bootstrap_voters();
        for (const pb::Member& member : view_->members()) raft->add_bootstrap_voters(member.id());
    }
    raft->set_join(identity_->joined());
    held_[pb::Envelope::kStartFiles]->mutable_start_files()->set_node_id(node_.node_id());
    held_[pb::Envelope::kStartChunks]->mutable_start_chunks()->set_node_id(node_.node_id());
    held_[pb::Envelope::kStartRepairer]->mutable_start_repairer()->set_node_id(node_.node_id());
    held_[pb::Envelope::kStartMover]->mutable_start_mover()->set_node_id(node_.node_id());
    for (const int body : kStartOrder) pass_on(body, context);
    progress("", context);
}

void Bootstrap::pass_on(int body, Context& context) {
    const auto receiver = [](int start) {
        switch (start) {
            case pb::Envelope::kStartLog:
                return pb::ACTOR_LOG;
            case pb::Envelope::kStartSnapshots:
                return pb::ACTOR_SNAPSHOTS;
            case pb::Envelope::kStartRaft:
                return pb::ACTOR_RAFT;
            case pb::Envelope::kStartStateMachine:
                return pb::ACTOR_STATE_MACHINE;
            case pb::Envelope::kStartFiles:
                return pb::ACTOR_FILES;
            case pb::Envelope::kStartChunks:
                return pb::ACTOR_CHUNKS;
            case pb::Envelope::kStartRepairer:
                return pb::ACTOR_REPAIRER;
            case pb::Envelope::kStartMover:
                return pb::ACTOR_MOVER;
            case pb::Envelope::kStartStatus:
                return pb::ACTOR_STATUS;
            default:
                return pb::ACTOR_NONE;
        }
    };
    auto held = held_.extract(body);
    SANDSTORE_CHECK(!held.empty(), "body=", body);
    context.send(receiver(body), std::move(held.mapped()));
}

// --- Saying so ------------------------------------------------------------------------------------------------------

void Bootstrap::wait_for(std::string what, Context& context) {
    if (what == waiting_for_) return;
    waiting_for_ = std::move(what);
    context.info("Waiting", {{"for", waiting_for_}});
    progress(waiting_for_, context);
}

void Bootstrap::progress(std::string_view waiting_for, Context& context) {
    pb::BootProgress progress;
    progress.set_waiting_for(std::string(waiting_for));
    if (identity_) progress.set_cluster_id(identity_->cluster_id());
    *progress.mutable_founding() = own_founding();
    context.send(pb::ACTOR_STATUS, message_of(std::move(progress)));
}

void Bootstrap::refuse(std::string why, Context& context) {
    step_ = Step::kRefused;
    context.fail_stop(std::move(why));
}

}  // namespace sandstore
