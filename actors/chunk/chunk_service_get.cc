// ChunkService: reading ranges, and fetching whole chunks from other nodes.
#include <algorithm>

#include "actors/chunk/chunk_service.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

// --- Get

void ChunkService::fail_get(const ReplyTo& reply, uint64_t since_us, pb::Status status, Context& context) {
    metrics_.gets_failed->add();
    requests_->observe(kGetOperation, status.code(), context.now_us() - since_us);
    pb::ChunkGetReply answer;
    *answer.mutable_status() = std::move(status);
    context.reply(reply, message_of(std::move(answer)));
}

void ChunkService::on_chunk_get(const Message& message, Context& context) {
    const pb::ChunkGet& get = message->chunk_get();
    const ChunkKey key = key_of(get.id());
    const ReplyTo reply = reply_to(message);
    const auto fail = [&](pb::StatusCode code, std::string why) {
        fail_get(reply, context.now_us(), status_of(code, std::move(why)), context);
    };
    if (!is_valid(key)) return fail(pb::STATUS_INVALID_ARGUMENT, "the chunk id has a zero part");
    const auto found = index_.find(key);
    if (found == index_.end()) {
        return fail(pb::STATUS_ENOENT, str_cat("chunk ", to_string(key), " is not on node ", node_id_));
    }
    const Entry& entry = found->second;
    if (entry.damaged) {
        return fail(pb::STATUS_CORRUPTED, str_cat("chunk ", to_string(key), " is damaged on node ", node_id_));
    }
    ReadWork work;
    work.reply = reply;
    work.since_us = context.now_us();
    work.key = key;
    work.chunk_length = entry.length;
    work.generation = entry.generation;
    work.offset = std::min(get.offset(), entry.length);
    work.length = std::min(get.length(), entry.length - work.offset);
    if (work.length == 0) {
        metrics_.gets_ok->add();
        requests_->observe(kGetOperation, pb::STATUS_OK, 0);
        pb::ChunkGetReply answer;
        answer.set_chunk_length(entry.length);
        return context.reply(reply, message_of(std::move(answer)));
    }
    if (get_bytes_ + work.length > kGetBytesMax) {
        return fail(pb::STATUS_RESOURCE_EXHAUSTED, str_cat("node ", node_id_, " is reading too many bytes at once"));
    }
    read_range(std::move(work), context);
}

// One request also when the table is not in memory: where it ends follows from the chunk's length.
void ChunkService::read_range(ReadWork work, Context& context) {
    const uint64_t first = work.offset / kChunkBlockBytes;
    const uint64_t end_block = block_count(work.offset + work.length);
    const uint64_t begin = first * kChunkBlockBytes;
    const uint64_t end = std::min(end_block * kChunkBlockBytes, work.chunk_length);
    pb::DiskRequest request;
    if (const std::vector<uint32_t>* table = tables_.find(work.key)) {
        work.block_crc32c.assign(table->begin() + static_cast<ptrdiff_t>(first),
                                 table->begin() + static_cast<ptrdiff_t>(end_block));
    } else {
        work.with_head = true;
        auto* read = request.add_operations()->mutable_read();
        read->set_file(chunk_path(work.key));
        read->set_length(head_bytes(work.chunk_length));
    }
    auto* read = request.add_operations()->mutable_read();
    read->set_file(chunk_path(work.key));
    read->set_offset(head_bytes(work.chunk_length) + begin);
    read->set_length(end - begin);
    work.read_bytes = end - begin;
    get_bytes_ += work.read_bytes;
    ask_disk(std::move(request), {}, std::move(work), context);
}

void ChunkService::on_disk(ReadWork& work, DiskOutcome& outcome, Context& context) {
    get_bytes_ -= work.read_bytes;
    const std::string what = str_cat("read chunk ", to_string(work.key));
    if (!outcome.answered) return fail_get(work.reply, work.since_us, outcome.status(what), context);
    if (!outcome.ok()) {
        // A sector that cannot be read is damage as much as a wrong bit.
        const pb::Status status = outcome.status(what);
        return end_damaged_get(work, status.message(), status, context);
    }
    Payload blocks = std::move(outcome.payload);
    std::string why;
    if (work.with_head) {
        const uint64_t size = std::min<uint64_t>(outcome.reply.read_lengths(0), blocks.size());
        DecodedHead decoded = decode_head(blocks.slice(0, size).flat().flat_view(), work.key, work.chunk_length);
        if (stop_on_unknown_version(decoded, work.key, context)) return;
        why = decoded.why;
        std::vector<uint32_t>& table = decoded.head.block_crc32c;
        if (!table.empty()) {
            const auto first = table.begin() + static_cast<ptrdiff_t>(work.offset / kChunkBlockBytes);
            work.block_crc32c.assign(first, first + static_cast<ptrdiff_t>(block_count(work.read_bytes)));
            const auto entry = index_.find(work.key);
            if (entry != index_.end() && entry->second.generation == work.generation) {
                tables_.put(work.key, std::move(table));
            }
        }
        blocks = blocks.slice(size, blocks.size() - size);
    }
    std::optional<Payload> range;
    if (why.empty()) range = verified_range(work, blocks, &why);
    if (!range) {
        const std::string text = str_cat("chunk ", to_string(work.key), " is damaged on node ", node_id_, ": ", why);
        return end_damaged_get(work, why, status_of(pb::STATUS_CORRUPTED, text), context);
    }
    metrics_.gets_ok->add();
    requests_->observe(kGetOperation, pb::STATUS_OK, context.now_us() - work.since_us);
    metrics_.get_bytes->add(range->size());
    pb::ChunkGetReply answer;
    answer.set_chunk_length(work.chunk_length);
    answer.set_payload_crc32c(crc32c(*range));
    context.reply(work.reply, message_of(std::move(answer), std::move(*range)));
}

std::optional<Payload> ChunkService::verified_range(const ReadWork& work, const Payload& blocks, std::string* why) {
    if (blocks.size() != work.read_bytes) {
        *why = str_cat("its file ends early: ", blocks.size(), " bytes instead of ", work.read_bytes);
        return std::nullopt;
    }
    const uint64_t first = work.offset / kChunkBlockBytes;
    const std::vector<uint32_t> checksums = block_checksums(blocks);
    SANDSTORE_CHECK(checksums.size() == work.block_crc32c.size(), "blocks=", checksums.size());
    for (size_t i = 0; i < checksums.size(); i++) {
        if (checksums[i] == work.block_crc32c[i]) continue;
        *why = str_cat("the checksum of block ", first + i, " is wrong");
        return std::nullopt;
    }
    return blocks.slice(work.offset - first * kChunkBlockBytes, work.length);
}

// The file that was read may have been deleted, set aside or replaced since: then nothing is wrong with what stands
// there now.
void ChunkService::end_damaged_get(const ReadWork& work, const std::string& why, const pb::Status& status,
                                   Context& context) {
    const auto entry = index_.find(work.key);
    const bool same_file = entry != index_.end() && entry->second.generation == work.generation;
    if (same_file && status.code() == pb::STATUS_ENOENT) {
        context.error("a chunk's file is gone", {{"chunk", to_string(work.key)}, {"file", chunk_path(work.key)}});
        drop_entry(work.key);
    } else if (same_file) {
        quarantine(work.key, why, context);
    }
    fail_get(work.reply, work.since_us, status, context);
}

// --- Fetch

void ChunkService::on_chunk_fetch(const Message& message, Context& context) {
    const pb::ChunkPlace& place = message->chunk_fetch().place();
    const ChunkKey key = key_of(place.id());
    // From another node it is the leader's Mover that asks; a client has no node id.
    if (!message->from_node().empty() && !is_node_id(message->from_node())) {
        return refuse(message, pb::STATUS_EACCES, "only nodes of the cluster make each other fetch chunks", context);
    }
    if (draining_) return refuse(message, pb::STATUS_UNAVAILABLE, "this node is shutting down", context);
    if (const pb::Status status = check_place(place, node_id_); !is_ok(status)) {
        return refuse(message, status.code(), status.message(), context);
    }
    const auto entry = index_.find(key);
    if (entry != index_.end() && !entry->second.damaged) {
        return context.reply(reply_to(message), message_of(pb::StatusReply()));
    }
    if (const auto other = fetches_.find(key); other != fetches_.end()) {
        if (other->second.waiters.size() >= kFetchWaitersMax) {
            return refuse(message, pb::STATUS_RESOURCE_EXHAUSTED, "this chunk is being fetched already", context);
        }
        other->second.waiters.push_back(reply_to(message));
        return;
    }
    if (fetches_.size() >= kFetchesMax) {
        return refuse(message, pb::STATUS_RESOURCE_EXHAUSTED, "too many chunks are being fetched", context);
    }
    Fetch& fetch = fetches_[key];
    fetch.place = place;
    fetch.waiters.push_back(reply_to(message));
    // In the order of the list, beginning behind this node, so that the nodes share the work of serving.
    const auto& replicas = place.replicas();
    const auto self = std::find(replicas.begin(), replicas.end(), node_id_);
    fetch.sources.assign(self + 1, replicas.end());
    fetch.sources.insert(fetch.sources.end(), replicas.begin(), self);
    fetch_piece(key, context);
}

void ChunkService::fetch_piece(ChunkKey key, Context& context) {
    Fetch& fetch = fetches_.at(key);
    if (fetch.source >= fetch.sources.size()) {
        const std::string why = fetch.sources.empty() ? "; there is no other replica" : fetch.failures;
        return end_fetch(
            key,
            status_of(pb::STATUS_UNAVAILABLE, str_cat("no node could give a good copy of chunk ", to_string(key), why)),
            context);
    }
    pb::ChunkGet get;
    *get.mutable_id() = id_of(key);
    get.set_offset(fetch.data.size());
    get.set_length(kFetchPieceBytes);
    const Address source(fetch.sources[fetch.source], pb::ACTOR_CHUNKS);
    peer_gets_.emplace(context.ask(source, message_of(std::move(get)), kPeerGetTimeoutUs), key);
}

void ChunkService::on_chunk_get_reply(const Message& message, Context& context) {
    const auto found = peer_gets_.find(message->reply_to());
    if (found == peer_gets_.end()) return;
    const ChunkKey key = found->second;
    peer_gets_.erase(found);
    Fetch& fetch = fetches_.at(key);
    const pb::ChunkGetReply& answer = message->chunk_get_reply();
    if (!is_ok(answer.status())) {
        return next_source(key, str_cat(code_name(answer.status().code()), " ", answer.status().message()), context);
    }
    const uint64_t length = answer.chunk_length();
    if (length == 0 || length > kChunkBytesLimit || (fetch.chunk_length != 0 && fetch.chunk_length != length)) {
        return next_source(key, str_cat("it says the chunk has ", length, " bytes"), context);
    }
    if (message.payload.size() != std::min(kFetchPieceBytes, length - fetch.data.size())) {
        return next_source(key, str_cat("it sent ", message.payload.size(), " bytes"), context);
    }
    if (crc32c(message.payload) != answer.payload_crc32c()) {
        return next_source(key, "its bytes do not match their checksum", context);
    }
    fetch.chunk_length = length;
    fetch.data.append(message.payload);
    if (fetch.data.size() < length) return fetch_piece(key, context);
    store_fetched(key, context);
}

void ChunkService::next_source(ChunkKey key, const std::string& why, Context& context) {
    Fetch& fetch = fetches_.at(key);
    str_append(&fetch.failures, "; ", fetch.sources[fetch.source], ": ", why);
    fetch.source++;
    fetch.chunk_length = 0;
    fetch.data = {};
    fetch_piece(key, context);
}

void ChunkService::store_fetched(ChunkKey key, Context& context) {
    Fetch& fetch = fetches_.at(key);
    if (store_bytes_ + fetch.data.size() > kPutBytesMax) {
        return end_fetch(key, status_of(pb::STATUS_RESOURCE_EXHAUSTED, "too many bytes are on their way to the disk"),
                         context);
    }
    ChunkHead head;
    head.key = key;
    head.length = fetch.data.size();
    head.allocated_at_us = fetch.place.allocated_at_us();
    head.replicas.assign(fetch.place.replicas().begin(), fetch.place.replicas().end());
    head.block_crc32c = block_checksums(fetch.data);
    store(std::move(head), std::move(fetch.data), Waiter{Waiter::Kind::kFetch, {}, 0, context.now_us()}, context);
}

void ChunkService::end_fetch(ChunkKey key, const pb::Status& status, Context& context) {
    const auto found = fetches_.find(key);
    SANDSTORE_CHECK(found != fetches_.end(), "chunk=", to_string(key));
    const std::vector<ReplyTo> waiters = std::move(found->second.waiters);
    if (const auto entry = index_.find(key); is_ok(status) && entry != index_.end()) {
        entry->second.fetched_at_us = context.now_us();
    }
    if (is_ok(status)) metrics_.repaired_bytes->add(found->second.chunk_length);
    fetches_.erase(found);
    pb::StatusReply answer;
    *answer.mutable_status() = status;
    for (const ReplyTo& waiter : waiters) context.reply(waiter, message_of(answer));
}

}  // namespace sandstore
