// VolumeStore: removing chunks, and the index files that remember it.
#include <algorithm>
#include <memory>
#include <utility>

#include "actors/chunk/chunk_checks.h"
#include "actors/chunk/volume_store.h"
#include "runtime/check.h"
#include "runtime/disk_error.h"
#include "runtime/planted.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr int kUnsupported = 95;  // EOPNOTSUPP on Linux, whose numbers the disk port speaks.

// Calls the last one when as many have ended as were begun, with the first failure.
struct Countdown {
    size_t left = 1;
    pb::Status failure;
    VolumeStore::Removed removed;

    void end(const pb::Status& status, Context& context) {
        if (is_ok(failure) && !is_ok(status)) failure = status;
        if (--left == 0 && removed) removed(failure, context);
    }
};

}  // namespace

void VolumeStore::remove(const std::vector<ChunkKey>& keys, Removed removed, Context& context) {
    std::set<uint32_t> volumes;
    bool moving = false;
    for (const ChunkKey key : keys) {
        const ChunkIndex::Entry* there = index_.find(key);
        if (there == nullptr) continue;
        moving = moving || (vacuum_ && vacuum_->moving.contains(key));
        const ChunkIndex::Entry entry = *there;
        index_.erase(key);
        drop_place(entry, context);
        if (entry.volume != ChunkIndex::kOwnFile) volumes.insert(entry.volume);
    }
    // An older copy elsewhere, which was moved, must be known to be gone as well.
    for (const auto& [number, volume] : volumes_) {
        if (volume.gone_pending || volume.gone_in_flight || volume.dropping) volumes.insert(number);
    }
    const auto countdown = std::make_shared<Countdown>();
    countdown->removed = std::move(removed);
    const auto ended = [countdown](const pb::Status& status, Context& now) { countdown->end(status, now); };
    if (removing_own_ || !own_stuck_.empty()) {
        countdown->left++;
        own_waiting_.emplace_back(ended);
        own_removals_.insert(own_removals_.end(), own_stuck_.begin(), own_stuck_.end());
        own_stuck_.clear();
        remove_own_files_on(context);
    }
    for (const uint32_t number : volumes) {
        countdown->left++;
        write_index(
            number, true,
            [this, number, ended](const pb::Status& status, Context& now) {
                drop_when_empty(number, now);
                ended(status, now);
            },
            context);
    }
    if (moving && !planted("moved-while-removed")) {  // The copy that is being made must be known to be gone, too.
        countdown->left++;
        vacuum_->removed_meanwhile.emplace_back(ended);
    }
    countdown->end({}, context);
    consider_vacuum(context);
}

// --- Files of single chunks

void VolumeStore::remove_own_file(ChunkKey key, Context& context) {
    own_removals_.push_back(key);
    remove_own_files_on(context);
}

void VolumeStore::remove_own_files_on(Context& context) {
    if (removing_own_) return;
    if (own_removals_.empty()) {
        const pb::Status failure = std::exchange(own_failure_, {});
        for (const Removed& one : std::exchange(own_waiting_, {})) one(failure, context);
        return;
    }
    removing_own_ = true;
    DiskCall call;
    std::vector<std::pair<ChunkKey, size_t>> keys;  // With how many operations until its files are gone.
    for (; !own_removals_.empty() && keys.size() < kOwnRemovalsPerRequest; own_removals_.pop_front()) {
        const ChunkKey key = own_removals_.front();
        call.remove(chunk_path(key));
        if (set_aside_.contains(key)) call.remove(damaged_chunk_path(key));
        keys.emplace_back(key, static_cast<size_t>(call.request.operations_size()));
    }
    disk_.ask(
        std::move(call),
        [this, keys = std::move(keys)](DiskOutcome& outcome, Context& now) { end_own_removal(keys, outcome, now); },
        context);
}

// One that cannot be removed is tried again later; those behind it are tried without it.
void VolumeStore::end_own_removal(const std::vector<std::pair<ChunkKey, size_t>>& keys, DiskOutcome& outcome,
                                  Context& context) {
    removing_own_ = false;
    size_t done = 0;
    if (outcome.answered) done = outcome.ok() ? keys.back().second : outcome.reply.failed_operation();
    if (!outcome.ok()) {
        own_failure_ = outcome.status("remove the files of chunks");
        context.warn(own_failure_.message());
    }
    bool stuck = false;
    for (const auto& [key, operations] : keys) {
        if (operations <= done) {
            set_aside_.erase(key);
        } else if (!outcome.answered || !std::exchange(stuck, true)) {
            own_stuck_.push_back(key);
        } else {
            own_removals_.push_back(key);
        }
    }
    remove_own_files_on(context);
}

// --- Index files

// All that is pending, as batches; only the last of them says that they cover more of the volume than those before.
void VolumeStore::write_index(uint32_t number, bool sync, std::function<void(const pb::Status&, Context&)> done,
                              Context& context) {
    const auto found = volumes_.find(number);
    if (found == volumes_.end() || found->second.lost || !open_) {  // What is being read is not written to.
        if (done) done({}, context);
        return;
    }
    Volume& volume = found->second;
    if (volume.index_busy || volume.dropping) {
        if (done) volume.waiting.push_back(std::move(done));
        return;
    }
    const uint64_t covers_to = volume.unreadable ? volume.covered_to : std::max(volume.covered_to, settled_to(volume));
    if (done) volume.waiting.push_back(std::move(done));
    if (volume.pending.empty() && covers_to == volume.covered_to) {
        for (const auto& one : std::exchange(volume.waiting, {})) one({}, context);
        return;
    }
    const std::string file = volume_index_file(number);
    DiskCall call;
    if (volume.index_end < kVolumeIndexHeaderBytes) volume.index_end = kVolumeIndexHeaderBytes;
    if (!volume.index_begun) call.write(file, 0, Payload(encode_volume_index_header({number, volume.salt})));
    std::vector<VolumeIndexEntry> entries = std::exchange(volume.pending, {});
    std::string bytes;
    for (size_t begin = 0; begin == 0 || begin < entries.size(); begin += kIndexBatchEntriesMax) {
        const size_t count = std::min(entries.size() - begin, kIndexBatchEntriesMax);
        IndexBatch batch;
        const auto first = entries.begin() + static_cast<ptrdiff_t>(begin);
        batch.entries.assign(first, first + static_cast<ptrdiff_t>(count));
        batch.covered_from = volume.covered_to;
        batch.covered_to = begin + count == entries.size() ? covers_to : volume.covered_to;
        bytes += encode_index_batch(batch, volume.salt);
    }
    volume.gone_in_flight = std::exchange(volume.gone_pending, false);
    sync = (sync || volume.gone_in_flight) && !planted("deletion-not-synced");
    const uint64_t length = bytes.size();
    call.write(file, volume.index_end, Payload(std::move(bytes)));
    if (sync) call.sync(file);
    // Room for what may be deleted, behind it: on a disk that is full, too. It is no harm when there is none.
    const auto room_at = static_cast<uint32_t>(call.request.operations_size());
    const uint64_t end = volume.index_end + length;
    const uint64_t wanted = end + std::min(kIndexRoomBytesMax, volume.live * 2 * kIndexEntryBytes);
    if (wanted > volume.index_room_to) {
        volume.index_room_to = wanted + kIndexRoomBytes;
        call.zero(file, end, volume.index_room_to - end);
    }
    volume.index_busy = true;
    auto waiting = std::exchange(volume.waiting, {});
    disk_.ask(
        std::move(call),
        [this, number, covers_to, length, entries = std::move(entries), waiting = std::move(waiting), room_at](
            DiskOutcome& outcome, Context& now) mutable {
            const bool written = outcome.ok() || (outcome.answered && outcome.reply.failed_operation() == room_at);
            pb::Status status;
            if (!written) status = outcome.status(str_cat("write ", volume_index_file(number)));
            end_index_write(number, covers_to, length, std::move(entries), written, outcome, now);
            for (const auto& one : waiting) one(status, now);
        },
        context);
}

void VolumeStore::end_index_write(uint32_t number, uint64_t covers_to, uint64_t length,
                                  std::vector<VolumeIndexEntry> entries, bool written, DiskOutcome& outcome,
                                  Context& context) {
    const auto found = volumes_.find(number);
    SANDSTORE_CHECK(found != volumes_.end(), "volume=", number);
    Volume& volume = found->second;
    volume.index_busy = false;
    const bool any_gone = std::exchange(volume.gone_in_flight, false);
    if (!outcome.ok()) volume.index_room_to = std::min(volume.index_room_to, volume.index_end + length);
    if (!written) {
        context.warn(outcome.status(str_cat("write ", volume_index_file(number))).message());
        // Without an answer the disk may still write there, and make its room.
        if (!outcome.answered && !outcome.refused()) volume.index_end += length + kIndexRoomBytesMax + kIndexRoomBytes;
        if (is_unreadable(outcome.error())) volume.index_end += length;  // Nor does it help to try there again.
        volume.gone_pending = volume.gone_pending || any_gone;
        volume.pending.insert(volume.pending.begin(), entries.begin(), entries.end());
        return end_waiting(number, context);
    }
    volume.index_begun = true;
    volume.index_end += length;
    volume.covered_to = std::max(volume.covered_to, covers_to);
    std::vector<std::pair<uint64_t, uint64_t>> holes;
    for (const VolumeIndexEntry& entry : entries) {
        const uint64_t bytes = record_bytes(entry.record.length);
        if (entry.kind != VolumeIndexEntry::Kind::kGone || bytes < kPunchBytes) continue;
        holes.emplace_back(entry.offset, entry.offset + bytes);
    }
    punch(number, holes, context);
    end_waiting(number, context);
    drop_when_empty(number, context);
}

// Those that came meanwhile.
void VolumeStore::end_waiting(uint32_t number, Context& context) {
    Volume& volume = volumes_.at(number);
    if (volume.waiting.empty()) return;
    auto one = std::move(volume.waiting.back());
    volume.waiting.pop_back();
    write_index(number, true, std::move(one), context);
}

// Whole pages of it, as far as the file system can.
void VolumeStore::punch(uint32_t number, const std::vector<std::pair<uint64_t, uint64_t>>& ranges, Context& context) {
    if (!can_punch_ || ranges.empty()) return;
    DiskCall call;
    uint64_t bytes = 0;
    for (const auto& [from, to] : ranges) {
        const uint64_t begin = (from + kPageBytes - 1) / kPageBytes * kPageBytes;
        const uint64_t end = to / kPageBytes * kPageBytes;
        if (end <= begin) continue;
        call.punch(volume_file(number), begin, end - begin);
        bytes += end - begin;
    }
    if (call.request.operations_size() == 0) return;
    disk_.ask(
        std::move(call),
        [this, number, bytes](DiskOutcome& outcome, Context& now) {
            const auto volume = volumes_.find(number);
            if (outcome.ok() && volume != volumes_.end()) volume->second.returned_bytes += bytes;
            if (outcome.ok()) return;
            if (outcome.error() == kUnsupported) can_punch_ = false;  // Vacuum gives it back, later.
            if (outcome.error() != kUnsupported) now.warn(outcome.status("give room in a volume back").message());
        },
        context);
}

void VolumeStore::drop_when_empty(uint32_t number, Context& context) {
    const auto found = volumes_.find(number);
    if (found == volumes_.end()) return;
    Volume& volume = found->second;
    const bool in_use = volume.index_busy || !volume.in_flight.empty() || (vacuum_ && vacuum_->volume == number);
    if (!volume.sealed || volume.live > 0 || in_use || volume.dropping || volume.kept || volume.vacuum_later) return;
    volume.dropping = true;
    DiskCall call;
    call.remove(volume_file(number));
    if (volume.index_end > 0) call.remove(volume_index_file(number));
    disk_.ask(
        std::move(call),
        [this, number](DiskOutcome& outcome, Context& now) {
            Volume& dropped = volumes_.at(number);
            const pb::Status status = outcome.status(str_cat("remove ", volume_file(number)));
            const auto waiting = std::exchange(dropped.waiting, {});
            if (is_ok(status)) {
                volumes_.erase(number);
            } else {
                now.warn(status.message());
                dropped.dropping = false;
                dropped.vacuum_later = true;
            }
            for (const auto& one : waiting) one(status, now);
        },
        context);
}

// What could not be written may be now.
void VolumeStore::try_again(Context& context) {
    std::vector<uint32_t> numbers;
    for (const auto& [number, volume] : volumes_) {
        if (volume.gone_pending && !volume.index_busy) numbers.push_back(number);
    }
    for (const uint32_t number : numbers) write_index(number, true, {}, context);
    own_removals_.insert(own_removals_.end(), own_stuck_.begin(), own_stuck_.end());
    own_stuck_.clear();
    remove_own_files_on(context);
    for (auto& [number, volume] : volumes_) {
        if (!std::exchange(volume.vacuum_later, false)) continue;
        garbage_came_ = true;
        if (volume.live == 0) emptied_.insert(number);
    }
    own_files_later_ = false;
    consider_vacuum(context);
}

void VolumeStore::flush(Removed done, Context& context) {
    const auto countdown = std::make_shared<Countdown>();
    countdown->removed = std::move(done);
    std::vector<uint32_t> numbers;
    for (const auto& [number, volume] : volumes_) numbers.push_back(number);
    countdown->left += numbers.size();
    for (const uint32_t number : numbers) {
        write_index(
            number, true, [countdown](const pb::Status& status, Context& now) { countdown->end(status, now); },
            context);
    }
    countdown->end({}, context);
}

}  // namespace sandstore
