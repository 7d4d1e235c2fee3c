#include "apps/backup/manifest.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "apps/backup/files.h"
#include "runtime/check.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

}  // namespace

// --- Writing ---------------------------------------------------------------------------------------------------------

ManifestWriter::ManifestWriter(std::string path) : path_(std::move(path)) {
    file_ = ::open(str_cat(path_, ".tmp").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file_ < 0) error_ = errno;
    buffer_.assign(kManifestMagic, sizeof(kManifestMagic));
}

ManifestWriter::~ManifestWriter() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink(str_cat(path_, ".tmp").c_str());
}

void ManifestWriter::add(const pb::BackupRecord& record) {
    const std::string body = record.SerializeAsString();
    SANDSTORE_CHECK(body.size() <= kManifestRecordBytesMax, "bytes=", body.size());
    const auto length = static_cast<uint32_t>(body.size());
    std::string length_bytes(sizeof(length), '\0');
    std::memcpy(length_bytes.data(), &length, sizeof(length));
    const uint32_t crc = crc32c(body, crc32c(length_bytes));
    buffer_ += length_bytes;
    buffer_.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
    buffer_ += body;
    ++records_;
    if (buffer_.size() >= kWriteBytes) write_out();
}

void ManifestWriter::write_out() {
    if (error_ == 0) error_ = write_all(file_, buffer_);
    buffer_.clear();
}

bool ManifestWriter::finish(std::string* error) {
    pb::BackupRecord trailer;
    trailer.mutable_trailer()->set_records(records_);
    add(trailer);
    write_out();
    if (error_ == 0 && fsync(file_) != 0) error_ = errno;
    if (error_ == 0 && ::rename(str_cat(path_, ".tmp").c_str(), path_.c_str()) != 0) error_ = errno;
    if (error_ == 0) error_ = sync_directory_of(path_);
    if (error_ != 0) {
        *error = str_cat(path_, ": ", strerror(error_));
        return false;
    }
    ::close(file_);
    file_ = -1;
    return true;
}

// --- Checking --------------------------------------------------------------------------------------------------------

std::string EntryChecker::path_of(const pb::BackupEntry& entry) const {
    std::string path = entry.name();
    uint64_t at = entry.parent();
    for (size_t depth = 0; depth <= directories_.size(); ++depth) {
        const auto found = directories_.find(at);
        if (found == directories_.end() || found->second.parent == 0) break;
        path = str_cat(found->second.name, "/", path);
        at = found->second.parent;
    }
    return str_cat("/", path);
}

std::string EntryChecker::check(const pb::BackupEntry& entry) {
    const bool root = directories_.empty();
    const std::string& name = entry.name();
    if (entry.inode() == 0) return "an entry has no inode";
    if (root) {
        if (!entry.directory() || !name.empty() || entry.parent() != 0) return "the first entry is not the root";
    } else {
        if (!directories_.contains(entry.parent())) return "an entry comes before its directory";
        if (name.empty() || name.size() > 255 || name == "." || name == ".." || name.find('/') != std::string::npos ||
            name.find('\0') != std::string::npos) {
            return "a name is not allowed";
        }
    }
    if (entry.mode() > 07777) return "a mode is out of bounds";
    if (entry.directory()) {
        if (entry.extents_size() > 0 || entry.size() > 0) return "a directory has content";
        if (!directories_.try_emplace(entry.inode(), Directory{entry.parent(), name}).second) {
            return "a directory is there twice";
        }
        ++directory_count_;
        return {};
    }
    uint64_t end = 0;
    for (const pb::BackupExtent& extent : entry.extents()) {
        if (extent.chunk() >= chunks_.size()) return "an extent names no chunk";
        const pb::BackupChunk& chunk = chunks_[extent.chunk()];
        if (extent.chunk_offset() > chunk.length() || extent.length() > chunk.length() - extent.chunk_offset()) {
            return "an extent is outside of its chunk";
        }
        if (extent.length() == 0 || extent.offset() < end || extent.offset() > entry.size() ||
            extent.length() > entry.size() - extent.offset()) {
            return "an extent is outside of its file, or overlaps another";
        }
        end = extent.offset() + extent.length();
        file_bytes_ += extent.length();
    }
    ++file_count_;
    return {};
}

std::string EntryChecker::finish(const pb::BackupHeader& header) const {
    if (directory_count_ != header.directories() || file_count_ != header.files() ||
        file_bytes_ != header.file_bytes()) {
        return "the counts in the header are others than what is there";
    }
    return {};
}

// --- Reading ---------------------------------------------------------------------------------------------------------

std::unique_ptr<ManifestReader> ManifestReader::open(const std::string& path, std::string* error) {
    std::unique_ptr<ManifestReader> reader(new ManifestReader);
    reader->path_ = path;
    reader->file_.open(path, std::ios::binary | std::ios::ate);
    if (!reader->file_) {
        *error = str_cat(path, ": ", strerror(errno));
        return nullptr;
    }
    reader->bytes_left_ = static_cast<uint64_t>(reader->file_.tellg());
    reader->file_.seekg(0);
    char magic[sizeof(kManifestMagic)] = {};
    reader->file_.read(magic, sizeof(magic));
    if (!reader->file_ || std::memcmp(magic, kManifestMagic, sizeof(magic)) != 0) {
        *error = str_cat(path, ": not the manifest of a backup");
        return nullptr;
    }
    reader->bytes_left_ -= sizeof(magic);
    reader->offset_ = sizeof(magic);
    pb::BackupRecord first;
    if (!reader->read_record(&first) || !first.has_header()) {
        *error = reader->problem_.empty() ? str_cat(path, ": there is no header") : reader->problem_;
        return nullptr;
    }
    reader->header_ = first.header();
    if (reader->header_.format() != kBackupFormat) {
        *error = str_cat(path, ": a backup of format ", reader->header_.format(), "; this program reads format ",
                         kBackupFormat);
        return nullptr;
    }
    return reader;
}

bool ManifestReader::fail(std::string_view what) {
    problem_ = str_cat(path_, ": damaged at offset ", offset_, ": ", what);
    done_ = true;
    return false;
}

bool ManifestReader::read_record(pb::BackupRecord* record) {
    char head[8];
    if (bytes_left_ < sizeof(head)) return fail("it ends too early");
    file_.read(head, sizeof(head));
    if (!file_) return fail("it cannot be read");
    uint32_t length = 0;
    uint32_t crc = 0;
    std::memcpy(&length, head, 4);
    std::memcpy(&crc, head + 4, 4);
    if (length > kManifestRecordBytesMax || length > bytes_left_ - sizeof(head)) return fail("a record is cut short");
    std::string body(length, '\0');
    file_.read(body.data(), static_cast<std::streamsize>(length));
    if (!file_) return fail("it cannot be read");
    if (crc32c(body, crc32c(std::string_view(head, 4))) != crc) return fail("a checksum does not match");
    if (!record->ParseFromString(body)) return fail("a record cannot be read");
    offset_ += sizeof(head) + length;
    bytes_left_ -= sizeof(head) + length;
    ++records_;
    return true;
}

bool ManifestReader::read_chunks(std::vector<pb::BackupChunk>* chunks) {
    chunks->clear();
    uint64_t chunk_bytes = 0;
    while (true) {
        if (!read_record(&ahead_)) return false;
        if (!ahead_.has_chunk()) break;
        if (ahead_.chunk().length() == 0 || ahead_.chunk().length() > kManifestRecordBytesMax) {
            return fail("a chunk's length is out of bounds");
        }
        chunk_bytes += ahead_.chunk().length();
        chunks->push_back(std::move(*ahead_.mutable_chunk()));
    }
    if (chunks->size() != header_.chunks() || chunk_bytes != header_.chunk_bytes()) {
        return fail("there are other chunks than the header says");
    }
    checker_ = std::make_unique<EntryChecker>(*chunks);
    return true;
}

bool ManifestReader::next(pb::BackupEntry* entry) {
    SANDSTORE_CHECK(checker_ != nullptr, "the chunks are read first");
    if (done_) return false;
    if (ahead_.has_entry()) {
        *entry = std::move(*ahead_.mutable_entry());
        if (const std::string problem = checker_->check(*entry); !problem.empty()) return fail(problem);
        return read_record(&ahead_);
    }
    if (!ahead_.has_trailer()) return fail("a record is out of order");
    if (ahead_.trailer().records() + 1 != records_ || bytes_left_ > 0) return fail("records are missing, or too many");
    if (const std::string problem = checker_->finish(header_); !problem.empty()) return fail(problem);
    done_ = true;
    return false;
}

}  // namespace sandstore
