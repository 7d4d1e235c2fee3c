// ChunkService: storing chunks here and on the other replicas.
#include <algorithm>

#include "actors/chunk/chunk_service.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

void ChunkService::on_chunk_put(Message message, Context& context) {
    pb::ChunkPut& put = *message->mutable_chunk_put();
    const ReplyTo reply = reply_to(message);
    const auto refused = [&](pb::StatusCode code, std::string why) {
        metrics_.puts_failed->add();
        requests_->observe(put.forward() ? kPutOperation : kReplicateOperation, code, 0);
        refuse(message, code, std::move(why), context);
    };
    if (draining_) return refused(pb::STATUS_UNAVAILABLE, str_cat("node ", node_id_, " is shutting down"));
    if (reply.deadline_us != 0 && reply.deadline_us <= context.now_us()) {
        return refused(pb::STATUS_DEADLINE_EXCEEDED, "the put came after its deadline");
    }
    ChunkHead head;
    if (const pb::Status status = check_put(put, message.payload, node_id_, chunk_bytes_max_, &head); !is_ok(status)) {
        return refused(status.code(), status.message());
    }
    const uint64_t bytes = message.payload.size();
    if (store_bytes_ + bytes > kPutBytesMax || forward_bytes_ + bytes > kPutBytesMax ||
        forwards_.size() >= kForwardsMax) {
        return refused(pb::STATUS_RESOURCE_EXHAUSTED,
                       str_cat("node ", node_id_, " has too many bytes on their way to the disk"));
    }
    if (put.forward()) return forward_put(put, message.payload, reply, std::move(head), context);
    store(std::move(head), std::move(message.payload), Waiter{Waiter::Kind::kReply, reply, 0, context.now_us()},
          context);
}

// --- Forwarding

void ChunkService::forward_put(const pb::ChunkPut& put, const Payload& data, const ReplyTo& reply, ChunkHead head,
                               Context& context) {
    const uint64_t number = next_forward_++;
    Forward& forward = forwards_[number];
    forward.reply = reply;
    forward.key = head.key;
    forward.needed = put.place().acknowledgements_needed();
    forward.outstanding = forward.replicas = static_cast<uint32_t>(head.replicas.size());
    forward.bytes = data.size();
    forward.began_at_us = context.now_us();
    forward_bytes_ += forward.bytes;

    pb::ChunkPut copy;
    *copy.mutable_place() = put.place();
    copy.mutable_place()->clear_addresses();
    *copy.mutable_checksums() = put.checksums();
    uint64_t timeout_us = kPeerPutTimeoutUs;
    if (reply.deadline_us != 0) timeout_us = std::min(timeout_us, reply.deadline_us - context.now_us());
    for (const std::string& replica : head.replicas) {
        if (replica == node_id_) continue;
        const RequestId id = context.ask(Address(replica, pb::ACTOR_CHUNKS), message_of(copy, data), timeout_us);
        peer_puts_.emplace(id, PeerPut{number, replica});
    }
    store(std::move(head), data, Waiter{Waiter::Kind::kForward, {}, number, context.now_us()}, context);
}

void ChunkService::on_chunk_put_reply(const Message& message, Context& context) {
    const auto found = peer_puts_.find(message->reply_to());
    if (found == peer_puts_.end()) return;
    const PeerPut peer = std::move(found->second);
    peer_puts_.erase(found);
    on_replica_done(peer.forward, peer.node_id, message->chunk_put_reply().status(), context);
}

void ChunkService::on_replica_done(uint64_t forward_number, const std::string& node_id, const pb::Status& status,
                                   Context& context) {
    const auto found = forwards_.find(forward_number);
    SANDSTORE_CHECK(found != forwards_.end(), "forward=", forward_number, " node=", node_id);
    Forward& forward = found->second;
    SANDSTORE_CHECK(forward.outstanding > 0, "node=", node_id);
    forward.outstanding--;
    if (is_ok(status)) {
        forward.stored_on.push_back(node_id);
        if (forward.answered) metrics_.late_replicas->add();
    } else {
        forward.failures.emplace_back(node_id, status);
        metrics_.missed_replicas->add();
        if (context.log_enabled(LogLevel::kDebug)) {
            context.debug("a replica was not stored",
                          {{"chunk", to_string(forward.key)}, {"on", node_id}, {"reason", status.message()}});
        }
    }
    settle_forward(forward_number, context);
}

// Answers as soon as the outcome is certain; forgets the put when every replica has spoken.
void ChunkService::settle_forward(uint64_t forward_number, Context& context) {
    const auto found = forwards_.find(forward_number);
    Forward& forward = found->second;
    const size_t stored = forward.stored_on.size();
    const bool enough = stored >= forward.needed;
    const bool impossible = stored + forward.outstanding < forward.needed;
    if (!forward.answered && (enough || impossible)) {
        pb::ChunkPutReply answer;
        answer.mutable_stored_on()->Assign(forward.stored_on.begin(), forward.stored_on.end());
        if (!enough) {
            // One code for all failures says more than UNAVAILABLE: an id used twice. So does a cluster that is full:
            // the put would fail even if all others were there.
            pb::StatusCode code = forward.failures.front().second.code();
            size_t full = 0;
            std::string why =
                str_cat("chunk ", to_string(forward.key), " is on ", stored, " of ", forward.needed, " nodes needed");
            for (const auto& [node_id, status] : forward.failures) {
                if (status.code() != code) code = pb::STATUS_UNAVAILABLE;
                full += status.code() == pb::STATUS_ENOSPC;
                str_append(&why, "; ", node_id, ": ", code_name(status.code()), " ", status.message());
            }
            if (code != pb::STATUS_EEXIST) code = pb::STATUS_UNAVAILABLE;
            if (full > forward.replicas - forward.needed) code = pb::STATUS_ENOSPC;
            *answer.mutable_status() = status_of(code, std::move(why));
        }
        forward.answered = true;
        forward_bytes_ -= forward.bytes;
        (enough ? metrics_.puts_ok : metrics_.puts_failed)->add();
        requests_->observe(kPutOperation, answer.status().code(), context.now_us() - forward.began_at_us);
        context.reply(forward.reply, message_of(std::move(answer)));
    }
    if (forward.outstanding == 0) forwards_.erase(found);
    answer_drain_when_idle(context);
}

// --- Storing here

void ChunkService::store(ChunkHead head, Payload data, Waiter waiter, Context& context) {
    const ChunkKey key = head.key;
    if (const auto other = stores_.find(key); other != stores_.end()) {
        const ChunkHead& under_way = other->second.head;
        if (under_way.length == head.length && under_way.block_crc32c == head.block_crc32c) {
            other->second.waiters.push_back(std::move(waiter));
            return;
        }
        return tell_waiter(
            waiter, key,
            status_of(pb::STATUS_EEXIST, str_cat("chunk ", to_string(key), " is just being stored with other bytes")),
            context);
    }
    if (renaming_.contains(key)) {
        return tell_waiter(
            waiter, key,
            status_of(pb::STATUS_EBUSY, str_cat("chunk ", to_string(key), " is being removed or set aside, try again")),
            context);
    }
    const auto entry = index_.find(key);
    const bool stands_there = entry != index_.end() && !entry->second.damaged;
    const uint64_t file_bytes = chunk_file_bytes(head.length);
    if (!stands_there && !has_room(file_bytes, context)) return tell_waiter(waiter, key, no_room(), context);
    if (!stands_there) room_bytes_ -= std::min(room_bytes_, file_bytes);
    Store& store = stores_[key];
    store.head = std::move(head);
    store.data = std::move(data);
    store.waiters.push_back(std::move(waiter));
    store_bytes_ += store.data.size();
    if (stands_there) return compare(key, entry->second, false, context);
    queue_write(key, context);
}

void ChunkService::compare(ChunkKey key, const Entry& entry, bool again, Context& context) {
    if (const std::vector<uint32_t>* table = tables_.find(key)) return end_comparison(key, *table, context);
    pb::DiskRequest request;
    auto* read = request.add_operations()->mutable_read();
    read->set_file(chunk_path(key));
    read->set_length(head_bytes(entry.length));
    ask_disk(std::move(request), {}, CompareWork{key, again}, context);
}

void ChunkService::on_disk(CompareWork& work, DiskOutcome& outcome, Context& context) {
    const ChunkKey key = work.key;
    if (renaming_.contains(key)) {
        return end_store(key, status_of(pb::STATUS_EBUSY, "the stored chunk is damaged and being set aside, try again"),
                         context);
    }
    if (!outcome.answered) return end_store(key, outcome.status("read the stored chunk"), context);
    const auto entry = index_.find(key);
    if (entry == index_.end() || entry->second.damaged) return queue_write(key, context);
    const int error = outcome.reply.error();
    if (is_unreadable(error) && !std::exchange(work.again, true))
        return compare(key, entry->second, work.again, context);
    if (error != 0 && !is_unreadable(error) && !is_not_found(error)) {
        return end_store(key, outcome.status("read the stored chunk"), context);
    }
    if (outcome.ok()) {
        const DecodedHead decoded = decode_head(outcome.payload.flat().flat_view(), key, entry->second.length);
        if (stop_on_unknown_version(decoded, key, context)) return;
        if (decoded.problem == HeadProblem::kNone) {
            tables_.put(key, decoded.head.block_crc32c);
            return end_comparison(key, decoded.head.block_crc32c, context);
        }
    }
    // What stands there is of no use: the good bytes that just came are renamed over it.
    context.warn("a stored chunk is unreadable and is replaced by a new copy", {{"chunk", to_string(key)}});
    metrics_.damaged->add();
    drop_entry(key);
    queue_write(key, context);
}

// The table is trusted: it was verified against the file's head, and with it the length.
void ChunkService::end_comparison(ChunkKey key, const std::vector<uint32_t>& on_disk, Context& context) {
    const ChunkHead& head = stores_.at(key).head;
    if (index_.at(key).length == head.length && on_disk == head.block_crc32c) return end_store(key, {}, context);
    end_store(key,
              status_of(pb::STATUS_EEXIST, str_cat("chunk ", to_string(key), " is already stored with other bytes")),
              context);
}

// --- Writing

void ChunkService::queue_write(ChunkKey key, Context& context) {
    stores_.at(key).temporary = temporary_chunk_path(key, next_temporary_++);
    write_queue_.push_back(key);
    start_writes(context);
}

void ChunkService::start_writes(Context& context) {
    while (!write_queue_.empty() && writes_in_flight_ < kWriteRequestsMax) write_group(next_group(), context);
}

std::vector<ChunkKey> ChunkService::next_group() {
    std::vector<ChunkKey> keys;
    uint64_t bytes = 0;
    while (!write_queue_.empty() && keys.size() < kGroupChunksMax) {
        const ChunkKey key = write_queue_.front();
        const Store& store = stores_.at(key);
        const bool fits = bytes + store.data.size() <= kGroupBytesMax && !store.alone;
        if (!keys.empty() && !fits) break;
        keys.push_back(key);
        bytes += store.data.size();
        write_queue_.pop_front();
        if (store.alone) break;
    }
    return keys;
}

// All writes, then all syncs, then all renames: the first sync lets the file system commit the whole group, and the
// others find little left to do; the same for the directories.
void ChunkService::write_group(std::vector<ChunkKey> keys, Context& context) {
    WriteWork work;
    pb::DiskRequest request;
    Payload payload;
    for (const ChunkKey key : keys) {
        const uint32_t directory = chunk_directory_number(key);
        const bool known = directories_.test(directory) && !stores_.at(key).alone;
        if (known || std::ranges::count(work.directories, directory) > 0) continue;
        request.add_operations()->mutable_make_directory()->set_directory(chunk_directory(directory));
        work.directories.push_back(directory);
    }
    for (const ChunkKey key : keys) {
        const Store& store = stores_.at(key);
        auto* write = request.add_operations()->mutable_write();
        write->set_file(store.temporary);
        write->set_length(chunk_file_bytes(store.head.length));
        payload.append(Payload(encode_head(store.head)));
        payload.append(store.data);
    }
    for (const ChunkKey key : keys) request.add_operations()->mutable_sync()->set_file(stores_.at(key).temporary);
    for (const ChunkKey key : keys) {
        auto* rename = request.add_operations()->mutable_rename();
        rename->set_from(stores_.at(key).temporary);
        rename->set_to(chunk_path(key));
    }
    for (const ChunkKey key : keys) {
        if (!index_.contains(key)) continue;  // Only a damaged one can be there.
        request.add_operations()->mutable_remove()->set_file(damaged_chunk_path(key));
    }
    work.keys = std::move(keys);
    writes_in_flight_++;
    metrics_.write_requests->add();
    ask_disk(std::move(request), std::move(payload), std::move(work), context);
}

void ChunkService::on_disk(WriteWork& work, DiskOutcome& outcome, Context& context) {
    writes_in_flight_--;
    note_write(outcome.ok(), context);
    if (outcome.ok()) {
        for (const uint32_t directory : work.directories) directories_.set(directory);
        for (const ChunkKey key : work.keys) {
            const ChunkHead& head = stores_.at(key).head;
            add_entry(key, Entry{head.length, head.allocated_at_us, true, false});
            tables_.put(key, head.block_crc32c);
            metrics_.put_bytes->add(head.length);
            end_store(key, {}, context);
        }
    } else {
        on_group_failed(work, outcome, context);
    }
    start_writes(context);
}

void ChunkService::on_group_failed(const WriteWork& work, const DiskOutcome& outcome, Context& context) {
    const pb::Status status = outcome.status(str_cat("store chunk ", to_string(work.keys.front())));
    if (!outcome.answered) {
        // The disk may still carry it out. The temporary names are never used again, so nothing gets mixed up.
        for (const ChunkKey key : work.keys) end_store(key, status, context);
        return;
    }
    // Also when somebody removed a directory: alone, a chunk has its directory made again.
    const bool directory_gone = is_not_found(outcome.reply.error()) && !stores_.at(work.keys.front()).alone;
    if (work.keys.size() > 1 || directory_gone) {
        context.warn("storing a group of chunks failed, each is tried alone",
                     {{"chunks", work.keys.size()}, {"reason", status.message()}});
        for (auto key = work.keys.rbegin(); key != work.keys.rend(); ++key) {
            stores_.at(*key).alone = true;
            write_queue_.push_front(*key);
        }
        return;
    }
    context.error("a chunk was not stored", {{"reason", status.message()}});
    if (is_no_space(outcome.reply.error())) room_bytes_ = 0;  // Until it is asked for again.
    pb::DiskRequest clean;
    clean.add_operations()->mutable_remove()->set_file(stores_.at(work.keys.front()).temporary);
    ask_disk(std::move(clean), {}, CleanWork{}, context);
    end_store(work.keys.front(), status, context);
}

void ChunkService::end_store(ChunkKey key, const pb::Status& status, Context& context) {
    const auto found = stores_.find(key);
    store_bytes_ -= found->second.data.size();
    const std::vector<Waiter> waiters = std::move(found->second.waiters);
    stores_.erase(found);
    for (const Waiter& waiter : waiters) tell_waiter(waiter, key, status, context);
    answer_drain_when_idle(context);
}

void ChunkService::tell_waiter(const Waiter& waiter, ChunkKey key, const pb::Status& status, Context& context) {
    switch (waiter.kind) {
        case Waiter::Kind::kForward:
            return on_replica_done(waiter.forward, node_id_, status, context);
        case Waiter::Kind::kFetch:
            return end_fetch(key, status, context);
        case Waiter::Kind::kReply:
            break;
    }
    pb::ChunkPutReply answer;
    *answer.mutable_status() = status;
    if (is_ok(status)) answer.add_stored_on(node_id_);
    (is_ok(status) ? metrics_.puts_ok : metrics_.puts_failed)->add();
    requests_->observe(kReplicateOperation, status.code(), context.now_us() - waiter.since_us);
    context.reply(waiter.reply, message_of(std::move(answer)));
}

}  // namespace sandstore
