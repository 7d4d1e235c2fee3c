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

void ExtentTable::insert(Runs* runs, uint64_t content, const FileExtent& extent) {
    const bool inserted = runs->insert({content, extent.offset}, {extent.length, extent.chunk, extent.chunk_offset});
    SANDSTORE_CHECK(inserted, "two extents at offset ", extent.offset);
}

// Afterwards an extent may begin or end at the offset, but none reaches across it.
void ExtentTable::split(uint64_t content, uint64_t offset, Changes* changes) {
    const Runs::Cursor at = first_ending_after(content, offset);
    if (!at.valid() || at.key().offset >= offset) return;
    const FileExtent old = extent_of(at);
    runs_.erase(Key{content, old.offset});
    changes->removed.push_back(old);
    for (const FileExtent& part : {head_of(old, offset), tail_of(old, offset)}) {
        insert(&runs_, content, part);
        changes->added.push_back(part);
    }
}

void ExtentTable::clear_range(uint64_t content, uint64_t begin, uint64_t end, Changes* changes) {
    for (size_t i = 0; i < kRemovedOneByOne; ++i) {
        const Runs::Cursor at = first_ending_after(content, begin);
        if (!at.valid() || at.key().offset >= end) return;
        const FileExtent old = extent_of(at);
        runs_.erase(Key{content, old.offset});
        changes->removed.push_back(old);
        if (old.offset < begin) {
            insert(&runs_, content, head_of(old, begin));
            changes->added.push_back(head_of(old, begin));
        }
        if (old.end() > end) {
            insert(&runs_, content, tail_of(old, end));
            changes->added.push_back(tail_of(old, end));
        }
    }
    split(content, end, changes);
    changes->cut_off = runs_.extract(Key{content, begin}, Key{content, end});
}

void ExtentTable::overwrite(uint64_t content, const FileExtent& extent, Changes* changes) {
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
    insert(&runs_, content, merged);
    changes->added.push_back(merged);
}

void ExtentTable::cut(uint64_t content, uint64_t size, Changes* changes) {
    split(content, size, changes);
    changes->cut_off = runs_.extract(Key{content, size}, Key{content, UINT64_MAX});
}

FileExtent ExtentTable::take_first(Runs* runs) {
    const Runs::Cursor at = runs->begin();
    SANDSTORE_CHECK(at.valid(), "no extent to take");
    const FileExtent first = extent_of(at);
    runs->erase(Key(at.key()));
    return first;
}

}  // namespace sandstore
