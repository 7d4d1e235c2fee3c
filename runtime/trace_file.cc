#include "runtime/trace_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "messages/trace.pb.h"
#include "runtime/text.h"
#include "runtime/trace_writer.h"

namespace sandstore {

namespace {

constexpr mode_t kFileMode = 0640;
constexpr size_t kSpareBuffersMax = 4;

}  // namespace

std::optional<std::string> keep_earlier_trace(const std::string& path, std::string* error) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size == 0) return "";
    for (uint64_t number = 1;; ++number) {
        std::string kept = str_cat(path, ".", number);
        // Unlike rename() it replaces nothing.
        if (::link(path.c_str(), kept.c_str()) == 0 && ::unlink(path.c_str()) == 0) return kept;
        if (errno == EEXIST) continue;
        *error = str_cat("cannot keep the earlier trace file ", path, ": ", std::strerror(errno));
        return std::nullopt;
    }
}

std::unique_ptr<TraceFile> TraceFile::create(const std::string& path, bool in_background, std::string* error) {
    const int number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode);
    if (number < 0) {
        *error = str_cat("cannot write the trace file ", path, ": ", std::strerror(errno));
        return nullptr;
    }
    std::unique_ptr<TraceFile> file(new TraceFile(number, path));
    if (!in_background) return file;
    // Signals are the reactor's: the thread starts with all of them blocked.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    file->writer_ = std::thread([self = file.get()] { self->work(); });
    pthread_setname_np(file->writer_.native_handle(), "trace");
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return file;
}

TraceFile::~TraceFile() {
    if (writer_.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        arrived_.notify_one();
        writer_.join();
    }
    ::close(file_);
}

void TraceFile::append(TraceBytes* bytes) {
    if (!writer_.joinable()) {
        write_now(bytes->view());
        bytes->clear();
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        if (queued_bytes_ + bytes->size() > kBacklogBytesMax && problem_.empty()) {
            problem_ = str_cat("the disk takes the trace file ", path_, " too slowly");
        }
        if (!problem_.empty()) return bytes->clear();
        queued_bytes_ += bytes->size();
        queue_.push_back(std::move(*bytes));
        *bytes = TraceBytes();
        if (!spare_.empty()) {
            *bytes = std::move(spare_.back());
            spare_.pop_back();
        }
    }
    arrived_.notify_one();
}

void TraceFile::write_now(std::string_view bytes) {
    if (problem().empty()) write_or_fail(bytes);
}

std::string TraceFile::problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
}

void TraceFile::fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (problem_.empty()) problem_ = str_cat("the trace file ", path_, " cannot be written: ", why);
}

void TraceFile::write_or_fail(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t done = ::write(file_, bytes.data(), bytes.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(std::strerror(errno));
        bytes.remove_prefix(static_cast<size_t>(done));
    }
}

void TraceFile::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        arrived_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;  // Stopping, and all is done.
        TraceBytes bytes = std::move(queue_.front());
        queue_.pop_front();
        const bool wanted = problem_.empty();
        lock.unlock();
        if (wanted) write_or_fail(bytes.view());
        lock.lock();
        queued_bytes_ -= bytes.size();
        bytes.clear();
        if (spare_.size() < kSpareBuffersMax) spare_.push_back(std::move(bytes));
    }
}

void append_trace_start(const std::string& node_id, uint64_t root_seed, TraceBytes* out) {
    char* magic = out->room(sizeof(kTraceMagic));
    std::memcpy(magic, kTraceMagic, sizeof(kTraceMagic));
    out->used(magic + sizeof(kTraceMagic));
    pb::TraceRecord record;
    fill_trace_header(node_id, root_seed, &record);
    encode_record(record, out);
}

}  // namespace sandstore
