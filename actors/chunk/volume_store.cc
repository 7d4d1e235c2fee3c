// VolumeStore: appending chunks.
#include "actors/chunk/volume_store.h"

#include <algorithm>
#include <utility>

#include "actors/chunk/chunk_checks.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/metrics.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

uint64_t VolumeStore::garbage_of(const Volume& volume) const {
    return volume.end - std::min(volume.end, kVolumeHeaderBytes + volume.live_bytes + volume.returned_bytes);
}

uint64_t VolumeStore::garbage_bytes() const {
    uint64_t bytes = 0;
    for (const auto& [number, volume] : volumes_) bytes += garbage_of(volume);
    return bytes;
}

// --- Where a chunk is

VolumeStore::Place VolumeStore::place_of(const ChunkIndex::Entry& entry) const {
    if (entry.volume == ChunkIndex::kOwnFile) {
        const bool set_aside = set_aside_.contains(entry.key);
        return {set_aside ? damaged_chunk_path(entry.key) : chunk_path(entry.key), 0, head_bytes(entry.length)};
    }
    return {volume_file(entry.volume), entry.offset(), record_head_bytes(entry.length)};
}

// Up to there all that was written is durable, or will never count.
uint64_t VolumeStore::settled_to(const Volume& volume) {
    if (planted("index-covers-writes-under-way")) return volume.end;
    return volume.in_flight.empty() ? volume.end : *volume.in_flight.begin();
}

DecodedHead VolumeStore::decode_head_of(std::string_view bytes, const ChunkIndex::Entry& entry) const {
    if (entry.volume == ChunkIndex::kOwnFile) return decode_head(bytes, entry.key, entry.length);
    const auto volume = volumes_.find(entry.volume);
    if (volume == volumes_.end()) return {HeadProblem::kDamaged, "its volume is gone", {}};
    return decode_record_head(bytes, volume->second.salt, entry.offset(), entry.key, entry.length);
}

// --- Appending

void VolumeStore::put(ChunkHead head, Payload data, Stored stored, Context& context) {
    Put put;
    put.head = std::move(head);
    put.data = std::move(data);
    put.stored = std::move(stored);
    queue_.push_back(std::move(put));
    start_writes(context);
}

void VolumeStore::start_writes(Context& context) {
    while (!queue_.empty() && writes_in_flight_ < kWritesMax && !writing_apart_)
        write_group(next_group(context), context);
}

// Of the same volume, one behind the other.
VolumeStore::Group VolumeStore::next_group(Context& context) {
    Group group;
    Volume& volume = volume_for(record_bytes(queue_.front().head.length), context);
    group.volume = volume.number;
    group.begin = group.end = volume.end;
    while (!queue_.empty() && group.puts.size() < kGroupChunksMax) {
        const Put& next = queue_.front();
        const uint64_t end = group.end + record_bytes(next.head.length);
        const bool fits = end - group.begin <= kGroupBytesMax && end <= options_.volume_bytes && !next.alone;
        if (!group.puts.empty() && !fits) break;
        const bool alone = next.alone;
        group.end = end;
        group.puts.push_back(std::move(queue_.front()));
        queue_.pop_front();
        if (alone) break;
    }
    volume.end = group.end;
    volume.in_flight.insert(group.begin);
    const uint64_t ahead = std::min(kZeroedAheadBytes, options_.volume_bytes / 8);
    // One that failed before is tried with nothing beside it.
    if (!group.puts.front().alone && group.end - group.begin <= kSmallGroupBytes && group.end > volume.zeroed_to) {
        volume.zeroed_to = group.zeroed_to = std::max(std::min(group.end + ahead, options_.volume_bytes), group.end);
    }
    return group;
}

VolumeStore::Volume& VolumeStore::volume_for(uint64_t bytes, Context& context) {
    const auto open = volumes_.find(open_volume_);
    if (open != volumes_.end()) {
        const uint64_t end = open->second.end;
        if (end == kVolumeHeaderBytes || end + bytes <= options_.volume_bytes) return open->second;
        seal(open->second, context);
    }
    do {
        last_number_ = last_number_ % kVolumeNumberMax + 1;
    } while (taken_.contains(last_number_) || volumes_.contains(last_number_));
    open_volume_ = last_number_;
    Volume& volume = volumes_[open_volume_];
    volume.number = open_volume_;
    volume.salt = static_cast<uint32_t>(context.random());
    return volume;
}

void VolumeStore::seal(Volume& volume, Context& context) {
    volume.sealed = true;
    garbage_came_ = true;
    if (open_volume_ == volume.number) open_volume_ = 0;
    const uint32_t number = volume.number;
    const auto done = [this, number](const pb::Status&, Context& now) {
        drop_when_empty(number, now);
        consider_vacuum(now);
    };
    write_index(number, true, done, context);
}

// A new volume's header goes with each group until one of them is durable.
void VolumeStore::write_group(Group group, Context& context) {
    const Volume& volume = volumes_.at(group.volume);
    const std::string file = volume_file(group.volume);
    DiskCall call;
    if (!volume.begun) {
        group.apart = true;
        call.make_directory(kChunkDirectory);
        // That chunks are gone can be written when the disk is full.
        if (!group.puts.front().alone) call.zero(volume_index_file(group.volume), 0, kIndexRoomBytes);
        call.write(file, 0, Payload(encode_volume_header({volume.number, volume.salt})));
    }
    Payload bytes;
    for (const Put& put : group.puts) {
        bytes.append(Payload(encode_record_head(put.head, volume.salt, group.begin + bytes.size())));
        bytes.append(put.data);
        if (const uint64_t padding = record_padding(put.head.length); padding > 0) {
            bytes.append(Payload(std::string(padding, '\0')));
        }
    }
    SANDSTORE_CHECK(bytes.size() == group.end - group.begin, "bytes=", bytes.size(), " begin=", group.begin);
    group.write_at = static_cast<uint32_t>(call.request.operations_size());
    call.write(file, group.begin, std::move(bytes));
    group.apart = (group.apart || group.zeroed_to > group.end) && !planted("room-made-over-others");
    writing_apart_ = writing_apart_ || group.apart;
    if (group.zeroed_to > group.end) call.zero(file, group.end, group.zeroed_to - group.end);
    if (!planted("chunk-group-not-synced")) call.sync(file);
    writes_in_flight_++;
    context.metrics()
        .counter("sandstore_chunk_write_requests_total", "Disk requests that stored one or several chunks.")
        .add();
    disk_.ask(
        std::move(call),
        [this, group = std::move(group)](DiskOutcome& outcome, Context& now) mutable {
            end_group(group, outcome, now);
        },
        context);
}

void VolumeStore::end_group(Group& group, DiskOutcome& outcome, Context& context) {
    writes_in_flight_--;
    if (group.apart) writing_apart_ = false;
    const auto found = volumes_.find(group.volume);
    SANDSTORE_CHECK(found != volumes_.end(), "volume=", group.volume);
    Volume& volume = found->second;
    volume.in_flight.erase(group.begin);
    if (outcome.ok()) {
        if (!std::exchange(volume.begun, true)) volume.index_room_to = kIndexRoomBytes;
        uint64_t offset = group.begin;
        for (Put& put : group.puts) {
            take_stored(volume, offset, put, context);
            offset += record_bytes(put.head.length);
        }
        const uint64_t settled = settled_to(volume);
        const bool behind = settled - std::min(settled, volume.covered_to) >= kIndexEveryBytes;
        if (volume.sealed || behind || volume.pending.size() >= kIndexEveryEntries) {
            write_index(volume.number, volume.sealed, {}, context);
        }
        for (Put& put : group.puts) put.stored({}, 0, context);
        consider_vacuum(context);
    } else {
        fail_group(group, outcome, context);
    }
    drop_when_empty(group.volume, context);
    start_writes(context);
}

// Where a write failed nothing is written any more, unless nobody has come behind it and the disk is done with it.
// While it is not, it may still make its room, too.
void VolumeStore::fail_group(Group& group, DiskOutcome& outcome, Context& context) {
    Volume& volume = volumes_.at(group.volume);
    const bool refused = outcome.refused();
    const bool nothing_whole =
        refused || (outcome.answered && group.puts.size() == 1 && outcome.reply.failed_operation() <= group.write_at);
    const bool bad_place = is_unreadable(outcome.error());  // The next one is written elsewhere.
    if (nothing_whole && !bad_place && volume.end == group.end && !volume.sealed) volume.end = group.begin;
    if (!outcome.answered && !refused) {
        volume.end = std::max(volume.end, group.zeroed_to);
        volume.kept = true;
        if (!volume.begun) {  // Nor is anything else written there, or to its index.
            volume.sealed = volume.lost = true;
            if (open_volume_ == volume.number) open_volume_ = 0;
        }
    }
    const pb::Status status = outcome.status(str_cat("store chunk ", to_string(group.puts.front().head.key)));
    const bool was_alone = group.puts.size() == 1 && group.puts.front().alone;
    if (outcome.answered && !was_alone) {
        context.warn("storing chunks failed, each is tried alone",
                     {{"chunks", group.puts.size()}, {"reason", status.message()}});
        for (auto put = group.puts.rbegin(); put != group.puts.rend(); ++put) {
            put->alone = true;
            queue_.push_front(std::move(*put));
        }
        return;
    }
    if (outcome.answered) context.error("a chunk was not stored", {{"reason", status.message()}});
    for (Put& put : group.puts) put.stored(status, outcome.error(), context);
}

void VolumeStore::take_stored(Volume& volume, uint64_t offset, Put& put, Context& context) {
    VolumeIndexEntry written;
    written.offset = offset;
    written.record.key = put.head.key;
    written.record.length = put.head.length;
    written.record.allocated_at_us = put.head.allocated_at_us;
    const ChunkIndex::Entry* there = index_.find(put.head.key);
    if (put.moved_from && (there == nullptr || there->place() != *put.moved_from)) {
        // Deleted, or stored anew, while it was being moved.
        written.kind = VolumeIndexEntry::Kind::kGone;
        volume.pending.push_back(written);
        volume.gone_pending = true;
        return;
    }
    volume.pending.push_back(written);
    volume.live++;
    volume.live_bytes += record_bytes(put.head.length);
    if (there != nullptr) drop_place(*there, context);
    ChunkIndex::Entry entry;
    entry.key = put.head.key;
    entry.allocated_at_us = put.head.allocated_at_us;
    entry.length = static_cast<uint32_t>(put.head.length);
    entry.volume = volume.number;
    entry.offset_8 = static_cast<uint32_t>(offset / 8);
    index_.put(entry);
}

// What the index has had there is garbage now.
void VolumeStore::drop_place(const ChunkIndex::Entry& entry, Context& context) {
    if (entry.volume == ChunkIndex::kOwnFile) return remove_own_file(entry.key, context);
    const auto found = volumes_.find(entry.volume);
    if (found == volumes_.end()) return;
    Volume& volume = found->second;
    SANDSTORE_CHECK(volume.live > 0 && volume.live_bytes >= record_bytes(entry.length), "volume=", entry.volume,
                    " live=", volume.live, " bytes=", volume.live_bytes);
    volume.live--;
    volume.live_bytes -= record_bytes(entry.length);
    volume.vacuum_in_vain = false;
    garbage_came_ = true;
    if (volume.live == 0) emptied_.insert(volume.number);
    VolumeIndexEntry gone;
    gone.kind = VolumeIndexEntry::Kind::kGone;
    gone.offset = entry.offset();
    gone.record.key = entry.key;
    gone.record.length = entry.length;
    gone.record.allocated_at_us = entry.allocated_at_us;
    volume.pending.push_back(gone);
    volume.gone_pending = true;
}

void VolumeStore::set_damaged(ChunkKey key, bool damaged, Context& context) {
    index_.set_damaged(key, damaged);
    const ChunkIndex::Entry* entry = index_.find(key);
    if (entry->volume == ChunkIndex::kOwnFile) {
        if (!damaged) own_files_.push_back(key);
        return consider_vacuum(context);
    }
    VolumeIndexEntry now;
    now.kind = damaged ? VolumeIndexEntry::Kind::kDamaged : VolumeIndexEntry::Kind::kStored;
    now.offset = entry->offset();
    now.record.key = key;
    now.record.length = entry->length;
    now.record.allocated_at_us = entry->allocated_at_us;
    if (const auto volume = volumes_.find(entry->volume); volume != volumes_.end()) {
        volume->second.vacuum_in_vain = false;
        garbage_came_ = true;
        volume->second.pending.push_back(now);
        write_index(entry->volume, false, {}, context);
    }
}

void VolumeStore::note_own_file(ChunkKey key, bool set_aside) {
    if (set_aside) set_aside_.insert(key);
    if (!set_aside) own_files_.push_back(key);
}

void VolumeStore::forget(ChunkKey key) {
    const ChunkIndex::Entry* entry = index_.find(key);
    if (entry == nullptr) return;
    const uint32_t number = entry->volume;
    index_.erase(key);
    set_aside_.erase(key);
    if (number == ChunkIndex::kOwnFile) return;
    std::vector<ChunkKey> lost;
    for (entry = index_.first_after({}); entry != nullptr; entry = index_.first_after(entry->key)) {
        if (entry->volume == number) lost.push_back(entry->key);
    }
    for (const ChunkKey one : lost) index_.erase(one);
    const auto volume = volumes_.find(number);
    if (volume == volumes_.end()) return;
    volume->second.live = volume->second.live_bytes = 0;
    volume->second.sealed = volume->second.kept = volume->second.lost = true;
    if (open_volume_ == number) open_volume_ = 0;
}

}  // namespace sandstore
