// The data directory of a node that does not run: for commands that look at it, or change whose it is. Holds the
// directory's lock, so that no node starts on it meanwhile. Log and snapshots are read by the code with which a node
// reads them, and nothing of them is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "messages/cluster.pb.h"
#include "runtime/disk_files.h"

namespace sandstore {

// What a directory knows of its cluster's log.
struct OfflineLog {
    uint64_t term = 0;
    uint64_t last_index = 0;  // 0: it holds nothing.
    uint64_t last_term = 0;
    uint64_t snapshot_index = 0;
    pb::RaftConfiguration configuration;  // In force: the newest one.
};

class OfflineDirectory {
 public:
    // Empty: it is locked and its identity read. Else why not, and what to do.
    [[nodiscard]] std::string open(const std::string& path);
    const pb::Identity& identity() const { return identity_; }

    [[nodiscard]] std::string read_log(OfflineLog* log);
    // Atomically, and durable when it returns.
    [[nodiscard]] std::string write_identity(const pb::Identity& identity);
    // Renames a directory in it, which need not be there; *name is what it is called then, empty when there was none.
    [[nodiscard]] std::string set_aside(std::string_view directory, std::string* name);

 private:
    std::string path_;
    std::unique_ptr<DiskFiles> files_;
    pb::Identity identity_;
};

}  // namespace sandstore
