// Which bytes of each file are where: runs that do not overlap, by content and offset. What no run covers is a hole and
// reads as zeros. A content is what a file holds at a time; a file that is emptied at once leaves its content behind
// and gets another one, so that this takes no time. Copying a table costs nothing (cow_map.h).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "actors/chunk/chunk_key.h"
#include "actors/fs/cow_map.h"

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
    using Runs = CowMap<Key, Run>;
    struct Amount {
        uint64_t extents = 0;
        uint64_t bytes = 0;
    };

    // The extent's bytes replace whatever was there. Runs that follow on from each other in one chunk become one.
    // The length must not be 0, nor offset + length overflow; checked.
    void overwrite(uint64_t content, const FileExtent& extent, ExtentChanges* changes);

    // Moves everything from `size` on to another content, an empty one: releasing it may take long, and can be done
    // piece by piece with take_first(). `changes` tells of an extent that was cut in two.
    Amount cut(uint64_t content, uint64_t size, uint64_t to, ExtentChanges* changes);

    FileExtent take_first(uint64_t content);  // Removes and returns the first; checked that there is one.

    // Calls visit(const FileExtent&) for what covers [offset, offset + length), clipped to it, by offset, until it
    // returns false.
    template <typename Visit>
    void for_each_in(uint64_t content, uint64_t offset, uint64_t length, Visit visit) const;

    bool empty(uint64_t content) const { return !first_ending_after(content, 0).valid(); }
    uint64_t end(uint64_t content) const;  // Where the last run ends; 0 when empty.
    size_t size() const { return runs_.size(); }
    const Runs& runs() const { return runs_; }

    void restore(uint64_t content, const FileExtent& extent);  // From a snapshot: new; checked.
    bool discard(size_t* nodes) { return runs_.discard(nodes); }

    static FileExtent extent_of(const Runs::Cursor& at) {
        return {at.key().offset, at.value().length, at.value().chunk, at.value().chunk_offset};
    }

 private:
    // Invalid when there is none in this content.
    Runs::Cursor first_ending_after(uint64_t content, uint64_t offset) const;
    void insert(uint64_t content, const FileExtent& extent);
    void clear_range(uint64_t content, uint64_t begin, uint64_t end, ExtentChanges* changes);

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
