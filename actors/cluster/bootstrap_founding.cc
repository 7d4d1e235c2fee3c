// Bootstrap: how a cluster begins, and how a node finds out that it was there before.
//
// An empty directory is either new, or one that was lost; the node itself cannot tell. So the first voters tell each
// other that they are fresh, and with which storages, before any of them begins: a node that answers that it belongs to
// a cluster already ends that, and one that does not answer is waited for. What was agreed, all storages included, is
// the first configuration of the log, so no vote is ever cast that is not bound to a storage.
#include <algorithm>
#include <utility>

#include "actors/cluster/bootstrap.h"
#include "actors/cluster/identity.h"
#include "actors/cluster/member_record.h"
#include "actors/log/segment_format.h"
#include "actors/raft/storage_starts.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kFounderTimeoutUs = 500'000;
constexpr uint64_t kAskFoundersAgainUs = 200'000;
// By then a leader has noticed that a process is gone.
constexpr uint64_t kDuplicatePatienceUs = 5'000'000;
constexpr uint64_t kDiskTimeoutUs = 60'000'000;

template <typename Names>
bool names(const Names& list, std::string_view node) {
    return std::find(list.begin(), list.end(), node) != list.end();
}

// 0: none of that name.
uint64_t storage_in(const google::protobuf::RepeatedPtrField<pb::RaftStorage>& storages, std::string_view node) {
    for (const pb::RaftStorage& known : storages) {
        if (known.id() == node) return known.storage();
    }
    return 0;
}

bool is_member_by(const pb::NodeStatus& other, std::string_view node) {
    const pb::RaftConfiguration& members = other.raft().configuration();
    if (members.voters().empty()) return storage_in(other.founding().storages(), node) != 0;
    return names(members.voters(), node) || names(members.learners(), node) || names(members.old_voters(), node);
}

}  // namespace

// What others are told who ask us.
pb::Founding Bootstrap::own_founding() const {
    pb::Founding founding;
    if (!identity_ || step_ == Step::kClaimingStorage) return founding;
    founding.set_storage(identity_->storage());
    founding.set_fresh(identity_->cluster_id().empty());
    founding.set_returned(identity_->returned());
    founding.set_founding(founding_in_force(*identity_));
    *founding.mutable_storages() = identity_->storages();
    if (founding.fresh() && !cluster_to_claim_.empty()) {
        founding.set_cluster_id(cluster_to_claim_);
        for (std::string& voter : first_voters()) founding.add_voters(std::move(voter));
    }
    return founding;
}

// --- Beginning a cluster --------------------------------------------------------------------------------------------

void Bootstrap::begin_founding(const std::string& cluster_id, Context& context) {
    cluster_to_claim_ = cluster_id;
    if (identity_) return ask_founders(context);
    // Durable before anybody hears of it: what others will bind our vote to.
    claim_storage(context);
    write_identity(Step::kClaimingStorage, context);
}

void Bootstrap::ask_founders(Context& context) {
    step_ = Step::kAskingFounders;
    context.cancel_timer(ask_timer_);
    fresh_founders_ = {{node_.node_id(), identity_->storage()}};
    founders_problems_.clear();
    progress(waiting_for_.empty() ? "the other first voters to say that they are new too" : waiting_for_, context);
    for (const pb::Member& member : view_->members()) {
        if (member.id() == node_.node_id() || member.address().empty()) continue;
        pb::ClusterStatusRequest request;
        request.set_local(true);
        const Address to(str_cat("@", member.address()), pb::ACTOR_STATUS);
        founders_asked_[context.ask(to, message_of(std::move(request)), kFounderTimeoutUs)] = member.id();
    }
    end_asking(context);
}

bool Bootstrap::take_founder_asked(const Message& answer) {
    auto asked = founders_asked_.extract(answer->reply_to());
    if (asked.empty()) return false;
    founder_answering_ = asked.mapped();
    return true;
}

void Bootstrap::founder_failed(std::string_view why, Context& context) {
    if (step_ != Step::kAskingFounders) return;  // Another answer has ended it.
    founders_problems_[founder_answering_] = why;
    end_asking(context);
}

void Bootstrap::consider_founder(const pb::ClusterStatus& answer, Context& context) {
    if (step_ != Step::kAskingFounders) return;
    if (answer.status().code() != pb::STATUS_OK) return founder_failed(answer.status().message(), context);
    if (answer.nodes_size() != 1 || answer.nodes(0).id() != founder_answering_) {
        return founder_failed("another node answers at its address", context);
    }
    const pb::NodeStatus& other = answer.nodes(0);
    if (other.founding().storage() == 0) return founder_failed("it has only just started", context);
    if (!other.founding().fresh()) {
        if (consider_running(answer, context)) return;
        return founder_failed("it waits itself to be added to a cluster", context);
    }
    if (const std::string problem = no_common_founding(other); !problem.empty())
        return founder_failed(problem, context);
    fresh_founders_[founder_answering_] = other.founding().storage();
    end_asking(context);
}

std::string Bootstrap::no_common_founding(const pb::NodeStatus& other) const {
    const pb::Founding& founding = other.founding();
    if (!names(first_voters(), other.id())) return "it is new too";
    if (founding.voters().empty()) return "it was started with --join, or has no member list yet";
    const std::vector<std::string> theirs(founding.voters().begin(), founding.voters().end());
    if (theirs == first_voters() && founding.cluster_id() == cluster_to_claim_) return "";
    return str_cat("it would begin cluster ", founding.cluster_id(), " with ", id_list(theirs), ", and this node ",
                   cluster_to_claim_, " with ", id_list(first_voters()), ": correct one of the member lists");
}

// Somebody belongs to a cluster already. False: that one says nothing about us.
bool Bootstrap::consider_running(const pb::ClusterStatus& answer, Context& context) {
    const pb::NodeStatus& other = answer.nodes(0);
    if (answer.cluster_id() != cluster_to_claim_) {
        refuse(str_cat(other.id(), " belongs to cluster ", answer.cluster_id(),
                       ", which runs already, and this node would begin cluster ", cluster_to_claim_,
                       ": start it with --join to take it into that cluster, or correct the member list or "
                       "--cluster-id"),
               context);
        return true;
    }
    // One that began before us, with what we told it.
    if (storage_in(other.founding().storages(), node_.node_id()) == identity_->storage()) {
        std::map<std::string, uint64_t> storages;
        for (const pb::RaftStorage& known : other.founding().storages()) storages[known.id()] = known.storage();
        found(storages, context);
        return true;
    }
    for (const pb::RaftPeerStatus& peer : other.raft().peers()) {
        if (peer.node_id() != node_.node_id() || !peer.reachable() || peer.match_index() == 0) continue;
        // At first that may be what it has heard of this node's process before this one.
        if (duplicate_since_us_ == 0) duplicate_since_us_ = context.now_us();
        if (context.now_us() - duplicate_since_us_ < kDuplicatePatienceUs) {
            founder_failed(str_cat("it hears another process that runs as ", node_.node_id()), context);
            return true;
        }
        refuse(str_cat("another process already runs as ", node_.node_id(), " at ", own_address(),
                       ": stop it or choose another --node-id"),
               context);
        return true;
    }
    if (is_member_by(other, node_.node_id())) {
        return_to(answer, context);
        return true;
    }
    if (other.raft().configuration().voters().empty()) return false;
    refuse(str_cat(other.id(), " runs cluster ", answer.cluster_id(), ", and ", node_.node_id(),
                   " is no member of it: start it with --join, and run `sandstore cluster add ", node_.node_id(), " ",
                   own_address(), "`. A cluster begins only once"),
           context);
    return true;
}

// We were there before, on a storage that is gone.
void Bootstrap::return_to(const pb::ClusterStatus& answer, Context& context) {
    context.warn(
        "The data directory is empty, and this node is a member already: it learns all anew, and has no vote "
        "until the log gives it back",
        {{"cluster", answer.cluster_id()}, {"said_by", founder_answering_}});
    identity_->set_cluster_id(answer.cluster_id());
    identity_->set_founding(answer.nodes(0).founding().founding());
    identity_->set_joined(true);
    identity_->set_returned(true);
    write_identity(Step::kWritingIdentity, context);
}

void Bootstrap::end_asking(Context& context) {
    if (!founders_asked_.empty()) return;
    std::vector<std::string> missing;
    std::string problems;
    for (const std::string& voter : first_voters()) {
        if (fresh_founders_.contains(voter)) continue;
        missing.push_back(voter);
        const auto problem = founders_problems_.find(voter);
        const bool known = problem != founders_problems_.end();
        str_append(&problems, problems.empty() ? "" : "; ", voter, ": ",
                   known ? problem->second : "no address is known");
    }
    if (missing.empty()) return found(fresh_founders_, context);
    if (planted("founds-although-peers-silent")) return claim_directory(cluster_to_claim_, context);
    step_ = Step::kWaitingForMembers;
    wait_for(str_cat("an answer of ", id_list(missing), " (", problems,
                     "): the data directory is empty, and only when all first voters say the same of theirs is there "
                     "no cluster that this would be a second of; start them"),
             context);
    ask_timer_ = context.arm_timer(kAskFoundersAgainUs, kTagAskAgain);
}

void Bootstrap::found(const std::map<std::string, uint64_t>& storages, Context& context) {
    for (const auto& [voter, storage] : storages) {
        identity_->add_bootstrap_voters(voter);
        pb::RaftStorage* known = identity_->add_storages();
        known->set_id(voter);
        known->set_storage(storage);
    }
    identity_->set_cluster_id(cluster_to_claim_);
    identity_->set_founding(founding_of(*identity_));
    write_identity(Step::kWritingIdentity, context);
}

// --- A log that was lost --------------------------------------------------------------------------------------------

void Bootstrap::look_at_log(Context& context) {
    step_ = Step::kLookingAtLog;
    progress("a look at the log's directory", context);
    pb::DiskRequest request;
    request.add_operations()->mutable_list()->set_directory(std::string(kLogDirectory));
    disk_request_ = context.ask(pb::PORT_LOG_DISK, message_of(std::move(request)), kDiskTimeoutUs);
}

// There was a log here, so without one this is another storage: what the node promised is forgotten.
void Bootstrap::log_listed(const pb::DiskReply& reply, Context& context) {
    if (reply.error() != 0) {
        return refuse(
            str_cat("cannot list the directory ", kLogDirectory, " in the data directory (errno ", reply.error(), ")"),
            context);
    }
    for (const pb::DiskFile& file : reply.files()) {
        const std::optional<LogFileName> name = parse_file_name(file.name());
        if (name && !name->spare) return note_start(context);
    }
    const bool alone = !identity_->joined() && identity_->bootstrap_voters_size() == 1;
    if (!identity_->recover_founding().empty()) return refuse_without_log(context);
    if (node_.single_node() || alone) {
        return refuse(str_cat("the log of this node is gone from the data directory, and no other node holds it: bring "
                              "back the directory ",
                              kLogDirectory, ", or start with an empty data directory and restore a backup"),
                      context);
    }
    context.warn(
        "The log is gone from the data directory: this node learns all anew, and has no vote until the log of "
        "the others gives it back");
    take_storage(new_storage(context));
    identity_->clear_bootstrap_voters();
    identity_->clear_storages();
    identity_->set_joined(true);
    identity_->set_returned(true);
    identity_->set_begun(false);
    write_identity(Step::kWritingIdentity, context);
}

// --- Starts of the storage ------------------------------------------------------------------------------------------

void Bootstrap::take_storage(uint64_t storage) {
    identity_->set_storage(storage);
    identity_->clear_starts();
}

void Bootstrap::add_start(Context& context) {
    if (!notes_starts_ || std::exchange(start_added_, true)) return;
    const std::vector<uint64_t> starts(identity_->starts().begin(), identity_->starts().end());
    identity_->add_starts(next_start(identity_->storage(), starts, context.random()));
    const int surplus = identity_->starts_size() - static_cast<int>(kStartsKept);
    if (surplus > 0) identity_->mutable_starts()->ExtractSubrange(0, surplus, nullptr);
}

void Bootstrap::note_start(Context& context) {
    if (!notes_starts_) return start_transport(context);
    progress("its start to be noted in the data directory", context);
    add_start(context);
    write_identity(Step::kNotingStart, context);
}

// A full disk must not keep a node from starting: what is told of it is its start before.
void Bootstrap::start_not_noted(int error, Context& context) {
    context.warn(
        "Cannot write identity.json into the data directory: should a copy of it that was made before this start be "
        "put in its place, nobody would notice",
        {{"errno", std::to_string(error)}});
    identity_->mutable_starts()->RemoveLast();
    start_transport(context);
}

// The directory is an older copy. Also after a restart it is not the storage that made later promises; should this not
// reach the disk, the same is found out once more.
void Bootstrap::on_storage_changed(const Message& message, Context& context) {
    if (step_ != Step::kStarted) return context.unexpected(message);
    take_storage(message->storage_changed().storage());
    change_identity(context);
}

// While the node runs. A change that comes during a write is written after it.
void Bootstrap::change_identity(Context& context) {
    identity_changed_ = true;
    if (disk_request_ == 0) write_identity(Step::kStarted, context);
}

// The log holds something from now on; that of a node which waits to be added is empty.
void Bootstrap::on_configuration_changed(const pb::ConfigurationChanged& changed, Context& context) {
    if (step_ != Step::kStarted || !changed.committed()) return;
    if (changed.configuration().voters().empty()) return;
    if (note_recovery(changed.configuration(), context)) return;
    const std::string& founding = changed.configuration().founding();
    if (identity_->begun() && (founding.empty() || founding == identity_->founding())) return;
    identity_->set_begun(true);
    if (!founding.empty()) identity_->set_founding(founding);
    change_identity(context);
}

}  // namespace sandstore
