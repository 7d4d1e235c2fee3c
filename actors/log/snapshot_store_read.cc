// SnapshotStore's reading side: bytes for a peer, sections for the state machine, whole files to be verified.
#include <algorithm>
#include <utility>

#include "actors/log/snapshot_store.h"
#include "actors/log/snapshot_store_parts.h"
#include "runtime/crc32c.h"
#include "runtime/disk_error.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

void SnapshotStore::on_snapshot_read(const Message& message, Context& context) {
    const pb::SnapshotRead& read = message->snapshot_read();
    auto reading = std::make_unique<Reading>();
    reading->reply_to = reply_to(message);
    reading->asked.set_index(read.index());
    reading->asked.set_term(read.term());
    reading->offset = read.offset();
    const KeptSnapshot* snapshot = find(read.index(), read.term());
    if (snapshot == nullptr) return fail_read(*reading, pb::STATUS_ENOENT, "there is no such snapshot", context);
    reading->snapshot = *snapshot;
    const uint64_t file_bytes = snapshot->meta.file_bytes();
    const uint64_t left = file_bytes - std::min<uint64_t>(read.offset(), file_bytes);
    const uint64_t length = std::min({static_cast<uint64_t>(read.length()), left, kReadBytesMax});
    if (length == 0) return fail_read(*reading, pb::STATUS_OK, "", context);
    ask_read(std::move(reading), length, context);
}

void SnapshotStore::on_read_section(const Message& message, Context& context) {
    const pb::ReadSection& read = message->read_section();
    auto reading = std::make_unique<Reading>();
    reading->reply_to = reply_to(message);
    reading->what = Reading::For::kSection;
    const KeptSnapshot* snapshot = find(read.index(), read.term());
    if (snapshot == nullptr) return fail_read(*reading, pb::STATUS_ENOENT, "there is no such snapshot", context);
    reading->snapshot = *snapshot;
    reading->offset = read.offset() == 0 ? snapshot->header_bytes : static_cast<uint64_t>(read.offset());
    const uint64_t end = snapshot->meta.file_bytes() - kSnapshotTrailerBytes;
    if (reading->offset < snapshot->header_bytes || reading->offset + kSectionHeaderBytes > end) {
        return fail_read(*reading, pb::STATUS_INVALID_ARGUMENT, "no section begins at this offset", context);
    }
    const uint64_t length = std::min(kSectionGuessBytes, end - reading->offset);
    ask_read(std::move(reading), length, context);
}

void SnapshotStore::ask_read(std::unique_ptr<Reading> reading, uint64_t length, Context& context) {
    if (reads_.size() >= kReadsMax && reading->what == Reading::For::kSection) {
        reading->length = length;
        return read_later(std::move(reading), context);
    }
    if (reads_.size() >= kReadsMax) {
        return fail_read(*reading, pb::STATUS_RESOURCE_EXHAUSTED, "too many reads of snapshots at once", context);
    }
    const pb::SnapshotMeta& meta = reading->snapshot.meta;
    reading->length = length;
    reading->call = {};
    reading->call.read(path(snapshot_file(meta.index(), meta.term())), reading->offset, length);
    const RequestId request = context.ask(pb::PORT_CHUNK_DISK, message_of(reading->call.request), kDiskTimeoutUs);
    reads_[request] = std::move(reading);
}

// A file that was replaced by newer ones meanwhile is gone: ENOENT.
void SnapshotStore::on_read_reply(std::unique_ptr<Reading> reading, const pb::DiskReply& reply, const Payload& payload,
                                  Context& context) {
    if (reply.error() != 0 && may_be_read_again(*reading, reply.error()))
        return read_later(std::move(reading), context);
    if (reply.error() != 0) {
        const pb::Status status = status_of_failure(reading->call, reply);
        return fail_read(*reading, status.code(), status.message(), context);
    }
    if (payload.size() != reading->length && reading->what == Reading::For::kVerify) {
        return set_aside(std::move(reading), "it is shorter than it was", context);
    }
    if (payload.size() != reading->length) {
        return fail_read(*reading, pb::STATUS_CORRUPTED, "the snapshot's file is shorter than it was", context);
    }
    if (reading->what == Reading::For::kSection) return on_section_bytes(std::move(reading), payload, context);
    if (reading->what == Reading::For::kVerify) return on_verify_bytes(std::move(reading), payload, context);
    reply_bytes(*reading, {}, payload, context);
}

// A section that does not come ends the node: what is short may be there again before its asker gives up, and only what
// cannot be read twice is damaged.
bool SnapshotStore::may_be_read_again(Reading& reading, int error) const {
    if (reading.what != Reading::For::kSection) return false;
    return is_passing_disk_error(error) || (is_unreadable(error) && !std::exchange(reading.unreadable, true));
}

void SnapshotStore::read_later(std::unique_ptr<Reading> reading, Context& context) {
    if (to_read_again_.empty()) context.arm_timer(kReadAgainUs, kReadAgain);
    to_read_again_.push_back(std::move(reading));
}

void SnapshotStore::read_again(Context& context) {
    for (std::unique_ptr<Reading>& reading : std::exchange(to_read_again_, {})) {
        const uint64_t length = reading->length;
        ask_read(std::move(reading), length, context);
    }
}

void SnapshotStore::reply_bytes(const Reading& reading, const pb::Status& status, Payload payload, Context& context) {
    pb::SnapshotBytes bytes;
    *bytes.mutable_status() = status;
    bytes.set_index(reading.asked.index());
    bytes.set_term(reading.asked.term());
    bytes.set_offset(reading.offset);
    context.reply(reading.reply_to, message_of(std::move(bytes), std::move(payload)));
}

void SnapshotStore::on_section_bytes(std::unique_ptr<Reading> reading, const Payload& payload, Context& context) {
    const uint64_t end = reading->snapshot.meta.file_bytes() - kSnapshotTrailerBytes;
    const std::optional<SectionHeader> header =
        decode_section_header(payload.slice(0, kSectionHeaderBytes).to_string());
    if (!header || kSectionHeaderBytes + header->data_bytes > end - reading->offset) {
        return fail_read(*reading, pb::STATUS_CORRUPTED,
                         str_cat("the header of the section at offset ", reading->offset, " is damaged"), context);
    }
    const uint64_t section_bytes = kSectionHeaderBytes + header->data_bytes;
    if (section_bytes > payload.size()) return ask_read(std::move(reading), section_bytes, context);
    Payload data = payload.slice(kSectionHeaderBytes, header->data_bytes);
    if (crc32c(data) != header->data_crc && !planted("snapshot-checksum-ignored")) {
        return fail_read(*reading, pb::STATUS_CORRUPTED,
                         str_cat("the checksum of the section at offset ", reading->offset, " is wrong"), context);
    }
    pb::SnapshotSection section;
    section.mutable_status();
    section.set_next_offset(reading->offset + section_bytes);
    section.set_last(section.next_offset() == end);
    context.reply(reading->reply_to, message_of(std::move(section), std::move(data)));
}

void SnapshotStore::fail_read(const Reading& reading, pb::StatusCode code, std::string_view why, Context& context) {
    const pb::Status status = make_status(code, std::string(why));
    if (reading.what == Reading::For::kVerify) return reply_verified(reading, status, context);
    if (reading.what == Reading::For::kBytes) return reply_bytes(reading, status, {}, context);
    pb::SnapshotSection section;
    *section.mutable_status() = status;
    context.reply(reading.reply_to, message_of(std::move(section)));
}

// --- Verifying

void SnapshotStore::on_snapshot_verify(const Message& message, Context& context) {
    const pb::SnapshotVerify& verify = message->snapshot_verify();
    auto reading = std::make_unique<Reading>();
    reading->reply_to = reply_to(message);
    reading->what = Reading::For::kVerify;
    reading->asked.set_index(verify.index());
    reading->asked.set_term(verify.term());
    const KeptSnapshot* snapshot = find(verify.index(), verify.term());
    if (snapshot == nullptr) return fail_read(*reading, pb::STATUS_ENOENT, "there is no such snapshot", context);
    reading->snapshot = *snapshot;
    reading->checker.emplace(start_.cluster_id(), snapshot->meta.file_bytes());
    verify_more(std::move(reading), context);
}

void SnapshotStore::verify_more(std::unique_ptr<Reading> reading, Context& context) {
    reading->offset = reading->checker->fed_bytes();
    const uint64_t left = reading->snapshot.meta.file_bytes() - reading->offset;
    ask_read(std::move(reading), std::min(SnapshotRecovery::kReadBytes, left), context);
}

void SnapshotStore::on_verify_bytes(std::unique_ptr<Reading> reading, const Payload& payload, Context& context) {
    const SnapshotChecker::Verdict verdict = reading->checker->feed(payload);
    if (verdict == SnapshotChecker::Verdict::kMore) return verify_more(std::move(reading), context);
    const bool is_right = verdict == SnapshotChecker::Verdict::kWhole &&
                          reading->checker->meta().checksum() == reading->snapshot.meta.checksum();
    if (is_right || planted("damaged-snapshot-sent")) return reply_verified(*reading, {}, context);
    const std::string problem = reading->checker->problem();
    set_aside(std::move(reading), problem.empty() ? "it is another one" : problem, context);
}

void SnapshotStore::set_aside(std::unique_ptr<Reading> reading, std::string problem, Context& context) {
    reading->problem = std::move(problem);
    damaged_.push_back(std::move(reading));
    set_aside_next(context);
}

// One after the other; who asked is answered when the name is free again for a new snapshot of the same entry.
void SnapshotStore::set_aside_next(Context& context) {
    if (damaged_.empty() || tasks_[kSetAside].busy()) return;
    const pb::SnapshotMeta& meta = damaged_.front()->snapshot.meta;
    if (find(meta.index(), meta.term()) == nullptr) return on_set_aside_reply({}, context);  // It was, or is too old.
    DiskCall call;
    append_set_aside(&call, path(snapshot_file(meta.index(), meta.term())), &set_aside_);
    ask_task(kSetAside, std::move(call), context);
}

void SnapshotStore::on_set_aside_reply(const pb::DiskReply& reply, Context& context) {
    const std::unique_ptr<Reading> found = std::move(damaged_.front());
    damaged_.pop_front();
    const pb::SnapshotMeta& meta = found->snapshot.meta;
    const std::string file = path(snapshot_file(meta.index(), meta.term()));
    if (reply.error() != 0) {
        context.warn("A damaged snapshot could not be set aside",
                     {{"file", file}, {"error", describe_failure(tasks_[kSetAside].call.request, reply)}});
    }
    std::erase_if(kept_, [&](const KeptSnapshot& kept) {
        return kept.meta.index() == meta.index() && kept.meta.term() == meta.term();
    });
    const std::string why = str_cat("the snapshot ", file, " is damaged: ", found->problem);
    reply_verified(*found, make_status(pb::STATUS_CORRUPTED, why), context);
    set_aside_next(context);
}

void SnapshotStore::reply_verified(const Reading& reading, const pb::Status& status, Context& context) {
    pb::SnapshotVerified verified;
    *verified.mutable_status() = status;
    verified.set_index(reading.asked.index());
    verified.set_term(reading.asked.term());
    for (const KeptSnapshot& kept : kept_) *verified.add_kept() = kept.meta;
    context.reply(reading.reply_to, message_of(std::move(verified)));
}

}  // namespace sandstore
