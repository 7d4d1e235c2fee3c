#include "actors/fs/extent_table.h"

#include <optional>

#include "runtime/check.h"

namespace sandstore {

namespace {

bool follows(const FileExtent& left, const FileExtent& right) {
    return left.end() == right.offset && left.chunk == right.chunk &&
           left.chunk_offset + left.length == right.chunk_offset;
}

// The part of an extent from `from` on.
FileExtent tail_of(const FileExtent& extent, uint64_t from) {
    const uint64_t skipped = from - extent.offset;
    return {from, extent.length - skipped, extent.chunk, extent.chunk_offset + skipped};
}

// The part of an extent up to `to`.
FileExtent head_of(const FileExtent& extent, uint64_t to) {
    return {extent.offset, to - extent.offset, extent.chunk, extent.chunk_offset};
}

}  // namespace

uint64_t ExtentTable::end(uint64_t content) const {
    Runs::Cursor at = runs_.upper_bound(Key{content, UINT64_MAX});
    at.previous();
    return at.valid() && at.key().content == content ? extent_of(at).end() : 0;
}

ExtentTable::Runs::Cursor ExtentTable::first_ending_after(uint64_t content, uint64_t offset) const {
    const Runs::Cursor at = runs_.upper_bound(Key{content, offset});
    Runs::Cursor before = at;
    before.previous();
    if (before.valid() && before.key().content == content && extent_of(before).end() > offset) return before;
    return at.valid() && at.key().content == content ? at : Runs::Cursor();
}

void ExtentTable::insert(uint64_t content, const FileExtent& extent) {
    const bool inserted = runs_.insert({content, extent.offset}, {extent.length, extent.chunk, extent.chunk_offset});
    SANDSTORE_CHECK(inserted, "two extents at offset ", extent.offset);
}

void ExtentTable::restore(uint64_t content, const FileExtent& extent) {
    insert(content, extent);
}

void ExtentTable::clear_range(uint64_t content, uint64_t begin, uint64_t end, ExtentChanges* changes) {
    while (true) {
        const Runs::Cursor at = first_ending_after(content, begin);
        if (!at.valid() || at.key().offset >= end) return;
        const FileExtent old = extent_of(at);
        runs_.erase(Key{content, old.offset});
        changes->removed.push_back(old);
        if (old.offset < begin) {
            insert(content, head_of(old, begin));
            changes->added.push_back(head_of(old, begin));
        }
        if (old.end() > end) {
            insert(content, tail_of(old, end));
            changes->added.push_back(tail_of(old, end));
        }
    }
}

void ExtentTable::overwrite(uint64_t content, const FileExtent& extent, ExtentChanges* changes) {
    SANDSTORE_CHECK(extent.length > 0 && extent.offset <= UINT64_MAX - extent.length, "offset=", extent.offset,
                    " length=", extent.length);
    clear_range(content, extent.offset, extent.end(), changes);
    FileExtent merged = extent;
    std::optional<FileExtent> left;
    std::optional<FileExtent> right;
    Runs::Cursor at = runs_.lower_bound(Key{content, extent.offset});
    if (at.valid() && at.key().content == content) right = extent_of(at);
    at.previous();
    if (at.valid() && at.key().content == content) left = extent_of(at);
    if (left && follows(*left, merged)) {
        runs_.erase(Key{content, left->offset});
        changes->removed.push_back(*left);
        merged = {left->offset, left->length + merged.length, left->chunk, left->chunk_offset};
    }
    if (right && follows(merged, *right)) {
        runs_.erase(Key{content, right->offset});
        changes->removed.push_back(*right);
        merged.length += right->length;
    }
    insert(content, merged);
    changes->added.push_back(merged);
}

ExtentTable::Amount ExtentTable::cut(uint64_t content, uint64_t size, uint64_t to, ExtentChanges* changes) {
    SANDSTORE_CHECK(empty(to), "content ", to, " is not empty");
    const Runs::Cursor across = first_ending_after(content, size);
    if (across.valid() && across.key().offset < size) {
        const FileExtent old = extent_of(across);
        runs_.erase(Key{content, old.offset});
        insert(content, head_of(old, size));
        insert(content, tail_of(old, size));
        changes->removed.push_back(old);
        changes->added.push_back(head_of(old, size));
        changes->added.push_back(tail_of(old, size));
    }
    std::vector<FileExtent> moved;
    for_each_in(content, size, UINT64_MAX, [&](const FileExtent& extent) {
        moved.push_back(extent);
        return true;
    });
    Amount amount;
    // From the end on, so that nodes shrink without moving what is left in them.
    for (size_t i = moved.size(); i > 0; --i) runs_.erase(Key{content, moved[i - 1].offset});
    for (const FileExtent& extent : moved) {
        insert(to, extent);
        ++amount.extents;
        amount.bytes += extent.length;
    }
    return amount;
}

FileExtent ExtentTable::take_first(uint64_t content) {
    const Runs::Cursor at = runs_.lower_bound(Key{content, 0});
    SANDSTORE_CHECK(at.valid() && at.key().content == content, "no extent to take");
    const FileExtent first = extent_of(at);
    runs_.erase(Key{content, first.offset});
    return first;
}

}  // namespace sandstore
