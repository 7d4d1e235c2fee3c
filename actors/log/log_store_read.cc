// LogStore's reading side: which bytes to ask the disk for, and the records cut out of them.
#include <algorithm>

#include "actors/log/log_store.h"
#include "actors/log/log_store_parts.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"

namespace sandstore {

namespace {
constexpr int kOperationsMax = 64;       // Of one read.
constexpr uint64_t kGapBytesMax = 4096;  // Read over a gap up to this rather than begin another operation.
}  // namespace

void LogStore::on_log_read(const Message& message, Context& context) {
    const pb::LogRead& read = message->log_read();
    const ReplyTo to = reply_to(message);
    if (read.last_index() < read.first_index()) {
        return reply_records(to, pb::STATUS_INVALID_ARGUMENT, "the last index is before the first", read.first_index(),
                             context);
    }
    if (state_ != State::kRunning || read.first_index() < index_.first_index() ||
        read.first_index() >= readable_end()) {
        return reply_records(to, pb::STATUS_ENOENT, "the log does not hold this entry durably", read.first_index(),
                             context);
    }
    if (reads_.size() >= kReadsMax) {
        return reply_records(to, pb::STATUS_RESOURCE_EXHAUSTED, "too many reads of the log at once", read.first_index(),
                             context);
    }
    DiskCall call;
    std::unique_ptr<PendingRead> pending = plan_read(read, &call);
    pending->reply_to = to;
    const RequestId request = ask_disk(call, context);
    pending->call = std::move(call);
    reads_[request] = std::move(pending);
}

// Entries before this one are durable, and no write under way replaces them: of those that are being replaced the
// caller would get what it no longer believes in.
uint64_t LogStore::readable_end() const {
    uint64_t end = index_.last_index() + 1;
    if (group_.restart()) return index_.first_index();
    if (group_.first_index() != 0) end = std::min(end, group_.first_index());
    for (const PendingWrite& write : queue_) {
        if (write.restart) return index_.first_index();
        if (write.first_index != 0) end = std::min(end, write.first_index);
    }
    return end;
}

std::unique_ptr<LogStore::PendingRead> LogStore::plan_read(const pb::LogRead& read, DiskCall* call) const {
    auto pending = std::make_unique<PendingRead>();
    pending->first_index = read.first_index();
    const uint64_t bytes_max = std::min(read.max_bytes(), kReadBytesMax);
    const uint64_t last_index = std::min(read.last_index(), readable_end() - 1);
    uint64_t record_bytes = 0;
    EntryPlace begin;   // Of the operation being formed: its first entry,
    uint64_t end = 0;   // and the end of its last.
    uint64_t base = 0;  // Where its bytes begin in the reply.
    uint64_t index = read.first_index();
    for (; index <= last_index; index++) {
        const EntryPlace place = index_.place(index);
        const bool first = index == read.first_index();
        if (!first && record_bytes + place.bytes > bytes_max) break;
        const bool continues =
            !first && place.segment == begin.segment && place.offset >= end && place.offset - end <= kGapBytesMax;
        if (!continues) {
            if (call->request.operations_size() + 2 > kOperationsMax) break;
            if (!first) {
                call->read(segment_file(start_.directory(), begin.segment), begin.offset, end - begin.offset);
                base += end - begin.offset;
            }
            begin = place;
            end = place.offset;
        }
        const size_t offset = base + (place.offset - begin.offset);
        if (!pending->runs.empty() && pending->runs.back().offset + pending->runs.back().bytes == offset) {
            pending->runs.back().bytes += place.bytes;
        } else {
            pending->runs.push_back({offset, place.bytes});
        }
        end = place.offset + place.bytes;
        record_bytes += place.bytes;
    }
    call->read(segment_file(start_.directory(), begin.segment), begin.offset, end - begin.offset);
    pending->read_bytes = base + (end - begin.offset);
    pending->record_count = static_cast<uint32_t>(index - read.first_index());
    pending->last_term = index_.term(index - 1);
    return pending;
}

void LogStore::on_read_reply(const PendingRead& read, const pb::DiskReply& reply, const Payload& payload,
                             Context& context) {
    constexpr std::string_view kAdvice =
        ". Entries that this node had acknowledged cannot be read. Check the disk; if a majority of the cluster is "
        "healthy, remove this node's data directory and let it join again";
    if (is_passing_disk_error(reply.error())) {
        const std::string why = describe_failure(read.call.request, reply);
        return reply_records(read.reply_to, pb::STATUS_UNAVAILABLE, why, read.first_index, context);
    }
    if (reply.error() != 0) {
        return stop(str_cat("The log cannot be read: ", describe_failure(read.call.request, reply), kAdvice), context);
    }
    const std::string& file = read.call.request.operations(0).read().file();
    if (payload.size() != read.read_bytes) {
        return stop(str_cat("The log cannot be read: ", file, " is shorter than it was", kAdvice), context);
    }
    Payload records;
    for (const PendingRead::Run& run : read.runs) records.append(payload.slice(run.offset, run.bytes));
    // The disk is not trusted: a wrong entry must not reach a peer or the state machine.
    RecordReader reader(records);
    Record record;
    uint64_t expected = read.first_index;
    while (reader.next(&record) && record.index == expected) expected++;
    if (reader.damaged() || expected != read.first_index + read.record_count) {
        return stop(str_cat("The log is damaged: entry ", expected, " read from ", file, " or after it is wrong",
                            reader.damaged() ? ": " : "", reader.problem(), kAdvice),
                    context);
    }
    pb::LogRecords answer;
    answer.mutable_status();
    answer.set_first_index(read.first_index);
    answer.set_record_count(read.record_count);
    answer.set_last_term(read.last_term);
    context.reply(read.reply_to, message_of(std::move(answer), std::move(records)));
}

void LogStore::reply_records(const ReplyTo& to, pb::StatusCode code, std::string_view why, uint64_t first_index,
                             Context& context) {
    pb::LogRecords answer;
    *answer.mutable_status() = make_status(code, why);
    answer.set_first_index(first_index);
    context.reply(to, message_of(std::move(answer)));
}

}  // namespace sandstore
