// SnapshotStore's saving side: pieces of the frozen state become sections of a file. The state machine makes the next
// piece while the disk writes the one before.
#include "actors/log/little_endian.h"
#include "actors/log/snapshot_store.h"
#include "actors/log/snapshot_store_parts.h"
#include "runtime/crc32c.h"
#include "runtime/message_of.h"
#include "runtime/text.h"

namespace sandstore {

void SnapshotStore::on_save_snapshot(const Message& message, Context& context) {
    const pb::SnapshotMeta& meta = message->save_snapshot().meta();
    const ReplyTo to = reply_to(message);
    if (state_ != State::kRunning) {
        return reply_saved(to, make_status(pb::STATUS_UNAVAILABLE, "the snapshots are not recovered yet"), meta,
                           context);
    }
    if (saving_ != nullptr) {
        return reply_saved(to, make_status(pb::STATUS_EBUSY, "another snapshot is being saved"), meta, context);
    }
    if (const KeptSnapshot* known = find(meta.index(), meta.term())) return reply_saved(to, {}, known->meta, context);
    if (meta.index() == 0 || (!kept_.empty() && meta.index() <= kept_.front().meta.index())) {
        return reply_saved(to, make_status(pb::STATUS_INVALID_ARGUMENT, "there is a newer snapshot"), meta, context);
    }
    saving_ = std::make_unique<Saving>();
    saving_->reply_to = to;
    saving_->meta = meta;
    saving_->temporary_file =
        path(str_cat(snapshot_file(meta.index(), meta.term()), ".", next_temporary_++, kTemporarySuffix));
    std::string header = encode_snapshot_header(start_.cluster_id(), meta);
    saving_->header_bytes = saving_->written_bytes = saving_->unsynced_bytes = header.size();
    saving_->file_crc = crc32c(header);
    DiskCall call;
    call.write(saving_->temporary_file, 0, Payload(std::move(header)));
    ask_task(kSave, std::move(call), context);
    ask_piece(context);
}

void SnapshotStore::ask_piece(Context& context) {
    pb::ReadState read;
    read.set_index(saving_->meta.index());
    read.set_piece(saving_->next_piece);
    saving_->piece_request =
        context.ask({pb::ACTOR_STATE_MACHINE, context.self().instance}, message_of(read), kStateTimeoutUs);
}

void SnapshotStore::on_state_piece(const Message& message, Context& context) {
    if (saving_ == nullptr || message->reply_to() != saving_->piece_request) return;  // Of a save that failed.
    saving_->piece_request = 0;
    const pb::StatePiece& piece = message->state_piece();
    if (piece.status().code() != pb::STATUS_OK) return fail_save(piece.status(), context);
    if (piece.piece() != saving_->next_piece || message.payload.size() > kSectionDataBytesMax) {
        return fail_save(make_status(pb::STATUS_CORRUPTED,
                                     str_cat("the state machine gave piece ", piece.piece(), " of ",
                                             message.payload.size(), " bytes instead of piece ", saving_->next_piece)),
                         context);
    }
    saving_->next_piece++;
    saving_->last = piece.last();
    saving_->held = message.payload;
    write_piece(context);
}

// When there is one and the disk is free.
void SnapshotStore::write_piece(Context& context) {
    if (tasks_[kSave].busy() || !saving_->held) return;
    const Payload data = *std::exchange(saving_->held, std::nullopt);
    const SectionHeader header{static_cast<uint32_t>(data.size()), crc32c(data)};
    Payload section(encode_section_header(header));
    section.append(data);
    saving_->file_crc = crc32c(section, saving_->file_crc);
    const uint64_t bytes = section.size();
    DiskCall call;
    call.write(saving_->temporary_file, saving_->written_bytes, std::move(section));
    saving_->written_bytes += bytes;
    saving_->unsynced_bytes += bytes;
    saving_->section_count++;
    if (saving_->last) {
        end_file(&call);
    } else {
        if (saving_->unsynced_bytes >= kSyncBytes) {
            call.sync(saving_->temporary_file);
            saving_->unsynced_bytes = 0;
        }
        ask_piece(context);
    }
    ask_task(kSave, std::move(call), context);
}

// The file gets its name after all of it is synced: under a snapshot's name there is always a whole one.
void SnapshotStore::end_file(DiskCall* call) {
    pb::SnapshotMeta& meta = saving_->meta;
    meta.set_file_bytes(saving_->written_bytes + kSnapshotTrailerBytes);
    std::string trailer = encode_snapshot_trailer({saving_->section_count, meta.file_bytes()});
    meta.set_checksum(crc32c(trailer, saving_->file_crc));
    append_integer(&trailer, static_cast<uint32_t>(meta.checksum()));
    call->write(saving_->temporary_file, saving_->written_bytes, Payload(std::move(trailer)));
    call->sync(saving_->temporary_file);
    call->rename(saving_->temporary_file, path(snapshot_file(meta.index(), meta.term())));
    saving_->ended = true;
}

void SnapshotStore::on_save_reply(const pb::DiskReply& reply, Context& context) {
    if (saving_->failed && !saving_->temporary_file.empty()) {
        // What was under way when it failed is over: now the file can go.
        DiskCall call;
        call.remove(std::exchange(saving_->temporary_file, {}));
        return ask_task(kSave, std::move(call), context);
    }
    if (saving_->failed) {
        const std::unique_ptr<Saving> failed = std::move(saving_);
        context.warn("A snapshot was not saved", {{"index", failed->meta.index()}, {"why", failed->failed->message()}});
        return reply_saved(failed->reply_to, *failed->failed, failed->meta, context);
    }
    if (reply.error() != 0) return fail_save(status_of_failure(tasks_[kSave].call, reply), context);
    if (saving_->ended) return finish_save(context);
    write_piece(context);
}

void SnapshotStore::finish_save(Context& context) {
    const std::unique_ptr<Saving> done = std::move(saving_);
    tasks_[kSave] = {};
    keep({done->meta, done->header_bytes}, context);
    reply_saved(done->reply_to, {}, done->meta, context);
}

// The temporary file is removed before the answer, so that a full disk has its space back when it is tried again.
void SnapshotStore::fail_save(pb::Status status, Context& context) {
    if (saving_->failed) return;
    saving_->failed = std::move(status);
    saving_->held.reset();
    saving_->piece_request = 0;
    if (!tasks_[kSave].busy()) on_save_reply({}, context);
}

void SnapshotStore::reply_saved(const ReplyTo& to, const pb::Status& status, const pb::SnapshotMeta& meta,
                                Context& context) {
    pb::SnapshotSaved saved;
    *saved.mutable_status() = status;
    *saved.mutable_meta() = meta;
    for (const KeptSnapshot& kept : kept_) *saved.add_kept() = kept.meta;
    context.reply(to, message_of(std::move(saved)));
}

}  // namespace sandstore
