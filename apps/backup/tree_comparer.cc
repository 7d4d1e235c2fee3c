#include "apps/backup/tree_comparer.h"

#include "apps/backup/data_ranges.h"
#include "runtime/text.h"

namespace sandstore {

uint64_t TreeComparer::find(const pb::BackupEntry& entry) {
    uint64_t inode = 0;
    if (directories_.empty()) {
        inode = root_inode_;
    } else if (const auto parent = directories_.find(entry.parent()); parent != directories_.end()) {
        inode = files_.inodes().find_entry(parent->second, entry.name());
    }
    if (inode == 0) return 0;
    if (files_.inodes().at(inode).is_directory != entry.directory()) return 0;
    if (entry.directory()) directories_[entry.inode()] = inode;
    ++found_;
    return inode;
}

std::string TreeComparer::difference(const pb::BackupEntry& entry, uint64_t id) const {
    if (id == 0) return "it is not there";
    const Inode& inode = files_.inodes().at(id);
    const auto differs = [](std::string_view what, uint64_t wanted, uint64_t found) {
        return str_cat(what, " is ", found, ", not ", wanted);
    };
    if (inode.mode != entry.mode()) return differs("its mode", entry.mode(), inode.mode);
    if (inode.uid != entry.uid()) return differs("its owner", entry.uid(), inode.uid);
    if (inode.gid != entry.gid()) return differs("its group", entry.gid(), inode.gid);
    if (inode.modify_time_us != entry.modify_time_us()) {
        return differs("its modify time", entry.modify_time_us(), inode.modify_time_us);
    }
    if (inode.access_time_us != entry.access_time_us()) {
        return differs("its access time", entry.access_time_us(), inode.access_time_us);
    }
    if (entry.directory()) return {};
    if (inode.size != entry.size()) return differs("its size", entry.size(), inode.size);
    std::vector<DataRange> found;
    if (inode.content != 0) {
        files_.extents().for_each_in(inode.content, 0, UINT64_MAX, [&found](const FileExtent& extent) {
            add_range(&found, extent.offset, extent.length);
            return true;
        });
    }
    return found == data_ranges(entry) ? "" : "its bytes and holes are in other places";
}

uint64_t TreeComparer::entries_beside() const {
    uint64_t below = 1;
    std::vector<uint64_t> levels{root_inode_};
    while (!levels.empty()) {
        const uint64_t directory = levels.back();
        levels.pop_back();
        files_.inodes().for_each_entry(directory, "", [&](const std::string&, uint64_t child) {
            ++below;
            if (files_.inodes().at(child).is_directory) levels.push_back(child);
            return true;
        });
    }
    return below - found_;
}

}  // namespace sandstore
