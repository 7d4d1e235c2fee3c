// LogStore's writing side: taking LogWrites in, group commit, rolling over to the next segment.
#include <algorithm>

#include "actors/log/log_store.h"
#include "actors/log/log_store_parts.h"
#include "runtime/check.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"

namespace sandstore {

// --- Taking writes in

void LogStore::on_log_write(Message message, Context& context) {
    SANDSTORE_CHECK(state_ == State::kRunning, "a write before the log was recovered");
    const pb::LogWrite& body = message->log_write();
    PendingWrite write;
    write.sender = sender_of(message);
    write.write_id = body.write_id();
    if (body.has_hard_state()) write.hard_state = body.hard_state();
    if (body.has_restart()) write.restart = body.restart();
    write.first_index = body.first_index();
    write.headers.reserve(body.record_count());
    RecordReader reader(message.payload);
    for (RecordHeader header; reader.next_header(&header);) write.headers.push_back(header);
    SANDSTORE_CHECK(!reader.damaged(), "write_id=", body.write_id(), " ", reader.problem());
    SANDSTORE_CHECK(write.headers.size() == body.record_count(), "write_id=", body.write_id(),
                    " records=", write.headers.size(), " announced=", body.record_count());
    write.records = std::move(message.payload);
    accept_write(std::move(write));
    write_next(context);
}

// A write that breaks the order would put a log on disk that no node can start from.
void LogStore::accept_write(PendingWrite write) {
    SANDSTORE_CHECK(write.write_id > last_write_id_ && (last_write_id_ == 0 || write.write_id == last_write_id_ + 1),
                    "write_id=", write.write_id, " last=", last_write_id_);
    last_write_id_ = write.write_id;
    if (write.hard_state) accept_hard_state(*write.hard_state);
    if (write.restart) {
        queued_first_index_ = write.restart->index() + 1;
        queued_last_index_ = write.restart->index();
    }
    if (write.first_index == 0) {
        SANDSTORE_CHECK(write.headers.empty(), "records=", write.headers.size());
    } else {
        SANDSTORE_CHECK(write.first_index >= queued_first_index_ && write.first_index <= queued_last_index_ + 1,
                        "first_index=", write.first_index, " log from ", queued_first_index_, " to ",
                        queued_last_index_);
        for (size_t i = 0; i < write.headers.size(); i++) {
            SANDSTORE_CHECK(write.headers[i].index == write.first_index + i, "index=", write.headers[i].index,
                            " expected=", write.first_index + i);
        }
        queued_last_index_ = write.first_index + write.headers.size() - 1;
    }
    SANDSTORE_CHECK(kSegmentHeaderBytes + write.block_bytes_max() <= kSegmentBytesMax, "bytes=", write.records.size());
    queue_.push_back(std::move(write));
}

// Terms never fall, and a term has one vote.
void LogStore::accept_hard_state(const pb::HardState& next) {
    pb::HardState& before = queued_hard_state_;
    SANDSTORE_CHECK(next.voted_for().size() <= kIdBytesMax, "vote=", next.voted_for());
    SANDSTORE_CHECK(next.term() >= before.term(), "term=", next.term(), " before=", before.term());
    SANDSTORE_CHECK(next.term() > before.term() || before.voted_for().empty() || next.voted_for() == before.voted_for(),
                    "a second vote in term ", next.term(), ": ", next.voted_for(), " after ", before.voted_for());
    before = next;
}

// --- Group commit

// Begins the next block unless one is under way.
void LogStore::write_next(Context& context) {
    if (write_request_ != 0 || write_waits_for_retry_ || queue_.empty()) return;
    if (!choose_segment(queue_.front().block_bytes_max(), context)) return;
    form_group();
    check_terms();
    submit_group(context);
}

// Where the next block goes: the open segment, or a spare that becomes the next one. False: a spare must be made first.
bool LogStore::choose_segment(size_t block_bytes, Context& context) {
    write_waits_for_spare_ = false;
    if (segment_ && segment_->end + block_bytes <= segment_->segment_bytes) return true;
    const uint64_t needed = kSegmentHeaderBytes + block_bytes;
    auto fitting = std::find_if(spares_.begin(), spares_.end(),
                                [&](const SpareSegment& spare) { return spare.size_bytes >= needed; });
    if (fitting == spares_.end()) {
        write_waits_for_spare_ = true;
        if (full_) tell_space(true, "", context);
        make_spare(std::max(start_.segment_bytes(), round_up(needed, kSegmentHeaderBytes)), context);
        return false;
    }
    roll_into_ = std::move(*fitting);
    spares_.erase(fitting);
    return true;
}

// As many writes as fit; at least the first, for which there is room.
void LogStore::form_group() {
    const uint64_t room =
        roll_into_ ? roll_into_->size_bytes - kSegmentHeaderBytes : segment_->segment_bytes - segment_->end;
    group_ = WriteGroup();
    uint64_t bytes = 0;
    do {
        bytes += queue_.front().block_bytes_max();
        group_.add(std::move(queue_.front()));
        queue_.pop_front();
        metrics_->writes.add();
    } while (!queue_.empty() && bytes + queue_.front().block_bytes_max() <= std::min<uint64_t>(room, kGroupBytesMax));
}

// Nothing is under way now, so the index is what the block follows.
void LogStore::check_terms() const {
    if (group_.first_index() == 0) return;
    uint64_t term = group_.restart() ? group_.restart()->term() : index_.term(group_.first_index() - 1);
    for (const RecordHeader& header : group_.headers()) {
        SANDSTORE_CHECK(header.term >= term, "index=", header.index, " term=", header.term, " before=", term);
        term = header.term;
    }
}

void LogStore::submit_group(Context& context) {
    write_call_ = {};
    roll_operations_ = 0;
    if (roll_into_) append_roll(&write_call_, context);
    const uint32_t salt = roll_into_ ? roll_header_.salt : segment_->salt;
    const uint64_t offset = roll_into_ ? kSegmentHeaderBytes : segment_->end;
    const std::string file = segment_file(start_.directory(), roll_into_ ? roll_header_.number : segment_->number);
    Payload block = group_.encode(next_sequence_, salt);
    const uint64_t end = offset + block.size();
    write_call_.write(file, offset, std::move(block));
    if (!planted("acknowledged-before-sync")) write_call_.sync(file);
    // Not synced itself: whoever kills the process leaves it, and the next sync, or the system in its time, takes it to
    // the disk.
    const uint64_t segment_bytes = roll_into_ ? roll_into_->size_bytes : segment_->segment_bytes;
    if (end + kBlockHeaderBytes <= segment_bytes && !planted("log-not-sealed")) {
        write_call_.write(file, end, Payload(encode_seal(next_sequence_ + 1, salt)));
    }
    write_request_ = ask_disk(write_call_, context);
}

// A spare gets the new header, which is synced before the file gets its name: under a segment's name there is always a
// whole header, so that a bad one is known to be damage.
void LogStore::append_roll(DiskCall* call, Context& context) {
    roll_header_ = {};
    roll_header_.number = segment_ ? segment_->number + 1 : 1;
    roll_header_.segment_bytes = roll_into_->size_bytes;
    roll_header_.salt = static_cast<uint32_t>(context.random());
    roll_header_.cluster_id = start_.cluster_id();
    roll_header_.node_id = start_.node_id();
    roll_header_.first_sequence = next_sequence_;
    roll_header_.first_index = index_.last_index() + 1;
    roll_header_.last_index = index_.last_index();
    roll_header_.last_term = index_.last_term();
    roll_header_.hard_state = hard_state_;
    call->write(roll_into_->file, 0, Payload(encode_segment_header(roll_header_)));
    call->sync(roll_into_->file);
    call->rename(roll_into_->file, segment_file(start_.directory(), roll_header_.number));
    roll_operations_ = static_cast<uint32_t>(call->request.operations_size());
}

// Before the request is repeated: a segment that got its name already must not be made once more.
void LogStore::forget_roll(uint32_t failed_operation) {
    if (roll_operations_ == 0 || failed_operation < roll_operations_) return;
    const uint64_t header_bytes = write_call_.request.operations(0).write().length();
    write_call_.request.mutable_operations()->DeleteSubrange(0, static_cast<int>(roll_operations_));
    write_call_.payload = write_call_.payload.slice(header_bytes, write_call_.payload.size() - header_bytes);
    roll_operations_ = 0;
}

void LogStore::on_write_reply(const pb::DiskReply& reply, Context& context) {
    const bool ignored = reply.sync_failed() && planted("sync-result-ignored");
    if (reply.error() != 0 && !ignored) {
        const std::string failure = describe_failure(write_call_.request, reply);
        // Making the segment is all that may need space.
        if (is_out_of_space(reply) && !reply.sync_failed() && reply.failed_operation() < roll_operations_) {
            context.warn("The disk is full; the log waits for space", {{"error", failure}});
            write_waits_for_retry_ = true;
            tell_space(true, failure, context);
            context.arm_timer(kOutOfSpaceRetryUs, kRetryWrite);
            return;
        }
        return stop(str_cat("The log could not be written: ", failure,
                            ". What is on disk is unknown now. Check the disk, then start the node again"),
                    context);
    }
    metrics_->sync_seconds.observe_us(reply.elapsed_us());
    apply_group(context);
    write_next(context);
    if (state_ == State::kRunning && spares_.size() < spares_wanted()) make_spare(start_.segment_bytes(), context);
}

// The group is durable: the index follows, and who waited for it is told.
void LogStore::apply_group(Context& context) {
    if (roll_into_) {
        segment_ = OpenSegment{roll_header_.number, roll_header_.segment_bytes, roll_header_.salt, kSegmentHeaderBytes};
        segments_.push_back({segment_->number, segment_->segment_bytes});
        roll_into_.reset();
        if (spares_wanted() == 1 && (!maker_.busy() || spare_space_timer_ == 0)) tell_space(false, "", context);
        metrics_->segments_made.add();
        metrics_->segments.set(static_cast<double>(segments_.size()));
    }
    if (group_.hard_state()) hard_state_ = *group_.hard_state();
    if (group_.restart()) index_ = LogIndex(group_.restart()->index() + 1, group_.restart()->term());
    if (group_.first_index() != 0) index_.truncate_from(group_.first_index());
    uint64_t offset = segment_->end + group_.records_offset();
    for (const RecordHeader& header : group_.headers()) {
        index_.append(header.term, {static_cast<uint32_t>(segment_->number), static_cast<uint32_t>(offset),
                                    static_cast<uint32_t>(header.encoded_bytes())});
        offset += header.encoded_bytes();
    }
    const auto& operations = write_call_.request.operations();
    const uint64_t block_bytes = operations.Get(static_cast<int>(roll_operations_)).write().length();
    segment_->end += block_bytes;
    if (full_) tell_space(true, "", context);
    next_sequence_++;
    metrics_->blocks.add();
    metrics_->bytes.add(block_bytes);
    metrics_->records.add(group_.headers().size());
    metrics_->last_index.set(static_cast<double>(index_.last_index()));

    for (const WriteGroup::Waiter& waiter : group_.waiters()) {
        pb::LogPersisted persisted;
        persisted.set_write_id(waiter.write_id);
        persisted.set_last_index(index_.last_index());
        persisted.set_last_term(index_.last_term());
        context.send(waiter.sender, message_of(persisted));
    }
    const bool restarted = group_.restart().has_value();
    group_ = WriteGroup();
    write_call_ = {};
    if (restarted) drop_dead_segments(context);
}

// --- The next segment

void LogStore::make_spare(uint64_t size_bytes, Context& context) {
    if (maker_.busy()) return;  // Whoever needs a larger one asks again when this is done.
    maker_.begin({spare_file(start_.directory(), next_spare_number_++), size_bytes}, start_.disk_reserve_bytes());
    ask_spare(context);
}

void LogStore::ask_spare(Context& context) {
    spare_call_ = maker_.next_step(write_waits_for_spare_);
    spare_request_ = ask_disk(spare_call_, context);
}

void LogStore::on_spare_reply(const pb::DiskReply& reply, Context& context) {
    SpareSegment made;
    switch (maker_.on_reply(reply, &made)) {
        case SpareMaker::Progress::kMore:
            return ask_spare(context);
        case SpareMaker::Progress::kDone:
            return add_spare(std::move(made), context);
        case SpareMaker::Progress::kOutOfSpace: {
            const std::string why =
                reply.error() == 0 ? str_cat("only ", reply.free_bytes(), " bytes are free, some of them for snapshots")
                                   : describe_failure(spare_call_.request, reply);
            if (!full_ || write_waits_for_spare_) {
                context.warn(write_waits_for_spare_ ? "The disk is full; writes to the log wait for space"
                                                    : "The disk is full; the log's next segment cannot be made",
                             {{"error", why}});
            }
            tell_space(true, why, context);
            spare_space_timer_ = context.arm_timer(kOutOfSpaceRetryUs, kRetrySpare);
            return;
        }
        case SpareMaker::Progress::kFailed:
            return stop(
                str_cat("The log's next segment could not be made: ", describe_failure(spare_call_.request, reply),
                        ". Check the disk, then start the node again"),
                context);
    }
}

void LogStore::add_spare(SpareSegment spare, Context& context) {
    spares_.push_back(std::move(spare));
    tell_space(full_ && spares_.size() < spares_wanted(), "", context);
    if (write_waits_for_spare_) write_next(context);
    if (spares_.size() < spares_wanted()) make_spare(start_.segment_bytes(), context);
}

// With a reserve, the second one is it.
size_t LogStore::spares_wanted() const {
    return start_.disk_reserve_bytes() > 0 && !planted("no-log-reserve") ? kSparesMax : 1;
}

uint64_t LogStore::room_bytes() const {
    uint64_t room = segment_ ? segment_->segment_bytes - segment_->end : 0;
    for (const SpareSegment& spare : spares_) room += spare.size_bytes;
    return room;
}

// Once for each change. No room is of use to what comes after a write that waits for more.
void LogStore::tell_space(bool full, std::string detail, Context& context) {
    const bool waits = write_waits_for_spare_ || write_waits_for_retry_;
    const bool has_reserve = spares_wanted() > 1 && room_bytes() >= start_.segment_bytes() / 2;
    const bool exhausted = full && (waits || !has_reserve);
    if (full == full_ && exhausted == exhausted_) return;
    full_ = full;
    exhausted_ = exhausted;
    pb::LogSpace space;
    space.set_full(full);
    space.set_exhausted(exhausted);
    space.set_detail(std::move(detail));
    context.send({pb::ACTOR_RAFT, context.self().instance}, message_of(std::move(space)));
}

}  // namespace sandstore
