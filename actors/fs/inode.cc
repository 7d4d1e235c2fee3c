#include "actors/fs/inode.h"

#include "actors/state/state_hasher.h"
#include "runtime/check.h"

namespace sandstore {

namespace {

// Counts follow from the entries and the extents, which have hashes of their own.
uint64_t hash_of(uint64_t id, const Inode& inode) {
    StateHasher hasher(StateHasher::Kind::kInode);
    hasher.add(id).add(uint64_t{inode.links} << 32 | uint64_t{inode.mode} << 1 | (inode.is_directory ? 1 : 0));
    hasher.add(uint64_t{inode.uid} << 32 | inode.gid).add(inode.size);
    hasher.add(inode.access_time_us).add(inode.modify_time_us).add(inode.change_time_us).add(inode.birth_time_us);
    hasher.add(inode.is_directory ? inode.parent : inode.content);
    return hasher.value();
}

uint64_t hash_of_entry(uint64_t directory, std::string_view name, uint64_t inode) {
    return StateHasher(StateHasher::Kind::kEntry).add(directory).add(name).add(inode).value();
}

}  // namespace

InodeTable::Edit::Edit(InodeTable* table, uint64_t id) : table_(table), id_(id), inode_(table->inodes_.edit(id)) {
    SANDSTORE_CHECK(inode_ != nullptr && !table_->editing_, "inode ", id);
    table_->editing_ = true;
    table_->hash_ -= hash_of(id_, *inode_);
}

InodeTable::Edit::~Edit() {
    table_->hash_ += hash_of(id_, *inode_);
    table_->editing_ = false;
}

const Inode& InodeTable::at(uint64_t id) const {
    const Inode* inode = find(id);
    SANDSTORE_CHECK(inode != nullptr, "no inode ", id);
    return *inode;
}

uint64_t InodeTable::add(const Inode& inode) {
    const uint64_t id = next_id_++;
    restore(id, inode);
    return id;
}

void InodeTable::restore(uint64_t id, const Inode& inode) {
    const bool added = inodes_.insert(id, inode);
    SANDSTORE_CHECK(added && !editing_, "inode ", id, " is there already");
    hash_ += hash_of(id, inode);
}

Inode InodeTable::remove(uint64_t id) {
    const Inode inode = at(id);
    SANDSTORE_CHECK(!editing_, "inode ", id);
    hash_ -= hash_of(id, inode);
    inodes_.erase(id);
    return inode;
}

uint64_t InodeTable::find_entry(uint64_t directory, std::string_view name) const {
    const uint64_t* found = entries_.find(EntryView{directory, name});
    return found == nullptr ? 0 : *found;
}

void InodeTable::add_entry(Edit& directory, std::string_view name, uint64_t inode) {
    const bool added = restore_entry(directory.id_, name, inode);
    SANDSTORE_CHECK(added && directory->is_directory, "inode ", directory.id_, " has an entry of this name already");
    ++directory->entries;
}

bool InodeTable::restore_entry(uint64_t directory, std::string_view name, uint64_t inode) {
    if (!entries_.insert({directory, std::string(name)}, inode)) return false;
    hash_ += hash_of_entry(directory, name, inode);
    return true;
}

void InodeTable::remove_entry(Edit& directory, std::string_view name) {
    const EntryView key{directory.id_, name};
    const uint64_t inode = find_entry(directory.id_, name);
    SANDSTORE_CHECK(inode != 0, "inode ", directory.id_, " has no entry of this name");
    hash_ -= hash_of_entry(directory.id_, name, inode);
    entries_.erase(key);
    --directory->entries;
}

uint64_t InodeTable::walk_hash() const {
    uint64_t sum = 0;
    for (auto at = inodes_.begin(); at.valid(); at.next()) sum += hash_of(at.key(), at.value());
    for (auto at = entries_.begin(); at.valid(); at.next()) {
        sum += hash_of_entry(at.key().directory, at.key().name, at.value());
    }
    return sum;
}

}  // namespace sandstore
