#include "apps/doctor/disk_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "apps/backup/files.h"
#include "runtime/event_runtime.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

// As the log does it: a file filled with zeros beforehand, written one group after the other.
constexpr uint64_t kRecordBytes = 4096;
constexpr uint64_t kFileBytes = 4ull << 20;
constexpr uint64_t kSyncsMax = 500;
constexpr uint64_t kGentleSyncsMax = 30;
constexpr uint64_t kSyncTimeUs = 1'500'000;
constexpr uint64_t kStreamPieceBytes = 1ull << 20;
constexpr uint64_t kStreamBytesMax = 256ull << 20;
constexpr uint64_t kStreamTimeUs = 1'500'000;

std::string type_name(long type) {
    switch (static_cast<unsigned long>(type) & 0xffffffff) {
        case 0xEF53:
            return "ext4";
        case 0x58465342:
            return "xfs";
        case 0x9123683E:
            return "btrfs";
        case 0x2FC12FC1:
            return "zfs";
        case 0x01021994:
            return "tmpfs";
        case 0x858458f6:
            return "ramfs";
        case 0x794c7630:
            return "overlay";
        case 0x6969:
            return "nfs";
        case 0x65735546:
            return "fuse";
        case 0xff534d42:
        case 0xfe534d42:
            return "cifs";
        case 0xF2F52010:
            return "f2fs";
        default:
            return str_format("type 0x%lx", static_cast<unsigned long>(type));
    }
}

int open_nameless(const std::string& directory) {
    int file = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return file;
    std::string name = str_cat(directory, "/.sandstore-doctor-XXXXXX");
    file = mkostemp(name.data(), O_CLOEXEC);
    if (file >= 0) ::unlink(name.c_str());
    return file;
}

int measure_syncs(int file, uint64_t syncs_max, DiskSpeed* speed) {
    const SystemClock clock;
    if (const int error = write_all(file, std::string(kFileBytes, '\0')); error != 0) return error;
    if (fsync(file) != 0) return errno;
    const std::string record(kRecordBytes, 's');
    std::vector<uint64_t> times_us;
    const uint64_t until_us = clock.monotonic_us() + kSyncTimeUs;
    while (times_us.size() < syncs_max && !interrupted()) {
        const uint64_t began_us = clock.monotonic_us();
        if (began_us >= until_us && !times_us.empty()) break;
        const auto offset = static_cast<off_t>(times_us.size() * kRecordBytes % kFileBytes);
        if (::pwrite(file, record.data(), record.size(), offset) != static_cast<ssize_t>(record.size())) return errno;
        if (fdatasync(file) != 0) return errno;
        times_us.push_back(clock.monotonic_us() - began_us);
    }
    if (times_us.empty()) return EINTR;
    std::sort(times_us.begin(), times_us.end());
    speed->sync_p50_us = times_us[times_us.size() / 2];
    speed->sync_p99_us = times_us[times_us.size() * 99 / 100];
    return 0;
}

int measure_stream(int file, uint64_t bytes_max, DiskSpeed* speed) {
    const SystemClock clock;
    if (::ftruncate(file, 0) != 0 || ::lseek(file, 0, SEEK_SET) != 0) return errno;
    const std::string piece(kStreamPieceBytes, 't');
    const uint64_t began_us = clock.monotonic_us();
    uint64_t written = 0;
    while (written < bytes_max && clock.monotonic_us() - began_us < kStreamTimeUs && !interrupted()) {
        if (const int error = write_all(file, piece); error != 0) return error;
        written += piece.size();
    }
    if (fdatasync(file) != 0) return errno;
    speed->bytes_per_second = written * 1'000'000 / std::max<uint64_t>(clock.monotonic_us() - began_us, 1);
    return 0;
}

void look_at_space(const std::string& directory, DiskSpace* space) {
    struct statvfs facts {};
    if (::statvfs(directory.c_str(), &facts) == 0) {
        space->total_bytes = uint64_t{facts.f_blocks} * facts.f_frsize;
        space->free_bytes = uint64_t{facts.f_bavail} * facts.f_frsize;
        space->inodes = facts.f_files;
        space->free_inodes = facts.f_favail;
        space->read_only = (facts.f_flag & ST_RDONLY) != 0;
    }
    struct statfs type {};
    if (::statfs(directory.c_str(), &type) == 0) space->type = type_name(type.f_type);
    struct stat here {};
    struct stat root {};
    space->system_disk = ::stat(directory.c_str(), &here) == 0 && ::stat("/", &root) == 0 && here.st_dev == root.st_dev;
}

}  // namespace

DiskProbe probe_disk(const std::string& directory, bool gently) {
    DiskProbe probe;
    probe.directory = directory;
    probe.exists = exists(directory);
    while (!exists(probe.directory)) {
        const size_t slash = probe.directory.rfind('/');
        probe.directory = slash == std::string::npos ? "." : slash == 0 ? "/" : probe.directory.substr(0, slash);
    }
    look_at_space(probe.directory, &probe.space);
    const int file = open_nameless(probe.directory);
    if (file < 0) {
        probe.error = errno;
        return probe;
    }
    probe.error = measure_syncs(file, gently ? kGentleSyncsMax : kSyncsMax, &probe.speed);
    // Never fills a disk that is nearly full.
    const uint64_t bytes_max = std::min(kStreamBytesMax, probe.space.free_bytes / 4);
    if (probe.error == 0 && !gently && bytes_max >= 16 * kStreamPieceBytes) {
        probe.error = measure_stream(file, bytes_max, &probe.speed);
    }
    ::close(file);
    return probe;
}

}  // namespace sandstore
