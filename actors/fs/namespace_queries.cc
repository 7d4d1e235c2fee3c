// The questions to the namespace. Nothing here changes it, and each answer is bounded.
#include <algorithm>

#include "actors/fs/limits.h"
#include "actors/fs/namespace.h"

namespace sandstore {

// A directory's size is the number of its entries.
void Namespace::fill_attributes(uint64_t id, pb::Attributes* attributes) const {
    const Inode& inode = inodes_.at(id);
    attributes->set_inode(id);
    attributes->set_type(inode.is_directory ? pb::FILE_TYPE_DIRECTORY : pb::FILE_TYPE_REGULAR);
    attributes->set_mode(inode.mode);
    attributes->set_uid(inode.uid);
    attributes->set_gid(inode.gid);
    attributes->set_links(inode.links);
    attributes->set_size(inode.is_directory ? inode.entries : inode.size);
    attributes->set_stored_bytes(inode.is_directory ? 0 : inode.stored_bytes);
    attributes->set_access_time_us(inode.access_time_us);
    attributes->set_modify_time_us(inode.modify_time_us);
    attributes->set_change_time_us(inode.change_time_us);
    attributes->set_birth_time_us(inode.birth_time_us);
}

Outcome Namespace::stat(const pb::Stat& query, pb::QueryResult* result) const {
    uint64_t inode = 0;
    if (Outcome outcome = locate_existing(query.at(), &inode); !outcome.ok()) return outcome;
    fill_attributes(inode, result->mutable_attributes());
    return {};
}

Outcome Namespace::list_directory(const pb::ListDirectory& query, pb::QueryResult* result) const {
    uint64_t inode = 0;
    if (Outcome outcome = locate_existing(query.at(), &inode); !outcome.ok()) return outcome;
    if (!inodes_.at(inode).is_directory) return pb::STATUS_ENOTDIR;
    fill_attributes(inode, result->mutable_attributes());
    const size_t wanted = query.limit() == 0 ? kDirectoryEntriesDefault : query.limit();
    const size_t limit = std::min(wanted, kDirectoryEntriesPerAnswerMax);
    inodes_.for_each_entry(inode, query.after(), [&](const std::string& name, uint64_t child) {
        if (static_cast<size_t>(result->entries_size()) >= limit) {
            result->set_more(true);
            return false;
        }
        pb::DirectoryEntry* added = result->add_entries();
        added->set_name(name);
        fill_attributes(child, added->mutable_attributes());
        return true;
    });
    return {};
}

Outcome Namespace::read_extents(const pb::ReadExtents& query, pb::QueryResult* result) const {
    uint64_t id = 0;
    if (Outcome outcome = locate_file(query.at(), &id); !outcome.ok()) return outcome;
    fill_attributes(id, result->mutable_attributes());
    const Inode& inode = inodes_.at(id);
    extents_.for_each_in(inode.content, query.offset(), query.length(), [&](const FileExtent& extent) {
        if (static_cast<size_t>(result->extents_size()) >= kExtentsPerAnswerMax) {
            result->set_more(true);  // Complete up to the end of the last extent.
            return false;
        }
        const ChunkTable::Chunk* chunk = chunks_.find(extent.chunk);
        pb::Extent* added = result->add_extents();
        added->set_offset(extent.offset);
        added->set_length(extent.length);
        added->set_chunk_offset(extent.chunk_offset);
        added->set_chunk_length(chunk->length);
        chunks_.fill_place(extent.chunk, *chunk, added->mutable_chunk());
        return true;
    });
    return {};
}

void Namespace::stat_file_system(pb::QueryResult* result) const {
    result->set_inode_count(inodes_.size());
    result->set_file_bytes(file_bytes_);
    result->set_chunk_count(chunk_count());
}

pb::ChunkVerdict Namespace::verdict_of(const pb::ChunkStatus& candidate, std::string_view node_id) const {
    const ChunkKey key = key_of(candidate.id());
    if (const ChunkTable::Chunk* chunk = chunks_.find(key); chunk != nullptr) {
        const std::vector<std::string>& nodes = chunks_.replicas_of(*chunk);
        return std::ranges::count(nodes, node_id) > 0 ? pb::CHUNK_WANTED : pb::CHUNK_ELSEWHERE;
    }
    const bool collected = chunks_.collected().find(ChunkTable::Collected{candidate.allocated_at_us(), key}) != nullptr;
    return collected ? pb::CHUNK_COLLECTED : pb::CHUNK_UNKNOWN;
}

void Namespace::chunks_of_node(const pb::ChunksOfNode& query, pb::QueryResult* result) const {
    result->set_clock_us(clock_us_);
    result->set_began_us(began_us());
    if (!query.candidates().empty()) {
        for (const pb::ChunkStatus& candidate : query.candidates()) {
            result->add_verdicts(verdict_of(candidate, query.node_id()));
        }
        return;
    }
    const uint32_t limit = query.limit() == 0 ? kAuditChunksDefault : query.limit();
    uint32_t scanned = 0;
    for (auto at = chunks_.chunks().upper_bound(key_of(query.after())); at.valid(); at.next()) {
        if (scanned >= kAuditScanMax || static_cast<uint32_t>(result->chunks_size()) >= limit) {
            result->set_more(true);
            return;
        }
        ++scanned;
        fill_chunk_id(at.key(), result->mutable_last_chunk());
        if (query.every_node()) {
            chunks_.fill_place(at.key(), at.value(), result->add_chunks());
            continue;
        }
        for (const std::string& node : chunks_.replicas_of(at.value())) {
            if (node == query.node_id()) chunks_.fill_place(at.key(), at.value(), result->add_chunks());
        }
    }
}

}  // namespace sandstore
