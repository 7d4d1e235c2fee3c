// A first-in, first-out queue in one block of memory that grows when it must and is then kept: unlike std::deque it
// allocates nothing once it has the size that the work needs.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace sandstore {

template <typename Item>
class RingQueue {
 public:
    RingQueue() = default;
    RingQueue(const RingQueue&) = delete;
    RingQueue& operator=(const RingQueue&) = delete;
    ~RingQueue() {
        clear();
        if (capacity_ != 0) std::allocator<Item>().deallocate(items_, capacity_);
    }

    bool empty() const { return first_ == end_; }
    size_t size() const { return end_ - first_; }
    Item& front() { return *at(first_); }

    void push_back(Item item) {
        if (size() == capacity_) grow();
        std::construct_at(at(end_), std::move(item));
        end_++;
    }
    Item take_front() {
        Item item = std::move(*at(first_));
        std::destroy_at(at(first_++));
        return item;
    }
    void clear() {
        while (!empty()) std::destroy_at(at(first_++));
    }
    void swap(RingQueue& other) {
        std::swap(items_, other.items_);
        std::swap(capacity_, other.capacity_);
        std::swap(first_, other.first_);
        std::swap(end_, other.end_);
    }

 private:
    static constexpr size_t kFirstCapacity = 16;

    // The capacity is a power of two; positions only count up.
    Item* at(size_t position) const { return items_ + (position & (capacity_ - 1)); }
    void grow() {
        RingQueue larger;
        larger.items_ = std::allocator<Item>().allocate(capacity_ == 0 ? kFirstCapacity : 2 * capacity_);
        larger.capacity_ = capacity_ == 0 ? kFirstCapacity : 2 * capacity_;
        while (!empty()) std::construct_at(larger.at(larger.end_++), take_front());
        swap(larger);
    }

    Item* items_ = nullptr;
    size_t capacity_ = 0;
    size_t first_ = 0;
    size_t end_ = 0;
};

}  // namespace sandstore
