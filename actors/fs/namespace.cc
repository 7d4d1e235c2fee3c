// Paths, directories and their entries. What concerns the content of files is in namespace_files.cc, the questions are
// in namespace_queries.cc.
#include "actors/fs/namespace.h"

#include "actors/fs/limits.h"
#include "actors/fs/path.h"
#include "runtime/check.h"

namespace sandstore {

Namespace::Namespace() {
    Inode root;
    root.mode = 0755;
    root.links = 2;
    root.is_directory = true;
    root.parent = kRootInode;
    const uint64_t id = inodes_.add(root);
    SANDSTORE_CHECK(id == kRootInode, "root=", id);
}

void Namespace::set_clock(uint64_t clock_us, uint64_t chunk_commit_window_us) {
    clock_us_ = clock_us;
    chunk_commit_window_us_ = chunk_commit_window_us;
    if (began_us() != 0 || clock_us == 0) return;
    auto root = inodes_.edit(kRootInode);
    root->birth_time_us = root->access_time_us = root->modify_time_us = root->change_time_us = clock_us;
}

// --- Finding ---------------------------------------------------------------------------------------------------------

Outcome Namespace::walk_to_parent(uint64_t start, const std::vector<std::string_view>& parts, uint64_t* parent) const {
    uint64_t current = start;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (!inodes_.at(current).is_directory) return pb::STATUS_ENOTDIR;
        current = inodes_.find_entry(current, parts[i]);
        if (current == 0) return pb::STATUS_ENOENT;
    }
    if (!inodes_.at(current).is_directory) return pb::STATUS_ENOTDIR;
    *parent = current;
    return {};
}

Outcome Namespace::locate(const pb::At& at, Located* located) const {
    ParsedPath path;
    if (Outcome outcome = parse_path(at.path(), &path); !outcome.ok()) return outcome;
    const uint64_t start = at.inode() == 0 ? kRootInode : at.inode();
    if (inodes_.find(start) == nullptr) return pb::STATUS_ESTALE;
    located->wants_directory = path.wants_directory;
    located->ends_in_dot = path.ends_in_dot;
    if (path.parts.empty()) {
        located->inode = start;
        return {};
    }
    if (Outcome outcome = walk_to_parent(start, path.parts, &located->parent); !outcome.ok()) return outcome;
    located->name = path.parts.back();
    located->inode = inodes_.find_entry(located->parent, located->name);
    return {};
}

Outcome Namespace::locate_existing(const pb::At& at, uint64_t* inode) const {
    Located located;
    if (Outcome outcome = locate(at, &located); !outcome.ok()) return outcome;
    if (located.inode == 0) return pb::STATUS_ENOENT;
    if (located.wants_directory && !inodes_.at(located.inode).is_directory) return pb::STATUS_ENOTDIR;
    *inode = located.inode;
    return {};
}

Outcome Namespace::locate_file(const pb::At& at, uint64_t* inode) const {
    if (Outcome outcome = locate_existing(at, inode); !outcome.ok()) return outcome;
    if (inodes_.at(*inode).is_directory) return pb::STATUS_EISDIR;
    return {};
}

// --- Making ----------------------------------------------------------------------------------------------------------

uint64_t Namespace::add_child(uint64_t parent, std::string_view name, bool directory, uint32_t mode,
                              const Occasion& when) {
    Inode inode;
    inode.mode = static_cast<uint16_t>(mode);
    inode.uid = when.uid;
    inode.gid = when.gid;
    inode.access_time_us = inode.modify_time_us = inode.change_time_us = inode.birth_time_us = when.time_us;
    inode.is_named = true;
    if (directory) {
        inode.links = 2;
        inode.is_directory = true;
        inode.parent = parent;
    }
    const uint64_t id = inodes_.add(inode);
    auto edit = inodes_.edit(parent);
    inodes_.add_entry(edit, name, id);
    edit->touch_content(when.time_us);
    if (directory) ++edit->links;
    return id;
}

Outcome Namespace::make_missing_directories(const pb::MakeDirectory& request, const Occasion& when, uint64_t* made) {
    ParsedPath path;
    if (Outcome outcome = parse_path(request.at().path(), &path); !outcome.ok()) return outcome;
    uint64_t current = request.at().inode() == 0 ? kRootInode : request.at().inode();
    if (inodes_.find(current) == nullptr) return pb::STATUS_ESTALE;
    size_t known = 0;
    for (; known < path.parts.size(); ++known) {
        if (!inodes_.at(current).is_directory) return pb::STATUS_ENOTDIR;
        const uint64_t next = inodes_.find_entry(current, path.parts[known]);
        if (next == 0) break;
        current = next;
    }
    if (!inodes_.at(current).is_directory) return pb::STATUS_EEXIST;
    if (inodes_.size() + (path.parts.size() - known) > kInodesMax) return pb::STATUS_ENOSPC;
    for (; known < path.parts.size(); ++known) {
        current = add_child(current, path.parts[known], true, request.mode(), when);
    }
    *made = current;
    return {};
}

Outcome Namespace::make_directory(const pb::MakeDirectory& request, const Occasion& when, pb::MutationResult* result) {
    uint64_t made = 0;
    if (request.parents()) {
        if (Outcome outcome = make_missing_directories(request, when, &made); !outcome.ok()) return outcome;
    } else {
        Located place;
        if (Outcome outcome = locate(request.at(), &place); !outcome.ok()) return outcome;
        if (place.inode != 0) return pb::STATUS_EEXIST;
        if (inodes_.size() >= kInodesMax) return pb::STATUS_ENOSPC;
        made = add_child(place.parent, place.name, true, request.mode(), when);
    }
    fill_attributes(made, result->mutable_attributes());
    return {};
}

Outcome Namespace::create_file(const pb::CreateFile& request, const Occasion& when, pb::MutationResult* result) {
    Located place;
    if (Outcome outcome = locate(request.at(), &place); !outcome.ok()) return outcome;
    if (place.wants_directory) return pb::STATUS_EISDIR;
    uint64_t id = place.inode;
    if (id != 0) {
        if (request.exclusive()) return pb::STATUS_EEXIST;
        if (inodes_.at(id).is_directory) return pb::STATUS_EISDIR;
    } else {
        if (inodes_.size() >= kInodesMax) return pb::STATUS_ENOSPC;
        id = add_child(place.parent, place.name, false, request.mode(), when);
    }
    fill_attributes(id, result->mutable_attributes());
    return {};
}

// --- Removing --------------------------------------------------------------------------------------------------------

void Namespace::remove_child(uint64_t parent, std::string_view name, uint64_t child, const Occasion& when) {
    const bool directory = inodes_.at(child).is_directory;
    {
        auto edit = inodes_.edit(parent);
        inodes_.remove_entry(edit, name);
        edit->touch_content(when.time_us);
        if (directory) --edit->links;
    }
    const Inode removed = inodes_.remove(child);
    SANDSTORE_CHECK(!directory || removed.entries == 0, "inode ", child, " is not empty");
    if (directory) return;
    Content content = content_of(removed);
    cut(child, 0, &content);
}

Outcome Namespace::remove_file(const pb::RemoveFile& request, const Occasion& when) {
    Located place;
    if (Outcome outcome = locate(request.at(), &place); !outcome.ok()) return outcome;
    if (place.inode == 0) return pb::STATUS_ENOENT;
    if (inodes_.at(place.inode).is_directory) return pb::STATUS_EISDIR;
    if (place.wants_directory) return pb::STATUS_ENOTDIR;
    if (place.parent == 0) return {pb::STATUS_EINVAL, "A file is removed by its name in a directory"};
    if (request.inode() != 0 && request.inode() != place.inode) {
        return {pb::STATUS_ESTALE, "Another file has this name by now: nothing was removed"};
    }
    remove_child(place.parent, place.name, place.inode, when);
    return {};
}

Outcome Namespace::remove_directory(const pb::RemoveDirectory& request, const Occasion& when) {
    Located place;
    if (Outcome outcome = locate(request.at(), &place); !outcome.ok()) return outcome;
    if (place.inode == 0) return pb::STATUS_ENOENT;
    if (place.inode == kRootInode) return pb::STATUS_EBUSY;
    const Inode& inode = inodes_.at(place.inode);
    if (!inode.is_directory) return pb::STATUS_ENOTDIR;
    if (place.parent == 0 || place.ends_in_dot) {
        return {pb::STATUS_EINVAL, "A directory is removed by its name in its parent"};
    }
    if (inode.entries > 0) return pb::STATUS_ENOTEMPTY;
    remove_child(place.parent, place.name, place.inode, when);
    return {};
}

// --- Renaming --------------------------------------------------------------------------------------------------------

bool Namespace::is_inside(uint64_t directory, uint64_t ancestor) const {
    while (directory != ancestor) {
        if (directory == kRootInode) return false;
        directory = inodes_.at(directory).parent;
    }
    return true;
}

// In the order of Linux's rename(2), so that a mount answers as a local file system does.
Outcome Namespace::check_rename(const Located& from, const Located& to, bool no_replace) const {
    if (from.inode == kRootInode || (to.inode == kRootInode && !no_replace)) return pb::STATUS_EBUSY;
    if (from.inode == 0) return pb::STATUS_ENOENT;
    if (no_replace && to.inode != 0) return pb::STATUS_EEXIST;
    if (from.parent == 0 || to.parent == 0 || from.ends_in_dot || to.ends_in_dot) {
        return {pb::STATUS_EINVAL, "A rename needs a name in a directory on both sides"};
    }
    const Inode& moved = inodes_.at(from.inode);
    if (!moved.is_directory && (from.wants_directory || to.wants_directory)) return pb::STATUS_ENOTDIR;
    if (moved.is_directory && is_inside(to.parent, from.inode)) {
        return {pb::STATUS_EINVAL, "A directory cannot be moved into itself"};
    }
    if (to.inode == 0 || to.inode == from.inode) return {};
    const Inode& replaced = inodes_.at(to.inode);
    if (moved.is_directory && !replaced.is_directory) return pb::STATUS_ENOTDIR;
    if (!moved.is_directory && replaced.is_directory) return pb::STATUS_EISDIR;
    if (replaced.is_directory && replaced.entries > 0) return pb::STATUS_ENOTEMPTY;
    return {};
}

Outcome Namespace::rename(const pb::Rename& request, const Occasion& when, pb::MutationResult* result) {
    Located from;
    if (Outcome outcome = locate(request.from(), &from); !outcome.ok()) return outcome;
    Located to;
    if (Outcome outcome = locate(request.to(), &to); !outcome.ok()) return outcome;
    if (Outcome outcome = check_rename(from, to, request.no_replace()); !outcome.ok()) return outcome;
    if (to.inode != from.inode) {
        if (to.inode != 0) remove_child(to.parent, to.name, to.inode, when);
        const bool directory = inodes_.at(from.inode).is_directory;
        {
            auto edit = inodes_.edit(from.parent);
            inodes_.remove_entry(edit, from.name);
            edit->touch_content(when.time_us);
            if (directory) --edit->links;
        }
        {
            auto edit = inodes_.edit(to.parent);
            inodes_.add_entry(edit, to.name, from.inode);
            edit->touch_content(when.time_us);
            if (directory) ++edit->links;
        }
        auto edit = inodes_.edit(from.inode);
        edit->touch(when.time_us);
        if (directory) edit->parent = to.parent;
    }
    fill_attributes(from.inode, result->mutable_attributes());
    return {};
}

}  // namespace sandstore
