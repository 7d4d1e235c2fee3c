// VolumeStore: rewriting volumes with much garbage, and moving what has a file of its own into volumes.
#include <algorithm>
#include <utility>

#include "actors/chunk/chunk_checks.h"
#include "actors/chunk/volume_store.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/disk_error.h"
#include "runtime/text.h"

namespace sandstore {

// The one with the largest share of garbage.
void VolumeStore::consider_vacuum(Context& context) {
    for (const uint32_t number : std::exchange(emptied_, {})) drop_when_empty(number, context);
    if (vacuum_ || options_.vacuum_percent == 0 || !open_) return;
    if (!own_files_.empty() && !own_files_later_ && std::exchange(own_files_turn_, false)) {
        return begin_vacuum(ChunkIndex::kOwnFile, context);
    }
    own_files_turn_ = true;
    if (!std::exchange(garbage_came_, false)) {
        if (!own_files_.empty() && !own_files_later_) begin_vacuum(ChunkIndex::kOwnFile, context);
        return;
    }
    const auto too_much = [this](const Volume& volume) {
        return garbage_of(volume) * 100 > (volume.end - kVolumeHeaderBytes) * options_.vacuum_percent;
    };
    const auto open = volumes_.find(open_volume_);
    if (open != volumes_.end() && open->second.in_flight.empty() && too_much(open->second) &&
        open->second.end >= std::min(kSealedAtBytes, options_.volume_bytes / 4)) {
        return seal(open->second, context);  // And comes here again.
    }
    uint32_t chosen = 0;
    double most = 0;
    for (const auto& [number, volume] : volumes_) {
        if (!volume.sealed || volume.dropping || volume.kept || volume.live == 0) continue;
        if (volume.vacuum_in_vain || volume.vacuum_later) continue;
        if (!volume.in_flight.empty() || !too_much(volume)) continue;
        const double share = static_cast<double>(garbage_of(volume)) / static_cast<double>(volume.end);
        if (share <= most) continue;
        most = share;
        chosen = number;
    }
    if (chosen != 0) return begin_vacuum(chosen, context);
    if (!own_files_.empty() && !own_files_later_) begin_vacuum(ChunkIndex::kOwnFile, context);
}

void VolumeStore::begin_vacuum(uint32_t number, Context& context) {
    vacuum_.emplace();
    vacuum_->volume = number;
    vacuum_->begun_at_us = context.now_us();
    if (number == ChunkIndex::kOwnFile) {
        for (; !own_files_.empty() && vacuum_->left.size() < kOwnFilesPerVacuum; own_files_.pop_front()) {
            const ChunkIndex::Entry* entry = index_.find(own_files_.front());
            if (entry != nullptr && entry->volume == number) vacuum_->left.push_back(*entry);
        }
        return vacuum_on(context);
    }
    const Volume& volume = volumes_.at(number);
    const VolumeLoader::Files files{number, volume.end, volume.index_begun ? volume.index_end : 0};
    vacuum_loader_.load(
        files,
        [this](const VolumeIndexEntry& entry, bool) {
            const ChunkIndex::Entry* there = index_.find(entry.record.key);
            const bool lives = there != nullptr && there->volume == vacuum_->volume && there->offset() == entry.offset;
            if (lives && entry.kind != VolumeIndexEntry::Kind::kGone) vacuum_->left.push_back(*there);
        },
        [this](const VolumeLoader::Result&, Context& now) {
            const auto by_place = [](const ChunkIndex::Entry& a, const ChunkIndex::Entry& b) {
                return a.offset_8 > b.offset_8;
            };
            std::ranges::sort(vacuum_->left, by_place);
            const auto same = [](const ChunkIndex::Entry& a, const ChunkIndex::Entry& b) {
                return a.offset_8 == b.offset_8;
            };
            const auto [first, last] = std::ranges::unique(vacuum_->left, same);
            vacuum_->left.erase(first, last);
            const auto volume = volumes_.find(vacuum_->volume);
            vacuum_->all_known = volume != volumes_.end() && vacuum_->left.size() == volume->second.live;
            vacuum_on(now);
        },
        context);
}

// Reads the next piece.
void VolumeStore::vacuum_on(Context& context) {
    Vacuum& vacuum = *vacuum_;
    DiskCall call;
    std::vector<ChunkIndex::Entry> entries;
    vacuum.piece_bytes = 0;
    vacuum.begun_at_us = context.now_us();
    while (!vacuum.left.empty() && entries.size() < kVacuumPieceRecords) {
        const ChunkIndex::Entry entry = vacuum.left.back();
        const ChunkIndex::Entry* there = index_.find(entry.key);
        const bool lives = there != nullptr && there->place() == entry.place();
        const Place place = place_of(entry);
        const uint64_t bytes = place.head_bytes + entry.length;
        if (lives && !there->damaged) {
            if (!entries.empty() && vacuum.piece_bytes + bytes > kVacuumPieceBytes) break;
            call.read(place.file, place.head_at, bytes);
            entries.push_back(entry);
            vacuum.piece_bytes += bytes;
        }
        vacuum.in_vain = vacuum.in_vain || (lives && there->damaged);  // Its intact blocks stay until it is repaired.
        vacuum.piece_end = entry.offset() + record_bytes(entry.length);
        vacuum.left.pop_back();
    }
    if (entries.empty()) return end_vacuum(context);
    disk_.ask(
        std::move(call),
        [this, entries = std::move(entries)](DiskOutcome& outcome, Context& now) {
            on_vacuum_read(entries, outcome, now);
        },
        context);
}

void VolumeStore::on_vacuum_read(const std::vector<ChunkIndex::Entry>& entries, DiskOutcome& outcome,
                                 Context& context) {
    Vacuum& vacuum = *vacuum_;
    if (!outcome.ok()) {
        const pb::Status status = outcome.status("read what is to be moved");
        context.warn(status.message());
        const bool passing = !outcome.answered || is_passing_disk_error(outcome.error());
        const size_t guilty = outcome.answered ? outcome.reply.failed_operation() : entries.size();
        // Whoever reads the chunk at which it failed finds out more; the others go on.
        for (size_t i = entries.size(); i-- > 0;) {
            if (passing || i != guilty) vacuum.left.push_back(entries[i]);
        }
        if (passing) return put_off_vacuum(context);
        vacuum.in_vain = true;
        if (is_unreadable(outcome.error()) && guilty < entries.size()) {
            on_damage_(entries[guilty].key, status.message(), context);
        }
        return vacuum_on(context);
    }
    vacuum.storing = 1;
    uint64_t at = 0;
    for (size_t i = 0; i < entries.size(); i++) {
        const ChunkIndex::Entry& entry = entries[i];
        const uint64_t length = outcome.reply.read_lengths(static_cast<int>(i));
        const uint64_t head = place_of(entry).head_bytes;
        const Payload record = outcome.payload.slice(at, length);
        at += length;
        const ChunkIndex::Entry* there = index_.find(entry.key);
        if (there == nullptr || there->place() != entry.place()) continue;  // Removed, or stored anew, since.
        DecodedHead decoded = decode_head_of(record.slice(0, head).flat().flat_view(), entry);
        Payload data = record.slice(head, length - std::min(length, head));
        const bool whole = decoded.problem == HeadProblem::kNone && data.size() == entry.length &&
                           block_checksums(data) == decoded.head.block_crc32c;
        if (decoded.problem == HeadProblem::kUnknownVersion) {
            return context.fail_stop(str_cat(place_of(entry).file, ": ", decoded.why,
                                             ". The data directory was written by a newer Sandstore: start that one"));
        }
        if (!whole) {
            vacuum.in_vain = true;
            if (decoded.why.empty()) decoded.why = "its bytes do not match their checksums";
            on_damage_(entry.key, decoded.why, context);
            continue;
        }
        Put put;
        put.head = std::move(decoded.head);
        put.data = std::move(data);
        put.moved_from = entry.place();
        put.stored = [this, entry](const pb::Status& status, int, Context& now) {
            if (!is_ok(status)) vacuum_->failed.push_back(entry);
            on_vacuum_stored(now);
        };
        vacuum.storing++;
        vacuum.moving.insert(entry.key);
        queue_.push_back(std::move(put));
    }
    start_writes(context);
    on_vacuum_stored(context);
}

void VolumeStore::on_vacuum_stored(Context& context) {
    if (--vacuum_->storing > 0) return;
    vacuum_->moving.clear();
    if (!vacuum_->removed_meanwhile.empty()) {
        flush(
            [waiting = std::exchange(vacuum_->removed_meanwhile, {})](const pb::Status& status, Context& now) {
                for (const Removed& one : waiting) one(status, now);
            },
            context);
    }
    if (vacuum_->volume == ChunkIndex::kOwnFile) return end_vacuum_piece({}, context);
    write_index(
        vacuum_->volume, true, [this](const pb::Status& status, Context& now) { end_vacuum_piece(status, now); },
        context);
}

// What has been moved gives its room back at once: a disk that is nearly full can be vacuumed, too.
void VolumeStore::end_vacuum_piece(const pb::Status& status, Context& context) {
    Vacuum& vacuum = *vacuum_;
    moved_bytes_ += vacuum.piece_bytes;
    vacuum.left.insert(vacuum.left.end(), vacuum.failed.begin(), vacuum.failed.end());
    if (!is_ok(status) || !std::exchange(vacuum.failed, {}).empty()) return put_off_vacuum(context);
    if (vacuum.volume != ChunkIndex::kOwnFile && vacuum.all_known && !vacuum.in_vain) {
        punch(vacuum.volume, {{vacuum.emptied_to, vacuum.piece_end}}, context);
        vacuum.emptied_to = vacuum.piece_end;
    }
    if (options_.vacuum_bytes_per_s == 0) return vacuum_on(context);
    const uint64_t due_us = vacuum.piece_bytes * 1'000'000 / options_.vacuum_bytes_per_s;
    const uint64_t took_us = context.now_us() - vacuum.begun_at_us;
    context.arm_timer(due_us > took_us ? due_us - took_us : 1, vacuum_tag_);
}

void VolumeStore::on_vacuum_timer(Context& context) {
    if (vacuum_) vacuum_on(context);
}

void VolumeStore::put_off_vacuum(Context& context) {
    if (vacuum_->volume == ChunkIndex::kOwnFile) {
        for (const ChunkIndex::Entry& entry : vacuum_->left) own_files_.push_back(entry.key);
        own_files_later_ = true;
    } else if (const auto volume = volumes_.find(vacuum_->volume); volume != volumes_.end()) {
        volume->second.vacuum_later = true;
    }
    end_vacuum(context);
}

void VolumeStore::end_vacuum(Context& context) {
    const uint32_t number = vacuum_->volume;
    const bool in_vain = vacuum_->in_vain;
    vacuum_.reset();
    garbage_came_ = true;
    const auto volume = volumes_.find(number);
    if (volume != volumes_.end()) {
        volume->second.vacuum_in_vain = !volume->second.vacuum_later && (in_vain || volume->second.live > 0);
        drop_when_empty(number, context);
    }
    consider_vacuum(context);
}

}  // namespace sandstore
