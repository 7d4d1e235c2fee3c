// Inodes, and the table that holds them by id, with the entries of all directories in one map. Ids are given out in
// order and never used again. Copying a table costs nothing (cow_map.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "actors/state/cow_map.h"

namespace sandstore {

// Compact: there may be many millions.
struct Inode {
    uint32_t links = 1;
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t extents = 0;  // Of a file: how many it has.
    uint16_t mode = 0;     // Permission bits.
    bool is_directory = false;
    bool is_named = false;  // A directory has an entry for it.
    uint64_t size = 0;      // Of a file, in bytes.
    uint64_t access_time_us = 0;
    uint64_t modify_time_us = 0;
    uint64_t change_time_us = 0;
    uint64_t birth_time_us = 0;
    union {
        uint64_t parent = 0;  // Of a directory. The root is its own.
        uint64_t content;     // Of a file: where its extents are in the ExtentTable; 0 when it has none.
    };
    union {
        uint64_t entries = 0;   // Of a directory.
        uint64_t stored_bytes;  // Of a file: covered by extents.
    };

    // A change at this time of a leader's wall clock, which may be behind that of the leader before: the time of a
    // change never runs backwards, and so does not that of the content, unless somebody sets it.
    void touch(uint64_t time_us) { change_time_us = std::max(change_time_us, time_us); }
    void touch_content(uint64_t time_us) {
        touch(time_us);
        modify_time_us = change_time_us;
    }
};
static_assert(sizeof(Inode) <= 80);

// A name in a directory. The view is for looking one up.
struct EntryKey {
    uint64_t directory = 0;
    std::string name;
};
struct EntryView {
    uint64_t directory = 0;
    std::string_view name;
};
struct EntryOrder {
    template <typename Left, typename Right>
    bool operator()(const Left& left, const Right& right) const {
        if (left.directory != right.directory) return left.directory < right.directory;
        return std::string_view(left.name) < std::string_view(right.name);  // By bytes.
    }
};

class InodeTable {
 public:
    using Inodes = CowMap<uint64_t, Inode>;
    using Entries = CowMap<EntryKey, uint64_t, EntryOrder>;  // -> inode

    // A change to an inode: takes its hash out and puts the new one in when it ends. One at a time, and no inode may
    // come or go meanwhile; checked.
    class Edit {
     public:
        Edit(InodeTable* table, uint64_t id);
        ~Edit();
        Edit(const Edit&) = delete;
        Edit& operator=(const Edit&) = delete;
        Inode* operator->() { return inode_; }

     private:
        friend class InodeTable;
        InodeTable* table_;
        uint64_t id_;
        Inode* inode_;
    };

    const Inode* find(uint64_t id) const { return inodes_.find(id); }
    const Inode& at(uint64_t id) const;  // It must be there; checked.

    uint64_t add(const Inode& inode);  // Its id: the first one is 1.
    Inode remove(uint64_t id);         // As it was.
    Edit edit(uint64_t id) { return Edit(this, id); }

    uint64_t find_entry(uint64_t directory, std::string_view name) const;  // 0: no such entry.
    void add_entry(Edit& directory, std::string_view name, uint64_t inode);
    void remove_entry(Edit& directory, std::string_view name);
    // Calls visit(name, inode) for the names greater than `after`, in byte order, until it returns false.
    template <typename Visit>
    void for_each_entry(uint64_t directory, std::string_view after, Visit visit) const {
        auto at = entries_.upper_bound(EntryView{directory, after});
        for (; at.valid() && at.key().directory == directory; at.next()) {
            if (!visit(at.key().name, at.value())) return;
        }
    }

    size_t size() const { return inodes_.size(); }
    uint64_t next_id() const { return next_id_; }
    const Inodes& inodes() const { return inodes_; }     // In id order.
    const Entries& entries() const { return entries_; }  // By directory, then name.
    uint64_t hash() const { return hash_; }              // Of inodes and entries.
    uint64_t walk_hash() const;                          // The same, computed from scratch.

    // --- From a snapshot
    void restore_next_id(uint64_t next_id) { next_id_ = next_id; }
    void restore(uint64_t id, const Inode& inode);  // New; checked.
    // False when the directory has this name already.
    bool restore_entry(uint64_t directory, std::string_view name, uint64_t inode);
    Inode* restored(uint64_t id) { return inodes_.edit(id); }  // For counts and marks that the hash leaves out.

    bool discard(size_t* nodes) { return inodes_.discard(nodes) && entries_.discard(nodes); }

 private:
    Inodes inodes_;
    Entries entries_;
    uint64_t next_id_ = 1;
    uint64_t hash_ = 0;
    bool editing_ = false;
};

}  // namespace sandstore
