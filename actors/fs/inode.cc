#include "actors/fs/inode.h"

#include "actors/fs/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

namespace {

uint64_t hash_of(uint64_t id, const Inode& inode) {
    StateHasher hasher(StateHasher::Kind::kInode);
    hasher.add(id).add(uint64_t{inode.links} << 32 | uint64_t{inode.mode} << 1 | (inode.is_directory() ? 1 : 0));
    hasher.add(uint64_t{inode.uid} << 32 | inode.gid).add(inode.size);
    hasher.add(inode.access_time_us).add(inode.modify_time_us).add(inode.change_time_us).add(inode.birth_time_us);
    if (inode.is_directory()) hasher.add(inode.directory->parent);
    return hasher.value();
}

uint64_t hash_of_entry(uint64_t directory, std::string_view name, uint64_t inode) {
    return StateHasher(StateHasher::Kind::kEntry).add(directory).add(name).add(inode).value();
}

}  // namespace

InodeTable::Edit::Edit(InodeTable* table, uint64_t id) : table_(table), id_(id), inode_(&table->must_find(id)) {
    SANDSTORE_CHECK(!inode_->editing, "inode ", id, " is being edited already");
    inode_->editing = true;
    table_->hash_ -= hash_of(id_, *inode_);
}

InodeTable::Edit::~Edit() {
    table_->hash_ += hash_of(id_, *inode_);
    inode_->editing = false;
}

const Inode* InodeTable::find(uint64_t id) const {
    const auto found = inodes_.find(id);
    return found == inodes_.end() ? nullptr : &found->second;
}

const Inode& InodeTable::at(uint64_t id) const {
    const Inode* inode = find(id);
    SANDSTORE_CHECK(inode != nullptr, "no inode ", id);
    return *inode;
}

Inode& InodeTable::must_find(uint64_t id) {
    return const_cast<Inode&>(at(id));
}

uint64_t InodeTable::add(Inode inode) {
    const uint64_t id = next_id_++;
    hash_ += hash_of(id, inode);
    inodes_.emplace_hint(inodes_.end(), id, std::move(inode));
    return id;
}

Inode InodeTable::remove(uint64_t id) {
    auto node = inodes_.extract(id);
    SANDSTORE_CHECK(!node.empty() && !node.mapped().editing, "inode ", id);
    hash_ -= hash_of(id, node.mapped());
    return std::move(node.mapped());
}

ExtentMap& InodeTable::extents_of(uint64_t id) {
    Inode& inode = must_find(id);
    SANDSTORE_CHECK(!inode.is_directory(), "inode ", id, " is a directory");
    if (!inode.extents) inode.extents = std::make_unique<ExtentMap>();
    return *inode.extents;
}

void InodeTable::drop_empty_extents(uint64_t id) {
    Inode& inode = must_find(id);
    if (inode.extents && inode.extents->empty()) inode.extents.reset();
}

uint64_t InodeTable::find_entry(uint64_t directory, std::string_view name) const {
    const Inode& inode = at(directory);
    SANDSTORE_CHECK(inode.is_directory(), "inode ", directory, " is not a directory");
    const auto found = inode.directory->entries.find(name);
    return found == inode.directory->entries.end() ? 0 : found->second;
}

void InodeTable::add_entry(uint64_t directory, std::string_view name, uint64_t inode) {
    const bool added = must_find(directory).directory->entries.try_emplace(std::string(name), inode).second;
    SANDSTORE_CHECK(added, "inode ", directory, " has an entry of this name already");
    hash_ += hash_of_entry(directory, name, inode);
}

void InodeTable::remove_entry(uint64_t directory, std::string_view name) {
    auto& entries = must_find(directory).directory->entries;
    const auto found = entries.find(name);
    SANDSTORE_CHECK(found != entries.end(), "inode ", directory, " has no entry of this name");
    hash_ -= hash_of_entry(directory, name, found->second);
    entries.erase(found);
}

uint64_t InodeTable::walk_hash() const {
    uint64_t sum = 0;
    for (const auto& [id, inode] : inodes_) {
        sum += hash_of(id, inode);
        if (!inode.is_directory()) continue;
        for (const auto& [name, child] : inode.directory->entries) sum += hash_of_entry(id, name, child);
    }
    return sum;
}

}  // namespace sandstore
