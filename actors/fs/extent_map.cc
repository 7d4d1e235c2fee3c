#include "actors/fs/extent_map.h"

#include <iterator>
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

uint64_t ExtentMap::end() const {
    return runs_.empty() ? 0 : extent_of(std::prev(runs_.end())).end();
}

ExtentMap::Runs::const_iterator ExtentMap::first_ending_after(uint64_t offset) const {
    auto at = runs_.upper_bound(offset);
    if (at == runs_.begin()) return at;
    const auto before = std::prev(at);
    return before->first + before->second.length > offset ? before : at;
}

void ExtentMap::insert(const FileExtent& extent) {
    const bool inserted = runs_.insert({extent.offset, {extent.length, extent.chunk, extent.chunk_offset}}).second;
    SANDSTORE_CHECK(inserted, "two extents at offset ", extent.offset);
    covered_bytes_ += extent.length;
}

void ExtentMap::erase(const FileExtent& extent) {
    runs_.erase(extent.offset);
    covered_bytes_ -= extent.length;
}

void ExtentMap::clear_range(uint64_t begin, uint64_t end, ExtentChanges* changes) {
    while (true) {
        const auto at = first_ending_after(begin);
        if (at == runs_.end() || at->first >= end) return;
        const FileExtent old = extent_of(at);
        erase(old);
        changes->removed.push_back(old);
        if (old.offset < begin) {
            insert(head_of(old, begin));
            changes->added.push_back(head_of(old, begin));
        }
        if (old.end() > end) {
            insert(tail_of(old, end));
            changes->added.push_back(tail_of(old, end));
        }
    }
}

void ExtentMap::overwrite(const FileExtent& extent, ExtentChanges* changes) {
    SANDSTORE_CHECK(extent.length > 0 && extent.offset <= UINT64_MAX - extent.length, "offset=", extent.offset,
                    " length=", extent.length);
    clear_range(extent.offset, extent.end(), changes);
    FileExtent merged = extent;
    std::optional<FileExtent> left;
    std::optional<FileExtent> right;
    const auto next = runs_.lower_bound(extent.offset);
    if (next != runs_.begin()) left = extent_of(std::prev(next));
    if (next != runs_.end()) right = extent_of(next);
    if (left && follows(*left, merged)) {
        erase(*left);
        changes->removed.push_back(*left);
        merged = {left->offset, left->length + merged.length, left->chunk, left->chunk_offset};
    }
    if (right && follows(merged, *right)) {
        erase(*right);
        changes->removed.push_back(*right);
        merged.length += right->length;
    }
    insert(merged);
    changes->added.push_back(merged);
}

ExtentMap ExtentMap::cut(uint64_t size, ExtentChanges* changes) {
    ExtentMap tail;
    if (size == 0) {
        std::swap(tail, *this);
        return tail;
    }
    const auto across = first_ending_after(size);
    if (across != runs_.end() && across->first < size) {
        const FileExtent old = extent_of(across);
        erase(old);
        insert(head_of(old, size));
        insert(tail_of(old, size));
        changes->removed.push_back(old);
        changes->added.push_back(head_of(old, size));
        changes->added.push_back(tail_of(old, size));
    }
    for (auto at = runs_.lower_bound(size); at != runs_.end();) {
        const auto moved = at++;
        tail.covered_bytes_ += moved->second.length;
        tail.runs_.insert(tail.runs_.end(), runs_.extract(moved));
    }
    covered_bytes_ -= tail.covered_bytes_;
    return tail;
}

FileExtent ExtentMap::take_first() {
    SANDSTORE_CHECK(!runs_.empty(), "no extent to take");
    const FileExtent first = extent_of(runs_.begin());
    erase(first);
    return first;
}

}  // namespace sandstore
