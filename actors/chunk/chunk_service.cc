#include "actors/chunk/chunk_service.h"

#include <algorithm>

#include "actors/log/disk_reserve.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

void ChunkService::receive(Message message, Context& context) {
    using Body = pb::Envelope;
    switch (message->body_case()) {
        case Body::kStartChunks:
            return on_start_chunks(message->start_chunks(), context);
        case Body::kClusterView:
            return on_cluster_view(message->cluster_view(), context);
        case Body::kChunkPut:
        case Body::kChunkGet:
        case Body::kChunkList:
        case Body::kChunkDelete:
        case Body::kChunkFetch:
            return on_request(std::move(message), context);
        case Body::kDiskReply:
            return on_disk_reply(std::move(message), context);
        case Body::kChunkPutReply:
            return on_chunk_put_reply(message, context);
        case Body::kChunkGetReply:
            return on_chunk_get_reply(message, context);
        case Body::kRequestFailed:
            return on_request_failed(std::move(message), context);
        case Body::kTimerFired:
            return on_timer_fired(message->timer_fired(), context);
        case Body::kDrain:
            return on_drain(message, context);
        case Body::kPeerUp:
            peers_up_.insert(message->peer_up().node_id());
            return;
        case Body::kPeerDown:
            peers_up_.erase(message->peer_down().node_id());
            return;  // A node that is away fails the requests to it.
        default:
            return context.unexpected(message);
    }
}

// --- Starting and ending

void ChunkService::on_start_chunks(const pb::StartChunks& start, Context& context) {
    if (phase_ != Phase::kNew) return context.warn("the chunk service was started twice");
    if (!is_node_id(start.node_id()) || start.chunk_bytes_max() == 0 || start.chunk_bytes_max() > kChunkBytesLimit) {
        return context.fail_stop(str_cat("chunk service: node id \"", start.node_id(), "\" or chunk size ",
                                         start.chunk_bytes_max(), " is out of range (1 to ", kChunkBytesLimit,
                                         " bytes)"));
    }
    node_id_ = start.node_id();
    chunk_bytes_max_ = start.chunk_bytes_max();
    stats_interval_us_ = start.stats_interval_ms() * 1000;
    disk_reserve_bytes_ = start.disk_reserve_bytes();
    MetricsRegistry& registry = context.metrics();
    const auto counter = [&](const char* name, const char* help, const MetricLabels& labels = {}) {
        return &registry.counter(name, help, labels);
    };
    metrics_.puts_ok = counter("sandstore_chunk_puts_total", "Chunk puts answered.", {{"result", "ok"}});
    metrics_.puts_failed = counter("sandstore_chunk_puts_total", "Chunk puts answered.", {{"result", "failed"}});
    metrics_.put_bytes = counter("sandstore_chunk_put_bytes_total", "Bytes of chunks stored on this node.");
    metrics_.gets_ok = counter("sandstore_chunk_gets_total", "Chunk reads answered.", {{"result", "ok"}});
    metrics_.gets_failed = counter("sandstore_chunk_gets_total", "Chunk reads answered.", {{"result", "failed"}});
    metrics_.get_bytes = counter("sandstore_chunk_get_bytes_total", "Bytes of chunks sent out.");
    metrics_.damaged = counter("sandstore_chunk_corrupt_total", "Chunks that failed a checksum or could not be read.");
    metrics_.restored =
        counter("sandstore_chunk_restored_total", "Chunks set aside as damaged that proved intact and came back.");
    metrics_.deleted = counter("sandstore_chunk_deleted_total", "Chunks deleted because no file uses them.");
    metrics_.repaired_bytes = counter("sandstore_repair_bytes_total", "Bytes of chunks copied from other nodes.");
    metrics_.write_requests =
        counter("sandstore_chunk_write_requests_total", "Disk requests that stored one or several chunks.");
    metrics_.late_replicas =
        counter("sandstore_chunk_late_replicas_total", "Replicas stored after the put was answered.");
    metrics_.missed_replicas =
        counter("sandstore_chunk_missed_replicas_total", "Replicas that a put did not reach; repaired later.");
    metrics_.corrupt_now = &registry.gauge("sandstore_chunk_corrupt", "Damaged chunks here that wait for repair.");
    metrics_.store_bytes = &registry.gauge("sandstore_store_bytes", "Bytes of the chunks here.");
    metrics_.store_objects = &registry.gauge("sandstore_store_objects", "Chunks here, without damaged ones.");
    metrics_.store_free = &registry.gauge("sandstore_store_free_bytes", "Free bytes of the data directory's disk.");
    metrics_.store_total = &registry.gauge("sandstore_store_total_bytes", "Size of the data directory's disk.");
    metrics_.store_reserve =
        &registry.gauge("sandstore_store_reserve_bytes", "Free bytes that chunks leave to the log and to snapshots.");
    requests_.emplace(registry, "chunks", std::vector<std::string>{"put", "replicate", "get"});
    phase_ = Phase::kListing;
    list_directories(context);
}

void ChunkService::on_drain(const Message& message, Context& context) {
    draining_ = true;
    drains_.push_back(reply_to(message));
    answer_drain_when_idle(context);
}

// A put is over for the outside when it is answered; what other nodes still do with their copies is their own matter.
void ChunkService::answer_drain_when_idle(Context& context) {
    if (!draining_ || drains_.empty() || !stores_.empty() || forward_bytes_ > 0) return;
    for (const ReplyTo& drain : drains_) context.reply(drain, message_of(pb::StatusReply()));
    drains_.clear();
}

// --- Requests

void ChunkService::on_request(Message message, Context& context) {
    if (phase_ == Phase::kServing) return serve(std::move(message), context);
    if (phase_ == Phase::kNew) return refuse(message, pb::STATUS_UNAVAILABLE, "this node is starting", context);
    if (waiting_.size() >= kWaitingRequestsMax || waiting_bytes_ + message.payload.size() > kPutBytesMax) {
        return refuse(message, pb::STATUS_RESOURCE_EXHAUSTED, "this node is starting and has enough to do", context);
    }
    waiting_bytes_ += message.payload.size();
    waiting_.push_back(std::move(message));
}

void ChunkService::serve(Message message, Context& context) {
    using Body = pb::Envelope;
    switch (message->body_case()) {
        case Body::kChunkPut:
            return on_chunk_put(std::move(message), context);
        case Body::kChunkGet:
            return on_chunk_get(message, context);
        case Body::kChunkList:
            return on_chunk_list(message, context);
        case Body::kChunkDelete:
            return on_chunk_delete(message, context);
        case Body::kChunkFetch:
            return on_chunk_fetch(message, context);
        default:
            return context.unexpected(message);
    }
}

// With the body that belongs to the request; ChunkListReply has no status, so a list fails as a request.
void ChunkService::refuse(const Message& request, pb::StatusCode code, std::string why, Context& context) {
    using Body = pb::Envelope;
    const ReplyTo to = reply_to(request);
    const auto answer = [&](auto body) {
        *body.mutable_status() = status_of(code, std::move(why));
        context.reply(to, message_of(std::move(body)));
    };
    switch (request->body_case()) {
        case Body::kChunkPut:
            return answer(pb::ChunkPutReply());
        case Body::kChunkGet:
            return answer(pb::ChunkGetReply());
        case Body::kChunkList:
            return context.reply(to, request_failed(code, why));
        default:
            return answer(pb::StatusReply());
    }
}

// --- The disk

pb::Status ChunkService::DiskOutcome::status(std::string_view doing) const {
    if (ok()) return {};
    if (answered) return status_of_disk_error(reply.error(), doing);
    const bool refused = failure.code() == pb::STATUS_RESOURCE_EXHAUSTED;  // By the port, before any effect.
    return status_of(refused ? failure.code() : pb::STATUS_UNAVAILABLE,
                     str_cat("cannot ", doing, ": ", failure.message()));
}

void ChunkService::ask_disk(pb::DiskRequest request, Payload payload, DiskWork work, Context& context) {
    const RequestId id =
        context.ask(pb::PORT_CHUNK_DISK, message_of(std::move(request), std::move(payload)), kDiskTimeoutUs);
    disk_requests_.emplace(id, std::move(work));
}

void ChunkService::on_disk_reply(Message message, Context& context) {
    DiskOutcome outcome;
    outcome.answered = true;
    outcome.reply = std::move(*message->mutable_disk_reply());
    outcome.payload = std::move(message.payload);
    if (outcome.reply.sync_failed()) {
        // After a failed sync the kernel may have dropped the pages: a second sync would succeed without the bytes.
        return context.fail_stop(str_cat("chunk disk: a sync failed (", outcome.status("sync").message(),
                                         "). What is on disk is unknown; check the disk, then start the node again"));
    }
    end_disk_request(message->reply_to(), std::move(outcome), context);
}

void ChunkService::on_request_failed(Message message, Context& context) {
    const uint64_t id = message->reply_to();
    const pb::Status& status = message->request_failed().status();
    if (const auto put = peer_puts_.find(id); put != peer_puts_.end()) {
        const PeerPut peer = std::move(put->second);
        peer_puts_.erase(put);
        return on_replica_done(peer.forward, peer.node_id, status, context);
    }
    if (const auto get = peer_gets_.find(id); get != peer_gets_.end()) {
        const ChunkKey key = get->second;
        peer_gets_.erase(get);
        return drop_source(key, str_cat(code_name(status.code()), " ", status.message()), context);
    }
    DiskOutcome outcome;
    outcome.failure = status;
    end_disk_request(id, std::move(outcome), context);
}

void ChunkService::end_disk_request(uint64_t request_id, DiskOutcome outcome, Context& context) {
    const auto found = disk_requests_.find(request_id);
    if (found == disk_requests_.end()) return;
    DiskWork work = std::move(found->second);
    disk_requests_.erase(found);
    std::visit([&](auto& done) { on_disk(done, outcome, context); }, work);
}

void ChunkService::on_disk(CleanWork&, DiskOutcome& outcome, Context& context) {
    // What stays behind is removed at the next start.
    if (!outcome.ok()) context.warn(outcome.status("remove a temporary file").message());
}

// --- The index

void ChunkService::add_entry(ChunkKey key, const Entry& entry) {
    drop_entry(key);
    index_[key] = entry;
    index_[key].generation = next_generation_++;
    if (entry.damaged) return;
    chunk_count_++;
    chunk_bytes_ += entry.length;
}

void ChunkService::drop_entry(ChunkKey key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    if (!found->second.damaged) {
        chunk_count_--;
        chunk_bytes_ -= found->second.length;
    }
    index_.erase(found);
    tables_.erase(key);
}

// Out of the way, but kept: a person may still get something out of it.
void ChunkService::quarantine(ChunkKey key, const std::string& why, Context& context) {
    const auto found = index_.find(key);
    if (found == index_.end() || found->second.damaged || renaming_.contains(key)) return;
    context.error("a chunk is damaged", {{"chunk", to_string(key)}, {"file", chunk_path(key)}, {"reason", why}});
    metrics_.damaged->add();
    Entry entry = found->second;
    entry.damaged = true;
    add_entry(key, entry);
    renaming_.insert(key);
    pb::DiskRequest request;
    auto* rename = request.add_operations()->mutable_rename();
    rename->set_from(chunk_path(key));
    rename->set_to(damaged_chunk_path(key));
    ask_disk(std::move(request), {}, QuarantineWork{key}, context);
}

void ChunkService::on_disk(QuarantineWork& work, DiskOutcome& outcome, Context& context) {
    renaming_.erase(work.key);
    // It counts as damaged all the same, and a good copy will be renamed over it.
    if (!outcome.ok()) context.warn(outcome.status(str_cat("rename damaged ", chunk_path(work.key))).message());
}

bool ChunkService::stop_on_unknown_version(const DecodedHead& decoded, ChunkKey key, Context& context) {
    if (decoded.problem != HeadProblem::kUnknownVersion) return false;
    context.fail_stop(str_cat("chunk file ", chunk_path(key), ": ", decoded.why,
                              ". The data directory was written by a newer Sandstore: start that one"));
    return true;
}

// --- Statistics

void ChunkService::on_cluster_view(const pb::ClusterView& view, Context& context) {
    members_.clear();
    for (const pb::Member& member : view.members()) {
        if (member.id() != node_id_ && is_node_id(member.id())) members_.push_back(member.id());
    }
    if (phase_ == Phase::kServing) ask_space(context);
}

void ChunkService::on_timer_fired(const pb::TimerFired& fired, Context& context) {
    if (fired.tag() == kHeadersTimer) return read_headers(context);
    if (fired.tag() == kListTimer) {
        for (const uint32_t first : std::exchange(lists_to_repeat_, {})) ask_list(first, context);
        return;
    }
    SANDSTORE_CHECK(fired.tag() == kStatsTimer, "tag=", fired.tag());
    ask_space(context);
    context.arm_timer(stats_interval_us_, kStatsTimer);
}

}  // namespace sandstore
