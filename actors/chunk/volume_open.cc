// VolumeStore: what is found at start.
#include <algorithm>
#include <utility>

#include "actors/chunk/volume_store.h"
#include "runtime/text.h"

namespace sandstore {

void VolumeStore::open(const Options& options, Opened opened, OnDamage on_damage, Context& context) {
    options_ = options;
    opened_ = std::move(opened);
    on_damage_ = std::move(on_damage);
    DiskCall call;
    call.list(kChunkDirectory);
    disk_.ask_patiently(
        std::move(call), "list the volumes", [this](DiskOutcome& outcome, Context& now) { on_listed(outcome, now); },
        context);
}

void VolumeStore::on_listed(DiskOutcome& outcome, Context& context) {
    if (!outcome.ok()) {
        // Going on would mean to tell others that chunks are missing which may be there.
        return context.fail_stop(
            str_cat(outcome.status("list the volumes").message(), ". Check the disk, then start again"));
    }
    std::map<uint32_t, VolumeLoader::Files> found;
    std::set<uint32_t> volumes;
    for (const pb::DiskFile& file : outcome.reply.files()) {
        const std::optional<VolumeFileName> name = parse_volume_file_name(file.name());
        if (!name) continue;
        VolumeLoader::Files& files = found[name->number];
        files.number = name->number;
        (name->is_index ? files.index_bytes : files.volume_bytes) = file.size();
        if (!name->is_index) volumes.insert(name->number);
        taken_.insert(name->number);
    }
    DiskCall clean;  // A volume goes before its index.
    for (const auto& [number, files] : found) {
        if (volumes.contains(number)) {
            to_load_.push_back(files);
        } else {
            clean.remove(volume_index_file(number));
        }
    }
    if (clean.request.operations_size() > 0) {
        disk_.ask(
            std::move(clean),
            [](DiskOutcome& done, Context& now) {
                if (!done.ok()) now.warn(done.status("remove the index of a volume that is gone").message());
            },
            context);
    }
    load_next(context);
}

void VolumeStore::load_next(Context& context) {
    if (to_load_.empty()) return end_open(context);
    const VolumeLoader::Files files = to_load_.front();
    to_load_.pop_front();
    Volume& volume = volumes_[files.number];
    volume.number = files.number;
    volume.begun = volume.sealed = true;
    loader_.load(
        files,
        [this, number = files.number](const VolumeIndexEntry& entry, bool scanned) {
            take_entry(number, entry, scanned);
        },
        [this, files](const VolumeLoader::Result& result, Context& now) { on_loaded(files, result, now); }, context);
}

void VolumeStore::take_entry(uint32_t number, const VolumeIndexEntry& entry, bool scanned) {
    Volume& volume = volumes_.at(number);
    if (scanned) volume.pending.push_back(entry);
    ChunkIndex::Entry stored;
    stored.key = entry.record.key;
    stored.allocated_at_us = entry.record.allocated_at_us;
    stored.length = static_cast<uint32_t>(entry.record.length);
    stored.volume = number;
    stored.offset_8 = static_cast<uint32_t>(entry.offset / 8);
    stored.damaged = entry.kind == VolumeIndexEntry::Kind::kDamaged;
    const ChunkIndex::Entry* there = index_.find(stored.key);
    const bool same_place = there != nullptr && there->place() == stored.place();
    if (entry.kind == VolumeIndexEntry::Kind::kGone) {
        if (!same_place || there->length != stored.length) return;
        volume.live--;
        volume.live_bytes -= record_bytes(there->length);
        if (record_bytes(there->length) >= kPunchBytes) {
            volume.holes.emplace_back(entry.offset, entry.offset + record_bytes(there->length));
        }
        index_.erase(stored.key);
        return;
    }
    if (same_place && there->length != stored.length) return;  // Nobody writes that.
    if (!same_place) {
        if (superseded_.erase({stored.key, stored.place()}) == 0) {
            volume.live++;
            volume.live_bytes += record_bytes(stored.length);
        }
        if (there != nullptr) superseded_[{there->key, there->place()}] = *there;
    }
    index_.put(stored);
}

void VolumeStore::on_loaded(const VolumeLoader::Files& files, const VolumeLoader::Result& result, Context& context) {
    if (result.unknown_version) {
        return context.fail_stop(str_cat(volume_file(files.number), ": ", result.problem,
                                         ". The data directory was written by a newer Sandstore: start that one"));
    }
    if (!result.problem.empty()) return on_unreadable(files.number, result, context);
    // What was found may be in the memory of the system alone, and others are to be dropped for it.
    DiskCall call;
    if (result.records > 0) call.sync(volume_file(files.number));
    if (files.index_bytes > 0) call.sync(volume_index_file(files.number));
    if (call.request.operations_size() == 0) return settle_loaded(files, result, context);
    disk_.ask_patiently(
        std::move(call), str_cat("sync ", volume_file(files.number)),
        [this, files, result](DiskOutcome& outcome, Context& now) {
            VolumeLoader::Result synced = result;
            synced.unreadable = synced.unreadable || !outcome.ok();
            settle_loaded(files, synced, now);
        },
        context);
}

// Left where it is; its chunks come from other nodes.
void VolumeStore::on_unreadable(uint32_t number, const VolumeLoader::Result& result, Context& context) {
    volumes_.erase(number);
    if (!result.never_begun) {
        context.error("a volume cannot be read", {{"file", volume_file(number)}, {"reason", result.problem}});
        return load_next(context);
    }
    DiskCall call;
    call.remove(volume_file(number));
    call.remove(volume_index_file(number));
    disk_.ask(
        std::move(call),
        [number](DiskOutcome& outcome, Context& now) {
            if (!outcome.ok()) now.warn(outcome.status(str_cat("remove ", volume_file(number))).message());
        },
        context);
    load_next(context);
}

void VolumeStore::settle_loaded(const VolumeLoader::Files& files, const VolumeLoader::Result& result,
                                Context& context) {
    for (const auto& [where, entry] : std::exchange(superseded_, {})) drop_place(entry, context);
    last_number_ = std::max(last_number_, files.number);
    Volume& volume = volumes_.at(files.number);
    volume.salt = result.header.salt;
    volume.end = result.end;
    volume.zeroed_to = files.volume_bytes;
    volume.index_begun = result.index_usable;
    volume.index_end = result.index_end;
    volume.index_room_to = files.index_bytes;
    volume.kept = volume.unreadable = result.unreadable;
    if (result.index_usable) volume.covered_to = result.covered_to;
    if (result.damaged > 0) {
        context.warn("records of a volume are not whole",
                     {{"file", volume_file(files.number)}, {"records", result.damaged}});
    }
    load_next(context);
}

// The last one goes on being filled, unless it was made shorter than it has been.
void VolumeStore::end_open(Context& context) {
    if (!volumes_.empty()) {
        Volume& last = volumes_.rbegin()->second;
        if (!last.unreadable && last.end < options_.volume_bytes && last.zeroed_to >= last.end) {
            last.sealed = false;
            open_volume_ = last.number;
        }
    }
    std::vector<uint32_t> numbers;
    for (const auto& [number, volume] : volumes_) numbers.push_back(number);
    open_ = garbage_came_ = true;
    for (const uint32_t number : numbers) {
        Volume& volume = volumes_.at(number);
        punch(number, std::exchange(volume.holes, {}), context);
        if (volume.live == 0) emptied_.insert(number);
        if (!volume.pending.empty()) write_index(number, false, {}, context);
    }
    const Opened opened = std::move(opened_);
    opened(context);
    consider_vacuum(context);
}

}  // namespace sandstore
