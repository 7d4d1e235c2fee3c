// The real disk port: worker threads carry out DiskRequests, so that the reactor never waits for a disk.
//
// In:  DiskRequest, a request. With one thread, requests take effect and are answered in the order sent
//      (PORT_LOG_DISK); with more, in any order (PORT_CHUNK_DISK).
// Out: DiskReply; or RequestFailed with RESOURCE_EXHAUSTED, before any effect, when too much is queued.
//
// Answers travel back to the reactor through one eventfd and are delivered from the event loop, never from handle().
// Workers are woken from the event loop too, after the sockets that were written to in the same turn: a woken worker
// may take the reactor's processor, and what goes to other nodes has the longer way.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/actor.h"
#include "runtime/disk_files.h"
#include "runtime/spin.h"

struct event;
struct event_base;

namespace sandstore {

class Counter;
class Gauge;

class ThreadDisk final : public Port {
 public:
    static constexpr size_t kQueuedRequestsMax = 1024;
    static constexpr size_t kQueuedBytesMax = size_t{256} << 20;

    // Throws std::runtime_error when the directory cannot be opened. See lock_directory(). Workers look for `spin_us`
    // for the next request before they sleep (spin.h).
    ThreadDisk(event_base* base, PortHost& host, LocalAddress self, std::string data_directory, int threads,
               const FaultPoints* faults = nullptr, uint64_t spin_us = 0);
    // Finishes what was queued; the answers are dropped.
    ~ThreadDisk() override;
    ThreadDisk(const ThreadDisk&) = delete;
    ThreadDisk& operator=(const ThreadDisk&) = delete;

    void handle(Message message) override;

 private:
    struct Answer {
        ReplyTo to;
        Message message;
    };

    void work();
    void wait_for_request(Spin* spin, std::unique_lock<std::mutex>* lock);
    void wake_workers();
    void complete(Answer answer);
    void deliver_answers();

    PortHost& host_;
    const LocalAddress self_;
    const uint64_t spin_us_;
    DiskFiles files_;
    FileDescriptor wake_;  // An eventfd: there are answers.
    event* wake_event_ = nullptr;
    event* hand_over_event_ = nullptr;  // Not of a descriptor: made active when requests wait for a sleeping worker.
    size_t handed_over_ = 0;            // Requests taken since the workers were last woken. Reactor only.
    Gauge& queue_length_;
    Counter& requests_;
    Counter& refused_;

    std::mutex mutex_;  // Guards all below.
    std::condition_variable arrived_;
    std::deque<Message> queue_;
    std::atomic<size_t> queued_ = 0;  // Its length, for those that look without the mutex.
    size_t queued_bytes_ = 0;
    int sleeping_ = 0;  // Workers that wait for a request.
    bool stopping_ = false;
    std::vector<Answer> answers_;

    std::vector<std::thread> workers_;
};

// Makes sure that no other process uses the data directory (made when missing) for as long as this one lives. The error
// is a sentence.
std::optional<std::string> lock_directory(const std::string& directory);
// Whether the name still leads to the directory that this process has locked: it may have been removed, or another file
// system be mounted there. What is written to one that is gone, nobody will find.
bool is_locked_directory(const std::string& directory);

}  // namespace sandstore
