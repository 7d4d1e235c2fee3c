// Compares what a backup holds with a directory of a cluster's exported namespace, entry by entry in the backup's
// order.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "actors/fs/namespace.h"
#include "messages/backup.pb.h"

namespace sandstore {

class TreeComparer {
 public:
    TreeComparer(const Namespace& files, uint64_t root_inode) : files_(files), root_inode_(root_inode) {}

    // The inode in the cluster, 0 when there is none. Of every entry in turn, whatever becomes of it.
    uint64_t find(const pb::BackupEntry& entry);
    uint64_t inode_of_directory(uint64_t backup_inode) const { return directories_.at(backup_inode); }  // Found before.
    // What is different, as a sentence; empty: nothing.
    std::string difference(const pb::BackupEntry& entry, uint64_t inode) const;
    // After the last entry: how many more there are in the cluster than were asked for.
    uint64_t entries_beside() const;

 private:
    const Namespace& files_;
    uint64_t root_inode_;
    std::unordered_map<uint64_t, uint64_t> directories_;  // The backup's inode -> the cluster's.
    uint64_t found_ = 0;
};

}  // namespace sandstore
