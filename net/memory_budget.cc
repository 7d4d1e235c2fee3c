#include "net/memory_budget.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "net/frame.h"
#include "runtime/check.h"

namespace sandstore {
namespace {

// Frames on their way in: a few of the largest at a time, however large the budget is.
constexpr size_t kReceivingMax = size_t{48} << 20;
constexpr size_t kFrameBytesMax = kFrameHeaderBytes + kFrameBodyBytesMax + kFramePayloadBytesMax;
static_assert(kFrameBytesMax <= MemoryBudget::kBytesMin / 2);

void wake(const MemoryAccount& account) {
    const uint64_t one = 1;
    while (write(account.wake.number(), &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

}  // namespace

// --- A charge

MemoryCharge::MemoryCharge(std::shared_ptr<MemoryAccount> account, size_t bytes, bool receiving)
    : account_(std::move(account)), bytes_(bytes), receiving_(receiving) {
    account_->used += bytes_;
    if (receiving_) account_->receiving += bytes_;
}

MemoryCharge& MemoryCharge::operator=(MemoryCharge&& other) noexcept {
    if (this == &other) return *this;
    give_back();
    swap(other);
    return *this;
}

void MemoryCharge::swap(MemoryCharge& other) noexcept {
    account_.swap(other.account_);
    std::swap(bytes_, other.bytes_);
    std::swap(receiving_, other.receiving_);
}

void MemoryCharge::arrived() {
    if (!account_ || !std::exchange(receiving_, false)) return;
    account_->receiving -= bytes_;
    if (account_->awaited) wake(*account_);
}

void MemoryCharge::give_back() {
    if (!account_) return;
    const std::shared_ptr<MemoryAccount> account = std::move(account_);
    account_.reset();
    if (receiving_) account->receiving -= bytes_;
    account->used -= bytes_;
    if (account->awaited) wake(*account);
}

// --- The budget

MemoryBudget::MemoryBudget(event_base* base, MetricsRegistry& metrics, size_t bytes_max)
    : bytes_max_(std::max(bytes_max, kBytesMin)),
      receiving_max_(std::min(kReceivingMax, bytes_max_ / 2)),
      account_(std::make_shared<MemoryAccount>()),
      waits_(
          metrics.counter("sandstore_memory_waits_total", "Times that a client was not read from for want of budget.")),
      refusals_(
          metrics.counter("sandstore_memory_refusals_total",
                          "Client connections closed because they waited, or kept others waiting, for too long.")) {
    account_->wake = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!account_->wake.open()) throw std::runtime_error("cannot make an eventfd for the memory budget");
    const auto on_wake = [](evutil_socket_t, short, void* budget) { static_cast<MemoryBudget*>(budget)->serve(); };
    wake_event_.reset(event_new(base, account_->wake.number(), EV_READ | EV_PERSIST, on_wake, this));
    event_add(wake_event_.get(), nullptr);
    metrics.gauge("sandstore_memory_budget_bytes", "Memory that clients may make this node hold.")
        .set(static_cast<double>(bytes_max_));
    Gauge& used = metrics.gauge("sandstore_memory_used_bytes",
                                "Of the budget: frames being received, puts under way, answers not read yet.");
    Gauge& receiving = metrics.gauge("sandstore_memory_receiving_bytes", "Of the budget: frames being received.");
    metrics.before_render([account = account_, &used, &receiving] {
        used.set(static_cast<double>(account->used));
        receiving.set(static_cast<double>(account->receiving));
    });
}

MemoryBudget::~MemoryBudget() = default;

std::optional<MemoryCharge> MemoryBudget::ask(size_t bytes, MemoryWaiter& waiter) {
    SANDSTORE_CHECK(bytes <= kFrameBytesMax, "bytes=", bytes);
    if (queue_.empty() && has_room(bytes)) return take(bytes, true);
    waits_.add();
    queue_.push_back({&waiter, bytes});
    account_->awaited = true;
    // Given back between the look and the mark, nobody would wake the loop.
    wake(*account_);
    return std::nullopt;
}

void MemoryBudget::forget(MemoryWaiter& waiter) {
    std::erase_if(queue_, [&](const Waiting& waiting) { return waiting.waiter == &waiter; });
    account_->awaited = !queue_.empty();
    if (account_->awaited) wake(*account_);  // Those behind it may fit.
}

MemoryCharge MemoryBudget::take(size_t bytes, bool receiving) {
    return MemoryCharge(account_, bytes, receiving);
}

void MemoryBudget::remove_unread(size_t bytes) {
    account_->used -= bytes;
    if (account_->awaited) wake(*account_);
}

bool MemoryBudget::has_room(size_t bytes) const {
    if (bytes == 0) return !exhausted();
    return account_->used + bytes <= bytes_max_ && account_->receiving + bytes <= receiving_max_;
}

void MemoryBudget::serve() {
    uint64_t count;
    [[maybe_unused]] const ssize_t taken = read(account_->wake.number(), &count, sizeof(count));
    while (!queue_.empty() && has_room(queue_.front().bytes)) {
        const Waiting next = queue_.front();
        queue_.pop_front();
        account_->awaited = !queue_.empty();
        next.waiter->on_memory(take(next.bytes, true));  // May ask again, or make others go.
    }
}

}  // namespace sandstore
