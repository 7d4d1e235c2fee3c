// Reads what is in one volume: what its index says, and the records of those parts of the volume that the index does
// not cover. Used at start for each volume, one after the other, and before a volume is rewritten. A plain object.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/chunk/chunk_disk.h"
#include "actors/chunk/volume_format.h"

namespace sandstore {

class VolumeLoader {
 public:
    static constexpr uint64_t kIndexPieceBytes = 2 * kIndexBatchBytesMax;  // A turn of some milliseconds.
    static constexpr uint64_t kScanPieceBytes = 1 << 20;                   // Or as long as the record at hand.
    static constexpr uint64_t kSectorBytes = 4096;                         // What cannot be read costs so much.
    static constexpr uint64_t kUnreadableSectorsMax = 64;

    struct Files {
        uint32_t number = 0;
        uint64_t volume_bytes = 0;  // Sizes of the two files; 0: missing or empty.
        uint64_t index_bytes = 0;
    };
    struct Result {
        // Why nothing can be said about the volume, or why this version must not touch it. Empty: all is known.
        std::string problem;
        bool unknown_version = false;
        VolumeHeader header;
        uint64_t end = kVolumeHeaderBytes;             // Behind its last record,
        uint64_t covered_to = kVolumeHeaderBytes;      // and how far the index covers it.
        bool index_usable = false;                     // More batches may be appended to it,
        uint64_t index_end = kVolumeIndexHeaderBytes;  // here.
        uint64_t records = 0;                          // Read from the volume itself,
        uint64_t damaged = 0;                          // and how many of those were not whole.
        bool unreadable = false;   // Part of what the index does not cover cannot be read: there may be more.
        bool never_begun = false;  // With `problem`: a power cut came before anything in it was durable.
    };
    // Told of each entry in the order in which things happened. A record may be told of twice. `scanned`: the index
    // does not have it.
    using Sink = std::function<void(const VolumeIndexEntry&, bool scanned)>;
    using Done = std::function<void(const Result&, Context&)>;

    explicit VolumeLoader(ChunkDisk& disk) : disk_(disk) {}

    void load(const Files& files, Sink sink, Done done, Context& context);

 private:
    void read_header(bool of_index, bool again, Context& context);
    void on_header(bool of_index, bool again, DiskOutcome& outcome, Context& context);
    void judge_headers(Context& context);
    void read_index(Context& context);
    void on_index_piece(DiskOutcome& outcome, Context& context);
    void take_batch(const IndexBatch& batch);
    void begin_scan(Context& context);
    void scan_on(Context& context);
    void read_for_scan(uint64_t bytes, bool record, Context& context);
    void on_scanned(uint64_t bytes, bool record, DiskOutcome& outcome, Context& context);
    bool is_whole(const ChunkRecordHeader& header, std::string_view record) const;
    void end_load(Context& context);

    ChunkDisk& disk_;
    Files files_;
    Sink sink_;
    Done done_;
    Result result_;

    std::string volume_header_;  // Empty when it cannot be read.
    std::string index_header_;
    bool headers_read_ = true;  // Both, whatever is in them.
    std::string index_rest_;    // Read, and not understood yet.
    uint64_t index_at_ = 0;     // Where to read next,
    uint64_t rest_at_ = 0;      // and where `index_rest_` was read.
    uint64_t last_batch_end_ = 0;
    std::set<uint64_t> gone_;  // Records that are gone, of parts that were not covered when the index said so.
    std::vector<std::pair<uint64_t, uint64_t>> gaps_;  // To be scanned: from, to.

    size_t gap_ = 0;
    uint64_t at_ = 0;           // The next record is looked for here.
    uint64_t buffer_at_ = 0;    // Where in the volume
    std::string buffer_;        // these bytes stand.
    bool read_failed_ = false;  // Once, at this place.
    uint64_t careful_to_ = 0;   // Up to here no more is read at once than may be lost.
    uint64_t unreadable_record_ = 0;
    uint64_t unreadable_sectors_ = 0;
};

}  // namespace sandstore
