// VolumeStore: the chunks of one disk, in volumes (volume_format.h). A plain object that ChunkService owns.
//
// Chunks are appended to one volume, the open one: what waits is written in groups, each with one write and one sync. A
// chunk is in the index, and its `stored` called, when it is durable. A volume that is full is sealed, and the next
// one begun. Its index file follows without haste: what it lacks is read from the volume itself at the next start.
// A chunk that is removed is in the index no more; that it is gone is written to its volume's index file and synced,
// and a large one's room is given back at once. Volumes with much garbage are rewritten (volume_vacuum.cc): what is
// left of them is appended like anything new, and when all of it is durable there, the old one goes. A kill at any step
// leaves each chunk at one place at least; of two, the newer one counts.
// Files of single chunks, from before there were volumes, are read where they are, and moved into volumes like that.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/chunk/chunk_disk.h"
#include "actors/chunk/chunk_index.h"
#include "actors/chunk/volume_format.h"
#include "actors/chunk/volume_loader.h"

namespace sandstore {

class VolumeStore {
 public:
    static constexpr uint32_t kWritesMax = 2;                // Groups in flight.
    static constexpr size_t kGroupChunksMax = 256;           // Chunks in one,
    static constexpr uint64_t kGroupBytesMax = 1024 * 1024;  // and their bytes; a larger chunk goes alone.
    // Small groups are written into room that was filled with zeros before: a sync that has no new blocks to tell of
    // takes a fraction of the time.
    static constexpr uint64_t kSmallGroupBytes = 256 * 1024;
    static constexpr uint64_t kZeroedAheadBytes = 4 << 20;
    static constexpr uint64_t kIndexEveryBytes = 32 << 20;  // Of a volume, at most, are not covered by its index.
    static constexpr size_t kIndexEveryEntries = 4096;
    static constexpr uint64_t kIndexRoomBytes = 16 * 1024;      // At first, and as much as what may go needs,
    static constexpr uint64_t kIndexRoomBytesMax = 256 * 1024;  // but no more than this.
    static constexpr size_t kOwnFilesPerVacuum = 1024;
    static constexpr size_t kOwnRemovalsPerRequest = 64;
    static constexpr uint64_t kPunchBytes = 64 * 1024;  // A longer record's room is given back at once.
    static constexpr uint64_t kPageBytes = 4096;
    static constexpr uint64_t kVacuumPieceBytes = 1 << 20;  // Read at once; or one record.
    static constexpr size_t kVacuumPieceRecords = 256;
    static constexpr uint64_t kSealedAtBytes = 16 << 20;  // With much garbage, the open volume is sealed from here on.

    struct Options {
        uint64_t volume_bytes = kVolumeBytesDefault;
        uint32_t vacuum_percent = 30;     // 0: no volume is rewritten.
        uint64_t vacuum_bytes_per_s = 0;  // 0: as fast as it goes.
    };
    // `error`: the disk's, 0 when there was none or no answer.
    using Stored = std::function<void(const pb::Status&, int error, Context&)>;
    using Removed = std::function<void(const pb::Status&, Context&)>;
    using Opened = std::function<void(Context&)>;
    using OnDamage = std::function<void(ChunkKey, const std::string& why, Context&)>;

    // `vacuum_tag`: of the timer that its owner hands back to on_vacuum_timer().
    VolumeStore(ChunkDisk& disk, ChunkIndex& index, uint32_t vacuum_tag)
        : disk_(disk), index_(index), loader_(disk), vacuum_loader_(disk), vacuum_tag_(vacuum_tag) {}

    // Fills the index. Stops the node when that is impossible. `on_damage`: what vacuum found; the owner marks it.
    void open(const Options& options, Opened opened, OnDamage on_damage, Context& context);

    void put(ChunkHead head, Payload data, Stored stored, Context& context);
    // Out of the index at once; `removed` when that is durable, or cannot be made so now: then it is tried again with
    // the next ones.
    void remove(const std::vector<ChunkKey>& keys, Removed removed, Context& context);
    void set_damaged(ChunkKey key, bool damaged, Context& context);
    void forget(ChunkKey key);                         // Its file is gone.
    void note_own_file(ChunkKey key, bool set_aside);  // Before open().
    // `done` when the index files are complete, or cannot be made so now.
    void flush(Removed done, Context& context);
    void on_vacuum_timer(Context& context);
    void try_again(Context& context);  // From time to time.

    // --- Where a chunk is
    struct Place {
        std::string file;
        uint64_t head_at = 0;
        uint64_t head_bytes = 0;  // The data follows.
    };
    Place place_of(const ChunkIndex::Entry& entry) const;
    DecodedHead decode_head_of(std::string_view bytes, const ChunkIndex::Entry& entry) const;

    size_t volumes() const { return volumes_.size(); }
    uint64_t garbage_bytes() const;
    uint64_t moved_bytes() const { return moved_bytes_; }  // By vacuum.
    bool idle() const { return queue_.empty() && writes_in_flight_ == 0; }

 private:
    struct Volume {
        uint32_t number = 0;
        uint32_t salt = 0;
        bool begun = false;                 // Its header is durable.
        bool sealed = false;                // Nothing is appended any more.
        uint64_t end = kVolumeHeaderBytes;  // The next record goes here.
        uint64_t zeroed_to = 0;
        uint64_t live_bytes = 0;       // Of records that the index has,
        uint64_t live = 0;             // and their number.
        uint64_t returned_bytes = 0;   // Of garbage: where there are holes now.
        std::set<uint64_t> in_flight;  // Where groups begin that are being written.
        bool vacuum_in_vain = false;   // What is left cannot be moved; until something of it goes.
        bool vacuum_later = false;     // Something was short: tried again after a while.
        bool dropping = false;         // Its files are being removed.
        // Its files stay until the next start: not all that is in them is known, or the disk may still write to them.
        bool kept = false;
        bool unreadable = false;  // And its index must not say that it knows more of it.
        bool lost = false;        // Its file is gone: nothing is written any more.

        bool index_begun = false;
        bool index_busy = false;
        uint64_t index_end = 0;
        uint64_t index_room_to = 0;  // Up to here the file has room on the disk.
        uint64_t covered_to = kVolumeHeaderBytes;
        std::vector<VolumeIndexEntry> pending;             // For the index file,
        bool gone_pending = false;                         // and some of them say that a record is gone;
        bool gone_in_flight = false;                       // or some of those that are just being written.
        std::vector<std::pair<uint64_t, uint64_t>> holes;  // Found at start: to be made once more.
        std::vector<std::function<void(const pb::Status&, Context&)>> waiting;  // For a flush after the one under way.
    };

    uint64_t garbage_of(const Volume& volume) const;
    static uint64_t settled_to(const Volume& volume);

    struct Put {
        ChunkHead head;
        Payload data;
        Stored stored;
        std::optional<uint64_t> moved_from;  // The place that the index must still have. Nothing: it is new.
        bool alone = false;                  // Its group failed: written by itself, so that only the guilty one fails.
    };
    struct Group {
        uint32_t volume = 0;
        uint64_t begin = 0;
        uint64_t end = 0;
        uint64_t zeroed_to = 0;
        bool apart = false;     // No other one is written beside it.
        uint32_t write_at = 0;  // Which operation of its request writes the records.
        std::vector<Put> puts;
    };

    // --- volume_open.cc
    void on_listed(DiskOutcome& outcome, Context& context);
    void load_next(Context& context);
    void on_loaded(const VolumeLoader::Files& files, const VolumeLoader::Result& result, Context& context);
    void settle_loaded(const VolumeLoader::Files& files, const VolumeLoader::Result& result, Context& context);
    void on_unreadable(uint32_t number, const VolumeLoader::Result& result, Context& context);
    void take_entry(uint32_t number, const VolumeIndexEntry& entry, bool scanned);
    void end_open(Context& context);

    // --- volume_store.cc
    void start_writes(Context& context);
    Group next_group(Context& context);
    Volume& volume_for(uint64_t bytes, Context& context);
    void write_group(Group group, Context& context);
    void end_group(Group& group, DiskOutcome& outcome, Context& context);
    void fail_group(Group& group, DiskOutcome& outcome, Context& context);
    void take_stored(Volume& volume, uint64_t offset, Put& put, Context& context);
    void drop_place(const ChunkIndex::Entry& entry, Context& context);
    void seal(Volume& volume, Context& context);

    // --- volume_removal.cc
    void remove_own_file(ChunkKey key, Context& context);
    void remove_own_files_on(Context& context);
    void end_own_removal(const std::vector<std::pair<ChunkKey, size_t>>& keys, DiskOutcome& outcome, Context& context);
    void write_index(uint32_t number, bool sync, std::function<void(const pb::Status&, Context&)> done,
                     Context& context);
    void end_index_write(uint32_t number, uint64_t covers_to, uint64_t length, std::vector<VolumeIndexEntry> entries,
                         bool written, DiskOutcome& outcome, Context& context);
    void end_waiting(uint32_t number, Context& context);
    void punch(uint32_t number, const std::vector<std::pair<uint64_t, uint64_t>>& ranges, Context& context);
    void drop_when_empty(uint32_t number, Context& context);

    // --- volume_vacuum.cc
    void consider_vacuum(Context& context);
    void begin_vacuum(uint32_t number, Context& context);
    void vacuum_on(Context& context);
    void on_vacuum_read(const std::vector<ChunkIndex::Entry>& entries, DiskOutcome& outcome, Context& context);
    void on_vacuum_stored(Context& context);
    void end_vacuum_piece(const pb::Status& status, Context& context);
    void end_vacuum(Context& context);
    void put_off_vacuum(Context& context);  // Something is short, or silent.

    ChunkDisk& disk_;
    ChunkIndex& index_;
    VolumeLoader loader_;
    VolumeLoader vacuum_loader_;
    const uint32_t vacuum_tag_;
    Options options_;
    Opened opened_;
    OnDamage on_damage_;

    std::map<uint32_t, Volume> volumes_;
    std::set<ChunkKey> set_aside_;  // Chunks with a file of their own that has the name of a damaged one.
    uint32_t open_volume_ = 0;      // 0: none.
    uint32_t last_number_ = 0;
    std::set<uint32_t> taken_;  // Numbers of files that were found, whatever is in them.
    bool can_punch_ = true;
    std::deque<ChunkKey> own_files_;     // To be moved,
    bool own_files_later_ = false;       // but not now.
    bool own_files_turn_ = true;         // Volumes have theirs in between.
    std::deque<ChunkKey> own_removals_;  // Files to be removed,
    std::vector<ChunkKey> own_stuck_;    // and those that could not be.
    bool removing_own_ = false;
    std::vector<Removed> own_waiting_;
    pb::Status own_failure_;
    bool garbage_came_ = false;   // Since a volume to be rewritten was looked for last.
    std::set<uint32_t> emptied_;  // Volumes that may have no chunks any more.
    uint64_t moved_bytes_ = 0;
    std::deque<Put> queue_;
    uint32_t writes_in_flight_ = 0;
    bool writing_apart_ = false;  // A group in flight makes room, where nobody may write meanwhile.

    std::deque<VolumeLoader::Files> to_load_;
    // By what was found in the volume at hand; by chunk and place, since one record may be told of twice.
    std::map<std::pair<ChunkKey, uint64_t>, ChunkIndex::Entry> superseded_;
    bool open_ = false;

    struct Vacuum {
        uint32_t volume = 0;
        std::vector<ChunkIndex::Entry> left;  // Records that may still be there, the last one first.
        uint64_t piece_bytes = 0;
        uint64_t begun_at_us = 0;
        uint64_t emptied_to = kVolumeHeaderBytes;  // All before it has been moved, or is garbage.
        uint64_t piece_end = 0;
        size_t storing = 0;
        std::vector<ChunkIndex::Entry> failed;   // Of the piece at hand.
        std::set<ChunkKey> moving;               // Likewise,
        std::vector<Removed> removed_meanwhile;  // and who waits for those of them that are to go.
        bool in_vain = false;
        bool all_known = true;  // Of what is left in the volume: holes may be made.
    };
    std::optional<Vacuum> vacuum_;
};

}  // namespace sandstore
