#include "runtime/thread_disk.h"

#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>

#include "runtime/message_of.h"
#include "runtime/metrics.h"
#include "runtime/text.h"

namespace sandstore {

ThreadDisk::ThreadDisk(event_base* base, PortHost& host, LocalAddress self, std::string data_directory, int threads,
                       const FaultPoints* faults, uint64_t spin_us)
    : host_(host),
      self_(self),
      spin_us_(spin_us),
      files_(data_directory, faults),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      queue_length_(host.metrics().gauge("sandstore_disk_queue_length", "Disk requests waiting for a worker",
                                         {{"port", std::string(actor_name(self.actor))}})),
      requests_(host.metrics().counter("sandstore_disk_requests_total", "Disk requests taken",
                                       {{"port", std::string(actor_name(self.actor))}})),
      refused_(host.metrics().counter("sandstore_disk_refused_total", "Disk requests refused: too many were waiting",
                                      {{"port", std::string(actor_name(self.actor))}})) {
    if (!wake_.open()) throw std::runtime_error("cannot make an eventfd for the disk");
    const auto on_wake = [](evutil_socket_t, short, void* disk) { static_cast<ThreadDisk*>(disk)->deliver_answers(); };
    wake_event_ = event_new(base, wake_.number(), EV_READ | EV_PERSIST, on_wake, this);
    event_add(wake_event_, nullptr);
    const auto on_hand_over = [](evutil_socket_t, short, void* disk) {
        static_cast<ThreadDisk*>(disk)->wake_workers();
    };
    hand_over_event_ = event_new(base, -1, 0, on_hand_over, this);

    // Signals are the reactor's: workers start with all of them blocked.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < threads; i++) {
        workers_.emplace_back([this] { work(); });
        pthread_setname_np(workers_.back().native_handle(), std::string(actor_name(self.actor)).substr(0, 15).c_str());
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadDisk::~ThreadDisk() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    arrived_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    event_free(hand_over_event_);
    event_free(wake_event_);
}

void ThreadDisk::handle(Message message) {
    if (message->body_case() != pb::Envelope::kDiskRequest) {
        complete({reply_to(message), request_failed(pb::STATUS_INVALID_ARGUMENT, "a disk takes disk requests only")});
        return;
    }
    requests_.add();
    std::unique_lock lock(mutex_);
    const size_t bytes = message.payload.size();
    const bool full =
        queue_.size() >= kQueuedRequestsMax || (!queue_.empty() && queued_bytes_ + bytes > kQueuedBytesMax);
    if (!full) {
        queued_bytes_ += bytes;
        queue_.push_back(std::move(message));
        queued_ = queue_.size();
        queue_length_.set(static_cast<double>(queue_.size()));
        const bool wake = sleeping_ > 0;  // One that is at work looks at the queue when it is done.
        lock.unlock();
        if (!wake || handed_over_++ > 0) return;
        event_active(hand_over_event_, EV_TIMEOUT, 0);
        return host_.hurry();  // A follower, for one, need not apply an entry before it writes the next one.
    }
    lock.unlock();
    refused_.add();
    complete({reply_to(message), request_failed(pb::STATUS_RESOURCE_EXHAUSTED, "too much waits for the disk")});
}

void ThreadDisk::wake_workers() {
    for (; handed_over_ > 0; handed_over_--) arrived_.notify_one();
}

// Until there is a request, or the disk stops. Nobody needs to wake a worker that looks by itself.
void ThreadDisk::wait_for_request(Spin* spin, std::unique_lock<std::mutex>* lock) {
    if (spin_us_ > 0) {
        lock->unlock();
        spin->wait([this] { return queued_.load(std::memory_order_relaxed) > 0; });
        lock->lock();
        if (!queue_.empty()) return;
    }
    sleeping_++;
    arrived_.wait(*lock, [this] { return stopping_ || !queue_.empty(); });
    sleeping_--;
    spin->slept();
}

// A worker's life.
void ThreadDisk::work() {
    Spin spin(spin_us_);
    std::unique_lock lock(mutex_);
    while (true) {
        if (queue_.empty() && !stopping_) wait_for_request(&spin, &lock);
        if (queue_.empty()) {
            if (stopping_) return;  // All is done.
            continue;
        }
        Message request = std::move(queue_.front());
        queue_.pop_front();
        queued_ = queue_.size();
        queued_bytes_ -= request.payload.size();
        lock.unlock();

        Payload read;
        pb::DiskReply reply;
        try {
            reply = files_.execute(request->disk_request(), request.payload, &read);
        } catch (const std::bad_alloc&) {
            reply.set_error(ENOMEM);
        }
        complete({reply_to(request), message_of(std::move(reply), std::move(read))});
        lock.lock();
    }
}

void ThreadDisk::complete(Answer answer) {
    bool first;
    {
        const std::lock_guard lock(mutex_);
        first = answers_.empty();
        answers_.push_back(std::move(answer));
    }
    if (!first) return;  // The reactor has been told, and takes all it finds.
    const uint64_t one = 1;
    ssize_t written;
    do {
        written = write(wake_.number(), &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
}

void ThreadDisk::deliver_answers() {
    uint64_t count;
    [[maybe_unused]] const ssize_t taken = read(wake_.number(), &count, sizeof(count));
    std::vector<Answer> answers;
    {
        const std::lock_guard lock(mutex_);
        answers.swap(answers_);
        queue_length_.set(static_cast<double>(queue_.size()));
    }
    for (Answer& answer : answers) host_.reply(answer.to, self_, std::move(answer.message));
}

namespace {

// What a process has locked, by the directory's name. Never closed: the locks end with the process.
std::map<std::string, int>& locked_files() {
    static std::map<std::string, int> files;
    return files;
}

}  // namespace

std::optional<std::string> lock_directory(const std::string& directory) {
    std::error_code problem;
    std::filesystem::create_directories(directory, problem);
    if (problem) return str_cat("cannot make the data directory ", directory, ": ", problem.message());
    const std::string path = str_cat(directory, "/LOCK");
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (file < 0) return str_cat("cannot open ", path, ": ", std::generic_category().message(errno));
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
        locked_files()[directory] = file;
        return std::nullopt;
    }
    const int error = errno;
    close(file);
    if (error == EWOULDBLOCK) return str_cat("data directory ", directory, " is in use by another sandstore process");
    return str_cat("cannot lock ", path, ": ", std::generic_category().message(error));
}

bool is_locked_directory(const std::string& directory) {
    const auto locked = locked_files().find(directory);
    if (locked == locked_files().end()) return false;
    struct stat ours {};
    struct stat there {};
    return fstat(locked->second, &ours) == 0 && stat(str_cat(directory, "/LOCK").c_str(), &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace sandstore
