// VolumeStore: removing chunks, and the index files that remember it.
#include <algorithm>
#include <memory>
#include <utility>

#include "actors/chunk/chunk_checks.h"
#include "actors/chunk/volume_store.h"
#include "runtime/check.h"
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
    std::vector<ChunkIndex::Entry> own_files;
    bool moving = false;
    for (const ChunkKey key : keys) {
        const ChunkIndex::Entry* there = index_.find(key);
        if (there == nullptr) continue;
        moving = moving || (vacuum_ && vacuum_->moving.contains(key));
        const ChunkIndex::Entry entry = *there;
        index_.erase(key);
        if (entry.volume == ChunkIndex::kOwnFile) {
            own_files.push_back(entry);
        } else {
            drop_place(entry, context);
            volumes.insert(entry.volume);
        }
    }
    // An older copy elsewhere, which was moved, must be known to be gone as well.
    for (const auto& [number, volume] : volumes_) {
        if (volume.gone_pending) volumes.insert(number);
    }
    const auto countdown = std::make_shared<Countdown>();
    countdown->removed = std::move(removed);
    const auto ended = [countdown](const pb::Status& status, Context& now) { countdown->end(status, now); };
    if (!own_files.empty()) {
        countdown->left++;
        remove_own_files(own_files, ended, context);
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

void VolumeStore::remove_own_files(const std::vector<ChunkIndex::Entry>& entries, Removed removed, Context& context) {
    DiskCall call;
    for (const ChunkIndex::Entry& entry : entries) {
        call.remove(chunk_path(entry.key));
        if (set_aside_.erase(entry.key) > 0) call.remove(damaged_chunk_path(entry.key));
    }
    disk_.ask(
        std::move(call),
        [removed = std::move(removed)](DiskOutcome& outcome, Context& now) {
            const pb::Status status = outcome.status("remove the files of chunks");
            if (!is_ok(status)) now.warn(status.message());
            if (removed) removed(status, now);
        },
        context);
}

// --- Index files

// All that is pending, as batches; only the last of them says that they cover more of the volume than those before.
void VolumeStore::write_index(uint32_t number, bool sync, std::function<void(const pb::Status&, Context&)> done,
                              Context& context) {
    const auto found = volumes_.find(number);
    if (found == volumes_.end() || found->second.dropping || !open_) {  // What is being read is not written to.
        if (done) done({}, context);
        return;
    }
    Volume& volume = found->second;
    if (volume.index_busy) {
        if (done) volume.waiting.push_back(std::move(done));
        return;
    }
    const uint64_t covers_to = std::max(volume.covered_to, settled_to(volume));
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
    sync = (sync || std::exchange(volume.gone_pending, false)) && !planted("deletion-not-synced");
    const uint64_t length = bytes.size();
    call.write(file, volume.index_end, Payload(std::move(bytes)));
    if (sync) call.sync(file);
    volume.index_busy = true;
    auto waiting = std::exchange(volume.waiting, {});
    disk_.ask(
        std::move(call),
        [this, number, covers_to, length, entries = std::move(entries), waiting = std::move(waiting)](
            DiskOutcome& outcome, Context& now) mutable {
            end_index_write(number, covers_to, length, std::move(entries), outcome, now);
            const pb::Status status = outcome.status(str_cat("write ", volume_index_file(number)));
            for (const auto& one : waiting) one(status, now);
        },
        context);
}

void VolumeStore::end_index_write(uint32_t number, uint64_t covers_to, uint64_t length,
                                  std::vector<VolumeIndexEntry> entries, DiskOutcome& outcome, Context& context) {
    const auto found = volumes_.find(number);
    SANDSTORE_CHECK(found != volumes_.end(), "volume=", number);
    Volume& volume = found->second;
    volume.index_busy = false;
    if (!outcome.ok()) {
        context.warn(outcome.status(str_cat("write ", volume_index_file(number))).message());
        // Without an answer the disk may still write there.
        if (!outcome.answered) volume.index_end += length;
        const auto is_gone = [](const VolumeIndexEntry& entry) { return entry.kind == VolumeIndexEntry::Kind::kGone; };
        volume.gone_pending = volume.gone_pending || std::ranges::any_of(entries, is_gone);
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
        volume.large_gone_bytes += pages_of(entry.offset, bytes);
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
    for (const auto& [from, to] : ranges) {
        const uint64_t begin = (from + kPageBytes - 1) / kPageBytes * kPageBytes;
        const uint64_t end = to / kPageBytes * kPageBytes;
        if (end <= begin) continue;
        call.punch(volume_file(number), begin, end - begin);
    }
    if (call.request.operations_size() == 0) return;
    disk_.ask(
        std::move(call),
        [this](DiskOutcome& outcome, Context& now) {
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
    if (!volume.sealed || volume.live > 0 || in_use || volume.dropping) return;
    volume.dropping = true;
    DiskCall call;
    call.remove(volume_file(number));
    if (volume.index_end > 0) call.remove(volume_index_file(number));
    disk_.ask(
        std::move(call),
        [this, number](DiskOutcome& outcome, Context& now) {
            if (outcome.ok()) {
                volumes_.erase(number);
            } else {
                now.warn(outcome.status(str_cat("remove ", volume_file(number))).message());
                volumes_.at(number).dropping = false;
            }
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
