// ChunkService: what is on disk at start, list and delete.
#include <algorithm>
#include <utility>

#include "actors/chunk/chunk_service.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

// --- Listing

void ChunkService::list_directories(Context& context) {
    while (next_directory_ < kChunkDirectories && lists_in_flight_ < kListRequestsMax) {
        lists_in_flight_++;
        ask_list(std::exchange(next_directory_, next_directory_ + kDirectoriesPerList), context);
    }
}

void ChunkService::ask_list(uint32_t first_directory, Context& context) {
    pb::DiskRequest request;
    for (uint32_t i = 0; i < kDirectoriesPerList; i++) {
        request.add_operations()->mutable_list()->set_directory(chunk_directory(first_directory + i));
    }
    ask_disk(std::move(request), {}, ListWork{first_directory}, context);
}

void ChunkService::on_disk(ListWork& work, DiskOutcome& outcome, Context& context) {
    if (outcome.answered && is_passing_disk_error(outcome.reply.error())) {
        context.warn(str_cat(outcome.status("list the chunk directories").message(), "; tried again"));
        if (lists_to_repeat_.empty()) context.arm_timer(kDiskRetryUs, kListTimer);
        return lists_to_repeat_.push_back(work.first_directory);
    }
    lists_in_flight_--;
    if (!outcome.ok()) {
        // Going on would mean to tell others that chunks are missing which may be there.
        return context.fail_stop(
            str_cat(outcome.status("list the chunk directories").message(), ". Check the disk, then start again"));
    }
    for (const pb::DiskFile& file : outcome.reply.files()) note_file(file);
    list_directories(context);
    if (lists_in_flight_ == 0) end_listing(context);
}

// The directory of a file follows from its name.
void ChunkService::note_file(const pb::DiskFile& file) {
    const ChunkFileName name = parse_chunk_file_name(file.name());
    if (name.kind == ChunkFileName::Kind::kForeign) {
        foreign_files_++;
        foreign_file_ = file.name();
        return;
    }
    directories_.set(chunk_directory_number(name.key));
    if (name.kind == ChunkFileName::Kind::kTemporary) {
        leftovers_.push_back(str_cat(chunk_directory(chunk_directory_number(name.key)), "/", file.name()));
        return;
    }
    const std::optional<uint64_t> length = chunk_length_of_file(file.size());
    Entry entry;
    entry.length = length.value_or(0);
    entry.damaged = name.kind == ChunkFileName::Kind::kDamaged;
    const auto other = index_.find(name.key);
    if (other != index_.end()) {
        // A good copy came after the damaged one; the node stopped before it removed that.
        leftovers_.push_back(damaged_chunk_path(name.key));
        if (entry.damaged) return;
    }
    add_entry(name.key, entry);
    if (!entry.damaged && !length) misshapen_.push_back(name.key);
}

void ChunkService::end_listing(Context& context) {
    phase_ = Phase::kServing;
    if (foreign_files_ > 0) {
        context.warn("files that are not chunks stand among them", {{"count", foreign_files_}, {"one", foreign_file_}});
    }
    context.info("chunks found", {{"count", chunk_count_}, {"bytes", chunk_bytes_}, {"leftovers", leftovers_.size()}});
    for (const ChunkKey key : misshapen_) quarantine(key, "no chunk file has this size", context);
    misshapen_.clear();
    remove_leftovers(context);
    read_headers(context);
    ask_space(context);
    if (stats_interval_us_ > 0) context.arm_timer(stats_interval_us_, kStatsTimer);
    waiting_bytes_ = 0;
    for (Message& message : std::exchange(waiting_, {})) serve(std::move(message), context);
}

// Puts that the last process did not finish: nobody was told that they are stored.
void ChunkService::remove_leftovers(Context& context) {
    if (leftovers_.empty()) return;
    pb::DiskRequest request;
    for (size_t i = 0; i < kLeftoversPerRequest && !leftovers_.empty(); i++) {
        request.add_operations()->mutable_remove()->set_file(leftovers_.front());
        leftovers_.pop_front();
    }
    ask_disk(std::move(request), {}, LeftoversWork{}, context);
}

void ChunkService::on_disk(LeftoversWork&, DiskOutcome& outcome, Context& context) {
    if (!outcome.ok()) context.warn(outcome.status("remove the files of unfinished puts").message());
    remove_leftovers(context);
}

// --- Headers: when a chunk was allocated

void ChunkService::read_headers(Context& context) {
    if (headers_read_) return;
    HeadersWork work;
    pb::DiskRequest request;
    auto entry = index_.upper_bound(header_cursor_);
    for (; entry != index_.end() && work.keys.size() < kHeadersPerRequest; ++entry) {
        if (entry->second.header_read || entry->second.damaged) continue;
        auto* read = request.add_operations()->mutable_read();
        read->set_file(chunk_path(entry->first));
        read->set_length(kChunkHeaderBytes);
        work.keys.push_back(entry->first);
    }
    if (!work.keys.empty()) return ask_disk(std::move(request), {}, std::move(work), context);
    headers_read_ = true;
    for (auto& [list, reply] : std::exchange(waiting_lists_, {})) answer_list(list, reply, context);
}

void ChunkService::on_disk(HeadersWork& work, DiskOutcome& outcome, Context& context) {
    if (!outcome.answered) {
        context.warn(outcome.status("read the chunks' headers").message());
        context.arm_timer(kDiskRetryUs, kHeadersTimer);
        return;
    }
    const size_t done = outcome.ok() ? work.keys.size() : outcome.reply.failed_operation();
    SANDSTORE_CHECK(done <= work.keys.size() && done <= static_cast<size_t>(outcome.reply.read_lengths_size()),
                    "done=", done, " reads=", outcome.reply.read_lengths_size());
    uint64_t at = 0;
    for (size_t i = 0; i < done; i++) {
        const ChunkKey key = work.keys[i];
        const uint64_t length = outcome.reply.read_lengths(static_cast<int>(i));
        const Payload bytes = outcome.payload.slice(at, length).flat();
        at += length;
        header_cursor_ = key;
        const auto entry = index_.find(key);
        // Deleted, stored anew or found damaged since the read began.
        if (entry == index_.end() || entry->second.header_read || entry->second.damaged) continue;
        const DecodedHead decoded = decode_header(bytes.flat_view(), key, entry->second.length);
        if (stop_on_unknown_version(decoded, key, context)) return;
        if (decoded.problem == HeadProblem::kNone) {
            entry->second.header_read = true;
            entry->second.allocated_at_us = decoded.head.allocated_at_us;
        } else {
            quarantine(key, decoded.why, context);
        }
    }
    if (done < work.keys.size()) return on_header_error(work.keys[done], outcome, context);
    read_headers(context);
}

void ChunkService::on_header_error(ChunkKey key, const DiskOutcome& outcome, Context& context) {
    const int error = outcome.reply.error();
    if (is_passing_disk_error(error)) {
        context.warn(str_cat(outcome.status("read the chunks' headers").message(), "; tried again"));
        context.arm_timer(kDiskRetryUs, kHeadersTimer);
        return;
    }
    if (!is_unreadable(error) || std::exchange(unreadable_header_, key) == key) {
        header_cursor_ = key;
        skip_header(key, outcome, context);
    }
    read_headers(context);
}

void ChunkService::skip_header(ChunkKey key, const DiskOutcome& outcome, Context& context) {
    const auto entry = index_.find(key);
    if (entry == index_.end() || entry->second.damaged || renaming_.contains(key)) return;
    const std::string why = outcome.status("read its header").message();
    if (is_unreadable(outcome.reply.error())) return quarantine(key, why, context);
    if (!is_not_found(outcome.reply.error())) {
        context.error("a chunk's header cannot be read", {{"chunk", to_string(key)}, {"reason", why}});
        entry->second.allocated_at_us = UINT64_MAX;  // Nobody knows its age: it is no leftover.
        return;
    }
    context.error("a chunk's file is gone", {{"chunk", to_string(key)}, {"file", chunk_path(key)}});
    drop_entry(key);
}

// --- List

void ChunkService::on_chunk_list(const Message& message, Context& context) {
    if (headers_read_) return answer_list(message->chunk_list(), reply_to(message), context);
    if (waiting_lists_.size() >= kWaitingListsMax) {
        return refuse(message, pb::STATUS_RESOURCE_EXHAUSTED, "this node still reads its chunks' headers", context);
    }
    waiting_lists_.emplace_back(message->chunk_list(), reply_to(message));
}

void ChunkService::answer_list(const pb::ChunkList& list, const ReplyTo& reply, Context& context) {
    const uint32_t limit = list.limit() == 0 ? kListDefault : std::min(list.limit(), kListMax);
    auto entry = list.has_after() ? index_.upper_bound(key_of(list.after())) : index_.begin();
    const auto end = list.has_until() ? index_.upper_bound(key_of(list.until())) : index_.end();
    pb::ChunkListReply answer;
    // An `until` before `after` asks for nothing; the iterators would never meet.
    const bool nothing = list.has_after() && list.has_until() && key_of(list.until()) <= key_of(list.after());
    for (; !nothing && entry != end; ++entry) {
        if (static_cast<uint32_t>(answer.chunks_size()) == limit) {
            answer.set_more(true);
            break;
        }
        pb::ChunkStatus* chunk = answer.add_chunks();
        *chunk->mutable_id() = id_of(entry->first);
        chunk->set_length(entry->second.length);
        chunk->set_allocated_at_us(entry->second.allocated_at_us);
        chunk->set_damaged(entry->second.damaged);
    }
    context.reply(reply, message_of(std::move(answer)));
}

// --- Delete

void ChunkService::on_chunk_delete(const Message& message, Context& context) {
    const pb::ChunkDelete& request = message->chunk_delete();
    if (!message->from_node().empty()) {
        return refuse(message, pb::STATUS_EACCES, "only a node's own repairer deletes its chunks", context);
    }
    if (request.ids().size() > kDeleteMax) {
        return refuse(message, pb::STATUS_INVALID_ARGUMENT, str_cat("more than ", kDeleteMax, " chunks to delete"),
                      context);
    }
    DeleteWork work;
    work.reply = reply_to(message);
    for (const pb::ChunkId& id : request.ids()) {
        const ChunkKey key = key_of(id);
        const auto entry = index_.find(key);
        if (entry == index_.end() || renaming_.contains(key) || stores_.contains(key)) continue;
        // An audit that was asked before this node became a home of the chunk does not know of that.
        const auto fetched = fetched_at_us_.find(key);
        if (fetched != fetched_at_us_.end() && context.now_us() - fetched->second < kFetchedKeptUs) continue;
        work.chunks.emplace_back(key, entry->second);
        drop_entry(key);
        renaming_.insert(key);
    }
    delete_files(std::move(work), context);
}

void ChunkService::delete_files(DeleteWork work, Context& context) {
    if (work.chunks.empty()) {
        pb::StatusReply answer;
        *answer.mutable_status() = std::move(work.failure);
        return context.reply(work.reply, message_of(std::move(answer)));
    }
    pb::DiskRequest operations;
    work.operations_end.clear();
    for (const auto& [key, entry] : work.chunks) {
        operations.add_operations()->mutable_remove()->set_file(chunk_path(key));
        if (entry.damaged) operations.add_operations()->mutable_remove()->set_file(damaged_chunk_path(key));
        work.operations_end.push_back(static_cast<size_t>(operations.operations_size()));
    }
    ask_disk(std::move(operations), {}, std::move(work), context);
}

// One that cannot be deleted stays, as far as one can know; those behind it are tried without it.
void ChunkService::on_disk(DeleteWork& work, DiskOutcome& outcome, Context& context) {
    size_t operations_done = 0;
    if (outcome.ok()) {
        operations_done = work.operations_end.back();
    } else if (outcome.answered) {
        operations_done = outcome.reply.failed_operation();
    }
    DeleteWork rest;
    rest.reply = work.reply;
    rest.failure = std::move(work.failure);
    bool stuck = false;
    for (size_t i = 0; i < work.chunks.size(); i++) {
        auto& [key, entry] = work.chunks[i];
        if (work.operations_end[i] <= operations_done) {
            renaming_.erase(key);
            metrics_.deleted->add();
        } else if (!outcome.answered || !std::exchange(stuck, true)) {
            renaming_.erase(key);
            add_entry(key, entry);
            rest.failure = outcome.status(str_cat("delete ", chunk_path(key)));
        } else {
            rest.chunks.emplace_back(key, entry);
        }
    }
    if (operations_done > 0) ask_space(context);  // So that everybody knows of the room soon.
    delete_files(std::move(rest), context);
}

}  // namespace sandstore
