// Inodes, and the table that holds them by id. Ids are given out in order and never used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "actors/fs/extent_map.h"

namespace sandstore {

struct Directory {
    uint64_t parent = 0;                                   // The root is its own.
    std::map<std::string, uint64_t, std::less<>> entries;  // Name -> inode, in byte order.
};

// Compact: there may be many millions.
struct Inode {
    uint32_t links = 1;
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint16_t mode = 0;     // Permission bits.
    bool editing = false;  // Guards against two edits at once.
    uint64_t size = 0;     // Of a file, in bytes.
    uint64_t access_time_us = 0;
    uint64_t modify_time_us = 0;
    uint64_t change_time_us = 0;
    uint64_t birth_time_us = 0;
    std::unique_ptr<Directory> directory;  // Set exactly for directories.
    std::unique_ptr<ExtentMap> extents;    // Of a file; null when it has none.

    bool is_directory() const { return directory != nullptr; }
    uint64_t stored_bytes() const { return extents ? extents->covered_bytes() : 0; }
};
static_assert(sizeof(Inode) <= 80);

class InodeTable {
 public:
    // A change to an inode's attributes: takes its hash out and puts the new one in when it ends. Extents and directory
    // entries are not attributes.
    class Edit {
     public:
        Edit(InodeTable* table, uint64_t id);
        ~Edit();
        Edit(const Edit&) = delete;
        Edit& operator=(const Edit&) = delete;
        Inode* operator->() { return inode_; }

     private:
        InodeTable* table_;
        uint64_t id_;
        Inode* inode_;
    };

    const Inode* find(uint64_t id) const;
    const Inode& at(uint64_t id) const;  // It must be there; checked.

    uint64_t add(Inode inode);  // Its id: the first one is 1.
    Inode remove(uint64_t id);  // Gives its contents to the caller.
    Edit edit(uint64_t id) { return Edit(this, id); }
    ExtentMap& extents_of(uint64_t id);  // Made when there are none.
    void drop_empty_extents(uint64_t id);

    uint64_t find_entry(uint64_t directory, std::string_view name) const;  // 0: no such entry.
    void add_entry(uint64_t directory, std::string_view name, uint64_t inode);
    void remove_entry(uint64_t directory, std::string_view name);

    size_t size() const { return inodes_.size(); }
    uint64_t next_id() const { return next_id_; }
    const std::map<uint64_t, Inode>& inodes() const { return inodes_; }  // In id order.
    uint64_t hash() const { return hash_; }                              // Of attributes and entries.
    uint64_t walk_hash() const;                                          // The same, computed from scratch.

 private:
    Inode& must_find(uint64_t id);

    std::map<uint64_t, Inode> inodes_;
    uint64_t next_id_ = 1;
    uint64_t hash_ = 0;
};

}  // namespace sandstore
