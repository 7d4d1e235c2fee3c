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
    DiskCall call;
    for (uint32_t i = 0; i < kDirectoriesPerList; i++) call.list(chunk_directory(first_directory + i));
    disk_.ask_patiently(
        std::move(call), "list the chunk directories",
        [this](DiskOutcome& outcome, Context& now) { on_listed(outcome, now); }, context);
}

void ChunkService::on_listed(DiskOutcome& outcome, Context& context) {
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
    if (name.kind == ChunkFileName::Kind::kTemporary) {
        leftovers_.push_back(str_cat(chunk_directory(chunk_directory_number(name.key)), "/", file.name()));
        return;
    }
    const std::optional<uint64_t> length = chunk_length_of_file(file.size());
    const bool set_aside = name.kind == ChunkFileName::Kind::kDamaged;
    Entry entry;
    entry.key = name.key;
    entry.length = static_cast<uint32_t>(length.value_or(0));
    entry.damaged = set_aside;
    entry.time_known = set_aside;
    if (index_.find(name.key) != nullptr) {
        // A good copy came after the damaged one; the node stopped before it removed that.
        leftovers_.push_back(damaged_chunk_path(name.key));
        if (set_aside) return;
    }
    index_.put(entry);
    volumes_.note_own_file(name.key, set_aside);
    if (!set_aside) headers_to_read_.push_back(name.key);
    if (!set_aside && !length) misshapen_.push_back(name.key);
}

void ChunkService::end_listing(Context& context) {
    if (foreign_files_ > 0) {
        context.warn("files that are not chunks stand among them", {{"count", foreign_files_}, {"one", foreign_file_}});
    }
    volumes_.open(
        volume_options_, [this](Context& now) { on_opened(now); },
        [this](ChunkKey key, const std::string& why, Context& now) { set_damaged(key, why, now); }, context);
}

void ChunkService::on_opened(Context& context) {
    phase_ = Phase::kServing;
    context.info("chunks found", {{"count", index_.intact()},
                                  {"bytes", index_.intact_bytes()},
                                  {"volumes", volumes_.volumes()},
                                  {"leftovers", leftovers_.size()}});
    for (const ChunkKey key : misshapen_) {
        const Entry* entry = index_.find(key);
        const bool still_there = entry != nullptr && entry->volume == ChunkIndex::kOwnFile && entry->length == 0;
        if (still_there) set_damaged(key, "no chunk file has this size", context);
    }
    misshapen_.clear();
    remove_leftovers(context);
    read_headers(context);
    ask_space(context);
    if (stats_interval_us_ > 0) context.arm_timer(stats_interval_us_, kStatsTimer);
    waiting_bytes_ = 0;
    for (Message& message : std::exchange(waiting_, {})) serve(std::move(message), context);
}

// Puts that an earlier process did not finish: nobody was told that they are stored.
void ChunkService::remove_leftovers(Context& context) {
    if (leftovers_.empty()) return;
    DiskCall call;
    for (size_t i = 0; i < kLeftoversPerRequest && !leftovers_.empty(); i++) {
        call.remove(leftovers_.front());
        leftovers_.pop_front();
    }
    disk_.ask(
        std::move(call),
        [this](DiskOutcome& outcome, Context& now) {
            if (!outcome.ok()) now.warn(outcome.status("remove the files of unfinished puts").message());
            remove_leftovers(now);
        },
        context);
}

// --- Headers: when a chunk with a file of its own was allocated

void ChunkService::read_headers(Context& context) {
    if (headers_read_) return;
    std::vector<ChunkKey> keys;
    DiskCall call;
    for (; !headers_to_read_.empty() && keys.size() < kHeadersPerRequest; headers_to_read_.pop_front()) {
        const ChunkKey key = headers_to_read_.front();
        const Entry* entry = index_.find(key);
        if (entry == nullptr || entry->time_known || entry->damaged) continue;
        call.read(chunk_path(key), 0, kChunkHeaderBytes);
        keys.push_back(key);
    }
    if (!keys.empty()) {
        return disk_.ask_patiently(
            std::move(call), "read the chunks' headers",
            [this, keys](DiskOutcome& outcome, Context& now) { on_headers(keys, outcome, now); }, context);
    }
    headers_read_ = true;
    for (auto& [list, reply] : std::exchange(waiting_lists_, {})) answer_list(list, reply, context);
}

void ChunkService::on_headers(const std::vector<ChunkKey>& keys, DiskOutcome& outcome, Context& context) {
    const size_t done = outcome.ok() ? keys.size() : outcome.reply.failed_operation();
    SANDSTORE_CHECK(done <= keys.size() && done <= static_cast<size_t>(outcome.reply.read_lengths_size()),
                    "done=", done, " reads=", outcome.reply.read_lengths_size());
    uint64_t at = 0;
    for (size_t i = 0; i < done; i++) {
        const ChunkKey key = keys[i];
        const uint64_t length = outcome.reply.read_lengths(static_cast<int>(i));
        const Payload bytes = outcome.payload.slice(at, length).flat();
        at += length;
        const Entry* entry = index_.find(key);
        // Deleted, moved, stored anew or found damaged since the read began.
        if (entry == nullptr || entry->time_known || entry->damaged) continue;
        const DecodedHead decoded = decode_header(bytes.flat_view(), key, entry->length);
        if (stop_on_unknown_version(decoded, key, context)) return;
        if (decoded.problem == HeadProblem::kNone) {
            index_.set_time(key, decoded.head.allocated_at_us);
        } else {
            set_damaged(key, decoded.why, context);
        }
    }
    headers_to_read_.insert(headers_to_read_.begin(), keys.begin() + static_cast<ptrdiff_t>(done), keys.end());
    if (done < keys.size()) return on_header_error(keys[done], outcome, context);
    read_headers(context);
}

void ChunkService::on_header_error(ChunkKey key, const DiskOutcome& outcome, Context& context) {
    if (!is_unreadable(outcome.error()) || std::exchange(unreadable_header_, key) == key) {
        headers_to_read_.pop_front();
        skip_header(key, outcome, context);
    }
    read_headers(context);
}

void ChunkService::skip_header(ChunkKey key, const DiskOutcome& outcome, Context& context) {
    const Entry* entry = index_.find(key);
    if (entry == nullptr || entry->damaged || entry->time_known) return;
    const std::string why = outcome.status("read its header").message();
    if (is_unreadable(outcome.error())) return set_damaged(key, why, context);
    if (is_not_found(outcome.error())) return lose(key, context);
    context.error("a chunk's header cannot be read", {{"chunk", to_string(key)}, {"reason", why}});
    index_.set_time(key, UINT64_MAX);  // Nobody knows its age: it is no leftover.
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
    pb::ChunkListReply answer;
    const Entry* entry = index_.first_after(list.has_after() ? key_of(list.after()) : ChunkKey());
    for (; entry != nullptr; entry = index_.first_after(entry->key)) {
        if (list.has_until() && entry->key > key_of(list.until())) break;
        if (static_cast<uint32_t>(answer.chunks_size()) == limit) {
            answer.set_more(true);
            break;
        }
        pb::ChunkStatus* chunk = answer.add_chunks();
        *chunk->mutable_id() = id_of(entry->key);
        chunk->set_length(entry->length);
        chunk->set_allocated_at_us(entry->allocated_at_us);
        chunk->set_damaged(entry->damaged);
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
    std::vector<ChunkKey> keys;
    for (const pb::ChunkId& id : request.ids()) {
        const ChunkKey key = key_of(id);
        if (index_.find(key) == nullptr || stores_.contains(key)) continue;
        // An audit that was asked before this node became a home of the chunk does not know of that.
        const auto fetched = fetched_at_us_.find(key);
        if (fetched != fetched_at_us_.end() && context.now_us() - fetched->second < kFetchedKeptUs) continue;
        keys.push_back(key);
        tables_.erase(key);
    }
    std::ranges::sort(keys);
    const auto [first, last] = std::ranges::unique(keys);
    keys.erase(first, last);
    metrics_.deleted->add(keys.size());
    volumes_.remove(
        keys,
        [this, reply = reply_to(message), any = !keys.empty()](const pb::Status& status, Context& now) {
            if (any) ask_space(now);  // So that everybody knows of the room soon.
            pb::StatusReply answer;
            *answer.mutable_status() = status;
            now.reply(reply, message_of(std::move(answer)));
        },
        context);
}

}  // namespace sandstore
