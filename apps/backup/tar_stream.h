// A backup as one POSIX tar stream (pax; files with holes as GNU tar's sparse format 1.0), which tar lists and unpacks.
// It begins with a global header whose comment says what it is, and ends with the root once more, whose comment has a
// checksum of all before it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/backup/data_ranges.h"
#include "messages/backup.pb.h"

namespace sandstore {

inline constexpr size_t kTarBlockBytes = 512;

class TarWriter {
 public:
    // Takes the bytes: 0 or an errno; after an error nothing more is given.
    using Sink = std::function<int(std::string_view)>;
    explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

    void begin(const pb::BackupHeader& header);
    // `path` without a slash in front; "" for the root.
    void directory(const std::string& path, const pb::BackupEntry& entry);
    void file(const std::string& path, const pb::BackupEntry& entry);
    void data(std::string_view bytes);  // Of the file's data ranges, one after the other; then
    void end_file();
    void finish();
    int error() const { return error_; }

 private:
    void out(std::string_view bytes);
    void pad();
    void header(const std::string& name, char type, uint64_t size, const pb::BackupEntry& entry);
    void pax(char type, const std::string& records);
    std::string common_records(const pb::BackupEntry& entry) const;

    Sink sink_;
    int error_ = 0;
    uint32_t crc_ = 0;
    uint64_t written_ = 0;
    uint64_t entries_ = 0;
    uint64_t data_left_ = 0;
    pb::BackupEntry root_;
};

struct TarMember {
    std::string path;  // Without slashes around it; "" for the root.
    pb::BackupEntry entry;
    std::vector<DataRange> ranges;
};

class TarReader {
 public:
    // Fills the buffer with at least one byte: how many, 0 at the end, or a negated errno.
    using Source = std::function<int64_t(char* buffer, size_t size)>;
    explicit TarReader(Source source) : source_(std::move(source)) {}

    // What the stream is of. False: not such a stream, see problem().
    bool begin(pb::BackupHeader* header);
    // The next file or directory. False: at the end, with everything verified, or damaged when there is a problem().
    bool next(TarMember* member);
    // The next bytes of the member's data, as many as asked for. False: damaged.
    bool read(std::string* bytes, size_t length);
    const std::string& problem() const { return problem_; }

 private:
    struct Block;

    bool fail(std::string_view what);
    bool take(char* bytes, size_t length);
    bool skip_padding();
    bool read_records(uint64_t size, std::vector<std::pair<std::string, std::string>>* records);
    bool read_end(std::string_view comment, uint32_t crc);
    bool read_sparse_map(TarMember* member, uint64_t* data_bytes);

    Source source_;
    std::string problem_;
    uint32_t crc_ = 0;
    uint64_t taken_ = 0;
    uint64_t entries_ = 0;
    uint64_t data_left_ = 0;
    bool done_ = false;
};

}  // namespace sandstore
