// The manifest of one backup (docs/formats.md): which chunks it needs and the whole namespace, in records with
// checksums. Written beside and renamed when it is whole; what is read may be anything, and is checked.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "messages/backup.pb.h"

namespace sandstore {

inline constexpr uint32_t kBackupFormat = 1;
inline constexpr char kManifestMagic[8] = {'S', 'A', 'N', 'D', 'B', 'K', 'U', 'P'};
inline constexpr uint64_t kManifestRecordBytesMax = 64ull << 20;

class ManifestWriter {
 public:
    // Into `path`.tmp, until finish() gives it its name, durably.
    explicit ManifestWriter(std::string path);
    ~ManifestWriter();  // An unfinished one is removed.
    ManifestWriter(const ManifestWriter&) = delete;
    ManifestWriter& operator=(const ManifestWriter&) = delete;

    void add(const pb::BackupRecord& record);
    bool finish(std::string* error);  // False: nothing was written under the name.

 private:
    void write_out();

    std::string path_;
    int file_ = -1;
    std::string buffer_;
    uint64_t records_ = 0;
    int error_ = 0;
};

// What a manifest's namespace must satisfy, entry by entry in its order; gives a sentence when it does not.
class EntryChecker {
 public:
    explicit EntryChecker(const std::vector<pb::BackupChunk>& chunks) : chunks_(chunks) {}

    std::string check(const pb::BackupEntry& entry);
    std::string finish(const pb::BackupHeader& header) const;  // After the last one.
    // "/a/b" of an entry that has been checked or is about to be.
    std::string path_of(const pb::BackupEntry& entry) const;

 private:
    struct Directory {
        uint64_t parent = 0;
        std::string name;
    };
    const std::vector<pb::BackupChunk>& chunks_;
    std::unordered_map<uint64_t, Directory> directories_;
    uint64_t directory_count_ = 0;
    uint64_t file_count_ = 0;
    uint64_t file_bytes_ = 0;
};

class ManifestReader {
 public:
    // Reads the header. Null: not usable, and why.
    static std::unique_ptr<ManifestReader> open(const std::string& path, std::string* error);

    const pb::BackupHeader& header() const { return header_; }
    // All the chunks; to be called first. False: damaged, see problem().
    bool read_chunks(std::vector<pb::BackupChunk>* chunks);
    // The next entry. False: at the end, or damaged when there is a problem().
    bool next(pb::BackupEntry* entry);
    const std::string& problem() const { return problem_; }

 private:
    ManifestReader() = default;

    bool read_record(pb::BackupRecord* record);
    bool fail(std::string_view what);

    std::string path_;
    std::ifstream file_;
    pb::BackupHeader header_;
    pb::BackupRecord ahead_;  // Read, and not given away yet.
    uint64_t bytes_left_ = 0;
    uint64_t records_ = 0;
    uint64_t offset_ = 0;
    std::string problem_;
    std::unique_ptr<EntryChecker> checker_;
    bool done_ = false;
};

}  // namespace sandstore
