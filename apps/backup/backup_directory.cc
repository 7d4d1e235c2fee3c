#include "apps/backup/backup_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <json/json.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <unordered_set>

#include "apps/backup/files.h"
#include "apps/backup/manifest.h"
#include "runtime/crc32c.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr char kChunkMagic[8] = {'S', 'A', 'N', 'D', 'B', 'K', 'C', 'H'};
constexpr uint32_t kChunkVersion = 1;
constexpr size_t kChunkHeaderBytes = 64;
constexpr std::string_view kManifestSuffix = ".manifest";

void put(std::string* out, size_t at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) (*out)[at + i] = static_cast<char>(value >> (8 * i));
}

uint64_t get(std::string_view from, size_t at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<unsigned char>(from[at + i])} << (8 * i);
    return value;
}

std::string chunk_header(const pb::BackupChunk& chunk) {
    std::string header(kChunkHeaderBytes, '\0');
    header.replace(0, sizeof(kChunkMagic), kChunkMagic, sizeof(kChunkMagic));
    put(&header, 8, kChunkVersion, 4);
    put(&header, 12, chunk.crc32c(), 4);
    put(&header, 16, chunk.id().term(), 8);
    put(&header, 24, chunk.id().number(), 8);
    put(&header, 32, chunk.allocated_at_us(), 8);
    put(&header, 40, chunk.length(), 8);
    put(&header, 60, crc32c(std::string_view(header).substr(0, 60)), 4);
    return header;
}

// Empty, or what is wrong. Fills in the checksum.
std::string judge_header(std::string_view header, pb::BackupChunk* chunk) {
    if (header.size() < kChunkHeaderBytes) return "it is cut short";
    if (header.substr(0, 8) != std::string_view(kChunkMagic, 8) || get(header, 60, 4) != crc32c(header.substr(0, 60))) {
        return "its header is damaged";
    }
    if (get(header, 8, 4) != kChunkVersion) return "it is of a version that this program does not know";
    if (get(header, 16, 8) != chunk->id().term() || get(header, 24, 8) != chunk->id().number() ||
        get(header, 32, 8) != chunk->allocated_at_us() || get(header, 40, 8) != chunk->length()) {
        return "it is another chunk";
    }
    chunk->set_crc32c(static_cast<uint32_t>(get(header, 12, 4)));
    return {};
}

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    DIR* open = ::opendir(directory.c_str());
    if (open == nullptr) return names;
    while (const dirent* entry = ::readdir(open)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(open);
    std::sort(names.begin(), names.end());
    return names;
}

std::string chunk_name(const pb::BackupChunk& chunk) {
    return str_format("%02x/%llx-%llx-%llx.chunk", static_cast<unsigned>(chunk.id().number() & 0xff),
                      static_cast<unsigned long long>(chunk.id().term()),
                      static_cast<unsigned long long>(chunk.id().number()),
                      static_cast<unsigned long long>(chunk.allocated_at_us()));
}

}  // namespace

// --- The directory ---------------------------------------------------------------------------------------------------

std::unique_ptr<BackupDirectory> BackupDirectory::open(const std::string& path, Use use, const std::string& cluster_id,
                                                       std::string* error) {
    std::unique_ptr<BackupDirectory> opened(new BackupDirectory);
    opened->path_ = path;
    const std::string about = str_cat(path, "/sandstore-backup.json");
    if (!exists(about) && !cluster_id.empty()) {
        if (exists(path) && !names_in(path).empty()) {
            *error = str_cat(path, ": not empty, and no directory of backups");
            return nullptr;
        }
        int failed = make_directories(str_cat(path, "/backups"));
        if (failed == 0) failed = make_directories(str_cat(path, "/chunks"));
        Json::Value facts;
        facts["format"] = kBackupFormat;
        facts["cluster_id"] = cluster_id;
        if (failed == 0) failed = write_file_durably(about, Json::writeString(Json::StreamWriterBuilder(), facts));
        if (failed != 0) {
            *error = str_cat(path, ": ", strerror(failed));
            return nullptr;
        }
    }
    std::ifstream file(about);
    Json::Value facts;
    std::string why;
    if (!file) {
        *error = str_cat(path, ": no directory of backups (there is no sandstore-backup.json in it)");
        return nullptr;
    }
    if (!Json::parseFromStream(Json::CharReaderBuilder(), file, &facts, &why) || !facts.isObject() ||
        !facts["format"].isUInt() || !facts["cluster_id"].isString()) {
        *error = str_cat(about, ": damaged");
        return nullptr;
    }
    if (facts["format"].asUInt() != kBackupFormat) {
        *error =
            str_cat(about, ": of format ", facts["format"].asUInt(), "; this program knows format ", kBackupFormat);
        return nullptr;
    }
    opened->cluster_id_ = facts["cluster_id"].asString();
    if (!cluster_id.empty() && cluster_id != opened->cluster_id_) {
        *error = str_cat(path, ": holds backups of cluster ", opened->cluster_id_, ", not of ", cluster_id,
                         ": give each cluster its own directory");
        return nullptr;
    }
    opened->lock_ = ::open(about.c_str(), O_RDONLY | O_CLOEXEC);
    if (use == Use::kWrite && (opened->lock_ < 0 || ::flock(opened->lock_, LOCK_EX | LOCK_NB) != 0)) {
        *error = str_cat(path, ": another backup command works here");
        return nullptr;
    }
    opened->was_unfinished_ = exists(str_cat(path, "/unfinished"));
    return opened;
}

BackupDirectory::~BackupDirectory() {
    if (lock_ >= 0) ::close(lock_);
}

std::vector<std::string> BackupDirectory::backup_ids() const {
    std::vector<std::string> ids;
    for (const std::string& name : names_in(str_cat(path_, "/backups"))) {
        if (name.ends_with(kManifestSuffix)) ids.push_back(name.substr(0, name.size() - kManifestSuffix.size()));
    }
    return ids;
}

std::string BackupDirectory::manifest_path(const std::string& backup_id) const {
    return str_cat(path_, "/backups/", backup_id, kManifestSuffix);
}

std::string BackupDirectory::new_backup_id(uint64_t wall_us) const {
    const auto seconds = static_cast<time_t>(wall_us / 1'000'000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &parts);
    return str_cat(text, str_format(".%06uZ", static_cast<unsigned>(wall_us % 1'000'000)));
}

int BackupDirectory::begin() {
    return write_file_durably(str_cat(path_, "/unfinished"), "");
}

int BackupDirectory::sync() {
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return errno;
    const int error = ::syncfs(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    return error;
}

int BackupDirectory::finish() {
    if (::unlink(str_cat(path_, "/unfinished").c_str()) != 0 && errno != ENOENT) return errno;
    return sync_directory_of(str_cat(path_, "/unfinished"));
}

// --- Chunks ----------------------------------------------------------------------------------------------------------

std::string BackupDirectory::chunk_path(const pb::BackupChunk& chunk) const {
    return str_cat(path_, "/chunks/", chunk_name(chunk));
}

std::string BackupDirectory::check_chunk(pb::BackupChunk* chunk, bool read_all) const {
    const std::string path = chunk_path(*chunk);
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return errno == ENOENT ? kMissing : strerror(errno);
    struct stat facts {};
    std::string header(kChunkHeaderBytes, '\0');
    const ssize_t count = ::pread(descriptor, header.data(), header.size(), 0);
    const bool known = fstat(descriptor, &facts) == 0;
    ::close(descriptor);
    if (count < 0 || !known) return "it cannot be read";
    header.resize(static_cast<size_t>(count));
    std::string problem = judge_header(header, chunk);
    if (problem.empty() && static_cast<uint64_t>(facts.st_size) != kChunkHeaderBytes + chunk->length()) {
        problem = "it has another length";
    }
    std::string bytes;
    if (problem.empty() && read_all) read_chunk(*chunk, &bytes, &problem);
    return problem;
}

int BackupDirectory::write_chunk(pb::BackupChunk* chunk, const Payload& bytes) {
    chunk->set_crc32c(crc32c(bytes));
    const std::string path = chunk_path(*chunk);
    const std::string temporary = str_cat(path, ".tmp");
    int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0 && errno == ENOENT) {
        if (const int error = make_directories(path.substr(0, path.rfind('/'))); error != 0) return error;
        descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    }
    if (descriptor < 0) return errno;
    int error = write_all(descriptor, chunk_header(*chunk));
    for (const Payload::Piece& piece : bytes.pieces()) {
        if (error == 0) error = write_all(descriptor, piece.bytes);
    }
    if (::close(descriptor) != 0 && error == 0) error = errno;
    if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
    if (error != 0) ::unlink(temporary.c_str());
    return error;
}

bool BackupDirectory::read_chunk(const pb::BackupChunk& chunk, std::string* bytes, std::string* problem) const {
    const auto fail = [problem](std::string_view what) {
        *problem = what;
        return false;
    };
    const int descriptor = ::open(chunk_path(chunk).c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return fail(errno == ENOENT ? kMissing : strerror(errno));
    bytes->resize(kChunkHeaderBytes + chunk.length() + 1);  // One more would show.
    size_t filled = 0;
    ssize_t count = 1;
    while (count > 0 && filled < bytes->size()) {
        count = ::read(descriptor, bytes->data() + filled, bytes->size() - filled);
        if (count > 0) filled += static_cast<size_t>(count);
    }
    ::close(descriptor);
    if (count < 0) return fail("it cannot be read");
    bytes->resize(filled);
    pb::BackupChunk written = chunk;
    if (std::string wrong = judge_header(*bytes, &written); !wrong.empty()) return fail(wrong);
    if (filled != kChunkHeaderBytes + chunk.length()) return fail("it has another length");
    bytes->erase(0, kChunkHeaderBytes);
    if (crc32c(*bytes) != chunk.crc32c() || written.crc32c() != chunk.crc32c()) {
        return fail("its bytes do not match their checksum");
    }
    return true;
}

bool BackupDirectory::collect_garbage(uint64_t* removed, uint64_t* removed_bytes, std::string* error) {
    std::unordered_set<std::string> needed;
    for (const std::string& id : backup_ids()) {
        std::vector<pb::BackupChunk> chunks;
        const std::unique_ptr<ManifestReader> reader = ManifestReader::open(manifest_path(id), error);
        if (reader == nullptr) return false;
        if (!reader->read_chunks(&chunks)) {
            *error = reader->problem();
            return false;
        }
        for (const pb::BackupChunk& chunk : chunks) needed.insert(chunk_name(chunk));
    }
    for (const std::string& folder : names_in(str_cat(path_, "/chunks"))) {
        for (const std::string& name : names_in(str_cat(path_, "/chunks/", folder))) {
            const std::string path = str_cat(path_, "/chunks/", folder, "/", name);
            if (needed.contains(str_cat(folder, "/", name))) continue;
            if (!name.ends_with(".chunk") && !name.ends_with(".chunk.tmp")) continue;  // Not ours.
            struct stat facts {};
            if (::stat(path.c_str(), &facts) != 0 || ::unlink(path.c_str()) != 0) continue;
            ++*removed;
            *removed_bytes += static_cast<uint64_t>(facts.st_size);
        }
    }
    return true;
}

}  // namespace sandstore
