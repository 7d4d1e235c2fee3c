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
            return disk_.on_reply(std::move(message), context);
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
    if (start.volume_bytes() != 0) volume_options_.volume_bytes = start.volume_bytes();
    volume_options_.vacuum_percent = start.vacuum_percent();
    volume_options_.vacuum_bytes_per_s = start.vacuum_bytes_per_s();
    make_metrics(context);
    phase_ = Phase::kListing;
    list_directories(context);
}

void ChunkService::make_metrics(Context& context) {
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
    metrics_.volumes = &registry.gauge("sandstore_volumes", "Volume files that chunks stand in.");
    metrics_.garbage =
        &registry.gauge("sandstore_volume_garbage_bytes", "Bytes of deleted chunks in volumes, not given back yet.");
    metrics_.index_memory = &registry.gauge("sandstore_chunk_index_bytes", "Memory of the index of the chunks here.");
    metrics_.moved_bytes =
        &registry.gauge("sandstore_vacuum_moved_bytes", "Bytes that vacuum has moved out of volumes since the start.");
}

void ChunkService::on_drain(const Message& message, Context& context) {
    draining_ = true;
    drains_.push_back(reply_to(message));
    answer_drain_when_idle(context);
}

// A put is over for the outside when it is answered; what other nodes still do with their copies is their own matter.
void ChunkService::answer_drain_when_idle(Context& context) {
    if (!draining_ || drains_.empty() || !stores_.empty() || forward_bytes_ > 0) return;
    const auto flushed = [drains = std::exchange(drains_, {})](const pb::Status&, Context& now) {
        for (const ReplyTo& drain : drains) now.reply(drain, message_of(pb::StatusReply()));
    };
    volumes_.flush(flushed, context);
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

// --- Answers to its own requests

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
    disk_.on_failure(id, status, context);
}

// --- The index

// It is kept: its intact blocks are good for something, and a person may still get something out of it.
void ChunkService::set_damaged(ChunkKey key, const std::string& why, Context& context) {
    const Entry* entry = index_.find(key);
    if (entry == nullptr || entry->damaged) return;
    const VolumeStore::Place place = volumes_.place_of(*entry);
    context.error("a chunk is damaged",
                  {{"chunk", to_string(key)}, {"file", place.file}, {"offset", place.head_at}, {"reason", why}});
    metrics_.damaged->add();
    tables_.erase(key);
    volumes_.set_damaged(key, true, context);
}

void ChunkService::lose(ChunkKey key, Context& context) {
    const Entry* entry = index_.find(key);
    if (entry == nullptr) return;
    context.error("a chunk's file is gone", {{"chunk", to_string(key)}, {"file", volumes_.place_of(*entry).file}});
    tables_.erase(key);
    volumes_.forget(key);
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
    if (fired.tag() == kDiskTimer) return disk_.on_retry(fired.data(), context);
    if (fired.tag() == kVacuumTimer) return volumes_.on_vacuum_timer(context);
    SANDSTORE_CHECK(fired.tag() == kStatsTimer, "tag=", fired.tag());
    volumes_.try_again(context);
    ask_space(context);
    context.arm_timer(stats_interval_us_, kStatsTimer);
}

}  // namespace sandstore
