// Which bytes of a file are where: runs that do not overlap, by offset. What no run covers is a hole and reads as
// zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "actors/chunk/chunk_key.h"

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

// What a change did, for whoever counts references. An extent may stand in both lists; only the difference counts, so
// `added` is to be applied before `removed`.
struct ExtentChanges {
    std::vector<FileExtent> added;
    std::vector<FileExtent> removed;
};

class ExtentMap {
 public:
    // The extent's bytes replace whatever was there. Runs that follow on from each other in one chunk become one.
    // The length must not be 0, nor offset + length overflow; checked.
    void overwrite(const FileExtent& extent, ExtentChanges* changes);

    // Removes everything from `size` on, and returns it: releasing it may take long, and can be done piece by piece
    // with take_first(). `changes` tells of an extent that was cut in two.
    ExtentMap cut(uint64_t size, ExtentChanges* changes);

    FileExtent take_first();  // Removes and returns the first; checked that there is one.

    // Calls visit(const FileExtent&) for what covers [offset, offset + length), clipped to it, by offset, until it
    // returns false.
    template <typename Visit>
    void for_each_in(uint64_t offset, uint64_t length, Visit visit) const;
    // The whole extents, by offset.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [offset, run] : runs_) visit(FileExtent{offset, run.length, run.chunk, run.chunk_offset});
    }

    bool empty() const { return runs_.empty(); }
    size_t count() const { return runs_.size(); }
    uint64_t covered_bytes() const { return covered_bytes_; }
    uint64_t end() const;  // Where the last run ends; 0 when empty.

 private:
    struct Run {
        uint64_t length;
        ChunkKey chunk;
        uint64_t chunk_offset;
    };
    using Runs = std::map<uint64_t, Run>;

    static FileExtent extent_of(Runs::const_iterator at) {
        return {at->first, at->second.length, at->second.chunk, at->second.chunk_offset};
    }
    Runs::const_iterator first_ending_after(uint64_t offset) const;
    void insert(const FileExtent& extent);
    void erase(const FileExtent& extent);
    void clear_range(uint64_t begin, uint64_t end, ExtentChanges* changes);

    Runs runs_;
    uint64_t covered_bytes_ = 0;
};

template <typename Visit>
void ExtentMap::for_each_in(uint64_t offset, uint64_t length, Visit visit) const {
    if (length == 0) return;
    const uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    for (auto at = first_ending_after(offset); at != runs_.end() && at->first < end; ++at) {
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
