#include "actors/cluster/etcd_poller.h"

#include <algorithm>

#include "actors/cluster/member_record.h"
#include "actors/cluster/strict_json.h"
#include "actors/cluster/view_cache.h"
#include "messages/envelope.pb.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr uint64_t kDiskTimeoutUs = 10'000'000;
constexpr uint64_t kHttpSlackUs = 1'000'000;  // The HTTP client ends a request before the runtime does.
constexpr uint64_t kFailureTextMax = 500;
constexpr unsigned kBackoffDoublingsMax = 16;

Counter& polls_failed(MetricsRegistry& metrics) {
    return metrics.counter("sandstore_etcd_polls_failed_total", "Polls that no etcd endpoint answered.");
}

Counter& polls_answered(MetricsRegistry& metrics) {
    return metrics.counter("sandstore_etcd_polls_answered_total", "Polls that etcd answered.");
}

Gauge& connected(MetricsRegistry& metrics) {
    return metrics.gauge("sandstore_etcd_connected", "Whether etcd answered the last poll.");
}

// "etcd:2379", "http://etcd:2379/" -> "http://etcd:2379".
std::string base_url(std::string_view endpoint) {
    while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
    return endpoint.find("://") == std::string_view::npos ? str_cat("http://", endpoint) : std::string(endpoint);
}

}  // namespace

void EtcdPoller::receive(Message message, Context& context) {
    switch (message->body_case()) {
        case pb::Envelope::kStartPoller:
            return on_start_poller(std::move(message), context);
        case pb::Envelope::kHttpReply:
            return on_http_reply(std::move(message), context);
        case pb::Envelope::kDiskReply:
            return on_disk_reply(std::move(message), context);
        case pb::Envelope::kRequestFailed:
            return on_request_failed(std::move(message), context);
        case pb::Envelope::kBootProgress:
            return on_boot_progress(std::move(message), context);
        case pb::Envelope::kRoleChanged:
            return auto_join_.on_role(message->role_changed(), context);
        case pb::Envelope::kConfigurationChanged:
            return auto_join_.on_configuration(message->configuration_changed(), context);
        case pb::Envelope::kMembershipChanged:
            return on_membership_changed(std::move(message), context);
        case pb::Envelope::kTimerFired:
            return on_timer_fired(std::move(message), context);
        default:
            context.unexpected(message);
    }
}

void EtcdPoller::on_start_poller(Message message, Context& context) {
    if (state_ != State::kIdle) return context.unexpected(message);
    config_ = std::move(*message->mutable_start_poller());
    if (config_.auto_join()) auto_join_.enable();
    for (const std::string& endpoint : config_.endpoints()) endpoints_.push_back(base_url(endpoint));
    if (endpoints_.empty()) return context.fail_stop("no etcd endpoint to ask: give --etcd-endpoints or --peers");
    polls_failed(context.metrics());
    polls_answered(context.metrics());
    state_ = State::kReadingCache;
    pb::DiskRequest request;
    auto* read = request.add_operations()->mutable_read();
    read->set_file(std::string(kViewCacheFile));
    read->set_length(kJsonBytesMax + 1);
    read_request_ = context.ask(pb::PORT_LOG_DISK, message_of(std::move(request)), kDiskTimeoutUs);
}

// --- The view kept on disk ------------------------------------------------------------------------------------------

void EtcdPoller::on_disk_reply(Message message, Context& context) {
    if (message->reply_to() == read_request_) return cache_read(message, context);
    if (message->reply_to() != write_request_) return context.unexpected(message);
    write_request_ = 0;
    if (message->disk_reply().error() == 0) {
        saved_ = std::move(saving_);
    } else {
        context.warn("Cannot keep the member list on disk",
                     {{"file", kViewCacheFile}, {"errno", message->disk_reply().error()}});
    }
    saving_.clear();
    // What changed meanwhile; after a failure only the next change tries again.
    if (message->disk_reply().error() == 0) save_view(context);
}

void EtcdPoller::cache_read(const Message& message, Context& context) {
    read_request_ = 0;
    const pb::DiskReply& reply = message->disk_reply();
    if (reply.error() == 0) {
        const std::string text = message.payload.to_string();
        std::string error;
        cached_ = parse_view_cache(text, &error);
        if (cached_) {
            saved_ = text;
        } else {
            context.warn("The member list kept on disk cannot be used", {{"file", kViewCacheFile}, {"error", error}});
        }
    } else if (reply.error() != pb::STATUS_ENOENT) {
        context.warn("Cannot read the member list kept on disk", {{"file", kViewCacheFile}, {"errno", reply.error()}});
    }
    begin_round(context);
}

void EtcdPoller::on_boot_progress(Message message, Context& context) {
    if (message->boot_progress().cluster_id().empty()) return;
    may_write_ = true;
    save_view(context);
}

void EtcdPoller::save_view(Context& context) {
    if (!may_write_ || write_request_ != 0 || !view_ || view_->from_cache()) return;
    std::string text = view_cache_text(*view_);
    if (text == saved_) return;
    pb::DiskRequest request;
    auto* replace = request.add_operations()->mutable_replace();
    replace->set_file(std::string(kViewCacheFile));
    replace->set_length(text.size());
    saving_ = text;
    write_request_ =
        context.ask(pb::PORT_LOG_DISK, message_of(std::move(request), Payload(std::move(text))), kDiskTimeoutUs);
}

// --- Polling --------------------------------------------------------------------------------------------------------

void EtcdPoller::begin_round(Context& context) {
    state_ = State::kAsking;
    failures_in_round_ = 0;
    failures_.clear();
    ask_endpoint(context);
}

void EtcdPoller::ask_endpoint(Context& context) {
    pb::HttpRequest request;
    request.set_method("POST");
    request.set_url(endpoints_[endpoint_] + "/v3/kv/range");
    request.set_content_type("application/json");
    request.set_timeout_ms(config_.request_timeout_ms());
    request.set_response_bytes_max(kJsonBytesMax);
    const uint64_t timeout_us = config_.request_timeout_ms() * 1000 + kHttpSlackUs;
    http_request_ = context.ask(pb::PORT_HTTP_CLIENT,
                                message_of(std::move(request), Payload(etcd_range_body(kConfigPrefix))), timeout_us);
}

void EtcdPoller::on_http_reply(Message message, Context& context) {
    if (message->reply_to() != http_request_) return context.unexpected(message);
    http_request_ = 0;
    const pb::HttpReply& reply = message->http_reply();
    if (reply.code() == 0) return endpoint_failed(reply.error().empty() ? "no answer" : reply.error(), context);
    if (reply.code() != 200) {
        return endpoint_failed(etcd_refusal(reply.code(), message.payload.to_string()), context);
    }
    std::string error;
    const std::optional<std::vector<EtcdRecord>> records = parse_etcd_range(message.payload.to_string(), &error);
    if (!records) return endpoint_failed(std::move(error), context);
    round_succeeded(*records, context);
}

void EtcdPoller::on_membership_changed(Message message, Context& context) {
    if (!auto_join_.on_answer(message, context)) context.unexpected(message);
}

void EtcdPoller::on_request_failed(Message message, Context& context) {
    if (auto_join_.on_answer(message, context)) return;
    const RequestId request = message->reply_to();
    const std::string& why = message->request_failed().status().message();
    if (request == http_request_) {
        http_request_ = 0;
        endpoint_failed(why.empty() ? "no answer" : why, context);
    } else if (request == read_request_) {
        read_request_ = 0;
        context.warn("Cannot read the member list kept on disk", {{"file", kViewCacheFile}, {"error", why}});
        begin_round(context);
    } else if (request == write_request_) {
        write_request_ = 0;
        saving_.clear();
        context.warn("Cannot keep the member list on disk", {{"file", kViewCacheFile}, {"error", why}});
    } else {
        context.unexpected(message);
    }
}

void EtcdPoller::endpoint_failed(std::string why, Context& context) {
    if (failures_.size() < kFailureTextMax) {
        str_append(&failures_, failures_.empty() ? "" : "; ", endpoints_[endpoint_], ": ", why);
    }
    endpoint_ = (endpoint_ + 1) % endpoints_.size();
    if (++failures_in_round_ < endpoints_.size()) return ask_endpoint(context);
    round_failed(context);
}

void EtcdPoller::round_failed(Context& context) {
    ++attempts_;
    const uint64_t delay_us = backoff_us(context);
    polls_failed(context.metrics()).add();
    connected(context.metrics()).set(0);
    if (!answered_) {
        context.warn("etcd does not answer, trying again",
                     {{"attempt", attempts_}, {"next_in_ms", delay_us / 1000}, {"error", failures_}});
        if (cached_ && !view_) {
            context.info("Using the member list kept on disk until etcd answers",
                         {{"members", cached_->members_size()}});
            view_ = std::move(cached_);
            publish(*view_, context);
        }
        cached_.reset();
    } else if (!away_) {
        away_ = true;
        context.warn("etcd does not answer any more; the last member list stays in use", {{"error", failures_}});
    }
    state_ = State::kPausing;
    context.arm_timer(delay_us, kTagPoll);
}

// Doubling from the minimum to the maximum, and somewhere in the upper half of that, so that nodes spread out.
uint64_t EtcdPoller::backoff_us(Context& context) const {
    const unsigned doublings = static_cast<unsigned>(std::min<uint64_t>(attempts_ - 1, kBackoffDoublingsMax));
    const uint64_t least_us = std::max<uint64_t>(config_.retry_min_ms(), 1) * 1000;
    const uint64_t most_us = std::max(config_.retry_max_ms() * 1000, least_us);
    const uint64_t delay_us = std::min(least_us << doublings, most_us);
    return delay_us / 2 + context.random() % (delay_us / 2 + 1);
}

void EtcdPoller::round_succeeded(const std::vector<EtcdRecord>& records, Context& context) {
    if (!answered_) {
        context.info("etcd answers", {{"endpoint", endpoints_[endpoint_]}});
    } else if (away_) {
        context.info("etcd answers again", {{"endpoint", endpoints_[endpoint_]}});
    }
    answered_ = true;
    away_ = false;
    attempts_ = 0;
    polls_answered(context.metrics()).add();
    connected(context.metrics()).set(1);
    // A start with a list on disk: what etcd says is measured against it.
    const bool had_members = last_view() != nullptr;
    pb::ClusterView view = read_records(records, context);
    if (view.members_size() == 0) {
        if (!empty_warned_) {
            empty_warned_ = true;
            context.warn(had_members ? "etcd has no usable member records; the last member list stays in use"
                                     : "etcd has no usable member records; `sandstore cluster init` writes them",
                         {{"prefix", kNodesPrefix}});
        }
        if (!view_ && cached_) {
            view_ = std::move(cached_);
            publish(*view_, context);
        }
        confirmed_ = false;
    } else {
        empty_warned_ = false;
        accept(std::move(view), context);
    }
    cached_.reset();
    state_ = State::kPausing;
    context.arm_timer(std::max<uint64_t>(config_.poll_interval_ms(), 1) * 1000, kTagPoll);
}

void EtcdPoller::on_timer_fired(Message message, Context& context) {
    if (message->timer_fired().tag() == kTagAutoJoin) return auto_join_.on_timer(context);
    if (message->timer_fired().tag() != kTagPoll || state_ != State::kPausing) return context.unexpected(message);
    begin_round(context);
}

// --- What the records say -------------------------------------------------------------------------------------------

pb::ClusterView EtcdPoller::read_records(const std::vector<EtcdRecord>& records, Context& context) {
    pb::ClusterView view;
    std::map<std::string, std::string> still_there;
    for (const EtcdRecord& record : records) {
        if (auto known = warned_.find(record.key); known != warned_.end()) still_there.insert(*known);
    }
    warned_ = std::move(still_there);
    for (const EtcdRecord& record : records) {
        if (record.key == kClusterKey) {
            read_cluster(record, &view, context);
        } else if (record.key.starts_with(kNodesPrefix)) {
            read_member(record, &view, context);
        } else {
            warn_once(record, "nothing here reads this key", context);
        }
    }
    warn_about_shared_addresses(view, context);
    return view;
}

void EtcdPoller::read_member(const EtcdRecord& record, pb::ClusterView* view, Context& context) {
    const std::string id = record.key.substr(kNodesPrefix.size());
    std::string error;
    std::optional<pb::Member> member = parse_member_record(id, record.value, &error);
    if (member && view->members_size() >= static_cast<int>(kMembersMax)) {
        error = str_cat("there are more than ", kMembersMax, " members");
        member.reset();
    }
    if (member) {
        warned_.erase(record.key);
        *view->add_members() = std::move(*member);
        return;
    }
    warn_once(record, error, context);
    // A record that was good and was spoiled: whoever is there now is better found under the old address than not.
    const pb::ClusterView* before = last_view();
    if (before == nullptr) return;
    for (const pb::Member& known : before->members()) {
        if (known.id() == id) *view->add_members() = known;
    }
}

void EtcdPoller::read_cluster(const EtcdRecord& record, pb::ClusterView* view, Context& context) {
    std::string error;
    const std::optional<ClusterRecord> cluster = parse_cluster_record(record.value, &error);
    if (cluster) {
        warned_.erase(record.key);
        view->set_cluster_id(cluster->id);
        for (const std::string& id : cluster->members) view->add_bootstrap_members(id);
        return;
    }
    warn_once(record, error, context);
    const pb::ClusterView* before = last_view();
    if (before == nullptr) return;
    view->set_cluster_id(before->cluster_id());
    *view->mutable_bootstrap_members() = before->bootstrap_members();
}

const pb::ClusterView* EtcdPoller::last_view() const {
    if (view_) return &*view_;
    return cached_ ? &*cached_ : nullptr;
}

void EtcdPoller::warn_once(const EtcdRecord& record, std::string_view why, Context& context) {
    const auto known = warned_.find(record.key);
    if (known != warned_.end() && known->second == record.value) return;
    warned_[record.key] = record.value;
    context.warn("Skipping a record in etcd", {{"key", record.key}, {"why", why}});
}

void EtcdPoller::warn_about_shared_addresses(const pb::ClusterView& view, Context& context) {
    std::map<std::string, std::string> ids;
    std::string shared;
    for (const pb::Member& member : view.members()) {
        const auto [first, added] = ids.emplace(member.address(), member.id());
        if (!added)
            str_append(&shared, shared.empty() ? "" : "; ", first->second, " and ", member.id(), ": ",
                       member.address());
    }
    if (!shared.empty() && shared != shared_address_warned_) {
        context.warn("Members in etcd share an address", {{"prefix", kNodesPrefix}, {"members", shared}});
    }
    shared_address_warned_ = std::move(shared);
}

void EtcdPoller::accept(pb::ClusterView view, Context& context) {
    context.metrics()
        .gauge("sandstore_etcd_members", "Members with a usable record in etcd.")
        .set(static_cast<double>(view.members_size()));
    if (view_ && !view_->from_cache() && same_view(*view_, view)) {
        if (!confirmed_) context.send(pb::ACTOR_BOOTSTRAP, message_of(*view_));
        confirmed_ = true;
        return;
    }
    std::vector<std::string> ids;
    for (const pb::Member& member : view.members()) ids.push_back(member.id());
    context.info("Member list from etcd", {{"members", id_list(ids)}, {"cluster", view.cluster_id()}});
    confirmed_ = false;
    view_ = std::move(view);
    publish(*view_, context);
    save_view(context);
    auto_join_.on_view(*view_, context);
}

void EtcdPoller::publish(const pb::ClusterView& view, Context& context) {
    for (const pb::ActorKind to : {pb::ACTOR_BOOTSTRAP, pb::PORT_TRANSPORT, pb::ACTOR_FILES, pb::ACTOR_STATUS,
                                   pb::ACTOR_CHUNKS, pb::ACTOR_REPAIRER, pb::ACTOR_MOVER}) {
        context.send(to, message_of(view));
    }
}

}  // namespace sandstore
