#include "actors/chunk/chunk_index.h"

#include <algorithm>
#include <utility>

#include "runtime/check.h"

namespace sandstore {

namespace {

constexpr size_t kFewEntries = ChunkIndex::kBlockEntries / 4;  // A block with fewer is joined with the one before it.

template <typename Block>
auto position_in(Block& block, ChunkKey key) {
    return std::lower_bound(block.begin(), block.end(), key,
                            [](const ChunkIndex::Entry& entry, ChunkKey wanted) { return entry.key < wanted; });
}

}  // namespace

ChunkIndex::Blocks::iterator ChunkIndex::block_of(ChunkKey key) {
    const auto after = blocks_.upper_bound(key);
    return after == blocks_.begin() ? blocks_.end() : std::prev(after);
}

ChunkIndex::Blocks::const_iterator ChunkIndex::block_of(ChunkKey key) const {
    const auto after = blocks_.upper_bound(key);
    return after == blocks_.begin() ? blocks_.end() : std::prev(after);
}

// What is handed out next comes behind all others; so do most entries when an index file is read.
bool ChunkIndex::is_behind_all(ChunkKey key) const {
    if (blocks_.empty()) return true;
    const Block& last = blocks_.rbegin()->second;
    return !last.empty() && last.back().key < key;
}

const ChunkIndex::Entry* ChunkIndex::find(ChunkKey key) const {
    if (is_behind_all(key)) return nullptr;
    const auto block = block_of(key);
    if (block == blocks_.end()) return nullptr;
    const auto entry = position_in(block->second, key);
    return entry != block->second.end() && entry->key == key ? &*entry : nullptr;
}

ChunkIndex::Entry* ChunkIndex::find_mutable(ChunkKey key) {
    return const_cast<Entry*>(std::as_const(*this).find(key));
}

const ChunkIndex::Entry* ChunkIndex::first_after(ChunkKey key) const {
    auto block = block_of(key);
    if (block == blocks_.end()) return nullptr;
    auto entry = position_in(block->second, key);
    if (entry != block->second.end() && entry->key == key) ++entry;
    if (entry != block->second.end()) return &*entry;
    ++block;
    return block == blocks_.end() ? nullptr : &block->second.front();
}

void ChunkIndex::count(const Entry& entry, int sign) {
    size_ += static_cast<size_t>(sign);
    if (entry.damaged) return;
    intact_ += static_cast<uint64_t>(sign);
    intact_bytes_ += static_cast<uint64_t>(sign) * entry.length;
}

void ChunkIndex::put(const Entry& entry) {
    if (Entry* there = find_mutable(entry.key)) {
        count(*there, -1);
        *there = entry;
    } else {
        insert(entry);
    }
    count(entry, 1);
}

void ChunkIndex::insert(const Entry& entry) {
    if (blocks_.empty()) blocks_[ChunkKey()];
    if (is_behind_all(entry.key)) {
        Block& last = blocks_.rbegin()->second;
        if (last.size() < kBlockEntries) return last.push_back(entry);
        blocks_.emplace_hint(blocks_.end(), entry.key, Block{entry});  // The full block stays full.
        return;
    }
    auto block = block_of(entry.key);
    if (block->second.size() >= kBlockEntries) {
        const auto split = block->second.begin() + kBlockEntries / 2;
        Block upper(split, block->second.end());
        block->second.erase(split, block->second.end());
        const ChunkKey first = upper.front().key;
        const auto next = blocks_.emplace(first, std::move(upper)).first;
        if (entry.key >= first) block = next;
    }
    block->second.insert(position_in(block->second, entry.key), entry);
}

void ChunkIndex::erase(ChunkKey key) {
    const auto block = block_of(key);
    if (block == blocks_.end()) return;
    Block& entries = block->second;
    const auto entry = position_in(entries, key);
    if (entry == entries.end() || entry->key != key) return;
    count(*entry, -1);
    entries.erase(entry);
    if (block == blocks_.begin()) {
        if (entries.empty() && blocks_.size() == 1) blocks_.clear();
        return;
    }
    Block& before = std::prev(block)->second;
    if (entries.empty() || (entries.size() < kFewEntries && before.size() + entries.size() <= kBlockEntries)) {
        before.insert(before.end(), entries.begin(), entries.end());
        blocks_.erase(block);
    }
}

void ChunkIndex::set_damaged(ChunkKey key, bool damaged) {
    Entry* entry = find_mutable(key);
    SANDSTORE_CHECK(entry != nullptr, "chunk=", to_string(key));
    count(*entry, -1);
    entry->damaged = damaged;
    count(*entry, 1);
}

void ChunkIndex::set_time(ChunkKey key, uint64_t allocated_at_us) {
    Entry* entry = find_mutable(key);
    SANDSTORE_CHECK(entry != nullptr, "chunk=", to_string(key));
    entry->allocated_at_us = allocated_at_us;
    entry->time_known = true;
}

size_t ChunkIndex::memory_bytes() const {
    size_t bytes = 0;
    for (const auto& [key, block] : blocks_) bytes += sizeof(key) + sizeof(block) + block.capacity() * sizeof(Entry);
    return bytes;
}

}  // namespace sandstore
