// Which bytes of each file are where: runs that do not overlap, by content and offset. What no run covers is a hole and
// reads as zeros. A content is what a file holds: one number for each file that holds anything. Whatever is overwritten
// or cut off, the price is that of finding its ends: much of it leaves the table as it is, to be released later.
// Copying a table costs nothing (cow_map.h).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "actors/chunk/chunk_key.h"
#include "actors/state/cow_map.h"

namespace sandstore {

// A run of a file's bytes: `length` bytes from `chunk_offset` of a chunk.
struct FileExtent {
    uint64_t offset = 0;
    uint64_t length = 0;
    ChunkKey chunk;
    uint64_t chunk_offset = 0;

    uint64_t end() const { return offset + length; }
    bool operator==(const FileExtent&) const = default;
};

class ExtentTable {
 public:
    struct Key {
        uint64_t content = 0;
        uint64_t offset = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Run {
        uint64_t length = 0;
        ChunkKey chunk;
        uint64_t chunk_offset = 0;
    };
    struct RunLength {
        uint64_t operator()(const Run& run) const { return run.length; }
    };
    using Runs = CowMap<Key, Run, std::less<>, RunLength>;

    // What a change did, for whoever counts references. An extent may stand in several lists; only the difference
    // counts, so `added` is to be applied first. What was cut off at once may be very much: to be released piece by
    // piece, with take_first().
    struct Changes {
        std::vector<FileExtent> added;
        std::vector<FileExtent> removed;
        Runs cut_off;
    };
    // Extents that one change takes out one by one; when there are more, the rest is cut off at once.
    static constexpr size_t kRemovedOneByOne = 4;

    // The extent's bytes replace whatever was there. Runs that follow on from each other in one chunk become one.
    // The length must not be 0, nor offset + length overflow; checked.
    void overwrite(uint64_t content, const FileExtent& extent, Changes* changes);

    // Cuts off everything from `size` on.
    void cut(uint64_t content, uint64_t size, Changes* changes);

    static FileExtent take_first(Runs* runs);  // Removes and returns the first; checked that there is one.

    // Calls visit(const FileExtent&) for what covers [offset, offset + length), clipped to it, by offset, until it
    // returns false.
    template <typename Visit>
    void for_each_in(uint64_t content, uint64_t offset, uint64_t length, Visit visit) const;

    bool empty(uint64_t content) const { return !first_ending_after(content, 0).valid(); }
    uint64_t end(uint64_t content) const;  // Where the last run ends; 0 when empty.
    size_t size() const { return runs_.size(); }
    const Runs& runs() const { return runs_; }

    // From a snapshot: new; checked.
    void restore(uint64_t content, const FileExtent& extent) { insert(&runs_, content, extent); }
    static void restore_cut_off(Runs* runs, const FileExtent& extent) { insert(runs, 0, extent); }
    bool discard(size_t* nodes) { return runs_.discard(nodes); }

    static FileExtent extent_of(const Runs::Cursor& at) {
        return {at.key().offset, at.value().length, at.value().chunk, at.value().chunk_offset};
    }

 private:
    // Invalid when there is none in this content.
    Runs::Cursor first_ending_after(uint64_t content, uint64_t offset) const;
    static void insert(Runs* runs, uint64_t content, const FileExtent& extent);
    void split(uint64_t content, uint64_t offset, Changes* changes);
    void clear_range(uint64_t content, uint64_t begin, uint64_t end, Changes* changes);

    Runs runs_;
};

template <typename Visit>
void ExtentTable::for_each_in(uint64_t content, uint64_t offset, uint64_t length, Visit visit) const {
    if (length == 0) return;
    const uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    for (auto at = first_ending_after(content, offset); at.valid(); at.next()) {
        if (at.key().content != content || at.key().offset >= end) return;
        FileExtent extent = extent_of(at);
        if (extent.offset < offset) {
            const uint64_t skipped = offset - extent.offset;
            extent = {offset, extent.length - skipped, extent.chunk, extent.chunk_offset + skipped};
        }
        if (extent.end() > end) extent.length = end - extent.offset;
        if (!visit(static_cast<const FileExtent&>(extent))) return;
    }
}

}  // namespace sandstore
