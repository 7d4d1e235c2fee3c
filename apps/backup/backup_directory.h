// A directory that holds backups of one cluster (docs/formats.md): the manifests, and the chunks that they share.
//
//   sandstore-backup.json             which cluster's, and the format; locked while somebody works here
//   unfinished                        a backup was begun and has not ended: its chunks may not be durable
//   backups/<id>.manifest             one for each complete backup
//   chunks/<2 digits>/<term>-<number>-<allocated_at_us>.chunk
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "messages/backup.pb.h"
#include "runtime/payload.h"

namespace sandstore {

class BackupDirectory {
 public:
    enum class Use { kRead, kWrite };
    // Null: not usable, and why. kWrite locks it against other writers; with `cluster_id` it is made when it is not
    // there, and must be that cluster's when it is.
    static std::unique_ptr<BackupDirectory> open(const std::string& path, Use use, const std::string& cluster_id,
                                                 std::string* error);
    ~BackupDirectory();
    BackupDirectory(const BackupDirectory&) = delete;
    BackupDirectory& operator=(const BackupDirectory&) = delete;

    const std::string& path() const { return path_; }
    const std::string& cluster_id() const { return cluster_id_; }

    // --- Backups
    std::vector<std::string> backup_ids() const;  // Complete ones, oldest first.
    std::string manifest_path(const std::string& backup_id) const;
    std::string new_backup_id(uint64_t wall_us) const;
    int begin();   // Marks the directory as unfinished. 0 or an errno.
    int sync();    // Makes all chunks durable.
    int finish();  // A complete backup: the mark is taken away.
    bool was_unfinished() const { return was_unfinished_; }

    // --- Chunks
    std::string chunk_path(const pb::BackupChunk& chunk) const;
    // Fills in the checksum of one that is there and whole, as far as its header and length say; with `read_all` its
    // bytes are checked too. Empty: it is; otherwise what is wrong, kMissing when there is none.
    static constexpr const char* kMissing = "it is missing";
    std::string check_chunk(pb::BackupChunk* chunk, bool read_all) const;
    int write_chunk(pb::BackupChunk* chunk, const Payload& bytes);  // Fills in the checksum.
    // The bytes, verified against the manifest's checksum too. False: `problem` says why.
    bool read_chunk(const pb::BackupChunk& chunk, std::string* bytes, std::string* problem) const;
    // Removes every chunk that no manifest names. False: a manifest cannot be read, and nothing was removed.
    bool collect_garbage(uint64_t* removed, uint64_t* removed_bytes, std::string* error);

 private:
    BackupDirectory() = default;

    std::string path_;
    std::string cluster_id_;
    int lock_ = -1;
    bool was_unfinished_ = false;
};

}  // namespace sandstore
