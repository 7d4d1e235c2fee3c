#include "runtime/disk_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/descriptors.h"
#include "runtime/disk_error.h"
#include "runtime/fault_points.h"
#include "runtime/text.h"

namespace sandstore {

namespace {

constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;
constexpr size_t kPathBytesMax = 4096;
constexpr size_t kNameBytesMax = 255;
constexpr size_t kZeroBytes = size_t{1} << 20;
constexpr std::string_view kTemporaryPrefix = ".tmp-";  // Files being replaced; a crash may leave one. Never listed.

// Repeats a call that a signal interrupted.
template <typename Call>
auto uninterrupted(Call call) {
    decltype(call()) result;
    do {
        result = call();
    } while (result < 0 && errno == EINTR);
    return result;
}

int sync_descriptor(int number) {
    return uninterrupted([&] { return fsync(number); }) == 0 ? 0 : errno;
}

int write_all(int number, const char* bytes, size_t length, uint64_t offset) {
    while (length > 0) {
        const ssize_t done = uninterrupted([&] { return pwrite(number, bytes, length, static_cast<off_t>(offset)); });
        if (done < 0) return errno;
        bytes += done;
        length -= static_cast<size_t>(done);
        offset += static_cast<uint64_t>(done);
    }
    return 0;
}

int write_zeros(int number, uint64_t from, uint64_t length) {
    static const std::string zeros(kZeroBytes, '\0');
    for (uint64_t done = 0; done < length;) {
        const uint64_t part = std::min<uint64_t>(zeros.size(), length - done);
        if (const int error = write_all(number, zeros.data(), part, from + done)) return error;
        done += part;
    }
    return 0;
}

// The parts of a path; false when it is not one that stays inside the directory.
bool split_path(std::string_view path, std::vector<std::string>* parts) {
    if (path.empty() || path.size() > kPathBytesMax || path.find('\0') != std::string_view::npos) return false;
    while (true) {
        const size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        if (part.empty() || part == "." || part == ".." || part.size() > kNameBytesMax) return false;
        parts->emplace_back(part);
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
}

FileDescriptor::~FileDescriptor() {
    if (number_ >= 0) close(number_);
}

// The request's payload, taken piece by piece.
class DiskFiles::Source {
 public:
    explicit Source(const Payload& bytes) : pieces_(bytes.pieces()), left_(bytes.size()) {}

    // Writes the next `length` bytes.
    int write_to(int number, uint64_t offset, uint64_t length) {
        if (length > left_) return EINVAL;
        left_ -= length;
        while (length > 0) {
            iovec parts[kParts];
            int count = 0;
            uint64_t bytes = 0;
            for (size_t i = piece_, skip = skip_; count < kParts && bytes < length; i++, skip = 0) {
                const std::string_view part = pieces_[i].bytes.substr(skip, length - bytes);
                parts[count++] = {const_cast<char*>(part.data()), part.size()};  // pwritev only reads it.
                bytes += part.size();
            }
            const ssize_t done =
                uninterrupted([&] { return pwritev(number, parts, count, static_cast<off_t>(offset)); });
            if (done < 0) return errno;
            advance(static_cast<size_t>(done));
            offset += static_cast<uint64_t>(done);
            length -= static_cast<uint64_t>(done);
        }
        return 0;
    }

 private:
    static constexpr int kParts = 64;

    void advance(size_t bytes) {
        while (bytes > 0) {
            const size_t part = std::min(bytes, pieces_[piece_].bytes.size() - skip_);
            bytes -= part;
            skip_ += part;
            if (skip_ == pieces_[piece_].bytes.size()) {
                piece_++;
                skip_ = 0;
            }
        }
    }

    std::span<const Payload::Piece> pieces_;
    size_t left_;
    size_t piece_ = 0;  // The next byte: in this piece,
    size_t skip_ = 0;   // after so many bytes.
};

// Where a file is: its directory, open, and its name there.
struct DiskFiles::Place {
    FileDescriptor directory;
    std::string name;
};

DiskFiles::DiskFiles(const std::string& directory, const FaultPoints* faults)
    : directory_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      faults_(faults),
      open_files_max_(plan_descriptors(descriptor_limit()).cached_files) {
    if (!directory_.open()) {
        throw std::runtime_error(
            str_cat("cannot open the data directory ", directory, ": ", std::generic_category().message(errno)));
    }
}

DiskFiles::~DiskFiles() = default;

pb::DiskReply DiskFiles::execute(const pb::DiskRequest& request, const Payload& in, Payload* out) {
    const auto start = std::chrono::steady_clock::now();
    pb::DiskReply reply;
    Source source(in);
    suffer_delay();
    for (int i = 0; i < request.operations_size(); i++) {
        const Result result = carry_out_patiently(request.operations(i), &source, &reply, out);
        if (result.error == 0) continue;
        reply.set_error(result.error);
        reply.set_failed_operation(static_cast<uint32_t>(i));
        reply.set_sync_failed(result.sync_failed);
        break;
    }
    const auto elapsed = std::chrono::steady_clock::now() - start;
    reply.set_elapsed_us(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count()));
    return reply;
}

// What ran out is there again soon, most of all when others give back what they can spare. Each operation may be
// carried out twice; one whose sync failed must not be. It sleeps, since nothing tells of a descriptor or memory that
// came free; a thread of the disk's own does (thread_disk.h), never the loop, and a second at most.
DiskFiles::Result DiskFiles::carry_out_patiently(const pb::DiskOperation& operation, Source* source,
                                                 pb::DiskReply* reply, Payload* out) {
    const Source before = *source;
    for (int tries = 1;; tries++) {
        const Result result = carry_out(operation, source, reply, out);
        if (!is_passing_disk_error(result.error) || result.sync_failed || tries == kTriesMax) return result;
        *source = before;
        close_idle_files();
        std::this_thread::sleep_for(std::chrono::microseconds(kTryPauseUs));
    }
}

DiskFiles::Result DiskFiles::carry_out(const pb::DiskOperation& operation, Source* source, pb::DiskReply* reply,
                                       Payload* out) {
    switch (operation.operation_case()) {
        case pb::DiskOperation::kWrite:
            return write(operation.write(), source);
        case pb::DiskOperation::kSync:
            return sync(operation.sync().file());
        case pb::DiskOperation::kRead:
            return read(operation.read(), reply, out);
        case pb::DiskOperation::kCreateZeroed:
            return create_zeroed(operation.create_zeroed());
        case pb::DiskOperation::kReplace:
            return replace(operation.replace(), source);
        case pb::DiskOperation::kRename:
            return rename(operation.rename().from(), operation.rename().to());
        case pb::DiskOperation::kRemove:
            return remove(operation.remove().file());
        case pb::DiskOperation::kMakeDirectory:
            return make_directory(operation.make_directory().directory());
        case pb::DiskOperation::kList:
            return list(operation.list().directory(), reply);
        case pb::DiskOperation::kSpace:
            return space(reply);
        case pb::DiskOperation::kPunch:
            return punch(operation.punch());
        case pb::DiskOperation::kZero:
            return zero(operation.zero());
        case pb::DiskOperation::OPERATION_NOT_SET:
            break;
    }
    return {EINVAL};
}

// --- Files

DiskFiles::Result DiskFiles::write(const pb::DiskOperation::Write& operation, Source* source) {
    if (operation.offset() > kFileBytesMax || operation.length() > kFileBytesMax) return {EFBIG};
    std::shared_ptr<OpenFile> file;
    if (const int error = open_file(operation.file(), true, &file)) return {error};
    if (full()) {  // What lies inside of the file has its room already.
        struct stat status {};
        if (fstat(file->file.number(), &status) != 0) return {errno};
        if (operation.offset() + operation.length() > static_cast<uint64_t>(status.st_size)) return {ENOSPC};
    }
    return {source->write_to(file->file.number(), operation.offset(), operation.length())};
}

DiskFiles::Result DiskFiles::sync(const std::string& path) {
    std::shared_ptr<OpenFile> file;
    if (const int error = open_file(path, false, &file)) return {error};
    if (uninterrupted([&] { return fdatasync(file->file.number()); }) != 0) return {errno, true};
    if (file->entry_synced) return {};
    // The file may be new: without its directory entry the bytes would not survive either.
    Place place;
    if (const int error = find_place(path, &place)) return {error};
    if (const int error = sync_descriptor(place.directory.number())) return {error, true};
    file->entry_synced = true;
    return {};
}

DiskFiles::Result DiskFiles::read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out) {
    if (operation.length() > kReadBytesMax || operation.offset() > kFileBytesMax) return {EINVAL};
    std::shared_ptr<OpenFile> file;
    if (const int error = open_file(operation.file(), false, &file)) return {error};
    struct stat status {};
    if (fstat(file->file.number(), &status) != 0) return {errno};
    const uint64_t size = static_cast<uint64_t>(status.st_size);
    const uint64_t wanted = std::min(operation.length(), size - std::min(size, operation.offset()));
    const std::shared_ptr<char[]> buffer = std::make_shared_for_overwrite<char[]>(wanted);
    uint64_t done = 0;
    while (done < wanted) {
        const ssize_t part = uninterrupted([&] {
            return pread(file->file.number(), buffer.get() + done, wanted - done,
                         static_cast<off_t>(operation.offset() + done));
        });
        if (part < 0) return {errno};
        if (part == 0) break;  // It was made shorter meanwhile.
        done += static_cast<uint64_t>(part);
    }
    out->append(Payload::view_of(buffer, std::string_view(buffer.get(), done)));
    reply->add_read_lengths(done);
    return {};
}

DiskFiles::Result DiskFiles::create_zeroed(const pb::DiskOperation::CreateZeroed& operation) {
    if (operation.size() > kFileBytesMax) return {EFBIG};
    if (full() && operation.size() > 0) return {ENOSPC};
    Place place;
    if (const int error = find_place(operation.file(), &place)) return {error};
    forget(operation.file());
    const FileDescriptor file(openat(place.directory.number(), place.name.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kFileMode));
    if (!file.open()) return {errno};
    Result result{write_zeros(file.number(), 0, operation.size())};
    if (result.error == 0) {
        const int error = sync_descriptor(file.number());
        result = {error, error != 0};
    }
    if (result.error != 0) {
        unlinkat(place.directory.number(), place.name.c_str(), 0);  // Gives the space back.
        return result;
    }
    const int error = sync_descriptor(place.directory.number());
    return {error, error != 0};
}

DiskFiles::Result DiskFiles::replace(const pb::DiskOperation::Replace& operation, Source* source) {
    if (full()) return {ENOSPC};
    Place place;
    if (const int error = find_place(operation.file(), &place)) return {error};
    // Numbered through the whole process, because several disks may share a directory; from 1 in each process, so that
    // what a crash left is written over.
    static std::atomic<uint64_t> next_temporary = 1;
    const std::string temporary = str_cat(kTemporaryPrefix, next_temporary++);
    const int directory = place.directory.number();
    const FileDescriptor file(
        openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kFileMode));
    if (!file.open()) return {errno};
    Result result{source->write_to(file.number(), 0, operation.length())};
    if (result.error == 0) {
        const int error = sync_descriptor(file.number());
        result = {error, error != 0};
    }
    if (result.error == 0 && renameat(directory, temporary.c_str(), directory, place.name.c_str()) != 0) {
        result = {errno};
    }
    if (result.error != 0) {
        unlinkat(directory, temporary.c_str(), 0);
        return result;
    }
    forget(operation.file());
    const int error = sync_descriptor(directory);
    return {error, error != 0};
}

// --- Names

DiskFiles::Result DiskFiles::rename(const std::string& from, const std::string& to) {
    Place source;
    Place target;
    if (const int error = find_place(from, &source)) return {error};
    if (const int error = find_place(to, &target)) return {error};
    if (renameat(source.directory.number(), source.name.c_str(), target.directory.number(), target.name.c_str()) != 0) {
        return {errno};
    }
    forget(from);
    forget(to);
    if (const int error = sync_descriptor(target.directory.number())) return {error, true};
    const int error = sync_descriptor(source.directory.number());
    return {error, error != 0};
}

DiskFiles::Result DiskFiles::remove(const std::string& path) {
    Place place;
    const int missing = find_place(path, &place);
    if (missing == ENOENT) return {};  // Not even its directory is there.
    if (missing != 0) return {missing};
    if (unlinkat(place.directory.number(), place.name.c_str(), 0) != 0 && errno != ENOENT) return {errno};
    forget(path);
    const int error = sync_descriptor(place.directory.number());
    return {error, error != 0};
}

DiskFiles::Result DiskFiles::make_directory(const std::string& path) {
    std::vector<std::string> parts;
    if (!split_path(path, &parts)) return {EINVAL};
    FileDescriptor parent(fcntl(directory_.number(), F_DUPFD_CLOEXEC, 0));
    if (!parent.open()) return {errno};
    for (const std::string& part : parts) {
        if (mkdirat(parent.number(), part.c_str(), kDirectoryMode) != 0 && errno != EEXIST) return {errno};
        // Also when it was there: whoever made it may have died before it was synced.
        if (const int error = sync_descriptor(parent.number())) return {error, true};
        FileDescriptor child(openat(parent.number(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!child.open()) return {errno};
        parent = std::move(child);
    }
    const int error = sync_descriptor(parent.number());
    return {error, error != 0};
}

DiskFiles::Result DiskFiles::list(const std::string& path, pb::DiskReply* reply) {
    FileDescriptor directory;
    const int missing = open_directory(path, &directory);
    if (missing == ENOENT) return {};
    if (missing != 0) return {missing};
    const int duplicate = fcntl(directory.number(), F_DUPFD_CLOEXEC, 0);  // fdopendir takes one over.
    if (duplicate < 0) return {errno};
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(duplicate), closedir);
    if (stream == nullptr) {
        const int error = errno;
        close(duplicate);
        return {error};
    }
    std::vector<std::pair<std::string, uint64_t>> files;
    errno = 0;
    while (const dirent* entry = readdir(stream.get())) {
        struct stat status {};
        const bool there = fstatat(directory.number(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && S_ISREG(status.st_mode) && !std::string_view(entry->d_name).starts_with(kTemporaryPrefix)) {
            files.emplace_back(entry->d_name, static_cast<uint64_t>(status.st_size));
        }
        errno = 0;
    }
    if (errno != 0) return {errno};
    std::sort(files.begin(), files.end());
    for (auto& [name, size] : files) {
        pb::DiskFile* file = reply->add_files();
        file->set_name(std::move(name));
        file->set_size(size);
    }
    return {};
}

DiskFiles::Result DiskFiles::space(pb::DiskReply* reply) {
    struct statvfs status {};
    if (uninterrupted([&] { return fstatvfs(directory_.number(), &status); }) != 0) return {errno};
    reply->set_total_bytes(uint64_t{status.f_blocks} * status.f_frsize);
    reply->set_free_bytes(full() ? 0 : uint64_t{status.f_bavail} * status.f_frsize);
    return {};
}

DiskFiles::Result DiskFiles::punch(const pb::DiskOperation::Punch& operation) {
    if (operation.offset() > kFileBytesMax || operation.length() > kFileBytesMax) return {EFBIG};
    std::shared_ptr<OpenFile> file;
    if (const int error = open_file(operation.file(), false, &file)) return {error};
    const int done = uninterrupted([&] {
        return fallocate(file->file.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(operation.offset()), static_cast<off_t>(operation.length()));
    });
    return {done == 0 ? 0 : errno};
}

DiskFiles::Result DiskFiles::zero(const pb::DiskOperation::Zero& operation) {
    if (operation.offset() > kFileBytesMax || operation.length() > kFileBytesMax) return {EFBIG};
    std::shared_ptr<OpenFile> file;
    if (const int error = open_file(operation.file(), true, &file)) return {error};
    if (full()) return {ENOSPC};
    return {write_zeros(file->file.number(), operation.offset(), operation.length())};
}

// --- Opening

// Part by part, so that a symbolic link is noticed wherever it is.
int DiskFiles::open_directory(std::string_view path, FileDescriptor* directory) const {
    std::vector<std::string> parts;
    if (!path.empty() && !split_path(path, &parts)) return EINVAL;
    *directory = FileDescriptor(fcntl(directory_.number(), F_DUPFD_CLOEXEC, 0));
    if (!directory->open()) return errno;
    for (const std::string& part : parts) {
        FileDescriptor next(openat(directory->number(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!next.open()) return errno;
        *directory = std::move(next);
    }
    return 0;
}

int DiskFiles::find_place(std::string_view path, Place* place) const {
    std::vector<std::string> parts;
    if (!split_path(path, &parts)) return EINVAL;
    place->name = parts.back();
    const size_t slash = path.rfind('/');
    return open_directory(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash),
                          &place->directory);
}

int DiskFiles::open_file(const std::string& path, bool create, std::shared_ptr<OpenFile>* file) {
    uint64_t generation = 0;
    {
        const std::lock_guard lock(mutex_);
        generation = generation_;
        if (auto known = open_files_.find(path); known != open_files_.end()) {
            recent_.splice(recent_.begin(), recent_, known->second);
            *file = recent_.front().second;
            return 0;
        }
    }
    Place place;
    if (const int error = find_place(path, &place)) return error;
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | (create ? O_CREAT : 0);
    FileDescriptor descriptor(openat(place.directory.number(), place.name.c_str(), flags, kFileMode));
    if (!descriptor.open()) return errno;
    struct stat status {};
    if (fstat(descriptor.number(), &status) != 0) return errno;
    if (!S_ISREG(status.st_mode)) return EINVAL;
    *file = std::make_shared<OpenFile>(std::move(descriptor));

    const std::lock_guard lock(mutex_);
    if (generation != generation_ || open_files_.contains(path)) return 0;
    recent_.emplace_front(path, *file);
    open_files_[path] = recent_.begin();
    if (recent_.size() > open_files_max_) {
        open_files_.erase(recent_.back().first);
        recent_.pop_back();
    }
    return 0;
}

void DiskFiles::forget(const std::string& path) {
    const std::lock_guard lock(mutex_);
    generation_++;
    auto known = open_files_.find(path);
    if (known == open_files_.end()) return;
    recent_.erase(known->second);
    open_files_.erase(known);
}

void DiskFiles::close_idle_files() {
    const std::lock_guard lock(mutex_);
    open_files_.clear();
    recent_.clear();
}

// --- Faults on request

void DiskFiles::suffer_delay() const {
    if (faults_ == nullptr || faults_->disk_delay_us == 0) return;
    std::this_thread::sleep_for(std::chrono::microseconds(faults_->disk_delay_us));
}

bool DiskFiles::full() const {
    return faults_ != nullptr && faults_->disk_full;
}

}  // namespace sandstore
