// SnapshotStore's reading side: bytes for a peer, sections for the state machine.
#include <algorithm>

#include "actors/log/snapshot_store.h"
#include "actors/log/snapshot_store_parts.h"
#include "runtime/crc32c.h"
#include "runtime/message_of.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

void SnapshotStore::on_snapshot_read(const Message& message, Context& context) {
    const pb::SnapshotRead& read = message->snapshot_read();
    auto reading = std::make_unique<Reading>();
    reading->reply_to = reply_to(message);
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
    reading->section = true;
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
    if (reply.error() != 0) {
        const pb::Status status = status_of_failure(reading->call, reply);
        return fail_read(*reading, status.code(), status.message(), context);
    }
    if (payload.size() != reading->length) {
        return fail_read(*reading, pb::STATUS_CORRUPTED, "the snapshot's file is shorter than it was", context);
    }
    if (reading->section) return on_section_bytes(std::move(reading), payload, context);
    pb::SnapshotBytes bytes;
    bytes.mutable_status();
    bytes.set_offset(reading->offset);
    context.reply(reading->reply_to, message_of(std::move(bytes), payload));
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
    if (reading.section) {
        pb::SnapshotSection section;
        *section.mutable_status() = status;
        return context.reply(reading.reply_to, message_of(std::move(section)));
    }
    pb::SnapshotBytes bytes;
    *bytes.mutable_status() = status;
    bytes.set_offset(reading.offset);
    context.reply(reading.reply_to, message_of(std::move(bytes)));
}

}  // namespace sandstore
