// ChunkService: reading ranges, and fetching whole chunks from other nodes.
#include <algorithm>

#include "actors/chunk/chunk_service.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

// --- Get

void ChunkService::on_chunk_get(const Message& message, Context& context) {
    const pb::ChunkGet& get = message->chunk_get();
    ReadWork work;
    work.reply = reply_to(message);
    work.since_us = context.now_us();
    work.key = key_of(get.id());
    const std::string chunk = str_cat("chunk ", to_string(work.key));
    const auto fail = [&](pb::StatusCode code, std::string why) {
        pb::ChunkGetReply answer;
        *answer.mutable_status() = status_of(code, std::move(why));
        end_read(work, std::move(answer), {}, context);
    };
    if (!is_valid(work.key)) return fail(pb::STATUS_INVALID_ARGUMENT, "the chunk id has a zero part");
    const Entry* found = index_.find(work.key);
    if (found == nullptr) return fail(pb::STATUS_ENOENT, str_cat(chunk, " is not on node ", node_id_));
    const Entry entry = *found;
    if (entry.damaged && entry.length == 0) {
        return fail(pb::STATUS_CORRUPTED, str_cat(chunk, " is damaged on node ", node_id_));
    }
    work.offset = std::min<uint64_t>(get.offset(), entry.length);
    work.length = std::min<uint64_t>(get.length(), entry.length - work.offset);
    if (work.length == 0) {
        pb::ChunkGetReply answer;
        answer.set_chunk_length(entry.length);
        return end_read(work, std::move(answer), {}, context);
    }
    if (get_bytes_ + work.length > kGetBytesMax) {
        return fail(pb::STATUS_RESOURCE_EXHAUSTED, str_cat("node ", node_id_, " is reading too many bytes at once"));
    }
    read_range(std::move(work), entry, context);
}

// One request also when the table is not in memory: where it ends follows from the chunk's length.
void ChunkService::read_range(ReadWork work, const Entry& entry, Context& context) {
    work.chunk_length = entry.length;
    work.entry = entry;
    const VolumeStore::Place place = volumes_.place_of(entry);
    const uint64_t first = work.offset / kChunkBlockBytes;
    const uint64_t end_block = block_count(work.offset + work.length);
    const uint64_t begin = first * kChunkBlockBytes;
    const uint64_t end = std::min(end_block * kChunkBlockBytes, work.chunk_length);
    DiskCall call;
    const std::vector<uint32_t>* table = tables_.find(work.key);
    work.with_head = table == nullptr;
    if (table != nullptr) {
        work.block_crc32c.assign(table->begin() + static_cast<ptrdiff_t>(first),
                                 table->begin() + static_cast<ptrdiff_t>(end_block));
        work.table_crc32c = table_checksum(*table);
    } else {
        call.read(place.file, place.head_at, place.head_bytes);
    }
    call.read(place.file, place.head_at + place.head_bytes + begin, end - begin);
    work.read_bytes = end - begin;
    get_bytes_ += work.read_bytes;
    disk_.ask(
        std::move(call),
        [this, work = std::move(work)](DiskOutcome& outcome, Context& now) mutable {
            on_range_read(work, outcome, now);
        },
        context);
}

const ChunkService::Entry* ChunkService::same_place(const ReadWork& work) const {
    const Entry* entry = index_.find(work.key);
    return entry != nullptr && entry->place() == work.entry.place() ? entry : nullptr;
}

// What was read at the old place may be anything.
bool ChunkService::read_where_it_is_now(ReadWork* work, Context& context) {
    const Entry* entry = index_.find(work->key);
    if (entry == nullptr || same_place(*work) != nullptr || work->moves++ >= kMovesMax) return false;
    if (entry->length != work->chunk_length) return false;
    const Entry now = *entry;
    read_range(std::move(*work), now, context);
    return true;
}

void ChunkService::on_range_read(ReadWork& work, DiskOutcome& outcome, Context& context) {
    get_bytes_ -= work.read_bytes;
    if (!outcome.ok()) return end_failed_read(work, outcome, context);
    Payload blocks = std::move(outcome.payload);
    std::string why;
    if (work.with_head) {
        const uint64_t size = std::min<uint64_t>(outcome.reply.read_lengths(0), blocks.size());
        const DecodedHead decoded = volumes_.decode_head_of(blocks.slice(0, size).flat().flat_view(), work.entry);
        if (stop_on_unknown_version(decoded, work.key, context)) return;
        why = take_head(&work, decoded);
        blocks = blocks.slice(size, blocks.size() - size);
    }
    std::optional<Payload> range;
    if (why.empty()) range = verified_range(work, blocks, &why);
    if (!range) {
        const std::string text = str_cat("chunk ", to_string(work.key), " is damaged on node ", node_id_, ": ", why);
        return end_damaged_read(work, why, status_of(pb::STATUS_CORRUPTED, text), context);
    }
    pb::ChunkGetReply answer;
    answer.set_chunk_length(work.chunk_length);
    answer.set_payload_crc32c(crc32c(*range));
    answer.set_table_crc32c(work.table_crc32c);
    end_read(work, std::move(answer), std::move(*range), context);
}

std::string ChunkService::take_head(ReadWork* work, const DecodedHead& decoded) {
    const std::vector<uint32_t>& table = decoded.head.block_crc32c;
    if (table.empty()) return decoded.why;
    const auto first = table.begin() + static_cast<ptrdiff_t>(work->offset / kChunkBlockBytes);
    work->block_crc32c.assign(first, first + static_cast<ptrdiff_t>(block_count(work->read_bytes)));
    work->table_crc32c = table_checksum(table);
    if (same_place(*work) != nullptr) tables_.put(work->key, table);
    return decoded.why;
}

// Only what cannot be read twice in a row is damage. Whatever else went wrong concerns this request alone.
void ChunkService::end_failed_read(ReadWork& work, const DiskOutcome& outcome, Context& context) {
    const int error = outcome.reply.error();
    if (is_not_found(error) && read_where_it_is_now(&work, context)) return;
    pb::Status status = outcome.status(str_cat("read chunk ", to_string(work.key)));
    const std::string why = status.message();
    if (const Entry* entry = same_place(work); is_unreadable(error) && entry != nullptr && !work.again) {
        work.again = true;
        const Entry there = *entry;
        return read_range(std::move(work), there, context);
    }
    if (is_unreadable(error)) status.set_code(pb::STATUS_CORRUPTED);
    const bool damage = is_unreadable(error) || planted("out-of-descriptors-is-damage");
    if (outcome.answered && (damage || is_not_found(error))) {
        return end_damaged_read(work, why, std::move(status), context);
    }
    pb::ChunkGetReply answer;
    *answer.mutable_status() = std::move(status);
    end_read(work, std::move(answer), {}, context);
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

// The chunk may have been deleted, moved or stored anew since: then nothing is wrong with what stands there now.
void ChunkService::end_damaged_read(ReadWork& work, const std::string& why, pb::Status status, Context& context) {
    if (read_where_it_is_now(&work, context)) return;
    if (same_place(work) != nullptr && status.code() == pb::STATUS_ENOENT) {
        lose(work.key, context);
    } else if (same_place(work) != nullptr) {
        set_damaged(work.key, why, context);
    } else if (index_.find(work.key) == nullptr) {
        status = status_of(pb::STATUS_ENOENT, str_cat("chunk ", to_string(work.key), " is not on node ", node_id_));
    } else {
        status.set_code(pb::STATUS_UNAVAILABLE);
    }
    pb::ChunkGetReply answer;
    *answer.mutable_status() = std::move(status);
    end_read(work, std::move(answer), {}, context);
}

void ChunkService::end_read(const ReadWork& work, pb::ChunkGetReply answer, Payload bytes, Context& context) {
    if (work.for_fetch) return on_piece(work.key, answer, bytes, context);
    const bool ok = is_ok(answer.status());
    (ok ? metrics_.gets_ok : metrics_.gets_failed)->add();
    metrics_.get_bytes->add(bytes.size());
    requests_->observe(kGetOperation, answer.status().code(), context.now_us() - work.since_us);
    context.reply(work.reply, message_of(std::move(answer), std::move(bytes)));
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
    const Entry* entry = index_.find(key);
    if (entry != nullptr && !entry->damaged) {
        return context.reply(reply_to(message), message_of(pb::StatusReply()));
    }
    if (const auto other = fetches_.find(key); other != fetches_.end()) {
        if (other->second.waiters.size() >= kFetchWaitersMax) {
            return refuse(message, pb::STATUS_RESOURCE_EXHAUSTED, "this chunk is being fetched already", context);
        }
        other->second.waiters.push_back(reply_to(message));
        return;
    }
    // How long the chunk is is not known yet; what cannot be stored is not downloaded.
    if (!has_room(record_bytes(chunk_bytes_max_), context)) {
        return refuse(message, pb::STATUS_ENOSPC, no_room().message(), context);
    }
    if (fetches_.size() >= kFetchesMax) {
        return refuse(message, pb::STATUS_RESOURCE_EXHAUSTED, "too many chunks are being fetched", context);
    }
    Fetch& fetch = fetches_[key];
    fetch.place = place;
    fetch.waiters.push_back(reply_to(message));
    // What is intact here costs nobody anything. Then in the order of the list, beginning behind this node, so that the
    // nodes share the work of serving.
    if (entry != nullptr && entry->length > 0) fetch.sources.emplace_back(kHere);
    const auto& replicas = place.replicas();
    const auto self = std::find(replicas.begin(), replicas.end(), node_id_);
    fetch.sources.insert(fetch.sources.end(), self + 1, replicas.end());
    fetch.sources.insert(fetch.sources.end(), replicas.begin(), self);
    fetch_piece(key, context);
}

void ChunkService::fetch_piece(ChunkKey key, Context& context) {
    Fetch& fetch = fetches_.at(key);
    if (fetch.source >= fetch.sources.size()) return on_no_source(key, context);
    const uint64_t offset = fetch.data.size();
    const uint64_t length = offset < fetch.blockwise_until ? kChunkBlockBytes : kFetchPieceBytes;
    const std::string& source = fetch.sources[fetch.source];
    if (source == kHere) return fetch_here(key, offset, length, context);
    pb::ChunkGet get;
    *get.mutable_id() = id_of(key);
    get.set_offset(offset);
    get.set_length(length);
    const Address address(source, pb::ACTOR_CHUNKS);
    peer_gets_.emplace(context.ask(address, message_of(std::move(get)), kPeerGetTimeoutUs), key);
}

void ChunkService::fetch_here(ChunkKey key, uint64_t offset, uint64_t length, Context& context) {
    const Entry* entry = index_.find(key);
    const bool usable =
        entry != nullptr && entry->damaged && offset < entry->length && get_bytes_ + length <= kGetBytesMax;
    if (!usable) return drop_source(key, "its own copy cannot be looked at now", context);
    ReadWork work;
    work.key = key;
    work.offset = offset;
    work.length = std::min<uint64_t>(length, entry->length - offset);
    work.for_fetch = true;
    const Entry there = *entry;
    read_range(std::move(work), there, context);
}

// Nobody has the whole piece: it may still be put together block by block.
void ChunkService::on_no_source(ChunkKey key, Context& context) {
    Fetch& fetch = fetches_.at(key);
    if (fetch.damaged_piece && fetch.data.size() >= fetch.blockwise_until) {
        fetch.blockwise_until = fetch.data.size() + kFetchPieceBytes;
        fetch.source = 0;
        fetch.damaged_piece = false;
        return fetch_piece(key, context);
    }
    const std::string why = fetch.failures.empty() ? "; there is no other replica" : fetch.failures;
    end_fetch(
        key,
        status_of(pb::STATUS_UNAVAILABLE, str_cat("no node could give a good copy of chunk ", to_string(key), why)),
        context);
}

void ChunkService::on_chunk_get_reply(const Message& message, Context& context) {
    const auto found = peer_gets_.find(message->reply_to());
    if (found == peer_gets_.end()) return;
    const ChunkKey key = found->second;
    peer_gets_.erase(found);
    on_piece(key, message->chunk_get_reply(), message.payload, context);
}

void ChunkService::on_piece(ChunkKey key, const pb::ChunkGetReply& answer, const Payload& bytes, Context& context) {
    Fetch& fetch = fetches_.at(key);
    const std::string problem = str_cat(code_name(answer.status().code()), " ", answer.status().message());
    if (answer.status().code() == pb::STATUS_CORRUPTED) {  // Other pieces of it may be intact.
        fetch.damaged_piece = true;
        note_failure(&fetch, problem);
        fetch.source++;
        return fetch_piece(key, context);
    }
    if (!is_ok(answer.status())) return drop_source(key, problem, context);
    const uint64_t length = answer.chunk_length();
    const uint64_t offset = fetch.data.size();
    if (length <= offset || length > kChunkBytesLimit || (fetch.chunk_length != 0 && fetch.chunk_length != length)) {
        return drop_source(key, str_cat("it says the chunk has ", length, " bytes"), context);
    }
    if (bytes.size() !=
        std::min(offset < fetch.blockwise_until ? kChunkBlockBytes : kFetchPieceBytes, length - offset)) {
        return drop_source(key, str_cat("it sent ", bytes.size(), " bytes"), context);
    }
    if (crc32c(bytes) != answer.payload_crc32c()) {
        return drop_source(key, "its bytes do not match their checksum", context);
    }
    if (fetch.chunk_length != 0 && fetch.table_crc32c != answer.table_crc32c()) {
        return drop_source(key, "it has other checksums for the chunk", context);
    }
    fetch.chunk_length = length;
    fetch.table_crc32c = answer.table_crc32c();
    fetch.all_from_here = fetch.all_from_here && fetch.sources[fetch.source] == kHere;
    fetch.data.append(bytes);
    fetch.source = 0;
    fetch.damaged_piece = false;
    if (fetch.data.size() < length) return fetch_piece(key, context);
    end_fetched(key, context);
}

void ChunkService::note_failure(Fetch* fetch, const std::string& why) const {
    const std::string& source = fetch->sources[fetch->source];
    if (fetch->failures.size() < kFetchFailuresBytes) {
        str_append(&fetch->failures, "; ", source == kHere ? node_id_ : source, ": ", why);
    }
}

// Not asked again for this chunk.
void ChunkService::drop_source(ChunkKey key, const std::string& why, Context& context) {
    Fetch& fetch = fetches_.at(key);
    note_failure(&fetch, why);
    fetch.sources.erase(fetch.sources.begin() + static_cast<ptrdiff_t>(fetch.source));
    fetch_piece(key, context);
}

// Pieces of several replicas must be pieces of the same bytes.
void ChunkService::end_fetched(ChunkKey key, Context& context) {
    Fetch& fetch = fetches_.at(key);
    ChunkHead head;
    head.key = key;
    head.length = fetch.data.size();
    head.allocated_at_us = fetch.place.allocated_at_us();
    head.replicas.assign(fetch.place.replicas().begin(), fetch.place.replicas().end());
    head.block_crc32c = block_checksums(fetch.data);
    if (table_checksum(head.block_crc32c) != fetch.table_crc32c) {
        return end_fetch(key, status_of(pb::STATUS_UNAVAILABLE, "the pieces fetched do not make up the chunk"),
                         context);
    }
    if (fetch.all_from_here) return restore(key, context);
    if (store_bytes_ + fetch.data.size() > kPutBytesMax) {
        return end_fetch(key, status_of(pb::STATUS_RESOURCE_EXHAUSTED, "too many bytes are on their way to the disk"),
                         context);
    }
    store(std::move(head), std::move(fetch.data), Waiter{Waiter::Kind::kFetch, {}, 0, context.now_us()}, context);
}

// --- Damage that was none

void ChunkService::restore(ChunkKey key, Context& context) {
    const Entry* entry = index_.find(key);
    if (entry == nullptr || !entry->damaged || stores_.contains(key)) {
        return end_fetch(key, status_of(pb::STATUS_EBUSY, "the chunk is being stored or removed, try again"), context);
    }
    context.info("a chunk that was called damaged is intact", {{"chunk", to_string(key)}});
    metrics_.restored->add();
    if (!entry->time_known || entry->allocated_at_us == 0) {
        index_.set_time(key, fetches_.at(key).place.allocated_at_us());
    }
    volumes_.set_damaged(key, false, context);
    end_fetch(key, {}, context);
}

void ChunkService::end_fetch(ChunkKey key, const pb::Status& status, Context& context) {
    const auto found = fetches_.find(key);
    SANDSTORE_CHECK(found != fetches_.end(), "chunk=", to_string(key));
    const std::vector<ReplyTo> waiters = std::move(found->second.waiters);
    if (is_ok(status)) {
        const uint64_t now_us = context.now_us();
        std::erase_if(fetched_at_us_, [&](const auto& one) { return now_us - one.second >= kFetchedKeptUs; });
        fetched_at_us_[key] = now_us;
    }
    if (is_ok(status) && !found->second.all_from_here) metrics_.repaired_bytes->add(found->second.chunk_length);
    fetches_.erase(found);
    pb::StatusReply answer;
    *answer.mutable_status() = status;
    for (const ReplyTo& waiter : waiters) context.reply(waiter, message_of(answer));
}

}  // namespace sandstore
