// Carries out disk requests on the files of one directory, exactly as messages/disk.proto says. Blocks; safe to use
// from several threads.
//
// Paths stay inside the directory: no "..", no absolute path, and no symbolic link is followed on the way.
#pragma once

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "messages/disk.pb.h"
#include "runtime/payload.h"

namespace sandstore {

struct FaultPoints;

// Closes the file descriptor it holds.
class FileDescriptor {
 public:
    explicit FileDescriptor(int number = -1) : number_(number) {}
    FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept;
    ~FileDescriptor();
    int number() const { return number_; }
    bool open() const { return number_ >= 0; }

 private:
    int number_;
};

class DiskFiles {
 public:
    static constexpr uint64_t kReadBytesMax = uint64_t{64} << 20;  // Of one Read.
    static constexpr uint64_t kFileBytesMax = uint64_t{1} << 40;   // Offsets beyond are refused.
    // Short of descriptors or memory, an operation is tried again, after a pause each time.
    static constexpr int kTriesMax = 50;
    static constexpr uint64_t kTryPauseUs = 20'000;

    // The directory must exist. Throws std::runtime_error with a sentence when it cannot be opened.
    // `faults`, when given, outlives it.
    explicit DiskFiles(const std::string& directory, const FaultPoints* faults = nullptr);
    ~DiskFiles();

    // `out` receives what Read operations read.
    pb::DiskReply execute(const pb::DiskRequest& request, const Payload& in, Payload* out);

 private:
    struct Result {
        int error = 0;
        bool sync_failed = false;
    };
    struct OpenFile {
        explicit OpenFile(FileDescriptor descriptor) : file(std::move(descriptor)) {}
        FileDescriptor file;
        std::atomic<bool> entry_synced = false;  // The directory was synced since this file was opened.
    };
    class Source;
    struct Place;

    Result carry_out_patiently(const pb::DiskOperation& operation, Source* source, pb::DiskReply* reply, Payload* out);
    Result carry_out(const pb::DiskOperation& operation, Source* source, pb::DiskReply* reply, Payload* out);
    Result write(const pb::DiskOperation::Write& operation, Source* source);
    Result sync(const std::string& path);
    Result read(const pb::DiskOperation::Read& operation, pb::DiskReply* reply, Payload* out);
    Result create_zeroed(const pb::DiskOperation::CreateZeroed& operation);
    Result replace(const pb::DiskOperation::Replace& operation, Source* source);
    Result rename(const std::string& from, const std::string& to);
    Result remove(const std::string& path);
    Result make_directory(const std::string& path);
    Result list(const std::string& path, pb::DiskReply* reply);
    Result space(pb::DiskReply* reply);
    Result punch(const pb::DiskOperation::Punch& operation);
    Result zero(const pb::DiskOperation::Zero& operation);

    int open_directory(std::string_view path, FileDescriptor* directory) const;
    int find_place(std::string_view path, Place* place) const;
    int open_file(const std::string& path, bool create, std::shared_ptr<OpenFile>* file);
    void forget(const std::string& path);
    void close_idle_files();
    void suffer_delay() const;
    bool full() const;

    FileDescriptor directory_;
    const FaultPoints* faults_;
    const size_t open_files_max_;

    // Open files, the most recently used first. `generation_` rises when names change: a file opened before is then not
    // remembered, because the name may mean another file by now.
    std::mutex mutex_;
    using Entry = std::pair<std::string, std::shared_ptr<OpenFile>>;
    std::list<Entry> recent_;
    std::map<std::string, std::list<Entry>::iterator, std::less<>> open_files_;
    uint64_t generation_ = 0;
};

}  // namespace sandstore
