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
    const Entry* entry = index_.find(key);
    const bool stands_there = entry != nullptr && !entry->damaged;
    const uint64_t bytes = record_bytes(head.length);
    if (!stands_there && !has_room(bytes, context)) return tell_waiter(waiter, key, no_room(), context);
    if (!stands_there) room_bytes_ -= std::min(room_bytes_, bytes);
    Store& store = stores_[key];
    store.head = std::move(head);
    store.data = std::move(data);
    store.waiters.push_back(std::move(waiter));
    store_bytes_ += store.data.size();
    if (stands_there) return compare(key, false, context);
    write(key, context);
}

// With what stands there already.
void ChunkService::compare(ChunkKey key, bool again, Context& context) {
    if (const std::vector<uint32_t>* table = tables_.find(key)) return end_comparison(key, *table, context);
    const Entry entry = *index_.find(key);
    const VolumeStore::Place place = volumes_.place_of(entry);
    DiskCall call;
    call.read(place.file, place.head_at, place.head_bytes);
    disk_.ask(
        std::move(call),
        [this, key, again, entry](DiskOutcome& outcome, Context& now) {
            on_head_read(key, again, entry, outcome, now);
        },
        context);
}

void ChunkService::on_head_read(ChunkKey key, bool again, const Entry& entry, DiskOutcome& outcome, Context& context) {
    if (!outcome.answered) return end_store(key, outcome.status("read the stored chunk"), context);
    const Entry* there = index_.find(key);
    if (there == nullptr || there->damaged) return write(key, context);
    if (there->place() != entry.place()) return compare(key, false, context);
    const int error = outcome.error();
    if (is_unreadable(error) && !again) return compare(key, true, context);
    if (error != 0 && !is_unreadable(error) && !is_not_found(error)) {
        return end_store(key, outcome.status("read the stored chunk"), context);
    }
    std::string why = outcome.status("read the stored chunk").message();
    if (outcome.ok()) {
        const DecodedHead decoded = volumes_.decode_head_of(outcome.payload.flat().flat_view(), entry);
        if (stop_on_unknown_version(decoded, key, context)) return;
        if (decoded.problem == HeadProblem::kNone) {
            tables_.put(key, decoded.head.block_crc32c);
            return end_comparison(key, decoded.head.block_crc32c, context);
        }
        why = decoded.why;
    }
    // What stands there is of no use: the good bytes that just came take its place.
    set_damaged(key, why, context);
    write(key, context);
}

// The table is trusted: it was verified against the record's header, and with it the length.
void ChunkService::end_comparison(ChunkKey key, const std::vector<uint32_t>& on_disk, Context& context) {
    const ChunkHead& head = stores_.at(key).head;
    if (index_.find(key)->length == head.length && on_disk == head.block_crc32c) return end_store(key, {}, context);
    end_store(key,
              status_of(pb::STATUS_EEXIST, str_cat("chunk ", to_string(key), " is already stored with other bytes")),
              context);
}

// --- Writing

void ChunkService::write(ChunkKey key, Context& context) {
    const Store& store = stores_.at(key);
    volumes_.put(
        store.head, store.data,
        [this, key](const pb::Status& status, int error, Context& now) { on_stored(key, status, error, now); },
        context);
}

void ChunkService::on_stored(ChunkKey key, const pb::Status& status, int error, Context& context) {
    note_write(is_ok(status), context);
    if (is_ok(status)) {
        const ChunkHead& head = stores_.at(key).head;
        tables_.put(key, head.block_crc32c);
        metrics_.put_bytes->add(head.length);
    }
    if (is_no_space(error)) room_bytes_ = 0;  // Until it is asked for again.
    end_store(key, status, context);
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
