// Where a restore writes: a directory beside the final place, which appears there when everything in it is complete and
// has been compared. Running an interrupted restore again goes on with that directory.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/backup/namespace_export.h"
#include "apps/backup/tree_comparer.h"
#include "apps/backup/tree_writer.h"
#include "client/client.h"

namespace sandstore {

class RestoreTarget {
 public:
    // `into`: a directory that does not exist yet or is empty; "/": the root, which must be empty.
    RestoreTarget(Client& client, std::string into, std::string backup_id);

    // Refuses a place that is not empty. False: see error().
    bool prepare();
    // Everything was restored before, and only the last step is missing.
    bool only_to_be_moved() const { return moving_; }

    // Each entry of the backup in its order. add() gives true when the file's bytes are wanted: they go to writer(),
    // then end_file() of it.
    bool add(const pb::BackupEntry& entry);
    TreeWriter& writer() { return *writer_; }
    bool finish_writing();
    void abandon();  // What was written is of no use: away with it, unless an earlier run began it.

    // Once more each entry in its order, compared with what is in the cluster now; then what is there besides.
    bool begin_comparing();
    bool compare(const pb::BackupEntry& entry);  // False: different, see error().
    bool end_comparing();
    // The restored inode of the entry that was compared last.
    uint64_t compared_inode() const { return compared_inode_; }

    // Puts it into its place, with the root's attributes.
    bool move_into_place(const pb::BackupEntry& root);

    const std::string& error() const { return error_; }
    uint64_t kept_files() const { return kept_files_; }  // That an earlier run had restored.

 private:
    bool fail(std::string_view what);
    bool check_empty();
    bool learn_existing();
    bool remove_existing(const pb::BackupEntry& entry, uint64_t inode);
    bool move_to_root(const pb::BackupEntry& root);

    Client& client_;
    const std::string into_;
    std::string work_;  // Where it is written,
    std::string done_;  // and, below the root, its name from when it is complete.
    uint64_t work_inode_ = 0;
    bool moving_ = false;
    bool made_work_ = false;  // By this run: nobody else has anything in it.
    std::unique_ptr<TreeWriter> writer_;
    std::unique_ptr<ExportedNamespace> existing_;
    std::unique_ptr<TreeComparer> comparer_;
    uint64_t compared_inode_ = 0;
    uint64_t kept_files_ = 0;
    std::string error_;
};

}  // namespace sandstore
