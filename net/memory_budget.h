// The memory that clients make a node hold: frames that are only half here, what was received and is not done with
// (puts on their way to disks and other nodes), and answers that nobody has read yet. One budget for all of them.
//
// A client's frame is asked for as a whole before more of it is read than every connection may have anyway, so that
// what was begun can be ended: no two frames wait for each other. Who has to wait is not read from meanwhile, and comes
// in the order of asking. Peers and operators never wait, what they send only counts: else a put could wait for a
// peer's answer, and that for the put.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "net/event_handle.h"
#include "runtime/disk_files.h"
#include "runtime/metrics.h"

namespace sandstore {

// What is in use; shared with those who give back, in whatever thread.
struct MemoryAccount {
    std::atomic<size_t> used = 0;
    std::atomic<size_t> receiving = 0;  // Of these: of frames that are not whole yet.
    std::atomic<bool> awaited = false;  // Somebody waits: giving back wakes the loop.
    FileDescriptor wake;
};

// A part of the budget; given back when it is destroyed.
class MemoryCharge {
 public:
    MemoryCharge() = default;
    MemoryCharge(std::shared_ptr<MemoryAccount> account, size_t bytes, bool receiving);
    MemoryCharge(MemoryCharge&& other) noexcept { swap(other); }
    MemoryCharge& operator=(MemoryCharge&& other) noexcept;
    ~MemoryCharge() { give_back(); }

    explicit operator bool() const { return account_ != nullptr; }
    void arrived();  // The frame is whole.
    void give_back();

 private:
    void swap(MemoryCharge& other) noexcept;

    std::shared_ptr<MemoryAccount> account_;
    size_t bytes_ = 0;
    bool receiving_ = false;
};

class MemoryWaiter {
 public:
    virtual ~MemoryWaiter() = default;
    virtual void on_memory(MemoryCharge charge) = 0;  // From the loop, once for each wait.
};

class MemoryBudget {
 public:
    static constexpr size_t kBytesMin = size_t{64} << 20;

    // At least kBytesMin.
    MemoryBudget(event_base* base, MetricsRegistry& metrics, size_t bytes_max);
    ~MemoryBudget();
    MemoryBudget(const MemoryBudget&) = delete;
    MemoryBudget& operator=(const MemoryBudget&) = delete;

    // For a whole frame that is about to be received; 0: only that there is room at all. Nothing: `waiter` is in the
    // queue, and hears when it is its turn.
    std::optional<MemoryCharge> ask(size_t bytes, MemoryWaiter& waiter);
    void forget(MemoryWaiter& waiter);
    // For those who must not wait.
    MemoryCharge take(size_t bytes, bool receiving);
    // Answers queued and written.
    void add_unread(size_t bytes) { account_->used += bytes; }
    void remove_unread(size_t bytes);

    bool exhausted() const { return account_->used >= bytes_max_; }
    bool awaited() const { return !queue_.empty(); }
    size_t used() const { return account_->used; }
    void count_refusal() { refusals_.add(); }  // Somebody waited for too long, or kept others waiting.

 private:
    struct Waiting {
        MemoryWaiter* waiter;
        size_t bytes;
    };
    bool has_room(size_t bytes) const;
    void serve();

    const size_t bytes_max_;
    const size_t receiving_max_;
    std::shared_ptr<MemoryAccount> account_;
    std::deque<Waiting> queue_;
    EventPointer wake_event_;
    Counter& waits_;
    Counter& refusals_;
};

}  // namespace sandstore
